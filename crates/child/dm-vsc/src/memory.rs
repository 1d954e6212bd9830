//! What the driver needs of the guest's memory manager.

use alloc::vec::Vec;
use core::time::Duration;

use page_range::{GuestRange, PageBalance, PageCount, PageCounter};

/// What the guest's memory manager does for the DM driver.
pub trait MemoryServices {
    /// How things are.
    fn status(&self) -> StatusSnapshot;

    /// Takes up to `most` pages out of use: pages that are the guest's own and are no longer used for anything, until they
    /// are [freed](Self::free_balloon).
    fn allocate_balloon(&mut self, most: PageCount) -> BalloonAllocation;

    /// Pages that [`Self::allocate_balloon`] gave may be used again. Returns how many were taken back; pages that were never
    /// given are not to be touched.
    fn free_balloon(&mut self, ranges: &[GuestRange]) -> PageCount;

    /// Takes new memory into use, from the start of `range`. `region` is what the host says that the range is part of.
    /// Returns how many pages were taken, at most the range's.
    ///
    /// # Errors
    /// If none was.
    fn hot_add(&mut self, range: GuestRange, region: Option<GuestRange>) -> Result<PageCount, HotAddRefusal>;
}

/// The figures of a status report as the memory manager knows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct StatusSnapshot {
    /// Memory that the guest manages: without what is ballooned.
    pub total: PageCount,
    /// Memory that could be used without paging.
    pub available: PageCount,
    /// Commit of the guest's own: *without* what the driver has ballooned. The driver adds that.
    pub committed: PageCount,
    /// Hot-added and not yet online.
    pub not_online: PageCount,
    /// Total size of all page files.
    pub page_file_size: PageCount,
    /// Zeroed and free memory.
    pub zero_free: PageCount,
    /// Pages written to page files since boot.
    pub page_file_writes: PageCounter,
    /// File-cache page faults less page reads, since boot.
    pub io_balance: PageBalance,
}

impl StatusSnapshot {
    /// These figures with some fields changed.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// Pages that are no longer used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BalloonAllocation {
    /// The pages; disjoint.
    pub ranges: Vec<GuestRange>,
    /// How long the guest takes to free them beyond the driver's own time: to write pages to the page file, for instance.
    pub delay: Duration,
}

impl BalloonAllocation {
    /// These pages, which are disjoint, and the time that the guest takes to free them beyond the driver's own time.
    #[must_use]
    pub fn new(ranges: Vec<GuestRange>, delay: Duration) -> Self {
        Self { ranges, delay }
    }
}

/// Why no new memory was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum HotAddRefusal {
    /// Not now; the host may ask again.
    ForNow,
    /// There is no use in asking again until the guest has restarted.
    ForGood,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_given_one_by_one() {
        let status = StatusSnapshot::default().with(|status| status.total = PageCount(7));
        assert_eq!((status.total, status.available), (PageCount(7), PageCount::ZERO));
        let given = BalloonAllocation::new(Vec::new(), Duration::from_secs(1));
        assert_eq!((given.ranges.len(), given.delay), (0, Duration::from_secs(1)));
    }
}
