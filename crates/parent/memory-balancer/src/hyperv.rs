//! The policy `hyperv`: a pressure band, as far as Hyper-V's is documented.
//!
//! Documented are pressure, target, buffer and weight, and how the product behaves; not documented is how it decides.
//! This is a design that satisfies all that is documented (the constants are labelled in
//! [`constants`](crate::constants())):
//!
//! * A VM is satisfied at p* = 100 / (1 + buffer), and left alone within p* ± δ.
//! * **Memory suffices**: a VM above its band is brought to p*. A VM below its band gives memory back when another VM
//!   needs it, or when the VM has been below for the hold time. What is taken for others is taken from low weights first;
//!   priority has no other effect.
//! * **Shortage**: there is one λ ≥ 0 such that pressure_i = p*_i · (1 + λ · g(weight_i)), within minimum and maximum,
//!   uses up the capacity. The buffer gives way first; a low weight loses more. A stock is kept back that covers what is
//!   granted while memory for it is still being taken from others, but no more of it than is lacking: so nothing jumps
//!   when a shortage begins or ends.
//! * **Starts**: λ may rise for a VM that is to start up to a bound that its weight sets. At weight 0 that is 0: only
//!   others' surplus may be taken. If that is not enough, no VM is pressed in vain.
//!
//! Equal weights come to equal pressure as far as guests give. A guest gives what it does not use, and (Windows) what its
//! applications no longer touch; what they keep touching it does not give, and after a refusal it is asked again after a pause
//! that grows to five minutes, as the product's does. So where applications keep touching all that they have, whoever came first
//! keeps more than its weight says: of two VMs of one weight that need 2.6 GB each where there are 4.2 GB for both, the first
//! comes to a pressure of 107 and the second to 146, and both to 133 if half is touched. The pause has no part in that: with 20 s in
//! place of 300 the pressures are the same. No public source says whether the product's guests give what is in use.
//!
//! VMs that cannot be moved now (see [`VmView::lowest`]) count with what they have.
//!
//! A guest that takes memory in large granules only (128 MiB for Linux) gets nothing until a whole one is free, so its claim
//! is rounded up to that.

mod granules;
mod solve;
mod suffices;

use core::time::Duration;

use balancing_policy::{
    HostView, MemorySettings, PageCount, PerVm, Phase, Policy, PressureBand, Proposal, Reason, VmView,
    satisfied_pressure,
};
use serde::{Deserialize, Serialize};

use crate::constants as c;
use solve::Claims;

#[cfg(test)]
mod tests;

/// Settings of the policy. Each mechanism can be switched off, to show what depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HyperVConfig {
    /// Half the width of the band, in percent of pressure.
    pub half_width: f64,
    /// Time below the band before memory is reclaimed without contention; in files in seconds. 0 switches the hold off.
    #[serde(with = "seconds")]
    pub hold: Duration,
    /// Whether weights decide in a shortage. If not, all count as the default weight.
    pub weights: bool,
    /// The lead-time stock, as a multiple of what is granted during the lead time. 0 switches the stock off.
    pub stock_factor: f64,
}

/// A time in seconds, as a number that people write.
mod seconds {
    use core::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(time.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Default for HyperVConfig {
    fn default() -> Self {
        Self {
            half_width: c::BAND_HALF_WIDTH.value,
            hold: c::HOLD.duration(),
            weights: true,
            stock_factor: c::STOCK_FACTOR.value,
        }
    }
}

impl HyperVConfig {
    /// g(weight): positive, falling with weight, 1 at the default weight.
    fn share(&self, weight: u32) -> f64 {
        let weight = if self.weights { weight } else { MemorySettings::DEFAULT_WEIGHT };
        let weight = weight.min(*MemorySettings::WEIGHT_RANGE.end());
        (c::SHARE_WEIGHT_OFFSET.value - f64::from(weight)) / c::SHARE_WEIGHT_DIVISOR.value
    }

    /// The λ that may be reached for the start of a VM of this weight.
    fn start_bound(&self, weight: u32) -> f64 {
        let default = f64::from(MemorySettings::DEFAULT_WEIGHT);
        let weight = if self.weights { f64::from(weight) } else { default };
        c::START_BOUND.value * weight / default
    }
}

/// The pressure-band policy that stands for Hyper-V's: see the [module](self).
#[derive(Clone, Debug, Default)]
pub struct PressureBandPolicy {
    config: HyperVConfig,
    states: PerVm<State>,
    claims: Claims,
    /// VMs that give, by index, each with what the order of giving goes by: scratch of a round.
    donors: Vec<(u64, usize)>,
    /// λ of the last round.
    lambda: f64,
    short: bool,
}

/// Which way a VM is being brought to p*. A course is entered at an edge of the band and left at p*.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Course {
    #[default]
    Steady,
    Growing,
    Reclaiming,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    course: Course,
    below_since: Option<Duration>,
}

/// What of the host decides a round, in pages.
#[derive(Clone, Copy, Debug)]
struct Situation {
    /// What running VMs can have beside what is kept for starts.
    capacity: f64,
    /// What they would have if memory sufficed.
    wanted: f64,
    stock: f64,
    starts: f64,
    /// Whether starts wait for which no VM may be pressed.
    hopeless: bool,
}

impl PressureBandPolicy {
    /// Its name in `--policy`.
    pub const NAME: &'static str = "hyperv";

