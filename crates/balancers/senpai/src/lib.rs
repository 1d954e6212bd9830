//! Senpai: a VM's memory is whatever it just does not stall with.
//!
//! # The algorithm
//!
//! Every second the time that something in the guest stood still for want of memory is added to an integral. Above 10 ms the
//! limit rises at once: by (err/20)² of itself, err = integral / 10 ms, and at most to twice itself. Else, every six
//! seconds, the limit falls: by 1 % of itself, or by 1 % · (1/(10·err))² if that is less. After either the integral
//! begins anew.
//! [`Controller`] is that in its own terms.
//!
//! So the policy always probes: memory that no guest misses is taken, slowly, and given back quickly when it is missed.
//! The policy knows neither demand nor priority.
//!
//! Source: `senpai.py` (`facebookincubator/senpai`), with its defaults.
//!
//! # Where this host differs
//!
//! * **The limit** there is a cgroup's `memory.high`, in force at once. Here it is what the VM has: the rises and falls
//!   apply to that, and what adds up to less than the host's least move waits until there is more of it. While
//!   memory is on its way to a VM, its stall does not count: the stall has been answered.
//! * **Stall** is what an agent in the guest says of its pressure stall information (`some`; [`balancing_policy::Insight`]), or what its report
//!   says ([`GuestReport::stalled`]). The Dynamic Memory status report has no such field: for
//!   guests that do not say, every page written to a page file since the last report stands for 30 µs (invented). Writes are
//!   what there is: reads are reported only together with file cache faults. A probe that makes a large guest write at all is
//!   answered with a large rise, whether or not what was written is missed. Linux
//!   guests report no writes either: without a stall report they look idle, and are squeezed to their minimum.
//! * **Shared memory**: its cgroup has whatever the machine has. Here a rise ends where the pool does; what there is goes to
//!   all that rise in proportion.
//! * **A VM that starts** gets what others do not miss, as fast as they are probed; no VM is asked for more because of the
//!   start.
//!
//! The policy needs cheap paging: what it finds out, it finds out by making guests page.
#![forbid(unsafe_code)]

mod constants;
mod controller;

pub use constants::constants;
pub use controller::{Controller, Step};

use core::time::Duration;

use balancing_policy::{
    GuestReport, HostView, InsightKind, KeyInput, PageCount, PendingKind, PerVm, Policy, Proposal, Reason,
    VmView,
};
use serde::{Deserialize, Serialize};

use constants as c;

/// Parameters of the policy. The defaults are Senpai's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Time between rounds; one round is one tick.
    pub tick: Duration,
    /// Ticks between two probes.
    pub probe_ticks: u32,
    /// Stall that is aimed at between two probes, in microseconds.
    pub pressure_us: f64,
    /// Most that a limit falls at once, as a part of it.
    pub most_probe: f64,
    /// Most that a limit rises at once, as a part of it.
    pub most_backoff: f64,
    /// Probes shorten above this part, as its inverse, of the stall that is aimed at.
    pub probe_coefficient: f64,
    /// At this multiple of the stall that is aimed at, the most is added.
    pub backoff_coefficient: f64,
    /// Stall that one page written to a page file stands for in guests that do not report stall, in microseconds. 0: they
    /// never stall.
    pub write_stall_us: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tick: c::TICK.duration(),
            probe_ticks: c::INTERVAL.value as u32,
            pressure_us: c::PRESSURE.value,
            most_probe: c::MOST_PROBE.value,
            most_backoff: c::MOST_BACKOFF.value,
            probe_coefficient: c::PROBE_COEFFICIENT.value,
            backoff_coefficient: c::BACKOFF_COEFFICIENT.value,
            write_stall_us: c::WRITE_STALL.value,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct State {
    controller: Controller,
    /// In pages.
    limit: f64,
    /// When the newest report came that was counted.
    counted: Option<Duration>,
    /// How long tasks had stood still since the guest's boot when that was last counted.
    stalled: Option<Duration>,
    reason: Reason,
}

impl Default for State {
    fn default() -> Self {
        Self {
            controller: Controller::default(),
            limit: f64::INFINITY,
            counted: None,
            stalled: None,
            reason: Reason::new("keep"),
        }
    }
}

/// Senpai: see the [crate's documentation](crate).
#[derive(Clone, Debug, Default)]
pub struct Senpai {
    config: Config,
    states: PerVm<State>,
}

