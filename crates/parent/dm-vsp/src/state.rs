//! The state of a VSP: what the files above change, and what is saved and restored.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use core::time::Duration;

use dm_protocol::MessageType;
use page_range::{GuestPage, GuestRange, PageCount, RangeSet};

use crate::{
    GuestCapabilities, GuestPages, MapKind, OperationKind, Outcome, Output, ProtocolVersion, Statistics,
    VspConfig, Waiting,
};

/// The host's end of Dynamic Memory for one VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DmVsp {
    pub(crate) state: State,
    pub(crate) config: VspConfig,
}

/// All that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct State {
    pub(crate) pages: GuestPages,
    pub(crate) phase: Phase,
    pub(crate) operation: Option<Box<Operation>>,
    pub(crate) statistics: Statistics,
    pub(crate) hot_add: HotAddState,
    /// Maps asked for whose session ended before the answer: they are undone when it comes.
    pub(crate) undo: BTreeMap<u64, Undo>,
    pub(crate) next_ticket: u64,
    /// Number of the host's transactions.
    pub(crate) trans_id: u32,
    /// The guest did not answer in time, and has not answered since.
    pub(crate) unresponsive: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Undo {
    pub(crate) ranges: RangeSet<GuestPage>,
    pub(crate) kind: MapKind,
}

/// How far the conversation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) enum Phase {
    /// There is no channel.
    Closed,
    /// A version is being negotiated. No deadline: it has passed.
    Version { deadline: Option<Duration> },
    /// Capabilities are awaited.
    Capabilities { version: ProtocolVersion, deadline: Option<Duration> },
    /// The guest was refused; it is expected to close the channel.
    Refused,
    /// Nothing may be asked yet.
    Quiet { service: Service, until: Duration },
    /// Operations are possible.
    Ready { service: Service },
    /// The guest broke a rule; the channel is being closed.
    Failed,
}

/// What guest and host have agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Service {
    pub(crate) version: ProtocolVersion,
    pub(crate) capabilities: GuestCapabilities,
}

/// Whether memory can be hot-added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum HotAddState {
    /// Nothing is known that speaks against it.
    Available,
    /// The guest refused it for now.
    Later {
        /// Not to be tried before.
        not_before: Duration,
        /// How often in a row it refused.
        refusals: u32,
    },
    /// Not until the VM is reset.
    Over,
}

#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Operation {
    pub(crate) kind: OperationKind,
    pub(crate) requested: PageCount,
    pub(crate) ballooned: PageCount,
    pub(crate) unballooned: PageCount,
    pub(crate) hot_added: PageCount,
    pub(crate) unconfirmed: PageCount,
    pub(crate) step: Step,
}

/// What an operation waits for. A deadline is `None` once it has passed: then the answer is late.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(crate) enum Step {
    /// For the caller to map what is to be given back.
    MapUnballoon { ticket: u64, ranges: RangeSet<GuestPage> },
    /// For the guest to take it back.
    Unballoon { ranges: RangeSet<GuestPage>, deadline: Option<Duration> },
    /// For the caller to map new memory.
    MapHotAdd { ticket: u64, range: GuestRange },
    /// For the guest to accept it.
    HotAdd { range: GuestRange, deadline: Option<Duration> },
    /// For the guest to give pages; after its last answer, for the caller to release them.
    Balloon { asked: PageCount, given: PageCount, answered: bool, deadline: Option<Duration> },
    /// For the caller to answer what was asked of it; the end is decided.
    Ending { outcome: Outcome },
}

impl Step {
    pub(crate) fn deadline(&self) -> Option<Duration> {
        match self {
            Self::Unballoon { deadline, .. }
            | Self::HotAdd { deadline, .. }
            | Self::Balloon { deadline, .. } => *deadline,
            Self::MapUnballoon { .. } | Self::MapHotAdd { .. } | Self::Ending { .. } => None,
        }
    }

    pub(crate) fn deadline_mut(&mut self) -> Option<&mut Duration> {
        match self {
            Self::Unballoon { deadline, .. }
            | Self::HotAdd { deadline, .. }
            | Self::Balloon { deadline, .. } => deadline.as_mut(),
            Self::MapUnballoon { .. } | Self::MapHotAdd { .. } | Self::Ending { .. } => None,
        }
    }

    /// What was not done in time, if time has just run out.
    pub(crate) fn expire(&mut self, now: Duration) -> Option<Waiting> {
        let (deadline, waiting_for) = match self {
            Self::Unballoon { deadline, .. } => (deadline, Waiting::Unballoon),
            Self::HotAdd { deadline, .. } => (deadline, Waiting::HotAdd),
            Self::Balloon { deadline, .. } => (deadline, Waiting::Balloon),
            Self::MapUnballoon { .. } | Self::MapHotAdd { .. } | Self::Ending { .. } => return None,
        };
        deadline.take_if(|deadline| *deadline <= now).map(|_| waiting_for)
    }

    /// The answer that it waits for.
    pub(crate) fn awaits(&self) -> Option<MessageType> {
        match self {
            Self::Unballoon { .. } => Some(MessageType::UNBALLOON_RESPONSE),
            Self::HotAdd { .. } => Some(MessageType::MEM_HOT_ADD_RESPONSE),
            Self::Balloon { answered: false, .. } => Some(MessageType::BALLOON_RESPONSE),
            _ => None,
        }
    }
}

impl Operation {
    pub(crate) fn done(&self) -> PageCount {
        self.ballooned + self.unballooned + self.hot_added
    }

    pub(crate) fn finished(self, outcome: Outcome) -> Output {
        Output::Finished {
            kind: self.kind,
            requested: self.requested,
            done: self.done(),
            unballooned: self.unballooned,
            hot_added: self.hot_added,
            unconfirmed: self.unconfirmed,
            outcome,
        }
    }
}

impl DmVsp {
    pub(crate) fn service(&self) -> Option<Service> {
        match self.state.phase {
            Phase::Quiet { service, .. } | Phase::Ready { service } => Some(service),
            _ => None,
        }
    }

    /// A transaction with the guest is complete.
    pub(crate) fn next_transaction(&mut self) {
        self.state.trans_id = self.state.trans_id.wrapping_add(1);
    }

    pub(crate) fn new_ticket(&mut self) -> u64 {
        let ticket = self.state.next_ticket;
        self.state.next_ticket = ticket.wrapping_add(1);
        ticket
    }
}
