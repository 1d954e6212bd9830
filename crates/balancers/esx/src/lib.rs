//! ESX: shares, an idle memory tax, and revocation from whoever pays least.
//!
//! # The algorithm
//!
//! * A VM pays ρ = shares / (P · (f + k·(1 − f))) per page: P what it has, f the active part of it, k = 1/(1 − τ). With the
//!   tax τ = 0.75 an idle page costs four times an active one. Memory is revoked from the VM with the lowest ρ that is above
//!   its minimum, and goes to those that want it ([`revoke`], [`Client`]).
//! * f is sampled; the estimate is the largest of a slow average, a fast average, and the fast average with the current
//!   period of 30 s ([`ActiveMemory`]).
//! * [Free-memory states](FreeMemory): high, soft, hard, low at 6, 4, 2 and 1 % of the host. In *high* nothing is reclaimed; in
//!   the others, by ballooning (at most 65 % of a VM), until clearly above high.
//! * Rebalanced every 15 s, and at once when a VM wants memory, one waits to start, or the state changes.
//!
//! Source: Waldspurger, "Memory Resource Management in VMware ESX Server", OSDI 2002, sections 5 and 6.
//!
//! # Where this host differs
//!
//! * **Active memory**: there, 100 random pages a period are watched for touches. Here an agent in the guest may say how many pages were touched
//!   ([`balancing_policy::Insight`]). Of a guest without one a policy sees reports only: what then stands
//!   in for it is the smaller of commit and used memory (what the VM has, less what is available in the guest): both bound
//!   from above what can be active. So what is in use and never touched counts as active here, and file cache counts as
//!   idle. Averages are of amounts, not of fractions: a fraction would change meaning whenever the VM's size does.
//! * **Wanting memory**: there, a guest sees its configured size and gets a page when it touches it. Here it must be given
//!   memory before. A VM wants its demand and its buffer: the buffer stands for what its guest touches while memory is on
//!   its way.
//! * **Paging by the host** (states hard and low) does not exist here: memory is owned, never overcommitted. In both states
//!   VMs are ballooned, as in soft.
//! * **State high** would grant until free memory falls below the threshold of soft, and then reclaim up to high again: here
//!   what is wanted when that would leave less than high free is taken from those who pay less at once, so that free memory
//!   comes to rest.
//! * **Shares** are the VM's weight, 1 at the least.
//!
//! # What it is blind to
//!
//! It taxes idle VMs that will be in a hurry when they wake up.
#![forbid(unsafe_code)]

mod active;
mod constants;
mod funding;
mod state;

pub use active::{ActiveMemory, Averaging};
pub use constants::constants;
pub use funding::{Client, idle_cost, revoke};
pub use state::FreeMemory;

use core::time::Duration;

use balancing_policy::{
    HostView, InsightKind, KeyInput, MemorySettings, PageCount, PerVm, Policy, Proposal, Reason, VmView,
};
use serde::{Deserialize, Serialize};

use constants as c;

/// Parameters of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Time between rebalances.
    pub rebalance_interval: Duration,
    /// Time between looks for events.
    pub event_interval: Duration,
    /// Idle memory tax, 0 (pure shares) to below 1.
    pub tax: f64,
    /// Sampling period of active memory.
    pub sample_period: Duration,
    /// Gain of the slow average, per period.
    pub slow_gain: f64,
    /// Gain of the fast average, per period.
    pub fast_gain: f64,
    /// Threshold of state high, as a part of the host's memory.
    pub high: f64,
    /// Threshold of state soft.
    pub soft: f64,
    /// Threshold of state hard.
    pub hard: f64,
    /// Threshold of state low.
    pub low: f64,
    /// By how much a threshold must be exceeded for a state to be entered from below.
    pub margin: f64,
    /// Most of a VM's memory that is ballooned.
    pub balloon_limit: f64,
    /// Whether weights decide. If not, all have the same shares.
    pub weights: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rebalance_interval: c::INTERVAL.duration(),
            event_interval: c::EVENT_INTERVAL.duration(),
            tax: c::TAX.value,
            sample_period: c::SAMPLE_PERIOD.duration(),
            slow_gain: c::SLOW_GAIN.value,
            fast_gain: c::FAST_GAIN.value,
            high: c::HIGH.value,
            soft: c::SOFT.value,
            hard: c::HARD.value,
            low: c::LOW.value,
            margin: c::MARGIN.value,
            balloon_limit: c::BALLOON_LIMIT.value,
            weights: true,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct State {
    active: ActiveMemory,
    sampled: Option<Duration>,
    /// What was decided when it was last rebalanced.
    target: Option<PageCount>,
    reason: Reason,
}

