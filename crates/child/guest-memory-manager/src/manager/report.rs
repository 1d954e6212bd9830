//! What the memory manager tells: the guest's own counters, from which the DM driver's status report is made too.

use core::time::Duration;

use page_range::PageCount;
use serde::Serialize;

use super::MemoryManager;
use super::lists::Pages;
use super::process::Process;

/// The guest's own counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Counters {
    /// `Memory\Available MBytes`, in pages: free, zeroed and standby.
    pub available: PageCount,
    /// On the zeroed list.
    pub zeroed: PageCount,
    /// On the free list.
    pub free: PageCount,
    /// On the standby list: file cache, and trimmed pages with a copy in the page file.
    pub standby: PageCount,
    /// Trimmed and not yet written.
    pub modified: PageCount,
    /// In working sets, the kernel's among them.
    pub in_use: PageCount,
    /// Locked by the balloon driver: what the host has taken back.
    pub ballooned: PageCount,
    /// Locked by other drivers: the rings of the VMBus' channels.
    pub other_locked: PageCount,
    /// The total that the guest shows as installed.
    pub visible: PageCount,
    /// `Memory\Committed Bytes`, in pages.
    pub committed: PageCount,
    /// `Memory\Commit Limit`, in pages.
    pub commit_limit: PageCount,
    /// Size of the page file.
    pub page_file_size: PageCount,
    /// Of the page file, what is in use.
    pub page_file_used: PageCount,
    /// Pages read from the page file since boot (hard faults); the rate is `Memory\Pages Input/sec`.
    pub page_reads: u64,
    /// Pages written to the page file since boot; the rate is `Memory\Pages Output/sec`.
    pub page_writes: u64,
    /// Pages of files read into the cache since boot.
    pub cache_faults: u64,
    /// Allocations refused for want of commit, since boot.
    pub commit_failures: u64,
    /// What applications have asked for, were refused, and still want.
    pub refused: PageCount,
    /// Time that applications have lost waiting for pages since boot, each one's added up; and what an agent's measuring has cost them.
    pub stall: Duration,
}

impl Counters {
    /// What RAMMap shows as "Driver Locked": what all drivers together have locked (\[E\]). Of the balloon driver alone no tool in the
    /// guest tells how much it holds.
    #[must_use]
    pub fn driver_locked(&self) -> PageCount {
        self.ballooned + self.other_locked
    }
}

impl MemoryManager {
    /// How many runs of pages the books consist of: what the guest's memory is fragmented into, and what the model costs to keep.
    #[must_use]
    pub fn run_count(&self) -> usize {
        let lists = &self.lists;
        let listed = [&lists.zeroed, &lists.free, &lists.file_standby, &lists.ballooned, &lists.locked];
        let of_process = |process: &Process| {
            [&process.resident, &process.modified, &process.standby].map(Pages::run_count)
        };
        listed.map(Pages::run_count).into_iter().chain(self.processes.iter().flat_map(of_process)).sum()
    }

    /// The guest's own counters.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters {
            available: self.available(),
            zeroed: self.lists.zeroed.pages(),
            free: self.lists.free.pages(),
            standby: self.lists.file_standby.pages() + self.processes.totals().standby,
            modified: self.processes.totals().modified,
            in_use: self.processes.iter().map(|process| process.resident.pages()).sum(),
            ballooned: self.ballooned(),
            other_locked: self.lists.locked.pages(),
            visible: self.visible(),
            committed: self.committed(),
            commit_limit: self.commit_limit(),
            page_file_size: self.page_file.size,
            page_file_used: self.page_file.used,
            page_reads: self.page_file.reads,
            page_writes: self.page_file.writes,
            cache_faults: self.cache_faults,
            commit_failures: self.commit_failures,
            refused: self.refused(),
            stall: self.stall,
        }
    }
}
