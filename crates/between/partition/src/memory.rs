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
    /// The host could not back the pages.
    #[error("the host cannot back guest memory: {0}")]
    Backing(#[from] RegionError),
}

/// Guest pages by number: what both sides of a ring need.
pub trait GuestRam: Send + Sync {
    /// The pages with these numbers, in this order. They stay mapped while the value lives, even if the guest loses them
    /// meanwhile; what they hold then is said at [`GuestMemory::discard`]. A number may occur twice. All or nothing.
    fn pages(&self, pages: &[u64]) -> Result<MappedPages, MemoryError>;

    /// Copies bytes out of guest memory. Pages that were never written read as zeros.
    fn read(&self, gpa: u64, out: &mut [u8]) -> Result<(), MemoryError>;

    /// Copies bytes into guest memory. If a page is missing, the pages before it may have been written.
    fn write(&self, gpa: u64, bytes: &[u8]) -> Result<(), MemoryError>;
}

/// What the host can do with a guest's memory.
pub trait GuestMemory: GuestRam {
    /// Gives the guest memory at addresses where it had none (boot, hot-add). It reads as zeros.
    fn add(&self, range: GuestRange) -> Result<(), MemoryError>;

    /// Takes the content of pages that the guest has given back (balloon): their bytes are free for the host. The
    /// addresses remain memory, and read as zeros when they are used again (unballoon). All or nothing: a range that is
    /// not memory of this guest fails the whole list.
    ///
    /// What holders of [`MappedPages`] of a discarded page see is up to the partition: the old bytes, which the guest no
    /// longer sees (simulated), or zeros and then whatever the guest writes, since host and guest share the very page (KVM).
    /// So nobody may rely on the content of a page that can be discarded: the owner of the memory map must refuse ranges
    /// that a GPADL pins.
    fn discard(&self, ranges: &[GuestRange]) -> Result<(), MemoryError>;

    /// Bytes of host memory that the guest's memory takes at this moment.
    fn resident(&self) -> u64;
}
