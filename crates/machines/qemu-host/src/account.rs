//! What a VM is charged with, as a state machine without I/O: orders of the balancer and what QEMU says in, requests and frames out.
//!
//! # What always holds
//!
//! The frames of a VM are at least as many as the pages that its guest can have: what QEMU was last heard to give it, and every amount that
//! QEMU was asked for and may still give. So a growth is charged before it is asked for, and of a shrink frames are free only when
//! the guest has given as much *and* QEMU has agreed not to give it back. The one exception is what happens behind the balancer's back (a guest
//! that reboots has its balloon's memory again until its driver is up; QEMU's `deflate-on-oom`; another program that sets the
//! balloon): that is the [overrun](Account::overrun), which the host's reserve bears.

use core::time::Duration;

use memory_balancer::{Done, OperationId};
use page_range::{HostFrames, PageCount};

use crate::device::Limits;

/// How long QEMU may take to agree to what ends an operation. Invented.
const SETTLE_PATIENCE: Duration = Duration::from_secs(10);
/// How many times its patience an operation may take in all, with ever so little progress. Invented.
const LONGEST: u32 = 4;
/// How long a guest may have less than it is charged with, outside of any operation, before that is taken for what it is to have. Invented.
const LESS_PATIENCE: Duration = Duration::from_secs(10);
/// How many operations in a row without any progress make a guest one that does not answer. Invented.
const FRUITLESS: u32 = 3;

/// What is to be done.
#[derive(Debug)]
pub enum Step {
    /// Ask QEMU that the VM have this much.
    Ask(PageCount),
    /// These frames are the VM's no more.
    Returned(HostFrames),
    /// The operation has ended.
    Finished {
        /// Which.
        operation: OperationId,
        /// What came of it.
        done: Done,
        /// How it ended.
        outcome: Outcome,
    },
    /// The guest does not answer what it is asked, or does again.
    Responsive(bool),
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it was ordered.
    Complete,
    /// The guest did a part of it, or nothing, in its time.
    Stalled,
    /// QEMU refused.
    Refused,
    /// The VM cannot be asked any more: it was paused, migrates, or its QEMU cannot be reached.
    Interrupted,
    /// The guest needs what was to be taken.
    Needed,
}

impl Outcome {
    /// Its word in events.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Complete => "Complete",
            Self::Stalled => "Stalled",
            Self::Refused => "Refused",
            Self::Interrupted => "Interrupted",
            Self::Needed => "Needed",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Frames that were granted.
    Grow {
        granted: PageCount,
    },
    Shrink,
}

#[derive(Clone, Copy, Debug)]
struct Operation {
    id: OperationId,
    way: Way,
    goal: PageCount,
    since: Duration,
    progress: Duration,
    /// It is over as soon as QEMU has agreed that the guest keep what it has.
    settling: Option<(Duration, Outcome)>,
    moved: bool,
}

/// A VM's account.
#[derive(Debug)]
pub struct Account {
    frames: HostFrames,
    /// The most that QEMU gives its guest, as far as it was asked and has agreed.
    ceiling: PageCount,
    /// What QEMU is asked for now, and has not agreed to.
    asked: Option<PageCount>,
    /// What it is to be asked for next.
    wanted: Option<PageCount>,
    /// What the guest has, when last heard.
    actual: PageCount,
    /// `actual` has been heard after QEMU agreed to the last request.
    heard_since: bool,
    operation: Option<Operation>,
    less_since: Option<Duration>,
    fruitless: u32,
    responsive: bool,
    /// Growth is ordered as blocks: it is complete when less than this is missing.
    granule: PageCount,
    patience: Duration,
}

impl Account {
    /// The account of a VM that has as many pages as there are frames.
    #[must_use]
    pub fn new(frames: HostFrames, actual: PageCount, limits: &Limits, patience: Duration) -> Self {
        Self {
            ceiling: frames.pages(),
            frames,
            asked: None,
            wanted: None,
            actual,
            heard_since: true,
            operation: None,
            less_since: None,
            fruitless: 0,
            responsive: true,
            granule: PageCount::from_bytes(if limits.returnable == 0 {
                limits.granule.max(page_range::PAGE_SIZE)
            } else {
                page_range::PAGE_SIZE
            }),
            patience,
        }
    }

