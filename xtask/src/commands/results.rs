//! What commands that run for a while have in common: how far they are, and the folder for what they find.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{RUNS, bad_input};

/// How a command runs that takes a while, and where it leaves what it finds.
#[derive(clap::Args, Debug)]
pub(crate) struct Leaving {
    /// Threads to run on; default: one for each processor. What is found is the same
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Folder for the files and the page of what is found; default: the next free one in runs, with the command's name and a number
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Overwrite what the same command has left in --out
    #[arg(long, requires = "out")]
    force: bool,
    /// Print the JSON of what is found and nothing else
    #[arg(long)]
    pub(super) json: bool,
}

impl Leaving {
    /// Threads to run on.
    pub(super) fn threads(&self) -> usize {
        self.threads.map_or_else(processors, usize::from)
    }

    /// A bar that shows how far it is, unless nothing but JSON is wanted.
    pub(super) fn bar(&self, template: &str) -> ProgressBar {
        progress_bar(!self.json && std::io::stderr().is_terminal(), template)
    }

    /// Runs in the folder for what is found. If nothing is, a folder that was made for it goes again; one that the user named
    /// only if it is empty.
    pub(super) fn within<T>(
        &self,
        results: &Results,
        run: impl FnOnce(&Path) -> Result<T>,
    ) -> Result<(PathBuf, T)> {
        let was_there = self.out.as_deref().is_some_and(Path::exists);
        let folder = results.folder(self.out.as_deref(), self.force)?;
        match run(&folder) {
            Ok(found) => Ok((folder, found)),
            Err(error) => {
                if self.out.is_none() {
                    let _kept = std::fs::remove_dir_all(&folder);
                } else if !was_there {
                    let _not_empty = std::fs::remove_dir(&folder);
                }
                Err(error)
            }
        }
    }
}

/// Processors that this program may use.
pub(super) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A bar on standard error, if it is to be shown.
pub(super) fn progress_bar(show: bool, template: &str) -> ProgressBar {
    let target = if show { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(None, target);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// What a command leaves in a folder.
pub(super) struct Results {
    /// What it is, such as `comparison`.
    pub(super) what: &'static str,
    /// Folders without a name of their own are `runs/KIND-001` and so on.
    pub(super) kind: &'static str,
    /// The files.
    pub(super) files: &'static [&'static str],
}

impl Results {
    /// Makes the folder: the one that is asked for, or the next that is free. A folder that holds anything else is left alone.
    fn folder(&self, out: Option<&Path>, force: bool) -> Result<PathBuf> {
        let Some(out) = out else {
            return scenario::run::directory::create_next(Path::new(RUNS), self.kind).map_err(bad_input);
        };
        let what = self.what;
        if let Ok(entries) = std::fs::read_dir(out) {
            for entry in entries {
                let name = entry?.file_name().to_string_lossy().into_owned();
                if !self.files.contains(&name.as_str()) {
                    return Err(bad_input(format!(
                        "{} holds {name:?}, which no {what} has left there: name another folder with --out",
                        out.display()
                    )));
                }
                if !force {
                    return Err(bad_input(format!(
                        "{} exists already; --force overwrites a {what}, --out names another folder",
                        out.display()
                    )));
                }
            }
        }
        std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
        Ok(out.to_owned())
    }
}
