//! `cargo xtask completions` and `cargo xtask man`: what shells and `man` want to know of the command line.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::output::{print, say};

/// For which shell.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
    /// The program that the completions are for; default: that of `cargo install --path xtask --features full`
    #[arg(long, value_name = "NAME", default_value = "xtask")]
    program: String,
}

/// Prints the completions for a shell.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut crate::Cli::command(), &args.program, &mut text);
    print(format_args!("{}", String::from_utf8_lossy(&text)))
}

/// Where the pages go.
#[derive(clap::Args, Debug)]
pub(crate) struct ManArgs {
    /// The folder; it is made if it is not there
    #[arg(value_name = "DIR", default_value = "man")]
    folder: PathBuf,
}

/// Writes a page for each command.
///
/// # Errors
/// The folder cannot be written.
pub(crate) fn man(args: &ManArgs) -> Result<()> {
    std::fs::create_dir_all(&args.folder)
        .with_context(|| format!("cannot make {}", args.folder.display()))?;
    let mut command = crate::Cli::command().name("xtask").bin_name("xtask");
    command.build();
    write_page(&args.folder, &command, "xtask")?;
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
        write_page(&args.folder, sub, &format!("xtask-{}", sub.get_name()))?;
    }
    say!("{}: xtask.1 and a page for each command", args.folder.display());
    Ok(())
}

fn write_page(folder: &std::path::Path, command: &clap::Command, name: &str) -> Result<()> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone()).title(name).render(&mut text)?;
    let path = folder.join(format!("{name}.1"));
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}
