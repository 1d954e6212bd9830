//! From a scenario file and a seed to a plan.

use std::sync::Arc;
use std::time::Duration;

use balancing_policy::MemorySettings;
use dm_vsc::{Faults, HotAddFault, OperationTime};
use dm_vsp::ProtocolVersion;
use guest_memory_manager::workload::WorkloadConfig;
use memory_balancer::BalancerConfig;
use page_range::PageCount;
use vmbus::control::Version;
use vmms_host::parent_os::ParentOsConfig;
use vmms_host::{HostConfig, HostOperationTime};

use super::error::RunError;
use super::plan::{Action, GuestOperationTimes, Plan, PlannedVm, Step};
use crate::file::{self, Fault, Scenario};

/// A policy's round that takes longer than this of real time is skipped. Invented; thousands of times what the slowest round of
/// any policy here takes, so that only a policy gone astray gets there, and what a run shows does not depend on the machine.
const POLICY_LIMIT: Duration = Duration::from_secs(5);

/// How a workload that a scenario file sets is called: a VM has one at a time.
const WORKLOAD: &str = "workload";

/// What is chosen beside the file.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// The policy, in place of the file's.
    pub policy: Option<String>,
    /// The seed, in place of the file's.
    pub seed: Option<u64>,
    /// The end, in place of the file's.
    pub until: Option<Duration>,
    /// The time between two samples, in place of the file's.
    pub sample_interval: Option<Duration>,
}

/// Makes a plan. `used_in` answers "as much as at most in the scenario of this name", in host memory.
///
/// # Errors
/// A policy that does not exist or does not take its parameters, a workload that cannot be drawn, or a run that is too long.
pub fn plan(
    scenario: &Scenario,
    choices: &Choices,
    used_in: &mut dyn FnMut(&str) -> Result<PageCount, RunError>,
) -> Result<Plan, RunError> {
    let seed = choices.seed.unwrap_or(scenario.seed);
    let until = choices.until.unwrap_or(scenario.until);
    let sample_interval = choices.sample_interval.unwrap_or_else(|| scenario.sample_interval(until));
    file::check_length(until, sample_interval)?;
    let bad_workload =
        |error: guest_memory_manager::workload::BadWorkload| RunError::Workload(error.to_string());
    let (policy, policy_parameters) = policy(scenario, choices);
    // A typo in a parameter is told before anything runs.
    policy_catalogue::make(&policy, &policy_parameters)?;

    let mut timeline = Vec::new();
    // What each VM's settings have become by then.
    let mut settings: Vec<MemorySettings> = scenario.vms.iter().map(|vm| vm.memory).collect();
    for planned in scenario.plan(seed, until).map_err(bad_workload)? {
        let at = planned.at;
        if let (file::Action::SetVmMemory { buffer, weight }, Some(vm)) = (&planned.action, planned.vm) {
            let now = &mut settings[vm];
            *now = now.with_buffer(buffer.unwrap_or(now.buffer)).with_weight(weight.unwrap_or(now.weight));
            timeline.push(Step { at, action: Action::Configure { vm, settings: *now } });
            continue;
        }
        for (at, action) in actions(at, planned.vm, planned.action, used_in)? {
            timeline.push(Step { at, action });
        }
    }
    // What runs from the login on is run as soon as there is a guest; the workload waits for the login by itself.
    let initial = scenario.initial_workloads(seed).map_err(bad_workload)?;
    let mut starts: Vec<Vec<Duration>> = vec![Vec::new(); scenario.vms.len()];
    for step in &timeline {
        if let Action::Start { vm, .. } = step.action {
            starts[vm].push(step.at);
        }
    }
    for (vm, (workload, starts)) in initial.into_iter().zip(starts).enumerate() {
        let Some(workload) = workload else { continue };
        timeline.extend(starts.into_iter().map(|start| Step {
            at: start + AFTER_START,
            action: Action::Run { vm, name: Arc::from(WORKLOAD), workload: workload.clone() },
        }));
    }
    timeline.sort_by_key(|step| step.at);
    let times = guest_times(&scenario.host.operations);
    Ok(Plan {
        name: scenario.name.clone(),
        host_name: scenario.host.name.clone(),
        epoch: scenario.host.epoch,
        host: host(&scenario.host, &scenario.balancer),
        devices: scenario.host.devices.clone(),
        policy,
        policy_parameters,
        vms: scenario
            .vms
            .iter()
            .map(|vm| PlannedVm {
                name: Arc::from(vm.name.as_str()),
                profile: *vm.guest,
                services: vm.integration_services,
                vcpus: vm.vcpus,
                page_file: vm.page_file,
                disks: vm.disks.clone(),
                agent: vm.agent,
                settings: vm.memory,
                operation_times: times,
            })
            .collect(),
        timeline,
        until,
        sample_interval,
        seed,
        trace: scenario.trace.clone(),
    })
}

