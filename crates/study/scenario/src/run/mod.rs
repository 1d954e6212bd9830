//! Runs a scenario: puts host and VMs into a runtime, watches the counters, and says what came of it.

pub mod build;
mod cycle;
pub mod directory;
mod operator;
pub mod phases;
pub mod plan;
pub mod points;
mod sampler;
pub mod statistics;
pub mod story;
pub mod summary;

use std::fs::File;
use std::io::{self, BufWriter};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use balancing_policy::Policy;
use component_runtime::{
    ClockMode, ConfigError, Driver, EndReason, RunConfig, RunEnd, Runtime, SimTime, StopHandle,
};
use dm_vsc::VscConfig;
use guest_partition::{Console, MachineConfig, SimulatedVm, default_bus_versions, driver_config};
use machine_contract::VmFactory;
use page_range::PageCount;
use parking_lot::Mutex;
use perf_counters::{Layout, LayoutError, Sample, pdh};
use run_journal::{EventsLevel, HumanLog, Recorded, Recorder};
use vmms_host::{Host, VmConfig};

pub use build::Choices;
pub use cycle::Cycle;
pub use plan::Plan;
pub use points::{Point, Points};
pub use summary::Summary;

use operator::Operator;
use sampler::{Collected, Sampler};
use summary::{EndSummary, Ending, Final};

/// Name of the counters file in a run directory.
pub const COUNTERS_FILE: &str = "counters.csv";
/// Name of the summary in a run directory.
pub const SUMMARY_FILE: &str = "summary.json";

/// The components of a run, by which events are recorded and logged.
pub const COMPONENTS: [&str; 8] =
    ["operator", "vmms", "memory-balancer", "dm-vsp", "dm-vsc", "guest", "sampler", "run"];

/// Why a scenario was not run, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The policy.
    #[error(transparent)]
    Policy(#[from] policy_catalogue::PolicyError),
    /// A workload that cannot be made as configured.
    #[error("a workload of the scenario cannot be made: {0}")]
    Workload(String),
    /// Names that no counter file can hold.
    #[error(transparent)]
    Names(#[from] LayoutError),
    /// Driver and clock do not go together, or a parameter of theirs is impossible.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file of the run directory.
    #[error("cannot write {}: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Another scenario that this one refers to.
    #[error("the scenario {0:?}, to which this one refers, could not be run: {1}")]
    Reference(String, String),
    /// The system gives no more threads.
    #[error(
        "{0}; the run needs a thread for each component, up to five for each VM: raise the limit (`ulimit -u`, or the container's), or run everything on one thread with `--driver inline`"
    )]
    OutOfThreads(String),
    /// A defect: something that never happens has happened.
    #[error("an invariant was violated, which is a defect of this program: {0}")]
    Invariant(String),
}

/// How a run is driven and what it leaves behind.
#[derive(Default)]
pub struct RunOptions {
    /// On which threads components run.
    pub driver: Driver,
    /// What time is.
    pub clock: ClockMode,
    /// Explores another schedule.
    pub schedule_seed: Option<u64>,
    /// The folder for counters, events, journal and summary; it exists. `None`: nothing is written.
    pub directory: Option<PathBuf>,
    /// How much is recorded of what happens.
    pub events: EventsLevel,
    /// A log for people.
    pub log: Option<HumanLog>,
    /// Keep every sample in memory. Otherwise only what the summary needs.
    pub keep_points: bool,
    /// Check the books of every guest at every sample: slow.
    pub check_guests: bool,
    /// Told of the virtual time at every sample.
    pub progress: Option<Arc<dyn Fn(Duration) + Send + Sync>>,
    /// Shown every sample as it is taken, kept or not; it may end the run.
    pub observer: Option<Observer>,
    /// Makes the machines of the VMs in place of simulated ones; the plan's guest profiles and workloads then mean nothing.
    pub machines: Option<Machines>,
    /// Given the handle that ends the run early, before it begins.
    pub on_start: Option<Box<dyn FnOnce(StopHandle)>>,
}

/// Whoever wants to see every sample. `Break` ends the run as it is meant to end, for the reason given: the summary is complete,
/// unlike that of a run that was interrupted.
pub type Observer = Box<dyn FnMut(&Point) -> ControlFlow<String> + Send>;

