//! The page that holds the simulated Linux guest against recorded real ones, and its figures.

use std::sync::OnceLock;

use anyhow::{Context as _, Result};
use guest_validation::{Curves, LOADS, Load};

use crate::commands::guest::validation::{figure_of, halves, recorded};

/// A load with its recorded half and its simulated one.
type Halves = (&'static Load, Curves, Curves);

/// Both halves of every load; made once.
fn all() -> Result<&'static [Halves]> {
    static ALL: OnceLock<Vec<Halves>> = OnceLock::new();
    if let Some(all) = ALL.get() {
        return Ok(all);
    }
    let all = halves(&LOADS.iter().collect::<Vec<_>>(), &recorded())?;
    Ok(ALL.get_or_init(|| all))
}

/// The page.
pub(super) fn page() -> Result<String> {
    Ok(guest_validation::page(all()?, |load| format!("figures/{}", figure_of(load))))
}

/// The figure of a load.
pub(super) fn figure(name: &str) -> Result<String> {
    let found = all()?.iter().find(|(load, ..)| load.name == name);
    let (load, real, simulated) = found.with_context(|| format!("there is no load {name}"))?;
    guest_validation::figure(load, real, simulated).context("there is nothing to draw")
}
