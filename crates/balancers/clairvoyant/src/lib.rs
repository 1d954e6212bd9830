//! A policy that knows what every VM will need: a mark that the others are measured by, and no design for a host.
//!
//! Nobody can know the future of a load on a real host. In a run it can be found out: the load is run once on a host that
//! has enough for all, and what is seen there is told to this policy (and to no other) before the first round. What it
//! makes of it is bound by the same contract, engine, guests and times as every other policy: memory must be taken
//! before it is given, operations take time, a guest keeps a floor, a VM has its minimum. So what others leave unmet
//! beyond it is what knowing more could gain.
//!
//! * **In time**: a VM grows before it needs to. What it needs at a time is there [`lead`](Config::lead) before; a large step
//!   is begun as early as growing at [`rate`](Config::rate) takes.
//! * **Never back without need**: nothing is taken from a VM unless another one lacks it, so that no memory moves in vain.
//! * **From whoever needs it last** (Belady's rule): every part of what a VM has beyond its need has a time at which
//!   that VM will need it again. What is needed latest, or not within the [`horizon`](Config::horizon), is taken first.
//! * **Starts**: memory for starts is kept from [`start_lead`](Config::start_lead) before they are asked for, less what VMs leave that end before
//!   them or soon after: a start that is refused may not be asked for again.
//! * **The parent OS** has what no VM has: [`stock`](Config::stock) is left to it, or it pages and everything takes longer; but not while
//!   a VM lacks it.
//! * **Shortage**: where not all needs of this moment can be met, what is lacking is the same however it is shared: nothing is
//!   taken from a VM that needs it, and of those that lack, the ones that lack least are given first, so that few lack. Weights
//!   have no effect.
//!
//! It is no optimum: it is greedy, and it plans with one rate for all. What nobody could do better than is the analytic
//! bound of `cargo xtask compare`. A VM whose need depends on what it is given (a greedy server) has no future to be known: it
//! is given its reported demand and buffer from what others do not need. Where no future is told, all VMs are served like that.
//!
//! Source of the rule for taking: Belady, "A study of replacement algorithms for a virtual-storage computer", IBM Systems
//! Journal 5(2), 1966.
#![forbid(unsafe_code)]

mod constants;

use core::time::Duration;
use std::sync::Arc;

use balancing_policy::{
    Future, HostView, PageCount, PerVm, Policy, Proposal, Reason, Reservation, VmFuture, VmView,
};
use serde::{Deserialize, Serialize};

use constants as c;

/// Every constant of this design, each with its label and source.
#[must_use]
pub fn constants() -> &'static [model_constants::Constant] {
    constants::constants()
}

/// Settings of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Seconds before a need at which all that it takes is there.
    pub lead: f64,
    /// Growth of one VM that is planned with, MiB per second.
    pub rate: f64,
    /// How many seconds ahead is looked for when memory will be used again.
    pub horizon: f64,
    /// Seconds before a start from which on memory for it is kept.
    pub start_lead: f64,
    /// MiB that are given to no VM, so that the parent OS does not page.
    pub stock: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lead: c::LEAD.value,
            rate: c::RATE.value,
            horizon: c::HORIZON.value,
            start_lead: c::START_LEAD.value,
            stock: c::STOCK.value,
        }
    }
}

/// What one VM asks for in a round, in pages.
#[derive(Clone, Copy, Debug, Default)]
struct Claim {
    /// What it has, with what is under way.
    has: u64,
    /// What it needs now, or as soon as anything could be done about it.
    urgent: u64,
    /// What it is to have by now to have all in time.
    timely: u64,
    /// What its guest gives without trouble leaves it this much.
    keeps: u64,
    /// The least that it may be brought to where others lack memory.
    lowest: u64,
    /// The most that it can be brought to.
    highest: u64,
    moves: bool,
}

/// A part of what a VM has and does not need yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Spare {
    /// When it will be needed.
    needed_at: Duration,
    vm: usize,
    pages: u64,
}

/// What is remembered of a VM.
#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    /// The most it has had: what its guest sees as installed.
    visible: u64,
    /// Until then it is asked only for what it does not use.
    gentle_until: Duration,
}

