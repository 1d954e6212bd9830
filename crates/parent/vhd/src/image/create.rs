//! New files. The footer's copy at the beginning is written last, so that a file that was not finished is told.

use super::metadata::sparse;
use super::open::bytes_before_blocks;
use super::{Image, TableAccess};
use crate::format::{Footer, Header, Locator, LocatorKind};
use crate::limits::{DEFAULT_BLOCK_BYTES, SECTOR};
use crate::{DiskType, FormatError, Identity, Storage, VhdError};

/// What a new disk is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewDisk {
    /// Bytes of the disk.
    pub bytes: u64,
    /// Bytes of a block, if the disk has blocks.
    pub block_bytes: u32,
    /// Who the disk is.
    pub identity: Identity,
}

impl NewDisk {
    /// A disk of `bytes`, in blocks of 2 MiB.
    #[must_use]
    pub fn new(bytes: u64, identity: Identity) -> Self {
        Self { bytes, block_bytes: DEFAULT_BLOCK_BYTES, identity }
    }
}

/// How a differencing disk names its parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentLink {
    /// The parent's UUID, and when the parent's file was written last.
    pub identity: Identity,
    /// The parent's file name.
    pub name: String,
    /// Its path from the child's folder, with backslashes.
    pub relative: Option<String>,
    /// Its whole path, with backslashes.
    pub absolute: Option<String>,
}

impl ParentLink {
    fn path(&self, kind: LocatorKind) -> Option<&str> {
        match kind {
            LocatorKind::WindowsRelative => self.relative.as_deref(),
            LocatorKind::WindowsAbsolute => self.absolute.as_deref(),
            LocatorKind::Other(_) => None,
        }
    }
}

/// Bytes that are kept for a path are a multiple of this (invented: room for another path, should the parent move).
const PATH_SPACE: u64 = 4 * SECTOR;

impl<S: Storage> Image<S> {
    /// A fixed disk, all zeros, with its space on the host.
    ///
    /// # Errors
    /// No VHD has this size, or the host cannot write it.
    pub fn create_fixed(storage: S, name: &str, new: &NewDisk) -> Result<Self, VhdError> {
        let footer =
            Footer::new(DiskType::Fixed, new.bytes, new.identity).map_err(|error| bad(name, error))?;
        let image = Self { storage, name: name.to_owned(), footer, sparse: None, writable: true };
        let reserved = image.storage.reserve(new.bytes);
        reserved.map_err(|error| VhdError::io(name, "reserve the disk's space", 0, error))?;
        image.write_file(new.bytes, &image.footer.to_bytes())?;
        image.sync_file()?;
        Ok(image)
    }

    /// A dynamic disk without any block.
    ///
    /// # Errors
    /// No VHD has this size or block size, or the host cannot write it.
    pub fn create_dynamic(
        storage: S,
        name: &str,
        new: &NewDisk,
        access: TableAccess,
    ) -> Result<Self, VhdError> {
        Self::create_sparse(storage, name, new, DiskType::Dynamic, None, access)
    }

    /// A disk that does not differ from its parent yet. It must be as large as the parent.
    ///
    /// # Errors
    /// No VHD has this size or block size, or the host cannot write it.
    pub fn create_differencing(
        storage: S,
        name: &str,
        new: &NewDisk,
        parent: &ParentLink,
        access: TableAccess,
    ) -> Result<Self, VhdError> {
        Self::create_sparse(storage, name, new, DiskType::Differencing, Some(parent), access)
    }

    /// Makes a differencing disk name another file as its parent. A path that is longer than what is kept for it is left out.
    ///
    /// # Errors
    /// The host cannot write, or the image was opened for reading.
    pub(crate) fn set_parent(&mut self, parent: &ParentLink) -> Result<(), VhdError> {
        self.check_writable()?;
        let mut header = sparse!(self).header.clone();
        header.parent = parent.identity;
        header.parent_name.clone_from(&parent.name);
        for locator in &mut header.locators {
            let Some(path) = parent.path(locator.kind) else { continue };
            let mut bytes = utf16(path);
            let fits = u32::try_from(bytes.len()).ok().filter(|&length| length <= locator.space);
            locator.length = fits.unwrap_or(0);
            bytes.truncate(locator.length as usize);
            self.write_file(locator.offset, &bytes)?;
        }
        header.locators.retain(|locator| locator.length > 0);
        self.sync_file()?;
        let offset = self.footer.header_offset.unwrap_or(crate::format::FOOTER_BYTES as u64);
        self.write_file(offset, &header.to_bytes())?;
        sparse!(self).header = header;
        self.sync_file()
    }

    fn create_sparse(
        storage: S,
        name: &str,
        new: &NewDisk,
        disk_type: DiskType,
        parent: Option<&ParentLink>,
        access: TableAccess,
    ) -> Result<Self, VhdError> {
        let footer = Footer::new(disk_type, new.bytes, new.identity).map_err(|error| bad(name, error))?;
        let mut header = Header::new(new.bytes, new.block_bytes).map_err(|error| bad(name, error))?;
        let mut end = bytes_before_blocks(&header);
        let mut paths = Vec::new();
        if let Some(parent) = parent {
            paths = set_link(&mut header, parent, &mut end);
        }
        let image = Self { storage, name: name.to_owned(), footer, sparse: None, writable: true };
        let absent = vec![0xff; 1 << 20];
        let mut at = header.table_offset;
        let table_end = bytes_before_blocks(&header);
        while at < table_end {
            let piece = (table_end - at).min(absent.len() as u64);
            image.write_file(at, &absent[..piece as usize])?;
            at += piece;
        }
        for (offset, bytes) in paths {
            image.write_file(offset, &bytes)?;
        }
        image.write_file(crate::format::FOOTER_BYTES as u64, &header.to_bytes())?;
        image.write_file(end, &image.footer.to_bytes())?;
        image.sync_file()?;
        image.write_file(0, &image.footer.to_bytes())?;
        image.sync_file()?;
        let Self { storage, .. } = image;
        Self::open(storage, name, access, true)
    }
}

/// The parent in a header; returns its paths, each with where it is to be written, from `end` on.
fn set_link(header: &mut Header, parent: &ParentLink, end: &mut u64) -> Vec<(u64, Vec<u8>)> {
    header.parent = parent.identity;
    header.parent_name.clone_from(&parent.name);
    let mut paths = Vec::new();
    for kind in [LocatorKind::WindowsRelative, LocatorKind::WindowsAbsolute] {
        let Some(path) = parent.path(kind) else { continue };
        let mut bytes = utf16(path);
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let space = u64::from(length).next_multiple_of(PATH_SPACE);
        header.locators.push(Locator {
            kind,
            space: u32::try_from(space).unwrap_or(u32::MAX),
            length,
            offset: *end,
        });
        bytes.resize(usize::try_from(space).unwrap_or(bytes.len()), 0);
        paths.push((*end, bytes));
        *end += space;
    }
    paths
}

fn utf16(path: &str) -> Vec<u8> {
    path.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn bad(name: &str, error: FormatError) -> VhdError {
    VhdError::Format { name: name.to_owned(), error }
}
