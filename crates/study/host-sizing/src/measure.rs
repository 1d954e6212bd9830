//! What a run of a host showed.

use core::time::Duration;

use scenario::run::Point;
use serde::{Deserialize, Serialize};

/// Points of a series at most.
const SERIES_POINTS: u128 = 400;

/// What all VMs of a host together demanded and had, over time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Times, seconds.
    pub time_s: Vec<f64>,
    /// The most that they demanded since the time before, MB.
    pub demand_mb: Vec<f64>,
    /// What they had then, MB.
    pub assigned_mb: Vec<f64>,
    /// What the host could give them, MB.
    pub capacity_mb: Vec<f64>,
}

/// What a VM went through.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VmOutcome {
    /// Whether it ever got its memory.
    pub(crate) started: bool,
    /// When it first had its memory.
    pub(crate) started_at_s: f64,
    /// Whether this was seen after a host had failed in the middle.
    pub(crate) after_failure: bool,
    /// How long it was on.
    pub(crate) on_s: f64,
    /// How long it was short.
    pub(crate) short_s: f64,
    /// The longest time in one piece.
    pub(crate) longest_s: f64,
    /// When that began.
    pub(crate) longest_at_s: f64,
    /// The most that it lacked, MB, and when.
    pub(crate) most_lacking: (f64, f64),
    /// Allocations that its guest refused.
    pub(crate) refused: u64,
    /// The most that it had, MB.
    pub(crate) most_mb: f64,
    /// What it had on average, MB.
    pub(crate) mean_mb: f64,
}

impl VmOutcome {
    pub(crate) fn share(&self) -> f64 {
        if self.on_s > 0.0 { self.short_s / self.on_s } else { 0.0 }
    }
}

/// What the VMs of a host went through.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HostOutcome {
    pub(crate) vms: Vec<VmOutcome>,
    pub(crate) series: Series,
    /// The least that the balancer had left, MB.
    pub(crate) least_available_mb: f64,
    /// What each VM without a recording demanded, MB, at every sample while it reported; nothing unless it was asked for.
    pub(crate) demand: Vec<Vec<f32>>,
    /// The longest time from the failure of a host until one of its VMs had its memory here; 0 if none has failed.
    pub(crate) slowest_start_s: f64,
    /// Whether the run was ended when a VM had been short for far too long.
    pub(crate) ended_early: bool,
}

#[derive(Clone, Copy, Default)]
struct Running {
    since_s: Option<f64>,
    last_refused: u64,
    assigned_s: f64,
}

/// Watches the samples of a run.
pub(crate) struct Watcher {
    outcome: HostOutcome,
    running: Vec<Running>,
    last: Option<Duration>,
    every: u64,
    count: u64,
    most_demand: f64,
    /// By VM.
    keep_demand: Vec<bool>,
    /// A VM that is short for longer than this ends the run.
    hopeless_s: f64,
    /// What is short before this does not count: by VM.
    counts_from_s: Vec<f64>,
}

impl Watcher {
    pub(crate) fn new(
        vms: usize,
        until: Duration,
        interval: Duration,
        keep_demand: Vec<bool>,
        hopeless_s: f64,
        counts_from_s: Vec<f64>,
    ) -> Self {
        let samples = until.as_nanos() / interval.as_nanos().max(1);
        Self {
            outcome: HostOutcome {
                vms: vec![VmOutcome::default(); vms],
                least_available_mb: f64::INFINITY,
                demand: vec![Vec::new(); if keep_demand.contains(&true) { vms } else { 0 }],
                ..HostOutcome::default()
            },
            running: vec![Running::default(); vms],
            last: None,
            every: u64::try_from(samples.div_ceil(SERIES_POINTS)).unwrap_or(u64::MAX).max(1),
            count: 0,
            most_demand: 0.0,
            keep_demand,
            hopeless_s,
            counts_from_s,
        }
    }

    /// Looks at a sample; false if there is no use in going on.
    pub(crate) fn observe(&mut self, point: &Point) -> bool {
        let elapsed = self.last.map_or(0.0, |last| point.time.saturating_sub(last).as_secs_f64());
        self.last = Some(point.time);
        let now = point.time.as_secs_f64();
        let mut demand = 0.0;
        for (index, vm) in point.vms.iter().enumerate() {
            let (Some(seen), Some(running)) = (self.outcome.vms.get_mut(index), self.running.get_mut(index))
            else {
                continue;
            };
            if !vm.running {
                *running = Running { assigned_s: running.assigned_s, ..Running::default() };
                continue;
            }
            if !core::mem::replace(&mut seen.started, true) {
                seen.started_at_s = now;
            }
            seen.on_s += elapsed;
            let assigned = vm.physical.mib();
            seen.most_mb = seen.most_mb.max(assigned);
            running.assigned_s += assigned * elapsed;
            let wanted = vm.demand.unwrap_or(vm.guest_commit);
            demand += wanted.mib() + vm.guest_refused.mib();
            let keep = self.keep_demand.get(index) == Some(&true);
            if keep && vm.guest_available.is_some() && !wanted.is_zero() {
                self.outcome.demand[index].push(wanted.mib() as f32);
            }
            let missing = vm.demand.map_or(0.0, |demand| demand.saturating_sub(vm.physical).mib());
            let lacking = missing + vm.guest_refused.mib();
            // What a guest counts begins anew when it boots.
            let refused = vm
                .guest_commit_failures
                .checked_sub(running.last_refused)
                .unwrap_or(vm.guest_commit_failures);
            running.last_refused = vm.guest_commit_failures;
            if self.counts_from_s.get(index).is_some_and(|from| now < *from) {
                continue;
            }
            seen.refused += refused;
            if lacking > 0.0 {
                let since = *running.since_s.get_or_insert(now - elapsed);
                seen.short_s += elapsed;
                if now - since > seen.longest_s {
                    (seen.longest_s, seen.longest_at_s) = (now - since, since);
                }
                if lacking > seen.most_lacking.0 {
                    seen.most_lacking = (lacking, now);
                }
            } else {
                running.since_s = None;
            }
        }
        let host = &point.host;
        self.outcome.least_available_mb = self.outcome.least_available_mb.min(host.available.mib());
        self.most_demand = self.most_demand.max(demand);
        if self.count.is_multiple_of(self.every) {
            let series = &mut self.outcome.series;
            series.time_s.push(now);
            series.demand_mb.push(self.most_demand);
            series.assigned_mb.push(host.assigned.mib());
            series.capacity_mb.push((host.available + host.assigned + host.in_transit).mib());
            self.most_demand = 0.0;
        }
        self.count += 1;
        self.outcome.ended_early = self.outcome.vms.iter().any(|vm| vm.longest_s > self.hopeless_s);
        !self.outcome.ended_early
    }

    pub(crate) fn finish(mut self) -> HostOutcome {
        for (vm, running) in self.outcome.vms.iter_mut().zip(&self.running) {
            vm.mean_mb = if vm.on_s > 0.0 { running.assigned_s / vm.on_s } else { 0.0 };
        }
        if !self.outcome.least_available_mb.is_finite() {
            self.outcome.least_available_mb = 0.0;
        }
        self.outcome
    }
}
