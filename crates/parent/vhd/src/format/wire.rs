//! The layouts, byte for byte (documented: Microsoft's Virtual Hard Disk Image Format Specification).

use zerocopy::byteorder::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A footer.
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct RawFooter {
    pub(crate) cookie: [u8; 8],
    pub(crate) features: U32,
    pub(crate) version: U32,
    pub(crate) data_offset: U64,
    pub(crate) time: U32,
    pub(crate) creator: [u8; 4],
    pub(crate) creator_version: U32,
    pub(crate) host_os: [u8; 4],
    pub(crate) original_size: U64,
    pub(crate) current_size: U64,
    pub(crate) cylinders: U16,
    pub(crate) heads: u8,
    pub(crate) sectors: u8,
    pub(crate) disk_type: U32,
    pub(crate) checksum: U32,
    pub(crate) uuid: [u8; 16],
    pub(crate) saved_state: u8,
    pub(crate) reserved: [u8; 427],
}
const _: () = assert!(size_of::<RawFooter>() == super::FOOTER_BYTES);

/// A dynamic disk's header.
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct RawHeader {
    pub(crate) cookie: [u8; 8],
    pub(crate) data_offset: U64,
    pub(crate) table_offset: U64,
    pub(crate) version: U32,
    pub(crate) entries: U32,
    pub(crate) block_bytes: U32,
    pub(crate) checksum: U32,
    pub(crate) parent_uuid: [u8; 16],
    pub(crate) parent_time: U32,
    pub(crate) reserved: U32,
    pub(crate) parent_name: [U16; 256],
    pub(crate) locators: [RawLocator; 8],
    pub(crate) reserved_2: [u8; 256],
}
const _: () = assert!(size_of::<RawHeader>() == super::HEADER_BYTES);

/// Where a path of the parent lies.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct RawLocator {
    pub(crate) code: [u8; 4],
    pub(crate) space: U32,
    pub(crate) length: U32,
    pub(crate) reserved: U32,
    pub(crate) offset: U64,
}
const _: () = assert!(size_of::<RawLocator>() == 24);

/// Offset of the checksum in a footer.
pub(crate) const FOOTER_CHECKSUM: usize = 64;
/// Offset of the checksum in a header.
pub(crate) const HEADER_CHECKSUM: usize = 36;
