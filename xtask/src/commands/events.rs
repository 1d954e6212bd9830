//! `cargo xtask events`: what happened in a run, readably, or as JSON for programs.

mod line;
mod seen;
mod study;

use std::path::{Path, PathBuf};

use anyhow::Result;
use component_runtime::SimTime;
use run_journal::events::EventsError;
use run_journal::manifest::Manifest;
use run_journal::query::{Causality, Filter};
use run_journal::{EVENTS_FILE, Record, events, file_in};

use self::line::{Line, Times};
use self::seen::Seen;
use super::bad_input;
use crate::output::{Lines, Reader, look, note};

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
    /// Only events of this time of the run or later, such as 12m30s
    #[arg(long, value_name = "TIME")]
    from: Option<SimTime>,
    /// Only events of this time of the run or earlier
    #[arg(long, value_name = "TIME")]
    until: Option<SimTime>,
    /// Print what led to the event of this number, and what came of it; other options choose which of these events are printed
    #[arg(long, value_name = "SEQ")]
    follow: Option<u64>,
    /// With --follow and --sequence: leave out effects further away than this many steps
    #[arg(long, value_name = "STEPS", default_value_t = 12)]
    depth: usize,
    /// Draw what led to the event of this number, and what came of it, as a sequence diagram
    #[arg(long, value_name = "SEQ", conflicts_with_all = ["follow", "vm", "component", "event", "from", "until", "json"])]
    sequence: Option<u64>,
    /// With --sequence: how the diagram is written
    #[arg(long = "as", value_enum, value_name = "FORM", requires = "sequence", default_value_t = study::As::Text)]
    written: study::As,
    /// With --sequence: print also the bytes of each Dynamic Memory message in the diagram, as they were in the ring
    #[arg(long, requires = "sequence", conflicts_with = "written")]
    bytes: bool,
    /// Tell whose memory this VM was given: which VM paid, how much, in which order
    #[arg(long, value_name = "VM8", conflicts_with_all = ["follow", "sequence", "vm", "component", "event", "from", "until"])]
    who_paid: Option<String>,
    /// Tell for each growth where the time went, from the guest's need to memory that it can use; of all VMs, or of --vm
    #[arg(long, conflicts_with_all = ["follow", "sequence", "who_paid", "component", "event", "from", "until"])]
    spans: bool,
    /// Print the events as events.jsonl has them: a JSON object in each line, times in nanoseconds. With --follow each also says its
    /// `relation` (cause, event or effect) and how many `steps` away it is
    #[arg(long)]
    json: bool,
}

/// Prints them.
pub(crate) fn run(args: &Args) -> Result<()> {
    let path = file_in(&args.dir, EVENTS_FILE);
    if !args.dir.is_dir() {
        return Err(bad_input(format!(
            "there is no folder {}; runs are left in runs/, or where --out said",
            args.dir.display()
        )));
    }
    if !path.is_file() {
        return Err(bad_input(format!("{}: {}", path.display(), EventsError::Missing)));
    }
    if let (Some(from), Some(until)) = (args.from, args.until)
        && from > until
    {
        return Err(bad_input(format!(
            "--from {from} is later than --until {until}: no event lies between them"
        )));
    }
    if let Some(seq) = args.sequence {
        study::sequence(&path, seq, args.depth, args.written)?;
        return if args.bytes { study::bytes(&args.dir, &path, seq, args.depth) } else { Ok(()) };
    }
    if let Some(vm) = &args.who_paid {
        return study::who_paid(&path, vm, args.json);
    }
    if args.spans {
        return study::spans(&path, args.vm.as_deref(), args.json);
    }
    let filter = Filter {
        vm: args.vm.clone(),
        component: args.component.clone(),
        event: args.event.clone(),
        from: args.from,
        until: args.until,
    };
    match args.follow {
        Some(seq) => follow(args, &path, &filter, seq),
        None => list(args, &path, &filter),
    }
}

