//! The engine: inputs in, outputs out.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use balancing_policy::{
    GuestStatus, MemorySettings, PageCount, ParentState, PendingKind, Phase, Policy, Proposal, Reservation,
    SettingsError, Target, VmId, VmView, pressure,
};
use page_range::HostFrames;

use crate::constants::DEFAULT_GRANULE;
use crate::ledger::{Books, Ledger};
use crate::rates::{Ewma, Rates};
use crate::starts::Waiting;
use crate::turns::Turns;
use crate::vm::{Joined, Live, Operation, Registered, Tally};
use crate::{BalancerConfig, Done, Fault, Input, OperationId, Output, Stopwatch};

/// Why a VM cannot be registered, or its settings not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// There is a VM of this id.
    #[error("VM {} is registered already, as {name}", .vm.0)]
    Duplicate {
        /// The id.
        vm: VmId,
        /// Who has it.
        name: Arc<str>,
    },
    /// There is no VM of this id.
    #[error("VM {} is not registered", .0.0)]
    Unknown(VmId),
    /// The settings are not valid.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The VM has memory.
    #[error("VM {} is running, or waits to start", .0.0)]
    InUse(VmId),
}

/// The memory balancer: see the [crate's documentation](crate).
pub struct Balancer {
    pub(crate) config: BalancerConfig,
    pub(crate) books: Books,
    pub(crate) registered: BTreeMap<VmId, Registered>,
    /// Running VMs in ascending order: their ids close together, where they are looked up; what the engine keeps of each; what
    /// the policy sees of it; its target, and why.
    pub(crate) ids: Vec<VmId>,
    pub(crate) live: Vec<Live>,
    pub(crate) views: Vec<VmView>,
    pub(crate) targets: Vec<Target>,
    pub(crate) waiting: Vec<Waiting>,
    pub(crate) parent: ParentState,
    pub(crate) rates: Rates,
    pub(crate) policy: Box<dyn Policy>,
    pub(crate) policy_name: Arc<str>,
    pub(crate) by_priority: bool,
    pub(crate) stopwatch: Option<Stopwatch>,
    pub(crate) interval: Duration,
    pub(crate) next_round: Duration,
    pub(crate) rounds: u64,
    pub(crate) last_summary: &'static str,
    pub(crate) proposal: Proposal,
    pub(crate) reservations: Vec<Reservation>,
    /// What the policy leaves for starts; nothing before it has seen that one waits.
    pub(crate) for_starts: PageCount,
    /// Indices of VMs below their targets, in the order in which they are served.
    pub(crate) growers: Vec<usize>,
    next_operation: u64,
    turns: Turns,
    /// Switched off by the test that shows what setting aside is for.
    #[cfg(test)]
    pub(crate) protects_starts: bool,
}

impl Balancer {
    /// A balancer that owns `frames`, which is all memory of the host. Its first round comes one interval after `now`.
    #[must_use]
    pub fn new(config: BalancerConfig, frames: HostFrames, policy: Box<dyn Policy>, now: Duration) -> Self {
        let interval = policy.interval();
        Self {
            books: Books::new(frames, config.reserve),
            registered: BTreeMap::new(),
            ids: Vec::new(),
            live: Vec::new(),
            views: Vec::new(),
            targets: Vec::new(),
            waiting: Vec::new(),
            parent: ParentState::default(),
            rates: Rates::new(config.rate_window),
            policy_name: Arc::from(policy.name()),
            by_priority: policy.uses_priority(),
            policy,
            stopwatch: None,
            interval,
            next_round: now + interval,
            rounds: 0,
            last_summary: "",
            proposal: Proposal::default(),
            reservations: Vec::new(),
            for_starts: PageCount::ZERO,
            growers: Vec::new(),
            next_operation: 1,
            turns: Turns::default(),
            #[cfg(test)]
            protects_starts: true,
            config,
        }
    }

    /// The same, skipping rounds in which the policy takes too long.
    #[must_use]
    pub fn with_stopwatch(mut self, stopwatch: Stopwatch) -> Self {
        self.stopwatch = Some(stopwatch);
        self
    }

    /// Make a VM known. It is off.
    ///
    /// # Errors
    /// If the id is taken or the settings are not valid; nothing has changed then.
    pub fn register(
        &mut self,
        vm: VmId,
        name: Arc<str>,
        settings: MemorySettings,
    ) -> Result<(), RegisterError> {
        settings.validate()?;
        if let Some(other) = self.registered.get(&vm) {
            return Err(RegisterError::Duplicate { vm, name: other.name.clone() });
        }
        let registered = Registered { name, settings, tally: Tally::default(), at_start: Tally::default() };
        self.registered.insert(vm, registered);
        Ok(())
    }

