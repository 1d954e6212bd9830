//! What goes into a VSP and what comes out.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use dm_protocol::{Capabilities, MessageType};
use page_range::{GuestPage, PageBalance, PageCount, PageCounter, RangeSet};

use crate::{ProtocolVersion, Violation};

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Input {
    /// The guest opened the channel.
    ChannelOpened,
    /// The channel is closed, by the guest or by the host.
    ChannelClosed,
    /// A packet's payload from the guest.
    Packet(Vec<u8>),
    /// Give the guest this many pages: first what it gave away, exactly, then new memory in whole granules of the guest.
    /// What is left of less than a granule is not done: a caller that would rather give more rounds up itself
    /// ([`GuestCapabilities::granule`], [`crate::GuestPages::ballooned`]).
    Grow {
        /// How many.
        pages: PageCount,
    },
    /// Take this many pages from the guest.
    Shrink {
        /// How many.
        pages: PageCount,
    },
    /// Answer to [`Output::Map`]: all of the ranges are mapped, or none.
    Mapped {
        /// The ticket of the request.
        ticket: u64,
        /// Whether they are.
        result: Result<(), MapRefused>,
    },
    /// Answer to [`Output::Release`]: all of the ranges are unmapped, or none.
    Released {
        /// The ticket of the request.
        ticket: u64,
        /// Whether they are.
        result: Result<(), ReleaseRefused>,
    },
    /// The VM was reset (a reboot of the guest, too): its memory is boot RAM again, all of it mapped and nothing else,
    /// and its channel is closed.
    Reset,
    /// Another operating system runs in the VM, which was not reset (kexec, kdump): the guest unloaded the bus and made contact
    /// anew, and its channel is closed. The new system does not know what the one before it gave away. Not for a driver that
    /// is unloaded and loaded again: such a driver knows.
    GuestReplaced,
    /// The time that [`crate::DmVsp::next_timeout`] named has come. Harmless at any other time.
    Timer,
}

/// Why guest pages were not mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum MapRefused {
    /// There are not enough host frames.
    NoFrames,
    /// Some of the pages are mapped already, or cannot be mapped there.
    NotPossible,
}

/// Why guest pages were not released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum ReleaseRefused {
    /// Some of the pages are pinned: they are part of a live GPADL, such as the guest's own ring.
    Pinned,
    /// Some of the pages are not mapped.
    NotMapped,
    /// The host cannot keep the guest from these pages, so it does not take them.
    NotPossible,
}

impl fmt::Display for ReleaseRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pinned => "some are under a live GPADL",
            Self::NotMapped => "some are not mapped",
            Self::NotPossible => "the host cannot keep the guest from them",
        })
    }
}

/// What pages are mapped for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum MapKind {
    /// The guest gave the pages away earlier and is to take them back.
    Unballoon,
    /// The pages are new memory for the guest.
    HotAdd,
}

/// Why pages are released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ReleaseKind {
    /// The guest gave the pages away.
    Ballooned,
    /// The pages were mapped for a hot-add that the guest refused, wholly or from some page on.
    HotAddRefused,
    /// The pages were mapped for a request that could no longer be sent.
    NotSent,
}

/// What an operation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum OperationKind {
    /// The guest gets pages.
    Grow,
    /// The guest gives pages.
    Shrink,
}

/// What a guest can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct GuestCapabilities {
    /// The guest can give pages away.
    pub balloon: bool,
    /// The guest can take new memory.
    pub hot_add: bool,
    /// Hot-added memory begins at, and is, a multiple of this.
    pub granule: PageCount,
    /// The guest can remove memory (2.0; known, not used).
    pub hot_remove: bool,
}

impl From<Capabilities> for GuestCapabilities {
    fn from(bits: Capabilities) -> Self {
        Self {
            balloon: bits.balloon(),
            hot_add: bits.hot_add(),
            granule: PageCount::from_mib(1 << bits.hot_add_alignment()),
            hot_remove: bits.hot_remove(),
        }
    }
}

/// A guest's status report: claims, each limited to 2^40 pages, as many as the protocol can number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct StatusReport {
    /// Available memory.
    pub available: PageCount,
    /// Commit, including what is ballooned or hot-added and not yet online.
    pub committed: PageCount,
    /// Total size of all page files.
    pub page_file_size: PageCount,
    /// Zeroed and free memory.
    pub zero_free: PageCount,
    /// Pages written to page files since the guest booted.
    pub page_file_writes: PageCounter,
    /// File-cache page faults less page reads since the guest booted.
    pub io_balance: PageBalance,
}

/// What a VSP waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Waiting {
    /// VERSION_REQUEST.
    Version,
    /// CAPABILITIES_REPORT.
    Capabilities,
    /// BALLOON_RESPONSE.
    Balloon,
    /// UNBALLOON_RESPONSE.
    Unballoon,
    /// MEM_HOT_ADD_RESPONSE.
    HotAdd,
}

