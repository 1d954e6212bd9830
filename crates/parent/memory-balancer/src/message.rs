//! What goes into the balancer and what comes out.

use core::time::Duration;
use std::sync::Arc;

use balancing_policy::{GuestInsight, GuestStatus, PageCount, ParentState, Reason, VmId};
use page_range::HostFrames;
use serde::{Serialize, Serializer};

use crate::origins::Origin;

/// An operation on one VM's memory. Never used twice in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct OperationId(pub u64);

/// What the balancer is told. Recorded with the runs of the frames, not the frames.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// A registered VM is to start. Answered at once by [`Output::Admitted`] or [`Output::StartRefused`].
    StartRequest {
        /// Which VM.
        vm: VmId,
    },
    /// A registered VM runs already, and has its startup RAM, whatever the books say. Admitted as if it had started: where the pool has too
    /// little the reserve gives, and is made complete again out of the VMs. Refused like a start if both together are not
    /// enough.
    TakeOver {
        /// Which VM.
        vm: VmId,
    },
    /// A VM that waits to restart need not start any more, or no memory need be collected for one whose start was refused.
    StartCancelled {
        /// Which VM.
        vm: VmId,
    },
    /// The worker has mapped the startup RAM; the guest boots.
    VmStarted {
        /// Which VM.
        vm: VmId,
    },
    /// The VM has ended, one way or another. Its frames come home by themselves ([`Input::FramesHome`]), before or after.
    VmStopped {
        /// Which VM.
        vm: VmId,
    },
    /// The VM has ended and starts again at once (its guest rebooted, say): [`Input::VmStopped`] and
    /// [`Input::StartRequest`] in one. No other VM gets what was this VM's own, up to its startup RAM.
    VmRestarts {
        /// Which VM.
        vm: VmId,
    },
    /// The guest has joined Dynamic Memory (its capabilities are accepted and operations may be asked for).
    Joined {
        /// Which VM.
        vm: VmId,
        /// Multiple in which memory is hot-added.
        granule: PageCount,
        /// Whether memory can be taken from it.
        balloon: bool,
        /// Whether memory can be hot-added to it.
        hot_add: bool,
    },
    /// The guest has left Dynamic Memory (its channel closed). What it has ballooned is stranded: neither returned nor
    /// asked for again. An operation under way is over only with its [`Input::OperationFinished`].
    Left {
        /// Which VM.
        vm: VmId,
    },
    /// A status report.
    Status {
        /// Which VM.
        vm: VmId,
        /// What the guest says.
        status: GuestStatus,
        /// What is ballooned and can be returned, by the host's own books.
        returnable: PageCount,
    },
    /// The operation asked for has ended.
    OperationFinished {
        /// Which VM.
        vm: VmId,
        /// Which operation.
        operation: OperationId,
        /// What came of it.
        done: Done,
        /// What is ballooned and can be returned now, by the host's own books.
        returnable: PageCount,
    },
    /// Frames that the VM gave back, in the middle of an operation or outside one (a late answer).
    Returned {
        /// Which VM.
        vm: VmId,
        /// The frames.
        #[serde(serialize_with = "runs")]
        frames: HostFrames,
    },
    /// Whether the guest answers. A VM whose guest does not is set aside until the guest does.
    Responsive {
        /// Which VM.
        vm: VmId,
        /// Whether it does.
        responsive: bool,
    },
    /// How the parent OS fares.
    ParentState(ParentState),
    /// Frames whose owner was dropped, collected from the host's memory.
    FramesHome(#[serde(serialize_with = "runs")] HostFrames),
    /// The reserve of the parent OS is set anew (`MemoryReserve`).
    SetReserve(PageCount),
    /// [`Balancer::next_timeout`](crate::Balancer::next_timeout) has come.
    Timer,
    /// What an agent in the guest has measured.
    Insight {
        /// Which VM.
        vm: VmId,
        /// What it says.
        measured: GuestInsight,
    },
}

/// What came of an operation.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// Of a [`Output::Grant`].
    Grown {
        /// Pages that the VM has now (unballooned or hot-added, and kept).
        mapped: PageCount,
        /// Frames of the grant that it did not get.
        #[serde(serialize_with = "runs")]
        returned: HostFrames,
        /// The guest takes no more hot-add until it joins anew or restarts.
        barrier: bool,
    },
    /// Of a [`Output::Shrink`].
    Shrunk {
        /// Pages that the VM does not have any more, besides those that came with [`Input::Returned`] before.
        released: PageCount,
        /// Their frames. What is missing comes home by itself.
        #[serde(serialize_with = "runs")]
        returned: HostFrames,
    },
}

