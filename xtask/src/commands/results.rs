//! Folders for what a command has found.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{RUNS, bad_input};

/// Makes the folder: `out`, or the next free one of `name` below the folder of runs. A folder that holds anything but the `files` of a
/// `what` is left alone, and what it holds is written over by force only.
///
/// # Errors
/// It cannot be made, or holds what would be lost.
pub(super) fn folder(
    out: Option<&Path>,
    force: bool,
    name: &str,
    what: &str,
    files: &[&str],
) -> Result<PathBuf> {
    let Some(out) = out else {
        return scenario::run::directory::create_next(Path::new(RUNS), name).map_err(bad_input);
    };
    if let Ok(entries) = std::fs::read_dir(out) {
        for entry in entries {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !files.contains(&name.as_str()) {
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
