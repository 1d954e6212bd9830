//! What the samples of a run add up to, without keeping them.

use std::time::Duration;

use page_range::PageCount;
use serde::{Deserialize, Serialize};

use super::need::{Need, Needs};
use super::points::{Point, VmPoint};

/// Smallest, mean, largest and last of a quantity over the samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Smallest sample.
    pub minimum: f64,
    /// Mean of the samples.
    pub mean: f64,
    /// Largest sample.
    pub maximum: f64,
    /// Last sample.
    pub last: f64,
}

/// Collects a [`Spread`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Collect {
    minimum: f64,
    maximum: f64,
    sum: f64,
    last: f64,
    count: u64,
}

impl Collect {
    /// Adds a sample.
    pub fn add(&mut self, value: f64) {
        if self.count == 0 {
            (self.minimum, self.maximum) = (value, value);
        }
        self.minimum = self.minimum.min(value);
        self.maximum = self.maximum.max(value);
        self.sum += value;
        self.last = value;
        self.count += 1;
    }

    /// The spread; `None` without a sample.
    #[must_use]
    pub fn spread(&self) -> Option<Spread> {
        (self.count > 0).then(|| Spread {
            minimum: round(self.minimum),
            mean: round(self.sum / self.count as f64),
            maximum: round(self.maximum),
            last: round(self.last),
        })
    }
}

/// To the thousandth: enough for MB and percent, and short to read.
pub(crate) fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Sums over the samples of a VM.
#[derive(Clone, Debug, Default)]
pub(crate) struct VmSums {
    pub(crate) physical: Collect,
    pub(crate) visible: Collect,
    pub(crate) pressure: Collect,
    pub(crate) demand: Collect,
    pub(crate) available: Collect,
    pub(crate) refused: Collect,
    pub(crate) first_refused: Option<Duration>,
    pub(crate) unmet: Unmet,
    pub(crate) shortage: Duration,
    pub(crate) longest_shortage: Duration,
    pub(crate) above_100_s: f64,
    pub(crate) page_reads: u64,
    pub(crate) page_writes: u64,
    pub(crate) stall: Duration,
    pub(crate) commit_failures: u64,
    pub(crate) last: Option<VmPoint>,
}

/// What was needed and not there, over time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Unmet {
    /// All of it, MiB·s.
    pub(crate) all: f64,
    /// Of that, what was committed.
    pub(crate) committed: f64,
    /// Of that, what was refused.
    pub(crate) refused: f64,
    /// Of that, recorded needs of a VM that did not run yet or booted.
    pub(crate) waiting: f64,
    /// Time in which the VM was asked for and had no memory.
    pub(crate) waited: Duration,
}

/// Sums over the samples of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) available: Collect,
    pub(crate) used: Collect,
    pub(crate) in_transit: Collect,
    pub(crate) average_pressure: Collect,
    pub(crate) parent_free: Collect,
    pub(crate) parent_reads: Collect,
    pub(crate) reads_total: u64,
    pub(crate) first_reserve: Option<PageCount>,
    pub(crate) vms: Vec<VmSums>,
    needs: Needs,
}

impl Sums {
    pub(crate) fn new(vms: usize, needs: Needs) -> Self {
        Self { vms: vec![VmSums::default(); vms], needs, ..Self::default() }
    }

    pub(crate) fn add(&mut self, point: &Point, before: Option<&Point>) {
        let elapsed = before.map_or(Duration::ZERO, |before| point.time.saturating_sub(before.time));
        let seconds = elapsed.as_secs_f64();
        let host = &point.host;
        self.available.add(host.available.mib());
        self.in_transit.add(host.in_transit.mib());
        self.average_pressure.add(host.average_pressure);
        self.parent_free.add(host.parent_free_mib);
        self.parent_reads.add(host.parent_reads_per_second);
        self.reads_total = host.parent_reads_total;
        self.first_reserve.get_or_insert(host.reserve);
        let total = host.available + host.assigned + host.in_transit + host.overhead + host.reserve;
        self.used.add(total.mib() - host.parent_free_mib);
        for (index, (sums, vm)) in self.vms.iter_mut().zip(&point.vms).enumerate() {
            let need = self.needs.at(index, point.time, vm);
            sums.lack(&need, elapsed);
            let last = sums.last.replace(*vm);
            // Counters of the guest begin anew when it boots.
            let grown = |now: u64, before: u64| now.checked_sub(before).unwrap_or(now);
            let was = last.unwrap_or_default();
            if vm.guest_available.is_some() {
                sums.page_reads += grown(vm.guest_page_reads, was.guest_page_reads);
                sums.page_writes += grown(vm.guest_page_writes, was.guest_page_writes);
                let refusals = grown(vm.guest_commit_failures, was.guest_commit_failures);
                sums.commit_failures += refusals;
                if refusals > 0 {
                    sums.first_refused.get_or_insert(point.time);
                }
                sums.refused.add(vm.guest_refused.mib());
                sums.stall += vm.guest_stall.checked_sub(was.guest_stall).unwrap_or(vm.guest_stall);
            }
            if !vm.running {
                continue;
            }
            sums.physical.add(vm.physical.mib());
            sums.visible.add(vm.visible.mib());
            if let Some(pressure) = vm.pressure {
                sums.pressure.add(pressure);
            }
            if let Some(demand) = vm.demand {
                sums.demand.add(demand.mib());
            }
            let missing = vm.demand.map_or(PageCount::ZERO, |demand| demand.saturating_sub(vm.physical));
            if !missing.is_zero() {
                sums.above_100_s += seconds;
            }
            if let Some(available) = vm.guest_available {
                sums.available.add(available.mib());
            }
        }
    }
}

impl VmSums {
    /// What it needed and did not have since the sample before.
    fn lack(&mut self, need: &Need, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64();
        self.unmet.all += need.lacks().mib() * seconds;
        self.unmet.committed += need.committed.mib() * seconds;
        self.unmet.refused += need.refused.mib() * seconds;
        self.unmet.waiting += need.waiting.mib() * seconds;
        if need.waits {
            self.unmet.waited += elapsed;
        }
        self.shortage = if need.lacks().is_zero() { Duration::ZERO } else { self.shortage + elapsed };
        self.longest_shortage = self.longest_shortage.max(self.shortage);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_shortage_is_no_sum_of_shortages() {
        let mib = PageCount::from_mib;
        let mut sums = Sums::new(1, Needs::default());
        let mut before: Option<Point> = None;
        // By second: demand, and what the guest refuses, with 512 MB assigned.
        let samples =
            [(400, 0), (600, 0), (600, 0), (400, 0), (600, 0), (600, 0), (400, 150), (400, 0), (600, 0)];
        for (second, (demand, refused)) in samples.into_iter().enumerate() {
            let point = Point {
                time: Duration::from_secs(second as u64),
                vms: vec![VmPoint {
                    running: true,
                    physical: mib(512),
                    demand: Some(mib(demand)),
                    guest_commit: mib(demand),
                    guest_wanted: mib(demand + refused),
                    guest_available: Some(PageCount::ZERO),
                    ..VmPoint::default()
                }],
                ..Point::default()
            };
            sums.add(&point, before.as_ref());
            before = Some(point);
        }
        let vm = &sums.vms[0];
        assert_eq!(vm.longest_shortage, Duration::from_secs(3));
        assert_eq!(vm.above_100_s, 5.0);
        let (committed, refused) = (5.0 * 88.0, 38.0);
        assert_eq!(vm.unmet, Unmet { all: committed + refused, committed, refused, ..Unmet::default() });
    }
}
