//! A balancing round: ask the policy, check what it says, act on it.

use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};

use balancing_policy::{HostView, PageCount, Reservation, VmId};

use crate::constants::ROUND_SHORTEST;
use crate::state::Balancer;
use crate::vm::{Live, Recorded};
use crate::waiting::Waiting;
use crate::{Correction, Decision, Output};

/// Between two rounds at the longest, whatever a policy says.
const LONGEST: Duration = Duration::from_secs(3600);

impl Balancer {
    pub(crate) fn round(&mut self, now: Duration, out: &mut Vec<Output>) {
        self.rounds += 1;
        self.rates.round(now);
        self.refresh_all(now);
        self.proposal.begin_with(core::mem::take(&mut self.targets));
        self.reservations.clear();
        self.reservations.extend(self.waiting.iter().map(|waiting| {
            let mut reservation =
                Reservation::new(waiting.vm, waiting.weight, waiting.needed(), waiting.since);
            (reservation.set_aside, reservation.own) = (waiting.aside.pages(), waiting.own);
            reservation
        }));
        let answer = self.ask_policy(now);
        self.targets = self.proposal.take_targets();
        match answer {
            Ok(()) => self.adopt(out),
            Err(message) => {
                out.push(Output::PolicyFailed { policy: self.policy_name.clone(), message });
                self.proposal.begin(core::iter::empty());
                // Whatever the policy has written over them.
                self.targets.clear();
                self.targets.extend(self.live.iter().map(Live::held_target));
            }
        }
        self.schedule(now);
        self.plan();
        for index in 0..self.live.len() {
            self.shrink(index, now, out);
        }
        self.serve(now, out);
        debug_assert!(self.books_in_order(), "{:?}", self.ledger());
    }

    /// Pauses that are over, and VMs that have fallen silent.
    fn refresh_all(&mut self, now: Duration) {
        for (live, view) in self.live.iter_mut().zip(&mut self.views) {
            if live.joined.is_some()
                && let Some(at) = view.history.latest_at()
                && now.saturating_sub(at) >= self.config.report_timeout
            {
                live.silent = true;
                live.refresh(view, now);
            } else {
                live.refresh_pauses(view, now);
            }
        }
    }

    /// Whatever a policy does, the balancer goes on: a panic costs it the round.
    fn ask_policy(&mut self, now: Duration) -> Result<(), String> {
        let mut host = HostView::new(self.books.capacity(), self.books.available());
        host.now = now;
        host.total = self.books.total().saturating_sub(self.config.beyond);
        host.reserve = self.books.reserve_target().saturating_sub(self.config.beyond);
        host.overhead = self.books.overhead();
        host.in_transit = self.books.in_transit();
        host.parent = self.parent;
        host.grant_rate = self.rates.grant_rate();
        host.lead_time = self.rates.lead_time();
        host.minimum_move = self.config.minimum_move;
        host.reservations = &self.reservations;
        let (policy, views, proposal) = (&mut self.policy, &self.views, &mut self.proposal);
        let stopwatch = self.stopwatch.as_ref();
        let began = stopwatch.map(|stopwatch| (stopwatch.clock)());
        let live = &mut self.live;
        // The policy's own state may be half changed after a panic; nothing of ours is: the proposal is made anew for
        // every round, and bands are only shown.
        let interval = catch_unwind(AssertUnwindSafe(|| {
            policy.round(&host, views, proposal);
            for (live, view) in live.iter_mut().zip(views) {
                live.band = policy.band(view);
            }
            policy.interval()
        }))
        .map_err(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("(no message)");
            format!("panicked: {text}")
        })?;
        self.interval = interval;
        let (targets, vms) = (self.proposal.targets().len(), self.live.len());
        if targets != vms {
            return Err(format!("gave {targets} targets for {vms} VMs"));
        }
        if let (Some(stopwatch), Some(began)) = (stopwatch, began) {
            let took = (stopwatch.clock)().saturating_sub(began);
            if took > stopwatch.limit {
                return Err(format!("took {took:?}, the limit is {:?}", stopwatch.limit));
            }
        }
        Ok(())
    }

    /// Check the proposal and make it the targets.
    fn adopt(&mut self, out: &mut Vec<Output>) {
        // A VM that has all it needs to start is counted as one that runs.
        let complete: PageCount = self.waiting.iter().map(Waiting::complete).sum();
        let capacity = self.books.capacity();
        let for_running = capacity.saturating_sub(complete);
        let mut sum: u128 = 0;
        let mut growth: u128 = 0;
        for ((live, view), proposed) in self.live.iter_mut().zip(&self.views).zip(&self.targets) {
            let pages = view.reachable(proposed.pages);
            live.target = pages;
            sum += u128::from(pages.get());
            growth += u128::from(pages.saturating_sub(view.expected()).get());
        }
        let over = sum.saturating_sub(u128::from(for_running.get()));
        let cut = Cut { over, growth };
        let round = self.rounds;
        let summary = *self.proposal.summary();
        if self.config.record_all_decisions || self.last_summary != summary.rule() {
            self.last_summary = summary.rule();
            out.push(Output::Round { number: round, summary });
        }
        for ((live, view), target) in self.live.iter_mut().zip(&self.views).zip(&mut self.targets) {
            let proposed = target.pages;
            let mut correction = if proposed < view.lowest {
                Some(Correction::BelowLowest)
            } else if proposed > view.highest {
                Some(Correction::AboveHighest)
            } else {
                None
            };
            let cut = cut.of(live.target.saturating_sub(view.expected()));
            if !cut.is_zero() {
                live.target -= cut;
                correction = Some(Correction::OverCapacity);
            }
            target.pages = live.target;
            let record = Recorded { target: target.pages, rule: target.reason.rule(), correction };
            if self.config.record_all_decisions
                || record.differs(live.recorded.as_ref(), self.config.minimum_move)
            {
                live.recorded = Some(record);
                out.push(Output::Decision(Decision {
                    vm: view.id,
                    round,
                    assigned: view.assigned,
                    target: target.pages,
                    proposed,
                    reason: target.reason,
                    correction,
                }));
            }
        }
        if self.waiting.is_empty() {
            self.for_starts = PageCount::ZERO;
        } else {
            let kept: PageCount = self.live.iter().map(|live| live.target).sum();
            let left = capacity.saturating_sub(kept);
            self.for_starts = self.proposal.for_starts().map_or(left, |pages| pages.min(left));
            self.trim_starts();
        }
    }

    /// A paging parent slows the balancer's own round.
    fn schedule(&mut self, now: Duration) {
        let slowdown =
            if self.parent.slowdown.is_finite() { self.parent.slowdown.clamp(1.0, 1000.0) } else { 1.0 };
        let shortest = ROUND_SHORTEST.duration();
        let interval = self.interval.clamp(shortest, LONGEST).mul_f64(slowdown);
        self.next_round = now + interval;
        if let Some(wanted) = self.proposal.wants_call_at() {
            self.next_round = self.next_round.min(wanted.max(now + shortest));
        }
    }

    /// Which round was the last, from 1; 0 before the first.
    #[must_use]
    pub fn rounds(&self) -> u64 {
        self.rounds
    }

    /// The VMs for whose start memory is collected, in the order in which they are served, with what is set aside for each.
    pub fn waiting(&self) -> impl Iterator<Item = (VmId, PageCount)> {
        self.waiting.iter().map(|waiting| (waiting.vm, waiting.aside.pages()))
    }
}

