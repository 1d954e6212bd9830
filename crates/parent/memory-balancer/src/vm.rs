//! What the engine keeps per VM.

use core::time::Duration;
use std::sync::Arc;

use balancing_policy::{
    MemorySettings, PageCount, PendingKind, PendingOperation, Phase, PressureBand, Reason, Target, VmId,
    VmView, satisfied_pressure,
};

use crate::backoff::Backoff;
use crate::ledger::Account;
use crate::origins::Origins;
use crate::rates::Ewma;
use crate::{Correction, OperationId};

/// A configured VM, running or not. Its counters outlive its runs.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) name: Arc<str>,
    pub(crate) settings: MemorySettings,
    pub(crate) tally: Tally,
    /// The tally when the VM last started.
    pub(crate) at_start: Tally,
}

/// What was moved, cumulative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) added: PageCount,
    pub(crate) removed: PageCount,
    pub(crate) add_operations: u64,
    pub(crate) remove_operations: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, pages: PageCount) {
        self.added += pages;
        self.add_operations += u64::from(!pages.is_zero());
    }
}

/// The operation a VM is busy with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    pub(crate) id: OperationId,
    pub(crate) kind: PendingKind,
    pub(crate) pages: PageCount,
    pub(crate) since: Duration,
    /// What has come back already.
    pub(crate) released: PageCount,
    /// The VM did not answer in time: how long it took says nothing about the host.
    pub(crate) stalled: bool,
}

/// What the guest said when it joined Dynamic Memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Joined {
    pub(crate) balloon: bool,
    pub(crate) hot_add: bool,
}

/// What of a decision was last put out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) target: PageCount,
    pub(crate) rule: &'static str,
    pub(crate) correction: Option<Correction>,
}

/// A VM that runs, or has its startup RAM on its way. Beside it, at the same index, are its id, its [`VmView`] and its
/// target with the reason.
#[derive(Debug)]
pub(crate) struct Live {
    /// What it is to have.
    pub(crate) target: PageCount,
    pub(crate) joined: Option<Joined>,
    /// Its worker has said that the guest does not answer what it is asked.
    pub(crate) does_not_answer: bool,
    /// The guest used to report and does not any more.
    pub(crate) silent: bool,
    /// The guest has refused memory, or to give memory, lately: what it can be brought to changes when the pause after that
    /// is over, so with time alone.
    pauses: bool,
    pub(crate) average_pressure: Ewma,
    pub(crate) account: Account,
    /// What it was given at its start.
    pub(crate) at_start: PageCount,
    /// The most it has had in this run: what its guest sees as installed.
    pub(crate) visible: PageCount,
    pub(crate) recorded: Option<Recorded>,
    pub(crate) band: PressureBand,
    pub(crate) shrink_refusals: Backoff,
    pub(crate) growth_refusals: Backoff,
    pub(crate) operation: Option<Operation>,
    /// Where the memory of the grant under way comes from.
    pub(crate) granted_from: Origins,
}

impl Live {
    pub(crate) fn new(account: Account, registered: &Registered, startup: PageCount) -> Self {
        Self {
            target: startup,
            joined: None,
            does_not_answer: false,
            silent: false,
            pauses: false,
            average_pressure: Ewma::default(),
            at_start: account.granted(),
            // A guest whose VM has less than its startup RAM sees all of it: the rest is in a file.
            visible: if account.granted() < startup { startup } else { PageCount::ZERO },
            account,
            recorded: None,
            band: PressureBand::around(satisfied_pressure(&registered.settings), 0.0),
            shrink_refusals: Backoff::default(),
            growth_refusals: Backoff::default(),
            operation: None,
            granted_from: Origins::default(),
        }
    }

    /// Its target, if the reason for it is lost or there is none yet. The rule is still known: another would have been put out.
    pub(crate) fn held_target(&self) -> Target {
        let rule = self.recorded.as_ref().map_or("started", |recorded| recorded.rule);
        Target { pages: self.target, reason: Reason::new(rule) }
    }

    pub(crate) fn view(
        &self,
        id: VmId,
        registered: &Registered,
        now: Duration,
        granule: PageCount,
    ) -> VmView {
        let startup = self.account.granted();
        VmView::new(id, registered.settings).with(|view| {
            view.name = registered.name.clone();
            view.phase = Phase::Starting;
            view.started_at = now;
            view.assigned = PageCount::ZERO;
            (view.lowest, view.highest) = (startup, startup);
            view.granule = granule;
            view.pending = Some(PendingOperation::new(PendingKind::Grow, startup, now));
        })
    }

    /// What it has and what is on its way to it.
    pub(crate) fn held(&self) -> PageCount {
        self.account.assigned() + self.account.granted()
    }

    /// Bring the policy's view up to what the engine knows: whenever anything of that has changed.
    pub(crate) fn refresh(&mut self, view: &mut VmView, now: Duration) {
        view.assigned = self.account.assigned();
        self.visible = self.visible.max(view.assigned);
        self.pauses = !(self.shrink_refusals.is_none() && self.growth_refusals.is_none());
        view.responsive = self.is_responsive();
        if let Some(operation) = &self.operation {
            let left = operation.pages.saturating_sub(operation.released);
            view.pending = Some(PendingOperation::new(operation.kind, left, operation.since));
        } else if view.phase == Phase::Running {
            view.pending = None;
        }
        (view.lowest, view.highest) = self.reach(view, now);
    }

    /// The same when nothing but the time has changed.
    pub(crate) fn refresh_pauses(&mut self, view: &mut VmView, now: Duration) {
        if self.pauses {
            self.refresh(view, now);
        }
        debug_assert_eq!((view.assigned, view.responsive), (self.account.assigned(), self.is_responsive()));
        debug_assert_eq!((view.lowest, view.highest), self.reach(view, now));
    }

    fn is_responsive(&self) -> bool {
        !self.does_not_answer && !self.silent
    }

    /// The least and the most that it can be brought to now.
    fn reach(&self, view: &VmView, now: Duration) -> (PageCount, PageCount) {
        let settings = &view.settings;
        let held = self.held();
        let Some(joined) =
            self.joined.filter(|_| settings.dynamic && self.is_responsive() && view.phase == Phase::Running)
        else {
            return (held, held);
        };
        let takes = joined.balloon && !self.shrink_refusals.pauses(now);
        let highest = if self.growth_refusals.pauses(now) {
            held
        } else if joined.hot_add {
            settings.maximum
        } else {
            view.assigned.saturating_add(view.returnable).max(held)
        };
        if takes {
            let highest = highest.min(settings.maximum);
            (settings.minimum.min(highest), highest)
        } else {
            // What it has is reachable in any case, even outside of bounds that were changed meanwhile.
            let highest = highest.min(settings.maximum).max(held);
            (settings.minimum.max(held).min(highest), highest)
        }
    }
}
