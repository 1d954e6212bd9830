//! All runs of a comparison, on all processors of one machine.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use component_runtime::Driver;
use parking_lot::Mutex;
use run_journal::EventsLevel;
use sweep::parallel::{News, watched};

use super::catalogue::{COUNT, Values};
use super::collector::{Collector, Progress, Series};
use super::plans;
use super::row::Row;
use super::timed::{Clock, RoundBegan, Timed, Timing};
use super::{CompareError, Contestant, Settings};
use scenario::file::Scenario;
use scenario::run::{self, Choices, RunError, RunOptions};

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
pub(crate) struct Job {
    pub(crate) load: usize,
    pub(crate) seed: usize,
    pub(crate) contestant: Option<usize>,
    /// VM seconds of virtual time.
    pub(crate) cost: u64,
}

/// What was measured, by load, seed and contestant.
pub(crate) struct Measured {
    pub(crate) values: Vec<Vec<Vec<Values>>>,
    /// How often each VM was served, by load, seed and contestant.
    pub(crate) served: Vec<Vec<Vec<Vec<u32>>>>,
    /// Of the first seed, by load and contestant.
    pub(crate) series: Vec<Vec<Series>>,
    /// Rounds that were lost, by contestant.
    pub(crate) lost_rounds: Vec<u64>,
    /// By contestant, as far as this machine has run them.
    pub(crate) timings: Vec<Arc<Timing>>,
}

/// What all threads share.
struct Shared {
    settings: Settings,
    jobs: Vec<Job>,
    done: Arc<AtomicU64>,
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
    let mut jobs = jobs(settings)?;
    // The longest first: so that the threads end together.
    jobs.sort_by_key(|job| std::cmp::Reverse(job.cost));
    let all: u64 = jobs.iter().map(|job| job.cost).sum();
    let all_runs = jobs.len();
    let shared = Arc::new(Shared {
        timings: settings.contestants.iter().map(|_| Arc::default()).collect(),
        settings: settings.clone(),
        jobs,
        done: Arc::default(),
        clock: Clock::start(),
    });
    let threads = settings.threads.clamp(1, all_runs.max(1));
    let lanes: Arc<[Lane]> = (0..threads).map(|_| Lane::default()).collect();
    let work = {
        let (shared, lanes) = (Arc::clone(&shared), Arc::clone(&lanes));
        move |lane: usize, place: usize| work(&shared, &lanes[lane], shared.jobs[place])
    };
    let mut joined = Joined::new(settings);
    let mut runs = 0;
    let end = watched(all_runs, threads, work, |news| {
        let checked = match news {
            News::Done(place, row) => row.map(|row| {
                runs += 1;
                joined.add(shared.jobs[place], row);
            }),
            News::None => find_endless(&shared, &lanes),
        };
        if let Err(error) = checked {
            return ControlFlow::Break(error);
        }
        let done = shared.done.load(Ordering::Relaxed).min(all);
        progress(Advance { done, all, runs, all_runs });
        ControlFlow::Continue(())
    });
    match end.map_err(CompareError::Thread)? {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(joined.measured(shared.timings.clone())),
    }
}

/// All jobs, in the order of loads, seeds and contestants, the well-provisioned run last.
pub(crate) fn jobs(settings: &Settings) -> Result<Vec<Job>, CompareError> {
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
    Ok(jobs)
}

fn work(shared: &Shared, lane: &Lane, job: Job) -> Result<Row, CompareError> {
    *lane.job.lock() = Some(job);
    let settings = &shared.settings;
    let timing = Arc::<Timing>::default();
    let measuring = Measuring {
        timing: Arc::clone(&timing),
        began: Arc::clone(&lane.began),
        clock: shared.clock,
        done: Arc::clone(&shared.done),
    };
    let (load, seed) = (&settings.loads[job.load], settings.seeds[job.seed]);
    let contestant = job.contestant.map(|contestant| &settings.contestants[contestant]);
    // A defect of the runner is an error of the comparison, not a thread that is silently gone.
    let run = || run_one(load, seed, &settings.choices, contestant, &measuring);
    let row = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("(no message)");
        Err(RunError::Invariant(format!("panicked: {text}")))
    });
    if let Some(contestant) = job.contestant {
        shared.timings[contestant].take(&timing);
    }
    let invariant = |why: String| RunError::Invariant(format!("a row is not what was written: {why}"));
    row.and_then(|row| {
        let text = row.text().map_err(|error| invariant(error.to_string()))?;
        Row::read(&text, load.vms.len()).map_err(invariant)
    })
    .map_err(|error| {
        let who = contestant.map_or("no policy", Contestant::name);
        CompareError::run(&load.name, seed, who, error)
    })
}