/// The policy that knows what every VM will need: see the [crate].
#[derive(Clone, Debug, Default)]
pub struct Clairvoyant {
    config: Config,
    memories: PerVm<Memory>,
    future: Arc<Future>,
    claims: Vec<Claim>,
    targets: Vec<u64>,
    spares: Vec<Spare>,
    order: Vec<(u64, usize)>,
    /// Starts and ends to come, with what they take.
    events: Vec<(Duration, i64)>,
}

/// Never: it is not needed again within the horizon.
const NEVER: Duration = Duration::MAX;

/// A time that a file may have put out of range.
fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or(Duration::ZERO)
}

impl Clairvoyant {
    /// Its name in `--policy`.
    pub const NAME: &'static str = "clairvoyant";

    /// The policy with these settings.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    /// What is kept of a VM's own beside its need, as its guest gives no more.
    fn floor(visible: u64) -> u64 {
        let share = PageCount((visible as f64 * c::FLOOR_SHARE.value) as u64);
        share.clamp(c::FLOOR_LEAST.pages(), c::FLOOR_MOST.pages()).get()
    }

    /// What a VM whose future is known needs now or soon, and what it is to have by now.
    fn ahead(&self, host: &HostView<'_>, vm: &VmFuture, most: u64) -> (u64, u64) {
        // On a host whose parent OS pages, everything takes longer.
        let slowdown = if host.parent.slowdown.is_finite() { host.parent.slowdown.max(1.0) } else { 1.0 };
        let (now, lead) = (host.now, seconds(self.config.lead * slowdown));
        let rate = (self.config.rate / slowdown).max(0.1);
        let per_second = rate * PageCount::from_mib(1).get() as f64;
        // Beyond this even the largest need can be waited for.
        let end = now.saturating_add(lead).saturating_add(seconds(most as f64 / per_second));
        let (mut urgent, mut timely) = (0, 0);
        for (at, need) in vm.needs_from(now).take_while(|(at, _)| *at <= end) {
            let need = need.get().min(most);
            let early = at.saturating_sub(now).saturating_sub(lead);
            if early.is_zero() {
                urgent = urgent.max(need);
            }
            timely = timely.max(need.saturating_sub((early.as_secs_f64() * per_second) as u64));
        }
        (urgent, timely.max(urgent))
    }

    fn claim(&self, host: &HostView<'_>, vm: &VmView, memory: Memory) -> Claim {
        let has = vm.reachable(vm.expected()).get();
        if !vm.can_move() {
            return Claim {
                has,
                urgent: has,
                timely: has,
                keeps: has,
                lowest: has,
                highest: has,
                moves: false,
            };
        }
        let most = vm.settings.maximum.get();
        let reported = vm.demand();
        let (urgent, timely) = match self.future.of(vm.id).filter(|future| future.is_known()) {
            Some(future) => self.ahead(host, future, most),
            None => {
                let demand = reported.map_or(has, PageCount::get).min(most);
                let with_buffer = (demand as f64 * (1.0 + vm.settings.buffer_fraction())) as u64;
                // One that takes what it is given has only what those do not need whose need is known.
                (if self.future.vms().is_empty() { demand } else { 0 }, with_buffer)
            }
        };
        // A guest gives what it does not use: asked for more it gives less, and is left alone for a while.
        let unused = vm.report().map_or(0, |report| report.available.get().min(has));
        let used = has - unused.saturating_sub(Self::floor(memory.visible));
        let keeps = used.max(urgent).clamp(vm.lowest.get(), vm.highest.get()).min(has);
        let within = |pages: u64| pages.clamp(vm.lowest.get(), vm.highest.get());
        Claim {
            has,
            urgent: within(urgent),
            timely: within(timely.max(urgent)),
            keeps,
            lowest: if host.now < memory.gentle_until { keeps } else { vm.lowest.get() },
            highest: vm.highest.get(),
            moves: true,
        }
    }

