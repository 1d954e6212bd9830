//! Measures one run, sample by sample.

use std::time::Duration;

use balancing_policy::{MemorySettings, pressure, satisfied_pressure};
use page_range::PageCount;
use serde::{Deserialize, Serialize};

use super::catalogue::{COUNT, INVERSION_MARGIN, MeasureId, Values};
use super::steps::Steps;
use scenario::run::plan::{Action, Plan};
use scenario::run::points::{Point, VmPoint};
use scenario::run::{Need, Needs};

/// How far a run of a well-provisioned host got, per VM: the share of the time in which it was asked for in which its application got on.
pub(crate) type Progress = Vec<Option<f64>>;

/// Points of a [`Series`] at most.
const SERIES_POINTS: usize = 160;

/// What all VMs together needed and had, over time: for figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Times, seconds.
    pub time_s: Vec<f64>,
    /// What the VMs needed, refused or not, MB.
    pub need_mb: Vec<f64>,
    /// What they had, MB.
    pub assigned_mb: Vec<f64>,
    /// What all VMs together can have, MB.
    pub capacity_mb: Vec<f64>,
}

/// What was needed and not there, over time, MB·s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Unmet {
    committed: f64,
    refused: f64,
    waiting: f64,
}

/// A VM and what was seen of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Vm {
    settings: MemorySettings,
    /// Requests to start it that have not come yet, latest first.
    requests: Vec<Duration>,
    waiting_since: Option<Duration>,
    /// Requests that came.
    requested: u32,
    /// How often it got its memory.
    served: u32,
    /// From requests that were served to the memory, in all.
    delay: Duration,
    on: Duration,
    /// How long it was on or waited.
    asked: f64,
    /// Of that, how long its application got on, seconds.
    progress: f64,
    unmet: Unmet,
    /// Seconds.
    waited: f64,
    above: f64,
    inverted: f64,
    page_ins: u64,
    refused: u64,
    direction: Option<bool>,
    turns: u32,
    steps: Steps,
    /// What had been moved of it at the first sample.
    first_moved: PageCount,
    /// While the run lasts.
    #[serde(skip)]
    need: Need,
    last: VmPoint,
}

/// Collects the measures of one run. After the run it is the run's row: what all measures are computed from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Collector {
    vms: Vec<Vm>,
    /// While the run lasts.
    #[serde(skip)]
    needs: Needs,
    /// Indices of VMs by ascending weight.
    by_weight: Vec<usize>,
    last: Option<Duration>,
    fairness: f64,
    fairness_time: f64,
    spread: f64,
    until: Duration,
    /// The most that VMs and their overhead could have at any time.
    memory: PageCount,
    series: Option<Series>,
}

impl Collector {
    pub(crate) fn new(plan: &Plan, with_series: bool) -> Self {
        let mut vms: Vec<Vm> = plan.vms.iter().map(|vm| Vm::new(vm.settings)).collect();
        for step in plan.timeline.iter().rev() {
            if let Action::Start { vm, .. } = step.action
                && let Some(vm) = vms.get_mut(vm)
            {
                vm.requests.push(step.at);
            }
        }
        let mut by_weight: Vec<usize> = (0..vms.len()).collect();
        by_weight.sort_by_key(|&vm| vms[vm].settings.weight);
        Self {
            by_weight,
            vms,
            needs: Needs::of(plan),
            last: None,
            fairness: 0.0,
            fairness_time: 0.0,
            spread: 0.0,
            until: plan.until,
            memory: PageCount::ZERO,
            series: with_series.then(Series::default),
        }
    }

