//! The StorVSC (storage virtualization service client): the driver of a SCSI controller in a guest.
//!
//! [`StorageVsc`] is a state machine without I/O, threads or clocks, as `dm-vsc` is: it negotiates a version, the newest first, looks for
//! disks, and turns reads and writes into requests. It has no memory: it says which buffer a request needs, and its caller lists the
//! buffer's pages in the packet. The host is not trusted: answers that nobody asked for, or that say more than was asked, are ignored.
//!
//! ```
//! use core::time::Duration;
//! use storage_vsc::{Input, Output, StorageVsc, VscConfig};
//!
//! let (mut vsc, mut out) = (StorageVsc::new(VscConfig::default()), Vec::new());
//! vsc.handle(Duration::ZERO, Input::ChannelOpened, &mut out);
//! let Some(Output::Send { payload, .. }) = out.pop() else { panic!("a handshake begins with a message") };
//! assert_eq!(payload[0], 7); // BEGIN_INITIALIZATION
//! assert_eq!(vsc.next_timeout(), Some(Duration::from_secs(5)));
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod constants;
mod interface;
mod machine;
mod probe;

pub use constants::constants;
pub use interface::{BufferUse, DiskInfo, Failure, Input, IoError, Operation, Output, VscConfig};
pub use machine::StorageVsc;
