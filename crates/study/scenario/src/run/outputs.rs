//! The files that a run writes while it runs: counters, events and journal; and its summary at the end.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use perf_counters::{Layout, pdh};
use run_journal::{EventsLevel, Form, Recorded, Recorder};

use super::directory::{COUNTERS_FILE, SUMMARY_FILE};
use super::error::RunError;
use super::summary::Summary;

/// Where the counters of a run are written.
pub(crate) type CounterLog = pdh::Writer<BufWriter<File>>;

/// The files of a run, open; none of them in a run without a folder.
pub(crate) struct Outputs {
    directory: Option<PathBuf>,
    pub(crate) recorder: Option<Recorder>,
}

impl Outputs {
    /// Opens events and journal in this folder, as far as they are wanted, in this form.
    /// Each event goes to `tap` as well, at once, with a folder and without.
    pub(crate) fn create(
        directory: Option<PathBuf>,
        events: EventsLevel,
        form: Form,
        tap: Option<Box<dyn Write + Send>>,
    ) -> Result<Self, RunError> {
        let recorder = match (&directory, tap) {
            _ if events == EventsLevel::None => None,
            (None, None) => None,
            (None, Some(tap)) => Some(Recorder::to_writers(Some(tap), None, events)),
            (Some(directory), tap) => Some(Recorder::create(directory, events, form).inspect(|recorder| {
                if let Some(tap) = tap {
                    recorder.tap(tap);
                }
            })),
        };
        let recorder = recorder
            .transpose()
            .map_err(|error| RunError::Write { path: directory.clone().unwrap_or_default(), error })?;
        Ok(Self { directory, recorder })
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.directory.as_ref().map(|directory| directory.join(name))
    }

    /// Opens the counters file.
    pub(crate) fn counters(&self, layout: &Layout) -> Result<Option<CounterLog>, RunError> {
        let Some(path) = self.path(COUNTERS_FILE) else { return Ok(None) };
        let log = File::create(&path).and_then(|file| pdh::Writer::new(BufWriter::new(file), layout));
        log.map(Some).map_err(|error| RunError::Write { path, error })
    }

    /// Closes counters, events and journal.
    pub(crate) fn finish(&self, counters: Option<CounterLog>) -> Result<Option<Recorded>, RunError> {
        if let (Some(log), Some(path)) = (counters, self.path(COUNTERS_FILE)) {
            log.finish().map_err(|error| RunError::Write { path, error })?;
        }
        let recorded = self.recorder.as_ref().map(Recorder::finish).transpose();
        recorded.map_err(|error| RunError::Write { path: self.directory.clone().unwrap_or_default(), error })
    }

    /// Writes the summary.
    pub(crate) fn summary(&self, summary: &Summary) -> Result<(), RunError> {
        self.path(SUMMARY_FILE).map_or(Ok(()), |path| write_json(&path, summary))
    }
}

fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), RunError> {
    let wrong = |error: io::Error| RunError::Write { path: path.to_owned(), error };
    let mut text = serde_json::to_string_pretty(value).map_err(|error| wrong(error.into()))?;
    text.push('\n');
    std::fs::write(path, text).map_err(wrong)
}
