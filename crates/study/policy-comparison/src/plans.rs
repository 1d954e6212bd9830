//! The plans of a comparison: the same load on the host as it is, with static memory, and on a host that has enough for all.

use scenario::file::Scenario;
use scenario::run::plan::Plan;
use scenario::run::{Choices, RunError, build};

pub(crate) use scenario::run::future::{well_provisioned, with_minimum_below_startup, with_static_memory};

/// The plan of a load for one seed. Which policy it names does not matter: every run gets its own.
pub(crate) fn plan(load: &Scenario, seed: u64, choices: &Choices) -> Result<Plan, RunError> {
    let choices = Choices {
        seed: Some(seed),
        policy: Some(policy_catalogue::POLICIES[0].name.to_owned()),
        ..choices.clone()
    };
    build::plan_alone(load, &choices)
}
