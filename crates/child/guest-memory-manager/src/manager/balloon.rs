//! What the DM VSC driver, and other drivers, ask of the memory manager.

use core::time::Duration;

use page_range::{GuestPage, GuestRange, PageCount};
use serde::Serialize;

use super::MemoryManager;
use super::lists::{Pages, Prefer, take_large_first};
use crate::constants::PAGE_WRITE_RATE;
use crate::profile::Kernel;

/// Pages that the balloon driver got. The pages belong to the driver until it frees them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BalloonAllocation {
    /// The pages: runs of whole large pages first, then the rest; each part lowest first, disjoint, maximal runs.
    pub ranges: Vec<GuestRange>,
    /// How many pages of applications and services were written to the page file for it.
    pub trimmed: PageCount,
    /// How long writing them takes: the driver has its answer that much later.
    pub write_time: Duration,
}

impl BalloonAllocation {
    /// How many pages.
    #[must_use]
    pub fn pages(&self) -> PageCount {
        self.ranges.iter().map(|range| range.pages()).sum()
    }
}

/// Why the guest takes no hot-added memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum HotAddRefused {
    /// Start or size are no multiple of the guest's granule.
    #[error("hot-added memory must begin and end at a multiple of {granule}")]
    Misaligned {
        /// The granule.
        granule: PageCount,
    },
    /// The guest has memory there already.
    #[error("the guest has memory there already")]
    Overlap,
    /// The edition uses no more physical memory.
    #[error("this edition uses at most {limit} of physical memory")]
    EditionLimit {
        /// The edition's limit.
        limit: PageCount,
    },
}

impl HotAddRefused {
    /// Whether asking again is useless until the guest restarts.
    #[must_use]
    pub const fn is_permanent(self) -> bool {
        matches!(self, Self::EditionLimit { .. })
    }
}

/// There is no memory that a driver could lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot lock {requested} for a driver: {available} are available")]
pub struct NoLockablePages {
    /// What was asked for.
    pub requested: PageCount,
    /// What is available and committable.
    pub available: PageCount,
}

impl MemoryManager {
    /// The balloon floor of this guest as it is now: see [`GuestProfile::balloon_floor`](crate::GuestProfile).
    #[must_use]
    pub fn balloon_floor(&self) -> PageCount {
        self.profile.balloon_floor(self.visible(), self.ballooned())
    }

    /// Give the balloon driver up to `want` pages: whole large pages first, from the free and zeroed lists, then with what the
    /// file cache has of them, then such as can be built; then pieces, of the lists and of the cache; then (Windows) by trimming pages that their process no longer touches, unless a process waits for pages.
    /// Of a Windows guest that cannot give as many large pages as it is asked for the host gets as many as there are, and no rest of
    /// one (*inferred*: `MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS` may give less, and then whole blocks); Linux gives the rest in
    /// single pages (*documented*).
    /// Available memory is not taken below `floor`, and commit not above its limit; pages in use, pages of other drivers and
    /// nonpaged pages are never given.
    pub fn allocate_balloon(&mut self, want: PageCount, floor: PageCount) -> BalloonAllocation {
        let windows = self.profile.family().kernel == Kernel::Windows;
        let unit = if windows && want == want.round_down_to(PageCount::LARGE_PAGE) {
            PageCount::LARGE_PAGE
        } else {
            PageCount(1)
        };
        let want = want.min(self.committable()).round_down_to(unit);
        let spare = want.min(self.available().saturating_sub(floor)).round_down_to(unit);
        let mut large = self.lists.take_large_pages(spare);
        large.insert_all(self.build_large_pages(spare - large.pages()));
        let mut small = self.lists.take_small_pages(spare - large.pages());
        let missing = spare - large.pages() - small.pages();
        small.insert_all(self.take(missing, Prefer::Free));

        let mut trimmed = PageCount::ZERO;
        // Applications that wait for pages come before the driver.
        let someone_waits = self.processes.totals().waiting > 0;
        if windows && !someone_waits {
            let pages = self.trim_for_driver(want - large.pages() - small.pages(), unit);
            trimmed = pages.pages();
            small.insert_all(pages);
        }
        let write_time = trimmed.mib() / PAGE_WRITE_RATE.value;
        let ranges = large.runs().chain(small.runs()).collect();
        self.lists.ballooned.insert_all(large);
        self.lists.ballooned.insert_all(small);
        self.follow_commit();
        BalloonAllocation { ranges, trimmed, write_time: Duration::from_secs_f64(write_time) }
    }