/// Makes the machine of the VM with this place in the plan.
pub type Machines = Box<dyn FnMut(usize, &plan::PlannedVm) -> Box<dyn VmFactory>>;

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The result.
    pub summary: Summary,
    /// The samples, if they were kept.
    pub points: Points,
    /// How the runtime ended.
    pub end: RunEnd,
    /// What was recorded.
    pub recorded: Option<Recorded>,
}

/// VMs and samples up to which a run keeps its samples for the phases, even if nobody asked.
const KEEP: u64 = 200_000;

/// Runs a plan.
///
/// # Errors
/// [`RunError`]; what was recorded until then stays.
pub fn run(plan: Plan, options: RunOptions) -> Result<Outcome, RunError> {
    let policy = policy_catalogue::make(&plan.policy, &plan.policy_parameters)?;
    run_with_policy(plan, options, policy)
}

/// Runs a plan with a policy of one's own, in place of the one that the plan names: for policies that this crate has never
/// heard of.
///
/// # Errors
/// [`RunError`]; what was recorded until then stays.
pub fn run_with_policy(
    mut plan: Plan,
    mut options: RunOptions,
    policy: Box<dyn Policy>,
) -> Result<Outcome, RunError> {
    plan.policy = policy.name().to_owned();
    let names: Vec<String> = plan.vms.iter().map(|vm| vm.name.to_string()).collect();
    let layout = Arc::new(Layout::new(plan.host_name.clone(), plan.epoch, names.clone())?);
    let file = |name: &str| options.directory.as_ref().map(|directory| directory.join(name));

    let recorder = match &options.directory {
        Some(directory) if options.events != EventsLevel::None => Some(
            Recorder::create(directory, options.events)
                .map_err(|error| RunError::Write { path: directory.clone(), error })?,
        ),
        _ => None,
    };
    let log = match file(COUNTERS_FILE) {
        None => None,
        Some(path) => Some(
            File::create(&path)
                .and_then(|file| pdh::Writer::new(BufWriter::new(file), &layout))
                .map_err(|error| RunError::Write { path, error })?,
        ),
    };
    let samples = plan.until.as_nanos() / plan.sample_interval.as_nanos().max(1);
    let few = samples.saturating_mul(plan.vms.len() as u128) <= u128::from(KEEP);
    let collected = Arc::new(Mutex::new(Collected {
        points: Points::new(plan.vms.len(), options.keep_points || few),
        log,
        trouble: None,
    }));

    let config = RunConfig {
        driver: options.driver,
        clock: options.clock,
        schedule_seed: options.schedule_seed,
        until: SimTime::from(plan.until),
        recorder: recorder.as_ref().and_then(Recorder::machine_recorder),
        ..RunConfig::default()
    };
    let dispatch = run_journal::dispatch(recorder.as_ref(), options.log.take());
    let (host, end) = tracing::dispatcher::with_default(&dispatch, || -> Result<_, RunError> {
        let mut runtime = Runtime::new(config)?;
        let consoles: Vec<Console> = plan.vms.iter().map(|_| Console::default()).collect();
        let vms = (0..)
            .zip(plan.vms.iter().zip(&consoles))
            .map(|(place, (vm, console))| match &mut options.machines {
                Some(make) => {
                    VmConfig { name: Arc::clone(&vm.name), settings: vm.settings, factory: make(place, vm) }
                }
                None => vm_config(&plan, vm, console),
            })
            .collect();
        let host = Host::build(&mut runtime, plan.host.clone(), vms, policy);

        let seat = runtime.seat("operator", None);
        seat.start(Box::new(Operator {
            timeline: plan.timeline.iter().cloned().collect(),
            names: plan.vms.iter().map(|vm| Arc::clone(&vm.name)).collect(),
            consoles: consoles.clone(),
            vmms: host.vmms.clone(),
            status: host.status.clone(),
            host_memory: plan.host.memory,
            trace: plan.trace.clone(),
            seed: plan.seed,
            drawn: vec![0; plan.vms.len()],
        }));
        let seat = runtime.seat("sampler", None);
        seat.start(Box::new(Sampler {
            interval: plan.sample_interval,
            next: Duration::ZERO,
            sample: Sample::new(&layout),
            layout: Arc::clone(&layout),
            balancer: host.balancer.clone(),
            status: host.status.clone(),
            paging: vec![(0, 0); consoles.len()],
            consoles,
            host_memory: plan.host.memory,
            collected: Arc::clone(&collected),
            check_guests: options.check_guests,
            progress: options.progress.take(),
            observer: options.observer.take(),
        }));
        if let Some(on_start) = options.on_start.take() {
            on_start(runtime.stop_handle());
        }
        Ok((host, runtime.run()))
    })?;

    let (points, log, mut trouble) = {
        let mut collected = collected.lock();
        (std::mem::take(&mut collected.points), collected.log.take(), collected.trouble.take())
    };
    if let (Some(log), Some(path)) = (log, file(COUNTERS_FILE)) {
        log.finish().map_err(|error| RunError::Write { path, error })?;
    }
    let recorded = match &recorder {
        None => None,
        Some(recorder) => Some(recorder.finish().map_err(|error| RunError::Write {
            path: options.directory.clone().unwrap_or_default(),
            error,
        })?),
    };

    let totals = host.balancer.system();
    let vms = (0u32..)
        .zip(&plan.vms)
        .map(|(id, _)| {
            let counters = host.balancer.vm(balancing_policy::VmId(id));
            counters.map_or(
                Final {
                    added: PageCount::ZERO,
                    removed: PageCount::ZERO,
                    add_operations: 0,
                    remove_operations: 0,
                },
                |counters| Final {
                    added: counters.added,
                    removed: counters.removed,
                    add_operations: counters.add_operations,
                    remove_operations: counters.remove_operations,
                },
            )
        })
        .collect();
    if trouble.is_none() {
        trouble = host.all_home(end.time.into()).err();
    }
    if let EndReason::Runaway { .. } | EndReason::Failed(_) = end.reason {
        trouble.get_or_insert_with(|| end.reason.to_string());
    }
    let cut_short = matches!(end.reason, EndReason::Interrupted | EndReason::OutOfThreads { .. });
    let complete = trouble.is_none() && !cut_short;
    let status = host.status.look().clone();
    let ending = Ending {
        plan: &plan,
        schedule_seed: options.schedule_seed,
        end: EndSummary {
            reason: trouble.clone().unwrap_or_else(|| end.reason.to_string()),
            time_s: (end.time.as_secs_f64() * 1e3).round() / 1e3,
            complete,
            panics: end
                .panics
                .iter()
                .map(|panic| match &panic.vm {
                    Some(vm) => format!("{}/{vm}: {}", panic.component, panic.message),
                    None => format!("{}: {}", panic.component, panic.message),
                })
                .collect(),
        },
        reserve: totals.reserve,
        totals: Final {
            added: totals.added,
            removed: totals.removed,
            add_operations: totals.add_operations,
            remove_operations: totals.remove_operations,
        },
        vms,
        status: &status,
        phases: phases::find(points.all(), &names),
    };
    let summary = summary::summarize(ending, points.sums());
    if let Some(path) = file(SUMMARY_FILE) {
        write_json(&path, &summary)?;
    }
    match trouble {
        Some(what) => Err(RunError::Invariant(what)),
        None if matches!(end.reason, EndReason::OutOfThreads { .. }) => {
            Err(RunError::OutOfThreads(end.reason.to_string()))
        }
        None => Ok(Outcome { summary, points, end, recorded }),
    }
}

fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), RunError> {
    let wrong = |error: io::Error| RunError::Write { path: path.to_owned(), error };
    let mut text = serde_json::to_string_pretty(value).map_err(|error| wrong(error.into()))?;
    text.push('\n');
    std::fs::write(path, text).map_err(wrong)
}

fn vm_config(plan: &Plan, vm: &plan::PlannedVm, console: &Console) -> VmConfig {
    let driver = vm.operation_times.map(|times| VscConfig {
        balloon_time: times.balloon,
        unballoon_time: times.add,
        hot_add_time: times.add,
        ..driver_config(&vm.profile)
    });
    let machine = MachineConfig {
        profile: vm.profile,
        services: vm.services,
        page_file: vm.page_file,
        vcpus: vm.vcpus,
        bus_versions: default_bus_versions(),
        driver,
        seed: plan.seed,
    };
    VmConfig {
        name: Arc::clone(&vm.name),
        settings: vm.settings,
        factory: Box::new(SimulatedVm { console: console.clone(), ..SimulatedVm::new(machine) }),
    }
}
