//! Mappings: where the bytes of pages are.
#![expect(unsafe_code, reason = "the mapping itself: allocation, mmap, and memory that a hypervisor mapped")]

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::any::Any;
use std::fmt;
use std::ops::Range;
#[cfg(target_os = "linux")]
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;

use crate::claim::{Claims, WithdrawError};
#[cfg(target_os = "linux")]
use crate::memfd::{self, MemfdError, MemfdMapping};
use crate::size::{PAGE_BYTES, RegionError, byte_len};

/// A contiguous mapping of whole pages, shared with other holders of the same memory: threads, processes or a guest.
///
/// Its bytes are reached only through [`Page`](crate::Page)s, and there only through atomics of one width at a time.
pub struct Region {
    base: NonNull<u8>,
    pages: usize,
    claims: Claims,
    backing: Backing,
}

enum Backing {
    Process(Layout),
    #[cfg(target_os = "linux")]
    Memfd {
        _mapping: MemfdMapping,
    },
    /// Dropped with the region; the owner unmaps the memory in its own drop.
    Foreign {
        _owner: Box<dyn Any + Send + Sync>,
    },
}

// SAFETY: a region is an address range that stays mapped until drop, and a claim table behind a lock. The bytes are
// accessed only through atomics (`view`), which may be used from any thread; the owner of a foreign mapping is
// `Send + Sync` by its bound.
unsafe impl Send for Region {}
// SAFETY: as above; no method of a shared region touches bytes other than through atomics.
unsafe impl Sync for Region {}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.backing {
            Backing::Process(_) => "process",
            #[cfg(target_os = "linux")]
            Backing::Memfd { .. } => "memfd",
            Backing::Foreign { .. } => "foreign",
        };
        f.debug_struct("Region").field("kind", &kind).field("pages", &self.pages).finish_non_exhaustive()
    }
}

