//! A scenario from its text to its outputs.

use std::path::Path;
use std::time::Duration;

use component_runtime::Driver;
use page_range::PageCount;
use run_journal::EventsLevel;
use scenario::file::{self, LoadOptions};
use scenario::run::plan::{Action, Step};
use scenario::run::{self, Choices, Outcome, Plan, RunError, RunOptions};
use tempfile::TempDir;

/// The plan that a scenario's text and a seed come to.
///
/// # Panics
/// If the text is no scenario: the complaint is the panic's message.
#[must_use]
pub fn plan(text: &str, seed: u64) -> Plan {
    let parsed = file::parse(Path::new("whole-stack.toml"), text, &LoadOptions::default());
    let scenario = parsed.unwrap_or_else(|bad| panic!("{bad}"));
    let choices = Choices { seed: Some(seed), ..Choices::default() };
    match run::build::plan(&scenario, &choices, &mut |_| Ok(PageCount::ZERO)) {
        Ok(plan) => plan,
        Err(error) => panic!("{error}"),
    }
}

/// Adds something to a plan that no scenario file would say.
pub fn insert(plan: &mut Plan, at: Duration, action: Action) {
    plan.timeline.push(Step { at, action });
    plan.timeline.sort_by_key(|step| step.at);
}

/// Runs a plan without leaving files, with every invariant checked at each sample, the guests' own books too.
///
/// # Errors
/// A violated invariant, among others.
pub fn run(plan: Plan, schedule_seed: Option<u64>) -> Result<Outcome, RunError> {
    let options = RunOptions {
        driver: Driver::Inline,
        schedule_seed,
        events: EventsLevel::None,
        keep_points: true,
        check_guests: true,
        ..RunOptions::default()
    };
    run::run(plan, options)
}

/// What a run left behind.
pub struct Left {
    /// Its folder: removed with this value.
    pub folder: TempDir,
    /// Its result.
    pub outcome: Outcome,
}

impl Left {
    /// The bytes of one of its files.
    ///
    /// # Panics
    /// If there is none of that name.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        match std::fs::read(self.folder.path().join(name)) {
            Ok(bytes) => bytes,
            Err(error) => panic!("{name}: {error}"),
        }
    }
}

/// Runs a plan and keeps everything that a run leaves behind.
///
/// # Errors
/// A violated invariant, among others.
///
/// # Panics
/// If there is no place for temporary files.
pub fn run_with_files(plan: Plan, driver: Driver, schedule_seed: Option<u64>) -> Result<Left, RunError> {
    let folder = match tempfile::tempdir() {
        Ok(folder) => folder,
        Err(error) => panic!("no folder for the run: {error}"),
    };
    let options = RunOptions {
        driver,
        schedule_seed,
        directory: Some(folder.path().to_owned()),
        events: EventsLevel::All,
        ..RunOptions::default()
    };
    run::run(plan, options).map(|outcome| Left { folder, outcome })
}

/// Seconds, for timelines.
#[must_use]
pub const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
