//! The counters of a run as numbers in memory: what summaries, checks and comparisons are computed from.

use std::time::Duration;

use page_range::PageCount;
use serde::{Deserialize, Serialize};
use vmms_host::VmState;

/// The host at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HostPoint {
    /// Available Memory of the balancer.
    pub available: PageCount,
    /// Σ Physical Memory.
    pub assigned: PageCount,
    /// Memory In Transit.
    pub in_transit: PageCount,
    /// Overhead of the running VMs.
    pub overhead: PageCount,
    /// Reserve of the parent OS.
    pub reserve: PageCount,
    /// Average Pressure of the balancer, percent.
    pub average_pressure: f64,
    /// The parent OS's free memory, MiB.
    pub parent_free_mib: f64,
    /// The parent OS's page-file reads per second.
    pub parent_reads_per_second: f64,
    /// The same since the start, whole ones.
    pub parent_reads_total: u64,
    /// How much longer the host's own work takes.
    pub slowdown: f64,
    /// Runs of frames that the memory which no VM has consists of: what it is fragmented into.
    pub available_runs: u32,
}

/// A VM at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VmPoint {
    /// Where it is in its life.
    pub state: VmState,
    /// Whether it has memory.
    pub running: bool,
    /// Physical Memory.
    pub physical: PageCount,
    /// What of its memory is in a file of the host (Smart Paging).
    pub paged: PageCount,
    /// Guest Visible Physical Memory.
    pub visible: PageCount,
    /// What it is to have.
    pub target: PageCount,
    /// Demand, if it reports.
    pub demand: Option<PageCount>,
    /// Current Pressure in percent, if it reports.
    pub pressure: Option<f64>,
    /// Added Memory, over all starts.
    pub added: PageCount,
    /// Removed Memory, over all starts.
    pub removed: PageCount,
    /// Add and remove operations, over all starts.
    pub operations: u64,
    /// Pages of 2 MiB that its memory is mapped with.
    pub large_pages: u32,
    /// Pages of 4 KiB that its memory is mapped with.
    pub small_pages: u32,
    /// Runs of guest pages on runs of frames that its memory map consists of.
    pub map_runs: u32,
    /// Runs of pages in the guest's own books, while it is on.
    pub guest_runs: u32,
    /// The guest's `Memory\Available MBytes`, while it is on.
    pub guest_available: Option<PageCount>,
    /// The guest's `Memory\\Committed Bytes`, in whole pages; what its balloon driver holds is part of it.
    pub guest_committed: PageCount,
    /// The guest's own commit, without its balloon.
    pub guest_commit: PageCount,
    /// Pages the guest has read from its page file since it booted.
    pub guest_page_reads: u64,
    /// Pages it has written there.
    pub guest_page_writes: u64,
    /// Pages of files it has read into its cache.
    #[serde(default)]
    pub guest_file_reads: u64,
    /// Allocations it has refused.
    pub guest_commit_failures: u64,
    /// What its applications have asked for, were refused, and still want.
    pub guest_refused: PageCount,
    /// What it would have committed, without its balloon, had nothing been refused and no application waited.
    pub guest_wanted: PageCount,
    /// Whether an application of it has begun.
    pub guest_works: bool,
    /// Time its applications have lost waiting for pages.
    pub guest_stall: Duration,
}

/// Everything at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Point {
    /// When.
    pub time: Duration,
    /// The host.
    pub host: HostPoint,
    /// The VMs, in their order.
    pub vms: Vec<VmPoint>,
}
