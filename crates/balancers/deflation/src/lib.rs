//! VM deflation: when a VM arrives and memory is lacking, all that run shrink, each in proportion to its size above its minimum; when memory
//! is free, all grow back.
//!
//! # The algorithm
//!
//! * **Deflation**: to reclaim R, a VM of size M with the minimum m gives R · (M − m) / Σ (M − m), and never more than M − m.
//! * **Reinflation**: of F that is free, a VM that was given up D of its maximum gets F · D / Σ D back, and never more than D.
//!
//! Three VMs of 4096, 2048 and 1024 MB with minimums of 1024, 512 and 1024 from which 900 MB are reclaimed give 600, 300 and 0: their
//! sizes above the minimum are 3072, 1536 and 0. [`share`] is that in its own terms.
//!
//! Nobody looks at what guests need: a VM is as large as there is memory for, up to its maximum. There is no priority in this variant.
//!
//! Source: Fuerst, Ali-Eldin, Shenoy and Sharma, "Cloud-scale VM Deflation for Running Interactive Applications On Transient Servers" (HPDC 2020),
//! proportional deflation with minimums. What is there besides, deflation by priority and deflation of some VMs to the full before others are
//! touched, is not here; nor is where a cluster places VMs.
//!
//! # Where this host differs
//!
//! * **How**: there, memory is unplugged as far as the guest uses less, and the host swaps the rest. Here the balloon takes what the guest
//!   gives, and the host never swaps.
//! * **Sizes**: there a VM begins at its full size. Here it begins at its startup RAM, and grows as memory is free.
//! * **When**: there, as VMs arrive and leave. Here what is lacking for starts, and what is free, is looked for every second.
#![forbid(unsafe_code)]

mod constants;

pub use constants::constants;

use core::time::Duration;

use balancing_policy::{HostView, PageCount, Policy, Proposal, Reason, VmView};
use serde::{Deserialize, Serialize};

use constants as c;

/// Parameters of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Time between looks.
    pub interval: Duration,
    /// Part of what is free that is given back in a look.
    pub reinflation: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { interval: c::INTERVAL.duration(), reinflation: 1.0 }
    }
}

/// Of `amount`, the share of one whose part is `part` of `all`; never more than its part.
#[must_use]
pub fn share(amount: u128, part: u128, all: u128) -> u128 {
    if all == 0 {
        return 0;
    }
    // Parts and amounts are pages of one host: below 2^64, so that the product fits.
    (amount.min(all) * part) / all
}

/// VM deflation: see the [crate's documentation](crate).
#[derive(Clone, Debug, Default)]
pub struct Deflation {
    config: Config,
}

/// What of the host decides a round, in pages.
#[derive(Clone, Copy, Debug)]
enum Move {
    Deflate { amount: u128, above_minimum: u128 },
    Reinflate { amount: u128, deflated: u128 },
    Nothing,
}

fn sum(pages: impl Iterator<Item = PageCount>) -> u128 {
    pages.map(|pages| u128::from(pages.get())).sum()
}

fn has(vm: &VmView) -> PageCount {
    vm.reachable(vm.expected())
}

/// A guest that has not reported yet boots, and is left alone.
fn takes_part(vm: &&VmView) -> bool {
    vm.can_move() && vm.report().is_some()
}

impl Deflation {
    /// Its name in `--policy`.
    pub const NAME: &'static str = "deflation";

    /// The policy with these parameters.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config }
    }

    fn look(&self, host: &HostView<'_>, vms: &[VmView]) -> Move {
        let needed = sum(vms.iter().map(has)) + sum(host.reservations.iter().map(|start| start.needed));
        let capacity = u128::from(host.capacity.get());
        let taking_part = || vms.iter().filter(takes_part);
        match needed.checked_sub(capacity) {
            Some(amount) if amount > 0 => Move::Deflate {
                amount,
                above_minimum: sum(taking_part().map(|vm| has(vm).saturating_sub(vm.lowest))),
            },
            _ => {
                let free = (capacity - needed) as f64 * self.config.reinflation.clamp(0.0, 1.0);
                if free < host.minimum_move.get() as f64 {
                    return Move::Nothing;
                }
                let deflated = sum(taking_part().map(|vm| vm.highest.saturating_sub(has(vm))));
                Move::Reinflate { amount: free as u128, deflated }
            }
        }
    }
}

impl Policy for Deflation {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn uses_priority(&self) -> bool {
        false
    }

    fn interval(&self) -> Duration {
        self.config.interval.max(Duration::from_millis(100))
    }