/// Makes the plan of a scenario that refers to no other.
///
/// # Errors
/// As [`plan`]; and a scenario that refers to another.
pub fn plan_alone(scenario: &Scenario, choices: &Choices) -> Result<Plan, RunError> {
    plan(scenario, choices, &mut |other| {
        let why = "it starts VMs as far as that one got, so that one must be run first".to_owned();
        Err(RunError::Reference(other.to_owned(), why))
    })
}

/// What the operator does for an action of a timeline that is carried out now, by hand; a fault that it begins lasts as long as the run.
/// Nothing for an action that needs what the plan knows: another scenario's host memory, or a VM's settings.
#[must_use]
pub fn by_hand(vm: Option<usize>, action: file::Action<WorkloadConfig>) -> Vec<Action> {
    let mut none = |other: &str| Err(RunError::Reference(other.to_owned(), "not by hand".to_owned()));
    let actions = actions(Duration::ZERO, vm, action, &mut none).unwrap_or_default();
    actions.into_iter().map(|(_, action)| action).collect()
}

/// When a workload of a VM's own is given to its guest after the start was asked for: the VM has its memory by then, if it gets it
/// at once, and has not shown its login screen.
pub(crate) const AFTER_START: Duration = Duration::from_secs(1);

fn policy(scenario: &Scenario, choices: &Choices) -> (String, toml::Table) {
    let in_file = scenario.policy.name();
    match &choices.policy {
        // The file's parameters are those of the file's policy.
        Some(other) if other != in_file => (other.clone(), toml::Table::new()),
        _ => (in_file.to_owned(), scenario.policy.table()),
    }
}

fn actions(
    at: Duration,
    vm: Option<usize>,
    action: file::Action<WorkloadConfig>,
    used_in: &mut dyn FnMut(&str) -> Result<PageCount, RunError>,
) -> Result<Vec<(Duration, Action)>, RunError> {
    let workload: Arc<str> = Arc::from(WORKLOAD);
    let one = |action| Ok(vec![(at, action)]);
    match (action, vm) {
        (file::Action::Mark(text), _) => one(Action::Mark(text)),
        (file::Action::SetMemoryReserve(reserve), _) => one(Action::SetMemoryReserve(Some(reserve))),
        (file::Action::Start { while_host_used_below, patience }, Some(vm)) => {
            let while_host_used_below = match while_host_used_below {
                None => None,
                Some(file::HostUse::Memory(memory)) => Some(memory),
                Some(file::HostUse::AsIn(scenario)) => Some(used_in(&scenario.value)?),
            };
            one(Action::Start { vm, while_host_used_below, patience })
        }
        (file::Action::Stop { turn_off: true }, Some(vm)) => one(Action::TurnOff(vm)),
        (file::Action::Stop { turn_off: false }, Some(vm)) => one(Action::ShutDown(vm)),
        (file::Action::Reboot, Some(vm)) => one(Action::Restart(vm)),
        (file::Action::SetWorkload(config), Some(vm)) => {
            one(Action::Run { vm, name: workload, workload: config })
        }
        (file::Action::Unload, Some(vm)) => one(Action::Unload { vm, name: workload }),
        (file::Action::InjectFault { fault, duration }, Some(vm)) => {
            Ok(fault_actions(at, vm, fault, duration))
        }
        // These have been carried over with what the settings were before.
        (file::Action::SetVmMemory { .. }, _) => Ok(Vec::new()),
        // The file's check sees to it that these name a VM.
        (_, None) => Ok(Vec::new()),
    }
}

fn fault_actions(
    at: Duration,
    vm: usize,
    fault: Fault,
    duration: Option<Duration>,
) -> Vec<(Duration, Action)> {
    let faults = |faults: Faults| Action::SetFaults { vm, faults: Box::new(faults) };
    let (begin, end) = match fault {
        Fault::GuestSilent => (
            faults(Faults::default().with(|c| {
                c.never_answer = true;
                c.no_status = true;
            })),
            Some(faults(Faults::default())),
        ),
        Fault::GuestRefusesHotAdd => (
            faults(Faults::default().with(|c| c.hot_add = Some(HotAddFault::RefuseForNow))),
            Some(faults(Faults::default())),
        ),
        Fault::GuestSendsGarbage => (Action::SendGarbage(vm), None),
        Fault::GuestClosesChannel => (Action::CloseChannels(vm), Some(Action::ReopenChannels(vm))),
        Fault::GuestCrash => (Action::Crash(vm), None),
        Fault::ComponentPanic(component) => (Action::Panic(vm, component), None),
    };
    let end = duration.and_then(|duration| Some((at + duration, end?)));
    [Some((at, begin)), end].into_iter().flatten().collect()
}

