//! A fast model of a host: the real policy on demand curves. Guests, drivers, rings and workers are left out, and memory moves at
//! the rate that they would move it at.
//!
//! What it leaves out: what a guest needs while it boots, page files and paging, refusals of guests, and reports that are late. So
//! its answers are confirmed by full runs.

use core::time::Duration;
use std::sync::Arc;

use balancing_policy::{GuestStatus, HostView, MemorySettings, Proposal, Reason, Target, VmId, VmView};
use guest_memory_manager::trace::{Sample, VmTrace};
use memory_balancer::BalancerConfig;
use page_range::PageCount;
use scenario::run::RunError;

use crate::fleet::Fleet;
use crate::job::Job;
use crate::measure::{HostOutcome, Series, VmOutcome};
use crate::{Progress, SizingError};

/// Rounds of VMs that runs of all hosts have together, about: half a second. Invented.
const MOST_ROUNDS: u64 = 1_500_000;
/// The longest time between two rounds, s, whatever that costs: half of the longest shortage of the default risk. Invented.
const LONGEST_STEP_S: u64 = 15;
/// Steps of this length, s, and longer ones grow by this factor, up to so many seconds, while a host has much of its memory left and nobody comes
/// to be short before the next. Invented: values of long loads are minutes apart.
const COARSE_STEP_S: u64 = 5;
const COARSER: u32 = 8;
const COARSEST_STEP_S: u64 = 120;
/// A host has plenty while this share of what it could give is left.
const PLENTY: f64 = 0.1;
/// Memory that moves in a second for each VM: an operation of 64 MB for every round (the engine's constants).
const RATE_MIB: f64 = 64.0;
/// From a need to memory that arrives: a report, a round and an operation of about a second each at most. Inferred of full runs.
const REACTION_S: f64 = 2.0;
/// Virtual seconds after which it says how far it is.
const TOLD_EVERY_S: u64 = 3600;
/// Points of a series.
const SERIES_POINTS: u32 = 400;

struct Vm {
    settings: MemorySettings,
    curve: Option<Arc<VmTrace>>,
    /// Where in the curve the time is.
    place: usize,
    running: bool,
    outcome: VmOutcome,
    short_since: Option<f64>,
    assigned_s: f64,
    demand: PageCount,
}

impl Vm {
    /// Demand at a time, on the straight line between samples; times only go on.
    fn demand_at(&mut self, time: Duration) -> PageCount {
        let Some(curve) = &self.curve else { return PageCount::ZERO };
        let samples = curve.samples();
        while samples.get(self.place + 1).is_some_and(|next| next.time <= time) {
            self.place += 1;
        }
        value_at(samples, self.place, time)
    }

    /// The most that it demands from where it is until a time.
    fn most_until(&self, until: Duration) -> PageCount {
        let Some(curve) = &self.curve else { return PageCount::ZERO };
        let samples = curve.samples();
        let passed =
            samples.iter().enumerate().skip(self.place + 1).take_while(|(_, next)| next.time <= until);
        let (place, most) = passed
            .fold((self.place, self.demand), |(_, most), (place, sample)| (place, most.max(sample.used)));
        most.max(value_at(samples, place, until))
    }

    fn watch(&mut self, now: f64, step: f64, before: PageCount, assigned: PageCount, counts: bool) {
        let seen = &mut self.outcome;
        seen.on_s += step;
        seen.most_mb = seen.most_mb.max(assigned.mib());
        self.assigned_s += assigned.mib() * step;
        if !self.settings.dynamic || !counts {
            // Its guest reports nothing: whether static memory suffices is not the balancer's matter.
            return;
        }
        let (late, lacking) =
            (self.demand.saturating_sub(before).mib(), self.demand.saturating_sub(assigned).mib());
        let short = if lacking > 0.0 {
            step
        } else if late > 0.0 {
            REACTION_S.min(step)
        } else {
            0.0
        };
        if short == 0.0 {
            self.short_since = None;
            return;
        }
        seen.short_s += short;
        let since = *self.short_since.get_or_insert(now);
        let length = now - since + short;
        if length > seen.longest_s {
            (seen.longest_s, seen.longest_at_s) = (length, since);
        }
        if late > seen.most_lacking.0 {
            seen.most_lacking = (late, now);
        }
        if lacking == 0.0 {
            self.short_since = None;
        }
    }
}

