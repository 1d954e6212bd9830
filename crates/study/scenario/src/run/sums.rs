//! What the samples of a run add up to, without keeping them.

use std::time::Duration;

use serde::Serialize;

use super::points::{Point, VmPoint};

/// Smallest, mean, largest and last of a quantity over the samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
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
pub(crate) struct Collect {
    minimum: f64,
    maximum: f64,
    sum: f64,
    last: f64,
    count: u64,
}

impl Collect {
    fn add(&mut self, value: f64) {
        if self.count == 0 {
            (self.minimum, self.maximum) = (value, value);
        }
        self.minimum = self.minimum.min(value);
        self.maximum = self.maximum.max(value);
        self.sum += value;
        self.last = value;
        self.count += 1;
    }

    pub(crate) fn spread(&self) -> Option<Spread> {
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
    pub(crate) unmet_mib_s: f64,
    pub(crate) above_100_s: f64,
    pub(crate) page_reads: u64,
    pub(crate) page_writes: u64,
    pub(crate) stall: Duration,
    pub(crate) commit_failures: u64,
    pub(crate) last: Option<VmPoint>,
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
    pub(crate) vms: Vec<VmSums>,
}

impl Sums {
    pub(crate) fn new(vms: usize) -> Self {
        Self { vms: vec![VmSums::default(); vms], ..Self::default() }
    }

    pub(crate) fn add(&mut self, point: &Point, before: Option<&Point>) {
        let seconds = before.map_or(0.0, |before| (point.time - before.time).as_secs_f64());
        let host = &point.host;
        self.available.add(host.available.mib());
        self.in_transit.add(host.in_transit.mib());
        self.average_pressure.add(host.average_pressure);
        self.parent_free.add(host.parent_free_mib);
        self.parent_reads.add(host.parent_reads_per_second);
        self.reads_total = host.parent_reads_total;
        let total = host.available + host.assigned + host.in_transit + host.overhead + host.reserve;
        self.used.add(total.mib() - host.parent_free_mib);
        for (sums, vm) in self.vms.iter_mut().zip(&point.vms) {
            let last = sums.last.replace(*vm);
            // Counters of the guest begin anew when it boots.
            let grown = |now: u64, before: u64| now.checked_sub(before).unwrap_or(now);
            let was = last.unwrap_or_default();
            if vm.guest_available.is_some() {
                sums.page_reads += grown(vm.guest_page_reads, was.guest_page_reads);
                sums.page_writes += grown(vm.guest_page_writes, was.guest_page_writes);
                sums.commit_failures += grown(vm.guest_commit_failures, was.guest_commit_failures);
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
                let missing = demand.saturating_sub(vm.physical);
                sums.unmet_mib_s += missing.mib() * seconds;
                if !missing.is_zero() {
                    sums.above_100_s += seconds;
                }
            }
            if let Some(available) = vm.guest_available {
                sums.available.add(available.mib());
            }
        }
    }
}
