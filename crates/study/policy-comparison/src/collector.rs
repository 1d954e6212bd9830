//! Measures one run, sample by sample.

use std::time::Duration;

use balancing_policy::{MemorySettings, pressure, satisfied_pressure};
use page_range::PageCount;
use serde::{Deserialize, Serialize};

use super::catalogue::{COUNT, INVERSION_MARGIN, MeasureId, Values};
use super::steps::Steps;
use scenario::run::plan::{Action, Plan};
use scenario::run::points::{Point, VmPoint};

/// How far a run of a well-provisioned host got, per VM: the share of its running time in which its application did not wait.
pub(crate) type Progress = Vec<Option<f64>>;

/// Points of a [`Series`] at most.
const SERIES_POINTS: usize = 160;

/// What all VMs together needed and had, over time: for figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Times, seconds.
    pub time_s: Vec<f64>,
    /// What the guests had committed, MB.
    pub need_mb: Vec<f64>,
    /// What they had, MB.
    pub assigned_mb: Vec<f64>,
    /// What all VMs together can have, MB.
    pub capacity_mb: Vec<f64>,
}

/// A VM and what was seen of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Vm {
    settings: MemorySettings,
    /// Requests to start it that have not come yet, latest first.
    requests: Vec<Duration>,
    waiting_since: Option<Duration>,
    /// How often it got its memory.
    served: u32,
    on: Duration,
    stall: Duration,
    direction: Option<bool>,
    turns: u32,
    steps: Steps,
    last: VmPoint,
}

/// Collects the measures of one run. After the run it is the run's row: what all measures are computed from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Collector {
    vms: Vec<Vm>,
    /// Indices of VMs by ascending weight, and whether weights differ at all.
    by_weight: Vec<usize>,
    weights_differ: bool,
    last: Option<Duration>,
    first_moved: Option<PageCount>,
    unmet: f64,
    above: f64,
    page_ins: u64,
    refused: u64,
    requests: u32,
    started: u32,
    delay: Duration,
    fairness: f64,
    fairness_time: f64,
    inversions: f64,
    moved: PageCount,
    operations: u64,
    until: Duration,
    series: Option<Series>,
}

impl Collector {
    pub(crate) fn new(plan: &Plan, with_series: bool) -> Self {
        let mut vms: Vec<Vm> = plan
            .vms
            .iter()
            .map(|vm| Vm {
                settings: vm.settings,
                requests: Vec::new(),
                waiting_since: None,
                served: 0,
                on: Duration::ZERO,
                stall: Duration::ZERO,
                direction: None,
                turns: 0,
                steps: Steps::default(),
                last: VmPoint::default(),
            })
            .collect();
        for step in plan.timeline.iter().rev() {
            if let Action::Start { vm, .. } = step.action
                && let Some(vm) = vms.get_mut(vm)
            {
                vm.requests.push(step.at);
            }
        }
        let mut by_weight: Vec<usize> = (0..vms.len()).collect();
        by_weight.sort_by_key(|&vm| vms[vm].settings.weight);
        let weight = |place: Option<&usize>| place.map(|&vm| vms[vm].settings.weight);
        let weights_differ = weight(by_weight.first()) != weight(by_weight.last());
        Self {
            by_weight,
            weights_differ,
            vms,
            last: None,
            first_moved: None,
            unmet: 0.0,
            above: 0.0,
            page_ins: 0,
            refused: 0,
            requests: 0,
            started: 0,
            delay: Duration::ZERO,
            fairness: 0.0,
            fairness_time: 0.0,
            inversions: 0.0,
            moved: PageCount::ZERO,
            operations: 0,
            until: plan.until,
            series: with_series.then(Series::default),
        }
    }

