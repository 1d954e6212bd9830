//! The balancer's state: what it knows of the host and its VMs, and how it is looked at from outside.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use balancing_policy::{
    MemorySettings, PageCount, ParentState, Policy, Proposal, Reservation, SettingsError, Target, VmId,
    VmView,
};
use page_range::HostFrames;

use crate::constants::DEFAULT_GRANULE;
use crate::ledger::{Books, Ledger};
use crate::origins::{CameBack, Source};
use crate::rates::Rates;
use crate::vm::{Live, Registered, Tally};
use crate::waiting::{Purpose, Waiting};
use crate::{BalancerConfig, Fault, Stopwatch};

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
    /// The ids of the running VMs in ascending order. At the same place of the next three lists are what the engine keeps of
    /// each, what the policy sees of it, and its target and why.
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
    pub(crate) next_operation: u64,
    pub(crate) came_back: CameBack,
    pub(crate) moved: BTreeMap<(Source, VmId), PageCount>,
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
            books: Books::new(frames, config.reserve.saturating_add(config.beyond)),
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
            came_back: CameBack::default(),
            moved: BTreeMap::new(),
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

    /// Makes a VM known, which is off at first.
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
        if self.index(vm).is_some() || self.restarts(vm) {
            return Err(RegisterError::InUse(vm));
        }
        if let Some(place) = self.place(vm) {
            self.drop_waiting(place);
        }
        self.registered.remove(&vm).map(drop).ok_or(RegisterError::Unknown(vm))
    }

    /// The accounts of the host's memory.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.books.ledger()
    }

    /// How many runs of frames the memory that no VM has consists of: what it is fragmented into.
    #[must_use]
    pub fn available_runs(&self) -> usize {
        self.books.available_runs()
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

    /// When to come back with [`Input::Timer`](crate::Input::Timer) at the latest.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        let ends = self.waiting.iter().map(|waiting| waiting.until).min();
        Some(ends.map_or(self.next_round, |ends| ends.min(self.next_round)))
    }

    pub(crate) fn index(&self, vm: VmId) -> Option<usize> {
        self.ids.binary_search(&vm).ok()
    }

    /// Where the VM stands in the line of those for whose start memory is collected.
    pub(crate) fn place(&self, vm: VmId) -> Option<usize> {
        self.waiting.iter().position(|waiting| waiting.vm == vm)
    }

    /// Whether the VM restarts, and waits for memory.
    pub(crate) fn restarts(&self, vm: VmId) -> bool {
        self.place(vm).is_some_and(|place| self.waiting[place].purpose == Purpose::Restart)
    }

    pub(crate) fn running(&self, vm: VmId) -> Result<usize, Fault> {
        self.index(vm).ok_or(Fault::NotRunning(vm))
    }

    /// Bring the policy's view of a VM up to what the engine knows.
    pub(crate) fn refresh(&mut self, index: usize, now: Duration) {
        self.live[index].refresh(&mut self.views[index], now);
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
