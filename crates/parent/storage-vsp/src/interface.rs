//! What goes into a controller and what comes out.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use storage_protocol::Version;

use crate::constants::{LUNS, MAX_TRANSFER, MOST_REQUESTS};

/// How a controller is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VspConfig {
    /// Versions that are accepted.
    pub versions: Vec<Version>,
    /// Bytes of the largest transfer.
    pub max_transfer_bytes: u32,
    /// Requests under way at most; more are answered with BUSY.
    pub most_requests: usize,
}

impl Default for VspConfig {
    fn default() -> Self {
        Self {
            versions: Version::SPOKEN.to_vec(),
            max_transfer_bytes: MAX_TRANSFER.whole() as u32,
            most_requests: MOST_REQUESTS.whole() as usize,
        }
    }
}

/// A disk, as far as the controller has to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskConfig {
    /// Sectors of 512 bytes.
    pub sectors: u64,
    /// Whether the guest may write it.
    pub writable: bool,
    /// Whether it can forget sectors, which read as zeros then.
    pub can_discard: bool,
    /// What tells it from other disks; a VHD's UUID.
    pub id: [u8; 16],
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The guest opened the channel.
    ChannelOpened,
    /// The channel is closed, by the guest or by the host. Requests under way are finished all the same, and not answered.
    ChannelClosed,
    /// A packet from the guest, in-band or GPA-direct.
    Packet {
        /// What the caller calls it; no other request under way has this number.
        request: u64,
        /// Its message.
        payload: Vec<u8>,
        /// Bytes of the buffer that it names; 0 if none.
        buffer: u64,
    },
    /// A packet whose page ranges are no buffer of this guest.
    BadBuffer {
        /// Why, in words.
        why: String,
    },
    /// Answer to [`Output::Fetch`]: the first bytes of the request's buffer.
    Fetched {
        /// The request.
        request: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Answer to [`Output::Start`].
    Finished {
        /// The request.
        request: u64,
        /// How it went.
        result: Result<(), Fault>,
    },
    /// A disk comes, also while the guest runs.
    Attach {
        /// Its number on the controller.
        lun: u8,
        /// The disk.
        disk: DiskConfig,
    },
    /// A disk goes, also while the guest uses it.
    Detach {
        /// Its number on the controller.
        lun: u8,
    },
}

/// Why a disk could not do what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It could not be read.
    Read,
    /// It could not be written: the host is full, for one.
    Write,
    /// It is not to be written.
    WriteProtected,
}

/// What a disk is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskOperation {
    /// Read sectors into the request's buffer.
    Read {
        /// The first.
        sector: u64,
        /// How many.
        count: u32,
    },
    /// Write sectors from the request's buffer.
    Write {
        /// The first.
        sector: u64,
        /// How many.
        count: u32,
        /// They must be durable when it is finished.
        force: bool,
    },
    /// Make durable what was written before.
    Flush,
    /// Forget sectors.
    Discard {
        /// Where each range begins, and how many sectors it has.
        ranges: Vec<(u64, u32)>,
    },
}

/// Why a disk was not attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachRefused {
    /// The controller has no such number.
    NoSuchLun,
    /// There is a disk already, or one that is not gone yet.
    InUse,
}

/// A rule that a guest broke. Its channel is closed for it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// A packet that is none.
    Malformed {
        /// The decoder's words.
        error: String,
    },
    /// Page ranges that are no buffer.
    BadBuffer {
        /// Why.
        why: String,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { error } => write!(f, "malformed message: {error}"),
            Self::BadBuffer { why } => write!(f, "bad buffer: {why}"),
        }
    }
}

/// What to do, or to know.
///
/// This enum is exhaustive on purpose: code that does not carry out an output is not complete, and the compiler says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A request is over: put `data` into its buffer from the beginning on, send `payload` as the completion if the packet asked for one,
    /// and let the buffer go. In this order.
    Complete {
        /// The request.
        request: u64,
        /// The completion's message.
        payload: Vec<u8>,
        /// What goes into the buffer; fits there.
        data: Vec<u8>,
    },
    /// A request is over, and there is nobody to tell: let its buffer go.
    Forget {
        /// The request.
        request: u64,
    },
    /// Send an in-band packet that asks for no completion.
    Notify {
        /// Its message.
        payload: Vec<u8>,
    },
    /// Hand in the first bytes of the request's buffer: [`Input::Fetched`].
    Fetch {
        /// The request.
        request: u64,
        /// How many.
        bytes: u16,
    },
    /// Let a disk do something, and say how it went: [`Input::Finished`]. Several may be under way, for one disk as well; they may finish
    /// in any order.
    Start {
        /// The request.
        request: u64,
        /// Which disk.
        lun: u8,
        /// What.
        operation: DiskOperation,
    },
    /// A disk that was to go is not used any more.
    Detached {
        /// Its number.
        lun: u8,
    },
    /// A disk was not attached.
    AttachRefused {
        /// Its number.
        lun: u8,
        /// Why.
        why: AttachRefused,
    },
    /// Close the channel, or rescind it: [`Input::ChannelClosed`].
    CloseChannel,
    /// The guest broke a rule.
    ProtocolError {
        /// Which.
        violation: Violation,
    },
    /// The handshake is over.
    Ready {
        /// The version that is spoken.
        version: Version,
    },
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// SCSI commands.
    pub commands: u64,
    /// Sectors read, as far as it went well.
    pub sectors_read: u64,
    /// Sectors written, as far as it went well.
    pub sectors_written: u64,
    /// Commands that failed.
    pub failed: u64,
    /// Commands that were answered with BUSY.
    pub busy: u64,
    /// Handshakes that came to their end.
    pub handshakes: u64,
    /// Rules that were broken.
    pub protocol_errors: u64,
}

/// Whether a controller has a disk of this number.
pub(crate) fn is_lun(lun: u8) -> bool {
    u64::from(lun) < LUNS.whole()
}
