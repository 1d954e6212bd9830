//! The memory manager: page lists, processes, commit, page file.
//!
//! # What counts against what
//!
//! Windows charges commit for pages that a driver allocates, so the *committed* total contains what the balloon driver
//! holds, and the *commit limit* is the visible total (which the balloon does not lower) plus the page file, which grows if the
//! system manages it. A host that wants the demand of the guest's own programs subtracts what it knows to be ballooned.
//!
//! # What is simplified
//!
//! Every private page that leaves a working set is written to the page file, also if a copy is there already; working
//! sets age by two classes only (what an application keeps touching, and the rest); memory is kept in large pages by choosing pages with
//! care, where a real guest moves them afterwards.

mod balloon;
mod commit;
mod compaction;
mod consistency;
mod disk;
mod file_cache;
mod files;
mod lists;
mod page_file;
mod paging;
mod process;
mod processes;
mod report;
mod stalls;

use core::time::Duration;

use page_range::{GuestRange, PageCount, RangeSet};

use crate::constants::{LOW_MEMORY_MAX, LOW_MEMORY_SHARE};
use crate::profile::GuestProfile;

pub use balloon::{BalloonAllocation, HotAddRefused, NoLockablePages};
pub use commit::CommitFailed;
pub use consistency::Inconsistency;
pub use disk::{DiskIo, DiskUse};
pub use page_file::PageFileSize;
pub use process::{ProcessId, ProcessReport};
pub use report::Counters;
pub(crate) use stalls::StallTotals;

use lists::PageLists;
use page_file::PageFile;
use processes::Processes;

/// The memory manager of one running guest.
#[derive(Debug)]
pub struct MemoryManager {
    profile: GuestProfile,
    lists: PageLists,
    processes: Processes,
    page_file: PageFile,
    /// The disk on which page file and files lie; `None`: one that is always as fast as the rates say.
    disk: Option<disk::DiskQueue>,
    /// Pages of files read into the cache since boot.
    cache_faults: u64,
    /// What programs read of files, one after the other.
    files: Vec<files::FileSet>,
    /// Whether files are read in the background.
    cache_fills: bool,
    cache_filled_at: Duration,
    /// Allocations refused for want of commit, since boot.
    commit_failures: u64,
    /// Time that applications have lost waiting for pages, since boot.
    stall: Duration,
    stalls: StallTotals,
    next_process: u32,
    now: Duration,
}

impl MemoryManager {
    /// The memory manager of a guest that is switched on at `now` with these ranges of RAM and such a page file.
    /// Pages that ranges have in common count once.
    #[must_use]
    pub fn new(profile: GuestProfile, ram: &[GuestRange], page_file: PageFileSize, now: Duration) -> Self {
        let present: RangeSet<_> = ram.iter().copied().collect();
        let page_file = PageFile::new(page_file, present.pages());
        Self {
            profile,
            lists: PageLists::new(present),
            processes: Processes::default(),
            page_file,
            disk: None,
            cache_faults: 0,
            files: Vec::new(),
            cache_fills: false,
            cache_filled_at: now,
            commit_failures: 0,
            stall: Duration::ZERO,
            stalls: StallTotals::default(),
            next_process: 0,
            now,
        }
    }

    /// The guest operating system.
    #[must_use]
    pub const fn profile(&self) -> &GuestProfile {
        &self.profile
    }

    /// The time up to which the model has advanced.
    #[must_use]
    pub const fn now(&self) -> Duration {
        self.now
    }

    /// `Memory\Available MBytes` in pages: free, zeroed and standby.
    #[must_use]
    pub fn available(&self) -> PageCount {
        self.lists.unused() + self.lists.file_standby.pages() + self.processes.totals().standby
    }

    /// Everything charged against the commit limit: processes, kernel, and what drivers (the balloon among them) hold.
    #[must_use]
    pub fn committed(&self) -> PageCount {
        self.processes.totals().commit + self.lists.ballooned.pages() + self.lists.locked.pages()
    }

