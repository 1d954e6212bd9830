//! What the components of the parent partition say to each other.

use std::sync::Arc;
use std::time::Duration;

use balancing_policy::{MemorySettings, VmId};
use component_runtime::{Address, ExitNotice};
use machine_contract::Heartbeat;
use memory_balancer::OperationId;
use page_range::{HostFrames, PageCount};

use crate::event_log::LogEntry;

/// To a VM's worker.
#[derive(Debug)]
pub enum WorkerMessage {
    /// Give the guest this memory.
    Grant {
        /// The operation, to be named at its end.
        operation: OperationId,
        /// The memory.
        frames: HostFrames,
    },
    /// Take this much from the guest.
    Shrink {
        /// The operation, to be named at its end.
        operation: OperationId,
        /// How much.
        pages: PageCount,
    },
    /// Ask the guest to shut down.
    ShutDown,
    /// Switch the VM off.
    TurnOff,
    /// Reset the VM.
    Reset,
    /// Take the channel of Dynamic Memory back.
    RescindDynamicMemory,
    /// Offer it again.
    OfferDynamicMemory,
    /// Panic: the worker itself is broken (for tests of what that costs others).
    Panic,
}

/// How a VM ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerEnd {
    /// As it was asked to, by its guest or from outside.
    Orderly,
    /// The worker could not go on: why.
    Failed(String),
    /// Its guest restarts, and the VM has less memory than it starts with. The VM ends, and starts again when the balancer has
    /// found the rest. (Smart Paging, which bridges that time, came with Windows Server 2012.)
    Restart,
}

/// To the memory balancer.
#[derive(Debug)]
pub enum BalancerMessage {
    /// A VM exists from now on.
    Register {
        /// Its identity.
        vm: VmId,
        /// Its name.
        name: Arc<str>,
        /// Its settings.
        settings: MemorySettings,
    },
    /// A VM has another worker from now on, or none.
    Worker {
        /// Which VM.
        vm: VmId,
        /// Its worker.
        worker: Option<Address<WorkerMessage>>,
    },
    /// The VM's memory settings change.
    Configure {
        /// Which VM.
        vm: VmId,
        /// The settings from now on.
        settings: MemorySettings,
    },
    /// Everything else that the balancer's engine is told.
    Input(memory_balancer::Input),
}

/// What an administrator, or a script, asks of the management service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmmsCommand {
    /// Start a VM.
    Start(VmId),
    /// Ask its guest to shut down; after a while, switch it off.
    ShutDown(VmId),
    /// Switch a VM off.
    TurnOff(VmId),
    /// Restart the guest.
    Reset(VmId),
    /// Take the channel of Dynamic Memory back from a VM's guest: the offer is rescinded. The guest keeps what it has.
    RescindDynamicMemory(VmId),
    /// Offer the channel of Dynamic Memory again, to a guest from which it was taken back.
    OfferDynamicMemory(VmId),
    /// Make the VM's worker panic (for tests of what that costs others).
    PanicWorker(VmId),
    /// Set the reserve of the parent OS (registry value `MemoryReserve`); `None` takes the value away.
    SetMemoryReserve(Option<PageCount>),
    /// Change a VM's memory settings.
    Configure(VmId, MemorySettings),
}

/// To the management service.
#[derive(Debug)]
pub enum VmmsMessage {
    /// From an administrator or a script.
    Command(VmmsCommand),
    /// The balancer: the VM may start, with this memory.
    Admitted {
        /// Which VM.
        vm: VmId,
        /// Its startup RAM.
        frames: HostFrames,
    },
    /// The balancer: the VM restarts, and has less than it starts with; it waits for the rest.
    RestartWaits {
        /// Which VM.
        vm: VmId,
        /// What it needs.
        required: PageCount,
        /// What there was.
        available: PageCount,
    },
    /// The balancer: the VM cannot start.
    StartRefused {
        /// Which VM.
        vm: VmId,
        /// What it needs.
        required: PageCount,
        /// What there was.
        available: PageCount,
        /// Until when memory is collected for it, in case that it is asked to start again.
        reserved_until: Option<Duration>,
    },
    /// The balancer: so much of the host's memory is with VMs, or on its way to them or from them. What is set aside for a
    /// start is not counted: the parent OS still has it.
    Given(PageCount),
    /// The worker: this belongs into the event log.
    Log {
        /// Which VM.
        vm: VmId,
        /// The entry.
        entry: LogEntry,
    },
    /// The worker: the login screen is shown.
    LoggedIn(VmId),
    /// The worker: whether the guest lives is seen otherwise than before.
    Heartbeat(VmId, Heartbeat),
    /// The worker: the guest's driver and the host speak no common version of Dynamic Memory.
    DynamicMemoryRefused {
        /// Which VM.
        vm: VmId,
        /// What the driver proposes, what the host speaks, and what to do.
        why: String,
    },
    /// The worker has ended the VM, in an orderly way, or since it could not go on.
    Ended {
        /// Which VM.
        vm: VmId,
        /// The VM's start that it belonged to.
        generation: u64,
        /// How.
        end: WorkerEnd,
    },
    /// A component of a VM is gone.
    Exited {
        /// Which VM.
        vm: VmId,
        /// The VM's start that it belonged to.
        generation: u64,
        /// What the runtime says.
        notice: ExitNotice,
    },
}
