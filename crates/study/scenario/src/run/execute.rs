//! Runs a plan.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use balancing_policy::{Policy, VmId};
use component_runtime::{ClockMode, EndReason, RunConfig, RunEnd, Runtime, SimTime};
use guest_partition::{Console, MachineConfig, SimulatedVm, default_bus_versions, driver_config};
use memory_balancer::Source;
use parking_lot::Mutex;
use perf_counters::{Layout, Sample};
use run_journal::Recorder;
use vmms_host::{Host, VmConfig};

use super::disks::Storage;
use super::error::RunError;
use super::kept::{Keep, Points};
use super::need::Needs;
use super::operator::Operator;
use super::options::{Machines, Outcome, RunOptions};
use super::outputs::Outputs;
use super::phases;
use super::plan::{Plan, PlannedVm};
use super::sampler::{Collected, DiskUse, Sampler};
use super::summary::{self, EndSummary, Ending, Final, MemoryMoved, Summary};

/// VMs and samples up to which a run keeps its samples for the phases, even if the user did not ask.
const KEEP: u64 = 200_000;

/// Runs a plan with this policy, which knows all that it will be told in advance.
///
/// # Errors
/// [`RunError`]; what was recorded until then stays.
pub(super) fn execute(
    plan: &Plan,
    mut options: RunOptions,
    policy: Box<dyn Policy>,
) -> Result<Outcome, RunError> {
    let names = plan.vms.iter().map(|vm| vm.name.to_string());
    let mut layout = Layout::new(plan.host_name.clone(), plan.epoch, names)?;
    if plan.vms.iter().any(|vm| !vm.disks.is_empty()) {
        layout = layout.with_storage();
    }
    let layout = Arc::new(layout);
    let outputs =
        Outputs::create(options.directory.take(), options.events, options.form, options.tap.take())?;
    let collected = Arc::new(Mutex::new(Collected {
        points: Points::new(plan.vms.len(), Needs::of(plan), keep(plan, options.keep_points)),
        log: outputs.counters(&layout)?,
        trouble: None,
    }));

    let config = RunConfig {
        driver: options.driver,
        clock: options.clock,
        schedule_seed: options.schedule_seed,
        until: SimTime::from(plan.until),
        before_wake: options.before_wake.take(),
        recorder: outputs.recorder.as_ref().and_then(Recorder::machine_recorder),
        ..RunConfig::default()
    };
    let dispatch = run_journal::dispatch(outputs.recorder.as_ref(), options.log.take());
    let (host, end) = tracing::dispatcher::with_default(&dispatch, || -> Result<_, RunError> {
        let mut runtime = Runtime::new(config)?;
        let storage = Storage::new(plan)?;
        let host = seat_all(&mut runtime, plan, &mut options, policy, &layout, &collected, &storage);
        if let Some(on_start) = options.on_start.take() {
            on_start(runtime.stop_handle());
        }
        Ok((host, runtime.run()))
    })?;

    let (points, log, seen) = {
        let mut collected = collected.lock();
        (std::mem::take(&mut collected.points), collected.log.take(), collected.trouble.take())
    };
    let recorded = outputs.finish(log)?;
    let trouble = trouble(seen, &host, &end);
    let summary = summarize(plan, options.schedule_seed, &host, &end, trouble.as_deref(), &points);
    outputs.summary(&summary)?;
    match trouble {
        Some(what) => Err(RunError::Invariant(what)),
        None if matches!(end.reason, EndReason::OutOfThreads { .. }) => {
            Err(RunError::OutOfThreads(end.reason.to_string()))
        }
        None => Ok(Outcome { summary, points, end, recorded }),
    }
}

/// Which samples of a run are kept: if nobody wants them, only where they are few enough for all of them to be kept.
fn keep(plan: &Plan, wanted: bool) -> Keep {
    let samples = plan.until.as_nanos() / plan.sample_interval.as_nanos().max(1);
    if wanted {
        Keep::All
    } else if samples.saturating_mul(plan.vms.len() as u128) <= u128::from(KEEP) {
        Keep::ForPhases
    } else {
        Keep::None
    }
}

/// Puts host, VMs, operator and sampler into the runtime.
fn seat_all(
    runtime: &mut Runtime,
    plan: &Plan,
    options: &mut RunOptions,
    policy: Box<dyn Policy>,
    layout: &Arc<Layout>,
    collected: &Arc<Mutex<Collected>>,
    storage: &Storage,
) -> Host {
    let consoles: Vec<Console> = plan.vms.iter().map(|_| Console::default()).collect();
    let vms = vms(plan, &consoles, options.machines.as_mut(), storage);
    let host = Host::build(runtime, plan.host.clone(), vms, policy);
    runtime.seat("operator", None).start(Box::new(Operator {
        timeline: plan.timeline.iter().cloned().collect(),
        names: plan.vms.iter().map(|vm| Arc::clone(&vm.name)).collect(),
        consoles: consoles.clone(),
        vmms: host.vmms.clone(),
        status: host.status.clone(),
        host_memory: plan.host.memory,
        trace: plan.trace.clone(),
        seed: plan.seed,
        hand: options.hand.take(),
        drawn: vec![0; plan.vms.len()],
        retries: BTreeMap::new(),
    }));
    runtime.seat("sampler", None).start(Box::new(Sampler {
        interval: plan.sample_interval,
        next: Duration::ZERO,
        sample: Sample::new(layout),
        layout: Arc::clone(layout),
        balancer: host.balancer.clone(),
        status: host.status.clone(),
        paging: vec![(0, 0); consoles.len()],
        disk_use: vec![DiskUse::default(); consoles.len()],
        consoles,
        statistics: host.statistics.clone(),
        storage: storage.handles.clone(),
        host_memory: plan.host.memory,
        collected: Arc::clone(collected),
        write_out: matches!(options.clock, ClockMode::Wall { .. }),
        check_guests: options.check_guests,
        progress: options.progress.take(),
        observer: options.observer.take(),
        watch_counters: options.watch_counters.take(),
    }));
    host
}