impl Senpai {
    /// Its name in `--policy`.
    pub const NAME: &'static str = "senpai";

    /// The policy with these parameters.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    /// Stall that a report speaks of, in microseconds.
    fn stall(&self, report: &GuestReport) -> f64 {
        report.stalled.map_or(report.page_file_writes.get() as f64 * self.config.write_stall_us, |stalled| {
            stalled.as_secs_f64() * 1e6
        })
    }

    fn tick(&self, vm: &VmView, state: &mut State, least_move: f64) {
        let has = vm.expected().get() as f64;
        let new = vm.history.iter().take_while(|report| state.counted.is_none_or(|last| report.at > last));
        let measured = vm.measured().and_then(|measured| measured.stalls).map(|stalls| stalls.some.total);
        let stall: f64 = match measured {
            Some(total) => {
                // Since when the first counts is not known; a guest that booted anew counts from 0.
                let before = state.stalled.unwrap_or(total).min(total);
                (total - before).as_secs_f64() * 1e6
            }
            None => new.map(|report| self.stall(report)).sum(),
        };
        state.stalled = measured;
        state.counted = vm.report().map(|report| report.at);
        if vm.pending.is_some_and(|pending| pending.kind == PendingKind::Grow) {
            // What was missed is on its way, and does not count twice.
            return;
        }
        let integral = state.controller.integral() + stall;
        // What is in force: a rise that has not come about is none, but for what is too little to be moved alone.
        let limit = state.limit.min(has + least_move);
        let (rule, limit) = match state.controller.tick(stall, &self.config) {
            Step::Keep => ("keep", if state.limit.is_finite() { state.limit } else { has }),
            Step::BackOff(part) => ("back-off", limit * (1.0 + part)),
            Step::Probe(part) => ("probe", limit * (1.0 - part)),
        };
        state.limit = limit.max(vm.lowest.get() as f64).min(vm.highest.get() as f64);
        if rule != "keep" {
            state.reason = Reason::new(rule)
                .with("stalled_us", integral)
                .with("had_mib", vm.expected().mib())
                .with("limit_mib", PageCount(state.limit as u64).mib());
        }
    }
}

impl Policy for Senpai {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn uses_priority(&self) -> bool {
        false
    }

    fn interval(&self) -> Duration {
        self.config.tick
    }

    fn key_input(&self) -> Option<KeyInput> {
        Some(KeyInput {
            kind: InsightKind::Stalls,
            otherwise: "it takes every page written to a page file for 30 µs of stall",
        })
    }

    fn round(&mut self, host: &HostView<'_>, vms: &[VmView], proposal: &mut Proposal) {
        let mut states = core::mem::take(&mut self.states);
        let (mut held, mut growth) = (0_u128, 0_u128);
        for (index, (vm, state)) in vms.iter().zip(states.align(vms)).enumerate() {
            let has = vm.reachable(vm.expected());
            held += u128::from(has.get());
            if vm.report().is_none() || !vm.can_move() {
                *state = State::default();
                let rule = if vm.can_move() { "no-report" } else { "cannot-move" };
                proposal.set(index, has, Reason::new(rule).with("kept_mib", has.mib()));
                continue;
            }
            self.tick(vm, state, host.minimum_move.get() as f64);
            let target = vm.reachable(PageCount(state.limit as u64));
            growth += u128::from(target.saturating_sub(has).get());
            proposal.set(index, target, state.reason);
        }
        let left = u128::from(host.capacity.get()).saturating_sub(held);
        if growth > left {
            for (target, vm) in proposal.targets_mut().iter_mut().zip(vms) {
                let has = vm.reachable(vm.expected());
                let wanted = target.pages.saturating_sub(has);
                if !wanted.is_zero() {
                    let part = u128::from(wanted.get()) * left / growth;
                    target.pages = has + PageCount(u64::try_from(part).unwrap_or(0));
                }
            }
        }
        self.states = states;
        let rule = if growth > left { "short" } else { "probing" };
        proposal.summarize(
            Reason::new(rule)
                .with("growth_mib", growth as f64 / PageCount::from_mib(1).get() as f64)
                .with("available_mib", host.available.mib()),
        );
    }
}

#[cfg(test)]
mod tests;
