//! `dynmemd`: see `dynmemd --help`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;
use dynmemd::command_line::Dynmemd;

fn main() -> ExitCode {
    match dynmemd::run(&Dynmemd::parse().options) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{}", dynmemd::complaint(&error));
            ExitCode::from(2)
        }
    }
}
