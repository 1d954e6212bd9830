//! `cargo xtask test`: everything that must hold before a change lands, in the order in which it is quickest to fail.

use super::tools::{Tool, step};
use anyhow::Result;

/// What to leave out or add.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Leave out the loom models (about two minutes).
    #[arg(long)]
    no_loom: bool,
}

/// Runs every check; stops at the first that fails.
pub(crate) fn run(args: &Args) -> Result<()> {
    step("format", Tool::cargo(["fmt", "--all", "--check"]))?;
    step(
        "clippy",
        Tool::cargo(["clippy", "--workspace", "--all-targets", "--all-features", "--locked", "--", "-D", "warnings"]),
    )?;
    step("no_std", Tool::cargo(["check", "-p", "dm-protocol", "-p", "vmbus", "--no-default-features", "--locked"]))?;
    step("tests", Tool::cargo(["test", "--workspace", "--all-features", "--locked"]))?;
    step(
        "API documentation",
        Tool::cargo(["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    if !args.no_loom {
        super::loom::run(&super::loom::Args::default())?;
    }
    super::docs::check()?;
    Ok(())
}
