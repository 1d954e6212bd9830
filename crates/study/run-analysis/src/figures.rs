//! The source's figures, drawn from a run's `counters.csv`.
//!
//! These are Figures 4-1 and 4-3 to 4-7 of the verification guideline \[A\] (4-2 is an error dialog). Phases are found in the counters and marked as
//! the source marks them; what the source reported stands beside what the run showed. Every curve differs from its neighbours
//! in more than its colour and is named beside its end, so that the figures can be read in black and white. Where there are more VMs than
//! can be told apart, those that lacked most are named; what is not drawn is said.

mod compared;
mod disks;
mod over_time;
mod overview;
mod recorded;
mod starts;
mod sweep;

use std::path::{Path, PathBuf};

pub use compared::Views;
pub use recorded::{FiguresError, Recorded};
use starts::Starts;

use crate::sweep::Sweep;

/// A figure: the name of its file, and its text.
pub type Drawn = (&'static str, String);

/// Draws the figures that a run shows: 4-4 for a VM that is loaded and unloaded, 4-5 to 4-7 for a VM that takes memory from
/// others, and an overview for every run.
#[must_use]
pub fn draw(run: &Recorded) -> Vec<Drawn> {
    let note = run.note();
    let figures = [
        ("figure-4-4.svg", over_time::figure_4_4(run, &note)),
        ("figure-4-5.svg", over_time::figure_4_5(run, &note)),
        ("figure-4-6.svg", over_time::figure_4_6(run, &note)),
        ("figure-4-7.svg", over_time::figure_4_7(run, &note)),
        ("figure-overview.svg", overview::overview(run, &note)),
        ("figure-disks.svg", disks::figure_disks(run, &note)),
    ];
    figures.into_iter().filter_map(|(name, figure)| Some((name, figure?))).collect()
}

/// Draws the figures that a run shows into its folder.
///
/// # Errors
/// A folder without counters, or one that cannot be written.
pub fn write_for_run(directory: &Path) -> Result<Vec<PathBuf>, FiguresError> {
    write_all(directory, &draw(&Recorded::read(directory)?))
}

/// Draws Figures 4-1 and 4-3 from the three runs of the source's first scenario: static memory, the same VMs with Dynamic
/// Memory, as many VMs as there can be.
#[must_use]
pub fn draw_starts([fixed, same, most]: [&Recorded; 3]) -> Vec<Drawn> {
    let (a, b, c) = (Starts::of(&fixed.points), Starts::of(&same.points), Starts::of(&most.points));
    let note = |other: &Recorded| format!("{} and {}", fixed.title(), other.title());
    vec![
        ("figure-4-1.svg", starts::figure_4_1(&a, &b, &note(same))),
        ("figure-4-3.svg", starts::figure_4_3(&a, &c, &note(most))),
    ]
}

/// Draws what the parent OS does over a range of reserves, on hosts of several sizes.
#[must_use]
pub fn draw_sweep(sweep: &Sweep) -> Drawn {
    ("figure-reserve-sweep.svg", sweep::figure(sweep))
}

/// Writes figures into a folder.
///
/// # Errors
/// A folder that cannot be written.
pub fn write_all(directory: &Path, figures: &[Drawn]) -> Result<Vec<PathBuf>, FiguresError> {
    figures.iter().map(|(name, figure)| write(directory, name, figure)).collect()
}

/// Draws several views of the same things, one panel for each thing; `None` without a point.
#[must_use]
pub fn draw_views(title: &str, note: &str, panels: &[Views]) -> Option<String> {
    compared::draw(title, note, panels)
}

/// Draws several views of the same things, one panel for each thing, into `directory` as `name`; nothing without a point.
///
/// # Errors
/// A folder that cannot be written.
pub fn write_views(
    directory: &Path,
    name: &str,
    title: &str,
    note: &str,
    panels: &[Views],
) -> Result<Option<PathBuf>, FiguresError> {
    compared::draw(title, note, panels).map(|figure| write(directory, name, &figure)).transpose()
}

fn write(directory: &Path, name: &str, figure: &str) -> Result<PathBuf, FiguresError> {
    let path = directory.join(name);
    match std::fs::write(&path, figure) {
        Ok(()) => Ok(path),
        Err(error) => Err(FiguresError::File { path, error }),
    }
}
