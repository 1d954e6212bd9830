//! All runs of a comparison, on all processors.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use component_runtime::Driver;
use parking_lot::Mutex;
use run_journal::EventsLevel;

use super::catalogue::Values;
use super::collector::{Collector, Progress, Series};
use super::plans;
use super::timed::{Clock, RoundBegan, Timed, Timing};
use super::{CompareError, Settings};
use scenario::run::{self, RunOptions};

/// How far a comparison is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Advance {
    /// VM seconds of virtual time that have run.
    pub done: u64,
    /// VM seconds of virtual time in all.
    pub all: u64,
    /// Runs that have ended.
    pub runs: usize,
    /// Runs in all.
    pub all_runs: usize,
}

/// One run: a load, a seed, and a contestant, or none for the well-provisioned host.
#[derive(Clone, Copy, Debug)]
struct Job {
    load: usize,
    seed: usize,
    contestant: Option<usize>,
    cost: u64,
}

/// What came of a job.
struct Done {
    job: Job,
    result: Result<Ran, CompareError>,
}

/// A run, still to be held against its well-provisioned one.
struct Ran {
    collector: Collector,
}

/// What was measured, by load, seed and contestant.
pub(crate) struct Measured {
    pub(crate) values: Vec<Vec<Vec<Values>>>,
    /// How often each VM was served, by load, seed and contestant.
    pub(crate) served: Vec<Vec<Vec<Vec<u32>>>>,
    /// Of the first seed, by load and contestant.
    pub(crate) series: Vec<Vec<Series>>,
    /// By contestant.
    pub(crate) timings: Vec<Arc<Timing>>,
}

/// What all threads share.
struct Shared {
    settings: Settings,
    jobs: Vec<Job>,
    next: AtomicUsize,
    done: AtomicU64,
    timings: Vec<Arc<Timing>>,
    clock: Clock,
}

/// One thread's runs, as the others see them.
#[derive(Default)]
struct Lane {
    job: Mutex<Option<Job>>,
    began: Arc<RoundBegan>,
}

/// Runs everything.
pub(crate) fn run_all(
    settings: &Settings,
    progress: &mut dyn FnMut(Advance),
) -> Result<Measured, CompareError> {
    let jobs = jobs(settings)?;
    let all: u64 = jobs.iter().map(|job| job.cost).sum();
    let all_runs = jobs.len();
    let threads = settings.threads.clamp(1, all_runs.max(1));
    let shared = Arc::new(Shared {
        timings: settings.contestants.iter().map(|_| Arc::default()).collect(),
        settings: settings.clone(),
        jobs,
        next: AtomicUsize::new(0),
        done: AtomicU64::new(0),
        clock: Clock::start(),
    });
    let lanes: Vec<Arc<Lane>> = (0..threads).map(|_| Arc::default()).collect();
    let (send, receive) = mpsc::channel();
    for (number, lane) in lanes.iter().enumerate() {
        let (shared, lane, send) = (Arc::clone(&shared), Arc::clone(lane), send.clone());
        // The thread is not joined: a thread that hangs in a policy would never end.
        std::thread::Builder::new()
            .name(format!("compare-{number}"))
            .spawn(move || work(&shared, &lane, &send))
            .map_err(CompareError::Thread)?;
    }
    drop(send);
    let mut results: Vec<(Job, Ran)> = Vec::with_capacity(all_runs);
    while results.len() < all_runs {
        match receive.recv_timeout(Duration::from_millis(100)) {
            Ok(Done { job, result }) => results.push((job, result?)),
            Err(RecvTimeoutError::Timeout) => find_endless(&shared, &lanes)?,
            Err(RecvTimeoutError::Disconnected) => break,
        }
        let done = shared.done.load(Ordering::Relaxed).min(all);
        progress(Advance { done, all, runs: results.len(), all_runs });
    }
    Ok(measured(settings, results, shared.timings.clone()))
}

/// All jobs, the longest first: so that the threads end together.
fn jobs(settings: &Settings) -> Result<Vec<Job>, CompareError> {
    let mut jobs = Vec::new();
    for (load, scenario) in settings.loads.iter().enumerate() {
        let until = settings.choices.until.unwrap_or(scenario.until);
        let cost = until.as_secs() * scenario.vms.len() as u64;
        // What cannot be planned is said before anything runs.
        plans::plan(scenario, settings.seeds[0], &settings.choices)
            .map_err(|error| CompareError::run(&scenario.name, settings.seeds[0], "no policy", error))?;
        for seed in 0..settings.seeds.len() {
            let contestants = (0..settings.contestants.len()).map(Some).chain([None]);
            jobs.extend(contestants.map(|contestant| Job { load, seed, contestant, cost }));
        }
    }
    jobs.sort_by_key(|job| std::cmp::Reverse(job.cost));
    Ok(jobs)
}

