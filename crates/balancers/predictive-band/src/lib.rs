//! Predictive band: memory is moved when a forecast says that it will be needed, and only then.
//!
//! A design of this project, made to beat Hyper-V's pressure band on unmet demand and on memory moved at the same time. What
//! it changes, and why:
//!
//! * **Forecasts instead of a flat buffer** ([`Forecast`]). A VM's *need* is its demand, carried along its trend for as long as
//!   it takes memory to arrive. Its *margin* is by how much demand surprised lately, fading; a VM that never surprises has
//!   5 %. Beyond that is *comfort*, which is what an administrator's buffer asks for.
//! * **Comfort is given from what is free, never at another's expense.** Free memory is useless, so while it suffices
//!   everyone is given the whole buffer, as by Hyper-V. But what must first be taken from another costs two moves
//!   and a wait: that is done for needs and margins (and some of the comfort, for evenness), not for 20 %.
//! * **Taken where it is missed least.** One number, the level ([`Claims`]), says how much every VM keeps. The VM that has
//!   most beyond its comfort gives first, low weights earlier. No more is taken than is lacking.
//! * **No guest is asked in vain.** A guest that refused is asked again when it has more to give, not each time the
//!   balancer's
//!   pause is over: another refusal would double the pause, and it would be paused when it could give.
//! * **Surplus is taken after a hold that learns.** Where what was taken is soon wanted back, the hold doubles. Where all
//!   VMs have one weight surplus is left for 200 s at least: none of them keeps what is another's first.
//! * **Bursts are met at once**: rounds four times a second, one operation's worth of memory kept free. If the parent
//!   pages, which makes every operation slower, more is kept free for it, from comfort only.
//! * **In a shortage** needs are cut as by Hyper-V, with the same weights: pressure = 100 · (1 + λ · g(weight)). But all
//!   margins go first, nothing is held back while demand is unmet (but for starts), and no VM is given more for less than 3 % or 48 MB.
//! * **Further starts are expected.** A start is refused at once if its memory is not there, and who is refused may never ask again.
//!   Where three VMs were started within 15 s, what another needs is kept free, and what more comes while memory is taken.
//!   In a shortage too, where nothing else is held back: who runs lacks a little of it, who is refused lacks everything.
//!
//! A VM that waits to start may take surplus at weight 0, all comfort and margins at the default weight, and beyond that
//! up to λ = 0.2 at the highest.
//!
//! # Where it loses
//!
//! * Against a host where memory suffices and nothing surprises there is nothing to gain: both policies meet all demand.
//! * Where loads swing and memory is just short (staggered peaks, a greedy server), it moves 1 to 3 % less than Hyper-V's
//!   policy, no more than that, and needs half to three quarters more operations, smaller ones: whoever meets a swing must move it. It
//!   stays below because it cuts no comfort for comfort. Beside a greedy server it leaves as much unmet or a little
//!   more (3 to 4 %), guests refuse twice as much, and the others wait some half a second longer after a step.
//! * When everyone bursts at once, what is lacking is spread over more VMs: a third less is unmet, and VMs are above 100
//!   for a fifth more of the time.
//! * Where VMs come and go it may start a VM later or not at all that Hyper-V's policy starts: it takes less from those that
//!   run. (Not beyond doubt: with later seeds 88.9 % against 90.3 %.)
//! * In tight times VMs have 5 to 20 % beyond their need, not all the same: with staggered peaks Jain's index is 0.0004
//!   lower.
//! * It keeps less free than Hyper-V's lead-time stock when memory is short, so the parent pages more then.
//! * It believes what guests report. A leak is demand to it, and a server that takes what it gets is given more: as with
//!   Hyper-V, only weights and maximums help.
//! * Four rounds a second cost four times the balancer's processor time.
//!
//! The example `evaluate` measures all that; what it found is in the test `comparison`.
//!
//! # What it never does
//!
//! It uses no randomness and reads no clock; nothing in a round allocates while the VMs stay the same.
#![forbid(unsafe_code)]

mod constants;
mod forecast;
mod refusal;
mod round;
mod share;

pub use constants::constants;
pub use forecast::{Forecast, Forecasting};
pub use share::{Claim, Claims};

use core::time::Duration;

use balancing_policy::{
    HostView, MemorySettings, PageCount, PerVm, Policy, PressureBand, Proposal, VmView, pressure,
    satisfied_pressure,
};
use serde::{Deserialize, Serialize};

use constants as c;
use refusal::Refusal;