    /// What the VM is charged with.
    #[must_use]
    pub fn pages(&self) -> PageCount {
        self.frames.pages()
    }

    /// What the guest has beyond that.
    #[must_use]
    pub fn overrun(&self) -> PageCount {
        self.actual.saturating_sub(self.pages())
    }

    /// Whether an operation, or the end of one, is under way.
    #[must_use]
    pub fn is_moving(&self) -> bool {
        self.operation.is_some() || self.wanted.is_some() || self.asked.is_some()
    }

    /// Whether the guest answers.
    #[must_use]
    pub fn is_responsive(&self) -> bool {
        self.responsive
    }

    /// The balancer has granted these frames.
    pub fn grant(&mut self, now: Duration, id: OperationId, frames: HostFrames, out: &mut Vec<Step>) {
        let granted = frames.pages();
        let goal = self.pages().saturating_add(granted);
        if let Err(foreign) = self.frames.merge(frames) {
            // They go home by themselves; there are none of another host.
            drop(foreign);
        }
        self.begin(now, id, Way::Grow { granted }, goal, out);
    }

    /// The balancer orders that `pages` be taken, of which `keep` says what the guest must keep.
    pub fn shrink(
        &mut self,
        now: Duration,
        id: OperationId,
        pages: PageCount,
        keep: PageCount,
        out: &mut Vec<Step>,
    ) {
        let goal = self.pages().saturating_sub(pages).max(keep.min(self.pages()));
        if goal == self.pages() {
            let returned = self.frames.empty_like();
            let done = Done::Shrunk { released: PageCount::ZERO, returned };
            out.push(Step::Finished { operation: id, done, outcome: Outcome::Needed });
            return;
        }
        self.begin(now, id, Way::Shrink, goal, out);
    }

    fn begin(&mut self, now: Duration, id: OperationId, way: Way, goal: PageCount, out: &mut Vec<Step>) {
        // The balancer never orders two at once; if it did, the first would be over.
        self.finish(Outcome::Interrupted, out);
        self.operation =
            Some(Operation { id, way, goal, since: now, progress: now, settling: None, moved: false });
        self.wanted = Some(goal);
        self.go_on(out);
    }

    /// QEMU cannot be asked for what [`Step::Ask`] said now; it is again at the next [`timer`](Self::timer).
    pub fn not_now(&mut self) {
        self.wanted = self.wanted.or(self.asked.take());
    }

    /// QEMU has agreed to what it was asked for, or refused.
    pub fn answered(&mut self, now: Duration, accepted: bool, out: &mut Vec<Step>) {
        let Some(asked) = self.asked.take() else { return };
        if accepted {
            self.ceiling = asked;
        } else if let Some(operation) = &mut self.operation
            && operation.settling.is_none()
        {
            operation.settling = Some((now, Outcome::Refused));
            self.heard_since = true;
        }
        self.go_on(out);
    }

    /// What the guest has was heard.
    pub fn heard(&mut self, now: Duration, actual: PageCount, out: &mut Vec<Step>) {
        if let Some(operation) = &mut self.operation {
            let nearer = match operation.way {
                Way::Grow { .. } => actual > self.actual,
                Way::Shrink => actual < self.actual,
            };
            if nearer {
                (operation.progress, operation.moved) = (now, true);
            }
        }
        if actual != self.actual && !self.responsive {
            self.responsive = true;
            self.fruitless = 0;
            out.push(Step::Responsive(true));
        }
        self.actual = actual;
        self.heard_since |= self.asked.is_none();
        self.go_on(out);
    }

    /// The VM cannot be asked any more: its operation ends, with everything charged that its guest may still get. `lost`: nor can QEMU.
    pub fn interrupt(&mut self, now: Duration, lost: bool, out: &mut Vec<Step>) {
        if lost {
            // An answer will not come: what was asked for may be given.
            if let Some(asked) = self.asked.take() {
                self.ceiling = self.ceiling.max(asked);
            }
            self.wanted = None;
            self.finish(Outcome::Interrupted, out);
        } else if let Some(operation) =
            self.operation.as_mut().filter(|operation| operation.settling.is_none())
        {
            operation.settling = Some((now, Outcome::Interrupted));
            self.wanted = Some(self.actual);
            self.go_on(out);
        }
    }

