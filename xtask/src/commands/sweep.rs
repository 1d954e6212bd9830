//! `cargo xtask sweep`: runs as points that many machines share.

mod collect;
mod collected;
mod plan;
mod run;
#[cfg(feature = "sizing")]
mod sized;
mod submit;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use sweep::rows::Rows;
use sweep::{BadPlan, Plan, ROWS_FOLDER};

use super::bad_input;

/// What to do with a sweep.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    step: Step,
}

#[derive(clap::Subcommand, Debug)]
enum Step {
    /// Write the points of a comparison, a verification, an exploration or a sizing into a folder
    Plan(plan::Args),
    /// Write what an engine takes to run the points that lack their row: GNU parallel, Slurm, HyperQueue, Kubernetes
    Submit(submit::Args),
    /// Run points, and write their rows; points that have their row are left out
    Run(run::Args),
    /// Say how many points have their row, and which are missing, failed or corrupt
    Status(collect::StatusArgs),
    /// Make of the rows what a run on one machine makes: the same tables, files and pages
    Collect(collect::Args),
}

/// Which sweep.
#[derive(clap::Args, Debug)]
struct Which {
    /// The folder of the plan
    #[arg(long, value_name = "DIR")]
    plan: PathBuf,
    /// The folder of rows; default: `rows` in the plan's folder
    #[arg(long, value_name = "DIR")]
    rows: Option<PathBuf>,
}

impl Which {
    fn read(&self) -> Result<(Plan, Rows)> {
        let plan = Plan::read(&self.plan).map_err(refused)?;
        Ok((plan, Rows::new(self.rows_folder())))
    }

    fn rows_folder(&self) -> PathBuf {
        self.rows.clone().unwrap_or_else(|| self.plan.join(ROWS_FOLDER))
    }
}

/// What is wrong with a plan is wrong input, but for what the system does not let be written.
fn refused(error: BadPlan) -> anyhow::Error {
    match error {
        BadPlan::Unwritable { .. } => error.into(),
        _ => bad_input(error),
    }
}

/// The plan is of a kind that this program cannot run.
#[cfg(not(feature = "sizing"))]
fn without_sizing() -> anyhow::Error {
    bad_input("the plan is of a sizing, and this program was built without: build it with --features bound")
}

/// A path that is the same wherever a program stands.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Does it.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    match &args.step {
        Step::Plan(args) => plan::run(args),
        Step::Submit(args) => submit::run(args),
        Step::Run(args) => run::run(args),
        Step::Status(args) => collect::status(args),
        Step::Collect(args) => collect::run(args),
    }
}
