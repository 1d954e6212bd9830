//! `cargo xtask loom`: the models of everything that is synchronised by hand, every interleaving of them.

use super::tools::{Tool, step};
use anyhow::Result;

/// Which models to run.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Args {
    /// Only models whose name contains this.
    filter: Option<String>,
    /// Also the randomised models of many threads (shuttle).
    #[arg(long)]
    shuttle: bool,
}

/// Crates that have loom models, and those that have shuttle models.
const LOOM: [&str; 2] = ["vmbus", "component-runtime"];
const SHUTTLE: [&str; 1] = ["component-runtime"];

/// Runs the models.
pub(crate) fn run(args: &Args) -> Result<()> {
    for package in LOOM {
        step(&format!("loom: {package}"), model(package, "loom", args.filter.as_deref()))?;
    }
    if args.shuttle {
        for package in SHUTTLE {
            step(&format!("shuttle: {package}"), model(package, "shuttle", args.filter.as_deref()))?;
        }
    }
    Ok(())
}

/// A model build has a cfg of its own, so it gets a target folder of its own.
fn model(package: &str, kind: &str, filter: Option<&str>) -> Tool {
    let filter = filter.map_or_else(|| format!("{kind}_"), str::to_owned);
    Tool::cargo(["test", "--release", "--locked", "--lib", "-p"])
        .args([package.to_owned(), filter])
        .env("RUSTFLAGS", &format!("--cfg {kind}"))
        .env("CARGO_TARGET_DIR", &format!("target/{kind}"))
}
