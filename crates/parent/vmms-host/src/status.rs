//! What the management service shows: the states of the VMs, the parent OS's memory, the event log.

use std::sync::Arc;
use std::time::Duration;

use machine_contract::Heartbeat;
use model_sync::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};

use crate::event_log::EventLog;

/// Where a VM is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VmState {
    /// The VM has no memory and does not run.
    #[default]
    Off,
    /// The VM waits for memory.
    Starting,
    /// The VM runs.
    Running,
    /// The VM's guest was asked to shut down.
    Stopping,
    /// The VM ended without being asked to, and may be started again.
    Failed,
}

/// How a VM stands.
#[derive(Clone, Debug, Default)]
pub struct VmStatus {
    /// The VM's state.
    pub state: VmState,
    /// When the VM was last asked to start; for one whose start was refused, the first time since it last had memory.
    pub asked_at: Option<Duration>,
    /// When the VM got its memory.
    pub started_at: Option<Duration>,
    /// When the guest showed its login screen.
    pub login_at: Option<Duration>,
    /// When, since the VM was last started, the host first refused the last version of Dynamic Memory that the guest's driver
    /// proposes, and why, in words: the VM keeps its startup RAM.
    pub dynamic_memory_refused: Option<(Duration, String)>,
    /// Whether the guest lives, as its heartbeat shows; `None` for a VM that is off, or without that service.
    pub heartbeat: Option<Heartbeat>,
    /// How often the VM was started.
    pub starts: u32,
    /// How often a start failed.
    pub failed_starts: u32,
    /// How often the VM ended without being asked to.
    pub failures: u32,
}

/// The parent OS.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ParentStatus {
    /// Memory in use, MiB.
    pub in_use_mib: f64,
    /// Free memory, MiB.
    pub free_mib: f64,
    /// Page-file reads per second.
    pub reads_per_second: f64,
    /// Page-file reads since the start.
    pub reads_total: u64,
    /// How much longer the host's own work takes (1 = not at all).
    pub slowdown: f64,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct HostStatus {
    /// By index of the VM's id.
    pub vms: Vec<VmStatus>,
    /// The parent OS.
    pub parent: ParentStatus,
    /// The event log.
    pub event_log: EventLog,
}

impl HostStatus {
    /// How many VMs have memory, or wait for it.
    #[must_use]
    pub fn active(&self) -> usize {
        self.vms
            .iter()
            .filter(|vm| matches!(vm.state, VmState::Starting | VmState::Running | VmState::Stopping))
            .count()
    }
}

/// The status, shared with its readers.
#[derive(Clone, Debug, Default)]
pub struct SharedStatus(Arc<Mutex<HostStatus>>);

impl SharedStatus {
    /// Looks at it, or (vmms) changes it.
    pub fn look(&self) -> MutexGuard<'_, HostStatus> {
        self.0.lock()
    }
}
