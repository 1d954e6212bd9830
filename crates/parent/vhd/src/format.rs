//! The format, without I/O: bytes in, values out, and back.
//!
//! All integers are big-endian; all places are multiples of a sector.

mod bitmap;
mod error;
mod footer;
mod geometry;
mod header;
mod table;
mod time;
mod wire;

pub use bitmap::Bitmap;
pub use error::{FormatError, Place};
pub use footer::{DiskType, Footer, Identity};
pub use geometry::Geometry;
pub use header::{Header, Locator, LocatorKind};
pub(crate) use table::entry_of;
pub use table::{ABSENT, Layout, Table, table_bytes};
pub use time::VhdTime;

/// Bytes of a footer.
pub const FOOTER_BYTES: usize = 512;
/// Bytes of a dynamic disk's header.
pub const HEADER_BYTES: usize = 1024;

/// The one's complement of the sum of all bytes but the checksum's own four at `at`.
pub(crate) fn checksum(bytes: &[u8], at: usize) -> u32 {
    let sum = bytes.iter().enumerate().filter(|(index, _)| !(at..at + 4).contains(index));
    !sum.fold(0u32, |sum, (_, &byte)| sum.wrapping_add(u32::from(byte)))
}
