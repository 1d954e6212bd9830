//! The parent OS's own memory: how much it has in use, what it is trimmed to when the VMs take the rest, how much it
//! pages then, and how much that slows the host's own work.
//!
//! The parent partition owns what is not given to a VM: `P = host memory − Σ assigned − overhead − in transit`. Idle, it has
//! `in_use_idle` in use. When less than `comfortable_free` would remain free, its working sets are trimmed: the smaller
//! the working set that is left, the more of it is needed again and comes back from the page file. So a page-file read
//! costs what an evicted page is worth, and trimming stops where both sides balance.
//!
//! The disk serves so many reads a second and no more. When more pages are missed than that, reads wait in its queue, which is as long as
//! there are threads that wait: who waits for a page misses no other. The host's own work is slowed by the reads that are served and by
//! those that wait.
//!
//! The curve was solved from two points of Table 4-1 of \[A\], where the VMs leave the parent about 1450 and 2080 MB of 32 GB. The model is
//! meant to hold between these and up to an idle parent. Below, only the bounds of the disk are physical; for hosts of other sizes what an
//! idle parent uses is an extrapolation.

use core::time::Duration;
use page_range::PageCount;
use serde::{Deserialize, Serialize};

use crate::constants as c;

/// The constants of the model, in MiB, seconds and reads per second. The defaults are those of [`constants`](crate::constants()).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParentOsConfig {
    /// In use when idle, MiB (`parent_os.in_use_idle`).
    pub in_use_idle_mib: f64,
    /// Free memory below which working sets are trimmed, MiB (`parent_os.comfortable_free`).
    pub comfortable_free_mib: f64,
    /// The working set at which trimming bites, MiB (`parent_os.working_set_knee`).
    pub working_set_knee_mib: f64,
    /// Free memory that trimming defends at the knee, MiB (`parent_os.free_at_knee`).
    pub free_at_knee_mib: f64,
    /// How fast need falls with the size of the working set (e-folding), MiB (`parent_os.need_scale`).
    pub need_scale_mib: f64,
    /// Page-file reads per second at the knee (`parent_os.reads_at_knee`).
    pub reads_at_knee: f64,
    /// Page-file reads per second that are always there (`parent_os.reads_idle`).
    pub reads_idle: f64,
    /// How fast the working set follows, seconds: its time constant (`parent_os.lag`).
    pub lag_seconds: f64,
    /// Slowdown of the host's own work for each read a second (`parent_os.slowdown_per_read`). With 0 a paging parent costs nothing.
    pub slowdown_per_read: f64,
    /// Reads that the disk serves in a second, at most (`parent_os.disk_reads`).
    pub disk_reads: f64,
    /// Threads that can wait for the disk at a time (`parent_os.waiting_threads`).
    pub waiting_threads: f64,
    /// Whether working sets are trimmed at all (a parent that is never trimmed never pages).
    pub trimming: bool,
}

impl Default for ParentOsConfig {
    fn default() -> Self {
        Self {
            in_use_idle_mib: c::PARENT_IN_USE.value,
            comfortable_free_mib: c::PARENT_COMFORTABLE.value,
            working_set_knee_mib: c::PARENT_KNEE.value,
            free_at_knee_mib: c::PARENT_FREE_AT_KNEE.value,
            need_scale_mib: c::PARENT_NEED_SCALE.value,
            reads_at_knee: c::PARENT_READS_AT_KNEE.value,
            reads_idle: c::PARENT_READS_IDLE.value,
            lag_seconds: c::PARENT_LAG.value,
            slowdown_per_read: c::PARENT_SLOWDOWN.value,
            disk_reads: c::PARENT_DISK_READS.value,
            waiting_threads: c::PARENT_WAITING.value,
            trimming: true,
        }
    }
}

