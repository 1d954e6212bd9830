//! `cargo xtask replay DIR --live`: a run that is over, or that another process goes on with, in the terminal.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use live_view::recording::Recording;
use live_view::{LiveError, Source};

use crate::commands::bad_input;
use crate::commands::recording::{MOST_READ_AGAIN, read, size};
use crate::output::{look, note};

/// The folder of a run.
struct Folder<'a> {
    directory: &'a Path,
    /// Bytes that it had when it was read.
    seen: u64,
}

impl Source for Folder<'_> {
    fn more(&mut self) -> Option<Recording> {
        let now = size(self.directory);
        // A run that still goes on is short: real guests and wall clocks have minutes.
        if now == self.seen || now > MOST_READ_AGAIN {
            return None;
        }
        self.seen = now;
        read(self.directory).ok()
    }
}

/// Plays what is in the folder of a run.
pub(super) fn run(directory: &Path, from: Duration, speed: f64) -> Result<()> {
    let mut folder = Folder { directory, seen: size(directory) };
    let recording = read(directory)?;
    for sentence in &recording.missing {
        note!("{sentence}");
    }
    ensure!(
        from <= recording.until,
        bad_input(format!(
            "--at {} is after the end of the run, {}",
            quantities::format_duration(from),
            quantities::format_duration(recording.until)
        ))
    );
    match live_view::play(recording, from, speed, look().colours, &mut folder) {
        Err(error @ LiveError::NoTerminal) => Err(bad_input(error)),
        played => Ok(played?),
    }
}
