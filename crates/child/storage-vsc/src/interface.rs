//! What goes into a driver and what comes out.

use alloc::vec::Vec;

use storage_protocol::sense::Sense;
use storage_protocol::{NtStatus, Properties, SrbStatus, Version};

/// How a driver is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VscConfig {
    /// Versions that are tried, in this order.
    pub versions: Vec<Version>,
}

impl Default for VscConfig {
    fn default() -> Self {
        Self { versions: Version::SPOKEN.iter().rev().copied().collect() }
    }
}

/// What is to be done with a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Read sectors into the caller's buffer.
    Read {
        /// The first.
        sector: u64,
        /// How many.
        count: u32,
    },
    /// Write sectors from the caller's buffer.
    Write {
        /// The first.
        sector: u64,
        /// How many.
        count: u32,
        /// They must be durable before the answer.
        force: bool,
    },
    /// Make durable what was written.
    Flush,
    /// Forget sectors.
    Discard {
        /// Where each range begins, and how many sectors it has.
        ranges: Vec<(u64, u32)>,
    },
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The channel is open.
    ChannelOpened,
    /// The channel is closed or was rescinded.
    ChannelClosed,
    /// An in-band packet from the host.
    Notice {
        /// Its message.
        payload: Vec<u8>,
    },
    /// The completion of a packet that was sent.
    Completion {
        /// The number of the request.
        request: u64,
        /// The completion's message.
        payload: Vec<u8>,
        /// What is in the request's buffer, if that was the driver's own.
        data: Vec<u8>,
    },
    /// Use a disk. Answered by one [`Output::Done`].
    Submit {
        /// What the caller calls it.
        tag: u64,
        /// Which disk.
        lun: u8,
        /// What.
        operation: Operation,
    },
    /// The time that [`crate::StorageVsc::next_timeout`] named has come. Harmless at any other time.
    Timer,
}

/// What buffer a request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BufferUse {
    /// None: the packet is in-band.
    None,
    /// One of the driver's own, of so many bytes, that the host fills.
    Own {
        /// How many.
        bytes: u32,
    },
    /// One of the driver's own, with these bytes for the host.
    Parameters(Vec<u8>),
    /// That of the caller's operation.
    Callers {
        /// Its tag.
        tag: u64,
        /// Bytes of it that are used.
        bytes: u32,
    },
}

/// A disk that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskInfo {
    /// Sectors of 512 bytes.
    pub sectors: u64,
    /// Whether it may be written.
    pub writable: bool,
    /// Whether it can forget sectors.
    pub can_discard: bool,
}

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoError {
    /// The disk said why.
    Sense(Sense),
    /// The controller did not do it.
    Controller(SrbStatus),
    /// There is no such disk.
    NoDisk,
    /// The channel was closed before an answer came; whether it was done is not known.
    ChannelClosed,
    /// It is larger than the host takes at once.
    TooLarge,
    /// The host's answer makes no sense.
    BadAnswer,
}

/// Why a driver gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The host refused every version.
    VersionsRefused,
    /// The host refused a step of the handshake.
    Refused(NtStatus),
    /// The host did not answer in time.
    NoAnswer,
}

/// What to do, or to know.
///
/// This enum is exhaustive on purpose: code that does not carry out an output is not complete, and the compiler says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a packet that asks for a completion: GPA-direct if it has a buffer, in-band otherwise.
    Send {
        /// The number of the request, which is the packet's transaction id.
        request: u64,
        /// Its message.
        payload: Vec<u8>,
        /// Its buffer, which is the host's until the completion.
        buffer: BufferUse,
    },
    /// The handshake is over.
    Ready {
        /// The version that is spoken.
        version: Version,
        /// What the host serves.
        properties: Properties,
    },
    /// The driver gave up.
    Failed {
        /// Why.
        why: Failure,
    },
    /// A disk came.
    DiskFound {
        /// Its number.
        lun: u8,
        /// What it is.
        disk: DiskInfo,
    },
    /// A disk went.
    DiskGone {
        /// Its number.
        lun: u8,
    },
    /// An operation is over.
    Done {
        /// Its tag.
        tag: u64,
        /// How it went.
        result: Result<(), IoError>,
    },
    /// What the host sent was not asked for, or is no message.
    Ignored,
}