fn work(shared: &Arc<Shared>, lane: &Lane, send: &mpsc::Sender<Done>) {
    while let Some(&job) = shared.jobs.get(shared.next.fetch_add(1, Ordering::Relaxed)) {
        *lane.job.lock() = Some(job);
        // A defect of the runner is an error of the comparison, not a thread that is silently gone.
        let result = catch_unwind(AssertUnwindSafe(|| run_one(shared, lane, job))).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("(no message)");
            Err(shared.error(job, run::RunError::Invariant(format!("panicked: {text}"))))
        });
        if send.send(Done { job, result }).is_err() {
            return;
        }
    }
}

impl Shared {
    fn error(&self, job: Job, error: run::RunError) -> CompareError {
        let settings = &self.settings;
        let who = job.contestant.map_or("no policy", |contestant| settings.contestants[contestant].name());
        CompareError::run(&settings.loads[job.load].name, settings.seeds[job.seed], who, error)
    }
}

fn run_one(shared: &Arc<Shared>, lane: &Lane, job: Job) -> Result<Ran, CompareError> {
    let settings = &shared.settings;
    let fail = |error| shared.error(job, error);
    let plan =
        plans::plan(&settings.loads[job.load], settings.seeds[job.seed], &settings.choices).map_err(fail)?;
    let (plan, policy) = match job.contestant {
        None => {
            let policy = policy_catalogue::make(policy_catalogue::STATIC, &toml::Table::new());
            (plans::well_provisioned(plan), policy.map_err(|error| fail(error.into()))?)
        }
        Some(index) => {
            let contestant = &settings.contestants[index];
            let plan = if contestant.has_static_memory() { plans::with_static_memory(plan) } else { plan };
            let timed = Timed {
                policy: contestant.make(),
                timing: Arc::clone(&shared.timings[index]),
                began: Arc::clone(&lane.began),
                clock: shared.clock,
            };
            (plan, Box::new(timed) as _)
        }
    };
    let series = job.seed == 0 && job.contestant.is_some();
    let collector = Arc::new(Mutex::new(Collector::new(&plan, series)));
    let options = RunOptions {
        driver: Driver::Inline,
        events: EventsLevel::None,
        observer: Some({
            let collector = Arc::clone(&collector);
            Box::new(move |point| {
                collector.lock().observe(point);
                ControlFlow::Continue(())
            })
        }),
        progress: Some({
            let (shared, vms) = (Arc::clone(shared), plan.vms.len() as u64);
            let told = AtomicU64::new(0);
            Arc::new(move |now: Duration| {
                let before = told.swap(now.as_secs(), Ordering::Relaxed);
                shared.done.fetch_add((now.as_secs() - before) * vms, Ordering::Relaxed);
            })
        }),
        ..RunOptions::default()
    };
    run::run_with_policy(plan, options, policy).map_err(fail)?;
    let collector = Arc::try_unwrap(collector)
        .map_err(|_| fail(run::RunError::Invariant("the run is over and its sampler is not".to_owned())))?;
    Ok(Ran { collector: collector.into_inner() })
}

/// Whether a thread's policy has been in one round for too long.
fn find_endless(shared: &Shared, lanes: &[Arc<Lane>]) -> Result<(), CompareError> {
    let now = shared.clock.now_ns();
    for lane in lanes {
        let began = lane.began.0.load(Ordering::Relaxed);
        if began == 0 || Duration::from_nanos(now.saturating_sub(began)) < shared.settings.patience {
            continue;
        }
        if let Some(job) = *lane.job.lock()
            && let Some(contestant) = job.contestant
        {
            return Err(CompareError::Endless {
                policy: shared.settings.contestants[contestant].name().to_owned(),
                load: shared.settings.loads[job.load].name.clone(),
                seed: shared.settings.seeds[job.seed],
                patience: shared.settings.patience,
            });
        }
    }
    Ok(())
}

fn measured(settings: &Settings, results: Vec<(Job, Ran)>, timings: Vec<Arc<Timing>>) -> Measured {
    let (loads, seeds, contestants) =
        (settings.loads.len(), settings.seeds.len(), settings.contestants.len());
    let mut provisioned: Vec<Vec<Option<Progress>>> = vec![vec![None; seeds]; loads];
    let mut ran = Vec::new();
    for (job, Ran { collector }) in results {
        match job.contestant {
            None => provisioned[job.load][job.seed] = Some(collector.progress()),
            Some(contestant) => ran.push((job, contestant, collector)),
        }
    }
    let nothing: Values = [None; super::catalogue::COUNT];
    let mut values = vec![vec![vec![nothing; contestants]; seeds]; loads];
    let mut served = vec![vec![vec![Vec::new(); contestants]; seeds]; loads];
    let mut series = vec![vec![Series::default(); contestants]; loads];
    for (job, contestant, collector) in ran {
        let progress = provisioned[job.load][job.seed].as_ref();
        served[job.load][job.seed][contestant] = collector.served();
        let (measured, drawn) = collector.finish(progress.unwrap_or(&Vec::new()));
        values[job.load][job.seed][contestant] = measured;
        if let Some(drawn) = drawn {
            series[job.load][contestant] = drawn;
        }
    }
    Measured { values, served, series, timings }
}
