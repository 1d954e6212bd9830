//! Proxmox VE's automatic ballooning: the host is to be used to 80 %, and shares say by whom.
//!
//! # The algorithm
//!
//! Every 10 s: goal = 80 % of the host's memory − what is used; up to 10 MiB either way is ignored. A VM whose free memory
//! is more than a quarter of its minimum is not under pressure. If there is memory to give, those under pressure get it; if
//! memory must be taken, the others give; only if that changes nothing at all, everyone takes part. All that
//! those concerned have above their minimums, and the goal, is shared in proportion to shares; no VM moves by more than
//! 100 MiB a round. [`Ballooning`] is that algorithm in its own terms, with the values of its own tests.
//!
//! Source: `PVE::AutoBalloon` and its caller `pvestatd` in `pve-manager`, and their test `balloontest.pl`; the
//! administration guide.
//!
//! # Where this host differs
//!
//! * **Used memory of the host**: its own counts what the parent OS really uses. A policy cannot see that here: the parent's
//!   reserve counts as used, as does everything that is not [available](HostView::available).
//! * **Starts**: there, a VM starts and swapping follows. Here a VM waits until memory is free: what it waits for counts
//!   as used, so that others make room. No VM gets more while one waits.
//! * **Free memory of a guest**: free and zeroed pages of the status report, where the virtio balloon has `free_mem`.
//! * **Shares**: 0.2 per weight, so that the default weight has the default of 1000. There, 0 shares switch a VM's automatic
//!   ballooning off; a weight of 0 is the lowest priority here and gets 1 share.
//! * **A minimum must be set** there, else the VM takes no part; here every dynamic VM has one. There is no migration.
//! * A VM that cannot be moved now (it does not answer, has not joined, or refused lately) takes no part.
//!
//! # What it is blind to
//!
//! The policy never asks what a guest needs, only whether the guest has free memory: below 80 % every VM grows to its
//! maximum, in need or
//! not. The policy thrashes by steps of 100 MiB where a VM near its minimum changes between the two groups with every step;
//! and where no VM is under pressure and the host is below its goal, a VM above its share gives a step in one round and
//! gets it back
//! in the next.
#![forbid(unsafe_code)]

mod ballooning;
mod constants;

pub use ballooning::{Ballooning, Limits, Machine};
pub use constants::constants;

use core::time::Duration;

use balancing_policy::{HostView, MemorySettings, PageCount, Policy, Proposal, Reason, VmView};
use serde::{Deserialize, Serialize};

use constants as c;

/// Parameters of the policy. The defaults are Proxmox's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Time between rounds.
    pub interval: Duration,
    /// Part of the host's memory that is to be used, 0 to 1.
    pub host_goal: f64,
    /// A goal of this size or less is ignored.
    pub smallest_goal: PageCount,
    /// Most that a VM moves in a round.
    pub step_limit: PageCount,
    /// A VM with more free memory than this part of its minimum is not under pressure.
    pub free_share: f64,
    /// Whether weights decide. If not, all have the same shares.
    pub weights: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval: c::INTERVAL.duration(),
            host_goal: c::HOST_GOAL.value,
            smallest_goal: c::SMALLEST_GOAL.pages(),
            step_limit: c::STEP_LIMIT.pages(),
            free_share: c::FREE_SHARE.value,
            weights: true,
        }
    }
}

/// Proxmox VE's automatic ballooning: see the [crate's documentation](crate).
#[derive(Clone, Debug, Default)]
pub struct Proxmox {
    config: Config,
    ballooning: Ballooning,
    machines: Vec<Machine>,
    /// Where the machines are among the VMs.
    places: Vec<usize>,
}

impl Proxmox {
    /// Its name in `--policy`.
    pub const NAME: &'static str = "proxmox";

    /// The policy with these parameters.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    fn shares(&self, weight: u32) -> u64 {
        let weight = if self.config.weights { weight } else { MemorySettings::DEFAULT_WEIGHT };
        let shares = f64::from(weight) / f64::from(MemorySettings::DEFAULT_WEIGHT) * c::DEFAULT_SHARES.value;
        (shares as u64).max(1)
    }

    /// Those that take part; the others keep what they have. Returns what all have.
    fn collect(&mut self, vms: &[VmView], proposal: &mut Proposal) -> u128 {
        self.machines.clear();
        self.places.clear();
        let mut held = 0;
        for (index, vm) in vms.iter().enumerate() {
            let has = vm.reachable(vm.expected());
            held += u128::from(has.get());
            let rule = match vm.report() {
                Some(report) if vm.can_move() => {
                    self.places.push(index);
                    self.machines.push(Machine {
                        shares: self.shares(vm.settings.weight),
                        balloon: signed(has),
                        minimum: signed(vm.lowest),
                        maximum: signed(vm.highest),
                        free: signed(report.free),
                    });
                    continue;
                }
                Some(_) => "cannot-move",
                None => "no-balloon",
            };
            proposal.set(index, has, Reason::new(rule).with("kept_mib", has.mib()));
        }
        held
    }

    fn goal(&self, host: &HostView<'_>) -> i64 {
        let used = signed(host.total.saturating_sub(host.available));
        let waited_for = host.reservations.iter().fold(0_i64, |sum, start| {
            sum.saturating_add(signed(start.needed.saturating_sub(start.set_aside)))
        });
        let goal = (host.total.get() as f64 * self.config.host_goal) as i64;
        goal.saturating_sub(used).saturating_sub(waited_for)
    }
}

/// Pages as what can be below zero too. No host has 2^50 pages.
fn signed(pages: PageCount) -> i64 {
    pages.get().min(1 << 50) as i64
}

fn mib(pages: i64) -> f64 {
    pages as f64 / PageCount::from_mib(1).get() as f64
}

impl Policy for Proxmox {
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
        let held = self.collect(vms, proposal);
        let free = u128::from(host.capacity.get()).saturating_sub(held);
        let free = i64::try_from(free.min(1 << 50)).unwrap_or(0);
        let goal = self.goal(host).min(free);
        let limits = Limits {
            smallest_goal: signed(self.config.smallest_goal),
            step: signed(self.config.step_limit),
            free_share: self.config.free_share,
        };
        let results = self.ballooning.round(&self.machines, goal, &limits);
        let direction = if goal > limits.smallest_goal {
            "grow"
        } else if goal < -limits.smallest_goal {
            "shrink"
        } else {
            "at-goal"
        };
        // A pass may give a page more than the goal, and the host has no such page.
        let mut left = free;
        for ((machine, &index), &result) in self.machines.iter().zip(&self.places).zip(results) {
            let change = (result - machine.balloon).min(left);
            left -= change.max(0);
            let target = PageCount((machine.balloon + change).max(0) as u64);
            let rule = match change {
                0 => "keep",
                1.. => "grow",
                _ => "shrink",
            };
            let pressed = !ballooning::relaxed(machine, &limits);
            let reason = Reason::new(rule)
                .with("goal_mib", mib(goal))
                .with("shares", machine.shares as f64)
                .with("had_mib", mib(machine.balloon))
                .with("minimum_mib", mib(machine.minimum))
                .with("free_mib", mib(machine.free))
                .with("under_pressure", f64::from(u8::from(pressed)));
            proposal.set(index, target, reason);
        }
        proposal.summarize(
            Reason::new(direction)
                .with("goal_mib", mib(goal))
                .with("available_mib", host.available.mib())
                .with("machines", self.machines.len() as f64),
        );
    }
}

#[cfg(test)]
mod tests;
