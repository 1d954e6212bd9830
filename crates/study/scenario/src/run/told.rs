//! Runs a plan: its policy is told first what it asks to be told.

use std::sync::Arc;

use balancing_policy::Policy;

use super::error::RunError;
use super::execute::execute;
use super::future;
use super::options::{Outcome, RunOptions};
use super::plan::Plan;

/// Runs a plan.
///
/// # Errors
/// [`RunError`]; what was recorded until then stays.
pub fn run(plan: Plan, options: RunOptions) -> Result<Outcome, RunError> {
    let policy = policy_catalogue::make(&plan.policy, &plan.policy_parameters)?;
    run_with_policy(plan, options, policy)
}

/// Runs a plan with a policy of one's own, in place of the one that the plan names: for policies that this crate has never
/// heard of. One that foresees is told the future first, for which the load is run on a host that has enough for all;
/// with machines of the caller's own, only when VMs are started.
///
/// # Errors
/// [`RunError`]; what was recorded until then stays.
pub fn run_with_policy(
    mut plan: Plan,
    options: RunOptions,
    mut policy: Box<dyn Policy>,
) -> Result<Outcome, RunError> {
    plan.policy = policy.name().to_owned();
    if policy.foresees() {
        // Of machines that the caller makes, such as real guests, no simulated run tells anything.
        let future =
            if options.machines.is_some() { future::unknown(&plan) } else { future::foresee(&plan)? };
        policy.foresee(&Arc::new(future));
    }
    execute(&plan, options, policy)
}
