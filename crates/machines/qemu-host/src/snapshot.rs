//! A host of QEMU guests at one moment, for whoever looks at it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use balancing_policy::{GuestStatus, MemorySettings, PageCount, Phase, Target, VmId};
use memory_balancer::{Ledger, SystemCounters, VmCounters};

use crate::pressure::HostMemoryState;
use crate::session::Facts;

/// Where the QEMU of a VM is.
pub type Place = PathBuf;

/// Everything at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Time since the run began.
    pub now: Duration,
    /// The accounts of the host's memory.
    pub ledger: Ledger,
    /// The policy.
    pub policy: Arc<str>,
    /// What the host says of its memory.
    pub host: Option<HostMemoryState>,
    /// All memory of the host.
    pub total: PageCount,
    /// What the reserve is to be.
    pub reserve: PageCount,
    /// The VMs together need more than there is for them.
    pub shortage: bool,
    /// The balancer's counters.
    pub system: SystemCounters,
    /// Every VM that is known, by name.
    pub vms: Vec<VmSnapshot>,
    /// Where there may be VMs that cannot be looked after, and why.
    pub troubles: Vec<(Place, Arc<str>)>,
}

/// A VM at one moment.
#[derive(Clone, Debug)]
pub struct VmSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// Its number with the balancer, once it has one.
    pub vm: Option<VmId>,
    /// What was found out.
    pub facts: Arc<Facts>,
    /// Its settings.
    pub settings: MemorySettings,
    /// What its worker sees.
    pub seen: Seen,
    /// What it is charged with; nothing while the balancer does not have it.
    pub assigned: Option<PageCount>,
    /// What it is to have, and why.
    pub target: Option<Target>,
    /// How far it has got with the balancer, and what the balancer has counted of it.
    pub counted: Option<(Phase, VmCounters)>,
    /// Whether it waits for memory to be found for what it has already.
    pub waits: bool,
}

/// How a VM is, written by its worker and looked at by the management: nobody is woken by a report.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedSeen(Arc<Mutex<Seen>>);

impl SharedSeen {
    pub(crate) fn look(&self) -> MutexGuard<'_, Seen> {
        // No code that can panic runs under it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a VM is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// What the VM has by QEMU's word.
    pub actual: PageCount,
    /// The newest report, and when it was heard.
    pub report: Option<(Duration, GuestStatus)>,
    /// How often its guest is asked what it needs.
    pub asked_every: Duration,
    /// What keeps the VM's memory from being moved, if something does.
    pub held: Option<Arc<str>>,
}
