//! What the guest answers to what it was asked.

use alloc::vec::Vec;
use core::time::Duration;

use dm_protocol::{BalloonResponse, HotAddResponse};
use page_range::{GuestRange, PageCount, PageNumber};

use crate::pages::Fate;
use crate::state::{DmVsp, HotAddState, Step};
use crate::{Outcome, Output, ReleaseKind, Violation};

impl DmVsp {
    /// Pages that the guest gives away. There may be any number of answers before the last, and the last may have no pages.
    /// All of them together have no more pages than were asked for, in whole blocks of 2 MiB.
    pub(crate) fn balloon_response(
        &mut self,
        now: Duration,
        response: BalloonResponse<'_>,
        out: &mut Vec<Output>,
    ) {
        let ranges = match self.state.pages.check_answer(response.ranges) {
            Ok(ranges) => ranges,
            Err(violation) => return self.fail(violation, out),
        };
        let Some(operation) = &mut self.state.operation else { return };
        let Step::Balloon { asked, given, answered, deadline } = &mut operation.step else { return };
        let in_all = given.saturating_add(ranges.pages());
        if in_all > asked.round_up_to(PageCount::LARGE_PAGE) {
            let violation = Violation::MoreThanAsked { asked: *asked, given: in_all };
            return self.fail(violation, out);
        }
        *given = in_all;
        if !response.more_pages {
            *answered = true;
            *deadline = None;
            self.next_transaction();
            self.answered(out);
        }
        let mapped = self.state.pages.take_over_forgotten(ranges);
        self.release_given(mapped, out);
        self.balloon_settled(now, out);
    }

    /// Goes on once the last answer is there and all that was given is released.
    pub(crate) fn balloon_settled(&mut self, now: Duration, out: &mut Vec<Output>) {
        let Some(operation) = &self.state.operation else { return };
        let Step::Balloon { asked, given, answered: true, .. } = operation.step else { return };
        if !self.state.pages.is_settled() {
            return;
        }
        if given < asked {
            self.end(Outcome::GuestAtMinimum, out);
        } else {
            self.advance(now, out);
        }
    }

    pub(crate) fn unballoon_response(&mut self, now: Duration, out: &mut Vec<Output>) {
        self.answered(out);
        self.next_transaction();
        let Some(operation) = &mut self.state.operation else { return };
        let Step::Unballoon { ranges, .. } = &operation.step else { return };
        let pages = ranges.pages();
        operation.unballooned += pages;
        self.state.statistics.unballooned = self.state.statistics.unballooned.saturating_add(pages);
        self.advance(now, out);
    }

    /// The first `page_count` pages stay, whatever `result` says; the rest is unmapped.
    pub(crate) fn hot_add_response(
        &mut self,
        now: Duration,
        response: HotAddResponse,
        out: &mut Vec<Output>,
    ) {
        self.answered(out);
        self.next_transaction();
        let Some(operation) = &mut self.state.operation else { return };
        let Step::HotAdd { range, .. } = operation.step else { return };
        let accepted = PageCount(response.page_count.into()).min(range.pages());
        operation.hot_added += accepted;
        self.state.statistics.hot_added = self.state.statistics.hot_added.saturating_add(accepted);
        let first_refused = range.start().number() + accepted.get();
        let Some(refused) = GuestRange::between(first_refused, range.end()) else {
            self.state.hot_add = HotAddState::Available;
            return self.advance(now, out);
        };
        let for_now = accepted.is_zero() && response.result == 0;
        self.state.hot_add = if for_now { self.refused_for_now(now) } else { HotAddState::Over };
        let outcome = match self.state.hot_add {
            HotAddState::Later { not_before, .. } => Outcome::HotAddLater { not_before },
            HotAddState::Available | HotAddState::Over => Outcome::HotAddOver,
        };
        self.release(refused.into(), Fate::Refused, ReleaseKind::HotAddRefused, out);
        self.end(outcome, out);
    }

    fn refused_for_now(&self, now: Duration) -> HotAddState {
        let before = match self.state.hot_add {
            HotAddState::Later { refusals, .. } => refusals,
            HotAddState::Available | HotAddState::Over => 0,
        };
        let refusals = before.saturating_add(1);
        let backoff = &self.config.hot_add_backoff;
        if refusals >= backoff.attempts {
            return HotAddState::Over;
        }
        HotAddState::Later { not_before: now.saturating_add(backoff.after(refusals)), refusals }
    }
}
