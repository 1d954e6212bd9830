//! How large a mapping may be.

use crate::PAGE_BYTES;

/// Why a region could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegionError {
    /// A region has at least one page.
    #[error("a mapping of no pages")]
    Empty,
    /// The size in bytes does not fit the address space.
    #[error("a mapping of {pages} pages does not fit the address space")]
    TooLarge {
        /// Pages asked for.
        pages: usize,
    },
    /// The allocator gave nothing.
    #[error("no memory for {pages} pages")]
    OutOfMemory {
        /// Pages asked for.
        pages: usize,
    },
}

/// The size of a mapping in bytes, checked to be usable for pointer arithmetic.
pub(crate) fn byte_len(pages: usize) -> Result<usize, RegionError> {
    if pages == 0 {
        return Err(RegionError::Empty);
    }
    pages
        .checked_mul(PAGE_BYTES)
        .filter(|&bytes| isize::try_from(bytes).is_ok())
        .ok_or(RegionError::TooLarge { pages })
}