impl Default for State {
    fn default() -> Self {
        Self { active: ActiveMemory::default(), sampled: None, target: None, reason: Reason::new("keep") }
    }
}

/// ESX's policy: see the [crate's documentation](crate).
#[derive(Clone, Debug, Default)]
pub struct Esx {
    config: Config,
    states: PerVm<State>,
    free_state: FreeMemory,
    next_rebalance: Duration,
    clients: Vec<Client>,
    /// Where the clients are among the VMs.
    places: Vec<usize>,
}

/// What of the host decides a round, in pages.
#[derive(Clone, Copy, Debug)]
struct Situation {
    /// Memory that no VM has, beside what is kept for starts.
    free: f64,
    /// What VMs lack of what they want.
    wished: f64,
}

impl Esx {
    /// Its name in `--policy`.
    pub const NAME: &'static str = "esx";

    /// The policy with these parameters.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    fn shares(&self, weight: u32) -> f64 {
        let weight = if self.config.weights { weight } else { MemorySettings::DEFAULT_WEIGHT };
        f64::from(weight.max(1)) * c::SHARES_PER_WEIGHT.value
    }

    fn averaging(&self) -> Averaging {
        let Config { sample_period, slow_gain, fast_gain, .. } = self.config;
        Averaging { period: sample_period, slow: slow_gain, fast: fast_gain }
    }

    fn sample(&mut self, vms: &[VmView]) {
        let averaging = self.averaging();
        for (vm, state) in vms.iter().zip(self.states.align(vms)) {
            let Some(report) = vm.report() else { continue };
            if state.sampled != Some(report.at) {
                state.sampled = Some(report.at);
                let used = vm.assigned.saturating_sub(report.available);
                let touched = vm.measured().and_then(|measured| measured.active);
                let sample = touched.map_or(report.demand.min(used), |pages| pages.min(vm.assigned));
                state.active.add(report.at, sample.get() as f64, &averaging);
            }
        }
    }

    /// The VMs that take part, each with what it has and, if that is less, what it wants.
    fn collect(&mut self, host: &HostView<'_>, vms: &[VmView]) -> Situation {
        self.clients.clear();
        self.places.clear();
        let averaging = self.averaging();
        let (mut held, mut wished) = (0.0, 0.0);
        for (index, vm) in vms.iter().enumerate() {
            let has = vm.reachable(vm.expected()).get() as f64;
            held += has;
            let active = self.states.at(index).and_then(|state| state.active.estimate(&averaging));
            let (Some(demand), Some(active), true) = (vm.demand(), active, vm.can_move()) else { continue };
            let wanted = demand.get() as f64 * (1.0 + vm.settings.buffer_fraction());
            let wish = (wanted.min(vm.highest.get() as f64) - has).max(0.0);
            wished += wish;
            let visible = vm.assigned.saturating_add(vm.returnable).get() as f64;
            let floor = (vm.lowest.get() as f64).max((1.0 - self.config.balloon_limit) * visible);
            self.places.push(index);
            self.clients.push(Client {
                shares: self.shares(vm.settings.weight),
                memory: has + wish,
                active,
                minimum: floor.min(has),
            });
        }
        let starts: f64 = host.reservations.iter().map(|start| start.needed.get() as f64).sum();
        Situation { free: (host.capacity.get() as f64 - held - starts).max(0.0), wished }
    }

    fn rebalance(&mut self, host: &HostView<'_>, vms: &[VmView], now: &Situation) {
        let total = host.total.get() as f64;
        let keep = match self.free_state {
            FreeMemory::High => (self.config.high * total).min(now.free),
            _ => (self.config.high + self.config.margin) * total,
        };
        let starts: f64 = host.reservations.iter().map(|start| start.needed.get() as f64).sum();
        let held: f64 = vms.iter().map(|vm| vm.reachable(vm.expected()).get() as f64).sum();
        // A page less, so that rounding of sums never makes it too much.
        let budget = host.capacity.get() as f64 - 1.0 - starts - keep;
        let lacking = held + now.wished - budget;
        let cost = idle_cost(self.config.tax);
        let price = if lacking > 0.0 { revoke(&mut self.clients, lacking, cost) } else { 0.0 };
        let averaging = self.averaging();
        let states = self.states.align(vms);
        for (client, &index) in self.clients.iter().zip(&self.places) {
            let (vm, state) = (&vms[index], &mut states[index]);
            let has = vm.reachable(vm.expected());
            let target = vm.reachable(PageCount(client.memory.max(0.0) as u64));
            state.target = Some(target);
            let rule = if target > has {
                "granted"
            } else if target < has {
                "revoked"
            } else {
                "keep"
            };
            let active = PageCount(state.active.estimate(&averaging).unwrap_or(0.0) as u64);
            state.reason = Reason::new(rule)
                .with("shares", client.shares)
                .with("had_mib", has.mib())
                .with("active_mib", active.mib())
                .with("demand_mib", vm.demand().unwrap_or_default().mib())
                .with("pays_per_mib", (client.price(cost) * 256.0).min(f64::MAX))
                .with("revoked_below_per_mib", (price * 256.0).min(f64::MAX));
        }
    }
}

