//! `cargo xtask guest validate`: loads in real guests, and the same in simulated ones.

use std::path::Path;

use anyhow::{Context as _, Result};
use guest_validation::{Curves, Judgement, Load, figure, page, simulate, table};
use real_guest::task::Task;
use real_guest::validation::{chosen, file_of};

use super::{Where, bad_input, perform};
use crate::output::{say, tell};

/// The page, as the book has it of recorded guests.
const PAGE: &str = "validation.md";

/// Runs both halves of these loads, and leaves curves, figures and a page.
pub(super) fn run(place: &Where, loads: Vec<String>, out: &Path) -> Result<()> {
    let wanted = chosen(&loads).map_err(bad_input)?;
    perform(place, &Task::Validate { loads }, out, false)?;
    let halves = halves(&wanted, out)?;
    for (load, real, simulated) in &halves {
        let judged = Judgement::of(real, simulated);
        tell!("\n{}: {}\n{}", load.name, load.what, table(&judged));
        if let Some(figure) = figure(load, real, simulated) {
            write(&out.join(figure_of(load)), &figure)?;
        }
    }
    write(&out.join(PAGE), &page(&halves, figure_of))?;
    say!("Page, figures and curves: {}", out.display());
    Ok(())
}

/// Reads the real halves that are in a folder, and runs the simulated ones.
pub(in crate::commands) fn halves(
    loads: &[&'static Load],
    folder: &Path,
) -> Result<Vec<(&'static Load, Curves, Curves)>> {
    let both = |load: &&'static Load| {
        let path = folder.join(file_of(load));
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let real = Curves::from_text(&text).with_context(|| path.display().to_string())?;
        Ok((*load, real, simulate(load)?))
    };
    loads.iter().map(both).collect()
}

/// The file of a load's figure.
pub(in crate::commands) fn figure_of(load: &Load) -> String {
    format!("validation-{}.svg", load.name)
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
