//! MEB, the Memory Balancer: VMs get their working sets, and where these do not fit, memory goes where it saves most misses.
//!
//! # The algorithm
//!
//! * A VM's **miss curve** says which share of its touches misses at which size; its **working set** is the least size at which no more than 5 % do.
//! * **Enough for all working sets**: everyone has its own, and a share of the rest in proportion to it.
//! * **Not enough**: sizes between minimum and working set at which all VMs together miss least. [`least_misses`] gives memory where the next
//!   page saves most misses a second, looking as far ahead as there is a better rate; for curves that get flatter that is the optimum. Where
//!   several save the same, they get memory in proportion to what they still lack.
//!
//! Two VMs that touch 100 pages a second each, one of which misses none with 100 pages and the other none with 400, have 200 pages between them:
//! a page saves the first 1 miss a second and the second a quarter, so that the first has its 100, and the second the other 100.
//!
//! Source: Zhao and Wang, "Dynamic Memory Balancing for Virtual Machines" (VEE 2009), which has the curves, the working sets and the least misses; Wang and
//! others, "Dynamic Memory Balancing for Virtualization" (ACM TACO 2016). This was written from their public abstracts: constants are this
//! project's, and so is the search for the least misses.
//!
//! # Where this host differs
//!
//! * **Curves** are made there by the hypervisor, which takes rights to pages away and sees who comes to touch them, in the order of last use.
//!   Here an agent in the guest says them ([`balancing_policy::Insight`]). A VM whose guest has none is taken to touch all that it has committed
//!   equally often.
//! * **Curves of this project's guests** are straight lines: their model knows what is touched and what is not, and nothing of how often. So all
//!   pages that are touched are worth the same, and where working sets do not fit, all VMs lack the same share of them.
//! * **Beyond what a VM has** a curve made from touches is blind, so that swapping is looked at there as well. An agent in the model knows all
//!   that its processes touch.
#![forbid(unsafe_code)]

mod constants;
mod misses;

pub use constants::constants;
pub use misses::{Claim, least_misses, with_enough};

use core::time::Duration;

use balancing_policy::{
    HostView, InsightKind, KeyInput, MissCurve, MissPoint, PageCount, Policy, Proposal, Reason, VmView,
};
use serde::{Deserialize, Serialize};

use constants as c;

/// Parameters of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Time between two balancings.
    pub interval: Duration,
    /// Share of touches that may miss with a VM's working set.
    pub miss_ratio: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { interval: c::INTERVAL.duration(), miss_ratio: c::MISS_RATIO.value }
    }
}

/// The Memory Balancer: see the [crate's documentation](crate).
#[derive(Clone, Debug, Default)]
pub struct Meb {
    config: Config,
    claims: Vec<Claim>,
    /// Where the claims are among the VMs.
    places: Vec<usize>,
    next: Duration,
    /// What each VM was given at the last balancing, pages; `None`: nothing was said of it.
    targets: balancing_policy::PerVm<Option<PageCount>>,
}

fn has(vm: &VmView) -> PageCount {
    vm.reachable(vm.expected())
}

/// All that was committed, touched equally often.
fn stand_in(demand: PageCount) -> Option<MissCurve> {
    let touches = demand.get() as f64 / c::TOUCH.value;
    let points = [(PageCount::ZERO, 1.0), (demand, 0.0)];
    MissCurve::new(touches, points.map(|(size, ratio)| MissPoint { size, ratio }).to_vec()).ok()
}

impl Meb {
    /// Its name in `--policy`.
    pub const NAME: &'static str = "meb";

    /// The policy with these parameters.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    /// What takes part: VMs that say what they need and can be moved. Returned is what the others hold.
    fn collect(&mut self, vms: &[VmView]) -> u128 {
        self.claims.clear();
        self.places.clear();
        let mut others = 0;
        for (index, vm) in vms.iter().enumerate() {
            let demand = vm.demand().filter(|_| vm.can_move());
            let measured = vm.measured().and_then(|measured| measured.curve.clone());
            let Some(curve) = demand.and_then(|demand| measured.or_else(|| stand_in(demand))) else {
                others += u128::from(has(vm).get());
                continue;
            };
            let set = vm.reachable(curve.size_for(self.config.miss_ratio.clamp(0.0, 1.0)));
            self.places.push(index);
            self.claims.push(Claim {
                curve,
                least: vm.lowest,
                set,
                most: vm.highest,
                given: PageCount::ZERO,
            });
        }
        others
    }
}

impl Policy for Meb {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn uses_priority(&self) -> bool {
        false
    }

    fn key_input(&self) -> Option<KeyInput> {
        Some(KeyInput {
            kind: InsightKind::Curve,
            otherwise: "it takes a guest for one that touches all it has committed equally often",
        })
    }

    fn round(&mut self, host: &HostView<'_>, vms: &[VmView], proposal: &mut Proposal) {
        let starts: u128 = host.reservations.iter().map(|start| u128::from(start.needed.get())).sum();
        let mut targets = core::mem::take(&mut self.targets);
        let told = targets.align(vms);
        let mut rule = "between-balancings";
        if host.now >= self.next || starts > 0 {
            self.next = host.now.saturating_add(self.config.interval);
            let others = self.collect(vms);
            let capacity = u128::from(host.capacity.get()).saturating_sub(others + starts);
            let sets: u128 = self.claims.iter().map(|claim| u128::from(claim.set.get())).sum();
            if sets <= capacity {
                rule = "enough";
                with_enough(capacity, &mut self.claims);
            } else {
                rule = "least-misses";
                least_misses(capacity, &mut self.claims);
            }
            told.fill(None);
            for (claim, &place) in self.claims.iter().zip(&self.places) {
                told[place] = Some(claim.given);
            }
        }
        let held: u128 = vms.iter().map(|vm| u128::from(has(vm).get())).sum();
        let giving: u128 = vms
            .iter()
            .zip(&*told)
            .map(|(vm, told)| told.map_or(0, |told| has(vm).saturating_sub(vm.reachable(told)).get()))
            .map(u128::from)
            .sum();
        let left = (u128::from(host.capacity.get()) + giving).saturating_sub(held + starts);
        let mut left = PageCount(u64::try_from(left).unwrap_or(u64::MAX));
        for (index, (vm, told)) in vms.iter().zip(&*told).enumerate() {
            let has = has(vm);
            let wanted = told.filter(|_| vm.can_move()).map_or(has, |told| vm.reachable(told));
            let growth = wanted.saturating_sub(has).min(left);
            left -= growth;
            let decided = match wanted.cmp(&has) {
                _ if !vm.can_move() => "cannot-move",
                core::cmp::Ordering::Greater => "grow",
                core::cmp::Ordering::Less => "shrink",
                core::cmp::Ordering::Equal => "keep",
            };
            let curve = vm.measured().and_then(|measured| measured.curve.as_ref());
            let misses = |size| curve.map_or(0.0, |curve| curve.misses_at(size));
            let reason = Reason::new(decided)
                .with("had_mib", has.mib())
                .with("wanted_mib", wanted.mib())
                .with("demand_mib", vm.demand().unwrap_or_default().mib())
                .with("misses_per_s", misses(has))
                .with("misses_then_per_s", misses(wanted));
            proposal.set(index, wanted.min(has.saturating_add(growth)), reason);
        }
        self.targets = targets;
        proposal.summarize(Reason::new(rule).with("available_mib", host.available.mib()));
    }
}

#[cfg(test)]
mod tests;
