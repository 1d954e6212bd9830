//! Runs to make pages of.

use std::path::Path;
use std::time::Duration;

use component_runtime::Driver;
use run_journal::EventsLevel;
use run_journal::manifest::{self, Manifest, ScenarioIdentity, Seeds};
use scenario::file::{self, LoadOptions};
use scenario::run::{self, Choices, RunOptions};

/// Runs a scenario of the project for a while, into a folder.
pub(crate) fn run(name: &str, until: Duration, events: EventsLevel, directory: &Path) {
    let scenario = file::find(name, &LoadOptions::default()).unwrap();
    let choices = Choices { until: Some(until), ..Choices::default() };
    let plan = run::build::plan(&scenario, &choices, &mut |_| unreachable!()).unwrap();
    let manifest = Manifest {
        format: manifest::FORMAT_VERSION,
        scenario: ScenarioIdentity { name: name.to_owned(), file: None, sha256: String::new() },
        policy: plan.policy.clone(),
        seeds: Seeds { seed: plan.seed, schedule_seed: None },
        driver: "inline".to_owned(),
        clock: "virtual".to_owned(),
        speed: None,
        until: quantities::format_duration(until),
        epoch: plan.epoch.to_string(),
        sample_interval: "1s".to_owned(),
        events,
        version: "0".to_owned(),
        commit: None,
        command: "cargo xtask scenario".to_owned(),
        artifacts: std::collections::BTreeMap::new(),
    };
    manifest.write(directory).unwrap();
    let options = RunOptions {
        driver: Driver::Inline,
        events,
        directory: Some(directory.to_owned()),
        ..RunOptions::default()
    };
    run::run(plan, options).unwrap();
}

/// The scenario with contention, until after it.
pub(crate) fn contention(directory: &Path) {
    run("multi-vm", Duration::from_secs(23 * 60), EventsLevel::All, directory);
}
