//! The StorVSP (storage virtualization service provider): a SCSI controller of one virtual machine, the host's end of its storage
//! channel.
//!
//! [`StorageVsp`] is a state machine without I/O, threads or clocks, as `dm-vsp` is: the caller hands in what happened ([`Input`]), and
//! carries out what comes back ([`Output`]). The machine speaks StorVSP 2.0, 4.2, 5.1 and 6.0 and answers SCSI commands. It has
//! neither disks nor guest memory: it says which sectors are to be read into the buffer of which request, and takes the result.
//!
//! **What it owns**: the conversation with the guest, and which disks the controller has.
//!
//! **What it never does**: touch a disk or a buffer, or believe a guest: addresses, lengths and counts are checked against disk and
//! buffer before anything is started. A guest that breaks the protocol loses its channel; one that sends a bad command gets
//! sense data.
//!
//! ```
//! use storage_protocol::{Message, Packet, Version};
//! use storage_vsp::{DiskConfig, Input, Output, StorageVsp, VspConfig};
//!
//! let (mut vsp, mut out) = (StorageVsp::new(VspConfig::default()), Vec::new());
//! vsp.handle(Input::Attach { lun: 0, disk: DiskConfig { sectors: 2048, writable: true, can_discard: false, id: [7; 16] } }, &mut out);
//! vsp.handle(Input::ChannelOpened, &mut out);
//! let mut buffer = [0; storage_protocol::PACKET_BYTES];
//! let hello = Packet::request(Message::BeginInitialization).encode(Version::WINDOWS_8_1, &mut buffer);
//! vsp.handle(Input::Packet { request: 1, payload: hello.to_vec(), buffer: 0 }, &mut out);
//! // The caller sends the completion of the packet that it called request 1.
//! assert!(matches!(out.last(), Some(Output::Complete { request: 1, .. })));
//! ```
//!
//! With the feature `files`, [`carry_out`] does what [`Output::Start`] asks for on a `vhd::Disk`.
#![cfg_attr(not(feature = "files"), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(any(test, feature = "test-support"))]
extern crate std;

mod constants;
#[cfg(feature = "files")]
mod files;
mod interface;
mod machine;
mod scsi;
#[cfg(feature = "test-support")]
pub mod test_support;

pub use constants::constants;
#[cfg(feature = "files")]
pub use files::carry_out;
pub use interface::{
    AttachRefused, DiskConfig, DiskOperation, Fault, Input, Output, Statistics, Violation, VspConfig,
};
pub use machine::StorageVsp;
