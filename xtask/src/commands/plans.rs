//! Scenarios by their names, and plans of them.

#[cfg(feature = "study")]
use std::path::Path;

use anyhow::Result;
use component_runtime::Driver;
#[cfg(feature = "study")]
use guest_memory_manager::trace::TraceWindow;
use page_range::PageCount;
#[cfg(feature = "study")]
use policy_comparison::loads;
use run_journal::EventsLevel;
#[cfg(feature = "study")]
use scenario::file::BadScenario;
use scenario::file::{self, LoadOptions, Scenario};
use scenario::run::{self, Choices, Plan, RunError, RunOptions};

use super::bad_input;
use crate::output::note;

/// Says what was done to make the recorded loads of their files.
pub(super) fn tell_remarks(file: &Scenario) {
    for sentence in file.trace.iter().flat_map(|trace| trace.remarks().sentences()) {
        note!("note: the recorded loads: {sentence}");
    }
}

/// The loads of a trace: one for each of these windows, which its name says if there are several; the scenario's own window if there is none.
#[cfg(feature = "study")]
pub(super) fn recorded(
    trace: &Path,
    options: &LoadOptions,
    windows: &[TraceWindow],
) -> Vec<Result<Scenario, BadScenario>> {
    let load = |window: Option<TraceWindow>| -> Result<Scenario, BadScenario> {
        let mut load = loads::trace(trace, LoadOptions { trace_window: window, ..options.clone() })?;
        tell_remarks(&load);
        if let (Some(window), 2..) = (window, windows.len()) {
            load.name = format!("{} {window}", load.name);
        }
        Ok(load)
    };
    if windows.is_empty() {
        vec![load(None)]
    } else {
        windows.iter().map(|window| load(Some(*window))).collect()
    }
}

/// Loads a scenario.
pub(crate) fn load(name: &str, options: &LoadOptions) -> Result<Scenario> {
    file::find(name, options).map_err(bad_input)
}

/// Makes a plan; a scenario that refers to another is run after that one.
pub(crate) fn plan(scenario: &Scenario, choices: &Choices) -> Result<Plan> {
    let seed = choices.seed;
    run::build::plan(scenario, choices, &mut |name| used_in(name, seed)).map_err(|error| match error {
        RunError::Policy(_) | RunError::Workload(_) | RunError::Names(_) | RunError::Length(_) => {
            bad_input(error)
        }
        other => other.into(),
    })
}

/// The most host memory in use in another scenario.
fn used_in(name: &str, seed: Option<u64>) -> Result<PageCount, RunError> {
    let refused = |why: String| RunError::Reference(name.to_owned(), why);
    let other = file::find(name, &LoadOptions::default()).map_err(|error| refused(error.to_string()))?;
    let choices = Choices { seed, ..Choices::default() };
    let plan = run::build::plan(&other, &choices, &mut |deeper| {
        Err(RunError::Reference(
            deeper.to_owned(),
            "it is referred to by one that is referred to itself".to_owned(),
        ))
    })?;
    let options = RunOptions { driver: Driver::Inline, events: EventsLevel::None, ..RunOptions::default() };
    let outcome = run::run(plan, options)?;
    let used = outcome.summary.host.used_mb.ok_or_else(|| refused("it has no samples".to_owned()))?;
    Ok(PageCount((used.maximum * 256.0).round() as u64))
}
