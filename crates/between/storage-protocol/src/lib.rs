//! The wire messages of Hyper-V's storage protocol: what a StorVSC (guest driver) and a StorVSP (host) exchange, one for each
//! VMBus packet, and the SCSI commands that they carry.
//!
//! The crate owns layouts and codes. It decides nothing: what a command means for a disk is for `storage-vsp` and `storage-vsc`. It
//! allocates nothing, needs no `std`, and no input makes it panic.
//!
//! ```
//! use storage_protocol::{Message, Packet, Version};
//!
//! let hello = Packet::request(Message::QueryProtocolVersion { version: Version::WINDOWS_8_1, revision: 0 });
//! let mut buffer = [0; storage_protocol::PACKET_BYTES];
//! let bytes = hello.encode(Version::WINDOWS_8_1, &mut buffer);
//! assert_eq!(bytes.len(), 64);
//! assert_eq!(bytes[..16], [9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0]);
//! assert_eq!(Packet::decode(bytes)?, hello);
//! # Ok::<(), storage_protocol::DecodeError>(())
//! ```
//!
//! Sources: the public Linux driver (`storvsc_drv.c`) and OpenVMM, as facts; SPC-4 and SBC-3 for SCSI. StorVSP is little-endian, SCSI is
//! big-endian.
#![no_std]
#![forbid(unsafe_code)]

pub mod cdb;
mod message;
mod packet;
pub mod sense;
mod status;
#[cfg(any(test, feature = "test-support"))]
pub mod test_support;
mod version;
pub mod wire;

use uuid::{Uuid, uuid};

pub use message::{Address, Direction, Message, Properties, ScsiRequest, ScsiResponse};
pub use packet::{DecodeError, Packet};
pub use status::{NtStatus, Operation, ScsiStatus, SrbStatus};
pub use version::Version;

/// The class of a SCSI controller's channel (documented).
pub const SCSI_CLASS: Uuid = uuid!("ba6163d9-04a1-4d29-b605-72e2ffb1dc7f");
/// The class of the IDE accelerator's channel (documented); known, not served.
pub const IDE_CLASS: Uuid = uuid!("32412632-86cb-44a2-9b5c-50d1417354f5");

/// Bytes of a packet from 5.1 on (documented).
pub const PACKET_BYTES: usize = 64;
/// Bytes of a packet before (documented).
pub const OLD_PACKET_BYTES: usize = 48;
/// Bytes of a CDB at most (documented).
pub const CDB_BYTES: usize = 16;
/// Bytes of sense data at most (documented).
pub const SENSE_BYTES: usize = 20;
/// Bytes of a sector: the block of every disk here.
pub const SECTOR: u32 = 512;
