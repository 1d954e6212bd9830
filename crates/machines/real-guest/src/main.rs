//! The program that runs guests inside the emulated machine. On a computer whose KVM is enough, `cargo xtask guest` does the same in
//! its own process.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Parser;
use real_guest::pieces::Pieces;
use real_guest::task::Task;

/// Unmodified Linux guests under this project's VMBus, DM VSP and balancer.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
    /// Kernel image.
    #[arg(long, global = true)]
    kernel: Option<PathBuf>,
    /// Folder of its modules.
    #[arg(long, global = true)]
    modules: Option<PathBuf>,
    /// A static busybox.
    #[arg(long, global = true)]
    busybox: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _closed = writeln!(terminal_text::Escaped::new(std::io::stderr()), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    let (Some(kernel), Some(modules), Some(busybox)) =
        (arguments.kernel, arguments.modules, arguments.busybox)
    else {
        bail!("--kernel, --modules and --busybox are needed");
    };
    arguments.task.run(&Pieces { kernel, modules, busybox, qemu: None, emulated: None }, Path::new("."))
}
