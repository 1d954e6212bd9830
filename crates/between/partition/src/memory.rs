//! A guest's memory as the two sides see it.

use page_range::{GuestPage, GuestRange};
use shared_memory::{MappedPages, PAGE_BYTES, RegionError};

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

/// The part of a copy that lies in one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PagePiece {
    /// Number of the page.
    pub page: u64,
    /// Where in the page the part begins, in bytes.
    pub offset: usize,
    /// Bytes of the copy before this part.
    pub done: usize,
    /// Bytes of this part; never 0.
    pub len: usize,
}

/// Splits a copy of `len` bytes from guest address `gpa` on at the ends of pages.
///
/// # Errors
/// [`MemoryError::BeyondAddressSpace`] if the copy ends beyond the last address.
pub fn page_pieces(gpa: u64, len: usize) -> Result<impl Iterator<Item = PagePiece>, MemoryError> {
    if u64::try_from(len).ok().and_then(|len| gpa.checked_add(len)).is_none() {
        return Err(MemoryError::BeyondAddressSpace { gpa, len });
    }
    let page_bytes = PAGE_BYTES as u64;
    let mut done = 0;
    Ok(std::iter::from_fn(move || {
        let at = (done < len).then(|| gpa + done as u64)?;
        let offset = (at % page_bytes) as usize;
        let piece =
            PagePiece { page: at / page_bytes, offset, done, len: (PAGE_BYTES - offset).min(len - done) };
        done += piece.len;
        Some(piece)
    }))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_split_at_the_ends_of_pages() {
        let parts = |gpa, len| -> Vec<(u64, usize, usize, usize)> {
            let parts = page_pieces(gpa, len).unwrap();
            parts.map(|part| (part.page, part.offset, part.done, part.len)).collect()
        };
        assert_eq!(parts(0x1ff8, 0), []);
        assert_eq!(parts(0x1ff8, 8), [(1, 0xff8, 0, 8)]);
        assert_eq!(parts(0x1ff8, 0x1010), [(1, 0xff8, 0, 8), (2, 0, 8, 0x1000), (3, 0, 0x1008, 8)]);
        assert_eq!(parts(u64::MAX - 1, 1), [(u64::MAX >> 12, 0xffe, 0, 1)]);
    }

    #[test]
    fn a_copy_beyond_the_last_address_is_refused() {
        let refused = page_pieces(u64::MAX - 1, 2).err();
        assert_eq!(refused, Some(MemoryError::BeyondAddressSpace { gpa: u64::MAX - 1, len: 2 }));
    }
}