    fn round(&mut self, host: &HostView<'_>, vms: &[VmView], proposal: &mut Proposal) {
        let situation = self.look(host, vms);
        let pages = |pages: u128| PageCount(u64::try_from(pages).unwrap_or(u64::MAX));
        for (index, vm) in vms.iter().enumerate() {
            let has = has(vm);
            let (rule, target) = match situation {
                _ if !takes_part(&vm) => ("cannot-move", has),
                Move::Deflate { amount, above_minimum } => {
                    let part = u128::from(has.saturating_sub(vm.lowest).get());
                    let gives = share(amount, part, above_minimum);
                    // Rounded up, so that what is lacking is there; never below the minimum.
                    let gives = (gives + u128::from(gives < part)).min(part);
                    ("deflate", has.saturating_sub(pages(gives)))
                }
                Move::Reinflate { amount, deflated } => {
                    let part = u128::from(vm.highest.saturating_sub(has).get());
                    ("reinflate", has.saturating_add(pages(share(amount, part, deflated))))
                }
                Move::Nothing => ("keep", has),
            };
            let reason = Reason::new(rule)
                .with("had_mib", has.mib())
                .with("minimum_mib", vm.lowest.mib())
                .with("maximum_mib", vm.highest.mib());
            proposal.set(index, vm.reachable(target), reason);
        }
        let (rule, amount) = match situation {
            Move::Deflate { amount, .. } => ("deflating", amount),
            Move::Reinflate { amount, .. } => ("reinflating", amount),
            Move::Nothing => ("at-rest", 0),
        };
        proposal.summarize(
            Reason::new(rule)
                .with("amount_mib", pages(amount).mib())
                .with("available_mib", host.available.mib()),
        );
    }
}

#[cfg(test)]
mod tests {
    use balancing_policy::{GuestStatus, MemorySettings, Reservation, Target, VmId};

    use super::*;

    const fn mib(mib: u64) -> PageCount {
        PageCount::from_mib(mib)
    }

    #[test]
    fn conforms() {
        policy_conformance::assert_conforms(Deflation::default);
    }

    #[test]
    fn everyone_gives_in_proportion_to_its_size_above_its_minimum() {
        let above = [3072, 1536, 0];
        let all = above.iter().sum();
        assert_eq!(above.map(|part| share(900, part, all)), [600, 300, 0]);
        // No more than there is above the minimums.
        assert_eq!(above.map(|part| share(9000, part, all)), above);
        // What was given comes back in proportion to that.
        assert_eq!([600, 300, 0].map(|part| share(450, part, 900)), [300, 150, 0]);
        assert_eq!(share(100, 0, 0), 0);
    }

    /// VMs with their size, minimum and maximum in MiB, on a host with so much for VMs; a start needs `start`.
    fn targets(vms: &[(u64, u64, u64)], capacity: u64, start: u64) -> Vec<u64> {
        let views: Vec<VmView> = (1..)
            .zip(vms)
            .map(|(id, &(size, minimum, maximum))| {
                let settings = MemorySettings::dynamic(mib(minimum), mib(maximum));
                VmView::new(VmId(id), settings).with(|vm| {
                    vm.assigned = mib(size);
                    vm.history.push(Duration::ZERO, GuestStatus::default());
                })
            })
            .collect();
        let starts = [Reservation::new(VmId(99), 5000, mib(start), Duration::ZERO)];
        let held: u64 = vms.iter().map(|vm| vm.0).sum();
        let host = HostView::new(mib(capacity), mib(capacity.saturating_sub(held)))
            .with(|host| host.reservations = if start > 0 { &starts } else { &[] });
        let mut proposal = Proposal::default();
        proposal.begin(views.iter().map(|vm| Target { pages: vm.assigned, reason: Reason::new("started") }));
        Deflation::default().round(&host, &views, &mut proposal);
        proposal.targets().iter().map(|target| target.pages.whole_mib()).collect()
    }

    #[test]
    fn a_start_deflates_and_its_end_reinflates() {
        let vms = [(4096, 1024, 4096), (2048, 512, 2048), (1024, 1024, 2048)];
        // 7168 MB are held; 900 of the 1000 that the start needs are lacking. A page more each, to be sure.
        assert_eq!(targets(&vms, 7268, 1000), [3495, 1747, 1024]);
        // Minimums hold, whatever the start needs.
        assert_eq!(targets(&vms, 7168, 60_000), [1024, 512, 1024]);
        // 450 MB are free again: the first lacks 600 of its maximum, the second 300, the third nothing.
        let deflated = [(3496, 1024, 4096), (1748, 512, 2048), (2048, 1024, 2048)];
        assert_eq!(targets(&deflated, 7292 + 450, 0), [3796, 1898, 2048]);
    }
}
