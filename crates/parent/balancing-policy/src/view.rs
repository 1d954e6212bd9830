//! What a policy sees.

use core::time::Duration;
use std::sync::Arc;

use page_range::PageCount;

use crate::{GuestInsight, GuestReport, MemorySettings, StatusHistory, pressure};

/// A VM of this host, for as long as it is configured. Starting it again does not change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct VmId(pub u32);

/// How short of memory the parent OS is. The parent OS has the memory that is given to no VM.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ParentState {
    /// Page file reads per second.
    pub page_reads: f64,
    /// How many times as long as on an idle host the host's own operations and the balancer's round take; at least 1.
    pub slowdown: f64,
}

impl ParentState {
    /// A parent OS that reads its page file `page_reads` times a second, and on which operations take `slowdown` times as long
    /// as on an idle host.
    #[must_use]
    pub const fn new(page_reads: f64, slowdown: f64) -> Self {
        Self { page_reads, slowdown }
    }
}

impl Default for ParentState {
    fn default() -> Self {
        Self { page_reads: 0.0, slowdown: 1.0 }
    }
}

/// The host in this round.
///
/// Always true: Σ assigned + in transit + overhead + reserve + available = total.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct HostView<'a> {
    /// Time since the run started.
    pub now: Duration,
    /// All memory of the host.
    pub total: PageCount,
    /// What stays with the parent OS (`MemoryReserve`).
    pub reserve: PageCount,
    /// Overhead of the VMs that run, in all.
    pub overhead: PageCount,
    /// The most that all VMs together can have: total − reserve − overhead.
    pub capacity: PageCount,
    /// What the balancer could grant at once (the counter Available Memory).
    pub available: PageCount,
    /// Granted and not yet mapped, set aside for a start, or on its way home.
    pub in_transit: PageCount,
    /// How short of memory the parent OS is.
    pub parent: ParentState,
    /// Memory granted lately, in pages per second (exponentially weighted, see the engine's constants).
    pub grant_rate: f64,
    /// From a guest's need to memory that arrives: the time that a round, an add and a balloon operation took lately.
    pub lead_time: Duration,
    /// The least that is moved at a time, but for a VM's last step to its maximum.
    pub minimum_move: PageCount,
    /// VMs that wait to start, in the order in which they are served.
    pub reservations: &'a [Reservation],
}

impl HostView<'_> {
    /// A host, for tests of a policy: all its memory is for VMs, of which the balancer could grant `available` pages at once;
    /// the parent OS is idle, nothing is on its way, and no VM waits to start.
    #[must_use]
    pub fn new(capacity: PageCount, available: PageCount) -> Self {
        Self {
            now: Duration::ZERO,
            total: capacity,
            reserve: PageCount::ZERO,
            overhead: PageCount::ZERO,
            capacity,
            available,
            in_transit: PageCount::ZERO,
            parent: ParentState::default(),
            grant_rate: 0.0,
            lead_time: Duration::ZERO,
            minimum_move: PageCount(1),
            reservations: &[],
        }
    }

    /// This view with some fields changed.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// A VM that waits for memory to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reservation {
    /// Which VM.
    pub vm: VmId,
    /// Its weight bounds what may be taken from running VMs for it; a VM with static memory has one too.
    pub weight: u32,
    /// Startup RAM and overhead.
    pub needed: PageCount,
    /// How much of that is set aside already.
    pub set_aside: PageCount,
    /// How much of that is its own whatever the policy leaves for starts: what it had before it restarted.
    pub own: PageCount,
    /// Since when it waits.
    pub since: Duration,
}

impl Reservation {
    /// A VM that waits for `needed` pages since `since`, and for which nothing is set aside yet.
    #[must_use]
    pub const fn new(vm: VmId, weight: u32, needed: PageCount, since: Duration) -> Self {
        Self { vm, weight, needed, set_aside: PageCount::ZERO, own: PageCount::ZERO, since }
    }
}

/// How far a VM has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Phase {
    /// The VM's startup RAM is on its way to the VM.
    Starting,
    /// The VM has its memory; its guest boots or runs. Whether it takes part in Dynamic Memory shows in what it can be
    /// brought to ([`VmView::can_move`]).
    Running,
}

/// Which way an operation moves memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum PendingKind {
    /// Memory is being given (unballoon, hot-add).
    Grow,
    /// Memory is being taken (balloon).
    Shrink,
}

/// The operation a VM is busy with. There is never more than one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct PendingOperation {
    /// Which way.
    pub kind: PendingKind,
    /// How much was granted or asked for.
    pub pages: PageCount,
    /// When.
    pub since: Duration,
}

impl PendingOperation {
    /// An operation that was begun at `since` to move `pages`.
    #[must_use]
    pub const fn new(kind: PendingKind, pages: PageCount, since: Duration) -> Self {
        Self { kind, pages, since }
    }
}

