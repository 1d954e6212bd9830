//! A balancing policy in a crate of its own, run and compared through the public API.

use std::error::Error;

use balancing_policy::{HostView, PageCount, Policy, Proposal, Reason, VmView};
use policy_comparison::{Contestant, Look, MeasureId, Settings, loads};
use scenario::run::{self, Choices, RunOptions, build};

/// Everyone gets what the guest needs and half as much again, as long as there is any.
#[derive(Default)]
struct HalfAgain;

impl Policy for HalfAgain {
    fn name(&self) -> &str {
        "half-again"
    }

    fn uses_priority(&self) -> bool {
        false
    }

    fn round(&mut self, host: &HostView<'_>, vms: &[VmView], proposal: &mut Proposal) {
        let mut left = host.capacity;
        for vm in vms {
            left = left.saturating_sub(vm.reachable(vm.expected()));
        }
        for (index, vm) in vms.iter().enumerate() {
            let has = vm.reachable(vm.expected());
            let wanted = vm
                .demand()
                .map_or(has, |demand| vm.reachable(demand.saturating_add(PageCount(demand.get() / 2))));
            let target = wanted.min(has.saturating_add(left));
            left = left.saturating_sub(target.saturating_sub(has));
            proposal.set(index, target, Reason::new("half-again").with("wanted_mib", wanted.mib()));
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // One run.
    let scenario = loads::find("multi-vm")?;
    let plan = build::plan_alone(&scenario, &Choices::default())?;
    let outcome = run::run_with_policy(plan, RunOptions::default(), Box::new(HalfAgain))?;
    for vm in &outcome.summary.vms {
        let most = vm.physical_memory_mb.map_or(0.0, |memory| memory.maximum);
        println!("{:<5} had {most:.0} MB at most, and lacked {:.0} MB·s", vm.name, vm.unmet_demand_mb_s);
    }

    // And a comparison.
    let contestants = vec![Contestant::named("hyperv")?, Contestant::own(HalfAgain::default)];
    let loads = ["multi-vm", "bursts-together"].map(loads::find).into_iter().collect::<Result<_, _>>()?;
    let settings = Settings { seeds: vec![1, 2, 3], ..Settings::new(contestants, loads) };
    let comparison = policy_comparison::compare(&settings, &mut |_| ())?;
    println!("{}", comparison.table(Look::default()));
    std::fs::write("compare.html", comparison.page("cargo run --release"))?;
    assert!(comparison.loads[0].cell(1, MeasureId::Moved).is_some());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::HalfAgain;

    #[test]
    fn conforms() {
        policy_conformance::assert_conforms(HalfAgain::default);
    }
}
