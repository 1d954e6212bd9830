//! `cargo xtask report`: the page of a run, made of its folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use run_journal::{EVENTS_FILE, JOURNAL_FILE, bytes_recorded};
use run_report::{Options, ReportError};
use scenario::run::COUNTERS_FILE;

use super::arguments::duration;
use super::bad_input;
use crate::output::{note, say};

/// Of which run, and of which part of it.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Folder of a run
    dir: PathBuf,
    /// Show only what happened from this time on, such as 12m30s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    from: Option<Duration>,
    /// Show only what happened up to this time
    #[arg(long, alias = "to", value_name = "TIME", value_parser = duration)]
    until: Option<Duration>,
}

/// Writes it into the run's folder, and prints its name.
pub(crate) fn run(args: &Args) -> Result<()> {
    let default = Options::default();
    let options =
        Options { from: args.from.unwrap_or(default.from), to: args.until.unwrap_or(default.to), ..default };
    if options.from >= options.to {
        return Err(bad_input("--from must be before --until"));
    }
    let written = run_report::write(&args.dir, &options).map_err(|error| match error {
        ReportError::NotARun(_) | ReportError::AfterTheEnd { .. } => bad_input(error),
        ReportError::Write { .. } => error.into(),
    })?;
    for sentence in &written.missing {
        note!("note: {sentence}");
    }
    say!("{}", written.path.display());
    Ok(())
}

/// Bytes of counters, events and journal that are read again for the page of a run. Beyond it, the page is made only when asked
/// for: 164 MB that were mostly events took half a minute. Invented.
const MOST_REPORTED: u64 = 64 << 20;

/// Makes the page of a run that has ended. A run without it is a run all the same.
pub(super) fn write_after_run(folder: &Path) -> Option<PathBuf> {
    let read: u64 =
        [COUNTERS_FILE, EVENTS_FILE, JOURNAL_FILE].into_iter().map(|name| bytes_recorded(folder, name)).sum();
    if read > MOST_REPORTED {
        note!("no report: {} MB to read; cargo xtask report {} makes it", read >> 20, folder.display());
        return None;
    }
    match run_report::write(folder, &Options::default()) {
        Ok(written) => Some(written.path),
        Err(error) => {
            note!("warning: the report could not be written: {error}");
            None
        }
    }
}
