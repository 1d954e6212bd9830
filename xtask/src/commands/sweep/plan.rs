//! `cargo xtask sweep plan`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use policy_comparison::points::SweepError;
use sweep::{Plan, Sketch};

use super::super::{RUNS, bad_input, compare, explore, shell_word, verify};
use super::refused;
use crate::output::{say, tell};

/// What to plan.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(clap::Subcommand, Debug)]
enum Kind {
    /// What `compare` runs: policies on the same loads with the same seeds
    Compare(Planned<compare::What>),
    /// What `verify` runs: scenarios with their checks, with many seeds
    Verify(Planned<verify::What>),
    /// What `explore` runs: seeds and schedules with every invariant checked
    Explore(Planned<explore::What>),
    /// What `size` runs: hosts of every size that may be the answer, in rounds that `collect` plans
    #[cfg(feature = "sizing")]
    Size(Planned<Box<super::sized::What>>),
}

#[derive(clap::Args, Debug)]
struct Planned<What: clap::Args> {
    #[command(flatten)]
    what: What,
    /// Folder of the plan, on a file system that all machines see; default: the next free runs/sweep-001
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Plans.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let (sketch, out) = match &args.kind {
        Kind::Compare(planned) => (compared(&planned.what)?, &planned.out),
        Kind::Verify(planned) => (verified(&planned.what)?, &planned.out),
        Kind::Explore(planned) => (explore::sketch(&planned.what)?, &planned.out),
        #[cfg(feature = "sizing")]
        Kind::Size(planned) => (super::sized::sketch(&planned.what)?, &planned.out),
    };
    let folder = out.clone().unwrap_or_else(next_free);
    let plan = Plan::write(&folder, &sketch).map_err(refused)?;
    let name = shell_word(&folder.display().to_string());
    say!("Plan:    {}", folder.display());
    tell!(
        "{} points of {} scenarios, {:.0} VM hours of virtual time, version {}",
        plan.points().len(),
        plan.kept().count(),
        plan.points().iter().map(|point| point.settings.vm_seconds as f64).sum::<f64>() / 3600.0,
        sweep::version()
    );
    say!("Run:     cargo xtask sweep run --plan {name}");
    say!("Submit:  cargo xtask sweep submit --plan {name} --engine slurm");
    say!("Collect: cargo xtask sweep collect --plan {name}");
    if plan.kind() == sweep::Kind::Size {
        tell!(
            "A search asks for runs as others come to an end: run and collect in turns, until collecting has an answer instead of more points."
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn compared(what: &compare::What) -> Result<Sketch> {
    let settings = compare::settings(what)?;
    policy_comparison::points::sketch(&settings, &compare::command(what)).map_err(|error| match error {
        SweepError::Plan(error) => refused(error),
        other => bad_input(other),
    })
}

fn verified(what: &verify::What) -> Result<Sketch> {
    let scenarios = what.scenarios()?;
    let seeds = what.seeds(verify::SEEDS);
    let command = format!("cargo xtask verify{} --seed {}", what.words(), numbers(&seeds));
    run_analysis::verify::points::sketch(&scenarios, &seeds, &command).map_err(bad_input)
}

fn numbers(seeds: &[u64]) -> String {
    seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}

/// The first of runs/sweep-001, runs/sweep-002 … that is not there. If another takes it first, the plan is refused.
fn next_free() -> PathBuf {
    let named = |number: u32| Path::new(RUNS).join(format!("sweep-{number:03}"));
    (1..=u32::MAX).map(named).find(|path| !path.exists()).unwrap_or_else(|| named(u32::MAX))
}
