//! A guest's memory as the two sides see it.

use page_range::{GuestPage, GuestRange};
use shared_memory::{MappedPages, RegionError};

/// Why guest memory could not be reached or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// There is no memory at this guest page.
    #[error("{page} is not memory of this guest")]
    NotMemory {
        /// The page.
        page: GuestPage,
    },
    /// There is memory already in this range.
    #[error("{range} overlaps memory that this guest has")]
    Overlap {
        /// The range that was to be added.
        range: GuestRange,
    },
    /// A copy would run beyond the last address.
    #[error("{len} bytes from guest address {gpa:#x} end beyond the address space")]
    BeyondAddressSpace {
        /// First guest physical address.
        gpa: u64,
        /// Bytes.
        len: usize,
    },
    /// A view of the page exists, so it cannot be taken from the guest.
    #[error("{page} is in use by the host")]
    InUse {
        /// The page.
        page: GuestPage,
    },
    /// The pieces that the guest has given back are more than the host can keep it from.
    #[error("the guest has given its memory back in {pieces} pieces, more than the host can guard")]
    TooManyPieces {
        /// Runs of adjacent pages that would have to be guarded.
        pieces: usize,
    },
    /// The host could not back the pages.
    #[error("the host cannot back guest memory: {0}")]
    Backing(#[from] RegionError),
}

/// Guest pages by number: what both sides of a ring need.
pub trait GuestRam: Send + Sync {
    /// The pages with these numbers, in this order. A number may occur twice. All or nothing.
    ///
    /// The value alone keeps no page from being [taken](GuestMemory::discard): with KVM a view does, and a page without one
    /// cannot be viewed once it is taken; in a simulated partition the value keeps the bytes, which the guest no longer sees.
    ///
    /// # Errors
    /// A page is not memory of this guest: see [`MemoryError`].
    fn pages(&self, pages: &[u64]) -> Result<MappedPages, MemoryError>;

    /// Copies bytes out of guest memory. Pages that were never written read as zeros.
    ///
    /// # Errors
    /// An address is not the guest's memory: see [`MemoryError`]. What `out` holds then is not said.
    fn read(&self, gpa: u64, out: &mut [u8]) -> Result<(), MemoryError>;

    /// Copies bytes into guest memory. If a page is missing, the pages before it may have been written.
    ///
    /// # Errors
    /// An address is not the guest's memory: see [`MemoryError`]. What was written before that address stays.
    fn write(&self, gpa: u64, bytes: &[u8]) -> Result<(), MemoryError>;
}

/// What the host can do with a guest's memory.
pub trait GuestMemory: GuestRam {
    /// Gives the guest memory at addresses where it had none (boot, hot-add). The new memory reads as zeros.
    ///
    /// # Errors
    /// The guest has memory there already, or the partition cannot have it: see [`MemoryError`].
    fn add(&self, range: GuestRange) -> Result<(), MemoryError>;

    /// Takes pages that the guest has given back (balloon): their bytes are free for the host, and until they are
    /// [restored](Self::restore) they are no memory of this guest, neither for the host nor for the guest itself. All or
    /// nothing: if one of them is not memory of this guest, or (KVM) a view of it exists, nothing is taken. Pages that were
    /// taken already stay so.
    ///
    /// What a guest gets that touches such a page all the same is up to the partition: it has no memory there (simulated), or
    /// it is ended (KVM). Such an access never gets host memory.
    ///
    /// # Errors
    /// See [`MemoryError`].
    fn discard(&self, ranges: &[GuestRange]) -> Result<(), MemoryError>;

    /// Gives pages back that were [taken](Self::discard) (unballoon). These pages read as zeros. Pages that are the guest's
    /// stay as they are. All or nothing.
    ///
    /// # Errors
    /// See [`MemoryError`].
    fn restore(&self, ranges: &[GuestRange]) -> Result<(), MemoryError>;

    /// Bytes of host memory that the guest's memory takes at this moment.
    fn resident(&self) -> u64;
}