/// The parent OS, followed in time.
#[derive(Clone, Debug)]
pub struct ParentOs {
    config: ParentOsConfig,
    owned_mib: f64,
    in_use_mib: f64,
    /// Pages that would be missed in a second if none had to wait, with what is in use now.
    missed_per_second: f64,
    last: Duration,
    reads: f64,
}

impl ParentOs {
    /// An idle parent that owns `owned`.
    #[must_use]
    pub fn new(config: ParentOsConfig, owned: PageCount) -> Self {
        let mut parent = Self {
            in_use_mib: 0.0,
            missed_per_second: 0.0,
            owned_mib: owned.mib(),
            config,
            last: Duration::ZERO,
            reads: 0.0,
        };
        parent.uses(parent.settled_in_use());
        parent
    }

    /// Advances to `now`, with `owned` left for the parent since then.
    pub fn advance(&mut self, now: Duration, owned: PageCount) {
        let seconds = now.saturating_sub(self.last).as_secs_f64();
        self.last = self.last.max(now);
        self.reads += self.reads_per_second() * seconds;
        self.owned_mib = owned.mib();
        let goal = self.settled_in_use();
        let step = if self.config.lag_seconds > 0.0 {
            1.0 - libm::exp(-seconds / self.config.lag_seconds)
        } else {
            1.0
        };
        // What is in use cannot exceed what there is, however slow the trimming.
        self.uses((self.in_use_mib + (goal - self.in_use_mib) * step).min(self.owned_mib));
    }

    /// From now on `in_use_mib` is in use.
    fn uses(&mut self, in_use_mib: f64) {
        self.in_use_mib = in_use_mib;
        self.missed_per_second = self.config.reads_idle;
        if self.config.trimming {
            self.missed_per_second += self.config.reads_at_knee * self.need(in_use_mib);
        }
    }

    /// Memory the parent OS has in use, MiB.
    #[must_use]
    pub fn in_use_mib(&self) -> f64 {
        self.in_use_mib
    }

    /// The parent OS's free memory, MiB.
    #[must_use]
    pub fn free_mib(&self) -> f64 {
        self.owned_mib - self.in_use_mib
    }

    /// Page-file reads per second at the present working set.
    #[must_use]
    pub fn reads_per_second(&self) -> f64 {
        self.missed_per_second.min(self.config.disk_reads)
    }

    /// Reads that wait for the disk, besides those that it serves: none while it serves all that are missed.
    #[must_use]
    pub fn reads_waiting(&self) -> f64 {
        let missed = self.missed_per_second;
        if missed <= self.config.disk_reads {
            return 0.0;
        }
        // Threads that do not wait miss pages at the rate of all of them, in proportion; the disk serves as many as are missed.
        self.config.waiting_threads * (1.0 - self.config.disk_reads / missed)
    }

    /// Page-file reads since the start, whole ones.
    #[must_use]
    pub fn reads_total(&self) -> u64 {
        self.reads as u64
    }

    /// The factor by which the host's own work takes longer now (1 = not at all).
    #[must_use]
    pub fn slowdown(&self) -> f64 {
        1.0 + self.config.slowdown_per_read * (self.reads_per_second() + self.reads_waiting())
    }

    /// How badly a working set of `in_use` MiB lacks what was trimmed (1 at the knee).
    fn need(&self, in_use: f64) -> f64 {
        libm::exp(-(in_use - self.config.working_set_knee_mib) / self.config.need_scale_mib)
    }