/// Prints the events that the filter picks, in their order.
fn list(args: &Args, path: &Path, filter: &Filter) -> Result<()> {
    let records =
        events::Reader::open(path).map_err(|error| bad_input(format!("{}: {error}", path.display())))?;
    let (mut out, look) = (Lines::new(), look());
    let (mut seen, mut times) = (Seen::default(), Times::default());
    let mut before: Option<SimTime> = None;
    let mut cut_off = None;
    let in_order = are_in_order(&args.dir);
    for record in records {
        let record = match record {
            // What a run that was killed leaves: everything before is as it was written.
            Err(error) if error.is_cut_off() => {
                cut_off = Some(error);
                break;
            }
            record => record.map_err(|error| bad_input(format!("{}: {error}", path.display())))?,
        };
        // What was not found is looked for to the end, to say why.
        if in_order && before.is_some() && filter.until.is_some_and(|until| until < record.t) {
            break;
        }
        seen.note(&record);
        times.note(&record);
        if !filter.matches(&record) {
            continue;
        }
        let reader = if args.json {
            out.line(format_args!("{}", json(&record, None)))?
        } else {
            if before.is_none() {
                let _reader = out.line(format_args!("{}", line::header("since the line before")))?;
            }
            let delta = before.map(|before| record.t.since(before));
            let line = Line { record: &record, mark: "", delta, depth: 0, cause: times.cause(&record) };
            out.coloured(&line.text(look))?
        };
        before = Some(record.t);
        if reader == Reader::Gone {
            return Ok(());
        }
    }
    if let Some(error) = cut_off {
        note!("{}: {error}", path.display());
    }
    if before.is_none() {
        return Err(bad_input(seen.why_nothing(filter)));
    }
    out.finish()
}

/// Whether no event of a run is earlier than one recorded before. Of a run in real time an event has the time when its component woke, and
/// another component may have woken later and been quicker.
fn are_in_order(folder: &Path) -> bool {
    Manifest::read(folder).is_ok_and(|manifest| manifest.clock == "virtual")
}

/// An event in relation to another.
#[derive(Clone, Copy, Debug)]
struct Relation {
    name: &'static str,
    steps: usize,
}

/// Prints what led to an event and what came of it, as a tree.
fn follow(args: &Args, path: &Path, filter: &Filter, seq: u64) -> Result<()> {
    let whole =
        events::read_whole(path).map_err(|error| bad_input(format!("{}: {error}", path.display())))?;
    if let Some(error) = &whole.missing {
        note!("{}: {error}", path.display());
    }
    let causality = Causality::new(&whole.records);
    let chain = causality.chain(seq).map_err(bad_input)?;
    let (mut out, look) = (Lines::new(), look());
    let furthest = chain.causes.iter().map(|(distance, _)| *distance).max().unwrap_or(0);
    let causes = chain
        .causes
        .iter()
        .map(|&(steps, record)| (Relation { name: "cause", steps }, furthest - steps, record));
    let event = (Relation { name: "event", steps: 0 }, furthest, chain.event);
    let effects = chain
        .effects
        .iter()
        .map(|&(steps, record)| (Relation { name: "effect", steps }, furthest + steps, record));
    let (mut left_out, mut begun) = (0_usize, false);
    for (relation, depth, record) in causes.chain([event]).chain(effects) {
        let followed = relation.name == "event";
        // The event itself is what everything else is told about.
        if !followed && !filter.matches(record) {
            continue;
        }
        if relation.name == "effect" && relation.steps > args.depth {
            left_out += 1;
            continue;
        }
        let reader = if args.json {
            out.line(format_args!("{}", json(record, Some(relation))))?
        } else {
            if !std::mem::replace(&mut begun, true) {
                let _reader = out.line(format_args!("  {}", line::header("since its cause")))?;
            }
            // The tree says what led to what; so each line has its time and number first, and only then its depth.
            let delta = causality.get(record.cause).map(|cause| record.t.since(cause.t));
            let mark = if followed { "> " } else { "  " };
            out.coloured(&Line { record, mark, delta, depth, cause: None }.text(look))?
        };
        if reader == Reader::Gone {
            return Ok(());
        }
    }
    if left_out > 0 {
        let words = format!("… and {left_out} more, further than {} steps away (--depth)", args.depth);
        if args.json {
            note!("{words}");
        } else if out.line(format_args!("  {words}"))? == Reader::Gone {
            return Ok(());
        }
    }
    out.finish()
}

/// A record as `events.jsonl` has it, with its relation before the rest.
fn json(record: &Record, relation: Option<Relation>) -> String {
    let mut bytes = Vec::new();
    events::append(&mut bytes, record);
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_end_matches('\n');
    match relation {
        Some(Relation { name, steps }) => {
            format!("{{\"relation\":\"{name}\",\"steps\":{steps},{}", text.strip_prefix('{').unwrap_or(text))
        }
        None => text.to_owned(),
    }
}
