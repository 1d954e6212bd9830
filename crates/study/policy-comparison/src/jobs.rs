//! All runs of a comparison, on all processors.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use balancing_policy::{HostView, Policy, PressureBand, Proposal, VmView};
use component_runtime::Driver;
use parking_lot::Mutex;
use run_journal::EventsLevel;

use super::bound::{Fluid, FrontPoint};
use super::catalogue::Values;
use super::collector::{Collector, Progress, Series, Which};
use super::plans;
use super::regret::{OfPolicy, SeedRegret};
use super::timed::{Clock, RoundBegan, Timed, Timing};
use super::{CompareError, Settings};
use scenario::file::Scenario;
use scenario::run::future::Foresight;
use scenario::run::{self, Plan, Point, RunOptions};

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
    /// Beside the well-provisioned run, if regret is asked for.
    best: Option<Best>,
}

/// What the best could be on this load with this seed.
struct Best {
    fluid: Fluid,
    clairvoyant: Collector,
    front: Vec<FrontPoint>,
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

/// What was measured, by load, seed and contestant.
pub(crate) struct Measured {
    pub(crate) values: Vec<Vec<Vec<Values>>>,
    /// Each held against the first contestant's run with the same seed, by load, seed and contestant.
    pub(crate) pairs: Vec<Vec<Vec<Pair>>>,
    /// Of the first seed, by load and contestant.
    pub(crate) series: Vec<Vec<Series>>,
    /// By load and seed, if regret was asked for.
    pub(crate) regrets: Vec<Vec<SeedRegret>>,
    /// By load: the VMs whose need nobody can know in advance.
    pub(crate) not_known: Vec<Vec<String>>,
    /// By contestant.
    pub(crate) timings: Vec<Arc<Timing>>,
}

/// Two runs of one load and seed, on the VMs that both policies served as often.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) own: Values,
    pub(crate) first: Values,
    /// VMs that either of the two served at all.
    pub(crate) vms: usize,
    /// Of those, the VMs that both served as often: what is compared.
    pub(crate) both: usize,
    /// VMs that the policy served less often than the first one.
    pub(crate) fewer: usize,
    /// VMs that it served more often.
    pub(crate) more: usize,
    /// Steps in need that were seen, and with the first policy.
    pub(crate) steps: (usize, usize),
}

impl Pair {
    fn of(own: &Collector, first: &Collector, provisioned: &Progress) -> Self {
        let (served, of_first) = (own.served(), first.served());
        let pairs = || served.iter().zip(&of_first);
        let both: Vec<bool> = pairs().map(|(own, first)| own == first && *own > 0).collect();
        let count = |what: fn(&(&u32, &u32)) -> bool| pairs().filter(what).count();
        // Of VMs that neither served nothing is left out: what they lacked, both left.
        let same = count(|(own, first)| own != first) == 0;
        let which = if same { Which::All } else { Which::These(&both) };
        Self {
            own: own.values(provisioned, which),
            first: first.values(provisioned, which),
            vms: count(|(own, first)| **own > 0 || **first > 0),
            both: both.iter().filter(|both| **both).count(),
            fewer: count(|(own, first)| own < first),
            more: count(|(own, first)| own > first),
            steps: (own.steps(which), first.steps(which)),
        }
    }
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
            jobs.extend(contestants.map(|contestant| {
                // The policy that is told the future runs after the run that tells it.
                let runs = 1 + u64::from(contestant.is_none() && settings.regret);
                Job { load, seed, contestant, cost: runs * cost }
            }));
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
        None => return run_reference(shared, job, plan),
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
    let collector = Collector::new(&plan, job.seed == 0);
    let collector = watched(shared, job, plan, policy, collector, Collector::observe)?;
    Ok(Ran { collector: ended(collector), best: None })
}

fn ended(mut collector: Collector) -> Collector {
    collector.end();
    collector
}

/// The run on a host that has enough for all, and then, if regret is asked for, that of the policy that is told what was seen there.
fn run_reference(shared: &Arc<Shared>, job: Job, plan: Plan) -> Result<Ran, CompareError> {
    let fail = |error: run::RunError| shared.error(job, error);
    let made =
        |name: &str| policy_catalogue::make(name, &toml::Table::new()).map_err(|error| fail(error.into()));
    let provisioned = plans::well_provisioned(plan.clone());
    let watch = (Collector::new(&provisioned, false), Foresight::new(&provisioned), Fluid::new(&plan));
    let of_static = made(policy_catalogue::STATIC)?;
    let regret = shared.settings.regret;
    let (collector, foresight, fluid) =
        watched(shared, job, provisioned, of_static, watch, move |(collector, foresight, fluid), point| {
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
        let clairvoyant = ended(watched(shared, job, plan, Box::new(Told(told)), watch, Collector::observe)?);
        let front = if job.seed == 0 { fluid.front(clairvoyant.memory().mib()) } else { Vec::new() };
        Some(Best { fluid, clairvoyant, front })
    } else {
        None
    };
    Ok(Ran { collector: ended(collector), best })
}

/// Runs a plan, every sample of which is shown to `watch`; returns that.
fn watched<W: Send + 'static>(
    shared: &Arc<Shared>,
    job: Job,
    plan: Plan,
    policy: Box<dyn Policy>,
    watch: W,
    observe: impl Fn(&mut W, &Point) + Send + 'static,
) -> Result<W, CompareError> {
    let fail = |error| shared.error(job, error);
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
    Arc::try_unwrap(watch)
        .map(Mutex::into_inner)
        .map_err(|_| fail(run::RunError::Invariant("the run is over and its sampler is not".to_owned())))
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
    let mut ran: Vec<(Job, usize, Collector)> = Vec::new();
    let mut bests: Vec<Vec<Option<Best>>> = (0..loads).map(|_| (0..seeds).map(|_| None).collect()).collect();
    for (job, Ran { collector, best }) in results {
        match job.contestant {
            None => {
                provisioned[job.load][job.seed] = Some(collector.progress());
                bests[job.load][job.seed] = best;
            }
            Some(contestant) => ran.push((job, contestant, collector)),
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
        if let Some(best) = bests[load][seed].take() {
            let collectors: Vec<&Collector> = of_seed.iter().map(|(_, _, collector)| collector).collect();
            not_known[load] = best.not_known(&settings.loads[load]);
            regrets[load].push(best.regret(&collectors, &progress));
        }
    }
    Measured { values, pairs, series, regrets, not_known, timings }
}

impl Best {
    fn regret(self, collectors: &[&Collector], progress: &Progress) -> SeedRegret {
        let Self { fluid, clairvoyant, front } = self;
        let known: Vec<bool> = fluid.vms.iter().map(|vm| vm.known).collect();
        let values = |collector: &Collector| collector.values(progress, Which::These(&known));
        let of = |collector: &&Collector| OfPolicy {
            values: values(collector),
            same_work: collector.did_the_work_of(&clairvoyant),
            in_time: collector.started_in_time(),
        };
        SeedRegret {
            clairvoyant: values(&clairvoyant),
            bound_mb_s: fluid.least(clairvoyant.memory().mib()),
            front,
            policies: collectors.iter().map(of).collect(),
        }
    }

    /// The VMs whose need depends on what they are given.
    fn not_known(&self, load: &Scenario) -> Vec<String> {
        let vms = self.fluid.vms.iter().zip(&load.vms);
        vms.filter(|(vm, _)| !vm.known).map(|(_, vm)| vm.name.clone()).collect()
    }
}