/// Why an operation was not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Rejection {
    /// The guest is not ready: no channel, no handshake yet, or still in its quiet period.
    NotReady,
    /// Another operation is outstanding.
    Busy,
    /// No pages were asked for.
    NoPages,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Outcome {
    /// All that was asked for is done.
    Complete,
    /// The guest gave fewer pages than asked for: it is at its minimum.
    GuestAtMinimum,
    /// The guest cannot balloon, or nothing is left to unballoon and it cannot hot-add.
    NotCapable,
    /// What is left to add is less than the guest's granule.
    BelowGranule,
    /// There is no room left in the hot-add window.
    NoRoom,
    /// The guest refused the hot-add for now, or did so lately.
    HotAddLater {
        /// Not to be tried before.
        not_before: Duration,
    },
    /// There will be no hot-add until the VM is reset: the guest refused it for good, took only a part, or refused too often.
    HotAddOver,
    /// The caller could not map the pages.
    NotMapped(MapRefused),
    /// The channel was closed.
    ChannelClosed,
    /// The guest broke a rule.
    ProtocolError,
    /// The VM was reset.
    Reset,
}

/// Why a message was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Ignored {
    /// The message's type is not known.
    UnknownType,
    /// A guest does not send this message, or not in this state.
    Unexpected,
    /// The message is shorter than its type requires.
    TooShort,
    /// The channel is being closed, or the guest has been refused.
    Closed,
}

/// What to do, or to know.
///
/// This enum is exhaustive on purpose: code that does not carry out an output is not complete, and the compiler says so.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Output {
    /// Send this as one packet (in-band data, no completion asked for).
    Send {
        /// What it is.
        message: MessageType,
        /// The packet's payload.
        bytes: Vec<u8>,
    },
    /// Map host frames to these guest pages, all or none, and say so with [`Input::Mapped`].
    Map {
        /// To be named in the answer.
        ticket: u64,
        /// The pages; none of them is mapped.
        ranges: RangeSet<GuestPage>,
        /// What for.
        kind: MapKind,
    },
    /// Unmap these guest pages, all or none, and say so with [`Input::Released`].
    Release {
        /// To be named in the answer.
        ticket: u64,
        /// The pages; all of them are mapped.
        ranges: RangeSet<GuestPage>,
        /// What for.
        kind: ReleaseKind,
    },
    /// The guest proposed a version.
    VersionAnswered {
        /// The version as it came.
        version: u32,
        /// The guest said that it gives up if this one is refused.
        is_last_attempt: bool,
        /// Whether it was accepted.
        accepted: bool,
    },
    /// The guest said what it can do.
    CapabilitiesAnswered {
        /// What it can do.
        capabilities: GuestCapabilities,
        /// Whether that is enough.
        accepted: bool,
    },
    /// The quiet period is over: operations are possible.
    Ready {
        /// The version spoken.
        version: ProtocolVersion,
        /// What the guest can do.
        capabilities: GuestCapabilities,
    },
    /// The guest reported its status.
    Status {
        /// What it claims.
        reported: StatusReport,
        /// Its commit without what the host knows to be ballooned.
        demand: PageCount,
        /// A value was beyond what can be true and has been limited.
        absurd: bool,
    },
    /// An operation was not begun.
    Rejected {
        /// Which.
        kind: OperationKind,
        /// Pages asked for.
        requested: PageCount,
        /// Why.
        why: Rejection,
    },
    /// An operation is over.
    Finished {
        /// Which.
        kind: OperationKind,
        /// Pages asked for.
        requested: PageCount,
        /// Pages given (grow) or taken (shrink). A guest may give more than it was asked for, up to the end of a block of
        /// 2 MiB. After a hot-add that was
        /// not answered before the channel closed, the pages asked for stay mapped and are counted in
        /// `unconfirmed`, not here.
        done: PageCount,
        /// Of `done`, pages that the guest got back.
        unballooned: PageCount,
        /// Of `done`, pages that are new.
        hot_added: PageCount,
        /// Pages mapped and charged to the VM of which it is not known whether the guest uses them: the channel closed
        /// before it answered.
        unconfirmed: PageCount,
        /// How it ended.
        outcome: Outcome,
    },
    /// A message was dropped.
    Ignored {
        /// Its type, if it had one.
        message_type: Option<u16>,
        /// Why.
        why: Ignored,
    },
    /// The guest has not answered in time. What was asked stays asked: nothing new is begun until it answers, the channel
    /// is reopened, or the VM is reset.
    Unresponsive {
        /// What it did not do.
        waiting_for: Waiting,
    },
    /// An unresponsive guest answered after all.
    Responsive,
    /// The guest broke a rule; [`Output::CloseChannel`] follows.
    ProtocolError {
        /// Which.
        violation: Violation,
    },
    /// Close the channel.
    CloseChannel,
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    #[test]
    fn a_refused_release_says_what_the_pages_are_in() {
        assert_eq!(ReleaseRefused::Pinned.to_string(), "some are under a live GPADL");
        assert_eq!(ReleaseRefused::NotMapped.to_string(), "some are not mapped");
    }
}
