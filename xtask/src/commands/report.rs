//! `cargo xtask report`: the page of a run, made of its folder.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use run_report::{Options, ReportError};

use super::bad_input;
use super::scenario::duration;
use crate::output::{note, say};

/// Of which run, and of which part of it.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Folder of a run
    dir: PathBuf,
    /// Show only what happened from this time on, such as 12m30s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    from: Option<Duration>,
    /// Show only what happened before this time
    #[arg(long, value_name = "TIME", value_parser = duration)]
    to: Option<Duration>,
}

/// Writes it into the run's folder, and prints its name.
pub(crate) fn run(args: &Args) -> Result<()> {
    let default = Options::default();
    let options =
        Options { from: args.from.unwrap_or(default.from), to: args.to.unwrap_or(default.to), ..default };
    if options.from >= options.to {
        return Err(bad_input("--from must be before --to"));
    }
    let written = run_report::write(&args.dir, &options).map_err(|error| match error {
        ReportError::NotARun(_) => bad_input(error),
        ReportError::Write { .. } => error.into(),
    })?;
    for sentence in &written.missing {
        note!("note: {sentence}");
    }
    say!("{}", written.path.display());
    Ok(())
}
