//! Virtual hard disks (VHD), the disk files of Hyper-V 1.0 and 2.0: fixed, dynamic and differencing.
//!
//! - [`mod@format`] is the format without any I/O: footer, header, block allocation table, sector bitmaps, checksums. What does
//!   not keep the format is refused with the place and the mend.
//! - [`Image`] is one file: where each block lies, and the order in which things are written so that a crash at any moment loses
//!   nothing that was flushed. It reads and writes through a [`Storage`], so a test can cut the sequence anywhere.
//! - [`Disk`] is an image with the parents that it differs from: what a guest sees.
//! - [`files`] opens, creates and locks real files, and finds parents.
//! - [`check`](check()), [`copy`](copy()) and [`compare`](compare()) look at whole disks.
//!
//! ```
//! use vhd::{Disk, Identity, Image, NewDisk, TableAccess, test_support::MemoryStorage};
//!
//! let new = NewDisk::new(64 << 20, Identity { uuid: vhd::Uuid::from_u128(1), time: vhd::VhdTime(0) });
//! let image = Image::create_dynamic(MemoryStorage::new(), "example", &new, TableAccess::InMemory)?;
//! let mut disk = Disk::new(image, Vec::new())?;
//! disk.write(8, &[7; 512])?;
//! disk.flush()?;
//! let mut back = [0; 1024];
//! disk.read(8, &mut back)?;
//! assert_eq!((back[0], back[512]), (7, 0));
//! # Ok::<(), vhd::VhdError>(())
//! ```
//!
//! # What is written when
//! A write puts data into the file at once. The bitmap and the table entry that make *new* data visible are kept in memory until
//! [`Disk::flush`], which makes the data durable first, then writes bitmaps and table, then makes those durable. So a disk behaves as one with a
//! write cache: what was flushed is there after any crash, and of what was not each sector has its old or its new content. The
//! footer is written at the new end before a new block takes its old place.
//!
//! # What the table in memory is for
//! A fixed disk writes a sector with one access to its file. A dynamic disk that looks into its file for the table entry and the bitmap
//! takes three or more; with both in memory it takes one, as a fixed disk does. \[B\], an introduction to Hyper-V 2.0, gives this as the
//! reason why a dynamic disk of 2.0 writes as fast as a fixed disk of 1.0. [`TableAccess`] chooses, and `examples/table-in-memory.rs` counts
//! and measures.
//!
//! Sources: Microsoft's Virtual Hard Disk Image Format Specification (1.0, 2006); QEMU's reader and libvhdi's documentation, as
//! facts.
#![forbid(unsafe_code)]

mod check;
mod compare;
mod disk;
mod error;
pub mod files;
pub mod format;
mod image;
pub mod limits;
mod storage;
#[cfg(any(test, doctest, feature = "test-support"))]
pub mod test_support;

pub use check::{CheckReport, check};
pub use compare::{Comparison, ReadSectors, WriteSectors, compare, copy};
pub use disk::Disk;
pub use error::VhdError;
pub use format::{DiskType, FormatError, Identity, VhdTime};
pub use image::{FooterRule, Image, NewDisk, ParentLink, TableAccess};
pub use storage::Storage;
pub use uuid::Uuid;
