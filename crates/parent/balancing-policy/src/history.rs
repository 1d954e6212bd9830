//! What a guest has reported lately.

use core::time::Duration;

use page_range::PageCount;
use serde::{Deserialize, Serialize};

/// How many reports a [`StatusHistory`] keeps: about half a minute at one a second.
pub const HISTORY_LENGTH: usize = 32;

/// One status report, as the balancer received it. What a guest says is a claim, not a fact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestReport {
    /// When the balancer received it.
    pub at: Duration,
    /// What the guest needs: its commit without what the host knows to be ballooned, or hot-added and not yet online.
    pub demand: PageCount,
    /// Committed pages as the guest reported them.
    pub commit: PageCount,
    /// Pages available in the guest.
    pub available: PageCount,
    /// Pages free or zeroed in the guest.
    pub free: PageCount,
    /// Size of all page files.
    pub page_file: PageCount,
    /// Pages written to the page files since the last report. 0 from guests that do not report it (Linux).
    pub page_file_writes: PageCount,
    /// File-cache page faults minus page reads. 0 from guests that do not report it (Linux).
    pub io_difference: PageCount,
    /// How long something in the guest stood still for want of memory since the last report, from guests that say so.
    pub stalled: Option<Duration>,
}

/// The last [`HISTORY_LENGTH`] reports of a guest since it started, or came back to Dynamic Memory.
///
/// When the newest came and what it demands is at hand. The reports themselves are elsewhere in memory, where a round that
/// asks for no more than that never goes, and where a report is written once.
#[derive(Clone, Debug)]
pub struct StatusHistory {
    /// A ring: the oldest makes room.
    reports: Box<[GuestReport; HISTORY_LENGTH]>,
    /// When the newest came.
    at: Duration,
    /// What the newest demands.
    demand: PageCount,
    /// Where the newest is in the ring.
    newest: u8,
    /// How many there are.
    length: u8,
}

const _: () = assert!(HISTORY_LENGTH <= u8::MAX as usize);

impl Default for StatusHistory {
    fn default() -> Self {
        Self {
            reports: Box::new([GuestReport::default(); HISTORY_LENGTH]),
            at: Duration::ZERO,
            demand: PageCount::ZERO,
            newest: 0,
            length: 0,
        }
    }
}

impl StatusHistory {
    /// Add a report; the oldest makes room.
    pub fn push(&mut self, report: GuestReport) {
        let newest = self.next();
        self.reports[newest] = report;
        (self.at, self.demand) = (report.at, report.demand);
        self.newest = newest as u8;
        self.length = (self.length + 1).min(HISTORY_LENGTH as u8);
    }

    /// Asks the processor for the memory that the next report goes to, without waiting for it: with many VMs, no cache has
    /// what is written once in half a minute. To be called a little before [`push`](Self::push).
    pub fn prefetch(&self) {
        prefetch::value(&self.reports[self.next()]);
    }

    /// Where the next report goes.
    fn next(&self) -> usize {
        (usize::from(self.newest) + 1) % HISTORY_LENGTH
    }

    /// Forget all: the guest has left Dynamic Memory, or starts anew.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// The newest report.
    #[must_use]
    pub fn latest(&self) -> Option<&GuestReport> {
        (!self.is_empty()).then(|| &self.reports[usize::from(self.newest)])
    }

    /// When the newest report came: `latest()` without looking at it.
    #[must_use]
    pub fn latest_at(&self) -> Option<Duration> {
        (!self.is_empty()).then_some(self.at)
    }

    /// What the newest report demands: `latest()` without looking at it.
    #[must_use]
    pub fn latest_demand(&self) -> Option<PageCount> {
        (!self.is_empty()).then_some(self.demand)
    }

    /// The reports, newest first.
    pub fn iter(&self) -> impl Iterator<Item = &GuestReport> {
        let newest = usize::from(self.newest) + HISTORY_LENGTH;
        (0..self.len()).map(move |back| &self.reports[(newest - back) % HISTORY_LENGTH])
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length.into()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_first_and_the_oldest_makes_room() {
        let mut history = StatusHistory::default();
        assert!(history.latest().is_none());
        let count = HISTORY_LENGTH as u64 + 5;
        for n in 1..=count {
            history.push(GuestReport { demand: PageCount(n), ..GuestReport::default() });
            assert_eq!(history.latest().map(|report| report.demand), Some(PageCount(n)));
            assert_eq!(history.latest_demand(), Some(PageCount(n)));
        }
        let kept: Vec<u64> = history.iter().map(|report| report.demand.get()).collect();
        let expected: Vec<u64> = (6..=count).rev().collect();
        assert_eq!(kept, expected);
        history.clear();
        assert!(history.is_empty() && history.iter().next().is_none() && history.latest_at().is_none());
    }
}
