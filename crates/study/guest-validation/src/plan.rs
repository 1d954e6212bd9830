//! The plan that both halves run.

use std::time::Duration;

use balancing_policy::MemorySettings;
use dm_vsc::OperationTime;
use dm_vsp::ProtocolVersion;
use guest_memory_manager::agent::AgentConfig;
use guest_memory_manager::workload::{FileReads, Look, ProgramConfig, WorkloadConfig};
use guest_memory_manager::{GuestProfile, IntegrationServices, PageFileSize, find_profile};
use page_range::PageCount;
use scenario::file::{Device, Disk, DiskKind, Patience};
use scenario::run::Plan;
use scenario::run::plan::{Action, GuestOperationTimes, PlannedVm, Step};
use storage_device::DeviceConfig;
use vmms_host::parent_os::ParentOsConfig;
use vmms_host::{DynamicMemoryConfig, HostConfig, HostEdition, HostOperationTime};

use crate::load::{Load, VmLoad};

/// The profile that is held against a real guest.
const PROFILE: &str = "linux-measured";
/// When the load of a simulated guest begins: its driver keeps quiet for 45 s after boot.
pub const BEGINS: Duration = Duration::from_secs(90);
/// When VMs are started after the whole second in which samples are taken, and so when their drivers report: in a real run the two have nothing to do
/// with each other, so in the middle between two samples.
const PHASE: Duration = Duration::from_millis(500);
/// Most memory in one operation of the balancer, as for real guests.
const OPERATION_LIMIT: PageCount = PageCount::from_mib(128);
/// How long the measured guest takes to take memory, and to give it (inferred: `cargo xtask bench guest` measured it inside an emulated machine).
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
    let starts = (0..load.vms.len()).map(|vm| Step {
        at: PHASE,
        action: Action::Start { vm, while_host_used_below: None, patience: Patience::NONE },
    });
    let programs = load.vms.iter().enumerate().map(|(vm, of)| Step {
        at: BEGINS,
        action: Action::Run { vm, name: "load".into(), workload: WorkloadConfig::Program(program(of)) },
    });
    Ok(Plan {
        name: format!("validation-{}", load.name),
        host_name: "HOST".to_owned(),
        epoch: "2011-02-22T09:00:00Z".parse()?,
        host: host(load),
        devices: if load.vms.iter().any(VmLoad::has_disks) { devices() } else { Vec::new() },
        policy: "hyperv".to_owned(),
        policy_parameters: toml::Table::new(),
        vms: load.vms.iter().enumerate().map(|(place, vm)| planned(place, vm, profile)).collect(),
        timeline: starts.chain(programs).collect(),
        until: BEGINS + Duration::from_secs(load.length),
        sample_interval: Duration::from_secs(1),
        seed: 1,
        trace: None,
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
        page_file: PageFileSize::Fixed(mib(vm.swap)),
        disks: if vm.has_disks() { vec![disk(0), disk(1)] } else { Vec::new() },
        settings: MemorySettings::dynamic(mib(vm.startup), mib(vm.maximum)).with_minimum(mib(vm.minimum)),
        operation_times: Some(TIMES),
        agent: AgentConfig::default(),
    }
}

/// One disk for files and one for swap, each on a device of its own.
fn disk(device: usize) -> Disk {
    Disk { device, size: DISK, kind: DiskKind::Fixed }
}

/// Large enough for the files and the swap of any load.
const DISK: PageCount = PageCount::from_mib(1024);

/// What the disks of the real half are: files in the memory of the emulated machine, which no arm keeps waiting.
fn devices() -> Vec<Device> {
    let device = |name: &str, latency| {
        let config = DeviceConfig {
            spindles: 1,
            iops: f64::from(1 << 20),
            bytes_per_second: f64::from(1 << 30),
            cache_bytes: 0,
            latency,
            ..DeviceConfig::default()
        };
        Device { name: name.to_owned(), config }
    };
    vec![device("files", FILE_REQUEST), device("swap", SWAP_REQUEST)]
}

/// How long the device takes for a request of files (inferred: the part `disks` of the record measures 0.7 ms for 256 KB).
const FILE_REQUEST: Duration = Duration::from_micros(700);
/// How long it takes for one of swap (inferred, with the recorded load `swap` in view: there 14 MB of swapped pages come back in 5 s, of which
/// nearly all is the emulated processor's, a fault for each few pages).
const SWAP_REQUEST: Duration = Duration::from_millis(15);

/// How much the measured guest takes apart in a second of what its programs let go of (inferred, from the recorded load `steps`: one report
/// has 25 MB of 350 free, and the next all of them, so at least 325. The time is an emulated processor's).
const RELEASE: PageCount = PageCount::from_mib(400);

/// What a VM's programs do, second by second.
fn program(vm: &VmLoad) -> ProgramConfig {
    let mib = PageCount::from_mib;
    ProgramConfig {
        // A program that swaps is one that does not touch most of what it keeps.
        active_share: if vm.swap > 0 { 0.0 } else { 1.0 },
        reads: vm
            .reads
            .iter()
            .map(|reads| FileReads {
                from: reads.from,
                until: reads.until,
                per_second: mib(reads.per_second),
                all: mib(vm.files),
            })
            .collect(),
        looks: vm.looks.iter().map(|&(at, much)| Look { at, pages: mib(much) }).collect(),
        release_per_second: Some(RELEASE),
        ..ProgramConfig::keeping(vm.keeps.iter().map(|&(at, kept)| (at, mib(kept))).collect())
    }
}