/// The VMs of a plan, on simulated machines unless others are made.
fn vms(
    plan: &Plan,
    consoles: &[Console],
    machines: Option<&mut Machines>,
    storage: &Storage,
) -> Vec<VmConfig> {
    let mut machines = machines;
    let vms = plan.vms.iter().zip(consoles).enumerate();
    vms.map(|(place, (vm, console))| match &mut machines {
        Some(make) => {
            VmConfig { name: Arc::clone(&vm.name), settings: vm.settings, factory: make(place, vm) }
        }
        None => vm_config(plan, (place, vm), console, storage),
    })
    .collect()
}

/// What keeps a run from being whole: what the sampler has seen, memory that has not come home, or an end that is none.
fn trouble(seen: Option<String>, host: &Host, end: &RunEnd) -> Option<String> {
    seen.or_else(|| host.all_home(end.time.into()).err()).or_else(|| match end.reason {
        EndReason::Runaway { .. } | EndReason::Failed(_) => Some(end.reason.to_string()),
        _ => None,
    })
}

/// What the run came to.
fn summarize(
    plan: &Plan,
    schedule_seed: Option<u64>,
    host: &Host,
    end: &RunEnd,
    trouble: Option<&str>,
    points: &Points,
) -> Summary {
    let names: Vec<String> = plan.vms.iter().map(|vm| vm.name.to_string()).collect();
    let totals = host.balancer.system();
    let panics = end.panics.iter().map(|panic| match &panic.vm {
        Some(vm) => format!("{}/{vm}: {}", panic.component, panic.message),
        None => format!("{}: {}", panic.component, panic.message),
    });
    let ending = Ending {
        plan,
        schedule_seed,
        end: EndSummary {
            reason: trouble.map_or_else(|| end.reason.to_string(), str::to_owned),
            time_s: (end.time.as_secs_f64() * 1e3).round() / 1e3,
            complete: trouble.is_none()
                && !matches!(end.reason, EndReason::Interrupted | EndReason::OutOfThreads { .. }),
            panics: panics.collect(),
        },
        reserve: totals.reserve,
        totals: Final {
            added: totals.added,
            removed: totals.removed,
            add_operations: totals.add_operations,
            remove_operations: totals.remove_operations,
        },
        vms: (0..).zip(&plan.vms).map(|(id, _)| last_of(host, VmId(id))).collect(),
        moved: moved(plan, host),
        status: &host.status.look(),
        phases: phases::find(points.all(), &names),
    };
    summary::summarize(ending, points.sums())
}

/// Which VM paid for which.
fn moved(plan: &Plan, host: &Host) -> Vec<MemoryMoved> {
    let name = |vm: VmId| plan.vms.get(vm.0 as usize).map(|vm| vm.name.to_string());
    let engine = host.balancer.look();
    let moved = engine.memory_moved().filter_map(|(source, to, pages)| {
        let from = match source {
            Source::Vm(donor) => name(donor),
            Source::Free | Source::Ended => None,
        };
        Some(MemoryMoved { to: name(to)?, from, source: source.name().to_owned(), mb: pages.mib() })
    });
    moved.collect()
}

/// What the balancer has counted of a VM until the end; nothing if it never heard of it.
fn last_of(host: &Host, vm: VmId) -> Final {
    host.balancer.vm(vm).map_or_else(Final::default, |counters| Final {
        added: counters.added,
        removed: counters.removed,
        add_operations: counters.add_operations,
        remove_operations: counters.remove_operations,
    })
}

pub(super) fn vm_config(
    plan: &Plan,
    (at, vm): (usize, &PlannedVm),
    console: &Console,
    storage: &Storage,
) -> VmConfig {
    let driver = vm.operation_times.map(|times| {
        driver_config(&vm.profile).with(|c| {
            c.balloon_time = times.balloon;
            c.unballoon_time = times.add;
            c.hot_add_time = times.add;
        })
    });
    let machine = MachineConfig {
        profile: vm.profile,
        services: vm.services,
        page_file: vm.page_file,
        vcpus: vm.vcpus,
        bus_versions: default_bus_versions(),
        driver,
        disks: u8::try_from(vm.disks.len()).unwrap_or(u8::MAX),
        agent: vm.agent,
        seed: plan.seed,
    };
    let mut simulated = SimulatedVm { console: console.clone(), ..SimulatedVm::new(machine) };
    if !vm.disks.is_empty() || vm.agent.measures() {
        let controller = (!vm.disks.is_empty()).then(|| storage.controller(at, vm));
        let measures = vm.agent.measures();
        simulated.devices = Arc::new(move || {
            let mut devices = controller.as_ref().map_or_else(Vec::new, |controller| controller());
            devices.extend(measures.then(vmms_host::agent_device));
            devices
        });
    }
    VmConfig { name: Arc::clone(&vm.name), settings: vm.settings, factory: Box::new(simulated) }
}