/// What is watched of a run while it lasts.
pub(crate) struct Measuring {
    /// What the policy's rounds cost.
    pub(crate) timing: Arc<Timing>,
    /// When the policy began the round that it is in.
    pub(crate) began: Arc<RoundBegan>,
    pub(crate) clock: Clock,
    /// VM seconds of virtual time, counted up.
    pub(crate) done: Arc<AtomicU64>,
}

/// One run: a load with a seed under a contestant, or on the well-provisioned host.
pub(crate) fn run_one(
    load: &Scenario,
    seed: u64,
    choices: &Choices,
    contestant: Option<&Contestant>,
    measuring: &Measuring,
) -> Result<Row, RunError> {
    let plan = plans::plan(load, seed, choices)?;
    let (plan, policy) = match contestant {
        None => {
            let policy = policy_catalogue::make(policy_catalogue::STATIC, &toml::Table::new())?;
            (plans::well_provisioned(plan), policy)
        }
        Some(contestant) => {
            let plan = if contestant.has_static_memory() { plans::with_static_memory(plan) } else { plan };
            let timed = Timed {
                policy: contestant.make(),
                timing: Arc::clone(&measuring.timing),
                began: Arc::clone(&measuring.began),
                clock: measuring.clock,
            };
            (plan, Box::new(timed) as _)
        }
    };
    let collector = Arc::new(Mutex::new(Collector::new(&plan, true)));
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
            let (done, vms) = (Arc::clone(&measuring.done), plan.vms.len() as u64);
            let told = AtomicU64::new(0);
            Arc::new(move |now: Duration| {
                let before = told.swap(now.as_secs(), Ordering::Relaxed);
                done.fetch_add((now.as_secs() - before) * vms, Ordering::Relaxed);
            })
        }),
        ..RunOptions::default()
    };
    run::run_with_policy(plan, options, policy)?;
    let collector = Arc::try_unwrap(collector)
        .map_err(|_| RunError::Invariant("the run is over and its sampler is not".to_owned()))?
        .into_inner();
    Ok(Row { collector, lost_rounds: measuring.timing.lost.load(Ordering::Relaxed) })
}

/// Whether a thread's policy has been in one round for too long.
fn find_endless(shared: &Shared, lanes: &[Lane]) -> Result<(), CompareError> {
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

/// Rows put together, in whatever order they come.
pub(crate) struct Joined {
    loads: usize,
    seeds: usize,
    contestants: usize,
    rows: Vec<(Job, Row)>,
}

impl Joined {
    pub(crate) fn new(settings: &Settings) -> Self {
        let (loads, seeds) = (settings.loads.len(), settings.seeds.len());
        Self { loads, seeds, contestants: settings.contestants.len(), rows: Vec::new() }
    }

    /// Adds the row of a job.
    pub(crate) fn add(&mut self, job: Job, mut row: Row) {
        // Figures show the first seed.
        if job.seed > 0 || job.contestant.is_none() {
            row.collector.forget_series();
        }
        self.rows.push((job, row));
    }

    /// Everything that was measured, each run held against its well-provisioned one.
    pub(crate) fn measured(self, timings: Vec<Arc<Timing>>) -> Measured {
        let Self { loads, seeds, contestants, rows } = self;
        let mut provisioned: Vec<Vec<Option<Progress>>> = vec![vec![None; seeds]; loads];
        let mut ran = Vec::new();
        for (job, Row { collector, lost_rounds }) in rows {
            match job.contestant {
                None => provisioned[job.load][job.seed] = Some(collector.progress()),
                Some(contestant) => ran.push((job, contestant, collector, lost_rounds)),
            }
        }
        let nothing: Values = [None; COUNT];
        let mut values = vec![vec![vec![nothing; contestants]; seeds]; loads];
        let mut served = vec![vec![vec![Vec::new(); contestants]; seeds]; loads];
        let mut series = vec![vec![Series::default(); contestants]; loads];
        let mut lost = vec![0; contestants];
        for (job, contestant, collector, lost_rounds) in ran {
            let progress = provisioned[job.load][job.seed].as_ref();
            served[job.load][job.seed][contestant] = collector.served();
            let (measured, drawn) = collector.finish(progress.unwrap_or(&Vec::new()));
            values[job.load][job.seed][contestant] = measured;
            lost[contestant] += lost_rounds;
            if let Some(drawn) = drawn {
                series[job.load][contestant] = drawn;
            }
        }
        Measured { values, served, series, lost_rounds: lost, timings }
    }
}
