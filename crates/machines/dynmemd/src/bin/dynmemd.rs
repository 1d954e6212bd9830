//! `dynmemd`: see `dynmemd --help`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;

/// Moves memory between the QEMU guests of this host, as Hyper-V's Dynamic Memory does.
#[derive(clap::Parser, Debug)]
#[command(name = "dynmemd", version)]
struct Cli {
    #[command(flatten)]
    options: dynmemd::Options,
}

fn main() -> ExitCode {
    match dynmemd::run(Cli::parse().options) {
        Ok(code) => code,
        Err(error) => {
            // Complaints about a file are whole already.
            let text = format!("{error:#}");
            eprintln!("{}{text}", if text.starts_with("error: ") { "" } else { "error: " });
            ExitCode::from(2)
        }
    }
}
