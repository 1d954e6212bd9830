//! The folder that a run leaves behind.

use std::io;
use std::path::{Path, PathBuf};

use run_journal::{EVENTS_FILE, Form, JOURNAL_FILE, MANIFEST_FILE};

/// Name of the counters file in a run directory.
pub const COUNTERS_FILE: &str = "counters.csv";
/// Name of the summary in a run directory.
pub const SUMMARY_FILE: &str = "summary.json";
/// Name of what only real guests have: their own view of their memory, and the host's.
pub const GUESTS_FILE: &str = "guests.csv";
/// Name of the page that shows a run, in its directory.
pub const REPORT_FILE: &str = "report.html";

/// Name of the scenario's text in a run directory: the text that was run, with what `--set` changed in it.
pub const SCENARIO_FILE: &str = "scenario.toml";

/// Why a run has no folder.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The folder exists, and is not to be overwritten.
    #[error("{} exists already; --force overwrites a run, --out names another folder", .0.display())]
    Exists(PathBuf),
    /// The folder exists and holds what no run has left.
    #[error(
        "{} holds {found:?}, which no run has left there; --force overwrites runs only. Name another folder with --out",
        path.display()
    )]
    NotARun {
        /// The folder.
        path: PathBuf,
        /// What is in it.
        found: String,
    },
    /// The system.
    #[error("cannot use {} for the run: {error}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// Makes the folder for a run. A run that is there is taken away only with `force`; anything else never.
///
/// # Errors
/// [`DirectoryError`]; nothing has changed then.
pub fn create(path: &Path, force: bool) -> Result<(), DirectoryError> {
    let wrong = |error: io::Error| DirectoryError::Io { path: path.to_owned(), error };
    match std::fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return std::fs::create_dir_all(path).map_err(wrong);
        }
        Err(error) => return Err(wrong(error)),
        Ok(entries) => {
            let names: Vec<String> = entries
                .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
                .collect::<Result<_, _>>()
                .map_err(wrong)?;
            if names.is_empty() {
                return Ok(());
            }
            if let Some(found) = names.iter().find(|name| !is_of_a_run(name)) {
                return Err(DirectoryError::NotARun { path: path.to_owned(), found: found.clone() });
            }
            if !force {
                return Err(DirectoryError::Exists(path.to_owned()));
            }
            for name in names {
                std::fs::remove_file(path.join(name)).map_err(wrong)?;
            }
        }
    }
    Ok(())
}

/// The first free folder `NAME-001`, `NAME-002` … below `runs`, made.
///
/// # Errors
/// The system's.
pub fn create_next(runs: &Path, name: &str) -> Result<PathBuf, DirectoryError> {
    std::fs::create_dir_all(runs).map_err(|error| DirectoryError::Io { path: runs.to_owned(), error })?;
    let mut number = 1_u32;
    loop {
        let path = runs.join(format!("{name}-{number:03}"));
        match std::fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(DirectoryError::Io { path, error }),
        }
    }
}

fn is_of_a_run(name: &str) -> bool {
    [
        MANIFEST_FILE,
        EVENTS_FILE,
        JOURNAL_FILE,
        COUNTERS_FILE,
        SUMMARY_FILE,
        SCENARIO_FILE,
        GUESTS_FILE,
        REPORT_FILE,
    ]
    .contains(&name)
        || [EVENTS_FILE, JOURNAL_FILE].iter().any(|kept| name == Form::Packed.name(kept))
        || name.ends_with("-by-hand.toml")
        || (name.starts_with("figure-") && Path::new(name).extension().is_some_and(|ending| ending == "svg"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_overwritten_only_by_force_and_anything_else_never() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        create(&run, false).unwrap();
        create(&run, false).unwrap();
        std::fs::write(run.join(MANIFEST_FILE), "{}").unwrap();
        std::fs::write(run.join("figure-4-5.svg"), "").unwrap();
        std::fs::write(run.join(GUESTS_FILE), "").unwrap();
        assert!(matches!(create(&run, false), Err(DirectoryError::Exists(_))));
        create(&run, true).unwrap();
        assert_eq!(std::fs::read_dir(&run).unwrap().count(), 0);
        std::fs::write(run.join("thesis.tex"), "mine").unwrap();
        for force in [false, true] {
            assert!(matches!(create(&run, force), Err(DirectoryError::NotARun { .. })));
        }
        assert!(run.join("thesis.tex").exists());
    }

    #[test]
    fn the_next_free_number_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let names: Vec<_> = (0..3)
            .map(|_| create_next(folder.path(), "multi-vm").unwrap().file_name().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["multi-vm-001", "multi-vm-002", "multi-vm-003"]);
    }
}
