//! What the engine keeps per VM.

use core::time::Duration;
use std::sync::Arc;

use balancing_policy::{
    MemorySettings, PageCount, PendingKind, PendingOperation, Phase, PressureBand, Reason, Target, VmId,
    VmView, satisfied_pressure,
};

use crate::backoff::Backoff;
use crate::ledger::Account;
use crate::rates::Ewma;
use crate::{BalancerConfig, Correction, OperationId};

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

/// A VM that runs, or has its startup RAM on its way. Beside it, at the same index, is its [`VmView`].
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) account: Account,
    pub(crate) operation: Option<Operation>,
    pub(crate) target: Target,
    pub(crate) recorded: Option<Recorded>,
    pub(crate) joined: Option<Joined>,
    /// It said that it does not answer.
    pub(crate) told_unresponsive: bool,
    /// It used to report and does not any more.
    pub(crate) silent: bool,
    pub(crate) shrink_refusals: Backoff,
    pub(crate) growth_refusals: Backoff,
    /// The most it has had in this run: what its guest sees as installed.
    pub(crate) visible: PageCount,
    pub(crate) average_pressure: Ewma,
    pub(crate) band: PressureBand,
}

impl Live {
    pub(crate) fn new(
        account: Account,
        registered: &Registered,
        config: &BalancerConfig,
        startup: PageCount,
    ) -> Self {
        Self {
            target: Target { pages: startup, reason: Reason::new("started") },
            account,
            operation: None,
            recorded: None,
            joined: None,
            told_unresponsive: false,
            silent: false,
            shrink_refusals: Backoff::default(),
            growth_refusals: Backoff::default(),
            visible: PageCount::ZERO,
            average_pressure: Ewma::new(config.average_pressure_window),
            band: PressureBand::around(satisfied_pressure(&registered.settings), 0.0),
        }
    }

    pub(crate) fn view(
        &self,
        id: VmId,
        registered: &Registered,
        now: Duration,
        granule: PageCount,
    ) -> VmView {
        let startup = self.account.granted();
        VmView {
            id,
            name: registered.name.clone(),
            settings: registered.settings,
            phase: Phase::Starting,
            started_at: now,
            assigned: PageCount::ZERO,
            lowest: startup,
            highest: startup,
            granule,
            returnable: PageCount::ZERO,
            responsive: true,
            pending: Some(PendingOperation { kind: PendingKind::Grow, pages: startup, since: now }),
            history: balancing_policy::StatusHistory::default(),
        }
    }

    /// What it has and what is on its way to it.
    pub(crate) fn held(&self) -> PageCount {
        self.account.assigned() + self.account.granted()
    }

    /// Bring the policy's view up to what the engine knows.
    pub(crate) fn refresh(&mut self, view: &mut VmView, now: Duration) {
        let settings = &view.settings;
        let held = self.held();
        view.assigned = self.account.assigned();
        self.visible = self.visible.max(view.assigned);
        view.responsive = !self.told_unresponsive && !self.silent;
        if let Some(operation) = &self.operation {
            view.pending = Some(PendingOperation {
                kind: operation.kind,
                pages: operation.pages.saturating_sub(operation.released),
                since: operation.since,
            });
        } else if view.phase == Phase::Running {
            view.pending = None;
        }
        (view.lowest, view.highest) = match self.joined {
            Some(joined) if settings.dynamic && view.responsive && view.phase == Phase::Running => {
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
            _ => (held, held),
        };
    }
}