    /// One sample.
    pub(crate) fn observe(&mut self, point: &Point) {
        let first = self.last.is_none();
        let before = self.last.replace(point.time).unwrap_or(point.time);
        let elapsed = point.time.saturating_sub(before);
        let seconds = elapsed.as_secs_f64();
        for (index, (vm, now)) in self.vms.iter_mut().zip(&point.vms).enumerate() {
            vm.need = self.needs.at(index, point.time, now);
            if first {
                vm.first_moved = now.added + now.removed;
            }
            vm.requested += vm.requested(point.time);
            if let Some(delay) = vm.started(now, before) {
                vm.served += 1;
                vm.delay += delay;
            }
            vm.lacked(seconds);
            if now.guest_available.is_some() {
                vm.worked(now, elapsed);
                let buffer = vm.settings.buffer_fraction();
                vm.steps.sample(point.time, vm.need.wanted.mib(), now.physical.mib(), buffer);
            } else if vm.last.guest_available.is_some() {
                vm.steps.off(point.time);
            }
            vm.turned(now);
            vm.last = *now;
        }
        if let Some(index) = self.satisfaction() {
            self.fairness += index * seconds;
            self.fairness_time += seconds;
        }
        self.compare_weights(seconds);
        let host = &point.host;
        let memory = host.assigned + host.available + host.in_transit + host.overhead;
        self.memory = self.memory.max(memory);
        self.draw(point);
    }

