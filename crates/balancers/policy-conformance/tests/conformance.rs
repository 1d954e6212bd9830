//! The designs of this project, and some that must not pass.

use core::time::Duration;

use balancing_policy::{HostView, PageCount, Policy, Proposal, Reason, VmView};
use memory_balancer::hyperv::{HyperVConfig, PressureBandPolicy};
use policy_conformance::{Check, Conformance, Report, Verdict, assert_conforms};

#[test]
fn hyperv_conforms() {
    assert_conforms(PressureBandPolicy::default);
}

#[test]
fn hyperv_conforms_with_any_mechanism_switched_off() {
    let default = HyperVConfig::default();
    for config in [
        HyperVConfig { hold: Duration::ZERO, ..default },
        HyperVConfig { weights: false, ..default },
        HyperVConfig { stock_factor: 0.0, ..default },
    ] {
        Conformance::new(move || PressureBandPolicy::new(config)).cases(8).assert();
    }
}

/// A policy in a closure.
struct By<F>(F);

impl<F: FnMut(&HostView<'_>, &VmView) -> PageCount + Send> Policy for By<F> {
    fn name(&self) -> &str {
        "by"
    }

    fn uses_priority(&self) -> bool {
        true
    }

    fn round(&mut self, host: &HostView<'_>, vms: &[VmView], proposal: &mut Proposal) {
        for (index, vm) in vms.iter().enumerate() {
            proposal.set(index, (self.0)(host, vm), Reason::new("by"));
        }
    }
}

fn verdict(check: Check, policy: fn(&HostView<'_>, &VmView) -> PageCount) -> Verdict {
    Conformance::new(move || By(policy)).verdict(check)
}

fn failure(verdict: Verdict) -> (String, String) {
    match verdict {
        Verdict::Failed { what, case } => (what, case),
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_ignores_bounds_is_found_with_the_shortest_case() {
    let (what, case) = failure(verdict(Check::SaneProposals, |_, vm| vm.demand().unwrap_or_default()));
    assert!(what.contains("it can be brought to"), "{what}");
    assert_eq!(case.lines().count(), 2, "one VM is enough to show it: {case}");
    assert!(case.starts_with("1 rounds"), "{case}");
}

#[test]
fn who_gives_out_more_than_there_is_is_found() {
    let (what, _) = failure(verdict(Check::SaneProposals, |_, vm| vm.highest));
    assert!(what.starts_with("all together are to have"), "{what}");
    let (what, case) = failure(verdict(Check::Bounds, |_, vm| vm.highest));
    assert!(what.contains("OverCapacity"), "{what}");
    assert!(case.contains("\nVM1: "), "{case}");
}

#[test]
fn who_panics_is_found() {
    let policy = |_: &HostView<'_>, vm: &VmView| {
        assert!(vm.demand().is_none_or(|demand| demand < PageCount::from_mib(1 << 20)), "too much");
        vm.reachable(vm.expected())
    };
    let (_, case) = failure(verdict(Check::Extremes, policy));
    assert_eq!(case, "8 VMs that claim 2^64 - 1 pages");
}

#[test]
fn who_swings_is_found() {
    let swings = |host: &HostView<'_>, vm: &VmView| {
        let low = host.now.as_secs() % 20 < 10;
        let step = PageCount::from_mib(if low { 0 } else { 32 });
        vm.reachable((vm.settings.minimum + step).min(vm.assigned + host.available.min(step)))
    };
    let (what, _) = failure(verdict(Check::Oscillation, swings));
    assert!(what.contains("turned back"), "{what}");
    let (what, _) = failure(verdict(Check::Converges, swings));
    assert!(what.contains("still moves"), "{what}");
}

#[test]
fn who_turns_priority_around_is_found() {
    let around = |host: &HostView<'_>, vm: &VmView| {
        let part = 10_100 - vm.settings.weight;
        vm.reachable(PageCount(host.capacity.get() / 20_200 * u64::from(part)))
    };
    let (what, _) = failure(verdict(Check::Priority, around));
    assert!(what.starts_with("in a shortage the higher weight has"), "{what}");
}

/// Gives every VM what it needs, as long as all answer; waits for a VM that does not.
struct Waits;

impl Policy for Waits {
    fn name(&self) -> &str {
        "waits"
    }

    fn uses_priority(&self) -> bool {
        false
    }

    fn round(&mut self, host: &HostView<'_>, vms: &[VmView], proposal: &mut Proposal) {
        let waits = vms.iter().any(|vm| vm.settings.dynamic && !vm.can_move());
        let mut left = host.capacity.get();
        for (index, vm) in vms.iter().enumerate() {
            let kept = vm.reachable(vm.expected());
            let wanted = vm.reachable(vm.demand().unwrap_or(kept));
            let target = if waits || wanted.get() > left { kept } else { wanted };
            left = left.saturating_sub(target.get());
            proposal.set(index, target, Reason::new("waits"));
        }
    }
}

#[test]
fn who_lets_one_vm_hold_up_the_others_is_found() {
    let (what, case) = failure(Conformance::new(|| Waits).verdict(Check::Unresponsive));
    assert!(what.starts_with("beside a VM that does not answer"), "{what}");
    assert!(case.contains("VM2"), "{case}");
}

/// Draws lots.
struct Lots(u64);

static DRAWN: core::sync::atomic::AtomicU64 = core::sync::atomic::AtomicU64::new(0);

impl Policy for Lots {
    fn name(&self) -> &str {
        "lots"
    }

    fn uses_priority(&self) -> bool {
        false
    }

    fn round(&mut self, _: &HostView<'_>, vms: &[VmView], proposal: &mut Proposal) {
        for (index, vm) in vms.iter().enumerate() {
            let drawn = PageCount(self.0 % (vm.expected().get() + 1));
            proposal.set(index, vm.reachable(drawn), Reason::new("lots"));
        }
    }
}

#[test]
fn who_draws_lots_is_found() {
    let make = || Lots(DRAWN.fetch_add(977, core::sync::atomic::Ordering::Relaxed));
    let (what, _) = failure(Conformance::new(make).verdict(Check::Deterministic));
    assert!(what.starts_with("the same"), "{what}");
}

#[test]
fn a_report_reads_well() {
    let report: Report = Conformance::new(|| By(|_: &HostView<'_>, vm: &VmView| vm.highest)).cases(2).run();
    assert!(!report.passed());
    let text = report.to_string();
    assert!(text.starts_with("policy by: does not conform\n  sane proposals     FAILED: "), "{text}");
    assert!(text.contains("  the shortest case that was found:\n    "), "{text}");
}
