//! Xen self-ballooning: every guest brings its memory to what it has committed, by itself.
//!
//! # The algorithm
//!
//! Every 5 s each guest compares what it has with its goal, which is its commit and the kernel's own reserve:
//!
//! * below the goal it takes all that is lacking at once;
//! * above it, it gives back an eighth of what is beyond it.
//!
//! From 1000 to a goal of 600 it goes by 950, 906.25, 867.97 … There is no host in it: nobody compares guests, there are no
//! priorities, and a guest that asks first has first. [`step`] is that in its own terms.
//!
//! Source: `drivers/xen/xen-selfballoon.c` of Linux before version 5.3, which removed it.
//!
//! # Where this host differs
//!
//! * **In the guest**: there a thread in every guest sets its own balloon's target. Here the policy does so for all of them, at one time.
//! * **The reserve** of the guest's kernel is in no report; [`reserve`](Config::reserve) stands for it.
//! * **The floor**: there a formula of the guest's memory, here the VM's minimum.
//! * **What cannot be had**: Xen gives a guest what is free. Here growth ends where the pool does, first VM first, and what waits to
//!   start has what is left.
#![forbid(unsafe_code)]

mod constants;

pub use constants::constants;

use core::time::Duration;

use balancing_policy::{HostView, PageCount, PerVm, Policy, Proposal, Reason, VmView};
use serde::{Deserialize, Serialize};

use constants as c;

/// Parameters of the policy. The defaults are those of the driver, but for the reserve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Time between two steps.
    pub interval: Duration,
    /// One over this of what is lacking is added in a step.
    pub up_hysteresis: f64,
    /// One over this of what is beyond the goal is given back in a step.
    pub down_hysteresis: f64,
    /// What a guest keeps beyond its commit, pages.
    pub reserve: PageCount,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval: c::INTERVAL.duration(),
            up_hysteresis: c::UP.value,
            down_hysteresis: c::DOWN.value,
            reserve: c::RESERVE.pages(),
        }
    }
}

/// What a guest that has `current` and wants `goal` sets as its target, in any unit.
#[must_use]
pub fn step(current: f64, goal: f64, config: &Config) -> f64 {
    if current > goal {
        current - (current - goal) / config.down_hysteresis.max(1.0)
    } else {
        current + (goal - current) / config.up_hysteresis.max(1.0)
    }
}

/// Xen self-ballooning: see the [crate's documentation](crate).
#[derive(Clone, Debug, Default)]
pub struct SelfBallooning {
    config: Config,
    /// What each guest last set as its target.
    targets: PerVm<Option<PageCount>>,
    next_step: Duration,
}

impl SelfBallooning {
    /// Its name in `--policy`.
    pub const NAME: &'static str = "self-ballooning";

    /// The policy with these parameters.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    /// What the VM's guest sets as its target, if it says what it has committed.
    fn target(&self, vm: &VmView) -> Option<PageCount> {
        let goal = vm.demand()?.saturating_add(self.config.reserve);
        let current = vm.expected();
        // A surplus of less than a page would never be given back.
        let target = step(current.get() as f64, goal.get() as f64, &self.config);
        Some(PageCount(target as u64))
    }
}

impl Policy for SelfBallooning {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn uses_priority(&self) -> bool {
        false
    }

