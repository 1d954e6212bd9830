//! The plan that both halves run.

use std::sync::Arc;
use std::time::Duration;

use balancing_policy::MemorySettings;
use dm_vsc::OperationTime;
use dm_vsp::ProtocolVersion;
use guest_memory_manager::agent::AgentConfig;
use guest_memory_manager::trace::{Sample, Trace, VmTrace};
use guest_memory_manager::workload::{PlaybackConfig, WorkloadConfig};
use guest_memory_manager::{GuestProfile, IntegrationServices, PageFileSize, find_profile};
use page_range::PageCount;
use scenario::file::Patience;
use scenario::run::Plan;
use scenario::run::plan::{Action, GuestOperationTimes, PlannedVm, Step};
use vmms_host::parent_os::ParentOsConfig;
use vmms_host::{DynamicMemoryConfig, HostConfig, HostEdition, HostOperationTime};

use crate::load::{Load, VmLoad};

/// The profile that is held against a real guest.
const PROFILE: &str = "linux-measured";
/// When the load of a simulated guest begins: its driver keeps quiet for 45 s after boot.
pub const BEGINS: Duration = Duration::from_secs(90);
/// Most memory in one operation of the balancer, as for real guests.
const OPERATION_LIMIT: PageCount = PageCount::from_mib(128);
/// How long the measured guest takes to take memory, and to give it (measured: `cargo xtask bench guest`, inside an emulated machine).
const TIMES: GuestOperationTimes = GuestOperationTimes {
    balloon: OperationTime::new(Duration::from_millis(40), Duration::from_micros(650)),
    add: OperationTime::new(Duration::from_millis(40), Duration::from_micros(330)),
};

/// The host that both kinds of guests run on.
fn host(load: &Load) -> HostConfig {
    let mut host = HostConfig::new(PageCount::from_mib(load.host));
    host.memory_reserve = Some(PageCount::ZERO);
    host.edition = HostEdition::Unlimited;
    // The parent of the real half is a real one: its paging is not modelled, and its work takes the time that it takes.
    host.parent_os = ParentOsConfig { trimming: false, reads_idle: 0.0, ..ParentOsConfig::default() };
    host.operation_time = HostOperationTime { base: Duration::ZERO, per_mib: Duration::ZERO };
    host.balancer.operation_limit = OPERATION_LIMIT;
    host.dynamic_memory = DynamicMemoryConfig {
        versions: vec![ProtocolVersion::V0_3, ProtocolVersion::V1_0, ProtocolVersion::V2_0],
        quiet_period: Duration::ZERO,
        ..DynamicMemoryConfig::default()
    };
    host.shutdown_timeout = Duration::from_secs(20);
    host
}

/// The load as a plan: VMs are started, and their programs follow the load from [`BEGINS`] on. A run with machines of its own leaves the
/// profile and the programs to these.
///
/// # Errors
/// None that a user could bring about: what it looks up by name is this project's own.
pub fn plan(load: &Load) -> Result<Plan, Box<dyn std::error::Error + Send + Sync>> {
    let profile = *find_profile(PROFILE)?;
    let mut trace = Trace::default();
    for (place, vm) in load.vms.iter().enumerate() {
        if let Some(recording) = recording(load, vm) {
            trace.insert(&name(place), recording);
        }
    }
    let starts = (0..load.vms.len()).map(|vm| Step {
        at: Duration::ZERO,
        action: Action::Start { vm, while_host_used_below: None, patience: Patience::NONE },
    });
    let programs = (0..load.vms.len()).map(|vm| Step {
        at: BEGINS / 2,
        action: Action::Run {
            vm,
            name: "load".into(),
            workload: WorkloadConfig::Trace(PlaybackConfig {
                step: Duration::from_secs(1),
                whole_guest: false,
                ..PlaybackConfig::new(name(vm))
            }),
        },
    });
    Ok(Plan {
        name: format!("validation-{}", load.name),
        host_name: "HOST".to_owned(),
        epoch: "2011-02-22T09:00:00Z".parse()?,
        host: host(load),
        devices: Vec::new(),
        policy: "hyperv".to_owned(),
        policy_parameters: toml::Table::new(),
        vms: load.vms.iter().enumerate().map(|(place, vm)| planned(place, vm, profile)).collect(),
        timeline: starts.chain(programs).collect(),
        until: BEGINS + Duration::from_secs(load.length),
        sample_interval: Duration::from_secs(1),
        seed: 1,
        trace: Some(Arc::new(trace)),
    })
}

/// The name of a load's VM.
pub(crate) fn name(place: usize) -> String {
    format!("VM{}", place + 1)
}

fn planned(place: usize, vm: &VmLoad, profile: GuestProfile) -> PlannedVm {
    let mib = PageCount::from_mib;
    PlannedVm {
        name: name(place).into(),
        profile,
        services: IntegrationServices::Current,
        vcpus: 1,
        page_file: PageFileSize::Fixed(PageCount::ZERO),
        disks: Vec::new(),
        settings: MemorySettings::dynamic(mib(vm.startup), mib(vm.maximum)).with_minimum(mib(vm.minimum)),
        operation_times: Some(TIMES),
        agent: AgentConfig::default(),
    }
}

/// What a VM's programs keep, second by second, on the clock of the run.
fn recording(load: &Load, vm: &VmLoad) -> Option<VmTrace> {
    let sample = |second: u64| Sample {
        time: BEGINS + Duration::from_secs(second),
        provisioned: PageCount::from_mib(vm.maximum),
        used: PageCount::from_mib(vm.at(second)),
        cpu: 0.0,
    };
    VmTrace::new((0..=load.length).map(sample).collect())
}