/// Parameters of the policy. What each is: the table of [`constants`](constants()).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Time between rounds.
    pub interval: Duration,
    /// How far ahead a trend is carried at most.
    pub lead: Duration,
    /// Time in which a surprise is half forgotten.
    pub half_life: Duration,
    /// Margin of a VM that never surprises, as a part of its demand.
    pub least_margin: f64,
    /// What a VM is given beyond its need when memory suffices, as a part of its buffer.
    pub comfort: f64,
    /// Part of its comfort below which a VM is given more when memory suffices.
    pub trigger: f64,
    /// How far what is given in tight times reaches from the margin (0) to an equal part of comfort (1).
    pub evenness: f64,
    /// How far below its share a VM may be in a shortage, as a part of its memory.
    pub dead_zone: f64,
    /// How far that may be at most.
    pub most_dead_zone: PageCount,
    /// Time after which surplus is taken that its VM does not need.
    pub hold: Duration,
    /// That time where all VMs have one weight, if it is longer.
    pub hold_among_equals: Duration,
    /// What that time may grow to where it is regretted.
    pub longest_hold: Duration,
    /// Least that a VM gives for another, if it has it.
    pub chunk: PageCount,
    /// Kept free when margins allow it.
    pub stock: PageCount,
    /// Most that is kept free for a parent that pages, as a part of what is beyond needs and margins. 0 switches that off.
    pub parent_share: f64,
    /// Whether weights decide. If not, all count as the default weight.
    pub weights: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval: c::INTERVAL.duration(),
            lead: c::LEAD.duration(),
            half_life: c::HALF_LIFE.duration(),
            least_margin: c::LEAST_MARGIN.value,
            comfort: c::COMFORT.value,
            trigger: c::TRIGGER.value,
            evenness: c::EVENNESS.value,
            dead_zone: c::DEAD_ZONE.value,
            most_dead_zone: c::MOST_DEAD_ZONE.pages(),
            hold: c::HOLD.duration(),
            hold_among_equals: c::HOLD_AMONG_EQUALS.duration(),
            longest_hold: c::LONGEST_HOLD.duration(),
            chunk: c::CHUNK.pages(),
            stock: c::STOCK.pages(),
            parent_share: c::PARENT_SHARE.value,
            weights: true,
        }
    }
}

/// What is known of a VM. Amounts are pages.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    forecast: Forecast,
    /// The VM is being given memory, until it has what it is to have.
    growing: bool,
    surplus: Surplus,
    refusal: Refusal,
    /// Below this it is given more, above this surplus is taken: what its band is made of.
    band: Option<(f64, f64)>,
}

/// Memory beyond comfort that its VM does not need.
#[derive(Clone, Copy, Debug, Default)]
struct Surplus {
    since: Option<Duration>,
    taking: bool,
    /// When it was last taken, and what was left.
    taken: Option<(Duration, f64)>,
    /// How long it is left by what was learnt.
    hold: Duration,
}

/// The policy: see the [crate's documentation](crate).
#[derive(Clone, Debug, Default)]
pub struct PredictiveBand {
    config: Config,
    states: PerVm<State>,
    claims: Claims,
    /// What every VM has, with what is on its way.
    has: Vec<f64>,
    /// By how much all will rise until memory can reach them.
    rising: f64,
    donors: Vec<(u64, usize)>,
    /// The levels of the last round: at which all fits, and down to which donors gave.
    fitting: f64,
    giving: f64,
    /// Kept free for the parent.
    for_parent: f64,
    last_round: Option<Duration>,
}

impl PredictiveBand {
    /// Its name in `--policy`.
    pub const NAME: &'static str = "predictive-band";

    /// The policy with these parameters.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    /// The level of want at which everything fitted in the last round: 0 and below in plenty, above 2 if needs are cut.
    #[must_use]
    pub fn level(&self) -> f64 {
        self.fitting
    }

    fn weight(&self, weight: u32) -> f64 {
        let weight = if self.config.weights { weight } else { MemorySettings::DEFAULT_WEIGHT };
        f64::from(weight.min(*MemorySettings::WEIGHT_RANGE.end()))
    }

    /// g(weight): positive, falling with weight, 1 at the default weight.
    fn share(&self, weight: u32) -> f64 {
        (c::SHARE_WEIGHT_OFFSET.value - self.weight(weight)) / c::SHARE_WEIGHT_DIVISOR.value
    }

    /// The level that may be reached for the start of a VM of this weight.
    fn start_level(&self, weight: u32) -> f64 {
        let weight = self.weight(weight) / f64::from(MemorySettings::DEFAULT_WEIGHT);
        if weight <= 1.0 { share::NEED * weight } else { share::NEED + c::START_BOUND.value * (weight - 1.0) }
    }

    /// The level that may be reached for VMs of this weight that have not asked yet.
    fn next_start_level(&self, weight: u32) -> f64 {
        let part = (self.weight(weight) / f64::from(MemorySettings::DEFAULT_WEIGHT)).min(1.0);
        self.start_level(weight) + c::NEXT_START_BOUND.value * part
    }

    fn forecasting(&self) -> Forecasting {
        Forecasting {
            trend_reports: c::TREND_REPORTS.value as usize,
            half_life: self.config.half_life.as_secs_f64(),
            least_margin: self.config.least_margin,
        }
    }
}

impl Policy for PredictiveBand {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn uses_priority(&self) -> bool {
        self.config.weights
    }

    fn interval(&self) -> Duration {
        self.config.interval
    }

    fn round(&mut self, host: &HostView<'_>, vms: &[VmView], proposal: &mut Proposal) {
        self.decide(host, vms, proposal);
    }

    fn band(&self, vm: &VmView) -> PressureBand {
        let band = self.states.get(vm.id).and_then(|state| state.band);
        let (Some((low, high)), Some(demand)) = (band, vm.demand()) else {
            return PressureBand::around(satisfied_pressure(&vm.settings), 0.0);
        };
        let at = |pages: f64| pressure(demand, PageCount(pages as u64)).min(f64::MAX);
        PressureBand { minimum: at(high.max(low)), maximum: at(low) }
    }
}

#[cfg(test)]
mod tests;