    /// Change a VM's settings, running or not. A running VM keeps its startup RAM's meaning until it starts again.
    ///
    /// # Errors
    /// If there is no such VM or the settings are not valid; nothing has changed then.
    pub fn configure(
        &mut self,
        now: Duration,
        vm: VmId,
        settings: MemorySettings,
    ) -> Result<(), RegisterError> {
        settings.validate()?;
        let registered = self.registered.get_mut(&vm).ok_or(RegisterError::Unknown(vm))?;
        registered.settings = settings;
        if let Some(index) = self.index(vm) {
            self.views[index].settings = settings;
            self.refresh(index, now);
        }
        Ok(())
    }

    /// Forget a VM that is off, and its counters.
    ///
    /// # Errors
    /// If there is no such VM or it is not off.
    pub fn unregister(&mut self, vm: VmId) -> Result<(), RegisterError> {
        if self.index(vm).is_some() || self.is_waiting(vm) {
            return Err(RegisterError::InUse(vm));
        }
        self.registered.remove(&vm).map(drop).ok_or(RegisterError::Unknown(vm))
    }

    /// The accounts of the host's memory.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.books.ledger()
    }

    /// Whether the books are in order, checked frame by account rather than by the running sums alone.
    #[must_use]
    pub fn books_in_order(&self) -> bool {
        let aside = self.waiting.iter().map(|waiting| waiting.aside.pages()).sum();
        self.books.in_order(self.live.iter().map(|live| &live.account), aside)
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &BalancerConfig {
        &self.config
    }

    /// The policy's name.
    #[must_use]
    pub fn policy_name(&self) -> &str {
        &self.policy_name
    }

    /// The running VMs as the policy sees them, in ascending order of id.
    #[must_use]
    pub fn vms(&self) -> &[VmView] {
        &self.views
    }

    /// What a running VM is to have, and why.
    #[must_use]
    pub fn target(&self, vm: VmId) -> Option<&Target> {
        self.index(vm).map(|index| &self.targets[index])
    }

    /// When to come back with [`Input::Timer`] at the latest.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        let retry = self.waiting.iter().map(|waiting| waiting.next_attempt).min();
        Some(retry.map_or(self.next_round, |retry| retry.min(self.next_round)))
    }

    /// Handle one input, and whatever has come due by `now`. Outputs are added to `out`.
    pub fn handle(&mut self, now: Duration, input: Input, out: &mut Vec<Output>) {
        if let Err(fault) = self.take_in(now, input, out) {
            out.push(Output::Fault(fault));
        }
        self.retry_starts(now, out);
        if now >= self.next_round {
            self.round(now, out);
        }
        debug_assert!(self.ledger().balances(), "{:?}", self.ledger());
    }

    fn take_in(&mut self, now: Duration, input: Input, out: &mut Vec<Output>) -> Result<(), Fault> {
        match input {
            Input::StartRequest { vm } => self.start_requested(now, vm, out)?,
            Input::StartCancelled { vm } => {
                self.cancel_start(vm)?;
                self.serve(now, out);
            }
            Input::VmStarted { vm } => self.started(now, vm)?,
            Input::VmStopped { vm } => {
                if self.is_waiting(vm) {
                    self.cancel_start(vm)?;
                } else {
                    self.stop(vm)?;
                }
                self.serve(now, out);
            }
            Input::VmRestarts { vm } => {
                self.restarted(now, vm, out)?;
                self.serve(now, out);
            }
            Input::Joined { vm, granule, balloon, hot_add } => {
                let index = self.running(vm)?;
                self.live[index].joined = Some(Joined { balloon, hot_add });
                self.live[index].growth_refusals.accepted();
                self.live[index].shrink_refusals.accepted();
                if !granule.is_zero() {
                    self.views[index].granule = granule;
                }
                self.refresh(index, now);
            }
            Input::Left { vm } => {
                let index = self.running(vm)?;
                self.live[index].joined = None;
                // What it said was of before a reboot, or nobody knows whether it is still true.
                self.live[index].average_pressure = Ewma::default();
                self.views[index].history.clear();
                self.views[index].returnable = PageCount::ZERO;
                self.refresh(index, now);
            }
            Input::Status { vm, status, returnable } => self.reported(now, vm, status, returnable)?,
            Input::OperationFinished { vm, operation, done, returnable } => {
                let finished = self.finished(now, vm, operation, done, returnable, out);
                self.serve(now, out);
                finished?;
            }
            Input::Returned { vm, frames } => {
                let returned = self.returned(now, vm, frames);
                self.serve(now, out);
                returned?;
            }
            Input::Responsive { vm, responsive } => {
                let index = self.running(vm)?;
                let live = &mut self.live[index];
                live.told_unresponsive = !responsive;
                live.silent &= !responsive;
                if let Some(operation) = live.operation.as_mut() {
                    operation.stalled |= !responsive;
                }
                self.refresh(index, now);
            }
            Input::ParentState(parent) => self.parent = parent,
            Input::FramesHome(frames) => {
                let home = self.frames_home(frames);
                self.serve(now, out);
                home?;
            }
            Input::SetReserve(reserve) => {
                self.config.reserve = reserve;
                self.books.set_reserve(reserve);
                self.serve(now, out);
            }
            Input::Timer => {}
        }
        Ok(())
    }

    pub(crate) fn index(&self, vm: VmId) -> Option<usize> {
        self.ids.binary_search(&vm).ok()
    }

    fn running(&self, vm: VmId) -> Result<usize, Fault> {
        self.index(vm).ok_or(Fault::NotRunning(vm))
    }

    /// Bring the policy's view of a VM up to what the engine knows.
    pub(crate) fn refresh(&mut self, index: usize, now: Duration) {
        self.live[index].refresh(&mut self.views[index], now);
    }

    fn started(&mut self, now: Duration, vm: VmId) -> Result<(), Fault> {
        let index = self.running(vm)?;
        if self.views[index].phase != Phase::Starting {
            return Err(Fault::NotOff(vm));
        }
        let live = &mut self.live[index];
        let granted = live.account.granted();
        let nothing = self.books.nothing();
        self.books.grant_ended(&mut live.account, granted, granted, nothing);
        self.views[index].phase = Phase::Running;
        self.refresh(index, now);
        Ok(())
    }

    /// The VM has ended. Returns what it had and cost.
    pub(crate) fn stop(&mut self, vm: VmId) -> Result<PageCount, Fault> {
        let index = self.running(vm)?;
        let live = self.live.remove(index);
        self.ids.remove(index);
        self.views.remove(index);
        self.targets.remove(index);
        let had = live.held() + live.account.overhead();
        self.books.close(live.account);
        self.plan();
        Ok(had)
    }

    fn reported(
        &mut self,
        now: Duration,
        vm: VmId,
        status: GuestStatus,
        returnable: PageCount,
    ) -> Result<(), Fault> {
        let index = self.running(vm)?;
        self.prefetch_next_reports(index);
        let view = &mut self.views[index];
        let live = &mut self.live[index];
        view.history.push(now, status);
        let pressure = pressure(status.demand, live.account.assigned());
        if pressure.is_finite() {
            live.average_pressure.add(self.config.average_pressure_window, now, pressure);
        }
        // Mostly it is one report of many, and what the VM can be brought to is the same as before.
        let was_silent = core::mem::take(&mut live.silent);
        if core::mem::replace(&mut view.returnable, returnable) != returnable || was_silent {
            live.refresh(view, now);
        } else {
            live.refresh_pauses(view, now);
        }
        Ok(())
    }

    /// Asks the processor for what the next reports change: a second later than these VMs' last, it is in no cache.
    fn prefetch_next_reports(&mut self, index: usize) {
        let [next, next_but_one] = self.turns.reported(index);
        if let Some(view) = next.and_then(|index| self.views.get(index)) {
            view.history.prefetch();
        }
        if let Some(index) = next_but_one.filter(|&index| index < self.views.len()) {
            prefetch::value(&self.views[index]);
            prefetch::line(&self.live[index]);
        }
    }

    pub(crate) fn begin_operation(
        &mut self,
        index: usize,
        now: Duration,
        kind: PendingKind,
        pages: PageCount,
    ) -> OperationId {
        let id = OperationId(self.next_operation);
        self.next_operation += 1;
        self.live[index].operation =
            Some(Operation { id, kind, pages, since: now, released: PageCount::ZERO, stalled: false });
        self.refresh(index, now);
        id
    }

    fn finished(
        &mut self,
        now: Duration,
        vm: VmId,
        id: OperationId,
        mut done: Done,
        returnable: PageCount,
        out: &mut Vec<Output>,
    ) -> Result<(), Fault> {
        let (Done::Grown { returned, .. } | Done::Shrunk { returned, .. }) = &mut done;
        let foreign = !self.books.owns(returned);
        if foreign {
            core::mem::replace(returned, self.books.nothing()).send_home();
        }
        let index = self.index(vm);
        let operation =
            index.and_then(|index| self.live[index].operation).filter(|operation| operation.id == id);
        let (Some(index), Some(operation)) = (index, operation) else {
            // Of a run of the VM that has ended, or never asked for: the frames are good all the same.
            let (Done::Grown { returned, .. } | Done::Shrunk { returned, .. }) = done;
            self.books.come_home(returned);
            return Err(Fault::NoSuchOperation { vm, operation: id });
        };
        let took = now.saturating_sub(operation.since);
        let live = &mut self.live[index];
        live.operation = None;
        self.views[index].returnable = returnable;
        let (first, longest) = (self.config.refusal_first, self.config.refusal_longest);
        let fits = match (operation.kind, done) {
            (PendingKind::Grow, Done::Grown { mapped, returned, barrier }) => {
                let (mapped, fits) =
                    self.books.grant_ended(&mut live.account, operation.pages, mapped, returned);
                if barrier && let Some(joined) = live.joined.as_mut() {
                    joined.hot_add = false;
                }
                if mapped == operation.pages {
                    live.growth_refusals.accepted();
                } else if !barrier {
                    live.growth_refusals.refused(now, first, longest);
                }
                if let Some(registered) = self.registered.get_mut(&vm) {
                    registered.tally.add(mapped);
                }
                if !operation.stalled && !mapped.is_zero() {
                    self.rates.add_took(now, took);
                }
                fits
            }
            (PendingKind::Shrink, Done::Shrunk { released, returned }) => {
                let (released, fits) = self.books.released(&mut live.account, released, returned);
                let in_all = operation.released + released;
                if in_all >= operation.pages {
                    live.shrink_refusals.accepted();
                } else {
                    live.shrink_refusals.refused(now, first, longest);
                }
                if let Some(registered) = self.registered.get_mut(&vm) {
                    registered.tally.removed += released;
                    registered.tally.remove_operations += u64::from(!in_all.is_zero());
                }
                if !operation.stalled && !in_all.is_zero() {
                    self.rates.remove_took(now, took);
                }
                fits && in_all <= operation.pages
            }
            (PendingKind::Grow, Done::Shrunk { returned, .. }) => {
                // Whatever it says it did, the grant is over.
                let (mapped, _) =
                    self.books.grant_ended(&mut live.account, operation.pages, PageCount::ZERO, returned);
                debug_assert!(mapped.is_zero(), "nothing was said to be mapped");
                false
            }
            (PendingKind::Shrink, Done::Grown { returned, .. }) => {
                self.books.come_home(returned);
                false
            }
        };
        self.refresh(index, now);
        if operation.kind == PendingKind::Shrink {
            self.shrink(index, now, out);
        }
        match (foreign, fits) {
            (true, _) => Err(Fault::ForeignFrames),
            (false, true) => Ok(()),
            (false, false) => Err(Fault::BeyondOperation { vm, operation: id }),
        }
    }

    fn returned(&mut self, now: Duration, vm: VmId, frames: HostFrames) -> Result<(), Fault> {
        if !self.books.owns(&frames) {
            return Err(Fault::ForeignFrames);
        }
        let Some(index) = self.index(vm) else {
            self.books.come_home(frames);
            return Err(Fault::NotRunning(vm));
        };
        let live = &mut self.live[index];
        let (released, fits) = self.books.released(&mut live.account, PageCount::ZERO, frames);
        let mut late = true;
        if let Some(operation) =
            live.operation.as_mut().filter(|operation| operation.kind == PendingKind::Shrink)
        {
            operation.released += released;
            late = false;
        }
        if let Some(registered) = self.registered.get_mut(&vm) {
            registered.tally.removed += released;
            registered.tally.remove_operations += u64::from(late && !released.is_zero());
        }
        self.refresh(index, now);
        if fits { Ok(()) } else { Err(Fault::MoreThanItHad(vm)) }
    }

    fn frames_home(&mut self, frames: HostFrames) -> Result<(), Fault> {
        if !self.books.owns(&frames) {
            return Err(Fault::ForeignFrames);
        }
        self.books.come_home(frames);
        Ok(())
    }

    /// The hot-add granule of a guest that has not named one.
    pub(crate) fn default_granule() -> PageCount {
        DEFAULT_GRANULE.pages()
    }
}

impl core::fmt::Debug for Balancer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Balancer")
            .field("policy", &self.policy_name)
            .field("ledger", &self.ledger())
            .field("running", &self.live.len())
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}
