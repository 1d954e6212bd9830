//! A policy with a stopwatch: what its rounds cost, in real time, and whether it is still in one.
//!
//! What it measures depends on the machine, so nothing of it goes into the results of a comparison but the number of rounds that
//! the policy lost by panicking.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use balancing_policy::{Future, HostView, Policy, PressureBand, Proposal, VmView};

/// Eight buckets for each doubling, from 1/16 ns on.
const BUCKETS: usize = 8 * 48;

/// What a policy's rounds cost.
#[derive(Debug)]
pub(crate) struct Timing {
    /// Rounds by their time per VM.
    buckets: [AtomicU64; BUCKETS],
    /// Rounds that ended in a panic.
    pub(crate) lost: AtomicU64,
}

impl Default for Timing {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS], lost: AtomicU64::new(0) }
    }
}

impl Timing {
    fn add(&self, took: Duration, vms: usize) {
        // In sixteenths of a nanosecond: an exponent, and three binary digits after it.
        let per_vm = (took.as_nanos() as u64).saturating_mul(16) / vms.max(1) as u64;
        let per_vm = per_vm.max(8);
        let exponent = u64::from(per_vm.ilog2());
        let digits = (per_vm >> (exponent - 3)) & 7;
        let bucket = ((exponent - 3) * 8 + digits) as usize;
        self.buckets[bucket.min(BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
    }

    /// Takes over what another has counted.
    pub(crate) fn take(&self, other: &Self) {
        for (own, other) in self.buckets.iter().zip(&other.buckets) {
            own.fetch_add(other.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.lost.fetch_add(other.lost.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// The median time of a round per VM, ns; `None` before the first. Exact to an eighth.
    pub(crate) fn median_ns(&self) -> Option<f64> {
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let all: u64 = counts.iter().sum();
        let mut below = 0;
        let bucket = counts.iter().position(|count| {
            below += count;
            all > 0 && 2 * below >= all
        })?;
        let (exponent, digits) = (bucket / 8, bucket % 8);
        let middle = (8.0 + digits as f64 + 0.5) * libm::exp2(exponent as f64);
        Some(middle / 16.0)
    }
}

/// When a thread's policy began the round that it is in; 0: the policy is in none. In ns since [`Clock`] began.
#[derive(Debug, Default)]
pub(crate) struct RoundBegan(pub(crate) AtomicU64);

/// Real time since it was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "measures the policy itself, not the run")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Never 0.
    pub(crate) fn now_ns(self) -> u64 {
        (self.0.elapsed().as_nanos() as u64).max(1)
    }
}

thread_local! {
    static IN_ROUND: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is in a round of a policy that is being compared: a panic now costs the policy its round, and is counted.
#[must_use]
pub fn is_in_policy_round() -> bool {
    IN_ROUND.get()
}

/// The policy within, with a stopwatch.
pub(crate) struct Timed {
    pub(crate) policy: Box<dyn Policy>,
    pub(crate) timing: Arc<Timing>,
    pub(crate) began: Arc<RoundBegan>,
    pub(crate) clock: Clock,
}

/// Marks a round as over, however it ends.
struct Round<'a> {
    timed: &'a RoundBegan,
    timing: &'a Timing,
}

impl Drop for Round<'_> {
    fn drop(&mut self) {
        IN_ROUND.set(false);
        self.timed.0.store(0, Ordering::Relaxed);
        if std::thread::panicking() {
            self.timing.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Policy for Timed {
    fn name(&self) -> &str {
        self.policy.name()
    }

    fn uses_priority(&self) -> bool {
        self.policy.uses_priority()
    }

    fn interval(&self) -> Duration {
        self.policy.interval()
    }

    fn round(&mut self, host: &HostView<'_>, vms: &[VmView], proposal: &mut Proposal) {
        let began = self.clock.now_ns();
        self.began.0.store(began, Ordering::Relaxed);
        IN_ROUND.set(true);
        let round = Round { timed: &self.began, timing: &self.timing };
        self.policy.round(host, vms, proposal);
        drop(round);
        if !vms.is_empty() {
            self.timing.add(Duration::from_nanos(self.clock.now_ns() - began), vms.len());
        }
    }

    fn foresees(&self) -> bool {
        self.policy.foresees()
    }

    fn foresee(&mut self, future: &Arc<Future>) {
        self.policy.foresee(future);
    }

    fn band(&self, vm: &VmView) -> PressureBand {
        self.policy.band(vm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_exact_to_an_eighth() {
        let timing = Timing::default();
        assert_eq!(timing.median_ns(), None);
        for ns in [100, 1000, 1100, 1200, 90_000] {
            timing.add(Duration::from_nanos(ns * 10), 10);
        }
        let median = timing.median_ns().unwrap();
        assert!((median / 1100.0 - 1.0).abs() < 0.13, "{median}");
    }

    #[test]
    fn every_time_has_a_bucket() {
        let timing = Timing::default();
        timing.add(Duration::ZERO, 65_536);
        timing.add(Duration::MAX, 1);
        assert!(timing.median_ns().is_some());
    }
}
