//! The command line of the project: `cargo xtask --help`.
//!
//! Exit codes: 0 done; 1 a check failed or a run could not go on; 2 what was given is wrong (arguments, scenario file, trace), and
//! nothing was started; 130 interrupted (Ctrl-C), with what was recorded so far kept.
#![forbid(unsafe_code)]

mod commands;
mod output;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory as _, FromArgMatches as _, Parser};

use commands::elsewhere;
use output::note;

/// Hyper-V Dynamic Memory: run, study, compare and verify the component stack of Windows Server 2008 R2 SP1.
#[derive(Parser, Debug)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 wrong input (nothing was started), 130 interrupted.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            let code = if error.is::<commands::BadInput>() { 2 } else { 1 };
            // Complaints about a scenario file are whole already.
            let text = format!("{error:#}");
            note!("{}{text}", if text.starts_with("error: ") { "" } else { "error: " });
            ExitCode::from(code)
        }
    }
}

fn run() -> Result<ExitCode> {
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let Some(build) = elsewhere::needed(&words) {
        return elsewhere::run(build, &words);
    }
    match parsed() {
        Ok(cli) => commands::run(cli.command),
        Err(answer) => answered(&answer),
    }
}

/// Help is easier to read in lines that are not as long as a wide terminal's. Invented.
const HELP_COLUMNS: usize = 110;

fn parsed() -> Result<Cli, clap::Error> {
    // Without a terminal clap would take 100 columns.
    let columns = output::look().columns.min(HELP_COLUMNS);
    Cli::from_arg_matches(&Cli::command().term_width(columns).try_get_matches()?)
}

/// Prints what the reader of the command line has to say: help and version to standard output, complaints to standard error, in lines like those of
/// all other complaints.
fn answered(answer: &clap::Error) -> Result<ExitCode> {
    if answer.use_stderr() {
        note!("{}", answer.render().to_string().trim_end());
        return Ok(code(answer));
    }
    match answer.print() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("standard output cannot be written"))
        }
        _ => Ok(code(answer)),
    }
}

fn code(answer: &clap::Error) -> ExitCode {
    u8::try_from(answer.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}
