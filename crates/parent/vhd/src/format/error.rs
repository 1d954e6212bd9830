//! What is wrong with a file, where, and what mends it.

use std::fmt;

use crate::format::Geometry;
use crate::limits;

/// Which part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The footer, in the last 512 bytes.
    Footer,
    /// The footer's copy, in the first 512 bytes of a dynamic or differencing disk.
    Copy,
    /// The header of a dynamic or differencing disk, at the offset that the footer names.
    Header,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Footer => "the footer (the last 512 bytes)",
            Self::Copy => "the footer's copy (the first 512 bytes)",
            Self::Header => "the header",
        })
    }
}

/// Why bytes are no VHD, or not a whole one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// There is no room for a footer.
    #[error("{len} bytes are no VHD: its footer alone has 512. Is it another file, or was it cut off?")]
    TooShort {
        /// Bytes of the file.
        len: u64,
    },
    /// Neither the end nor the beginning of the file is a footer.
    #[error(
        "this is no VHD: neither the last nor the first 512 bytes begin with \"conectix\". A fixed disk that lost its footer is a raw \
         image: convert it as one (`--from-format raw`)"
    )]
    NotVhd,
    /// A VHDX, which is another format.
    #[error("this is a VHDX, not a VHD: convert it first (`qemu-img convert -O vpc`)")]
    Vhdx,
    /// A structure does not begin as it must.
    #[error("{place} does not begin with \"{expected}\": the file was cut off, or overwritten there")]
    Cookie {
        /// Where.
        place: Place,
        /// What stands there in a good file.
        expected: &'static str,
    },
    /// The checksum of a structure is not that of its bytes.
    #[error(
        "{place} has the checksum {stored:#010x}, its bytes give {computed:#010x}: it was damaged, or written by half"
    )]
    Checksum {
        /// Where.
        place: Place,
        /// What the file says.
        stored: u32,
        /// What it should say.
        computed: u32,
    },
    /// The footer at the end is damaged, its copy is not.
    #[error(
        "the footer at the end of the file is damaged or cut off ({why}), its copy at the beginning is good: a write was interrupted, \
         or the file was cut off. `check --repair` writes the footer again if no block is missing"
    )]
    FooterLost {
        /// What is wrong with the one at the end.
        why: Box<FormatError>,
    },
    /// The copy is damaged, the footer at the end is not.
    #[error("{why}. The footer at the end of the file is good: `check --repair` writes the copy again")]
    CopyLost {
        /// What is wrong with the copy.
        why: Box<FormatError>,
    },
    /// Both footers are whole, and not the same.
    #[error(
        "the footer at the end and its copy at the beginning disagree about {field}: a change of the disk was interrupted, or two files were \
         mixed. `check --repair` takes the copy, as other readers do"
    )]
    FootersDisagree {
        /// The first field that differs.
        field: &'static str,
    },
    /// Another version of the format.
    #[error("{place} has format version {found:#x}, this program reads 0x10000")]
    Version {
        /// Where.
        place: Place,
        /// The version.
        found: u32,
    },
    /// A type of disk that does not exist, or is not known.
    #[error("the footer names disk type {found}; there are 2 (fixed), 3 (dynamic) and 4 (differencing)")]
    DiskType {
        /// The type.
        found: u32,
    },
    /// The size of the disk is none.
    #[error(
        "the footer says that the disk has {bytes} bytes: a disk has whole sectors of 512 bytes, at least one"
    )]
    Size {
        /// The size.
        bytes: u64,
    },
    /// The disk is larger than a VHD can be.
    #[error("a disk of {bytes} bytes: a VHD has at most {} (2040 GB)", limits::MAX_DISK_BYTES)]
    TooLarge {
        /// The size.
        bytes: u64,
    },
    /// A fixed disk's file has another length than its disk.
    #[error(
        "the footer says that the disk has {disk} bytes, but {data} stand before it: the file was cut off, or joined from parts. If \
         the data are whole, convert the file as a raw image (`--from-format raw`)"
    )]
    FixedLength {
        /// Bytes of the disk by the footer.
        disk: u64,
        /// Bytes before the footer.
        data: u64,
    },
    /// A dynamic or differencing disk's file is not in whole sectors.
    #[error(
        "the file has {len} bytes, which is no whole number of sectors of 512: something was cut out of it, or put before its footer. \
         A copy of the file that is whole is needed"
    )]
    Length {
        /// Bytes of the file.
        len: u64,
    },
    /// The header lies where none can be.
    #[error(
        "the footer says that the header is at byte {offset}, which is inside the footer's copy or beyond the file's {len} bytes"
    )]
    HeaderPlace {
        /// Where.
        offset: u64,
        /// Bytes of the file.
        len: u64,
    },
    /// A block size that no reader takes.
    #[error(
        "the header says that a block has {bytes} bytes: a block is a power of two from {} to {}",
        limits::MIN_BLOCK_BYTES,
        limits::MAX_BLOCK_BYTES
    )]
    BlockSize {
        /// The size.
        bytes: u32,
    },
    /// The table is too small for the disk.
    #[error(
        "the table has {entries} entries of {block_bytes} bytes each, the disk has {disk} bytes: the header is damaged"
    )]
    TableTooSmall {
        /// Entries.
        entries: u32,
        /// Bytes of a block.
        block_bytes: u32,
        /// Bytes of the disk.
        disk: u64,
    },
    /// The table has more entries than are read.
    #[error("the table has {entries} entries; at most {} are read", limits::MAX_TABLE_ENTRIES)]
    TableTooLarge {
        /// Entries.
        entries: u32,
    },
    /// The table lies where none can be.
    #[error(
        "the header says that the table is at byte {offset} with {entries} entries: that is inside footer or header, or beyond the \
         file's {len} bytes. The file was cut off, or the header is damaged"
    )]
    TablePlace {
        /// Where.
        offset: u64,
        /// Entries.
        entries: u32,
        /// Bytes of the file.
        len: u64,
    },
    /// A block lies where footer, header or table are.
    #[error(
        "block {block} is said to be at byte {offset}, inside what describes the disk (bytes 0 to {first}, and paths of the parent): the table is damaged"
    )]
    BlockInMetadata {
        /// Which block.
        block: u32,
        /// Where.
        offset: u64,
        /// Where the first block can be.
        first: u64,
    },
    /// Two blocks lie on each other.
    #[error(
        "blocks {block} and {other} overlap (at bytes {offset} and {other_offset}): the table is damaged"
    )]
    BlocksOverlap {
        /// The first.
        block: u32,
        /// Where.
        offset: u64,
        /// The second.
        other: u32,
        /// Where.
        other_offset: u64,
    },
    /// A block ends beyond the file.
    #[error("block {block} is at bytes {offset} to {end}, but the file's blocks end at {len}: the file was cut off by {} bytes", end - len)]
    BlockBeyondFile {
        /// Which block.
        block: u32,
        /// Where.
        offset: u64,
        /// Where it ends.
        end: u64,
        /// Where blocks end in the file.
        len: u64,
    },
    /// A path of the parent lies beyond the file, or is too long.
    #[error(
        "the path of the parent is said to be at byte {offset} with {length} bytes, beyond the file: the header is damaged"
    )]
    LocatorPlace {
        /// Where.
        offset: u64,
        /// Bytes.
        length: u32,
    },
}

impl FormatError {
    /// Whether `check --repair` can mend it without a guess about data.
    #[must_use]
    pub fn is_repairable(&self) -> bool {
        matches!(self, Self::FooterLost { .. } | Self::CopyLost { .. } | Self::FootersDisagree { .. })
    }
}

impl fmt::Display for Geometry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.cylinders, self.heads, self.sectors)
    }
}