/// What is demanded at a time after the sample at this place and no later than the next one, on the straight line between the two.
fn value_at(samples: &[Sample], place: usize, time: Duration) -> PageCount {
    match (samples.get(place), samples.get(place + 1)) {
        (Some(before), Some(next)) if time >= before.time => {
            let share = (time - before.time).as_secs_f64() / (next.time - before.time).as_secs_f64();
            let (a, b) = (before.used.get() as f64, next.used.get() as f64);
            PageCount((a + (b - a) * share) as u64)
        }
        (Some(only), _) => only.used,
        (None, _) => PageCount::ZERO,
    }
}

/// Time between two rounds. The same for all hosts of a load, whatever VMs they have: what a VM lacks is held against what it lacks on a host with
/// memory for all, which would be something else in other steps.
pub(crate) fn step(fleet: &Fleet) -> Duration {
    let rounds = fleet.length().as_secs() * fleet.vms.len() as u64;
    Duration::from_secs(rounds.div_ceil(MOST_ROUNDS).clamp(1, LONGEST_STEP_S))
}

/// Time between two rounds while a host has plenty.
fn coarse(step: Duration) -> Duration {
    if step < Duration::from_secs(COARSE_STEP_S) {
        return step;
    }
    (step * COARSER).min(Duration::from_secs(COARSEST_STEP_S)).max(step)
}

/// Runs a host.
pub(crate) fn run(fleet: &Fleet, job: &Job, progress: Progress<'_>) -> Result<HostOutcome, SizingError> {
    let fine = step(fleet);
    run_in(fleet, job, (fine, coarse(fine)), progress)
}

