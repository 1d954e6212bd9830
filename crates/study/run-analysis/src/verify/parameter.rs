//! Setting a parameter of the policy in a plan.

use scenario::run::Plan;

pub(crate) fn parameter(plan: &mut Plan, name: &str, value: toml::Value) {
    plan.policy_parameters.insert(name.to_owned(), value);
}
