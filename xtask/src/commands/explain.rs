//! `cargo xtask explain`: why a VM had what it had.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use run_analysis::explain::{ExplainError, explain};
use run_journal::manifest::Manifest;
use run_journal::{EVENTS_FILE, events};

use super::bad_input;
use crate::output::print;

/// Of which run, which VM, and when.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Folder of a run
    dir: PathBuf,
    /// The VM
    #[arg(long, value_name = "VM8")]
    vm: String,
    /// The time, such as 12m30s
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Duration,
}

fn time(text: &str) -> Result<Duration, String> {
    quantities::parse_duration(text).map_err(|error| error.to_string())
}

/// Explains.
pub(crate) fn run(args: &Args) -> Result<()> {
    let path = args.dir.join(EVENTS_FILE);
    let manifest = Manifest::read(&args.dir).map_err(|error| {
        bad_input(format!("{}: {error}. Is this the folder of a run?", args.dir.display()))
    })?;
    let reader = events::Reader::open(&path).map_err(|error| {
        bad_input(format!("{}: {error}. Were the run's events recorded (--events all)?", path.display()))
    })?;
    let until = quantities::parse_duration(&manifest.until).ok();
    let explanation =
        explain(reader, &manifest.policy, &args.vm, args.at, until).map_err(|error| match error {
            ExplainError::Events(error) => bad_input(format!("{}: {error}", path.display())),
            other => bad_input(other),
        })?;
    let text = explanation.to_string().replace("events DIR ", &format!("events {} ", args.dir.display()));
    print(format_args!("{text}"))
}
