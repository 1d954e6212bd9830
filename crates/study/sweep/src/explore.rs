//! The point that holds every invariant of a run.

use component_runtime::Driver;
use run_journal::EventsLevel;
use scenario::file::Scenario;
use scenario::run::{self, Choices, Plan, RunError, RunOptions};
use serde::{Deserialize, Serialize};

use super::{Point, Runner};

/// Name of the parameter that says in which order what may happen at the same instant happens.
pub const SCHEDULE_SEED: &str = "schedule_seed";

/// The row of an exploration's point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// What did not hold; nothing if everything held.
    pub broken: Option<String>,
}

/// Runs once with every invariant checked; what went wrong, if something did.
///
/// # Errors
/// A run that could not be made.
pub fn attempt(plan: Plan, schedule_seed: u64) -> Result<Option<String>, RunError> {
    let options = RunOptions {
        driver: Driver::Inline,
        schedule_seed: Some(schedule_seed),
        events: EventsLevel::None,
        check_guests: true,
        ..RunOptions::default()
    };
    match run::run(plan, options) {
        Ok(outcome) if outcome.end.panics.is_empty() => Ok(None),
        Ok(outcome) => {
            let panic = &outcome.end.panics[0];
            Ok(Some(format!("{} panicked at {}: {}", panic.component, panic.time, panic.message)))
        }
        Err(RunError::Invariant(what)) => Ok(Some(what)),
        Err(other) => Err(other),
    }
}

/// Runs points of an exploration.
#[derive(Clone, Copy, Debug, Default)]
pub struct Explorer;

impl Runner for Explorer {
    fn run(&self, _: usize, point: &Point, scenario: &Scenario) -> Result<String, String> {
        let settings = &point.settings;
        let until = settings.until.as_deref().map(quantities::parse_duration).transpose();
        let choices = Choices {
            seed: Some(settings.seed),
            policy: settings.policy.clone(),
            until: until.map_err(|error| error.to_string())?,
            ..Choices::default()
        };
        let schedule_seed = match settings.parameters.get(SCHEDULE_SEED) {
            Some(seed) => seed.parse().map_err(|_| format!("{SCHEDULE_SEED} {seed:?} is no number"))?,
            None => 0,
        };
        let plan = run::build::plan_alone(scenario, &choices).map_err(|error| error.to_string())?;
        let broken = attempt(plan, schedule_seed).map_err(|error| error.to_string())?;
        serde_json::to_string(&Row { broken }).map_err(|error| error.to_string())
    }
}
