//! Memory shared between processes: a memfd that is sealed against shrinking.
#![expect(unsafe_code, reason = "mmap and munmap of the file")]

use std::collections::BTreeSet;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::ptr::NonNull;

use parking_lot::Mutex;
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::mm::{MapFlags, ProtFlags};

use crate::size::{PAGE_BYTES, RegionError, byte_len};

/// Why a memfd could not be made or mapped.
#[derive(Debug, thiserror::Error)]
pub enum MemfdError {
    /// The size is not usable.
    #[error(transparent)]
    Size(#[from] RegionError),
    /// The file can be shrunk by another holder, which would turn an access into a fault: seal it first.
    #[error("the file is not sealed against shrinking (F_SEAL_SHRINK)")]
    NotSealed,
    /// The file is smaller than the mapping asked for.
    #[error("the file has {have} bytes, the mapping needs {need}")]
    TooSmall {
        /// Bytes of the file.
        have: u64,
        /// Bytes of the mapping.
        need: u64,
    },
    /// This process has a mapping of the file already: share that region.
    #[error("this process has mapped the file already")]
    MappedAlready,
    /// A system call failed.
    #[error("{call}: {source}")]
    System {
        /// The call that failed.
        call: &'static str,
        /// What the kernel said.
        source: std::io::Error,
    },
}

fn system(call: &'static str) -> impl FnOnce(rustix::io::Errno) -> MemfdError {
    move |errno| MemfdError::System { call, source: errno.into() }
}

/// The files that this process has mapped, by device and inode: the rule of one width for each page holds within a region, so
/// a file must not have two. A mapping keeps its file, so the numbers are not given to another one meanwhile.
static MAPPED: Mutex<BTreeSet<(u64, u64)>> = Mutex::new(BTreeSet::new());

/// The right to be a file's only mapping in this process.
struct OnlyMapping((u64, u64));

impl OnlyMapping {
    fn of(file: &rustix::fs::Stat) -> Result<Self, MemfdError> {
        let id = (file.st_dev, file.st_ino);
        if MAPPED.lock().insert(id) { Ok(Self(id)) } else { Err(MemfdError::MappedAlready) }
    }
}

impl Drop for OnlyMapping {
    fn drop(&mut self) {
        MAPPED.lock().remove(&self.0);
    }
}

/// A shared mapping of a sealed file.
pub(crate) struct MemfdMapping {
    base: NonNull<u8>,
    pages: usize,
    /// Dropped after the file is unmapped.
    _only: OnlyMapping,
}

impl MemfdMapping {
    /// Maps the first `pages` pages of the file.
    pub(crate) fn new(fd: BorrowedFd<'_>, pages: usize) -> Result<Self, MemfdError> {
        let bytes = byte_len(pages)?;
        let seals = rustix::fs::fcntl_get_seals(fd).map_err(system("fcntl(F_GET_SEALS)"))?;
        if !seals.contains(SealFlags::SHRINK) {
            return Err(MemfdError::NotSealed);
        }
        let file = rustix::fs::fstat(fd).map_err(system("fstat"))?;
        let (have, need) = (u64::try_from(file.st_size).unwrap_or(0), bytes as u64);
        if have < need {
            return Err(MemfdError::TooSmall { have, need });
        }
        let only = OnlyMapping::of(&file)?;
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice cannot disturb another one.
        let base = unsafe { rustix::mm::mmap(std::ptr::null_mut(), bytes, prot, MapFlags::SHARED, fd, 0) }
            .map_err(system("mmap"))?;
        let base = NonNull::new(base.cast::<u8>())
            .ok_or_else(|| MemfdError::System { call: "mmap", source: std::io::Error::other("null") })?;
        Ok(Self { base, pages, _only: only })
    }

    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub(crate) fn pages(&self) -> usize {
        self.pages
    }
}

impl Drop for MemfdMapping {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` with this size, and the region that it belongs to is being dropped: no
        // view of it is left. An error would mean a wrong range and would leave the memory mapped, which is harmless.
        let _ = unsafe { rustix::mm::munmap(self.base.as_ptr().cast(), self.pages * PAGE_BYTES) };
    }
}

/// A new file of zeroed pages, sealed against shrinking.
pub(crate) fn create(name: &str, pages: usize) -> Result<OwnedFd, MemfdError> {
    let bytes = byte_len(pages)?;
    let fd = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)
        .map_err(system("memfd_create"))?;
    rustix::fs::ftruncate(&fd, bytes as u64).map_err(system("ftruncate"))?;
    rustix::fs::fcntl_add_seals(&fd, SealFlags::SHRINK).map_err(system("fcntl(F_ADD_SEALS)"))?;
    Ok(fd)
}
