//! A channel's doorbell: how often the guest has rung, and since when it waits to be heard.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use partition::NotifyFn;

/// What time it is in the run, on whatever thread.
pub type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Written by whoever rings, on any thread; read by the worker.
#[derive(Debug, Default)]
pub(super) struct Rung {
    times: AtomicU64,
    /// 1 + the nanosecond of the first ring that was not heard; 0: there is none.
    since: AtomicU64,
}

impl Rung {
    /// `doorbell`, counted.
    pub(super) fn counting(rung: &Arc<Self>, clock: &Clock, doorbell: &NotifyFn) -> NotifyFn {
        let (rung, clock, doorbell) = (Arc::clone(rung), Arc::clone(clock), Arc::clone(doorbell));
        Arc::new(move || {
            rung.ring(clock());
            doorbell();
        })
    }

    fn ring(&self, now: Duration) {
        self.times.fetch_add(1, Ordering::Relaxed);
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX).saturating_add(1);
        // Numbers for people to look at: nothing is ordered by them.
        let _rung_before = self.since.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// How often it has been rung.
    pub(super) fn times(&self) -> u64 {
        self.times.load(Ordering::Relaxed)
    }

    /// Whoever is rung for is awake: how long the first ring has waited, if there was any.
    pub(super) fn heard(&self, now: Duration) -> Option<Duration> {
        if self.since.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let since = self.since.swap(0, Ordering::Relaxed).checked_sub(1)?;
        Some(now.saturating_sub(Duration::from_nanos(since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_ring_since_the_last_wake_counts() {
        let rung = Rung::default();
        assert_eq!(rung.heard(Duration::from_secs(1)), None);
        rung.ring(Duration::ZERO);
        rung.ring(Duration::from_micros(4));
        assert_eq!(rung.heard(Duration::from_micros(10)), Some(Duration::from_micros(10)));
        assert_eq!((rung.heard(Duration::from_micros(10)), rung.times()), (None, 2));
    }
}
