//! `cargo xtask loom`: the models of everything that is synchronised by hand, every interleaving of them.

use super::tools::{self, Tool, step};
use anyhow::Result;

/// Which models to run.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Only models whose name contains this.
    filter: Option<String>,
    /// Also random schedules of what is too large for that: the runtime, and a host with its VMs (shuttle).
    #[arg(long)]
    shuttle: bool,
    /// Seed of the random schedules; drawn anew if not given
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

/// What asks for all models of both kinds on the command line.
pub(crate) fn everything(seed: Option<u64>) -> Vec<String> {
    let seed = seed.map(|seed| ["--seed".to_owned(), seed.to_string()]);
    ["loom", "--shuttle"].map(str::to_owned).into_iter().chain(seed.into_iter().flatten()).collect()
}

/// Crates that have loom models, and those that have shuttle models.
const LOOM: [&str; 2] = ["vmbus", "component-runtime"];
const SHUTTLE: [&str; 2] = ["component-runtime", WHOLE_STACK];
const WHOLE_STACK: &str = "whole-stack-tests";

/// Runs the models. Those of one kind are compiled together, so that what their crates share is compiled side by side.
pub(crate) fn run(args: &Args) -> Result<()> {
    let target = tools::host_target()?;
    step("loom", models(LOOM, "loom", &target, args.filter.as_deref()))?;
    if args.shuttle {
        let seed = args.seed.map(|seed| seed.to_string());
        let models = models(SHUTTLE, "shuttle", &target, args.filter.as_deref());
        step("shuttle", models.envs(seed.as_deref().map(|seed| ("SHUTTLE_RANDOM_SEED", seed))))?;
    }
    Ok(())
}

/// A model build has a cfg of its own, so it gets a target folder of its own. That the target is named keeps the cfg away from build
/// scripts and macros, which both kinds then share.
fn models(packages: [&str; 2], kind: &str, target: &str, filter: Option<&str>) -> Tool {
    let filter = filter.map_or_else(|| format!("{kind}_"), str::to_owned);
    // In a model the whole stack is without the scenarios, and all that they take.
    let less = packages.contains(&WHOLE_STACK).then_some("--no-default-features");
    Tool::cargo(["test", "--profile", "model", "--locked", "--lib", "--target", target])
        .args(less)
        .args(packages.iter().flat_map(|package| ["-p", package]))
        .args([filter])
        .env("RUSTFLAGS", &format!("--cfg {kind}"))
        .env("CARGO_TARGET_DIR", "target/models")
}