    fn round(&mut self, host: &HostView<'_>, vms: &[VmView], proposal: &mut Proposal) {
        if host.now >= self.next_step {
            self.next_step = host.now.saturating_add(self.config.interval);
            let mut targets = core::mem::take(&mut self.targets);
            for (vm, target) in vms.iter().zip(targets.align(vms)) {
                *target = self.target(vm);
            }
            self.targets = targets;
        }
        let has = |vm: &VmView| vm.reachable(vm.expected());
        let held: u128 = vms.iter().map(|vm| u128::from(has(vm).get())).sum();
        let waited_for: u128 = host.reservations.iter().map(|start| u128::from(start.needed.get())).sum();
        let left = u128::from(host.capacity.get()).saturating_sub(held).saturating_sub(waited_for);
        let mut left = PageCount(u64::try_from(left).unwrap_or(u64::MAX));
        for (index, (vm, target)) in vms.iter().zip(self.targets.align(vms)).enumerate() {
            let has = has(vm);
            let wanted = target.filter(|_| vm.can_move()).map_or(has, |target| vm.reachable(target));
            let rule = match wanted.cmp(&has) {
                _ if !vm.can_move() => "cannot-move",
                core::cmp::Ordering::Greater => "takes",
                core::cmp::Ordering::Less => "gives",
                core::cmp::Ordering::Equal => "keeps",
            };
            let growth = wanted.saturating_sub(has).min(left);
            left -= growth;
            let reason = Reason::new(rule)
                .with("commit_mib", vm.demand().unwrap_or_default().mib())
                .with("reserve_mib", self.config.reserve.mib())
                .with("current_mib", has.mib())
                .with("wanted_mib", wanted.mib());
            proposal.set(index, wanted.min(has.saturating_add(growth)), reason);
        }
        proposal.summarize(Reason::new("self-ballooning").with("available_mib", host.available.mib()));
    }
}

#[cfg(test)]
mod tests {
    use balancing_policy::{GuestStatus, MemorySettings, Target, VmId};

    use super::*;

    #[test]
    fn conforms() {
        policy_conformance::assert_conforms(SelfBallooning::default);
    }

    #[test]
    fn up_at_once_and_down_by_an_eighth() {
        let config = Config::default();
        let mut current = 1000.0;
        let mut seen = Vec::new();
        for _ in 0..3 {
            current = step(current, 600.0, &config);
            seen.push(current);
        }
        assert_eq!(seen, [950.0, 906.25, 867.968_75]);
        assert_eq!(step(600.0, 1000.0, &config), 1000.0);
        let half = Config { up_hysteresis: 2.0, ..config };
        assert_eq!(step(600.0, 1000.0, &half), 800.0);
    }

    #[test]
    fn a_step_is_made_every_five_seconds() {
        let mib = PageCount::from_mib;
        let mut policy = SelfBallooning::new(Config { reserve: PageCount::ZERO, ..Config::default() });
        let mut vm = VmView::new(VmId(1), MemorySettings::dynamic(mib(512), mib(4096)));
        vm.assigned = mib(1000);
        vm.history.push(Duration::ZERO, GuestStatus::default().with(|status| status.demand = mib(600)));
        let mut proposal = Proposal::default();
        let mut seen = Vec::new();
        for second in 0..11 {
            let host =
                HostView::new(mib(8192), mib(7000)).with(|host| host.now = Duration::from_secs(second));
            proposal.begin(core::iter::once(Target { pages: vm.assigned, reason: Reason::new("started") }));
            policy.round(&host, &[vm.clone()], &mut proposal);
            vm.assigned = proposal.target(0).pages;
            seen.push(vm.assigned.mib());
        }
        assert_eq!([seen[0], seen[4], seen[5], seen[9]], [950.0, 950.0, 906.25, 906.25]);
    }

    #[test]
    fn who_asks_first_has_first() {
        let mib = PageCount::from_mib;
        let mut policy = SelfBallooning::default();
        let vm = |id| {
            VmView::new(VmId(id), MemorySettings::dynamic(mib(512), mib(4096))).with(|vm| {
                vm.history
                    .push(Duration::ZERO, GuestStatus::default().with(|status| status.demand = mib(1000)));
            })
        };
        let vms = [vm(1), vm(2)];
        let mut proposal = Proposal::default();
        proposal.begin(vms.iter().map(|vm| Target { pages: vm.assigned, reason: Reason::new("started") }));
        policy.round(&HostView::new(mib(1600), mib(576)), &vms, &mut proposal);
        let targets: Vec<f64> = proposal.targets().iter().map(|target| target.pages.mib()).collect();
        assert_eq!(targets, [1032.0, 512.0 + 1600.0 - 1032.0 - 512.0]);
    }
}