    /// Take back pages that the balloon driver was given. Only pages that the driver has are accepted; returns how many. The
    /// pages go to the free list.
    pub fn free_balloon(&mut self, ranges: &[GuestRange]) -> PageCount {
        let mut accepted = PageCount::ZERO;
        for &range in ranges {
            let back: Pages = self.lists.ballooned.within(range).collect();
            self.lists.ballooned.remove_all(&back);
            accepted += back.pages();
            self.lists.free.insert_all(back);
        }
        accepted
    }

    /// Take hot-added memory into use. Returns how many of the range's first pages were accepted: fewer than all if the
    /// edition's limit is reached within it.
    ///
    /// # Errors
    /// Why none was accepted.
    pub fn hot_add(&mut self, range: GuestRange) -> Result<PageCount, HotAddRefused> {
        let granule = self.profile.hot_add_granule();
        let aligned = |number: u64| number.is_multiple_of(granule.get());
        if !aligned(range.start().0) || !aligned(range.pages().get()) {
            return Err(HotAddRefused::Misaligned { granule });
        }
        if self.lists.present.intersects(range) {
            return Err(HotAddRefused::Overlap);
        }
        let limit = self.profile.physical_limit();
        let room = limit.saturating_sub(self.visible()).round_down_to(granule);
        let Some(accepted) = range.first(room) else {
            return Err(HotAddRefused::EditionLimit { limit });
        };
        self.lists.present.insert(accepted);
        self.lists.free.insert(accepted);
        Ok(accepted.pages())
    }

    /// Lock pages for a driver, such as the rings of a VMBus channel. The pages need not be contiguous, and are never
    /// ballooned or paged.
    ///
    /// # Errors
    /// If there are not that many.
    pub fn allocate_locked(&mut self, pages: PageCount) -> Result<Vec<GuestPage>, NoLockablePages> {
        let available = self.available().min(self.committable());
        if pages > available {
            return Err(NoLockablePages { requested: pages, available });
        }
        let taken = self.take(pages, Prefer::Zeroed);
        let numbers = taken.runs().flat_map(|run| (run.start().0..run.end()).map(GuestPage)).collect();
        self.lists.locked.insert_all(taken);
        self.follow_commit();
        Ok(numbers)
    }

    /// Unlock pages of a driver. Only pages that drivers have are accepted; returns how many.
    pub fn free_locked(&mut self, pages: &[GuestPage]) -> PageCount {
        let mut accepted = PageCount::ZERO;
        for range in pages.iter().filter_map(|&page| GuestRange::one(page)) {
            if self.lists.locked.remove_exact(range).is_ok() {
                self.lists.free.insert(range);
                accepted += PageCount(1);
            }
        }
        accepted
    }

    /// Write up to `want` cold pages to the page file and take them, a multiple of `unit` from each process.
    fn trim_for_driver(&mut self, want: PageCount, unit: PageCount) -> Pages {
        let mut taken = Pages::new();
        let most = want.min(self.page_file_room().saturating_sub(self.processes.totals().modified));
        for at in 0..self.processes.len() {
            let pages = self.processes[at].cold().min(most - taken.pages()).round_down_to(unit);
            if pages.is_zero() {
                continue;
            }
            taken.insert_all(self.processes.change(at, |process| {
                process.paged_out += pages;
                take_large_first(&mut process.resident, pages)
            }));
            self.page_file.write(pages);
        }
        taken
    }
}
