//! A run's folder.

use std::path::{Path, PathBuf};

use run_journal::manifest::ManifestError;
use run_journal::{EVENTS_FILE, Manifest, Record, events, file_in};
use scenario::run::{SCENARIO_FILE, SUMMARY_FILE};
use serde_json::Value;

/// Bytes that are read of a scenario's text or of a summary: more than those of 100 000 VMs. Invented.
const MOST_BYTES: u64 = 1 << 28;

/// What a run's folder holds. What a run that was killed has not written is missing, and said to be.
#[derive(Debug)]
pub struct Run {
    /// The folder.
    pub directory: PathBuf,
    /// What the run was.
    pub manifest: Option<Manifest>,
    /// The text of its scenario.
    pub scenario: Option<String>,
    /// What happened, in its order.
    pub events: Vec<Record>,
    /// Whether events were recorded.
    pub has_events: bool,
    /// What the run came to.
    pub summary: Option<Value>,
    /// What is not there, a sentence each.
    pub missing: Vec<String>,
}

/// A folder that is not that of a run.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no manifest in it, or a manifest of another format.
    #[error("{}: {error}. Is this the folder of a run?", directory.display())]
    Manifest {
        /// The folder.
        directory: PathBuf,
        /// What is wrong.
        error: ManifestError,
    },
}

/// Reads the folder of a run.
///
/// # Errors
/// [`ReadError`]; parts of a run that are missing or cut off are named in [`Run::missing`].
pub fn read(directory: &Path) -> Result<Run, ReadError> {
    let bad = |error| ReadError::Manifest { directory: directory.to_owned(), error };
    let mut missing = Vec::new();
    let manifest = match Manifest::read(directory) {
        Ok(manifest) => Some(manifest),
        Err(error) => {
            // A manifest that is cut off says something all the same; anything else is no run's.
            Manifest::read_part(directory).map_err(bad)?;
            missing.push(format!("{}: {error}", directory.display()));
            None
        }
    };
    let path = file_in(directory, EVENTS_FILE);
    let (events, has_events) = match events::read_whole(&path) {
        Ok(whole) => {
            missing.extend(whole.missing.map(|error| format!("{}: {error}", path.display())));
            (whole.records, true)
        }
        Err(_) => {
            missing.push(format!("{} is not there: the run recorded no events", path.display()));
            (Vec::new(), false)
        }
    };
    let mut text = |name: &str, why: &str| {
        let path = directory.join(name);
        let read = input_file::read(&path, MOST_BYTES).map_err(|error| error.to_string());
        let text = read.and_then(|bytes| input_file::decode(bytes).map_err(|error| error.to_string()));
        text.map_err(|error| missing.push(format!("{}: {error}: {why}", path.display()))).ok()
    };
    let scenario = text(SCENARIO_FILE, "keys of the scenario are not compared");
    let summary = text(SUMMARY_FILE, "sums are not compared; a run that did not end has none");
    let summary = summary.and_then(|text| match serde_json::from_str(&text) {
        Ok(summary) => Some(summary),
        Err(error) => {
            missing.push(format!("{}: {error}", directory.join(SUMMARY_FILE).display()));
            None
        }
    });
    Ok(Run { directory: directory.to_owned(), manifest, scenario, events, has_events, summary, missing })
}
