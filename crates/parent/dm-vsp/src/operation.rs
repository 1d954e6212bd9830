//! The one operation that may be outstanding: giving the guest pages, or taking some.

use core::time::Duration;

use dm_protocol::{MessageType, WireRange};
use page_range::{GuestPage, GuestRange, PageCount, RangeSet};
use serde::{Deserialize, Serialize};

use crate::machine::{DmVsp, Phase};
use crate::pages::{Fate, Releasing};
use crate::send::RANGES_PER_UNBALLOON;
use crate::{
    MapKind, MapRefused, OperationKind, Outcome, Output, Rejection, ReleaseKind, ReleaseRefused, Violation,
    Waiting,
};

/// Ranges given back in one transaction at most: 16 full messages, 64 KiB on the wire, so that what a caller must queue
/// is limited however fragmented the balloon is (invented). More is given back in further transactions of the same
/// operation.
const UNBALLOON_RANGES: usize = 16 * RANGES_PER_UNBALLOON;

/// Whether memory can be hot-added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HotAddState {
    /// Nothing is known that speaks against it.
    Available,
    /// The guest refused it for now.
    Later {
        /// Not to be tried before.
        not_before: Duration,
        /// How often in a row it refused.
        refusals: u32,
    },
    /// Not until the VM is reset.
    Over,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Operation {
    pub(crate) kind: OperationKind,
    pub(crate) requested: PageCount,
    pub(crate) ballooned: PageCount,
    pub(crate) unballooned: PageCount,
    pub(crate) hot_added: PageCount,
    pub(crate) unconfirmed: PageCount,
    pub(crate) step: Step,
}

/// What an operation waits for. A deadline is `None` once it has passed: then the answer is late.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    /// For the caller to map what is to be given back.
    MapUnballoon { ticket: u64, ranges: RangeSet<GuestPage> },
    /// For the guest to take it back.
    Unballoon { ranges: RangeSet<GuestPage>, deadline: Option<Duration> },
    /// For the caller to map new memory.
    MapHotAdd { ticket: u64, range: GuestRange },
    /// For the guest to accept it.
    HotAdd { range: GuestRange, deadline: Option<Duration> },
    /// For the guest to give pages; after its last answer, for the caller to release them.
    Balloon { asked: PageCount, given: PageCount, answered: bool, deadline: Option<Duration> },
    /// For the caller to answer what was asked of it; the end is decided.
    Ending { outcome: Outcome },
}

impl Step {
    pub(crate) fn deadline(&self) -> Option<Duration> {
        match self {
            Self::Unballoon { deadline, .. }
            | Self::HotAdd { deadline, .. }
            | Self::Balloon { deadline, .. } => *deadline,
            Self::MapUnballoon { .. } | Self::MapHotAdd { .. } | Self::Ending { .. } => None,
        }
    }

    pub(crate) fn deadline_mut(&mut self) -> Option<&mut Duration> {
        match self {
            Self::Unballoon { deadline, .. }
            | Self::HotAdd { deadline, .. }
            | Self::Balloon { deadline, .. } => deadline.as_mut(),
            Self::MapUnballoon { .. } | Self::MapHotAdd { .. } | Self::Ending { .. } => None,
        }
    }

    /// What was not done in time, if time has just run out.
    pub(crate) fn expire(&mut self, now: Duration) -> Option<Waiting> {
        let (deadline, waiting_for) = match self {
            Self::Unballoon { deadline, .. } => (deadline, Waiting::Unballoon),
            Self::HotAdd { deadline, .. } => (deadline, Waiting::HotAdd),
            Self::Balloon { deadline, .. } => (deadline, Waiting::Balloon),
            Self::MapUnballoon { .. } | Self::MapHotAdd { .. } | Self::Ending { .. } => return None,
        };
        deadline.take_if(|deadline| *deadline <= now).map(|_| waiting_for)
    }

    /// The answer that it waits for.
    pub(crate) fn awaits(&self) -> Option<MessageType> {
        match self {
            Self::Unballoon { .. } => Some(MessageType::UNBALLOON_RESPONSE),
            Self::HotAdd { .. } => Some(MessageType::MEM_HOT_ADD_RESPONSE),
            Self::Balloon { answered: false, .. } => Some(MessageType::BALLOON_RESPONSE),
            _ => None,
        }
    }
}

impl Operation {
    pub(crate) fn done(&self) -> PageCount {
        self.ballooned + self.unballooned + self.hot_added
    }

    pub(crate) fn finished(self, outcome: Outcome) -> Output {
        Output::Finished {
            kind: self.kind,
            requested: self.requested,
            done: self.done(),
            unballooned: self.unballooned,
            hot_added: self.hot_added,
            unconfirmed: self.unconfirmed,
            outcome,
        }
    }
}

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
        let settled = self.state.undo.is_empty() && self.state.pages.releasing.is_empty();
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
                MapKind::Unballoon => {
                    self.state.pages.give_back(&undo.ranges);
                    Fate::Stranded
                }
                MapKind::HotAdd => {
                    undo.ranges.runs().for_each(|range| self.state.pages.add(range));
                    Fate::Gone
                }
            };
            self.release(undo.ranges, fate, ReleaseKind::NotSent, out);
        }
        self.finish_if_settled(out);
        true
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
            return self.fail(Violation::ReleaseRefused { why }, out);
        }
        self.state.pages.released(releasing);
        if let Some(operation) = &mut self.state.operation
            && operation.kind == OperationKind::Shrink
        {
            operation.ballooned += pages;
            self.state.statistics.ballooned = self.state.statistics.ballooned.saturating_add(pages);
        }
        self.balloon_settled(now, out);
        self.finish_if_settled(out);
    }
}
