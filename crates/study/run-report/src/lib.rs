//! One page that shows a run: `report.html`.
//!
//! The page needs nothing beside itself: no network, no server, no other file. The page holds what the run's folder holds (events,
//! counters,
//! summary, and the bytes of the Dynamic Memory messages out of the journal), columns of numbers packed, and the scripts that show it:
//! the story, the picture of the components, who has the host's memory, a timeline of one VM's components, sequence
//! diagrams, tables. [`write()`] makes it of any folder, right after the run or years later; what the folder lacks, the page says.
//!
//! Here in Rust: reading and packing ([`columns`], [`events`], [`counters`], [`messages`]), nothing of what is shown. The page's own
//! files are in `page/`, as they are: no build step. `page/model.js` unpacks what this crate packs.
#![forbid(unsafe_code)]

pub mod columns;
pub mod counters;
pub mod events;
mod facts;
pub mod messages;
mod page;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use quantities::format_duration;
use scenario::run::REPORT_FILE;

/// What of a run is put into its page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Only what happened from here on.
    pub from: Duration,
    /// Only what happened up to here.
    pub to: Duration,
    /// Events beyond which those that matter less are left out, kind by kind, traffic first. Invented: what a browser unpacks in
    /// about half a second.
    pub most_events: usize,
    /// Values of counters beyond which only every second, third … sample is taken. Invented, as above.
    pub most_values: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { from: Duration::ZERO, to: Duration::MAX, most_events: 250_000, most_values: 2_000_000 }
    }
}

/// A page that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The file.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// What could not be shown, a sentence each; the page says the same.
    pub missing: Vec<String>,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Nothing in the folder is of a run.
    #[error(
        "{} is no folder of a run: it has neither events.jsonl nor counters.csv nor summary.json; a run leaves its folder below runs/",
        .0.display()
    )]
    NotARun(PathBuf),
    /// Nothing happened in the time that was to be shown.
    #[error(
        "{}: the run ends at {}, and nothing happened from {} on",
        directory.display(), format_duration(*end), format_duration(*from)
    )]
    AfterTheEnd {
        /// The run's folder.
        directory: PathBuf,
        /// From when on the page was to show it.
        from: Duration,
        /// When the run ends.
        end: Duration,
    },
    /// The page cannot be written.
    #[error("{}: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// Makes `report.html` of what is in a run's folder, in that folder. The same folder gives the same bytes.
///
/// # Errors
/// [`ReportError`]. A file that is missing, cut off or damaged is no error: the page shows the rest and says what it lacks.
pub fn write(directory: &Path, options: &Options) -> Result<Written, ReportError> {
    let (html, missing) = make(directory, options)?;
    let path = directory.join(REPORT_FILE);
    match std::fs::write(&path, &html) {
        Ok(()) => Ok(Written { path, bytes: html.len() as u64, missing }),
        Err(error) => Err(ReportError::Write { path, error }),
    }
}

/// The page of a run's folder, and what could not be shown.
///
/// # Errors
/// [`ReportError::NotARun`], [`ReportError::AfterTheEnd`].
pub fn make(directory: &Path, options: &Options) -> Result<(Vec<u8>, Vec<String>), ReportError> {
    let mut facts = facts::read(directory, options)?;
    Ok((page::assemble(&mut facts), facts.missing))
}
