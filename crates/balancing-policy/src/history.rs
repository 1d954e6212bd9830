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

/// The last [`HISTORY_LENGTH`] reports of a guest since it started.
#[derive(Clone, Debug)]
pub struct StatusHistory {
    ring: Box<[GuestReport; HISTORY_LENGTH]>,
    /// Where the next one goes.
    next: usize,
    length: usize,
}

impl Default for StatusHistory {
    fn default() -> Self {
        Self { ring: Box::new([GuestReport::default(); HISTORY_LENGTH]), next: 0, length: 0 }
    }
}

impl StatusHistory {
    /// Add a report; the oldest makes room.
    pub fn push(&mut self, report: GuestReport) {
        self.ring[self.next] = report;
        self.next = (self.next + 1) % HISTORY_LENGTH;
        self.length = (self.length + 1).min(HISTORY_LENGTH);
    }

    /// Forget all: the guest starts anew.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// The newest report.
    #[must_use]
    pub fn latest(&self) -> Option<&GuestReport> {
        self.iter().next()
    }

    /// The reports, newest first.
    pub fn iter(&self) -> impl Iterator<Item = &GuestReport> {
        (1..=self.length).map(|back| &self.ring[(self.next + HISTORY_LENGTH - back) % HISTORY_LENGTH])
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether the guest has not reported since it started.
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
        }
        let kept: Vec<u64> = history.iter().map(|report| report.demand.get()).collect();
        let expected: Vec<u64> = (6..=count).rev().collect();
        assert_eq!(kept, expected);
        history.clear();
        assert!(history.is_empty() && history.iter().next().is_none());
    }
}