    /// One sample.
    pub(crate) fn observe(&mut self, point: &Point) {
        let before = self.last.replace(point.time).unwrap_or(point.time);
        let elapsed = point.time.saturating_sub(before);
        let seconds = elapsed.as_secs_f64();
        let (mut moved, mut operations) = (PageCount::ZERO, 0);
        for (vm, now) in self.vms.iter_mut().zip(&point.vms) {
            moved += now.added + now.removed;
            operations += now.operations;
            self.requests += vm.requested(point.time);
            if let Some(delay) = vm.started(now, before) {
                self.started += 1;
                vm.served += 1;
                self.delay += delay;
            }
            if now.guest_available.is_some() {
                let lacks = need(now).saturating_sub(now.physical);
                if !lacks.is_zero() {
                    self.unmet += lacks.mib() * seconds;
                    self.above += seconds;
                }
                vm.on += elapsed;
                // A guest that has restarted counts from 0 again.
                let since = |now: u64, before: u64| now.checked_sub(before).unwrap_or(now);
                self.page_ins += since(now.guest_page_reads, vm.last.guest_page_reads);
                self.refused += since(now.guest_commit_failures, vm.last.guest_commit_failures);
                vm.stall += now.guest_stall.checked_sub(vm.last.guest_stall).unwrap_or(now.guest_stall);
                let buffer = vm.settings.buffer_fraction();
                vm.steps.sample(point.time, need(now).mib(), now.physical.mib(), buffer);
            } else if vm.last.guest_available.is_some() {
                vm.steps.off(point.time);
            }
            vm.turned(now);
            vm.last = *now;
        }
        self.moved = moved;
        self.operations = operations;
        self.first_moved.get_or_insert(moved);
        if let Some(index) = self.satisfaction() {
            self.fairness += index * seconds;
            self.fairness_time += seconds;
        }
        if self.weights_differ && self.inverted() {
            self.inversions += seconds;
        }
        self.draw(point);
    }

    /// Jain's index of satisfaction, of at least two guests.
    fn satisfaction(&self) -> Option<f64> {
        let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
        for vm in &self.vms {
            let (Some(_), need) = (vm.last.guest_available, need(&vm.last).mib()) else { continue };
            let enough = (need * (1.0 + vm.settings.buffer_fraction())).min(vm.settings.maximum.mib());
            let lacks = if enough > 0.0 { (1.0 - vm.last.physical.mib() / enough).max(0.0) } else { 0.0 };
            let satisfied = (1.0 - lacks * (0.5 + f64::from(vm.settings.weight) / 10_000.0)).max(0.0);
            sum += satisfied;
            squares += satisfied * satisfied;
            count += 1.0;
        }
        match count {
            count if count < 2.0 => None,
            _ if squares > 0.0 => Some(sum * sum / (count * squares)),
            // All have nothing.
            _ => Some(1.0),
        }
    }

    /// Whether a VM is short while one of lower weight is better off and could give.
    fn inverted(&self) -> bool {
        let mut lowest_of_lower = f64::INFINITY;
        let mut lowest_of_same = f64::INFINITY;
        let mut weight = None;
        for &index in &self.by_weight {
            let vm = &self.vms[index];
            if vm.last.guest_available.is_none() {
                continue;
            }
            if weight != Some(vm.settings.weight) {
                weight = Some(vm.settings.weight);
                lowest_of_lower = lowest_of_lower.min(lowest_of_same);
            }
            // Buffers may differ: what counts is how far each is from what would satisfy it.
            let relative = |pressure: f64| 100.0 * pressure / satisfied_pressure(&vm.settings);
            let own = relative(pressure(need(&vm.last), vm.last.physical));
            if need(&vm.last) > vm.last.physical && own > lowest_of_lower + INVERSION_MARGIN {
                return true;
            }
            if vm.last.physical > vm.settings.minimum {
                lowest_of_same = lowest_of_same.min(own);
            }
        }
        false
    }

    fn draw(&mut self, point: &Point) {
        let Some(series) = &mut self.series else { return };
        let due = self.until.as_secs_f64() * series.time_s.len() as f64 / SERIES_POINTS as f64;
        if point.time.as_secs_f64() < due {
            return;
        }
        let round = |mib: f64| mib.round();
        let need: PageCount = point.vms.iter().filter(|vm| vm.guest_available.is_some()).map(need).sum();
        let host = &point.host;
        series.time_s.push(point.time.as_secs_f64());
        series.need_mb.push(round(need.mib()));
        series.assigned_mb.push(round(host.assigned.mib()));
        series.capacity_mb.push(round((host.assigned + host.available + host.in_transit).mib()));
    }

    /// How often each VM got its memory: two runs in which this differs did not have the same to do.
    pub(crate) fn served(&self) -> Vec<u32> {
        self.vms.iter().map(|vm| vm.served).collect()
    }

    /// Leaves out what was drawn: of runs that no figure shows.
    pub(crate) fn forget_series(&mut self) {
        self.series = None;
    }

