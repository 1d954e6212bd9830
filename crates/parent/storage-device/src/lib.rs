//! The device that virtual hard disks of a simulated host lie on: how long it takes to read and write.
//!
//! [`Device`] knows spindles, each of which does one thing at a time; a cache in front of them; and nothing of what is stored. Every VM of
//! a host that has its disks on one device waits for the others: that is what a real host's storage does to guests that page.
//! [`ModelFile`] is a file on it, as far as the format `vhd` needs one, and notes each access. [`ModelledDisk`] joins the two: what a VM's
//! SCSI controller asks is carried out at once on a real [`vhd::Disk`], and is over when the device has done all the accesses of the file
//! that this took, the table's and the bitmaps' included.
//!
//! **What it never does**: read a clock, or start a thread. Time comes in, and the time at which something is over comes out.
//!
//! ```
//! use std::time::Duration;
//! use storage_device::{Access, Device, DeviceConfig, FileId};
//!
//! let one_disk = DeviceConfig { cache_bytes: 0, latency: Duration::ZERO, ..DeviceConfig::default() };
//! let mut device = Device::new(one_disk);
//! let read = |offset| Access { file: FileId(0), offset, bytes: 32 << 10, write: false };
//! let first = device.access(Duration::ZERO, read(1 << 30));
//! // What comes at the same time waits.
//! let second = device.access(Duration::ZERO, read(5 << 30));
//! assert_eq!(second, first * 2);
//! ```
#![forbid(unsafe_code)]

mod cache;
mod constants;
mod device;
mod disk;
mod file;

pub use constants::constants;
pub use device::{Access, Device, DeviceConfig, DeviceStatistics, FileId, SharedDevice};
pub use disk::ModelledDisk;
pub use file::{AccessLog, ModelFile};
