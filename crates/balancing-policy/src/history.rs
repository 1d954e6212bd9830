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
///
/// The newest is at hand; the older ones are elsewhere in memory, where a round that does not ask for them never goes.
#[derive(Clone, Debug)]
pub struct StatusHistory {
    latest: Option<GuestReport>,
    older: Box<[GuestReport; HISTORY_LENGTH - 1]>,
    /// Where the next one goes among the older ones.
    next: usize,
    /// How many older ones there are.
    length: usize,
}

impl Default for StatusHistory {
    fn default() -> Self {
        Self {
            latest: None,
            older: Box::new([GuestReport::default(); HISTORY_LENGTH - 1]),
            next: 0,
            length: 0,
        }
    }
}

impl StatusHistory {
    /// Add a report; the oldest makes room.
    pub fn push(&mut self, report: GuestReport) {
        if let Some(before) = self.latest.replace(report) {
            let room = self.older.len();
            self.older[self.next] = before;
            self.next = (self.next + 1) % room;
            self.length = (self.length + 1).min(room);
        }
    }

    /// Forget all: the guest starts anew.
    pub fn clear(&mut self) {
        self.latest = None;
        self.length = 0;
    }

    /// The newest report.
    #[must_use]
    pub fn latest(&self) -> Option<&GuestReport> {
        self.latest.as_ref()
    }

    /// The reports, newest first.
    pub fn iter(&self) -> impl Iterator<Item = &GuestReport> {
        let room = self.older.len();
        let older = (1..=self.length).map(move |back| &self.older[(self.next + room - back) % room]);
        self.latest.iter().chain(older)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length + usize::from(self.latest.is_some())
    }

    /// Whether the guest has not reported since it started.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.latest.is_none()
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