    /// The policy with these settings.
    #[must_use]
    pub fn new(config: HyperVConfig) -> Self {
        Self { config, ..Self::default() }
    }

    /// λ of the last round: 0 unless memory is short.
    #[must_use]
    pub fn lambda(&self) -> f64 {
        self.lambda
    }

    /// The pressure at which the VM is satisfied now: p*, or above it in a shortage.
    fn centre(&self, settings: &MemorySettings) -> f64 {
        satisfied_pressure(settings) * (1.0 + self.lambda * self.config.share(settings.weight))
    }

    fn band_of(&self, settings: &MemorySettings) -> PressureBand {
        PressureBand::around(self.centre(settings), self.config.half_width)
    }

    /// What every VM claims, and where it stands to its band.
    fn collect(&mut self, host: &HostView<'_>, vms: &[VmView]) {
        self.claims.clear();
        let Self { config, states, claims, .. } = self;
        for (vm, state) in vms.iter().zip(states.align(vms)) {
            let share = config.share(vm.settings.weight);
            match vm.demand() {
                Some(demand) if vm.can_move() => {
                    // What a guest claims beyond its maximum can never be met, and presses no other VM.
                    let demand = demand.min(vm.settings.maximum);
                    let wanted = demand.get() as f64 * (1.0 + vm.settings.buffer_fraction());
                    let reachable = vm.reachable(PageCount(wanted as u64));
                    state.follow(host, config, vm, demand, reachable);
                    claims.push(wanted, share, vm.lowest.get() as f64, vm.highest.get() as f64);
                }
                // Nothing is known of its need, or nothing can be done about it.
                _ => {
                    *state = State::default();
                    let kept = vm.reachable(vm.expected()).get() as f64;
                    claims.push(kept, share, kept, kept);
                }
            }
        }
    }

    fn assess(&self, host: &HostView<'_>) -> Situation {
        let capacity = host.capacity.get() as f64;
        let wanted = self.claims.total(0.0);
        let stock = self.config.stock_factor * host.grant_rate * host.lead_time.as_secs_f64();
        let stock = stock.max(0.0).min(capacity);
        let (mut starts, mut hopeless) = (0.0, false);
        if !host.reservations.is_empty() {
            let without = self.claims.solve(capacity, self.lambda).lambda;
            for start in host.reservations {
                let bound = self.config.start_bound(start.weight).max(without);
                let with = starts + start.needed.get() as f64;
                if self.claims.total(bound) + with <= capacity {
                    starts = with;
                } else {
                    hopeless = true;
                    starts += start.own.get() as f64;
                }
            }
        }
        Situation { capacity: capacity - starts, wanted, stock, starts, hopeless }
    }

    /// λ for this round.
    fn balance(&mut self, host: &HostView<'_>, now: &Situation) -> f64 {
        let lacking = now.wanted - now.capacity;
        self.short = lacking > 0.0;
        if !self.short {
            return 0.0;
        }
        // The stock is laid in as the shortage deepens: all of it at once would make the VM that grows give memory back
        // in the moment in which there is no more for it.
        let stock = now.stock.min(lacking);
        let lambda = self.claims.solve((now.capacity - stock).max(0.0), self.lambda).lambda;
        if now.starts > 0.0 {
            // The stock is not worth more than the bound that a start has.
            let bound = host
                .reservations
                .iter()
                .map(|start| self.config.start_bound(start.weight))
                .fold(0.0, f64::max);
            let least = self.claims.solve(now.capacity, self.lambda).lambda;
            return lambda.min(bound.max(least));
        }
        lambda
    }

