//! The folder that collecting leaves its files in.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use sweep::files::write_whole;
use sweep::standing::Standing;

use super::super::bad_input;
use crate::output::note;

/// The files that collecting leaves, of all kinds.
const FILES: [&str; 9] = [
    "compare.json",
    "compare.csv",
    "compare.html",
    "verify.json",
    "explore.json",
    "size.html",
    "size.json",
    "set-memory.ps1",
    "undo-memory.ps1",
];

/// Says that rows are missing.
pub(super) fn incomplete(standing: &Standing) -> ExitCode {
    note!("{}", standing.told().trim_end());
    note!(
        "error: nothing is collected before every point has its row: run or submit the plan again, which runs only what lacks it"
    );
    ExitCode::FAILURE
}

/// Writes what was collected.
pub(super) fn write(out: &Path, files: &[(&'static str, String)]) -> Result<()> {
    std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    for (name, text) in files {
        let path = out.join(name);
        write_whole(&path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// A folder that holds anything but what was collected is left alone.
pub(super) fn check_folder(out: &Path) -> Result<()> {
    for entry in std::fs::read_dir(out).into_iter().flatten() {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !FILES.contains(&name.as_str()) && !name.starts_with(sweep::files::UNFINISHED) {
            return Err(bad_input(format!(
                "{} holds {name:?}, which no collecting has left there: name another folder with --out",
                out.display()
            )));
        }
    }
    Ok(())
}
