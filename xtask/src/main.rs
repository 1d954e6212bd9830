//! The command line of the project: `cargo xtask --help`.
//!
//! Exit codes: 0 done; 1 a check failed or a run could not go on; 2 what was given is wrong (arguments, scenario file, trace), and
//! nothing was started; 130 interrupted (Ctrl-C), with what was recorded so far kept.
#![forbid(unsafe_code)]

mod commands;

use std::process::ExitCode;

use clap::Parser;

/// Hyper-V Dynamic Memory: run, study, compare and verify the component stack of Windows Server 2008 R2 SP1.
#[derive(Parser, Debug)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, max_term_width = 110)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 wrong input (nothing was started), 130 interrupted.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match commands::run(cli.command) {
        Ok(code) => code,
        Err(error) => {
            let code = if error.is::<commands::BadInput>() { 2 } else { 1 };
            // Complaints about a scenario file are whole already.
            let text = format!("{error:#}");
            eprintln!("{}{text}", if text.starts_with("error: ") { "" } else { "error: " });
            ExitCode::from(code)
        }
    }
}
