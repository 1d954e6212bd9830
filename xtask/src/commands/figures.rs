//! `cargo xtask figures`: the source's figures, from a run's counters.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use component_runtime::Driver;
use run_journal::EventsLevel;
use scenario::figures::{self, FiguresError, Starts};
use scenario::file::LoadOptions;
use scenario::run::{self, COUNTERS_FILE, Choices, RunOptions, directory};
use scenario::verify::suite;

use super::{bad_input, tools};

/// Figures 4-1 and 4-3 compare the three runs of this scenario.
const MAX_VMS: &str = "max-vms";
const MAX_VMS_RUNS: [&str; 3] = ["max-vms-static", "max-vms-dynamic-7", "max-vms-dynamic"];

/// Of what to draw figures.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The folder of a run (nothing is run again), a scenario to run, or `max-vms` for Figures 4-1 and 4-3, which compare three
    /// runs
    what: String,
    /// Seed of everything that is drawn at random, for scenarios
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Folder for the figures of a scenario; default: the next free runs/NAME-001
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Overwrite the run in --out
    #[arg(long, requires = "out")]
    force: bool,
}

/// Draws them, and prints their names.
pub(crate) fn run(args: &Args) -> Result<()> {
    let folder = Path::new(&args.what);
    let written = if folder.join(COUNTERS_FILE).is_file() {
        written(figures::write_for_run(folder))?
    } else if folder.is_dir() {
        return Err(bad_input(format!(
            "{} is no folder of a run: it has no {COUNTERS_FILE}",
            folder.display()
        )));
    } else if args.what == MAX_VMS {
        let out = out(args, "max-vms-figures")?;
        let seed = args.seed.unwrap_or(1);
        let starts = |name: &str| -> Result<Starts> {
            let file = super::scenario::load(name, &LoadOptions::default())?;
            Ok(Starts::of(&suite::observe_with_references(&file, seed, None)?.points))
        };
        let [fixed, same, most] = MAX_VMS_RUNS;
        let note = format!("scenarios {}, seed {seed}", MAX_VMS_RUNS.join(", "));
        written(figures::write_starts(&out, &starts(fixed)?, &starts(same)?, &starts(most)?, &note))?
    } else {
        let file = super::scenario::load(&args.what, &LoadOptions::default())?;
        let plan = super::scenario::plan(&file, &Choices { seed: args.seed, ..Choices::default() })?;
        let out = out(args, &file.name)?;
        let options = RunOptions {
            driver: Driver::Inline,
            events: EventsLevel::None,
            directory: Some(out.clone()),
            ..RunOptions::default()
        };
        run::run(plan, options)?;
        written(figures::write_for_run(&out))?
    };
    let mut out = std::io::stdout().lock();
    for path in written {
        // A closed pipe is no failure.
        let _closed = writeln!(out, "{}", path.display());
    }
    Ok(())
}

fn out(args: &Args, name: &str) -> Result<PathBuf> {
    Ok(match &args.out {
        Some(out) => {
            directory::create(out, args.force).map_err(bad_input)?;
            out.clone()
        }
        None => directory::create_next(&tools::workspace_root().join("runs"), name)?,
    })
}

fn written(figures: Result<Vec<PathBuf>, FiguresError>) -> Result<Vec<PathBuf>> {
    match figures {
        Err(error @ (FiguresError::Counters { .. } | FiguresError::Missing { .. })) => Err(bad_input(error)),
        other => other.context("the figures could not be written"),
    }
}
