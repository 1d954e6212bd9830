//! All runs of a comparison, on all processors of one machine.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use balancing_policy::{HostView, Policy, PressureBand, Proposal, VmView};
use component_runtime::Driver;
use parking_lot::Mutex;
use run_journal::EventsLevel;
use sweep::parallel::{News, watched};

use super::bound::{FluidRun, FrontPoint};
use super::collector::{Collector, Progress, Series, Which};
use super::contestant::Bounds;
use super::measured::{Measured, Pair};
use super::plans;
use super::regret::{OfPolicy, SeedRegret};
use super::row::{Best, Row};
use super::timed::{Clock, RoundBegan, Timed, Timing};
use super::{CompareError, Contestant, Settings};
use scenario::file::Scenario;
use scenario::run::future::Foresight;
use scenario::run::{self, Choices, Plan, Point, RunError, RunOptions};

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

/// What is run of a load with a seed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ran<'a> {
    /// A policy on the host as it is.
    Contestant(&'a Contestant),
    /// A host that has enough for all; and then, if regret is asked for, the host as it is under the policy that is told what was seen there.
    WellProvisioned { regret: bool },
}

/// A row, and what of it takes a while to compute.
pub(crate) struct Weighed {
    row: Row,
    front: Vec<FrontPoint>,
}

impl Weighed {
    /// The front is computed if it is wanted.
    pub(crate) fn new(job: Job, row: Row, front: bool) -> Self {
        // Figures show the first seed.
        let best = row.best.as_ref().filter(|_| front && job.seed == 0);
        Self { front: best.map_or_else(Vec::new, Best::front), row }
    }
}

/// A policy that has been told the future already.
struct Told(Box<dyn Policy>);

impl Policy for Told {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn uses_priority(&self) -> bool {
        self.0.uses_priority()
    }

    fn interval(&self) -> Duration {
        self.0.interval()
    }

    fn round(&mut self, host: &HostView<'_>, vms: &[VmView], proposal: &mut Proposal) {
        self.0.round(host, vms, proposal);
    }

    fn band(&self, vm: &VmView) -> PressureBand {
        self.0.band(vm)
    }
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
        ControlFlow::Continue(()) => Ok(joined.measured(settings, shared.timings.clone())),
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
            jobs.extend(contestants.map(|contestant| {
                // The policy that is told the future runs after the run that tells it.
                let runs = 1 + u64::from(contestant.is_none() && settings.regret);
                Job { load, seed, contestant, cost: runs * cost }
            }));
        }
    }
    Ok(jobs)
}

