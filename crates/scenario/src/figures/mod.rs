//! The source's figures, drawn from a run's `counters.csv`.
//!
//! These are Figures 4-1 and 4-3 to 4-7 of the verification guideline \[A\] (4-2 is an error dialog). Phases are found in the counters and marked as
//! the source marks them; what the source reported stands beside what the run showed. Every curve differs from its neighbours
//! in more than its colour and is named beside its end, so that the figures can be read in black and white.

mod chart;
mod compared;
mod over_time;
mod recorded;
mod starts;
mod svg;

use std::path::{Path, PathBuf};

use run_journal::manifest::Manifest;

pub use compared::Views;
pub use recorded::{FiguresError, Recorded};
pub use starts::{Starts, figure_4_1, figure_4_3};

/// Draws the figures that a run shows, into its folder: 4-4 for a VM that is loaded and unloaded, 4-5 to 4-7 for a VM that takes
/// memory from others, and an overview for every run.
///
/// # Errors
/// A folder without counters, or one that cannot be written.
pub fn write_for_run(directory: &Path) -> Result<Vec<PathBuf>, FiguresError> {
    let run = Recorded::read(directory)?;
    let note = note(directory, &run);
    let figures = [
        ("figure-4-4.svg", over_time::figure_4_4(&run, &note)),
        ("figure-4-5.svg", over_time::figure_4_5(&run, &note)),
        ("figure-4-6.svg", over_time::figure_4_6(&run, &note)),
        ("figure-4-7.svg", over_time::figure_4_7(&run, &note)),
        ("figure-overview.svg", over_time::overview(&run, &note)),
    ];
    let mut written = Vec::new();
    for (name, figure) in figures {
        if let Some(figure) = figure {
            written.push(write(directory, name, &figure)?);
        }
    }
    Ok(written)
}

/// Draws Figures 4-1 and 4-3 from the three runs of the source's first scenario, into `directory`.
///
/// # Errors
/// A folder that cannot be written.
pub fn write_starts(
    directory: &Path,
    fixed: &Starts,
    dynamic_same: &Starts,
    dynamic_most: &Starts,
    note: &str,
) -> Result<Vec<PathBuf>, FiguresError> {
    Ok(vec![
        write(directory, "figure-4-1.svg", &figure_4_1(fixed, dynamic_same, note))?,
        write(directory, "figure-4-3.svg", &figure_4_3(fixed, dynamic_most, note))?,
    ])
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

/// Which run it is, under the title.
fn note(directory: &Path, run: &Recorded) -> String {
    let reserve = run.points.last().map_or(0.0, |point| point.host.reserve.mib());
    let reserve = format!("host {:.0} GB, reserve {reserve:.0} MB", run.host_mb / 1024.0);
    match Manifest::read(directory) {
        Ok(manifest) => format!(
            "scenario {}, seed {}, policy {}; {reserve}",
            manifest.scenario.name, manifest.seeds.seed, manifest.policy
        ),
        Err(_) => reserve,
    }
}
