//! `cargo xtask explain`: why a VM had what it had.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use run_analysis::explain::{ExplainError, Measured, explain};
use run_journal::events::EventsError;
use run_journal::{EVENTS_FILE, Manifest, events, file_in};

use scenario::run::COUNTERS_FILE;
use terminal_text::wrap;

use super::arguments::duration;
use super::bad_input;
use crate::output::{look, note, print};

/// Of which run, which VM, and when.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Folder of a run
    dir: PathBuf,
    /// The VM
    #[arg(long, value_name = "VM8")]
    vm: String,
    /// The time, such as 12m30s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    at: Duration,
}

/// Explains.
pub(crate) fn run(args: &Args) -> Result<()> {
    let path = file_in(&args.dir, EVENTS_FILE);
    let manifest = Manifest::read_part(&args.dir).map_err(|error| {
        bad_input(format!("{}: {error}. Is this the folder of a run?", args.dir.display()))
    })?;
    if let Some(error) = &manifest.missing {
        note!("{error}; what is whole of it is used");
    }
    let whole =
        events::read_whole(&path).map_err(|error| bad_input(format!("{}: {error}", path.display())))?;
    if let Some(error) = &whole.missing {
        note!("{}: {error}", path.display());
    }
    let until = manifest.until.as_deref().and_then(|until| quantities::parse_duration(until).ok());
    let policy = manifest.policy.as_deref().unwrap_or("(its name is missing)");
    let records = whole.records.into_iter().map(Ok::<_, EventsError>);
    let explanation = explain(records, policy, &args.vm, args.at, until).map_err(|error| match error {
        ExplainError::Events(error) => bad_input(format!("{}: {error}", path.display())),
        other => bad_input(other),
    })?;
    if !explanation.has_reports {
        note!("{}: there are no reports of guests (`--events all` records them)", path.display());
    }
    let explanation = explanation.with(measured(&args.dir, args.at));
    let text = explanation.to_string().replace("events DIR ", &format!("events {} ", args.dir.display()));
    print(format_args!("{}", wrap(&text, look().columns)))
}

/// Bytes of counters that are read for two numbers: those of a hundred VMs for an hour take about so many. Invented.
const MOST_READ: u64 = 64 << 20;

/// What the counters say of the host at a time; a note where they do not.
fn measured(dir: &Path, at: Duration) -> Option<Measured> {
    let path = dir.join(COUNTERS_FILE);
    let size = std::fs::metadata(&path).map_or(0, |file| file.len());
    if size > MOST_READ {
        note!(
            "{}: {} MB of counters are not read for one time: Available Memory is left out",
            path.display(),
            size >> 20
        );
        return None;
    }
    match Measured::read(dir, at) {
        Ok(measured) => measured,
        Err(error) => {
            note!("{error}; Available Memory is left out");
            None
        }
    }
}