/// How growth is cut when all targets together are above capacity: the growth of every VM in proportion.
#[derive(Clone, Copy)]
struct Cut {
    over: u128,
    growth: u128,
}

impl Cut {
    fn of(self, growth: PageCount) -> PageCount {
        if self.growth == 0 {
            return PageCount::ZERO;
        }
        // Rounded up, so that what is left fits. Both factors are below 2^64.
        let over = self.over.min(self.growth);
        let cut = (u128::from(growth.get()) * over).div_ceil(self.growth);
        PageCount(u64::try_from(cut).unwrap_or(u64::MAX)).min(growth)
    }
}

impl Recorded {
    /// Worth putting out: another rule or correction, or a target that could move memory.
    fn differs(&self, last: Option<&Self>, step: PageCount) -> bool {
        last.is_none_or(|last| {
            self.rule != last.rule
                || self.correction != last.correction
                || self.target.max(last.target) - self.target.min(last.target) >= step.max(PageCount(1))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_cut_in_proportion_and_enough() {
        let of = |over, growth, pages| Cut { over, growth }.of(PageCount(pages)).get();
        assert_eq!([of(200, 400, 100), of(200, 400, 300)], [50, 150]);
        // Rounded up, so that what is left fits.
        assert_eq!([of(1, 3, 1), of(1, 3, 2), of(100, 300, 200)], [1, 1, 67]);
        // More than there is to cut: all of it, and no more.
        assert_eq!([of(500, 400, 100), of(500, 400, 300)], [100, 300]);
        assert_eq!([of(0, 400, 100), of(500, 0, 0), of(u128::MAX, 1, u64::MAX)], [0, 0, u64::MAX]);
        let largest = u128::from(u64::MAX);
        assert_eq!(of(largest, 2 * largest, u64::MAX), u64::MAX.div_ceil(2));
    }

    #[test]
    fn a_decision_is_worth_putting_out_if_it_could_move_memory_or_says_something_else() {
        let last = Recorded { target: PageCount(1000), rule: "short", correction: None };
        let step = PageCount(10);
        let to = |pages| Recorded { target: PageCount(pages), ..last };
        assert!(last.differs(None, step) && !last.differs(Some(&last), step));
        assert!(!to(1009).differs(Some(&last), step) && !to(991).differs(Some(&last), step));
        assert!(to(1010).differs(Some(&last), step) && to(990).differs(Some(&last), step));
        assert!(Recorded { rule: "in-band", ..last }.differs(Some(&last), step));
        assert!(Recorded { correction: Some(Correction::BelowLowest), ..last }.differs(Some(&last), step));
        // Without a least move every page is worth it, and no page is not.
        assert!(
            to(1001).differs(Some(&last), PageCount::ZERO) && !last.differs(Some(&last), PageCount::ZERO)
        );
    }
}
