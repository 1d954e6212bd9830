//! `cargo xtask events`: what happened in a run, readably.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Result;
use run_journal::query::{Causality, Filter};
use run_journal::{EVENTS_FILE, Record, Severity, events};

use super::bad_input;
use crate::output::{Lines, Reader, note};

/// Which events of which run.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Folder of a run
    dir: PathBuf,
    /// Only events about this VM
    #[arg(long, value_name = "VM8")]
    vm: Option<String>,
    /// Only events of this component, such as dm-vsp, or dm-vsp/VM8
    #[arg(long)]
    component: Option<String>,
    /// Only events of this name, such as decision
    #[arg(long)]
    event: Option<String>,
    /// Print everything that led to the event of this number, and everything that came of it
    #[arg(long, value_name = "SEQ", conflicts_with_all = ["vm", "component", "event"])]
    follow: Option<u64>,
    /// With --follow: leave out effects further away than this many steps
    #[arg(long, value_name = "STEPS", requires = "follow", default_value_t = 12)]
    depth: usize,
}

/// Prints them.
pub(crate) fn run(args: &Args) -> Result<()> {
    let path = args.dir.join(EVENTS_FILE);
    if !args.dir.is_dir() {
        return Err(bad_input(format!(
            "there is no folder {}; runs are left in runs/, or where --out said",
            args.dir.display()
        )));
    }
    if !path.is_file() {
        return Err(bad_input(format!(
            "there is no {}: this is not the folder of a run, or its events were not recorded (--events none)",
            path.display()
        )));
    }
    let records =
        events::Reader::open(&path).map_err(|error| bad_input(format!("{}: {error}", path.display())))?;
    let mut out = Lines::new();
    if let Some(seq) = args.follow {
        let whole =
            events::read_whole(&path).map_err(|error| bad_input(format!("{}: {error}", path.display())))?;
        if let Some(error) = &whole.missing {
            note!("{}: {error}", path.display());
        }
        let records = whole.records;
        let causality = Causality::new(&records);
        let chain = causality.chain(seq).map_err(bad_input)?;
        // The tree says what led to what; so each line has its time and number first, and only then its depth.
        let mut print = |depth: usize, mark: &str, record: &Record| {
            out.line(format_args!("{mark}{}{:3$}{}", head(record), "", what(record), depth * 2))
        };
        let depth = chain.causes.iter().map(|(distance, _)| *distance).max().unwrap_or(0);
        for (distance, cause) in &chain.causes {
            if print(depth - distance, "  ", cause)? == Reader::Gone {
                return Ok(());
            }
        }
        let mut reader = print(depth, "> ", chain.event)?;
        let mut left_out = 0_usize;
        for (distance, effect) in &chain.effects {
            if *distance > args.depth {
                left_out += 1;
                continue;
            }
            if reader == Reader::Listens {
                reader = print(depth + distance, "  ", effect)?;
            }
        }
        if left_out > 0 && reader == Reader::Listens {
            reader = out.line(format_args!(
                "  … and {left_out} more, further than {} steps away (--depth)",
                args.depth
            ))?;
        }
        return if reader == Reader::Listens { out.finish() } else { Ok(()) };
    }
    let filter = Filter { vm: args.vm.clone(), component: args.component.clone(), event: args.event.clone() };
    let mut any = false;
    let mut seen = Seen::default();
    let mut cut_off = None;
    for record in records {
        let record = match record {
            // What a run that was killed leaves: everything before is as it was written.
            Err(error) if error.is_cut_off() => {
                cut_off = Some(error);
                break;
            }
            record => record.map_err(|error| bad_input(format!("{}: {error}", path.display())))?,
        };
        seen.note(&record);
        if filter.matches(&record) {
            any = true;
            let cause =
                if record.cause == 0 { String::new() } else { format!(" (because of #{})", record.cause) };
            if out.line(format_args!("{}{}{cause}", head(&record), what(&record)))? == Reader::Gone {
                return Ok(());
            }
        }
    }
    if let Some(error) = cut_off {
        note!("{}: {error}", path.display());
    }
    if !any {
        return Err(bad_input(seen.why_nothing(args)));
    }
    out.finish()
}

/// What there is to filter by.
#[derive(Debug, Default)]
struct Seen {
    vms: BTreeSet<String>,
    components: BTreeSet<String>,
    events: BTreeSet<String>,
}

impl Seen {
    fn note(&mut self, record: &Record) {
        if let Some(vm) = &record.vm
            && !self.vms.contains(&**vm)
        {
            self.vms.insert(vm.to_string());
        }
        for (names, name) in [(&mut self.components, &record.component), (&mut self.events, &record.event)] {
            if !names.contains(&**name) {
                names.insert(name.to_string());
            }
        }
    }

    /// Names the filter that nothing can match, and what it could have been.
    fn why_nothing(&self, args: &Args) -> String {
        let component = args.component.as_deref().map(|name| name.split('/').next().unwrap_or(name));
        for (option, given, known) in [
            ("--vm", args.vm.as_deref(), &self.vms),
            ("--component", component, &self.components),
            ("--event", args.event.as_deref(), &self.events),
        ] {
            if let Some(given) = given
                && !known.contains(given)
            {
                let known = known.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                return format!("no event has {option} {given}; this run has {known}");
            }
        }
        "no event matches all of these filters at once".to_owned()
    }
}

/// Time and number of an event. Times have up to nanoseconds.
fn head(record: &Record) -> String {
    format!("{:>16} #{:<6} ", record.t.to_string(), record.seq)
}

/// Where it was, what it is, and its fields.
fn what(record: &Record) -> String {
    let mut text = format!("{} {}", record.place(), record.event);
    for (name, value) in &record.fields {
        text.push_str(&format!(" {name}={value}"));
    }
    if record.severity != Severity::Normal {
        text.push_str(&format!(" [{}]", record.severity.name()));
    }
    text
}