impl Region {
    /// Zeroed pages of this process.
    ///
    /// # Errors
    /// The number of pages is not usable, or there is no memory: see [`RegionError`].
    pub fn process(pages: usize) -> Result<Arc<Self>, RegionError> {
        let bytes = byte_len(pages)?;
        let layout =
            Layout::from_size_align(bytes, PAGE_BYTES).map_err(|_| RegionError::TooLarge { pages })?;
        // SAFETY: the size is not zero (`byte_len`).
        let base = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or(RegionError::OutOfMemory { pages })?;
        Ok(Arc::new(Self { base, pages, claims: Claims::default(), backing: Backing::Process(layout) }))
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn of_memfd(mapping: MemfdMapping) -> Arc<Self> {
        let (base, pages) = (mapping.base(), mapping.pages());
        Arc::new(Self {
            base,
            pages,
            claims: Claims::default(),
            backing: Backing::Memfd { _mapping: mapping },
        })
    }

    /// Wraps memory that another part of the program has mapped, such as the RAM of a guest. `owner` is dropped with the
    /// region.
    ///
    /// # Errors
    /// The number of pages is not usable: see [`RegionError`].
    ///
    /// # Safety
    /// From now until `owner` has been dropped:
    /// - `base` is aligned to [`PAGE_BYTES`], and `pages * PAGE_BYTES` bytes from it are one mapping, readable and
    ///   writable, that is not unmapped or truncated (replacing its content, as by punching a hole, is allowed);
    /// - pages are made inaccessible only while they are withdrawn ([`withdraw`](Self::withdraw));
    /// - Rust code of this process touches these bytes only through this region. What a guest, another process or
    ///   the kernel does to them is outside Rust's memory model and needs no promise.
    pub unsafe fn from_raw(
        base: NonNull<u8>,
        pages: usize,
        owner: Box<dyn Any + Send + Sync>,
    ) -> Result<Arc<Self>, RegionError> {
        byte_len(pages)?;
        debug_assert_eq!(base.addr().get() % PAGE_BYTES, 0, "a mapping starts on a page");
        let backing = Backing::Foreign { _owner: owner };
        Ok(Arc::new(Self { base, pages, claims: Claims::default(), backing }))
    }

    /// Number of pages.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// Number of pages of which a view ([`crate::DataPages`], [`crate::ControlPage`]) exists.
    pub fn viewed_pages(&self) -> usize {
        self.claims.pages()
    }

    /// Withdraws pages, all or none: until they are reinstated there is no view of them, and no byte of them is copied in
    /// or out. From then on the mapping's owner may make them inaccessible. Pages that are withdrawn already stay so.
    ///
    /// # Errors
    /// If a view of one of them exists, or the region does not have them.
    pub fn withdraw(&self, pages: &[Range<usize>]) -> Result<Vec<Range<usize>>, WithdrawError> {
        if let Some(wanted) = pages.iter().map(|range| range.end).max().filter(|&end| end > self.pages) {
            return Err(WithdrawError::Beyond { have: self.pages, wanted });
        }
        self.claims.withdraw(pages)
    }

    /// Takes a withdrawal back. Pages that are not withdrawn stay as they are.
    ///
    /// # Safety
    /// The pages are accessible (see [`from_raw`](Self::from_raw)).
    pub unsafe fn reinstate(&self, pages: &[Range<usize>]) {
        self.claims.reinstate(pages);
    }

    /// One of the pages of which a view exists now, if there is any.
    pub fn viewed_of(&self, pages: &[Range<usize>]) -> Option<usize> {
        self.claims.claimed_of(pages)
    }

    /// Those of the pages that are withdrawn.
    pub fn withdrawn_of(&self, pages: &[Range<usize>]) -> Vec<Range<usize>> {
        self.claims.withdrawn_of(pages)
    }

    /// Whether page `index` is withdrawn.
    pub fn is_withdrawn(&self, index: usize) -> bool {
        self.claims.is_withdrawn(index)
    }

    /// How many pages are withdrawn.
    pub fn withdrawn_pages(&self) -> usize {
        self.claims.withdrawn().1
    }

    /// How many runs of adjacent pages the withdrawn pages are.
    pub fn withdrawn_runs(&self) -> usize {
        self.claims.withdrawn().0
    }

    pub(crate) fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Address of a page of this region.
    pub(crate) fn page_address(&self, index: usize) -> NonNull<u8> {
        assert!(index < self.pages, "page {index} of {}", self.pages);
        // SAFETY: the offset is inside the one allocation that `base` points to (just checked), whose size fits `isize`
        // (`byte_len`).
        unsafe { self.base.add(index * PAGE_BYTES) }
    }
}

#[cfg(target_os = "linux")]
impl Region {
    /// Makes a memfd of zeroed pages, seals it against shrinking and maps it. The file descriptor is for the other
    /// process, which maps it with [`Region::from_memfd`]; it is closed on exec.
    ///
    /// # Errors
    /// See [`MemfdError`].
    pub fn memfd(name: &str, pages: usize) -> Result<(Arc<Self>, OwnedFd), MemfdError> {
        let fd = memfd::create(name, pages)?;
        let region = Self::from_memfd(fd.as_fd(), pages)?;
        Ok((region, fd))
    }

    /// Maps the first `pages` pages of a memfd that another process made. A process that has mapped the file shares its
    /// region: a second one is refused. A file that could still be shrunk is refused: touching a page beyond its end would
    /// kill this process.
    ///
    /// # Errors
    /// See [`MemfdError`].
    pub fn from_memfd(fd: BorrowedFd<'_>, pages: usize) -> Result<Arc<Self>, MemfdError> {
        Ok(Self::of_memfd(MemfdMapping::new(fd, pages)?))
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        match &self.backing {
            // SAFETY: `base` came from `alloc_zeroed` with this layout, and nothing refers to the region any more: every
            // view holds an `Arc` of it.
            Backing::Process(layout) => unsafe { dealloc(self.base.as_ptr(), *layout) },
            // These unmap in their own drop, which runs after this one.
            #[cfg(target_os = "linux")]
            Backing::Memfd { .. } => {}
            Backing::Foreign { .. } => {}
        }
    }
}
