//! The one operation that may be outstanding: giving the guest pages, or taking some.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use dm_protocol::WireRange;
use page_range::{GuestPage, GuestRange, PageCount, RangeSet};

use crate::pages::{Fate, Releasing};
use crate::send::RANGES_PER_UNBALLOON;
use crate::state::{DmVsp, HotAddState, Operation, Phase, Step};
use crate::{
    MapKind, MapRefused, OperationKind, Outcome, Output, Rejection, ReleaseKind, ReleaseRefused, Violation,
};

/// Ranges given back in one transaction at most: 16 full messages, 64 KiB on the wire, so that what a caller must queue
/// is limited however fragmented the balloon is (invented). More is given back in further transactions of the same
/// operation.
const UNBALLOON_RANGES: usize = 16 * RANGES_PER_UNBALLOON;

impl DmVsp {
    pub(crate) fn grow(&mut self, now: Duration, pages: PageCount, out: &mut Vec<Output>) {
        if self.begin(OperationKind::Grow, pages, out) {
            self.advance(now, out);
        }
    }

    pub(crate) fn shrink(&mut self, now: Duration, pages: PageCount, out: &mut Vec<Output>) {
        if self.begin(OperationKind::Shrink, pages, out) {
            self.advance(now, out);
        }
    }

    fn begin(&mut self, kind: OperationKind, requested: PageCount, out: &mut Vec<Output>) -> bool {
        let why = match self.state.phase {
            _ if self.state.operation.is_some() => Some(Rejection::Busy),
            Phase::Ready { .. } if requested.is_zero() => Some(Rejection::NoPages),
            Phase::Ready { .. } => None,
            _ => Some(Rejection::NotReady),
        };
        if let Some(why) = why {
            out.push(Output::Rejected { kind, requested, why });
            return false;
        }
        self.state.operation = Some(Box::new(Operation {
            kind,
            requested,
            ballooned: PageCount::ZERO,
            unballooned: PageCount::ZERO,
            hot_added: PageCount::ZERO,
            unconfirmed: PageCount::ZERO,
            step: Step::Ending { outcome: Outcome::Complete },
        }));
        true
    }

    /// The next step of an operation that has none.
    pub(crate) fn advance(&mut self, now: Duration, out: &mut Vec<Output>) {
        let Some(operation) = &self.state.operation else { return };
        let left = operation.requested.saturating_sub(operation.done());
        let step = match operation.kind {
            _ if left.is_zero() => Err(Outcome::Complete),
            OperationKind::Shrink => self.ask_balloon(now, left, out),
            OperationKind::Grow if !self.state.pages.ballooned.is_empty() => {
                let ranges = self.state.pages.choose_unballoon(left, UNBALLOON_RANGES);
                let ticket = self.new_ticket();
                out.push(Output::Map { ticket, ranges: ranges.clone(), kind: MapKind::Unballoon });
                Ok(Step::MapUnballoon { ticket, ranges })
            }
            OperationKind::Grow => self.place_hot_add(now, left).map(|range| {
                let ticket = self.new_ticket();
                out.push(Output::Map { ticket, ranges: range.into(), kind: MapKind::HotAdd });
                Step::MapHotAdd { ticket, range }
            }),
        };
        self.set_step(step.unwrap_or_else(|outcome| Step::Ending { outcome }), out);
    }

    /// Ends the operation when what was asked of the caller is answered.
    pub(crate) fn end(&mut self, outcome: Outcome, out: &mut Vec<Output>) {
        self.set_step(Step::Ending { outcome }, out);
    }

    fn set_step(&mut self, step: Step, out: &mut Vec<Output>) {
        if let Some(operation) = &mut self.state.operation {
            operation.step = step;
        }
        self.finish_if_settled(out);
    }

    pub(crate) fn finish_if_settled(&mut self, out: &mut Vec<Output>) {
        let settled = self.state.undo.is_empty() && self.state.pages.is_settled();
        let ending =
            |operation: &mut Box<Operation>| settled && matches!(operation.step, Step::Ending { .. });
        let Some(operation) = self.state.operation.take_if(ending) else { return };
        let Step::Ending { outcome } = operation.step else { return };
        self.state.statistics.short_operations += u64::from(operation.done() < operation.requested);
        out.push(operation.finished(outcome));
    }

    fn ask_balloon(
        &mut self,
        now: Duration,
        left: PageCount,
        out: &mut Vec<Output>,
    ) -> Result<Step, Outcome> {
        if !self.service().is_some_and(|service| service.capabilities.balloon) {
            return Err(Outcome::NotCapable);
        }
        let asked = left.min(self.config.balloon_request_pages);
        self.send_balloon(asked, out);
        let deadline = Some(now.saturating_add(self.config.timeouts.balloon(asked)));
        Ok(Step::Balloon { asked, given: PageCount::ZERO, answered: false, deadline })
    }

