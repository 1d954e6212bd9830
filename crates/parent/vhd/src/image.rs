//! One file: fixed, or blocks with a table.

mod create;
mod data;
mod metadata;
mod open;

use std::collections::{BTreeMap, BTreeSet};

use crate::format::{Bitmap, Footer, Header, Layout, Table};
use crate::{DiskType, Storage, VhdError};

pub use create::{NewDisk, ParentLink};
pub use open::FooterRule;

/// Where the table and the bitmaps are looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TableAccess {
    /// In memory: the table is read when the file is opened, bitmaps when they are first needed. Hyper-V 2.0's way, by \[B\].
    #[default]
    InMemory,
    /// In the file, for every access, and written through: so that what the table in memory is good for can be measured.
    PerAccess,
}

/// One VHD file.
#[derive(Debug)]
pub struct Image<S> {
    storage: S,
    name: String,
    footer: Footer,
    sparse: Option<Sparse>,
    writable: bool,
}

/// What a dynamic or differencing file has beside its footer.
#[derive(Debug)]
struct Sparse {
    header: Header,
    layout: Layout,
    access: TableAccess,
    /// As in the file; only if it is kept in memory.
    table: Option<Table>,
    /// Entries that differ from the file's.
    changed: BTreeMap<u32, Option<u64>>,
    bitmaps: BTreeMap<u32, Cached>,
    /// Blocks whose bitmap differs from the file's. They are in `bitmaps`.
    changed_bitmaps: BTreeSet<u32>,
    /// Where blocks end and the footer begins.
    end: u64,
    /// Places that no table entry names, neither in memory nor in the file.
    free: Vec<u64>,
    /// Places that the table in the file may still name; free after the next flush.
    freed: Vec<u64>,
    clock: u64,
}

#[derive(Debug)]
struct Cached {
    bitmap: Bitmap,
    used: u64,
}

/// What bytes are compared with, to find out whether they are zeros.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Bytes of bitmaps that are kept in memory (invented: as for 16 GiB of disk in blocks of 2 MiB).
const BITMAP_CACHE_BYTES: u64 = 4 << 20;

impl<S: Storage> Image<S> {
    /// The footer.
    #[must_use]
    pub fn footer(&self) -> &Footer {
        &self.footer
    }

    /// The header of a dynamic or differencing disk.
    #[must_use]
    pub fn header(&self) -> Option<&Header> {
        self.sparse.as_ref().map(|sparse| &sparse.header)
    }

    /// Where things are in the file of a dynamic or differencing disk.
    #[must_use]
    pub fn layout(&self) -> Option<&Layout> {
        self.sparse.as_ref().map(|sparse| &sparse.layout)
    }

    /// What the file is called in errors.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file.
    #[must_use]
    pub fn storage(&self) -> &S {
        &self.storage
    }

    /// The file; what was not flushed is lost.
    #[must_use]
    pub fn into_storage(self) -> S {
        self.storage
    }

    /// Whether the image was opened for writing.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.writable
    }

    /// How sectors lie in the file.
    #[must_use]
    pub fn disk_type(&self) -> DiskType {
        self.footer.disk_type
    }

    /// Sectors of the disk.
    #[must_use]
    pub fn sectors(&self) -> u64 {
        self.footer.sectors()
    }

    fn check_writable(&self) -> Result<(), VhdError> {
        if self.writable { Ok(()) } else { Err(VhdError::ReadOnly { name: self.name.clone() }) }
    }

    /// Places of blocks that are free, or will be after a flush.
    pub(crate) fn unused_places(&self) -> u64 {
        self.sparse.as_ref().map_or(0, |sparse| (sparse.free.len() + sparse.freed.len()) as u64)
    }

    /// Whether bytes of the file are all zero.
    pub(crate) fn is_zero(&self, mut offset: u64, mut bytes: u64) -> Result<bool, VhdError> {
        let mut buffer = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX).min(ZEROS.len())];
        while bytes > 0 {
            let piece = bytes.min(buffer.len() as u64);
            let buffer = &mut buffer[..piece as usize];
            self.read_file(offset, buffer)?;
            if buffer != &ZEROS[..buffer.len()] {
                return Ok(false);
            }
            offset += piece;
            bytes -= piece;
        }
        Ok(true)
    }

    pub(crate) fn read_file(&self, offset: u64, out: &mut [u8]) -> Result<(), VhdError> {
        self.storage.read_at(offset, out).map_err(|error| VhdError::io(&self.name, "read", offset, error))
    }

    fn write_file(&self, offset: u64, bytes: &[u8]) -> Result<(), VhdError> {
        self.storage.write_at(offset, bytes).map_err(|error| VhdError::io(&self.name, "write", offset, error))
    }

    fn sync_file(&self) -> Result<(), VhdError> {
        self.storage
            .sync()
            .map_err(|error| VhdError::io(&self.name, "make durable what was written", 0, error))
    }
}
