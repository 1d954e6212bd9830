//! How large a page is, and how large a mapping may be.

/// Bytes of a page. Hyper-V's interface page size is 4 KiB on every guest architecture (TLFS, "page").
pub const PAGE_BYTES: usize = 4096;
/// 64-bit words of a data page.
pub const WORDS_PER_PAGE: usize = PAGE_BYTES / 8;
/// 32-bit words of a control page.
pub const CONTROL_WORDS_PER_PAGE: usize = PAGE_BYTES / 4;

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