    /// Time has passed.
    pub fn timer(&mut self, now: Duration, out: &mut Vec<Step>) {
        let (patience, actual) = (self.patience, self.actual);
        if let Some(operation) = &mut self.operation {
            match operation.settling {
                None if now.saturating_sub(operation.progress) >= patience
                    || now.saturating_sub(operation.since) >= patience * LONGEST =>
                {
                    operation.settling = Some((now, Outcome::Stalled));
                    self.wanted = Some(actual);
                }
                Some((since, outcome)) if now.saturating_sub(since) >= SETTLE_PATIENCE => {
                    self.wanted = None;
                    self.finish(outcome, out);
                }
                None | Some(_) => {}
            }
        } else if self.actual < self.pages() && !self.is_moving() {
            // Another program has taken memory from the guest, or an operation's end was not heard: it is to have what it has.
            let since = *self.less_since.get_or_insert(now);
            if now.saturating_sub(since) >= LESS_PATIENCE {
                self.less_since = None;
                self.wanted = Some(actual);
            }
        } else {
            self.less_since = None;
        }
        self.go_on(out);
    }

    /// When [`timer`](Self::timer) is to be called.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        match &self.operation {
            Some(Operation { settling: Some((since, _)), .. }) => Some(*since + SETTLE_PATIENCE),
            Some(operation) => {
                Some((operation.progress + self.patience).min(operation.since + self.patience * LONGEST))
            }
            None => self.less_since.map(|since| since + LESS_PATIENCE),
        }
    }

    /// Asks for what the VM is charged with, if its guest has more.
    pub fn bring_back(&mut self, out: &mut Vec<Step>) {
        if self.operation.is_none() && !self.overrun().is_zero() {
            self.wanted = Some(self.pages());
            self.go_on(out);
        }
    }

    fn go_on(&mut self, out: &mut Vec<Step>) {
        if self.asked.is_none()
            && let Some(wanted) = self.wanted.take()
        {
            // QEMU is never asked for more than is charged.
            let asked = wanted.min(self.pages());
            (self.asked, self.heard_since) = (Some(asked), false);
            out.push(Step::Ask(asked));
            return;
        }
        self.give_back(out);
        let Some(operation) = &self.operation else { return };
        let reached = match operation.way {
            Way::Grow { .. } => self.actual.saturating_add(self.granule) > operation.goal,
            Way::Shrink => self.actual <= operation.goal,
        };
        let agreed = self.asked.is_none() && self.wanted.is_none() && self.heard_since;
        match operation.settling {
            // Of what QEMU has taken back, nothing is left to wait for.
            Some((_, outcome)) if agreed => {
                let outcome = if reached { Outcome::Complete } else { outcome };
                self.finish(outcome, out);
            }
            None if agreed && reached => self.finish(Outcome::Complete, out),
            _ => {}
        }
    }

    /// What the guest has not and cannot get any more is not its own.
    fn beyond(&self) -> PageCount {
        let may_have = self.actual.max(self.ceiling).max(self.asked.unwrap_or(PageCount::ZERO));
        self.pages().saturating_sub(may_have)
    }

    fn give_back(&mut self, out: &mut Vec<Step>) {
        if matches!(self.operation, Some(Operation { way: Way::Grow { .. }, .. })) || !self.heard_since {
            return;
        }
        let beyond = self.beyond();
        if !beyond.is_zero() {
            out.push(Step::Returned(self.frames.take_up_to(beyond)));
        }
    }

    fn finish(&mut self, outcome: Outcome, out: &mut Vec<Step>) {
        let Some(operation) = self.operation.take() else { return };
        let done = match operation.way {
            Way::Grow { granted } => {
                let back = if self.heard_since { self.beyond().min(granted) } else { PageCount::ZERO };
                let returned = self.frames.take_up_to(back);
                Done::Grown { mapped: granted.saturating_sub(returned.pages()), returned, barrier: false }
            }
            Way::Shrink => Done::Shrunk { released: PageCount::ZERO, returned: self.frames.empty_like() },
        };
        out.push(Step::Finished { operation: operation.id, done, outcome });
        if outcome == Outcome::Stalled && !operation.moved {
            self.fruitless += 1;
            if self.fruitless >= FRUITLESS && self.responsive {
                self.responsive = false;
                out.push(Step::Responsive(false));
            }
        } else if operation.moved {
            self.fruitless = 0;
        }
        self.give_back(out);
    }
}
