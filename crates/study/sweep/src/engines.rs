//! What engines that exist take: scripts and manifests. Nothing here schedules anything.
//!
//! Each engine starts the same command for each task of a [submission](super::submission): this program with `sweep run`, which writes the rows of the
//! task's points that are not there yet. So an engine may start a task twice, kill it or move it; and whatever is submitted again is only what lacks its row.

mod hyperqueue;
mod kubernetes;
mod parallel;
mod slurm;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// An engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// GNU parallel, on this machine and over ssh.
    Parallel,
    /// Job arrays of Slurm.
    Slurm,
    /// HyperQueue.
    HyperQueue,
    /// Indexed Jobs of Kubernetes.
    Kubernetes,
}

impl Engine {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Parallel, Self::Slurm, Self::HyperQueue, Self::Kubernetes];

    /// Its name on command lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Parallel => "parallel",
            Self::Slurm => "slurm",
            Self::HyperQueue => "hyperqueue",
            Self::Kubernetes => "kubernetes",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Engine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|engine| engine.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name);
            let near = quantities::nearest(text, names).map(|near| format!("; did you mean {near:?}?"));
            format!("there is no engine {text:?}, there are {}{}", names.join(", "), near.unwrap_or_default())
        })
    }
}

/// What is submitted. All paths are absolute.
#[derive(Clone, Debug)]
pub struct Job {
    /// What it is called, in the engine's lists.
    pub name: String,
    /// The program that runs a task.
    pub program: PathBuf,
    /// The plan's folder.
    pub plan: PathBuf,
    /// The folder of rows.
    pub rows: PathBuf,
    /// The folder of the submission, with its file of tasks.
    pub folder: PathBuf,
    /// How many tasks.
    pub tasks: usize,
    /// How many points.
    pub points: usize,
    /// How long a task may take at most.
    pub time_limit: Duration,
    /// What only some engines take.
    pub options: Options,
}

/// What only some engines take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Hosts for GNU parallel, as its `--sshlogin` takes them; none: this machine alone.
    pub hosts: Vec<String>,
    /// The image for Kubernetes.
    pub image: String,
    /// The claim of the volume that holds the plan, for Kubernetes.
    pub claim: String,
    /// Pods that run at the same time, for Kubernetes.
    pub parallelism: usize,
}

/// A file of a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name.
    pub name: &'static str,
    /// Its text.
    pub text: String,
    /// Whether it is run.
    pub executable: bool,
}

/// What an engine takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// The files of the submission's folder, beside its tasks.
    pub files: Vec<File>,
    /// Commands to type, each with what it does.
    pub commands: Vec<(String, &'static str)>,
}

impl Engine {
    /// Writes what the engine takes for a job.
    #[must_use]
    pub fn generate(self, job: &Job) -> Generated {
        match self {
            Self::Parallel => parallel::generate(job),
            Self::Slurm => slurm::generate(job),
            Self::HyperQueue => hyperqueue::generate(job),
            Self::Kubernetes => kubernetes::generate(job),
        }
    }
}

/// How often a task is tried that ends with an error, or whose worker is killed. Invented.
const TRIES: u32 = 3;

impl Job {
    /// The words of the command that runs a task; `which` names the task as the engine's shell knows it.
    fn run(&self, which: &str) -> String {
        format!(
            "{} sweep run --plan {} --rows {} {which} --threads 1",
            quoted_path(&self.program),
            quoted_path(&self.plan),
            quoted_path(&self.rows),
        )
    }

    fn tasks_option(&self) -> String {
        format!("--tasks {}", quoted_path(&self.folder.join(super::submission::TASKS_FILE)))
    }

    fn status(&self) -> String {
        format!(
            "{} sweep status --plan {} --rows {}",
            quoted_path(&self.program),
            quoted_path(&self.plan),
            quoted_path(&self.rows)
        )
    }

    /// What stands at the head of every script.
    fn title(&self, engine: &str) -> String {
        format!("{}, by {engine}.", self.contents())
    }

    /// How many points, and in how many tasks.
    #[must_use]
    pub fn contents(&self) -> String {
        format!("{} in {}", counted(self.points, "point"), counted(self.tasks, "task"))
    }
}

/// A word of a shell's command line, whatever is in it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn quoted_path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests;