    /// What is to be free for VMs that wait to start, as far as it can be, and for those that will be asked for soon.
    fn for_starts(&mut self, host: &HostView<'_>, vms: &[VmView]) -> (u64, u64) {
        let least: u64 = self.claims.iter().zip(vms).map(|(claim, vm)| claim.has.min(vm.lowest.get())).sum();
        let mut waiting = 0;
        for start in host.reservations {
            let with = waiting + start.needed.get();
            if least + with <= host.capacity.get() {
                waiting = with;
            }
        }
        let until = host.now.saturating_add(seconds(self.config.start_lead));
        let place = |vm: &VmFuture| vms.binary_search_by_key(&vm.id(), |vm| vm.id).ok();
        let waits = |vm: &VmFuture| host.reservations.iter().any(|start: &Reservation| start.vm == vm.id());
        // What starts take, and before them what VMs leave that end.
        self.events.clear();
        for vm in self.future.vms().iter().filter(|vm| !waits(vm)) {
            if let Some(index) = place(vm) {
                let ends = vm
                    .needs_from(host.now)
                    .take_while(|(at, _)| *at <= until.saturating_add(c::RETRY.duration()));
                let ends = ends.skip(1).find(|(_, need)| vm.is_known() && need.is_zero());
                let at = |at: Duration| at.saturating_sub(c::RETRY.duration());
                self.events.extend(ends.map(|(end, _)| (at(end), -(self.claims[index].has as i64))));
            } else {
                let start = vm.starts_from(host.now).next().filter(|(at, _)| *at <= until);
                self.events.extend(start.map(|(at, pages)| (at, pages.get() as i64)));
            }
        }
        self.events.sort_unstable();
        let (mut sum, mut soon) = (0_i64, 0_i64);
        for (_, pages) in &self.events {
            sum += pages;
            soon = soon.max(sum);
        }
        let soon = u64::try_from(soon).unwrap_or(0);
        (waiting, waiting + soon)
    }

    /// What of VMs' own they do not need yet beyond `keeps`, latest needed first.
    fn find_spares(&mut self, now: Duration, vms: &[VmView], keeps: impl Fn(&Claim) -> u64) {
        let horizon = now.saturating_add(seconds(self.config.horizon));
        self.spares.clear();
        for (index, (claim, vm)) in self.claims.iter().zip(vms).enumerate() {
            let has = self.targets[index].min(claim.has);
            let mut level = keeps(claim).max(claim.lowest);
            if !claim.moves || has <= level {
                continue;
            }
            if let Some(future) = self.future.of(vm.id).filter(|future| future.is_known()) {
                for (at, need) in future.needs_from(now).take_while(|(at, _)| *at <= horizon) {
                    let need = need.get().min(has);
                    if need > level {
                        self.spares.push(Spare { needed_at: at, vm: index, pages: need - level });
                        level = need;
                    }
                    if level >= has {
                        break;
                    }
                }
            }
            if has > level {
                self.spares.push(Spare { needed_at: NEVER, vm: index, pages: has - level });
            }
        }
        // Of what is needed at the same time, from the VM that has most of it: fewer operations.
        self.spares.sort_unstable_by_key(|spare| {
            (core::cmp::Reverse(spare.needed_at), core::cmp::Reverse(spare.pages), spare.vm)
        });
    }

    /// Takes up to `pages` of the spares that are needed latest. Returns how much that is.
    fn take(&mut self, pages: u64, least: u64) -> u64 {
        let mut left = pages;
        for spare in &self.spares {
            if left == 0 {
                break;
            }
            // Less than the least move would not be moved.
            let taken = left.max(least).min(spare.pages);
            self.targets[spare.vm] -= taken;
            left = left.saturating_sub(taken);
        }
        pages - left
    }

    /// Gives each VM up to what it wants, out of `pages`, those that lack least first. Returns what is left.
    fn give(&mut self, mut pages: u64, wants: impl Fn(&Claim) -> u64) -> u64 {
        self.order.clear();
        for (index, claim) in self.claims.iter().enumerate() {
            let lacks = wants(claim).saturating_sub(self.targets[index]);
            if claim.moves && lacks > 0 {
                self.order.push((lacks, index));
            }
        }
        self.order.sort_unstable();
        for &(lacks, index) in &self.order {
            let given = lacks.min(pages);
            self.targets[index] += given;
            pages -= given;
        }
        pages
    }

    fn lacking(&self, wants: impl Fn(&Claim) -> u64) -> u64 {
        let lacks = self.claims.iter().zip(&self.targets).filter(|(claim, _)| claim.moves);
        lacks.map(|(claim, target)| wants(claim).saturating_sub(*target)).sum()
    }
}

impl Policy for Clairvoyant {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn uses_priority(&self) -> bool {
        false
    }

    fn foresees(&self) -> bool {
        true
    }

    fn foresee(&mut self, future: &Arc<Future>) {
        self.future = Arc::clone(future);
    }