    /// How far the applications got.
    pub(crate) fn progress(&self) -> Progress {
        self.vms
            .iter()
            .map(|vm| {
                let (on, stall) = (vm.on.as_secs_f64(), vm.stall.as_secs_f64());
                (on > 0.0).then(|| (1.0 - stall / on).max(LEAST_PROGRESS))
            })
            .collect()
    }

    /// What a run comes to, against that of a well-provisioned host.
    pub(crate) fn finish(mut self, provisioned: &Progress) -> (Values, Option<Series>) {
        let end = self.last.unwrap_or_default();
        let hours = end.as_secs_f64() / 3600.0;
        let on_hours: f64 = self.vms.iter().map(|vm| vm.on.as_secs_f64() / 3600.0).sum();
        for vm in &mut self.vms {
            vm.steps.off(end);
        }
        let slowdowns: Vec<f64> = self
            .progress()
            .iter()
            .zip(provisioned)
            .filter_map(|(own, provisioned)| Some(provisioned.as_ref()? / own.as_ref()?))
            .collect();
        let mut reactions: Vec<f64> =
            self.vms.iter().flat_map(|vm| vm.steps.reactions.iter().copied()).collect();
        reactions.sort_by(f64::total_cmp);
        let overshoots: Vec<f64> =
            self.vms.iter().flat_map(|vm| vm.steps.overshoots.iter().copied()).collect();
        let turns: u32 = self.vms.iter().map(|vm| vm.turns).sum();
        let moved = self.moved.saturating_sub(self.first_moved.unwrap_or_default());
        let per = |value: f64, of: f64| (of > 0.0).then(|| value / of);

        let mut values: Values = [None; COUNT];
        let mut set =
            |id: MeasureId, value: Option<f64>| values[id.index()] = value.filter(|value| value.is_finite());
        set(MeasureId::Slowdown, super::statistics::geometric_mean(&slowdowns));
        set(MeasureId::WorstSlowdown, slowdowns.iter().copied().reduce(f64::max));
        set(MeasureId::Unmet, Some(self.unmet));
        set(MeasureId::Above100, Some(self.above));
        set(MeasureId::PageIns, Some(PageCount(self.page_ins).mib()));
        set(MeasureId::Refused, Some(self.refused as f64));
        set(MeasureId::Started, per(100.0 * f64::from(self.started), f64::from(self.requests)));
        set(MeasureId::StartDelay, per(self.delay.as_secs_f64(), f64::from(self.started)));
        set(MeasureId::Reaction, per(reactions.iter().sum(), reactions.len() as f64));
        set(MeasureId::SlowReaction, quantile(&reactions, 0.9));
        // A VM that has no step to follow does not go too far.
        set(MeasureId::Overshoot, Some(per(overshoots.iter().sum(), overshoots.len() as f64).unwrap_or(0.0)));
        set(MeasureId::Oscillation, per(f64::from(turns), on_hours));
        set(MeasureId::Moved, per(moved.mib(), hours));
        set(MeasureId::Operations, per(self.operations as f64, hours));
        set(MeasureId::Fairness, per(self.fairness, self.fairness_time));
        set(MeasureId::Inversions, Some(self.inversions));
        (values, self.series)
    }
}

/// An application that never got anywhere would be slowed down without bound. Invented.
const LEAST_PROGRESS: f64 = 0.001;

impl Vm {
    /// Counts the requests that have come by now; a request that comes while another waits takes its place.
    fn requested(&mut self, now: Duration) -> u32 {
        let mut came = 0;
        while let Some(at) = self.requests.pop_if(|at| *at <= now) {
            came += 1;
            self.waiting_since = Some(at);
        }
        came
    }

    /// If it has got its memory since the sample before: how long that took.
    fn started(&mut self, now: &VmPoint, before: Duration) -> Option<Duration> {
        let since = self.waiting_since.filter(|_| now.running)?;
        self.waiting_since = None;
        Some(before.saturating_sub(since))
    }

    /// Counts a change of direction.
    fn turned(&mut self, now: &VmPoint) {
        if !(now.running && self.last.running) {
            self.direction = None;
            return;
        }
        if now.physical == self.last.physical {
            return;
        }
        let up = now.physical > self.last.physical;
        if self.direction.replace(up).is_some_and(|before| before != up) {
            self.turns += 1;
        }
    }
}

/// What a guest has committed, and what it has refused its applications and they still want.
fn need(vm: &VmPoint) -> PageCount {
    vm.guest_commit + vm.guest_refused
}

/// Of sorted values, the smallest that is not below so many of them.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests;
