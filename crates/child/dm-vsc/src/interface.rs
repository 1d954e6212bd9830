//! What goes into a driver and what comes out.

use alloc::vec::Vec;

use dm_protocol::MessageType;
use page_range::PageCount;

use crate::{DriverVersion, Faults};

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Input {
    /// The channel is open.
    ChannelOpened,
    /// The channel is closed or was rescinded.
    ChannelClosed,
    /// A packet's payload from the host.
    Packet(Vec<u8>),
    /// The guest's faults are these from now on.
    SetFaults(Faults),
    /// The time that [`crate::DmVsc::next_timeout`] named has come. Harmless at any other time.
    Timer,
}

/// Why a driver gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum EndReason {
    /// The host refused every version.
    VersionsRefused,
    /// The host refused the capabilities.
    CapabilitiesRefused,
    /// The host did not answer in time.
    NoAnswer,
}

/// Why a message from the host was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Ignored {
    /// The bytes are no message.
    Malformed,
    /// Its type is not known, or the driver does not support it.
    Unsupported,
    /// A host does not send this message, or not in this state.
    Unexpected,
    /// Another request is being carried out.
    Busy,
    /// The guest could hibernate.
    Hibernation,
    /// The guest has a fault.
    Fault,
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
    /// The host accepted a version.
    VersionAccepted(DriverVersion),
    /// The handshake is done.
    Running {
        /// The version spoken.
        version: DriverVersion,
    },
    /// The driver gave up. [`Output::CloseChannel`] follows.
    Ended(EndReason),
    /// Close the channel.
    CloseChannel,
    /// The status was reported: the message follows.
    Reported {
        /// Available memory, as reported.
        available: PageCount,
        /// Commit, as reported: with what the driver adds.
        committed: PageCount,
        /// The guest's own commit, without what the driver adds.
        own_commit: PageCount,
        /// Of what the driver adds, pages that it has given away.
        ballooned: PageCount,
    },
    /// Pages were given away.
    Ballooned {
        /// Pages asked for.
        requested: PageCount,
        /// Pages given.
        given: PageCount,
    },
    /// Pages were taken back.
    Unballooned {
        /// Pages taken back.
        pages: PageCount,
        /// Pages that the host named and that were not the driver's to take back.
        left_alone: PageCount,
    },
    /// New memory was offered.
    HotAdded {
        /// Pages offered.
        offered: PageCount,
        /// Pages taken.
        accepted: PageCount,
    },
    /// The host said how much memory the guest can ever have.
    Maximum(PageCount),
    /// A message was dropped.
    Ignored {
        /// Its type, if it had one.
        message_type: Option<u16>,
        /// Why.
        why: Ignored,
    },
}