    /// The working set at which the wish for free memory and the need for pages balance.
    fn settled_in_use(&self) -> f64 {
        let c = &self.config;
        if !c.trimming || self.owned_mib - c.in_use_idle_mib >= c.comfortable_free_mib {
            return c.in_use_idle_mib.min(self.owned_mib);
        }
        // (comfortable − free)/(comfortable − free_at_knee) rises with the working set, need falls with it: bisection.
        let excess = |w: f64| {
            (c.comfortable_free_mib - (self.owned_mib - w)) / (c.comfortable_free_mib - c.free_at_knee_mib)
                - self.need(w)
        };
        let (mut low, mut high) = (0.0, c.in_use_idle_mib);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if excess(middle) < 0.0 { low = middle } else { high = middle }
        }
        (0.5 * (low + high)).min(self.owned_mib)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(owned_mib: u64) -> ParentOs {
        let mut parent = ParentOs::new(ParentOsConfig::default(), PageCount::from_mib(32768));
        for second in 1..200 {
            parent.advance(Duration::from_secs(second), PageCount::from_mib(owned_mib));
        }
        parent
    }

    #[test]
    fn an_idle_parent_is_not_trimmed() {
        let parent = settled(3520);
        assert!((parent.in_use_mib() - 2258.0).abs() < 1e-6);
        assert!((parent.free_mib() - 1262.0).abs() < 1e-6);
        assert!(parent.reads_per_second() < 0.2);
        assert!(parent.slowdown() < 1.02);
    }

    /// Table 4-1 of \[A\]: free memory of the parent in both runs, from what the VMs leave it.
    #[test]
    fn the_middles_of_table_4_1_follow() {
        let unset = settled(1344 + 108);
        assert!((400.0..=500.0).contains(&unset.free_mib()), "{}", unset.free_mib());
        assert!((40.0..70.0).contains(&unset.reads_per_second()), "{}", unset.reads_per_second());
        let reserved = settled(2048 + 35);
        assert!((750.0..=850.0).contains(&reserved.free_mib()), "{}", reserved.free_mib());
        assert!((1.0..5.0).contains(&reserved.reads_per_second()), "{}", reserved.reads_per_second());
        assert!(unset.slowdown() > 3.0 && reserved.slowdown() < 1.4);
    }

    #[test]
    fn more_for_the_vms_means_less_free_and_more_reads() {
        let mut last = settled(4000);
        for owned in (1200..3900).rev().step_by(50) {
            let next = settled(owned);
            assert!(next.free_mib() <= last.free_mib() + 1e-9);
            assert!(next.reads_per_second() >= last.reads_per_second() - 1e-9);
            last = next;
        }
    }

    #[test]
    fn it_never_uses_more_than_it_owns() {
        assert!(settled(100).free_mib() >= 0.0);
    }

    #[test]
    fn the_disk_bounds_what_a_parent_without_memory_reads_and_how_slow_it_is() {
        let most = 1.0 + 0.06 * (190.0 + 64.0);
        let mut last = settled(1452);
        assert_eq!(last.reads_waiting(), 0.0, "within the range of Table 4-1 the disk serves all");
        for owned in (0..1452).rev().step_by(25) {
            let next = settled(owned);
            assert!(next.reads_per_second() <= 190.0 && next.slowdown() <= most, "{owned}");
            assert!(next.slowdown() >= last.slowdown() - 1e-9, "{owned}");
            last = next;
        }
        assert_eq!(last.reads_per_second(), 190.0);
        assert!(last.reads_waiting() > 63.0 && last.reads_waiting() <= 64.0);
    }

    #[test]
    fn without_trimming_it_does_not_page() {
        let config = ParentOsConfig { trimming: false, ..ParentOsConfig::default() };
        let mut parent = ParentOs::new(config, PageCount::from_mib(1452));
        parent.advance(Duration::from_secs(100), PageCount::from_mib(1452));
        assert!(parent.reads_per_second() < 0.2);
    }

    #[test]
    fn a_parent_that_is_never_trimmed_reads_no_more_than_its_disk_serves() {
        let config = ParentOsConfig {
            trimming: false,
            reads_idle: 300.0,
            disk_reads: 200.0,
            ..ParentOsConfig::default()
        };
        let parent = ParentOs::new(config, PageCount::from_mib(4096));
        assert_eq!((parent.reads_per_second(), parent.reads_waiting() > 0.0), (200.0, true));
    }
}
