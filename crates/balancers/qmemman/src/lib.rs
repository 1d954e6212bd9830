//! Qubes OS's qmemman: what every guest prefers to have, and what is beyond that in proportion to it.
//!
//! # The algorithm
//!
//! A guest prefers to have 1.3 times what it uses (without cache), and 200 MB at least. When a guest's use changes:
//!
//! * **Enough for all preferences**: everyone has what it prefers, and a share of the rest in proportion to that; what a maximum
//!   leaves goes to the others evenly.
//! * **Not enough**: who has more than it prefers comes down to it; what that gives goes to the others, in proportion to what they
//!   prefer.
//! * **Worth it**: changes are made if they are 150 MB together, or if a guest below its preference gains more than 15 MB.
//! * **Starts**: all that have more than they prefer give in proportion to that, and 5 % more than is needed; nobody gives anything if
//!   that is not enough.
//!
//! 50 MB of the host are given to nobody. [`mod@balance`] is that in its own terms. There are no priorities.
//!
//! Source: `qubes/qmemman/algo.py` and `systemstate.py` of Qubes OS (`qubes-core-admin`). Where memory is low, a change of 2024 there
//! subtracts what donors give from what is shared; here it is added, as before that change.
//!
//! # Where this host differs
//!
//! * **What a guest uses** is there what is in its memory without free memory, buffers and cache, and what is in its swap. Here it is its
//!   commit, which is the same but for what was committed and never touched.
//! * **When**: there, when a guest says that its use has changed; here every second.
//! * **dom0** takes part there, with 350 MB on top; here the parent OS has its reserve.
//! * **A guest that gives less than asked** is left alone there until it wants more or has given it; here the engine leaves it alone
//!   for a while.
#![forbid(unsafe_code)]

pub mod balance;
mod constants;

pub use constants::constants;

use balancing_policy::{HostView, PageCount, PerVm, Policy, Proposal, Reason, VmView};
use serde::{Deserialize, Serialize};

use balance::Domain;
use constants as c;

/// Parameters of the policy. The defaults are those of Qubes OS.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What a guest prefers to have, as a multiple of what it uses.
    pub cache_factor: f64,
    /// MiB of the host that are given to nobody.
    pub free_left: f64,
    /// MiB of changes together that are worth making.
    pub least_transfer: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            cache_factor: c::CACHE_FACTOR.value,
            free_left: c::FREE_LEFT.value,
            least_transfer: c::LEAST_TRANSFER.value,
        }
    }
}

/// Qubes OS's qmemman: see the [crate's documentation](crate).
#[derive(Clone, Debug, Default)]
pub struct Qmemman {
    config: Config,
    /// What each VM was last told to have, MiB.
    last: PerVm<Option<f64>>,
    domains: Vec<Domain>,
    places: Vec<usize>,
}

fn pages(mib: f64) -> PageCount {
    PageCount((mib.max(0.0) * PageCount::from_mib(1).get() as f64) as u64)
}

impl Qmemman {
    /// Its name in `--policy`.
    pub const NAME: &'static str = "qmemman";

    /// The policy with these parameters.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    /// The VMs that take part: those that say what they use and can be moved.
    fn collect(&mut self, vms: &[VmView]) {
        self.domains.clear();
        self.places.clear();
        for (index, vm) in vms.iter().enumerate() {
            let Some(used) = vm.demand().filter(|_| vm.can_move()).map(PageCount::mib) else { continue };
            self.domains.push(Domain {
                used,
                actual: vm.expected().mib(),
                maximum: vm.settings.maximum.mib(),
            });
            self.places.push(index);
        }
    }

    /// Whether changes are worth making.
    fn worth_it(&self, free: f64, targets: &[Option<f64>], last: &[Option<f64>]) -> bool {
        // Too little is free.
        if -free > c::LEAST_UNDER_PREFERRED.value {
            return true;
        }
        let mut all = free.abs();
        for ((target, domain), &place) in targets.iter().zip(&self.domains).zip(&self.places) {
            let Some(target) = target else { continue };
            let last = last[place].unwrap_or(domain.actual);
            all += (target - last).abs();
            let below = last < domain.preferred(self.config.cache_factor);
            if below && target - last > c::LEAST_UNDER_PREFERRED.value {
                return true;
            }
        }
        all > self.config.least_transfer
    }
}

impl Policy for Qmemman {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn uses_priority(&self) -> bool {
        false
    }

    fn round(&mut self, host: &HostView<'_>, vms: &[VmView], proposal: &mut Proposal) {
        self.collect(vms);
        let factor = self.config.cache_factor;
        let has = |vm: &VmView| vm.reachable(vm.expected());
        let held: f64 = vms.iter().map(|vm| has(vm).mib()).sum();
        let starts: f64 = host.reservations.iter().map(|start| start.needed.mib()).sum();
        let free = host.capacity.mib() - held - self.config.free_left;
        let lacking = starts - (free + self.config.free_left);
        let (rule, targets) = if starts > 0.0 && lacking > 0.0 {
            ("start", balance::for_start(lacking + self.config.free_left, &self.domains, factor))
        } else {
            ("balance", balance::balance(free - starts, &self.domains, factor))
        };
        let mut last = core::mem::take(&mut self.last);
        let told = last.align(vms);
        if rule == "start" || self.worth_it(free - starts, &targets, told) {
            for (target, &place) in targets.iter().zip(&self.places) {
                if target.is_some() {
                    told[place] = *target;
                }
            }
        }
        let mut left = host.capacity.saturating_sub(pages(held + starts));
        for (index, (vm, told)) in vms.iter().zip(&*told).enumerate() {
            let has = has(vm);
            let wanted = told.filter(|_| vm.can_move()).map_or(has, |told| vm.reachable(pages(told)));
            let growth = wanted.saturating_sub(has).min(left);
            left -= growth;
            let rule = match wanted.cmp(&has) {
                _ if !vm.can_move() => "cannot-move",
                core::cmp::Ordering::Greater => "grow",
                core::cmp::Ordering::Less => "shrink",
                core::cmp::Ordering::Equal => "keep",
            };
            let mut reason =
                Reason::new(rule).with("current_mib", has.mib()).with("wanted_mib", wanted.mib());
            if let Some(domain) =
                self.places.iter().position(|&place| place == index).map(|at| self.domains[at])
            {
                reason = reason.with("used_mib", domain.used).with("preferred_mib", domain.preferred(factor));
            }
            proposal.set(index, wanted.min(has.saturating_add(growth)), reason);
        }
        self.last = last;
        proposal.summarize(
            Reason::new(rule)
                .with("free_mib", free)
                .with("starts_mib", starts)
                .with("available_mib", host.available.mib()),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::Qmemman;

    #[test]
    fn conforms() {
        policy_conformance::assert_conforms(Qmemman::default);
    }
}