    /// Where new memory goes: whole granules only, so at most as much as is left.
    fn place_hot_add(&self, now: Duration, left: PageCount) -> Result<GuestRange, Outcome> {
        let capabilities = self.service().map(|service| service.capabilities);
        let granule = capabilities.filter(|can| can.hot_add).ok_or(Outcome::NotCapable)?.granule;
        match self.state.hot_add {
            HotAddState::Over => return Err(Outcome::HotAddOver),
            HotAddState::Later { not_before, .. } if now < not_before => {
                return Err(Outcome::HotAddLater { not_before });
            }
            HotAddState::Available | HotAddState::Later { .. } => {}
        }
        if left < granule {
            return Err(Outcome::BelowGranule);
        }
        let longest = PageCount(WireRange::MAX_COUNT);
        let most = self.config.hot_add_request_pages.max(granule).min(longest).min(left);
        let window = &self.config.layout.hot_add;
        self.state.pages.place_hot_add(window, most, granule).ok_or(Outcome::NoRoom)
    }

    pub(crate) fn mapped(
        &mut self,
        now: Duration,
        ticket: u64,
        result: Result<(), MapRefused>,
        out: &mut Vec<Output>,
    ) {
        if self.undo_map(ticket, result, out) {
            return;
        }
        let Some(operation) = &mut self.state.operation else { return };
        let step = match &mut operation.step {
            Step::MapUnballoon { ticket: asked, ranges } if *asked == ticket => {
                let ranges = core::mem::take(ranges);
                result.map(|()| {
                    self.state.pages.give_back(&ranges);
                    self.send_unballoon(&ranges, out);
                    let deadline = Some(now.saturating_add(self.config.timeouts.unballoon));
                    Step::Unballoon { ranges, deadline }
                })
            }
            &mut Step::MapHotAdd { ticket: asked, range } if asked == ticket => result.map(|()| {
                self.state.pages.add(range);
                self.send_hot_add(range, out);
                let granule = self.service().map_or(PageCount::ZERO, |service| service.capabilities.granule);
                let deadline = Some(now.saturating_add(self.config.timeouts.hot_add(range.pages(), granule)));
                Step::HotAdd { range, deadline }
            }),
            // A ticket of before a reset.
            _ => return,
        };
        let ending = |why| Step::Ending { outcome: Outcome::NotMapped(why) };
        self.set_step(step.unwrap_or_else(ending), out);
    }

    /// Pages that were mapped too late to be offered are unmapped again.
    fn undo_map(&mut self, ticket: u64, result: Result<(), MapRefused>, out: &mut Vec<Output>) -> bool {
        let Some(undo) = self.state.undo.remove(&ticket) else { return false };
        if result.is_ok() {
            let fate = match undo.kind {
                MapKind::Unballoon => self.state.pages.give_back(&undo.ranges),
                MapKind::HotAdd => {
                    undo.ranges.runs().for_each(|range| self.state.pages.add(range));
                    Fate::NotOffered
                }
            };
            self.release(undo.ranges, fate, ReleaseKind::NotSent, out);
        }
        self.finish_if_settled(out);
        true
    }

    /// Pages that the guest gave away are released in one go with all that it gives meanwhile, so that a guest which answers
    /// in many small messages makes its host no work for each of them.
    pub(crate) fn release_given(&mut self, given: RangeSet<GuestPage>, out: &mut Vec<Output>) {
        if !given.is_empty() {
            self.state.pages.wait_for_release(given);
            self.release_waiting(out);
        }
    }

    fn release_waiting(&mut self, out: &mut Vec<Output>) {
        if let Some(Releasing { ranges, fate }) = self.state.pages.next_to_release() {
            self.release(ranges, fate, ReleaseKind::Ballooned, out);
        }
    }

    pub(crate) fn release(
        &mut self,
        ranges: RangeSet<GuestPage>,
        fate: Fate,
        kind: ReleaseKind,
        out: &mut Vec<Output>,
    ) {
        let ticket = self.new_ticket();
        out.push(Output::Release { ticket, ranges: ranges.clone(), kind });
        self.state.pages.releasing.insert(ticket, Releasing { ranges, fate });
    }

    pub(crate) fn released(
        &mut self,
        now: Duration,
        ticket: u64,
        result: Result<(), ReleaseRefused>,
        out: &mut Vec<Output>,
    ) {
        let Some(releasing) = self.state.pages.releasing.remove(&ticket) else { return };
        let pages = releasing.ranges.pages();
        if let Err(why) = result {
            if let Some(operation) = &mut self.state.operation
                && operation.kind == OperationKind::Grow
            {
                operation.unconfirmed += pages;
            }
            self.fail(Violation::ReleaseRefused { why }, out);
            return self.release_waiting(out);
        }
        self.state.pages.released(releasing);
        if let Some(operation) = &mut self.state.operation
            && operation.kind == OperationKind::Shrink
        {
            operation.ballooned += pages;
            self.state.statistics.ballooned = self.state.statistics.ballooned.saturating_add(pages);
        }
        self.release_waiting(out);
        self.balloon_settled(now, out);
        self.finish_if_settled(out);
    }
}