/// Runs a host in steps of these lengths: while memory is tight, and while it is plenty.
fn run_in(
    fleet: &Fleet,
    job: &Job,
    (fine, coarse): (Duration, Duration),
    progress: Progress<'_>,
) -> Result<HostOutcome, SizingError> {
    let plan = &fleet.plans[job.seed % fleet.plans.len()];
    let fail =
        |error: RunError| SizingError::Run { memory: job.memory, vms: job.vms.len(), error: Box::new(error) };
    let mut policy =
        policy_catalogue::make(&plan.policy, &plan.policy_parameters).map_err(|error| fail(error.into()))?;
    let reserve = plan.host.memory_reserve.unwrap_or_else(|| BalancerConfig::default_reserve(job.memory));
    let overhead = plan.host.balancer.overhead_per_vm;
    let for_vms = job.memory.saturating_sub(reserve);
    let mut vms: Vec<Vm> = job
        .vms
        .iter()
        .map(|vm| Vm {
            settings: fleet.vms[*vm].settings,
            curve: fleet.curves[*vm].clone(),
            place: 0,
            running: false,
            outcome: VmOutcome::default(),
            short_since: None,
            assigned_s: 0.0,
            demand: PageCount::ZERO,
        })
        .collect();
    let minimum_move = plan.host.balancer.minimum_move;
    let length = fleet.length().max(fine);
    let every = fine.max(length / SERIES_POINTS);
    let (mut now, mut step) = (Duration::ZERO, fine);
    let (mut next_point, mut untold_s) = (Duration::ZERO, 0);
    let mut views: Vec<VmView> = Vec::new();
    // Place in `vms` of each view.
    let mut places: Vec<usize> = Vec::new();
    let mut targets: Vec<Target> = Vec::new();
    let mut proposal = Proposal::default();
    let mut free = for_vms;
    let (mut series, mut most_demand, mut least_free) = (Series::default(), 0.0_f64, f64::INFINITY);
    let mut order: Vec<usize> = Vec::new();
    let mut granted = 0.0_f64;
    let mut ended_early = false;
    let counts_from_s = fleet.warm_up_s();
    while now <= length {
        let at = now.as_secs_f64();
        let seconds = step.as_secs_f64();
        let rate = PageCount((RATE_MIB * seconds * 256.0) as u64);
        // Starts, in their order: each as soon as there is memory.
        for (place, vm) in vms.iter_mut().enumerate() {
            if vm.running {
                continue;
            }
            let needed = vm.settings.startup + overhead;
            let Some(left) = free.checked_sub(needed) else { break };
            free = left;
            vm.running = true;
            vm.outcome.started = true;
            let id = VmId(u32::try_from(place).unwrap_or(u32::MAX));
            let view = VmView::new(id, vm.settings).with(|view| view.started_at = now);
            let after = places.partition_point(|other| *other < place);
            places.insert(after, place);
            targets.insert(after, Target { pages: view.assigned, reason: Reason::new("start") });
            views.insert(after, view);
        }
        for (view, place) in views.iter_mut().zip(&places) {
            let vm = &mut vms[*place];
            vm.demand = vm.demand_at(now);
            if vm.settings.dynamic && vm.curve.is_some() {
                let available = view.assigned.saturating_sub(vm.demand);
                view.history.push(
                    now,
                    GuestStatus::default().with(|status| {
                        (status.demand, status.commit) = (vm.demand, vm.demand);
                        (status.available, status.free) = (available, available);
                    }),
                );
            }
        }
        let running = PageCount(overhead.get() * views.len() as u64);
        let capacity = for_vms.saturating_sub(running);
        let host = HostView::new(capacity, free).with(|host| {
            host.now = now;
            (host.total, host.reserve, host.overhead) = (job.memory, reserve, running);
            host.grant_rate = granted / seconds;
            host.lead_time = Duration::from_secs_f64(REACTION_S);
            host.minimum_move = minimum_move;
        });
        proposal.begin_with(std::mem::take(&mut targets));
        policy.round(&host, &views, &mut proposal);
        let before: Vec<PageCount> = views.iter().map(|view| view.assigned).collect();
        // What shrinks comes first.
        for (view, target) in views.iter_mut().zip(proposal.targets()) {
            let pages = view.reachable(target.pages).max(view.assigned.saturating_sub(rate));
            if pages.get().saturating_add(minimum_move.get()) <= view.assigned.get() {
                free += view.assigned.saturating_sub(pages);
                view.assigned = pages;
            }
        }
        order.clear();
        order.extend(0..views.len());
        if policy.uses_priority() {
            order.sort_by_key(|index| core::cmp::Reverse(views[*index].settings.weight));
        }
        let had = free;
        for index in &order {
            let view = &mut views[*index];
            let pages = view.reachable(proposal.target(*index).pages).min(view.assigned.saturating_add(rate));
            let more = pages.saturating_sub(view.assigned).min(free);
            if more >= minimum_move || (!more.is_zero() && view.assigned + more == view.settings.maximum) {
                free = free.saturating_sub(more);
                view.assigned += more;
            }
        }
        granted = had.saturating_sub(free).get() as f64;
        targets = proposal.take_targets();
        let (mut all, mut assigned) = (0.0, 0.0);
        for ((view, place), before) in views.iter().zip(&places).zip(before) {
            let vm = &mut vms[*place];
            vm.watch(at, seconds, before, view.assigned, at >= counts_from_s);
            all += vm.demand.mib();
            assigned += view.assigned.mib();
        }
        if vms.iter().any(|vm| vm.outcome.longest_s > job.hopeless_s) {
            ended_early = true;
            break;
        }
        most_demand = most_demand.max(all);
        least_free = least_free.min(free.mib());
        if now >= next_point {
            next_point += every;
            series.time_s.push(at);
            series.demand_mb.push(most_demand);
            series.assigned_mb.push(assigned);
            series.capacity_mb.push(capacity.mib());
            most_demand = 0.0;
        }
        untold_s += step.as_secs();
        if untold_s >= TOLD_EVERY_S {
            progress(untold_s * vms.len() as u64);
            untold_s = 0;
        }
        let plenty = views.len() == vms.len()
            && free.get() as f64 >= capacity.get() as f64 * PLENTY
            && views.iter().zip(&places).all(|(view, place)| {
                !view.settings.dynamic || vms[*place].most_until(now + coarse) <= view.assigned
            });
        step = if plenty { coarse } else { fine };
        now += step;
    }
    progress(untold_s * vms.len() as u64);
    let outcomes = vms.into_iter().map(|mut vm| {
        vm.outcome.mean_mb = if vm.outcome.on_s > 0.0 { vm.assigned_s / vm.outcome.on_s } else { 0.0 };
        vm.outcome
    });
    Ok(HostOutcome {
        slowest_start_s: 0.0,
        vms: outcomes.collect(),
        series,
        least_available_mb: least_free,
        demand: Vec::new(),
        ended_early,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{an_hour_of_three_vms as fleet, hours_of_three_vms, hours_of_three_vms_and_a_jump};
    use crate::job::Engine;
    use crate::simulate::run_all;

    fn longest(fleet: &Fleet, engine: Engine, mib: u64) -> f64 {
        let job = Job::of(PageCount::from_mib(mib), vec![0, 1, 2]);
        let outcome = run_all(fleet, engine, &[job], 1, &|_| ()).unwrap().remove(0);
        assert!(outcome.vms.iter().all(|vm| vm.started));
        outcome.vms.iter().map(|vm| vm.longest_s).fold(0.0, f64::max)
    }

    #[test]
    fn it_agrees_with_full_runs_where_memory_is_plenty_and_where_it_is_missing() {
        let fleet = fleet();
        // 5.4 GB are demanded at most, and the host needs half a GB itself.
        for (mib, short) in [(16_384, false), (7_168, false), (5_120, true), (4_608, true)] {
            let (fast, full) = (longest(&fleet, Engine::Fast, mib), longest(&fleet, Engine::Full, mib));
            assert_eq!((fast > 120.0, full > 120.0), (short, short), "{mib} MB: {fast} s, {full} s");
        }
    }

    /// A month, of which all but half an hour has memory to spare: that half hour is looked at as closely as before.
    #[test]
    fn long_steps_where_memory_is_plenty_miss_no_shortage() {
        let month = hours_of_three_vms(700);
        let fine = step(&month);
        assert!(coarse(fine) >= fine * 8, "{fine:?}");
        let longest = |mib, coarse| {
            let job = Job::of(PageCount::from_mib(mib), vec![0, 1, 2]);
            let outcome = run_in(&month, &job, (fine, coarse), &|_| ()).unwrap();
            outcome.vms.iter().map(|vm| vm.longest_s).fold(0.0, f64::max)
        };
        for mib in [16_384, 5_120, 4_608] {
            let (close, long) = (longest(mib, fine), longest(mib, coarse(fine)));
            assert!((close - long).abs() <= 2.0 * fine.as_secs_f64(), "{mib} MB: {close} s, {long} s");
            assert_eq!(long > 120.0, mib < 6_000, "{mib} MB: {long} s");
        }
    }

    /// What a VM lacks where there is memory for all is what it is held against on hosts with fewer VMs.
    #[test]
    fn a_vm_lacks_the_same_alone_and_among_others_where_memory_is_for_all() {
        let month = hours_of_three_vms_and_a_jump(700);
        let lacked = |vms: Vec<usize>| -> Vec<(f64, f64)> {
            let memory = month.ample(vms.iter().copied());
            let outcome = run(&month, &Job::of(memory, vms), &|_| ()).unwrap();
            outcome.vms.iter().map(|vm| (vm.longest_s, vm.short_s)).collect()
        };
        let alone: Vec<(f64, f64)> = (0..3).flat_map(|vm| lacked(vec![vm])).collect();
        assert_eq!(lacked(vec![0, 1, 2]), alone);
        assert!(alone.iter().any(|vm| vm.1 > 0.0), "{alone:?}");
    }

    #[test]
    fn what_is_given_was_there() {
        let fleet = fleet();
        let memory = PageCount::from_mib(5_120);
        let job = Job { keep_demand: true, ..Job::of(memory, vec![0, 1, 2]) };
        let outcome = run(&fleet, &job, &|_| ()).unwrap();
        let series = &outcome.series;
        assert!(
            series
                .assigned_mb
                .iter()
                .zip(&series.capacity_mb)
                .all(|(assigned, capacity)| assigned <= capacity)
        );
        // All three at their most.
        assert!(series.demand_mb.iter().any(|mb| (*mb - 5400.0).abs() < 10.0), "{:?}", series.demand_mb);
    }
}
