//! `cargo xtask test`: everything that must hold before a change lands, in the order in which it is quickest to fail.

use super::tools::{Tool, step};
use anyhow::Result;

/// What to leave out or add.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Leave out the loom models (about two minutes).
    #[arg(long)]
    no_loom: bool,
    /// Run nothing but the real guests: the unmodified Linux driver against this host (about three minutes).
    #[arg(long)]
    real_guest: bool,
}

/// Runs every check; stops at the first that fails.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.real_guest {
        return super::guest::test();
    }
    step("format", Tool::cargo(["fmt", "--all", "--check"]))?;
    step(
        "clippy",
        Tool::cargo([
            "clippy",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--locked",
            "--",
            "-D",
            "warnings",
        ]),
    )?;
    step(
        "no_std",
        Tool::cargo(["check", "-p", "dm-protocol", "-p", "vmbus", "--no-default-features", "--locked"]),
    )?;
    step("tests", Tool::cargo(["test", "--workspace", "--all-features", "--locked"]))?;
    eprintln!("── what the sources say, with three seeds");
    super::verify::quick()?;
    step(
        "API documentation",
        Tool::cargo(["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    if !args.no_loom {
        super::loom::run(&super::loom::Args::default())?;
    }
    super::docs::check()?;
    super::guest::say_what_was_left_out();
    Ok(())
}
