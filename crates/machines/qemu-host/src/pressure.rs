//! How short of memory the host itself is, and what that does to the reserve.
//!
//! # The rule
//!
//! The reserve is what stays with the host. While less than half of it is really available on the host (`MemAvailable`), somebody other than
//! the VMs needs more than was kept for it: the reserve grows by what is missing to that half, at once. It falls back by a sixteenth of the growth a second
//! when more than three quarters are available. (Invented.)

use core::time::Duration;

use page_range::PageCount;

/// What the host says of its memory.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HostMemoryState {
    /// All of it (`MemTotal`).
    pub total: PageCount,
    /// What programs could have without swapping (`MemAvailable`).
    pub available: PageCount,
    /// The share of the last ten seconds in which something stood still for want of memory, in percent (`some avg10` of
    /// `/proc/pressure/memory`). 0 where the kernel does not say.
    pub stalled_percent: f64,
}

impl HostMemoryState {
    /// Reads the texts of `/proc/meminfo` and `/proc/pressure/memory`. `None`: the first is none.
    #[must_use]
    pub fn parse(meminfo: &str, pressure: &str) -> Option<Self> {
        let kib = |name: &str| {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.trim()
                .strip_suffix(" kB")?
                .trim()
                .parse::<u64>()
                .ok()?
                .checked_mul(1024)
                .map(PageCount::from_bytes)
        };
        let some = pressure.lines().find_map(|line| line.strip_prefix("some "));
        let average = some.and_then(|line| {
            line.split(' ').find_map(|word| word.strip_prefix("avg10=")?.parse::<f64>().ok())
        });
        Some(Self {
            total: kib("MemTotal")?,
            available: kib("MemAvailable")?,
            stalled_percent: average.filter(|percent| percent.is_finite()).unwrap_or(0.0).clamp(0.0, 100.0),
        })
    }
}

/// What the reserve has grown by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Growth {
    pages: PageCount,
    last: Duration,
}

impl Growth {
    /// What the reserve is to be grown by at `now`, of a host that is to keep `reserve`.
    pub fn follow(&mut self, now: Duration, reserve: PageCount, available: PageCount) -> PageCount {
        let half = PageCount(reserve.get() / 2);
        if available < half {
            // What is available already misses what it grew by before, as far as that has been given back.
            self.pages = self.pages.max(half.saturating_sub(available));
        } else if available > PageCount(reserve.get() / 4 * 3)
            && now.saturating_sub(self.last) >= Duration::from_secs(1)
        {
            self.last = now;
            self.pages = self.pages.saturating_sub(PageCount(self.pages.get().div_ceil(16)));
        }
        self.pages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_texts_are_read() {
        let meminfo = "MemTotal:       24117248 kB\nMemFree:  1 kB\nMemAvailable:   12058624 kB\n";
        let pressure = "some avg10=12.50 avg60=1.00 avg300=0.10 total=5\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
        let state = HostMemoryState::parse(meminfo, pressure).unwrap();
        assert_eq!((state.total.whole_mib(), state.available.whole_mib()), (23552, 11776));
        assert!((state.stalled_percent - 12.5).abs() < 1e-9);
        assert!(HostMemoryState::parse(meminfo, "").unwrap().stalled_percent.abs() < 1e-9);
        assert_eq!(HostMemoryState::parse("MemTotal: 1 GB\n", pressure), None);
        assert_eq!(HostMemoryState::parse("MemTotal: 99999999999999999999 kB\nMemAvailable: 1 kB", ""), None);
    }

    #[test]
    fn the_reserve_grows_at_once_and_falls_back_slowly() {
        let mib = PageCount::from_mib;
        let mut growth = Growth::default();
        assert_eq!(growth.follow(Duration::from_secs(1), mib(1000), mib(2000)), PageCount::ZERO);
        assert_eq!(growth.follow(Duration::from_secs(2), mib(1000), mib(100)), mib(400));
        // Neither short nor relieved.
        assert_eq!(growth.follow(Duration::from_secs(3), mib(1000), mib(600)), mib(400));
        let mut last = mib(400);
        for second in 4..200 {
            let now = growth.follow(Duration::from_secs(second), mib(1000), mib(900));
            assert!(now < last || now == PageCount::ZERO);
            last = now;
        }
        assert_eq!(last, PageCount::ZERO);
    }
}