/// What the balancer wants done, or recorded.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// The VM may start, with these frames: its startup RAM. Its overhead is kept back.
    Admitted {
        /// Which VM.
        vm: VmId,
        /// Its startup RAM; less if it restarts on a host with Smart Paging that has no more.
        #[serde(serialize_with = "runs")]
        frames: HostFrames,
        /// How long it waited.
        waited: Duration,
    },
    /// A VM that restarts has less than it starts with: memory is collected for it, and it starts when all is there.
    RestartWaits {
        /// Which VM.
        vm: VmId,
        /// Startup RAM and overhead.
        required: PageCount,
        /// What there was for it.
        available: PageCount,
        /// When it is refused if there is not enough by then.
        until: Duration,
    },
    /// The VM cannot start (Hyper-V's events 3122 and 19544 name the numbers).
    StartRefused {
        /// Which VM.
        vm: VmId,
        /// Startup RAM and overhead.
        required: PageCount,
        /// What there was for it.
        available: PageCount,
        /// Until when memory is collected for it, for another request; `None` if there is no way to have enough.
        reserved_until: Option<Duration>,
    },
    /// The VM whose start was refused has not been asked to start again: what was collected for it is everybody's.
    ReservationEnded {
        /// Which VM.
        vm: VmId,
    },
    /// Give the VM these frames: in transit until [`Input::OperationFinished`].
    Grant {
        /// Which VM.
        vm: VmId,
        /// The operation.
        operation: OperationId,
        /// The frames. Whether the guest gets them back from its balloon or as new memory is for the worker to decide.
        #[serde(serialize_with = "runs")]
        frames: HostFrames,
        /// What they are for: to bring the VM to this.
        target: PageCount,
    },
    /// Take this much from the VM.
    Shrink {
        /// Which VM.
        vm: VmId,
        /// The operation.
        operation: OperationId,
        /// How much.
        pages: PageCount,
    },
    /// Memory has become a VM's, of a grant or of its start: for the record.
    Moved {
        /// Which VM.
        vm: VmId,
        /// The grant; `None`: the VM starts, with its startup RAM and its overhead.
        operation: Option<OperationId>,
        /// From where it came: each source once, in ascending order.
        origins: Vec<Origin>,
    },
    /// A target was set: for the record.
    Decision(Decision),
    /// A round found another state of the host than the round before: for the record.
    Round {
        /// The round, from 1.
        number: u64,
        /// What the policy said moved it.
        summary: Reason,
    },
    /// The policy lost this round; the last targets hold.
    PolicyFailed {
        /// The policy.
        policy: Arc<str>,
        /// What happened.
        message: String,
    },
    /// An input did not fit what the balancer knows. The balancer has taken from it what made sense.
    Fault(Fault),
}

/// A target, where it comes from, and what the engine changed about it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Decision {
    /// Which VM.
    pub vm: VmId,
    /// The round, from 1.
    pub round: u64,
    /// What it has.
    pub assigned: PageCount,
    /// What it is to have.
    pub target: PageCount,
    /// What the policy proposed.
    pub proposed: PageCount,
    /// Why.
    pub reason: Reason,
    /// What the engine corrected.
    pub correction: Option<Correction>,
}

/// What was wrong with a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Correction {
    /// Below what the VM can be brought to now.
    BelowLowest,
    /// Above what the VM can be brought to now.
    AboveHighest,
    /// All targets together were above the host's capacity.
    OverCapacity,
}

/// An input that did not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The VM is not registered.
    #[error("VM {} is not registered", .0.0)]
    NotRegistered(VmId),
    /// The VM is running, or waits to start.
    #[error("VM {} is running, or waits to start", .0.0)]
    NotOff(VmId),
    /// The VM is not running.
    #[error("VM {} is not running", .0.0)]
    NotRunning(VmId),
    /// The VM is not busy with that operation.
    #[error("VM {} is not busy with operation {}", .vm.0, .operation.0)]
    NoSuchOperation {
        /// Which VM.
        vm: VmId,
        /// The operation named.
        operation: OperationId,
    },
    /// More came of an operation than was asked for, or another kind of thing.
    #[error("operation {} of VM {} ended with more than was asked for", .operation.0, .vm.0)]
    BeyondOperation {
        /// Which VM.
        vm: VmId,
        /// The operation.
        operation: OperationId,
    },
    /// A VM gave back more than it had.
    #[error("VM {} gave back more than it had", .0.0)]
    MoreThanItHad(VmId),
    /// Frames of another host's memory came in; they were sent to their own home.
    #[error("frames of another host's memory came in")]
    ForeignFrames,
}

fn runs<S: Serializer>(frames: &HostFrames, serializer: S) -> Result<S::Ok, S::Error> {
    frames.runs().serialize(serializer)
}