    fn round(&mut self, host: &HostView<'_>, vms: &[VmView], proposal: &mut Proposal) {
        let mut claims = core::mem::take(&mut self.claims);
        claims.clear();
        let mut memories = core::mem::take(&mut self.memories);
        for (vm, memory) in vms.iter().zip(memories.align(vms)) {
            memory.visible = memory.visible.max(vm.assigned.get());
            // It gave less than asked, and is left alone for now.
            if vm.can_move() && vm.lowest > vm.settings.minimum {
                memory.gentle_until = host.now + c::GENTLE.duration();
            }
            claims.push(self.claim(host, vm, *memory));
        }
        (self.claims, self.memories) = (claims, memories);
        self.targets.clear();
        self.targets.extend(self.claims.iter().map(|claim| claim.has));
        let (waiting, starts) = self.for_starts(host, vms);
        let stock = PageCount((self.config.stock.max(0.0) * PageCount::from_mib(1).get() as f64) as u64);
        let all = host.capacity.get();
        let capacity = host.capacity.saturating_sub(stock).get();
        let least = host.minimum_move.get().max(1);
        let held: u64 = self.targets.iter().fold(0, |sum, has| sum.saturating_add(*has));
        let free = capacity.saturating_sub(held);
        // What VMs have of the stock is taken back.
        let lent = held.saturating_sub(capacity);

        // A need that creeps makes no operation of every round.
        let slack = c::SLACK.pages().get();
        let eased = move |claim: &Claim| {
            if claim.timely > claim.has {
                claim.timely.saturating_add(slack).min(claim.highest)
            } else {
                claim.timely
            }
        };
        let wanted = self.lacking(eased).saturating_add(starts + lent);
        let rule = if wanted <= free {
            let _ = self.give(free.saturating_sub(starts), eased);
            "enough"
        } else {
            // From whoever needs it last, and of that nothing that it is to have in time for itself.
            let wanted = self.lacking(|claim| claim.timely).saturating_add(starts + lent);
            let mut there = free;
            if wanted > there {
                self.find_spares(host.now, vms, |claim| claim.timely.max(claim.keeps));
                there += self.take(wanted - there, least);
            }
            let urgent = self.lacking(|claim| claim.urgent).saturating_add(starts);
            let mut rule = "taken";
            if urgent > there {
                // Even the stock.
                there += all.saturating_sub(capacity.max(held));
            }
            if urgent > there {
                // What is held for later serves who lacks now.
                rule = "shortage";
                self.find_spares(host.now, vms, |claim| claim.urgent.max(claim.keeps));
                there += self.take(urgent - there, least);
            }
            if urgent > there {
                // Guests can be made to give some of what they would rather keep.
                self.find_spares(host.now, vms, |claim| claim.urgent);
                there += self.take(urgent - there, least);
            }
            let targets: u64 = self.targets.iter().fold(0, |sum, target| sum.saturating_add(*target));
            there = there.min(all.saturating_sub(targets));
            let left = self.give(there.saturating_sub(starts), |claim| claim.urgent);
            let _ = self.give(left, |claim| claim.timely);
            rule
        };
        for (index, (claim, vm)) in self.claims.iter().zip(vms).enumerate() {
            let target = self.targets[index];
            let rule = match target.cmp(&claim.has) {
                _ if !claim.moves => "cannot-move",
                core::cmp::Ordering::Less => "needed-last",
                core::cmp::Ordering::Greater => "in-time",
                core::cmp::Ordering::Equal if claim.urgent > claim.has => "lacks",
                core::cmp::Ordering::Equal => "keeps",
            };
            let reason = Reason::new(rule)
                .with("needs_mib", PageCount(claim.urgent).mib())
                .with("in_time_mib", PageCount(claim.timely).mib())
                .with("keeps_mib", PageCount(claim.keeps).mib());
            proposal.set(index, vm.reachable(PageCount(target)), reason);
        }
        if !host.reservations.is_empty() {
            proposal.leave_for_starts(PageCount(waiting));
        }
        let mib = |pages: u64| PageCount(pages).mib();
        proposal.summarize(
            Reason::new(rule)
                .with("wanted_mib", mib(wanted))
                .with("free_mib", mib(free))
                .with("starts_mib", mib(starts)),
        );
    }
}

#[cfg(test)]
mod tests;