/// What an agent in the guest has measured, as the host got it last.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Insight {
    /// When the balancer received it.
    pub at: Duration,
    /// What was measured.
    pub measured: GuestInsight,
}

/// What an agent in a guest can measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InsightKind {
    /// How long tasks stand still for want of memory (pressure stall information).
    Stalls,
    /// Pages that are touched.
    Active,
    /// How often pages would be missing with less memory.
    Curve,
}

impl InsightKind {
    /// What it is, in a sentence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stalls => "how long tasks stand still for want of memory (PSI)",
            Self::Active => "which pages are touched",
            Self::Curve => "how many touches would miss with less memory (a miss curve)",
        }
    }

    /// As a scenario file calls it.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Stalls => "stalls",
            Self::Active => "active",
            Self::Curve => "curve",
        }
    }
}

/// What a policy goes by above all, and only some guests say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyInput {
    /// What it is.
    pub kind: InsightKind,
    /// What the policy does with a guest that does not say it, as a sentence without its end.
    pub otherwise: &'static str,
}

/// One VM in this round.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VmView {
    /// Which VM.
    pub id: VmId,
    /// How far the VM has got.
    pub phase: Phase,
    /// Whether the VM answers. A VM that does not answer is set aside: it keeps what it has, and nothing is asked of it.
    pub responsive: bool,
    /// When it started (got its startup RAM), as time since the run started.
    pub started_at: Duration,
    /// What the administrator set.
    pub settings: MemorySettings,
    /// Its name.
    pub name: Arc<str>,
    /// The least it can be brought to now: the minimum, or what it has while nothing can be taken from it (it is not
    /// responsive, has not joined Dynamic Memory, or lately gave less than asked).
    pub lowest: PageCount,
    /// The most it can be brought to now: the maximum, or less while nothing can be given to it.
    pub highest: PageCount,
    /// What it is busy with.
    pub pending: Option<PendingOperation>,
    /// What it has: mapped, and charged to it.
    pub assigned: PageCount,
    /// Hot-add comes in multiples of this.
    pub granule: PageCount,
    /// What is ballooned and can be returned exactly, before anything is hot-added.
    pub returnable: PageCount,
    /// What its guest has reported since it started, or came back to Dynamic Memory; empty for a guest without it.
    pub history: StatusHistory,
    /// What an agent in its guest has measured; `None` without one, which is usual. Behind an `Arc` so that a round allocates nothing.
    pub insight: Option<Arc<Insight>>,
}

impl VmView {
    /// A VM that runs with its startup RAM, can be brought to its minimum and its maximum, and whose guest has reported nothing
    /// yet. Its name is `VM` and its number; hot-add comes in large pages.
    #[must_use]
    pub fn new(id: VmId, settings: MemorySettings) -> Self {
        Self {
            id,
            phase: Phase::Running,
            responsive: true,
            started_at: Duration::ZERO,
            settings,
            name: Arc::from(format!("VM{}", id.0)),
            lowest: settings.minimum,
            highest: settings.maximum,
            pending: None,
            assigned: settings.startup,
            granule: PageCount::LARGE_PAGE,
            returnable: PageCount::ZERO,
            history: StatusHistory::default(),
            insight: None,
        }
    }

    /// This view with some fields changed.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The newest report.
    #[must_use]
    pub fn report(&self) -> Option<&GuestReport> {
        self.history.latest()
    }

    /// What an agent in the guest has measured, if there is one.
    #[must_use]
    pub fn measured(&self) -> Option<&GuestInsight> {
        self.insight.as_ref().map(|insight| &insight.measured)
    }

    /// What the guest needs, as far as it says.
    #[must_use]
    pub fn demand(&self) -> Option<PageCount> {
        self.history.latest_demand()
    }

    /// What it will have when the pending operation has done all that was asked.
    #[must_use]
    pub fn expected(&self) -> PageCount {
        match self.pending {
            Some(PendingOperation { kind: PendingKind::Grow, pages, .. }) => {
                self.assigned.saturating_add(pages)
            }
            Some(PendingOperation { kind: PendingKind::Shrink, pages, .. }) => {
                self.assigned.saturating_sub(pages)
            }
            None => self.assigned,
        }
    }

    /// Pressure now, in percent, if the guest has reported.
    #[must_use]
    pub fn pressure(&self) -> Option<f64> {
        self.demand().map(|demand| pressure(demand, self.assigned))
    }

    /// `pages`, brought within what the VM can be brought to now.
    #[must_use]
    pub fn reachable(&self, pages: PageCount) -> PageCount {
        // Not `clamp`: it panics if the bounds cross, and a policy's caller may be a test.
        pages.max(self.lowest).min(self.highest)
    }

    /// Whether its memory can change at all now.
    #[must_use]
    pub fn can_move(&self) -> bool {
        self.lowest < self.highest
    }
}
