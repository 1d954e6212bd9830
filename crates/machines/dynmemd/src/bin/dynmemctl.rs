//! `dynmemctl`: see `dynmemctl --help`.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser as _;

/// Looks at a running dynmemd, and tells it things.
#[derive(clap::Parser, Debug)]
#[command(name = "dynmemctl", version)]
struct Cli {
    /// Where the daemon listens
    #[arg(long, value_name = "SOCKET", default_value = dynmemd::control::USUAL_PLACE)]
    socket: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// What every VM has and is to have, and why
    Status,
    /// All about one VM
    Explain {
        /// Its name
        vm: String,
    },
    /// Change a setting until the daemon ends: `set web.priority 80`
    Set {
        /// VM.KEY, where KEY is priority, buffer, minimum_bytes, maximum_bytes or dynamic_memory_enabled
        setting: String,
        /// The value
        value: String,
    },
    /// Move nothing from now on
    Pause,
    /// Move memory again
    Resume,
    /// Read the daemon's file again
    Reload,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let question = match cli.command {
        Command::Status => "status".to_owned(),
        Command::Explain { vm } => format!("explain {vm}"),
        Command::Set { setting, value } => format!("set {setting} {value}"),
        Command::Pause => "pause".to_owned(),
        Command::Resume => "resume".to_owned(),
        Command::Reload => "reload".to_owned(),
    };
    match dynmemd::control::ask(&cli.socket, &question) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
