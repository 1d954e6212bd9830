//! What a guest waits for when its host has put some of its memory into a file (Smart Paging of hosts since 2012).
//!
//! The host keeps in memory what the guest touched last. As long as the guest uses no more than that, the file costs it nothing: what is in
//! the file was never used. Beyond, each page that it uses more pushes another into the file, and of what it keeps touching the share that
//! is not in memory is read from there. All of that is one disk's work, at the rate of the guests' page files (`page_file.read_rate`).

use core::time::Duration;

use page_range::PageCount;

use crate::constants::{HOST_PAGING_TOUCH, PAGE_READ_RATE};

/// What of a guest's memory is in a file of its host, and what that has cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HostPaging {
    pages: PageCount,
    at: Duration,
    /// What the guest used beyond what was in memory when that was last looked at.
    beyond: PageCount,
    lost: Duration,
}

impl HostPaging {
    /// So much is in the file from now on.
    pub(crate) fn set(&mut self, now: Duration, pages: PageCount) {
        (self.pages, self.at) = (pages, now);
        self.beyond = self.beyond.min(pages);
    }

    pub(crate) const fn is_nothing(&self) -> bool {
        self.pages.get() == 0
    }

    pub(crate) const fn lost(&self) -> Duration {
        self.lost
    }

    /// The time up to `now`: the guest uses `in_use` of the `has` pages that it has, and keeps touching `active` of them. Returns what of the
    /// time it has lost.
    pub(crate) fn advance(
        &mut self,
        now: Duration,
        in_use: PageCount,
        has: PageCount,
        active: PageCount,
    ) -> Duration {
        let time = now.saturating_sub(self.at);
        self.at = self.at.max(now);
        let beyond = in_use.saturating_sub(has.saturating_sub(self.pages));
        let more = beyond.saturating_sub(self.beyond);
        self.beyond = beyond;
        if beyond.is_zero() || time.is_zero() {
            return Duration::ZERO;
        }
        let share = beyond.mib() / in_use.mib().max(f64::MIN_POSITIVE);
        let touched = active.mib() * share * time.as_secs_f64() / HOST_PAGING_TOUCH.value;
        let disk = (more.mib() + touched) / PAGE_READ_RATE.value;
        // Who waits for the disk touches nothing meanwhile: what the work of this time costs is spread over it and the waiting.
        let lost = time.mul_f64(disk / (disk + time.as_secs_f64()));
        self.lost += lost;
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn mib(mib: u64) -> PageCount {
        PageCount::from_mib(mib)
    }

    const fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_file_that_holds_what_was_never_used_costs_nothing() {
        let mut paging = HostPaging::default();
        paging.set(second(0), mib(512));
        assert_eq!(paging.advance(second(1), mib(500), mib(1024), mib(250)), Duration::ZERO);
        assert_eq!(paging.lost(), Duration::ZERO);
    }

    #[test]
    fn the_more_is_missing_the_slower_is_the_guest_and_it_always_gets_on() {
        let lost = |file: u64| {
            let mut paging = HostPaging::default();
            paging.set(second(0), mib(file));
            (1..=60).map(|n| paging.advance(second(n), mib(900), mib(1024), mib(450))).sum::<Duration>()
        };
        assert_eq!(lost(124), Duration::ZERO);
        assert!(lost(300) > second(10) && lost(300) < second(60), "{:?}", lost(300));
        assert!(lost(600) > lost(300) && lost(600) < second(60));
    }

    #[test]
    fn memory_that_comes_makes_it_fast_again() {
        let mut paging = HostPaging::default();
        paging.set(second(0), mib(600));
        assert!(paging.advance(second(1), mib(900), mib(1024), mib(450)) > Duration::ZERO);
        paging.set(second(1), PageCount::ZERO);
        assert!(paging.is_nothing());
        assert_eq!(paging.advance(second(2), mib(900), mib(1024), mib(450)), Duration::ZERO);
    }
}
