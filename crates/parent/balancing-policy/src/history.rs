//! What a guest has reported lately.

use core::time::Duration;

use page_range::{PageBalance, PageCount, PageCounter};

/// How many reports a [`StatusHistory`] keeps: about half a minute at one a second.
pub const HISTORY_LENGTH: usize = 32;

/// What a guest's status report says, and what the host knows about it. What a guest says is a claim, not a fact.
///
/// Three of its fields count since the guest booted. No policy sees them: [`StatusHistory::push`] makes the differences from
/// one report to the next of them, which are in a [`GuestReport`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct GuestStatus {
    /// What the guest needs: its commit without what the host knows to be ballooned.
    pub demand: PageCount,
    /// Committed pages as the guest reported them.
    pub commit: PageCount,
    /// Pages available in the guest.
    pub available: PageCount,
    /// Pages free or zeroed in the guest. 0 from guests that do not report them (Linux).
    pub free: PageCount,
    /// Size of all page files. 0 from guests that do not report it (Linux).
    pub page_file: PageCount,
    /// Pages written to the page files since boot. 0 from guests that do not report them (Linux).
    pub page_file_writes: PageCounter,
    /// File-cache page faults less page reads, since boot. 0 from guests that do not report them (Linux).
    pub io_balance: PageBalance,
    /// How long something in the guest has stood still for want of memory since boot, from guests that say so.
    pub stalled: Option<Duration>,
}

impl GuestStatus {
    /// This status with some fields changed.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// One status report as a policy sees it. What a guest says is a claim, not a fact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct GuestReport {
    /// When the balancer received it.
    pub at: Duration,
    /// What the guest needs: its commit without what the host knows to be ballooned.
    pub demand: PageCount,
    /// Committed pages as the guest reported them.
    pub commit: PageCount,
    /// Pages available in the guest.
    pub available: PageCount,
    /// Pages free or zeroed in the guest. 0 from guests that do not report them (Linux).
    pub free: PageCount,
    /// Size of all page files. 0 from guests that do not report it (Linux).
    pub page_file: PageCount,
    /// Pages written to the page files since the report before; 0 in the first. 0 from guests that do not report them
    /// (Linux).
    pub page_file_writes: PageCount,
    /// File-cache page faults less page reads since the report before, in pages, which may be negative; 0 in the first. 0
    /// from guests that do not report them (Linux).
    pub io_difference: i64,
    /// How long something in the guest stood still for want of memory since the report before, from guests that say so; zero
    /// in the first.
    pub stalled: Option<Duration>,
}

impl GuestReport {
    /// This report with some fields changed.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The report that `status` is when `before` is the status that the same guest reported last since it booted.
    fn new(at: Duration, status: &GuestStatus, before: Option<&GuestStatus>) -> Self {
        let before = before.unwrap_or(status);
        Self {
            at,
            demand: status.demand,
            commit: status.commit,
            available: status.available,
            free: status.free,
            page_file: status.page_file,
            page_file_writes: status.page_file_writes.since(before.page_file_writes),
            io_difference: status.io_balance.since(before.io_balance),
            stalled: status.stalled.map(|now| now.saturating_sub(before.stalled.unwrap_or(now))),
        }
    }
}

/// The last [`HISTORY_LENGTH`] reports of a guest since it started, or came back to Dynamic Memory.
#[derive(Clone, Debug)]
pub struct StatusHistory {
    /// A ring: the oldest makes room.
    reports: Box<[GuestReport; HISTORY_LENGTH]>,
    /// What the guest said in the newest: what it counts since boot is told from this the next time.
    last: GuestStatus,
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
            last: GuestStatus::default(),
            newest: 0,
            length: 0,
        }
    }
}

impl StatusHistory {
    /// Adds what a guest reported at `at`; the oldest report makes room. This is the one place where what a guest counts
    /// since boot becomes what happened since its last report.
    pub fn push(&mut self, at: Duration, status: GuestStatus) {
        let before = (!self.is_empty()).then_some(&self.last);
        let report = GuestReport::new(at, &status, before);
        let newest = self.next();
        self.reports[newest] = report;
        self.last = status;
        self.newest = newest as u8;
        self.length = (self.length + 1).min(HISTORY_LENGTH as u8);
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

    /// When the newest report came.
    #[must_use]
    pub fn latest_at(&self) -> Option<Duration> {
        self.latest().map(|report| report.at)
    }

    /// What the newest report demands.
    #[must_use]
    pub fn latest_demand(&self) -> Option<PageCount> {
        self.latest().map(|report| report.demand)
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
            history.push(Duration::ZERO, GuestStatus { demand: PageCount(n), ..GuestStatus::default() });
            assert_eq!(history.latest().map(|report| report.demand), Some(PageCount(n)));
            assert_eq!(history.latest_demand(), Some(PageCount(n)));
        }
        let kept: Vec<u64> = history.iter().map(|report| report.demand.get()).collect();
        let expected: Vec<u64> = (6..=count).rev().collect();
        assert_eq!(kept, expected);
        history.clear();
        assert!(history.is_empty() && history.iter().next().is_none() && history.latest_at().is_none());
    }

    #[test]
    fn what_is_counted_since_boot_is_told_since_the_last_report() {
        let status = |writes: u64, faults: u64, reads: u64, stalled: u64| GuestStatus {
            page_file_writes: PageCounter::at(writes),
            io_balance: PageBalance::of(faults, reads),
            stalled: Some(Duration::from_millis(stalled)),
            ..GuestStatus::default()
        };
        let wrap = u64::from(u32::MAX);
        let mut history = StatusHistory::default();
        let push = |history: &mut StatusHistory, status| {
            history.push(Duration::ZERO, status);
            let report = history.latest().unwrap();
            (report.page_file_writes.get(), report.io_difference, report.stalled.map(|time| time.as_millis()))
        };
        // Over which time the first report counts is not known.
        assert_eq!(push(&mut history, status(wrap - 9, 50, 0, 700)), (0, 0, Some(0)));
        assert_eq!(push(&mut history, status(wrap + 1, 50, 20, 705)), (10, -20, Some(5)));
        assert_eq!(push(&mut history, status(wrap + 1, 53, 20, 705)), (0, 3, Some(0)));
        assert_eq!(push(&mut history, GuestStatus { stalled: None, ..status(wrap + 1, 53, 20, 0) }).2, None);
        // A guest that boots anew counts from 0.
        history.clear();
        assert_eq!(push(&mut history, status(4, 9, 0, 1)), (0, 0, Some(0)));
        assert_eq!(push(&mut history, status(6, 9, 0, 1)), (2, 0, Some(0)));
    }
}
