//! `dynmemctl`: see `dynmemctl --help`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;
use dynmemd::command_line::Dynmemctl;

fn main() -> ExitCode {
    let cli = Dynmemctl::parse();
    match dynmemd::control::ask(&cli.socket, &cli.command.line()) {
        Ok(text) => {
            dynmemd::say(&text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{}", dynmemd::complaint(&error));
            ExitCode::FAILURE
        }
    }
}
