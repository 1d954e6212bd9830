//! `cargo xtask qemu`: the daemon, for trying.

use std::process::ExitCode;

use anyhow::Result;

/// Move memory between the QEMU guests of this host, or say what would be done.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    options: dynmemd::Options,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    dynmemd::run(&args.options)
}