    /// Jain's index of satisfaction, of at least two VMs that are wanted.
    fn satisfaction(&self) -> Option<f64> {
        let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
        for vm in &self.vms {
            let need = vm.need.wanted.mib();
            let lacks = if vm.need.waits {
                1.0
            } else if vm.last.guest_available.is_some() {
                let enough = (need * (1.0 + vm.settings.buffer_fraction())).min(vm.settings.maximum.mib());
                if enough > 0.0 { (1.0 - vm.last.physical.mib() / enough).max(0.0) } else { 0.0 }
            } else {
                continue;
            };
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

    /// Who is short while one of lower weight, or of the same, is better off and could give.
    fn compare_weights(&mut self, seconds: f64) {
        let mut lowest_of_lower = f64::INFINITY;
        let mut lowest_of_same = f64::INFINITY;
        let mut highest_of_same = 0.0_f64;
        let mut spread = 0.0_f64;
        let mut weight = None;
        for &index in &self.by_weight {
            let vm = &mut self.vms[index];
            if vm.last.guest_available.is_none() {
                continue;
            }
            if weight != Some(vm.settings.weight) {
                weight = Some(vm.settings.weight);
                spread = spread.max(highest_of_same - lowest_of_same);
                lowest_of_lower = lowest_of_lower.min(lowest_of_same);
                (lowest_of_same, highest_of_same) = (f64::INFINITY, 0.0);
            }
            // Buffers may differ: what counts is how far each is from what would satisfy it.
            let relative = |pressure: f64| 100.0 * pressure / satisfied_pressure(&vm.settings);
            let own = relative(pressure(vm.need.wanted, vm.last.physical));
            if vm.need.wanted > vm.last.physical {
                highest_of_same = highest_of_same.max(own);
                if own > lowest_of_lower + INVERSION_MARGIN {
                    vm.inverted += seconds;
                }
            }
            if vm.last.physical > vm.settings.minimum {
                lowest_of_same = lowest_of_same.min(own);
            }
        }
        self.spread += spread.max(highest_of_same - lowest_of_same) * seconds;
    }

    fn draw(&mut self, point: &Point) {
        let Some(series) = &mut self.series else { return };
        let due = self.until.as_secs_f64() * series.time_s.len() as f64 / SERIES_POINTS as f64;
        if point.time.as_secs_f64() < due {
            return;
        }
        let round = |mib: f64| mib.round();
        let need: PageCount = self.vms.iter().map(|vm| vm.need.wanted).sum();
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

    /// Whether every request to start a VM was met at once.
    pub(crate) fn started_in_time(&self) -> bool {
        self.vms.iter().all(|vm| vm.served == vm.requested && vm.waited <= AT_ONCE * f64::from(vm.served))
    }

    /// Whether this run and another one did the same work: the same VMs got their memory, as often, and waited for it as long.
    pub(crate) fn did_the_work_of(&self, other: &Self) -> bool {
        self.vms.iter().zip(&other.vms).all(|(own, other)| {
            own.served == other.served && (own.waited - other.waited).abs() <= AT_ONCE * f64::from(own.served)
        })
    }

    /// How far the applications got.
    pub(crate) fn progress(&self) -> Progress {
        self.vms.iter().map(Vm::got_on).collect()
    }

    /// The most that VMs and their overhead could have at any time.
    pub(crate) fn memory(&self) -> PageCount {
        self.memory
    }

    /// The run is over, and this is its row.
    pub(crate) fn end(&mut self) {
        let end = self.last.unwrap_or_default();
        self.needs = Needs::default();
        for vm in &mut self.vms {
            vm.need = Need::default();
            vm.steps.off(end);
        }
    }

    /// What was drawn, once.
    pub(crate) fn take_series(&mut self) -> Option<Series> {
        self.series.take()
    }

    /// Steps in need that were seen of these VMs.
    pub(crate) fn steps(&self, which: Which<'_>) -> usize {
        self.of(which).map(|vm| vm.steps.reactions.len()).sum()
    }

    fn of<'a>(&'a self, which: Which<'a>) -> impl Iterator<Item = &'a Vm> {
        self.vms.iter().enumerate().filter(move |(index, _)| which.has(*index)).map(|(_, vm)| vm)
    }

    /// What a run that is over comes to for these VMs, against that of a well-provisioned host. What is of all VMs together
    /// (how many started, fairness, the spread among equals) is of all of them in any case.
    pub(crate) fn values(&self, provisioned: &Progress, which: Which<'_>) -> Values {
        let end = self.last.unwrap_or_default();
        let hours = end.as_secs_f64() / 3600.0;
        let sum = |of: fn(&Vm) -> f64| -> f64 { self.of(which).map(of).sum() };
        let slowdowns: Vec<f64> = self
            .vms
            .iter()
            .zip(provisioned)
            .enumerate()
            .filter(|(index, _)| which.has(*index))
            .filter_map(|(_, (vm, provisioned))| Some(provisioned.as_ref()? / vm.got_on()?))
            .collect();
        let mut reactions: Vec<f64> =
            self.of(which).flat_map(|vm| vm.steps.reactions.iter().copied()).collect();
        reactions.sort_by(f64::total_cmp);
        let overshoots: Vec<f64> =
            self.of(which).flat_map(|vm| vm.steps.overshoots.iter().copied()).collect();
        let on_hours = sum(|vm| vm.on.as_secs_f64() / 3600.0);
        let moved = sum(|vm| (vm.last.added + vm.last.removed).saturating_sub(vm.first_moved).mib());
        let per = |value: f64, of: f64| (of > 0.0).then(|| value / of);
        let all = |of: fn(&Vm) -> u32| f64::from(self.vms.iter().map(of).sum::<u32>());

        let mut values: Values = [None; COUNT];
        let mut set =
            |id: MeasureId, value: Option<f64>| values[id.index()] = value.filter(|value| value.is_finite());
        set(MeasureId::Slowdown, super::statistics::geometric_mean(&slowdowns));
        set(MeasureId::WorstSlowdown, slowdowns.iter().copied().reduce(f64::max));
        set(MeasureId::Unmet, Some(sum(|vm| vm.unmet.committed + vm.unmet.refused + vm.unmet.waiting)));
        set(MeasureId::UnmetCommitted, Some(sum(|vm| vm.unmet.committed)));
        set(MeasureId::UnmetRefused, Some(sum(|vm| vm.unmet.refused)));
        set(MeasureId::UnmetWaiting, Some(sum(|vm| vm.unmet.waiting)));
        set(MeasureId::Waiting, Some(sum(|vm| vm.waited)));
        set(MeasureId::Above100, Some(sum(|vm| vm.above)));
        set(MeasureId::PageIns, Some(sum(|vm| PageCount(vm.page_ins).mib())));
        set(MeasureId::Refused, Some(sum(|vm| vm.refused as f64)));
        set(MeasureId::Started, per(100.0 * all(|vm| vm.served), all(|vm| vm.requested)));
        let served = sum(|vm| f64::from(vm.served));
        set(MeasureId::StartDelay, per(sum(|vm| vm.delay.as_secs_f64()), served));
        set(MeasureId::Reaction, per(reactions.iter().sum(), reactions.len() as f64));
        set(MeasureId::SlowReaction, quantile(&reactions, 0.9));
        // A VM that has no step to follow does not go too far.
        set(MeasureId::Overshoot, Some(per(overshoots.iter().sum(), overshoots.len() as f64).unwrap_or(0.0)));
        set(MeasureId::Oscillation, per(sum(|vm| f64::from(vm.turns)), on_hours));
        set(MeasureId::Moved, per(moved, hours));
        set(MeasureId::Operations, per(sum(|vm| vm.last.operations as f64), hours));
        set(MeasureId::Fairness, per(self.fairness, self.fairness_time));
        set(MeasureId::Inversions, Some(sum(|vm| vm.inverted)));
        set(MeasureId::Spread, per(self.spread, end.as_secs_f64()));
        values
    }
}

/// Some of the VMs of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which<'a> {
    /// All of them.
    All,
    /// Those for whose place `true` stands.
    These(&'a [bool]),
}

impl Which<'_> {
    fn has(self, index: usize) -> bool {
        match self {
            Self::All => true,
            Self::These(these) => these.get(index).is_some_and(|has| *has),
        }
    }
}

/// A VM that has its memory within so many seconds, one or two samples, has not waited for it.
const AT_ONCE: f64 = 2.0;

/// An application that never got anywhere would be slowed down without bound. Invented.
const LEAST_PROGRESS: f64 = 0.001;

impl Vm {
    fn new(settings: MemorySettings) -> Self {
        Self {
            settings,
            requests: Vec::new(),
            waiting_since: None,
            requested: 0,
            served: 0,
            delay: Duration::ZERO,
            on: Duration::ZERO,
            asked: 0.0,
            progress: 0.0,
            unmet: Unmet::default(),
            waited: 0.0,
            above: 0.0,
            inverted: 0.0,
            page_ins: 0,
            refused: 0,
            direction: None,
            turns: 0,
            steps: Steps::default(),
            first_moved: PageCount::ZERO,
            need: Need::default(),
            last: VmPoint::default(),
        }
    }

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

    /// What it needed and did not have.
    fn lacked(&mut self, seconds: f64) {
        let need = &self.need;
        self.unmet.committed += need.committed.mib() * seconds;
        self.unmet.refused += need.refused.mib() * seconds;
        self.unmet.waiting += need.waiting.mib() * seconds;
        if !need.lacks().is_zero() {
            self.above += seconds;
        }
        if need.waits {
            self.waited += seconds;
            self.asked += seconds;
        }
    }

    /// What its guest did with what it had.
    fn worked(&mut self, now: &VmPoint, elapsed: Duration) {
        // A guest that has restarted counts from 0 again.
        let since = |now: u64, before: u64| now.checked_sub(before).unwrap_or(now);
        self.page_ins += since(now.guest_page_reads, self.last.guest_page_reads);
        self.refused += since(now.guest_commit_failures, self.last.guest_commit_failures);
        let stall = now.guest_stall.checked_sub(self.last.guest_stall).unwrap_or(now.guest_stall);
        let seconds = elapsed.as_secs_f64();
        // An application gets on in the time in which it does not wait for pages, as far as it has the memory that it wants.
        let (has, wants) = (now.guest_commit.mib(), now.guest_wanted.max(now.guest_commit).mib());
        let share = if wants > 0.0 { has / wants } else { 1.0 };
        self.on += elapsed;
        self.asked += seconds;
        self.progress += (seconds - stall.as_secs_f64()).max(0.0) * share;
    }

    /// The share of the time in which it was asked for in which its application got on; of one that never ran, nothing.
    fn got_on(&self) -> Option<f64> {
        let ran = !self.on.is_zero() && self.asked > 0.0;
        ran.then(|| (self.progress / self.asked).max(LEAST_PROGRESS))
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

/// Of sorted values, the smallest that is not below so many of them.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests;
