//! The rules a guest can break, in words.

use alloc::string::String;

use crate::control::message::{MessageError, MessageType};
use crate::control::{GpadlId, Relid, Version};

/// A rule of the channel protocol that the guest broke. Its text is made for the log (event 12540's detail).
///
/// A guest can cause these as fast as it can send: a caller that logs them has to limit their rate.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Violation {
    /// The bytes are no message.
    #[error("the guest sent what is no channel message: {0}")]
    Malformed(MessageError),
    /// Only hosts send this.
    #[error("the guest sent {0}, which only a host sends")]
    WrongDirection(MessageType),
    /// Before contact nothing but INITIATE_CONTACT and UNLOAD is allowed.
    #[error("the guest sent {0} before it made contact")]
    NotConnected(MessageType),
    /// After contact one connection id is the right one.
    #[error("the guest sent {kind} to connection id {connection_id} instead of {expected}")]
    WrongConnection {
        /// What it sent.
        kind: MessageType,
        /// Where to.
        connection_id: u32,
        /// Where it should have.
        expected: u32,
    },
    /// Versions from 5.0 on use connection id 4, earlier ones 1.
    #[error("the guest made contact for version {version} through connection id {connection_id}")]
    ContactOnWrongConnection {
        /// The version asked for.
        version: Version,
        /// The connection id used.
        connection_id: u32,
    },
    /// The contact names a slot that does not exist, or that this host does not serve: messages are put into SINT 2 of
    /// VTL 0, on a processor that the guest has.
    #[error("the guest wants its messages at SINT {sint} of VTL {vtl} on processor {vp}")]
    BadContactTarget {
        /// The virtual processor.
        vp: u32,
        /// The synthetic interrupt source.
        sint: u8,
        /// The virtual trust level.
        vtl: u8,
    },
    /// The agreed version does not have this message.
    #[error("the guest sent {kind}, which version {version} does not have")]
    NotInVersion {
        /// What it sent.
        kind: MessageType,
        /// What was agreed.
        version: Version,
    },
    /// Offers may be requested once for each contact.
    #[error("the guest requested offers twice")]
    OffersRequestedTwice,
    /// The channel is not one that was offered.
    #[error("the guest sent {kind} for channel {relid}, which it was not offered")]
    UnknownChannel {
        /// What it sent.
        kind: MessageType,
        /// The channel id in it, which need not be a possible one.
        relid: u32,
    },
    /// A channel is closed, or rescinded, before it is released.
    #[error("the guest released channel {0}, which is open or being opened")]
    ReleasedInUse(Relid),
    /// A channel is opened once.
    #[error("the guest opened channel {0}, which is open or being opened")]
    AlreadyOpen(Relid),
    /// Only open channels are closed and modified.
    #[error("the guest sent {kind} for channel {relid}, which is not open")]
    NotOpen {
        /// What it sent.
        kind: MessageType,
        /// The channel.
        relid: Relid,
    },
    /// Interrupts of a channel that was opened without them cannot be moved.
    #[error("the guest moved the interrupts of channel {0}, which it had opened without")]
    InterruptsOff(Relid),
    /// Interrupts go to a processor that the guest has.
    #[error("the guest moved the interrupts of channel {relid} to processor {vp}, which it does not have")]
    UnknownProcessor {
        /// The channel.
        relid: Relid,
        /// The processor.
        vp: u32,
    },
    /// No such list.
    #[error("the guest sent {kind} for GPADL {gpadl}, which it never described")]
    UnknownGpadl {
        /// What it sent.
        kind: MessageType,
        /// The list.
        gpadl: GpadlId,
    },
    /// The list exists.
    #[error("the guest described GPADL {0} again, which exists")]
    DuplicateGpadl(GpadlId),
    /// One range, beginning with a page, of whole pages, counted right.
    #[error("the guest described GPADL {0} otherwise than as one range of whole pages")]
    GpadlShape(GpadlId),
    /// The guest has as many lists as it may have.
    #[error("the guest described GPADL {gpadl} when it had {limit} already")]
    TooManyGpadls {
        /// The list.
        gpadl: GpadlId,
        /// How many it may have.
        limit: usize,
    },
    /// The guest has named as many pages as it may.
    #[error("the guest described GPADL {gpadl} of {pages} pages, beyond the {limit} it may share")]
    TooManyGpadlPages {
        /// The list.
        gpadl: GpadlId,
        /// Its pages.
        pages: usize,
        /// How many pages all its lists may have.
        limit: usize,
    },
    /// More pages came than were announced.
    #[error("the guest named more pages of GPADL {0} than it had announced")]
    GpadlOverrun(GpadlId),
    /// The list is complete, or the message names no page.
    #[error("the guest sent a needless GPADL_BODY for GPADL {0}")]
    NeedlessBody(GpadlId),
    /// The list belongs to another channel.
    #[error("the guest used GPADL {gpadl} for channel {relid}, to which it does not belong")]
    GpadlOfOtherChannel {
        /// The list.
        gpadl: GpadlId,
        /// The channel the guest named, which need not be a possible one.
        relid: u32,
    },
    /// The list is not yet confirmed.
    #[error("the guest used GPADL {0} before it was created")]
    GpadlNotReady(GpadlId),
    /// A channel is open on the list.
    #[error("the guest tore down GPADL {gpadl}, on which channel {relid} is open")]
    GpadlInUse {
        /// The list.
        gpadl: GpadlId,
        /// The channel.
        relid: Relid,
    },
    /// Each ring needs a control page and a data page.
    #[error("the guest split {pages} ring pages at {downstream_offset}: each ring needs two at least")]
    BadRingSplit {
        /// Pages of the list.
        pages: usize,
        /// Where the downstream ring should begin.
        downstream_offset: u32,
    },
}

impl Violation {
    /// The rule, in words.
    pub fn what(&self) -> String {
        alloc::format!("{self}")
    }
}
