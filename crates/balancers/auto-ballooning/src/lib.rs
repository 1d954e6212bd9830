//! Automatic ballooning, as it was proposed for QEMU and Linux: pressure on the host fills balloons, and pressure in a guest holds its
//! balloon, and empties it.
//!
//! # The algorithm
//!
//! * **Pressure on the host** is none, low, medium or critical. At each look it fills the balloons of all guests: by a step, two or four.
//! * **A guest under pressure** is left alone: its driver stops filling. It is given a step of its balloon back while the host is not
//!   under pressure.
//! * Nothing else moves memory: a guest that wants nothing keeps what it has, and nobody compares guests.
//!
//! [`Level::of`] and [`step`] are that in their own terms. With free memory of 9, 4 and 1 % of the host a guest of 1000 MB without pressure goes to
//! 984, 968 and 936; one with pressure stays at 1000, and goes to 1016 with 20 % free.
//!
//! Source: Luiz Capitulino's proposals of automatic ballooning for virtio-balloon and QEMU (2012 and 2013; the wiki page *Projects/auto-ballooning* of
//! linux-kvm.org). That balloons are filled for pressure on the host, and that the driver stops for pressure in the guest and tells the host, is
//! theirs; amounts and thresholds are this project's, and labelled so. It was never merged.
//!
//! # Where this host differs
//!
//! * **Pressure on the host**: there, Linux' levels for a memory cgroup, which go by how hard reclaim is. This host reclaims nothing, so that
//!   levels go by free memory, and what waits to start counts as used.
//! * **Pressure in the guest**: there, an event of Linux' memory pressure in the guest, told over a queue of the device. Here it is the stall
//!   that an agent in the guest reports ([`balancing_policy::Insight`]); of guests without one, little available memory.
//! * **Where a VM begins**: there at its maximum with an empty balloon; here at its startup RAM.
#![forbid(unsafe_code)]

mod constants;

pub use constants::constants;

use core::time::Duration;

use balancing_policy::{HostView, InsightKind, KeyInput, PageCount, PerVm, Policy, Proposal, Reason, VmView};
use serde::{Deserialize, Serialize};

use constants as c;

/// Parameters of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Time between two looks.
    pub interval: Duration,
    /// Free memory of the host, as a part of all, below which its pressure is low.
    pub low: f64,
    /// Below which it is medium.
    pub medium: f64,
    /// Below which it is critical.
    pub critical: f64,
    /// A step, pages.
    pub step: PageCount,
    /// Percent of stall (some, 10 s) above which a guest is under pressure.
    pub guest_stalls: f64,
    /// Available memory in a guest, as a part of what it has, below which it is under pressure, if it does not report stalls.
    pub guest_available: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval: c::INTERVAL.duration(),
            low: c::LOW.value,
            medium: c::MEDIUM.value,
            critical: c::CRITICAL.value,
            step: c::STEP.pages(),
            guest_stalls: c::GUEST_STALLS.value,
            guest_available: c::GUEST_AVAILABLE.value,
        }
    }
}

/// Pressure on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// None.
    None,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// Critical.
    Critical,
}

impl Level {
    /// With this part of the host's memory free.
    #[must_use]
    pub fn of(free: f64, config: &Config) -> Self {
        if free < config.critical {
            Self::Critical
        } else if free < config.medium {
            Self::Medium
        } else if free < config.low {
            Self::Low
        } else {
            Self::None
        }
    }

    /// What balloons are filled with, in steps.
    #[must_use]
    pub fn steps(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Low => 1,
            Self::Medium => c::MEDIUM_STEPS.whole(),
            Self::Critical => c::CRITICAL_STEPS.whole(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::Critical => "critical",
        }
    }
}

/// What a guest that has `current` is to have, its bounds not looked at.
#[must_use]
pub fn step(current: PageCount, level: Level, guest_under_pressure: bool, step: PageCount) -> PageCount {
    match (level, guest_under_pressure) {
        (Level::None, true) => current.saturating_add(step),
        (_, true) | (Level::None, false) => current,
        (level, false) => current.saturating_sub(step * level.steps()),
    }
}

/// Automatic ballooning: see the [crate's documentation](crate).
#[derive(Clone, Debug, Default)]
pub struct AutoBallooning {
    config: Config,
    targets: PerVm<Option<PageCount>>,
    next_look: Duration,
}

impl AutoBallooning {
    /// Its name in `--policy`.
    pub const NAME: &'static str = "auto-ballooning";

    /// The policy with these parameters.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    /// Whether a guest is under pressure, as far as it says.
    fn under_pressure(&self, vm: &VmView) -> Option<bool> {
        if let Some(stalls) = vm.measured().and_then(|measured| measured.stalls) {
            return Some(stalls.some.avg10 > self.config.guest_stalls);
        }
        let available = vm.report()?.available.get() as f64;
        Some(available < self.config.guest_available * vm.assigned.get() as f64)
    }
}

impl Policy for AutoBallooning {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn uses_priority(&self) -> bool {
        false
    }

    fn key_input(&self) -> Option<KeyInput> {
        Some(KeyInput {
            kind: InsightKind::Stalls,
            otherwise: "it takes a guest with little available memory for one under pressure",
        })
    }

    fn round(&mut self, host: &HostView<'_>, vms: &[VmView], proposal: &mut Proposal) {
        let has = |vm: &VmView| vm.reachable(vm.expected());
        let held: u128 = vms.iter().map(|vm| u128::from(has(vm).get())).sum();
        let waited_for: u128 = host.reservations.iter().map(|start| u128::from(start.needed.get())).sum();
        let left = u128::from(host.capacity.get()).saturating_sub(held + waited_for);
        let level = Level::of(left as f64 / host.total.get().max(1) as f64, &self.config);
        let looks = host.now >= self.next_look;
        if looks {
            self.next_look = host.now.saturating_add(self.config.interval);
        }
        let mut left = PageCount(u64::try_from(left).unwrap_or(u64::MAX));
        let mut targets = core::mem::take(&mut self.targets);
        for (index, (vm, target)) in vms.iter().zip(targets.align(vms)).enumerate() {
            let has = has(vm);
            let pressure = self.under_pressure(vm);
            if looks {
                *target = pressure.map(|pressure| step(has, level, pressure, self.config.step));
            }
            let wanted = target.filter(|_| vm.can_move()).map_or(has, |target| vm.reachable(target));
            let rule = match wanted.cmp(&has) {
                _ if !vm.can_move() => "cannot-move",
                core::cmp::Ordering::Greater => "empty-balloon",
                core::cmp::Ordering::Less => "fill-balloon",
                core::cmp::Ordering::Equal => "keep",
            };
            let growth = wanted.saturating_sub(has).min(left);
            left -= growth;
            let reason = Reason::new(rule)
                .with("had_mib", has.mib())
                .with("guest_pressure", f64::from(u8::from(pressure.unwrap_or(false))))
                .with("host_level_steps", level.steps() as f64);
            proposal.set(index, wanted.min(has.saturating_add(growth)), reason);
        }
        self.targets = targets;
        proposal.summarize(Reason::new(level.name()).with("available_mib", host.available.mib()));
    }
}

#[cfg(test)]
mod tests;