impl Policy for Esx {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn uses_priority(&self) -> bool {
        self.config.weights
    }

    fn interval(&self) -> Duration {
        self.config.event_interval
    }

    fn key_input(&self) -> Option<KeyInput> {
        Some(KeyInput {
            kind: InsightKind::Active,
            otherwise: "it takes all memory in use for active, up to the guest's commit",
        })
    }

    fn round(&mut self, host: &HostView<'_>, vms: &[VmView], proposal: &mut Proposal) {
        self.sample(vms);
        let situation = self.collect(host, vms);
        let total = host.total.get().max(1) as f64;
        let state = self.free_state.next(situation.free / total, &self.config);
        let event = state != self.free_state
            || situation.wished >= host.minimum_move.get() as f64
            || !host.reservations.is_empty();
        self.free_state = state;
        let held: u128 = vms.iter().map(|vm| u128::from(vm.reachable(vm.expected()).get())).sum();
        if event || host.now >= self.next_rebalance {
            if host.now >= self.next_rebalance {
                self.next_rebalance = host.now + self.config.rebalance_interval;
            }
            self.rebalance(host, vms, &situation);
        }
        let left = u128::from(host.capacity.get()).saturating_sub(held);
        let mut left = PageCount(u64::try_from(left).unwrap_or(u64::MAX));
        let states = self.states.align(vms);
        let mut places = self.places.iter().copied().peekable();
        // What shrinks makes room only when it has shrunk: what grows is bounded by what there is and what comes.
        let mut freed = PageCount::ZERO;
        for &index in &self.places {
            let vm = &vms[index];
            let has = vm.reachable(vm.expected());
            freed =
                freed.saturating_add(has.saturating_sub(vm.reachable(states[index].target.unwrap_or(has))));
        }
        left = left.saturating_add(freed);
        for (index, vm) in vms.iter().enumerate() {
            let has = vm.reachable(vm.expected());
            if places.next_if_eq(&index).is_none() {
                let rule = if vm.report().is_none() { "no-report" } else { "cannot-move" };
                proposal.set(index, has, Reason::new(rule).with("kept_mib", has.mib()));
                continue;
            }
            let state = &states[index];
            let target = vm.reachable(state.target.unwrap_or(has)).min(has.saturating_add(left));
            left -= target.saturating_sub(has);
            proposal.set(index, target, state.reason);
        }
        let mib = |pages: f64| PageCount(pages as u64).mib();
        proposal.summarize(
            Reason::new(self.free_state.name())
                .with("free_mib", mib(situation.free))
                .with("free_fraction", situation.free / total)
                .with("wished_mib", mib(situation.wished)),
        );
    }
}

#[cfg(test)]
mod tests;
