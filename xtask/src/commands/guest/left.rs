//! What guests leave behind, how they are watched, and the command that does the same again.

use std::path::{Path, PathBuf};

use anyhow::Result;
use real_guest::task::Task;
use scenario::run::directory;

use crate::commands::guest_place::Where;
use crate::commands::{RUNS, bad_input};

/// What a run of one guest is called.
pub(super) const ONE_GUEST: &str = "guest";

/// What is left behind, and how it is watched.
#[derive(clap::Args, Clone, Debug, Default)]
pub(super) struct Left {
    /// Folder for what the run leaves behind; default: with --live, and of several guests, the next free one in runs/
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Overwrite the run in --out
    #[arg(long, requires = "out")]
    pub(super) force: bool,
    /// Show the guests in the terminal as they run: memory, decisions, events; one guest has its memory moved by keys
    #[arg(long)]
    pub(super) live: bool,
}

impl Left {
    /// The folder, made.
    pub(super) fn folder(&self, name: &str) -> Result<PathBuf> {
        match &self.out {
            Some(out) => {
                directory::create(out, self.force).map_err(bad_input)?;
                Ok(out.clone())
            }
            None => Ok(directory::create_next(Path::new(RUNS), name)?),
        }
    }
}

/// The words of a command line of this command that does a task.
pub(super) fn words(place: &Where, task: &Task) -> Vec<String> {
    let mut words = vec!["guest".to_owned()];
    if matches!(task, Task::Contention(_)) {
        words.push("contend".to_owned());
    }
    words.extend(task.words().into_iter().skip(1).filter(|word| word != "--keep"));
    if place.nested {
        words.push("--nested".to_owned());
    }
    words
}