    /// `Memory\Commit Limit`, in pages: visible total plus page file as it is now.
    #[must_use]
    pub fn commit_limit(&self) -> PageCount {
        self.visible() + self.page_file.size
    }

    /// What [`MemoryManager::committed`] can reach: visible total plus the page file as large as it can become. What is refused is
    /// refused for want of this.
    #[must_use]
    pub fn largest_commit_limit(&self) -> PageCount {
        self.visible() + self.page_file.largest(self.visible())
    }

    /// What can be committed besides what is.
    fn committable(&self) -> PageCount {
        self.largest_commit_limit().saturating_sub(self.committed())
    }

    /// A page file that the system manages grows with commit.
    fn follow_commit(&mut self) {
        let (committed, visible) = (self.committed(), self.visible());
        self.page_file.follow(committed, visible);
    }

    /// What can still be written to the page file.
    fn page_file_room(&self) -> PageCount {
        self.page_file.room(self.visible())
    }

    /// The total that the guest shows as installed. Ballooned pages stay in it, so it never shrinks while the guest
    /// runs (\[A\] 4.2; \[E\]).
    #[must_use]
    pub fn visible(&self) -> PageCount {
        self.lists.present.pages()
    }

    /// Pages that the balloon driver holds.
    #[must_use]
    pub fn ballooned(&self) -> PageCount {
        self.lists.ballooned.pages()
    }

    /// Which pages the balloon driver holds.
    #[must_use]
    pub fn ballooned_pages(&self) -> &RangeSet<page_range::GuestPage> {
        &self.lists.ballooned
    }

    /// Which pages the guest has at all: its RAM at start and what was hot-added.
    #[must_use]
    pub fn present_pages(&self) -> &RangeSet<page_range::GuestPage> {
        &self.lists.present
    }

    /// Pages with something in them: all that are neither free nor zeroed, nor given away by the balloon.
    pub(crate) fn in_use(&self) -> PageCount {
        self.has().saturating_sub(self.lists.unused())
    }

    /// Pages that the guest has: those that it shows, without its balloon.
    pub(crate) fn has(&self) -> PageCount {
        self.visible().saturating_sub(self.ballooned())
    }

    /// What processes keep touching.
    pub(crate) fn active(&self) -> PageCount {
        self.processes.iter().map(|process| process.active).sum()
    }

    /// What processes keep touching of what they have in memory, and what the kernel has that is never paged out.
    pub(crate) fn touched(&self) -> PageCount {
        let touched =
            |process: &process::Process| process.active.max(process.nonpaged).min(process.resident.pages());
        self.processes.iter().map(touched).sum()
    }

    /// What is never paged out.
    pub(crate) fn nonpaged(&self) -> PageCount {
        self.processes.iter().map(|process| process.nonpaged).sum()
    }

    /// How long applications have waited for pages since boot: at least one of them, and all that have something to do.
    pub(crate) const fn stalls(&self) -> StallTotals {
        self.stalls
    }

    /// Applications have lost this time to something else than want of pages.
    pub(crate) fn lost(&mut self, time: Duration) {
        self.stall += time;
    }

    /// Applications have waited for the host.
    pub(crate) fn stalled(&mut self, time: Duration) {
        self.stall += time;
        self.stalls.add(time, time);
    }

    /// Size of the page file.
    #[must_use]
    pub const fn page_file_size(&self) -> PageCount {
        self.page_file.size
    }

    /// Available memory below which Windows signals low memory, and trims.
    #[must_use]
    pub fn low_memory_threshold(&self) -> PageCount {
        let share = (self.visible().get() as f64 * LOW_MEMORY_SHARE.value) as u64;
        PageCount(share).min(LOW_MEMORY_MAX.pages())
    }
}

#[cfg(test)]
mod tests;
