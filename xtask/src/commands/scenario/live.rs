//! `cargo xtask scenario NAME --live`: the run in the terminal, as it happens.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use live_view::{Ended, LiveError};
use run_journal::EventsLevel;
use scenario::file::Scenario;
use scenario::run::{Outcome, Plan};

use crate::commands::bad_input;
use crate::output::{look, note};

/// The scenario that a run has become by what was done by hand.
pub(super) struct ByHand {
    /// Its file.
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// Shows a run while it lasts, and writes what was done by hand as a scenario of its own.
pub(super) fn run(
    file: &Scenario,
    plan: &Plan,
    events: EventsLevel,
    folder: &Path,
    speed: f64,
) -> Result<(Outcome, Option<ByHand>)> {
    let Ended { outcome, by_hand } = match live_view::run(plan, events, folder, speed, look().colours) {
        Err(error @ LiveError::NoTerminal) => return Err(bad_input(error)),
        ended => ended?,
    };
    if by_hand.is_empty() {
        return Ok((outcome, None));
    }
    let path = folder.join(format!("{}-by-hand.toml", file.name));
    let text = live_view::hand::with_entries(file.source.text(), &by_hand);
    std::fs::write(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    note!("What was done by hand is in the timeline of {}.", path.display());
    Ok((outcome, Some(ByHand { path, text })))
}
