//! What the components of a host of QEMU guests say to each other, beside what they say to the balancer.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use balancing_policy::VmId;
use page_range::{HostFrames, PageCount};

use crate::rules::Rules;
use crate::session::{Facts, Useless};
use crate::snapshot::Snapshot;

/// A worker, for as long as it lives. Never used twice in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WorkerId(pub u64);

/// To the management of the host.
#[derive(Debug)]
pub enum HostMessage {
    /// A worker knows its VM.
    Found {
        /// Which worker.
        worker: WorkerId,
        /// What was found.
        facts: Facts,
    },
    /// There may be a VM, and it cannot be reached: why.
    Trouble {
        /// Which worker.
        worker: WorkerId,
        /// Why.
        why: String,
    },
    /// The VM's guest has more than the VM's account: 0 when that is over.
    Overrun {
        /// Which worker.
        worker: WorkerId,
        /// By how much.
        pages: PageCount,
    },
    /// There is no QEMU any more; the worker stops.
    Gone {
        /// Which worker.
        worker: WorkerId,
    },
    /// The VM cannot be looked after; the worker stops.
    Useless {
        /// Which worker.
        worker: WorkerId,
        /// Why.
        why: Useless,
    },
    /// From whoever runs the daemon.
    Command(HostCommand),
}

/// What whoever runs the daemon asks of it.
#[derive(Clone, Debug)]
pub enum HostCommand {
    /// The rules for VMs and host have changed.
    Rules(Arc<dyn Rules>),
    /// Nothing is moved any more, or again.
    Pause(bool),
    /// How everything is at this moment, to there.
    Look(SyncSender<Arc<Snapshot>>),
}

/// To a worker.
#[derive(Debug)]
pub(crate) enum QemuMessage {
    /// The VM is looked after from now on. Its account are these frames.
    Adopt {
        /// The VM's number with the balancer.
        vm: VmId,
        /// Frames as many as the VM has pages.
        frames: HostFrames,
    },
    /// Nothing is asked of the VM from now on, and why; or again.
    Hold(Option<&'static str>),
    /// Whether the host is short, so that every guest is asked every second.
    Hurry(bool),
}
