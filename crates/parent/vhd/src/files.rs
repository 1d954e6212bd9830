//! Real files: opened, locked, made, and joined to their parents.
//!
//! A disk that is written is locked against every other use, one that is read against writing; parents are read. The locks are the
//! host's (`flock`), so they end with the process, however it ends.

mod parents;
mod raw;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;

pub use raw::RawImage;

use crate::{
    Disk, DiskType, FooterRule, FormatError, Identity, Image, NewDisk, ParentLink, TableAccess, VhdError,
    VhdTime,
};

/// How a disk is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    /// Whether the disk will be written.
    pub write: bool,
    /// Where table and bitmaps are looked up.
    pub table: TableAccess,
    /// What happens to a damaged footer.
    pub footers: FooterRule,
}

impl Opening {
    /// For reading only.
    #[must_use]
    pub fn read() -> Self {
        Self::default()
    }

    /// For reading and writing.
    #[must_use]
    pub fn write() -> Self {
        Self { write: true, ..Self::default() }
    }
}

/// Opens a disk with its parents.
///
/// # Errors
/// The file, or a parent, is not there, is no VHD, is damaged, in use, or not the parent that was meant.
pub fn open(path: &Path, opening: Opening) -> Result<Disk<File>, VhdError> {
    let (image, _) = open_image(path, opening)?;
    let parents = parents::open_all(path, &image, opening.table)?;
    Disk::new(image, parents)
}

/// Opens one file, without its parents; also says what [`FooterRule::Repair`] mended.
///
/// # Errors
/// The file is not there, is no VHD, is damaged, or in use.
pub fn open_image(path: &Path, opening: Opening) -> Result<(Image<File>, Option<FormatError>), VhdError> {
    let file = open_file(path, opening.write)?;
    let name = path.display().to_string();
    Image::open_with(file, &name, opening.table, opening.write, opening.footers)
}

/// Opens and locks a file.
fn open_file(path: &Path, write: bool) -> Result<File, VhdError> {
    let failed = |source| VhdError::Open { path: path.to_owned(), doing: "open", source };
    // Before opening: a pipe would be waited for.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(VhdError::NotAFile { path: path.to_owned() });
    }
    let file = OpenOptions::new().read(true).write(write).open(path).map_err(failed)?;
    lock(&file, path, write)?;
    Ok(file)
}

fn lock(file: &File, path: &Path, write: bool) -> Result<(), VhdError> {
    let locked = if write { file.try_lock() } else { file.try_lock_shared() };
    locked.map_err(|error| match error {
        TryLockError::WouldBlock => VhdError::Locked { path: path.to_owned(), write },
        TryLockError::Error(source) => VhdError::Open { path: path.to_owned(), doing: "lock", source },
    })
}

fn not_made(path: &Path, source: std::io::Error) -> VhdError {
    let path = path.to_owned();
    match source.kind() {
        std::io::ErrorKind::AlreadyExists => VhdError::Exists { path },
        _ => VhdError::Open { path, doing: "make", source },
    }
}

/// Makes a fixed disk in a new file.
///
/// # Errors
/// The file is there already, no VHD has this size, or the host cannot write it.
pub fn create_fixed(path: &Path, new: &NewDisk) -> Result<Disk<File>, VhdError> {
    made(path, |file, name| Image::create_fixed(file, name, new))
        .and_then(|image| Disk::new(image, Vec::new()))
}

/// Makes a dynamic disk in a new file.
///
/// # Errors
/// The file is there already, no VHD has this size or block size, or the host cannot write it.
pub fn create_dynamic(path: &Path, new: &NewDisk, table: TableAccess) -> Result<Disk<File>, VhdError> {
    made(path, |file, name| Image::create_dynamic(file, name, new, table))
        .and_then(|image| Disk::new(image, Vec::new()))
}

/// Makes a disk that differs from `parent`, in a new file. From now on the parent must not be written.
///
/// # Errors
/// The file is there already, the parent cannot be opened, or the host cannot write.
pub fn create_differencing(path: &Path, parent: &Path, identity: Identity) -> Result<Disk<File>, VhdError> {
    let parent_disk = open(parent, Opening::read())?;
    let link = parents::link(path, parent, parent_disk.image())?;
    let block_bytes =
        parent_disk.image().layout().map_or(crate::limits::DEFAULT_BLOCK_BYTES, |layout| layout.block_bytes);
    let new = NewDisk { bytes: parent_disk.image().footer().bytes, block_bytes, identity };
    let table = TableAccess::InMemory;
    let image = made(path, |file, name| Image::create_differencing(file, name, &new, &link, table))?;
    Disk::new(image, parent_disk.into_images())
}

/// Makes a file; one that could not be finished is taken away again.
fn made(
    path: &Path,
    make: impl FnOnce(File, &str) -> Result<Image<File>, VhdError>,
) -> Result<Image<File>, VhdError> {
    let failed = |source| not_made(path, source);
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path).map_err(failed)?;
    let name = path.display().to_string();
    let image = lock(&file, path, true).and_then(|()| make(file, &name));
    if image.is_err() {
        let _what_is_told_is_why = fs::remove_file(path);
    }
    image
}

/// Makes a differencing disk name `parent`, as it is now: after the parent was moved, or copied. Whether it has the same content as
/// when the child was made, only the caller knows.
///
/// # Errors
/// The child is no differencing disk, or one of the two cannot be opened, or they do not fit: another disk, another size.
pub fn reconnect(child: &Path, parent: &Path) -> Result<ParentLink, VhdError> {
    let (mut image, _) = open_image(child, Opening::write())?;
    if image.disk_type() != DiskType::Differencing {
        let name = image.name().to_owned();
        return Err(VhdError::WrongParents { name, disk_type: image.disk_type(), parents: 1 });
    }
    let parent_disk = open(parent, Opening::read())?;
    let link = parents::link(child, parent, parent_disk.image())?;
    let expected = image.header().map_or_else(uuid::Uuid::nil, |header| header.parent.uuid);
    let found = link.identity.uuid;
    if expected != found {
        let (child, parent) = (image.name().to_owned(), parent.display().to_string());
        return Err(VhdError::ParentIsAnother { child, parent, expected, found });
    }
    image.set_parent(&link)?;
    // Whether they fit.
    Disk::new(image, parent_disk.into_images())?;
    Ok(link)
}

/// When a file was written last.
fn modified(image: &Image<File>, path: &Path) -> Result<VhdTime, VhdError> {
    let time = crate::Storage::modified(image.storage());
    time.map(VhdTime::from_system).map_err(|source| VhdError::Open {
        path: path.to_owned(),
        doing: "read the time of",
        source,
    })
}