    fn share_shortage(&mut self, host: &HostView<'_>, vms: &[VmView], lambda: f64, proposal: &mut Proposal) {
        let step = host.minimum_move.get() as f64;
        let mut owed = 0.0;
        self.donors.clear();
        for (index, vm) in vms.iter().enumerate() {
            let Some(demand) = self.movable(index, vm, proposal) else { continue };
            let target = PageCount(self.claims.at(index, lambda) as u64).max(vm.lowest);
            let reason = Reason::new("shortage")
                .with("demand_mib", demand.mib())
                .with("buffer_percent", f64::from(vm.settings.buffer))
                .with("weight", f64::from(vm.settings.weight))
                .with("lambda", lambda)
                .with("pressure_wanted_percent", self.centre(&vm.settings));
            proposal.set(index, target, reason);
            let surplus = vm.expected().get() as f64 - target.get() as f64;
            if surplus.abs() < step {
                owed += surplus;
                if surplus > 0.0 {
                    self.donors.push((surplus as u64, index));
                }
            }
        }
        self.collect_what_is_owed(host, vms, owed, proposal);
    }

    /// What VMs have above their targets by less than a move would stay with them, and the more VMs there are the less
    /// of the stock would be there. Those that owe most give a whole move each, until less than a move is owed in all.
    fn collect_what_is_owed(
        &mut self,
        host: &HostView<'_>,
        vms: &[VmView],
        mut owed: f64,
        proposal: &mut Proposal,
    ) {
        let step = host.minimum_move;
        if owed < step.get() as f64 {
            return;
        }
        self.donors.sort_unstable_by_key(|&(surplus, index)| (core::cmp::Reverse(surplus), index));
        for &(_, index) in &self.donors {
            if owed < step.get() as f64 {
                break;
            }
            let target = *proposal.target(index);
            // Below the target, which is missed by less than a move.
            let given = vms[index].expected().checked_sub(step);
            if let Some(given) = given.filter(|&given| given >= vms[index].lowest) {
                owed -= step.get() as f64;
                proposal.set(index, given, target.reason.with("collected_mib", step.mib()));
            }
        }
    }

    /// The demand of a VM that can be moved. For one that cannot, its target is set.
    fn movable(&self, index: usize, vm: &VmView, proposal: &mut Proposal) -> Option<PageCount> {
        match vm.demand() {
            Some(demand) if vm.can_move() => Some(demand),
            demand => {
                let rule = if !vm.settings.dynamic {
                    "static"
                } else if vm.phase == Phase::Starting {
                    "starting"
                } else if !vm.responsive {
                    "set-aside"
                } else if demand.is_none() {
                    "no-report"
                } else {
                    "cannot-move"
                };
                let kept = vm.reachable(vm.expected());
                proposal.set(index, kept, Reason::new(rule).with("kept_mib", kept.mib()));
                None
            }
        }
    }
}

impl Policy for PressureBandPolicy {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn uses_priority(&self) -> bool {
        self.config.weights
    }

    fn round(&mut self, host: &HostView<'_>, vms: &[VmView], proposal: &mut Proposal) {
        self.collect(host, vms);
        let mut situation = self.assess(host);
        self.lambda = self.balance(host, &situation);
        if self.claim_whole_granules(host, vms, &situation) {
            situation = self.assess(host);
            self.lambda = self.balance(host, &situation);
        }
        let rule = if self.short {
            self.share_shortage(host, vms, self.lambda, proposal);
            "shortage"
        } else {
            self.satisfy(host, vms, &situation, proposal)
        };
        if !host.reservations.is_empty() {
            self.leave_for_starts(&situation, proposal);
        }
        let mib = |pages: f64| PageCount(pages.max(0.0) as u64).mib();
        proposal.summarize(
            Reason::new(rule)
                .with("capacity_mib", mib(situation.capacity))
                .with("wanted_mib", mib(situation.wanted))
                .with("stock_mib", mib(situation.stock))
                .with("starts_mib", mib(situation.starts))
                .with("lambda", self.lambda)
                .with("available_mib", host.available.mib()),
        );
    }

    fn band(&self, vm: &VmView) -> PressureBand {
        self.band_of(&vm.settings)
    }
}
