//! Runs of hosts, on all processors.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use component_runtime::Driver;
use run_journal::EventsLevel;
use scenario::run::{self, RunOptions};

use crate::fleet::Fleet;
use crate::job::{Engine, Job};
use crate::measure::{HostOutcome, Watcher};
use crate::{Progress, SizingError, fast};

/// Runs jobs; the outcomes are in their order.
pub(crate) fn run_all(
    fleet: &Fleet,
    engine: Engine,
    jobs: &[Job],
    threads: usize,
    progress: Progress<'_>,
) -> Result<Vec<HostOutcome>, SizingError> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<Option<Result<HostOutcome, SizingError>>>> =
        Mutex::new(jobs.iter().map(|_| None).collect());
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, jobs.len().max(1)) {
            scope.spawn(|| {
                while let Some((index, job)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    jobs.get(index).map(|job| (index, job))
                } {
                    let outcome = run_one(fleet, engine, job, progress);
                    if let Some(place) = done.lock().unwrap_or_else(PoisonError::into_inner).get_mut(index) {
                        *place = Some(outcome);
                    }
                }
            });
        }
    });
    let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.into_iter().flatten().collect()
}

/// Runs a job on this thread.
///
/// # Errors
/// As [`run_all()`].
pub(crate) fn run_one(
    fleet: &Fleet,
    engine: Engine,
    job: &Job,
    progress: Progress<'_>,
) -> Result<HostOutcome, SizingError> {
    if job.vms.is_empty() {
        return Ok(HostOutcome::default());
    }
    if engine == Engine::Fast {
        return fast::run(fleet, job, progress);
    }
    let plan = fleet.plan(job);
    let count = plan.vms.len();
    let fails_at_s = if job.arrive.is_empty() { 0.0 } else { fleet.worst_moment_s() };
    let mut counts_from_s = vec![fleet.warm_up_s(); count];
    for place in &job.arrive {
        if let Some(from) = counts_from_s.get_mut(*place) {
            *from = fails_at_s;
        }
    }
    let watcher = Arc::new(Mutex::new(Watcher::new(
        count,
        plan.until,
        plan.sample_interval,
        job.vms.iter().map(|vm| job.keep_demand && fleet.curves[*vm].is_none()).collect(),
        job.hopeless_s,
        counts_from_s,
    )));
    let told = AtomicU64::new(0);
    // The callback of a run lives as long as the run; progress is told in between by what it counts.
    let watched = Arc::clone(&watcher);
    let seen = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&seen);
    let options = RunOptions {
        driver: Driver::Inline,
        events: EventsLevel::None,
        observer: Some(Box::new(move |point| {
            counted.store(point.time.as_secs(), Ordering::Relaxed);
            if watched.lock().unwrap_or_else(PoisonError::into_inner).observe(point) {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break("a VM has been short for too long".to_owned())
            }
        })),
        ..RunOptions::default()
    };
    let over = AtomicBool::new(false);
    let ended = std::thread::scope(|scope| {
        let over = &over;
        let tell = || {
            let now = seen.load(Ordering::Relaxed);
            let before = told.swap(now, Ordering::Relaxed);
            progress(now.saturating_sub(before) * count as u64);
        };
        let teller = scope.spawn(move || {
            while !over.load(Ordering::Relaxed) {
                std::thread::park_timeout(Duration::from_millis(200));
                tell();
            }
        });
        let ended = run::run(plan, options);
        over.store(true, Ordering::Relaxed);
        teller.thread().unpark();
        ended
    });
    ended.map_err(|error| SizingError::Run { memory: job.memory, vms: count, error: Box::new(error) })?;
    let watcher = Arc::try_unwrap(watcher).map_err(|_| {
        let what = "the run is over and its sampler is not".to_owned();
        SizingError::Run { memory: job.memory, vms: count, error: Box::new(run::RunError::Invariant(what)) }
    })?;
    let mut outcome = watcher.into_inner().unwrap_or_else(PoisonError::into_inner).finish();
    for place in &job.arrive {
        if let Some(vm) = outcome.vms.get(*place).filter(|vm| vm.started) {
            outcome.slowest_start_s = outcome.slowest_start_s.max(vm.started_at_s - fails_at_s);
        }
    }
    if !job.arrive.is_empty() {
        outcome.vms.iter_mut().for_each(|vm| vm.after_failure = vm.longest_at_s >= fails_at_s || !vm.started);
    }
    Ok(outcome)
}
