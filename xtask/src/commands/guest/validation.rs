//! `cargo xtask guest validate`: loads in real guests, and the same in simulated ones.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use guest_validation::{Curves, Judgement, LOADS, Load, figure, page, simulate, table};
use real_guest::task::Task;
use real_guest::validation::{chosen, file_of};

use super::perform::perform;
use crate::commands::bad_input;
use crate::commands::guest_place::Where;
use crate::commands::tools::{Tool, step, workspace_root};
use crate::output::{say, tell};

/// The page, as the book has it of recorded guests.
const PAGE: &str = "validation.md";

/// Runs both halves of these loads, and leaves curves, figures and a page.
pub(super) fn run(place: &Where, loads: Vec<String>, out: &Path, keep: bool) -> Result<()> {
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
    if !keep {
        return Ok(());
    }
    let recorded = recorded();
    for load in wanted {
        let (from, to) = (out.join(file_of(load)), recorded.join(file_of(load)));
        std::fs::copy(&from, &to).with_context(|| format!("cannot write {}", to.display()))?;
        say!("kept {}", to.display());
    }
    let pages = LOADS.iter().map(|load| format!("figures/{}", figure_of(load)));
    let pages = std::iter::once(PAGE.to_owned()).chain(pages).flat_map(|page| ["--page".to_owned(), page]);
    step("page and figures of the book", Tool::cargo(["xtask", "docs"]).args(pages))
}

/// Where the recorded real halves are.
pub(in crate::commands) fn recorded() -> PathBuf {
    workspace_root().join("tests/recorded/validation")
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