fn work(shared: &Shared, lane: &Lane, job: Job) -> Result<Weighed, CompareError> {
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
    let ran = contestant.map_or(Ran::WellProvisioned { regret: settings.regret }, Ran::Contestant);
    // A defect of the runner is an error of the comparison, not a thread that is silently gone.
    let run = || run_one(load, seed, &settings.choices, ran, &measuring);
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
    .map(|row| Weighed::new(job, row, cfg!(feature = "bound")))
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

/// Runs a load with a seed.
pub(crate) fn run_one(
    load: &Scenario,
    seed: u64,
    choices: &Choices,
    ran: Ran<'_>,
    measuring: &Measuring,
) -> Result<Row, RunError> {
    let plan = plans::plan(load, seed, choices)?;
    let Ran::Contestant(contestant) = ran else { return run_reference(plan, ran, measuring) };
    let plan = match contestant.bounds() {
        Bounds::AsTheyAre => plan,
        Bounds::Static => plans::with_static_memory(plan),
        Bounds::Server2012 => plans::with_minimum_below_startup(plan, policy_catalogue::SERVER_2012_MINIMUM),
    };
    let timed = Timed {
        policy: contestant.make(),
        timing: Arc::clone(&measuring.timing),
        began: Arc::clone(&measuring.began),
        clock: measuring.clock,
    };
    let collector = Collector::new(&plan, true);
    let collector = looked_at(plan, Box::new(timed), measuring, collector, Collector::observe)?;
    let lost_rounds = measuring.timing.lost.load(Ordering::Relaxed);
    Ok(Row { collector: ended(collector), best: None, lost_rounds })
}

fn ended(mut collector: Collector) -> Collector {
    collector.end();
    collector
}

/// The run on a host that has enough for all, and then, if regret is asked for, that of the policy that is told what was seen there.
fn run_reference(plan: Plan, ran: Ran<'_>, measuring: &Measuring) -> Result<Row, RunError> {
    let regret = matches!(ran, Ran::WellProvisioned { regret: true });
    let made = |name: &str| policy_catalogue::make(name, &toml::Table::new());
    let provisioned = plans::well_provisioned(plan.clone());
    let watch = (Collector::new(&provisioned, false), Foresight::new(&provisioned), FluidRun::new(&plan));
    let of_static = made(policy_catalogue::STATIC)?;
    let (collector, foresight, fluid) =
        looked_at(provisioned, of_static, measuring, watch, move |(collector, foresight, fluid), point| {
            collector.observe(point);
            if regret {
                foresight.observe(point);
                fluid.observe(point);
            }
        })?;
    let best = if regret {
        let mut told = made(policy_catalogue::CLAIRVOYANT)?;
        told.foresee(&Arc::new(foresight.future(&plan)));
        let watch = Collector::new(&plan, false);
        let clairvoyant = ended(looked_at(plan, Box::new(Told(told)), measuring, watch, Collector::observe)?);
        let bound_mb_s = fluid.least(clairvoyant.memory().mib());
        Some(Best { fluid: fluid.fluid, bound_mb_s, clairvoyant })
    } else {
        None
    };
    Ok(Row { collector: ended(collector), best, lost_rounds: 0 })
}

/// Runs a plan, every sample of which is shown to `watch`; returns that.
fn looked_at<W: Send + 'static>(
    plan: Plan,
    policy: Box<dyn Policy>,
    measuring: &Measuring,
    watch: W,
    observe: impl Fn(&mut W, &Point) + Send + 'static,
) -> Result<W, RunError> {
    let watch = Arc::new(Mutex::new(watch));
    let options = RunOptions {
        driver: Driver::Inline,
        events: EventsLevel::None,
        observer: Some({
            let watch = Arc::clone(&watch);
            Box::new(move |point| {
                observe(&mut watch.lock(), point);
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
    Arc::try_unwrap(watch)
        .map(Mutex::into_inner)
        .map_err(|_| RunError::Invariant("the run is over and its sampler is not".to_owned()))
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
    rows: Vec<(Job, Weighed)>,
}

impl Joined {
    pub(crate) fn new(settings: &Settings) -> Self {
        let (loads, seeds) = (settings.loads.len(), settings.seeds.len());
        Self { loads, seeds, contestants: settings.contestants.len(), rows: Vec::new() }
    }

    /// Adds the row of a job.
    pub(crate) fn add(&mut self, job: Job, mut weighed: Weighed) {
        // Figures show the first seed.
        if job.seed > 0 {
            let _unused = weighed.row.collector.take_series();
        }
        self.rows.push((job, weighed));
    }

    /// Everything that was measured, each run held against its well-provisioned one. `settings` are those of [`new`](Self::new).
    pub(crate) fn measured(self, settings: &Settings, timings: Vec<Arc<Timing>>) -> Measured {
        let Self { loads, seeds, contestants, rows } = self;
        let mut provisioned: Vec<Vec<Option<Progress>>> = vec![vec![None; seeds]; loads];
        let mut bests = BTreeMap::new();
        let mut lost = vec![0; contestants];
        let mut ran: Vec<(Job, usize, Collector)> = Vec::new();
        for (job, Weighed { row: Row { collector, best, lost_rounds }, front }) in rows {
            match job.contestant {
                None => {
                    provisioned[job.load][job.seed] = Some(collector.progress());
                    bests.extend(best.map(|best| ((job.load, job.seed), (best, front))));
                }
                Some(contestant) => {
                    lost[contestant] += lost_rounds;
                    ran.push((job, contestant, collector));
                }
            }
        }
        let mut series = vec![vec![Series::default(); contestants]; loads];
        // In their order, whatever the order in which they ended.
        ran.sort_by_key(|(job, contestant, _)| (job.load, job.seed, *contestant));
        let (mut regrets, mut not_known) = (vec![Vec::new(); loads], vec![Vec::new(); loads]);
        let (mut values, mut pairs) =
            (vec![vec![Vec::new(); seeds]; loads], vec![vec![Vec::new(); seeds]; loads]);
        for of_seed in ran.chunk_by_mut(|(a, ..), (b, ..)| (a.load, a.seed) == (b.load, b.seed)) {
            let (load, seed) = (of_seed[0].0.load, of_seed[0].0.seed);
            for (job, contestant, collector) in &mut *of_seed {
                if let Some(drawn) = collector.take_series() {
                    series[job.load][*contestant] = drawn;
                }
            }
            let progress = provisioned[load][seed].take().unwrap_or_default();
            let first = &of_seed[0].2;
            for (_, _, collector) in &*of_seed {
                values[load][seed].push(collector.values(&progress, Which::All));
                pairs[load][seed].push(Pair::of(collector, first, &progress));
            }
            if let Some((best, front)) = bests.remove(&(load, seed)) {
                let collectors: Vec<&Collector> = of_seed.iter().map(|(_, _, collector)| collector).collect();
                not_known[load] = best.not_known(&settings.loads[load]);
                regrets[load].push(regret(&best, front, &collectors, &progress, &settings.contestants));
            }
        }
        Measured { values, pairs, series, regrets, not_known, lost_rounds: lost, timings }
    }
}

/// What one seed's runs came to, beside the best.
fn regret(
    best: &Best,
    front: Vec<FrontPoint>,
    collectors: &[&Collector],
    progress: &Progress,
    contestants: &[Contestant],
) -> SeedRegret {
    let known: Vec<bool> = best.fluid.vms.iter().map(|vm| vm.known).collect();
    let values = |collector: &Collector| collector.values(progress, Which::These(&known));
    // Neither mark can be held against who may take more from a VM than they may.
    let same_bounds = |contestant: &Contestant| contestant.bounds() != Bounds::Server2012;
    let of = |(collector, contestant): (&&Collector, &Contestant)| OfPolicy {
        values: values(collector),
        same_work: same_bounds(contestant) && collector.did_the_work_of(&best.clairvoyant),
        in_time: same_bounds(contestant) && collector.started_in_time(),
    };
    SeedRegret {
        clairvoyant: values(&best.clairvoyant),
        bound_mb_s: best.bound_mb_s,
        front,
        policies: collectors.iter().zip(contestants).map(of).collect(),
    }
}
