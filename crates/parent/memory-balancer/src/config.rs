//! What the host's administrator, or a study, sets.

use core::fmt;
use core::time::Duration;

use balancing_policy::PageCount;
use serde::{Deserialize, Serialize};

use crate::constants as c;

/// Configuration of the balancer. The defaults are the table of [`constants`](crate::constants()).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BalancerConfig {
    /// What stays with the parent OS (`MemoryReserve`).
    pub reserve: PageCount,
    /// How much of the balancer's memory the host has not. Only VMs that [run already](crate::Input::TakeOver) get some of it, since they have
    /// it whatever the books say; it is part of the reserve, so the VMs have to give it up, and no policy sees it. 0 on a host whose
    /// VMs are all started by their management service.
    #[serde(default)]
    pub beyond: PageCount,
    /// Host memory that a running VM costs besides its own.
    pub overhead_per_vm: PageCount,
    /// Most memory per operation; one granule if that is more.
    pub operation_limit: PageCount,
    /// Least memory per operation, but for a VM's last step to its maximum, and for what is taken while a VM waits to
    /// start or the reserve is not complete.
    pub minimum_move: PageCount,
    /// How long memory is collected for a VM after its start was refused, and for a guest that restarts with less than its
    /// VM's startup RAM. With 0 no memory is taken from others for a start.
    pub start_reservation: Duration,
    /// On hosts with Smart Paging: how long memory is collected for a guest that restarts with less than its VM's startup RAM, before the VM
    /// starts with less. `None`: the host has no Smart Paging, and the VM waits for as long as a start that was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smart_paging: Option<Duration>,
    /// Window of the grant rate and of the operation times in the lead time.
    pub rate_window: Duration,
    /// Window of a VM's Average Pressure.
    pub average_pressure_window: Duration,
    /// Silence after which a VM that used to report is set aside.
    pub report_timeout: Duration,
    /// First pause after a guest gave or took less than asked. The pause doubles with every refusal in a row …
    pub refusal_first: Duration,
    /// … up to this.
    pub refusal_longest: Duration,
    /// Put out every decision of every round, not only those that change something.
    pub record_all_decisions: bool,
}

impl BalancerConfig {
    /// The configuration of a host with `total` memory and `MemoryReserve` unset.
    #[must_use]
    pub fn for_host(total: PageCount) -> Self {
        Self {
            reserve: Self::default_reserve(total),
            beyond: PageCount::ZERO,
            overhead_per_vm: c::OVERHEAD.pages(),
            operation_limit: c::OPERATION_LIMIT.pages(),
            minimum_move: c::MINIMUM_MOVE.pages(),
            start_reservation: c::START_RESERVATION.duration(),
            smart_paging: None,
            rate_window: c::RATE_WINDOW.duration(),
            average_pressure_window: c::AVERAGE_PRESSURE_WINDOW.duration(),
            report_timeout: c::REPORT_TIMEOUT.duration(),
            refusal_first: c::REFUSAL_FIRST.duration(),
            refusal_longest: c::REFUSAL_LONGEST.duration(),
            record_all_decisions: false,
        }
    }

    /// The same on a host with Smart Paging: since 2012 (documented).
    #[must_use]
    pub fn with_smart_paging(mut self) -> Self {
        self.smart_paging = Some(c::SMART_PAGING_WAIT.duration());
        self
    }

    /// What stays with the parent OS when `MemoryReserve` is unset: 384 MB and 30 MB per GB of the host (calibrated).
    #[must_use]
    pub fn default_reserve(total: PageCount) -> PageCount {
        let gib = total.whole_mib() / 1024;
        c::RESERVE_BASE.pages() + PageCount(c::RESERVE_PER_GIB.pages().get() * gib)
    }
}

/// What measures how long a policy takes, so that one that takes too long loses its round.
///
/// The engine itself reads no clock. Runs in virtual time do without, or use a limit that only a policy gone astray can
/// reach: whether a round is skipped then depends on the machine.
pub struct Stopwatch {
    pub(crate) clock: Box<dyn Fn() -> Duration + Send>,
    pub(crate) limit: Duration,
}

impl Stopwatch {
    /// Rounds that take longer than `limit` by `clock` (any monotonic time) are skipped.
    #[must_use]
    pub fn new(clock: Box<dyn Fn() -> Duration + Send>, limit: Duration) -> Self {
        Self { clock, limit }
    }
}

impl fmt::Debug for Stopwatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopwatch").field("limit", &self.limit).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_of_the_sources_host() {
        let total = PageCount::from_mib(32 * 1024);
        assert_eq!(BalancerConfig::default_reserve(total), PageCount::from_mib(1344));
    }

    #[test]
    fn the_defaults_are_the_table() {
        let config = BalancerConfig::for_host(PageCount::from_mib(32 * 1024));
        assert_eq!(config.overhead_per_vm, PageCount::from_mib(8));
        assert_eq!(config.operation_limit, PageCount::from_mib(64));
        assert_eq!(config.start_reservation, Duration::from_secs(60));
        assert_eq!(config.refusal_longest, Duration::from_secs(300));
    }
}