fn host(host: &file::Host, balancer: &file::Balancer) -> HostConfig {
    let usual = HostConfig::new(host.memory);
    let parent = ParentOsConfig::default();
    let mib = |value: Option<PageCount>, usual: f64| value.map_or(usual, PageCount::mib);
    let of = &host.parent_os;
    let engine = BalancerConfig::for_host(host.memory);
    let engine = if host.release.is_2012_or_later() { engine.with_smart_paging() } else { engine };
    let host_time = HostOperationTime::default();
    HostConfig {
        memory_reserve: host.memory_reserve,
        release: host.release,
        edition: host.edition,
        parent_os: ParentOsConfig {
            in_use_idle_mib: mib(of.in_use_idle, parent.in_use_idle_mib),
            comfortable_free_mib: mib(of.comfortable_free, parent.comfortable_free_mib),
            working_set_knee_mib: mib(of.working_set_knee, parent.working_set_knee_mib),
            free_at_knee_mib: mib(of.free_at_knee, parent.free_at_knee_mib),
            need_scale_mib: mib(of.need_scale, parent.need_scale_mib),
            reads_at_knee: of.reads_at_knee.unwrap_or(parent.reads_at_knee),
            reads_idle: of.reads_idle.unwrap_or(parent.reads_idle),
            lag_seconds: of.lag.map_or(parent.lag_seconds, |lag| lag.as_secs_f64()),
            slowdown_per_read: of.slowdown_per_read.unwrap_or(parent.slowdown_per_read),
            disk_reads: of.disk_reads.unwrap_or(parent.disk_reads),
            waiting_threads: of.waiting_threads.map_or(parent.waiting_threads, |threads| threads as f64),
            trimming: of.trimming.unwrap_or(parent.trimming),
        },
        balancer: BalancerConfig {
            overhead_per_vm: host.overhead_per_vm.unwrap_or(engine.overhead_per_vm),
            operation_limit: balancer.operation_limit.unwrap_or(engine.operation_limit),
            minimum_move: balancer.minimum_move.unwrap_or(engine.minimum_move),
            start_reservation: balancer.start_reservation.unwrap_or(engine.start_reservation),
            rate_window: balancer.rate_window.unwrap_or(engine.rate_window),
            average_pressure_window: balancer
                .average_pressure_window
                .unwrap_or(engine.average_pressure_window),
            report_timeout: balancer.report_timeout.unwrap_or(engine.report_timeout),
            ..engine
        },
        operation_time: HostOperationTime {
            base: host.operations.host_fixed.unwrap_or(host_time.base),
            per_mib: host.operations.host_per_mb.unwrap_or(host_time.per_mib),
        },
        dynamic_memory: vmms_host::DynamicMemoryConfig {
            versions: host
                .dynamic_memory_versions
                .iter()
                .map(|version| match version {
                    file::DynamicMemoryVersion::V0_3 => ProtocolVersion::V0_3,
                    file::DynamicMemoryVersion::V1_0 => ProtocolVersion::V1_0,
                    file::DynamicMemoryVersion::V2_0 => ProtocolVersion::V2_0,
                })
                .collect(),
            ..vmms_host::DynamicMemoryConfig::default()
        },
        bus: vmbus::control::server::ServerConfig::default()
            .with(|c| c.max_version = Version::new(host.vmbus_version.0, host.vmbus_version.1)),
        policy_limit: Some(POLICY_LIMIT),
        ..usual
    }
}

fn guest_times(operations: &file::Operations) -> Option<GuestOperationTimes> {
    let changed = [operations.guest_fixed, operations.guest_balloon_per_mb, operations.guest_add_per_mb];
    changed.iter().any(Option::is_some).then(|| {
        let time = |usual: OperationTime, per_mib: Option<Duration>| {
            let base = operations.guest_fixed.unwrap_or(usual.base);
            OperationTime::new(base, per_mib.unwrap_or(usual.per_mib))
        };
        GuestOperationTimes {
            balloon: time(OperationTime::BALLOON, operations.guest_balloon_per_mb),
            add: time(OperationTime::ADD, operations.guest_add_per_mb),
        }
    })
}
