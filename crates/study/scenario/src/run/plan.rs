//! What a run consists of, with every choice made: what a scenario file and a seed come to.

use std::sync::Arc;
use std::time::Duration;

use balancing_policy::MemorySettings;
use dm_vsc::Faults;
use guest_memory_manager::agent::AgentConfig;
use guest_memory_manager::trace::Trace;
use guest_memory_manager::workload::WorkloadConfig;
use guest_memory_manager::{GuestProfile, IntegrationServices, PageFileSize};
use page_range::PageCount;
use perf_counters::Epoch;
use vmms_host::HostConfig;

use crate::file::{Device, Disk, Patience, VmComponent};

/// A run, ready to go.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Name of the scenario.
    pub name: String,
    /// Name of the host, as the counters' paths show it.
    pub host_name: String,
    /// When virtual time 0 is.
    pub epoch: Epoch,
    /// The host.
    pub host: HostConfig,
    /// Its storage devices.
    pub devices: Vec<Device>,
    /// Name of the balancing policy.
    pub policy: String,
    /// Parameters of the policy, as in the scenario file.
    pub policy_parameters: toml::Table,
    /// The VMs, in order.
    pub vms: Vec<PlannedVm>,
    /// What is done from outside, in order of time.
    pub timeline: Vec<Step>,
    /// When the run ends at the latest.
    pub until: Duration,
    /// Time between two samples of the counters.
    pub sample_interval: Duration,
    /// The seed that all random choices come from.
    pub seed: u64,
    /// Recorded loads, if a workload plays one.
    pub trace: Option<Arc<Trace>>,
}

/// A VM of a run.
#[derive(Clone, Debug)]
pub struct PlannedVm {
    /// Its name.
    pub name: Arc<str>,
    /// Its operating system.
    pub profile: GuestProfile,
    /// The integration services in it.
    pub services: IntegrationServices,
    /// Virtual processors.
    pub vcpus: u32,
    /// Its page file.
    pub page_file: PageFileSize,
    /// Its virtual hard disks.
    pub disks: Vec<Disk>,
    /// What an agent in its guest measures.
    pub agent: AgentConfig,
    /// Its memory settings.
    pub settings: MemorySettings,
    /// How long its driver takes for an operation; `None`: as long as usual.
    pub operation_times: Option<GuestOperationTimes>,
}

/// How long a guest's driver takes for an operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GuestOperationTimes {
    /// To give pages away.
    pub balloon: dm_vsc::OperationTime,
    /// To take pages, back or new.
    pub add: dm_vsc::OperationTime,
}

/// Something done at some time.
#[derive(Clone, Debug)]
pub struct Step {
    /// When.
    pub at: Duration,
    /// What.
    pub action: Action,
}

/// What can be done from outside. VMs are named by their place in the plan.
#[derive(Clone, Debug)]
pub enum Action {
    /// Start a VM.
    Start {
        /// Which VM.
        vm: usize,
        /// Only while the host has less than this in use.
        while_host_used_below: Option<PageCount>,
        /// Whether, and how often, the operator asks again.
        patience: Patience,
    },
    /// Shut its guest down.
    ShutDown(usize),
    /// Switch it off.
    TurnOff(usize),
    /// Restart its guest from inside.
    Restart(usize),
    /// Reset it from outside.
    Reset(usize),
    /// Run a workload in its guest.
    Run {
        /// Which VM.
        vm: usize,
        /// How the workload is called.
        name: Arc<str>,
        /// What it is.
        workload: WorkloadConfig,
    },
    /// Have a workload give back what it holds.
    Unload {
        /// Which VM.
        vm: usize,
        /// Which workload.
        name: Arc<str>,
    },
    /// End a workload.
    End {
        /// Which VM.
        vm: usize,
        /// Which workload.
        name: Arc<str>,
    },
    /// Set, or take away, the registry value `MemoryReserve`.
    SetMemoryReserve(Option<PageCount>),
    /// Change a VM's memory settings.
    Configure {
        /// Which VM.
        vm: usize,
        /// From now on.
        settings: MemorySettings,
    },
    /// Give a guest's DM VSC these faults.
    SetFaults {
        /// Which VM.
        vm: usize,
        /// The faults; none of them to mend it.
        faults: Box<Faults>,
    },
    /// Crash a guest.
    Crash(usize),
    /// Have a guest send bytes at random on its channels.
    SendGarbage(usize),
    /// Have a guest close its channels.
    CloseChannels(usize),
    /// Have it open them again.
    ReopenChannels(usize),
    /// Make a component of a VM panic: a defect of this program, not of the guest.
    Panic(usize, VmComponent),
    /// A line in the story.
    Mark(String),
}
