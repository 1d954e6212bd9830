//! The plans of a comparison: the same load on the host as it is, with static memory, and on a host that has enough for all.

use balancing_policy::MemorySettings;
use page_range::PageCount;
use vmms_host::HostEdition;

use scenario::file::Scenario;
use scenario::run::plan::{Action, Plan};
use scenario::run::{Choices, RunError, build};

/// The plan of a load for one seed. Which policy it names does not matter: every run gets its own.
pub(crate) fn plan(load: &Scenario, seed: u64, choices: &Choices) -> Result<Plan, RunError> {
    let choices = Choices {
        seed: Some(seed),
        policy: Some(policy_catalogue::POLICIES[0].name.to_owned()),
        ..choices.clone()
    };
    build::plan_alone(load, &choices)
}

/// Everyone has static memory: as much as the maximum.
pub(crate) fn with_static_memory(mut plan: Plan) -> Plan {
    let fixed =
        |settings: MemorySettings| MemorySettings::fixed(settings.maximum).with_weight(settings.weight);
    for vm in &mut plan.vms {
        vm.settings = fixed(vm.settings);
    }
    for step in &mut plan.timeline {
        if let Action::Configure { settings, .. } = &mut step.action {
            *settings = fixed(*settings);
        }
    }
    plan
}

/// The well-provisioned run: static memory for everyone, and a host that has it.
pub(crate) fn well_provisioned(plan: Plan) -> Plan {
    let mut plan = with_static_memory(plan);
    let overhead = plan.host.balancer.overhead_per_vm;
    let needed: PageCount = plan.vms.iter().map(|vm| vm.settings.maximum + overhead).sum();
    // The reserve grows with the host, 30 MB per GB, and the parent OS is not to be short either.
    let mut memory = plan.host.memory + needed;
    memory += PageCount::from_mib(memory.whole_mib().div_ceil(16));
    plan.host.memory = memory;
    plan.host.edition = HostEdition::Unlimited;
    plan
}
