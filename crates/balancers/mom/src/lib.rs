//! oVirt's MOM (Memory Overcommitment Manager): all guests shrink while less than 20 % of the host is free, and grow while
//! more is.
//!
//! # The algorithm
//!
//! h is what part of the host is free, averaged over 10 samples; every 10 s:
//!
//! * h < 0.20: every guest shrinks to what it uses and a free part that falls with h (below h = 0.05 it is negative, which
//!   makes guests page), by 5 % at most.
//! * h ≥ 0.20: every guest grows to what it uses and 20 %, by 5 % at least.
//!
//! Changes of 0.25 % or less are not made. [`rules`] is that in its own terms. There are no priorities, and there is no
//! hysteresis: the rules flip at 20 %.
//!
//! Source: `balloon.rules` and `mom.conf` of MOM as oVirt ships them.
//!
//! # Where this host differs
//!
//! * **Free memory of the host**: its own counts free memory, buffers and cache of the parent. A policy cannot see the
//!   parent's here: what is [available](HostView::available) is free, the parent's reserve is not.
//! * **Starts**: there, a VM starts and the host has less. Here the VM waits until memory is free: what the VM waits for
//!   does not count as free, guests shrink for it, and no guest grows into it.
//! * **Unused memory of a guest** is what its status report says is free or zeroed; "current" is what the VM has, with what is
//!   on its way to or from it.
//! * **What cannot be had**: its host has swap, and gives what rules say. Here growth ends where the pool does, first VM
//!   first.
//! * 5 % of a VM below 80 MB is less than the least that is moved here; such a VM stays.
#![forbid(unsafe_code)]

mod constants;
pub mod rules;

pub use constants::constants;

use core::time::Duration;

use balancing_policy::{HostView, PageCount, PerVm, Policy, Proposal, Reason, VmView};
use serde::{Deserialize, Serialize};

use constants as c;

/// Parameters of the policy. The defaults are MOM's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Time between decisions.
    pub decision_interval: Duration,
    /// Time between samples of host and guests.
    pub sample_interval: Duration,
    /// Free part of the host below which guests shrink.
    pub pressure_threshold: f64,
    /// Free part of the host at and below which guests are made to page.
    pub critical: f64,
    /// Free part of its memory that a guest is to have.
    pub guest_free: f64,
    /// Most that a guest shrinks, and least that it grows, as a part of what it has.
    pub most_change: f64,
    /// Change that is not worth it, as a part of what it has.
    pub least_change: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            decision_interval: c::INTERVAL.duration(),
            sample_interval: c::SAMPLE_INTERVAL.duration(),
            pressure_threshold: c::PRESSURE_THRESHOLD.value,
            critical: c::CRITICAL.value,
            guest_free: c::GUEST_FREE.value,
            most_change: c::MOST_CHANGE.value,
            least_change: c::LEAST_CHANGE.value,
        }
    }
}

/// The newest samples of a number.
#[derive(Clone, Copy, Debug, Default)]
struct Samples {
    values: [f64; c::SAMPLES.value as usize],
    count: usize,
    next: usize,
}

impl Samples {
    fn add(&mut self, value: f64) {
        self.values[self.next] = value;
        self.next = (self.next + 1) % self.values.len();
        self.count = (self.count + 1).min(self.values.len());
    }

    fn average(&self) -> Option<f64> {
        (self.count > 0).then(|| self.values[..self.count].iter().sum::<f64>() / self.count as f64)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    current: Samples,
    unused: Samples,
    decided: Option<Decided>,
}

#[derive(Clone, Copy, Debug)]
struct Decided {
    target: PageCount,
    reason: Reason,
}

/// oVirt's MOM: see the [crate's documentation](crate).
#[derive(Clone, Debug, Default)]
pub struct Mom {
    config: Config,
    host_free: Samples,
    states: PerVm<State>,
    next_decision: Duration,
}

impl Mom {
    /// Its name in `--policy`.
    pub const NAME: &'static str = "mom";

    /// The policy with these parameters.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    fn sample(&mut self, host: &HostView<'_>, vms: &[VmView]) {
        let waited_for = host.reservations.iter().fold(PageCount::ZERO, |sum, start| {
            sum.saturating_add(start.needed.saturating_sub(start.set_aside))
        });
        let free = host.available.saturating_sub(waited_for).mib();
        self.host_free.add(if host.total.is_zero() { 0.0 } else { free / host.total.mib() });
        for (vm, state) in vms.iter().zip(self.states.align(vms)) {
            if let Some(report) = vm.report() {
                state.current.add(vm.assigned.mib());
                state.unused.add(report.free.min(vm.assigned).mib());
            }
        }
    }

    fn decide(&mut self, vms: &[VmView], host_free: f64) {
        for (vm, state) in vms.iter().zip(self.states.align(vms)) {
            state.decided = None;
            let (Some(current), Some(unused)) = (state.current.average(), state.unused.average()) else {
                continue;
            };
            let has = vm.expected();
            let guest = rules::Guest {
                current: has.mib(),
                used: current - unused,
                minimum: vm.settings.minimum.mib(),
                maximum: vm.settings.maximum.mib(),
            };
            let Some(new) = rules::decide(&guest, host_free, &self.config) else { continue };
            let target = PageCount((new * PageCount::from_mib(1).get() as f64) as u64);
            let rule = if host_free < self.config.pressure_threshold { "shrink" } else { "grow" };
            let reason = Reason::new(rule)
                .with("host_free_fraction", host_free)
                .with("current_mib", guest.current)
                .with("used_mib", guest.used)
                .with("decided_mib", new);
            state.decided = Some(Decided { target, reason });
        }
    }
}

impl Policy for Mom {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn uses_priority(&self) -> bool {
        false
    }

    fn interval(&self) -> Duration {
        self.config.sample_interval
    }

    fn round(&mut self, host: &HostView<'_>, vms: &[VmView], proposal: &mut Proposal) {
        self.sample(host, vms);
        let host_free = self.host_free.average().unwrap_or(1.0);
        if host.now >= self.next_decision {
            self.next_decision = host.now + self.config.decision_interval;
            self.decide(vms, host_free);
        }
        let has = |vm: &VmView| vm.reachable(vm.expected());
        let held: u128 = vms.iter().map(|vm| u128::from(has(vm).get())).sum();
        let left = u128::from(host.capacity.get()).saturating_sub(held);
        let mut left = PageCount(u64::try_from(left).unwrap_or(u64::MAX));
        for (index, (vm, state)) in vms.iter().zip(self.states.align(vms)).enumerate() {
            let has = has(vm);
            let (target, reason) = match state.decided {
                Some(Decided { target, reason }) if vm.can_move() => (vm.reachable(target), reason),
                Some(_) => (has, Reason::new("cannot-move").with("kept_mib", has.mib())),
                None => (has, Reason::new("keep").with("kept_mib", has.mib())),
            };
            let growth = target.saturating_sub(has).min(left);
            left -= growth;
            proposal.set(index, target.min(has.saturating_add(growth)), reason);
        }
        let rule = if host_free < self.config.pressure_threshold { "shrink" } else { "grow" };
        proposal.summarize(
            Reason::new(rule)
                .with("host_free_fraction", host_free)
                .with("available_mib", host.available.mib()),
        );
    }
}

#[cfg(test)]
mod tests;
