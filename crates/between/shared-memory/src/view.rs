//! Pages and the two ways to look at them.
#![expect(unsafe_code, reason = "references to atomics inside a mapping")]

use std::ops::{Deref, Range};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};

use crate::claim::{ViewError, Width, Withdrawn};
use crate::region::Region;
use crate::size::{CONTROL_WORDS_PER_PAGE, PAGE_BYTES, WORDS_PER_PAGE};

/// The right to access one page in one width; given back on drop. Keeps the mapping alive.
#[derive(Debug)]
struct Claim {
    region: Arc<Region>,
    page: usize,
}

impl Claim {
    /// Claims `page`, which lies in `region`, in the wanted width.
    fn new(region: &Arc<Region>, page: usize, wanted: Width) -> Result<Self, ViewError> {
        region.claims().take(page, wanted)?;
        Ok(Self { region: Arc::clone(region), page })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.region.claims().release(self.page);
    }
}

impl Region {
    /// Page `index`, if the region has it.
    pub fn page(self: &Arc<Self>, index: usize) -> Option<Page> {
        (index < self.pages()).then(|| Page::new(Arc::clone(self), index))
    }

    /// All pages, in order.
    pub fn all_pages(self: &Arc<Self>) -> MappedPages {
        (0..self.pages()).map(|index| Page::new(Arc::clone(self), index)).collect()
    }
}

/// One page of a [`Region`]. A `Page` keeps the mapping alive and gives no access by itself.
#[derive(Clone, Debug)]
pub struct Page {
    region: Arc<Region>,
    index: usize,
}

impl Page {
    pub(crate) fn new(region: Arc<Region>, index: usize) -> Self {
        Self { region, index }
    }

    /// Whether `next` follows this page in the same mapping.
    fn is_followed_by(&self, next: &Self) -> bool {
        Arc::ptr_eq(&self.region, &next.region) && self.index + 1 == next.index
    }

    fn claim(&self, wanted: Width) -> Result<Claim, ViewError> {
        Claim::new(&self.region, self.index, wanted)
    }

    /// Lends the page's words, in the width that it is in use in, or in 64 bits.
    pub(crate) fn with_words<R>(&self, access: impl FnOnce(Words<'_>) -> R) -> Result<R, Withdrawn> {
        let address = self.region.page_address(self.index);
        self.region.claims().during(self.index, |width| match width {
            Width::Bits32 => {
                // SAFETY: as in `ControlPage::deref`; the region is kept alive by `self`, and no claim of the page in the
                // other width, and no withdrawal, succeeds before `access` has returned.
                access(Words::Bits32(unsafe {
                    address.cast::<[AtomicU32; CONTROL_WORDS_PER_PAGE]>().as_ref()
                }))
            }
            Width::Bits64 => {
                // SAFETY: as above, for `DataPages::words_of`.
                access(Words::Bits64(unsafe { address.cast::<[AtomicU64; WORDS_PER_PAGE]>().as_ref() }))
            }
        })
    }

    /// The page as 32-bit words. Refused while a view of it as 64-bit words exists.
    ///
    /// # Errors
    /// See [`ViewError`].
    pub fn control(&self) -> Result<ControlPage, ViewError> {
        let words = self.region.page_address(self.index).cast();
        Ok(ControlPage { words, _claim: self.claim(Width::Bits32)? })
    }

    /// The page as 64-bit words. Refused while a view of it as 32-bit words exists.
    ///
    /// # Errors
    /// See [`ViewError`].
    pub fn data(&self) -> Result<DataPages, ViewError> {
        DataPages::new(std::slice::from_ref(self))
    }
}

/// The words of a page in one of the two widths.
pub(crate) enum Words<'a> {
    Bits32(&'a [AtomicU32]),
    Bits64(&'a [AtomicU64]),
}

/// Pages in the order of a list of page numbers (a GPADL), from any number of mappings. Their bytes stay as long as
/// this value or a view of it exists, whatever happens to the guest's memory meanwhile.
#[derive(Clone, Debug, Default)]
pub struct MappedPages {
    pages: Vec<Page>,
}

impl FromIterator<Page> for MappedPages {
    fn from_iter<T: IntoIterator<Item = Page>>(pages: T) -> Self {
        Self { pages: pages.into_iter().collect() }
    }
}

impl MappedPages {
    /// Number of pages.
    pub fn len(&self) -> usize {
        self.pages.len()
    }

    /// Whether there is no page.
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// Page `index` of the list.
    pub fn get(&self, index: usize) -> Option<&Page> {
        self.pages.get(index)
    }

    /// The pages in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Page> {
        self.pages.iter()
    }

    /// The pages `range` of the list, `None` if it has fewer.
    pub fn slice(&self, range: Range<usize>) -> Option<Self> {
        Some(Self { pages: self.pages.get(range)?.to_vec() })
    }

    /// All pages as 64-bit words, in order. Refused while a view of one of them as 32-bit words exists.
    ///
    /// # Errors
    /// See [`ViewError`].
    pub fn data(&self) -> Result<DataPages, ViewError> {
        DataPages::new(&self.pages)
    }
}

impl<'a> IntoIterator for &'a MappedPages {
    type Item = &'a Page;
    type IntoIter = std::slice::Iter<'a, Page>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// A page as 1024 atomic 32-bit words.
#[derive(Debug)]
pub struct ControlPage {
    words: NonNull<[AtomicU32; CONTROL_WORDS_PER_PAGE]>,
    _claim: Claim,
}

// SAFETY: a pointer to atomics that stay mapped as long as `_claim` (which holds the region) exists; atomics may be used
// from any thread.
unsafe impl Send for ControlPage {}
// SAFETY: as above.
unsafe impl Sync for ControlPage {}

impl Deref for ControlPage {
    type Target = [AtomicU32; CONTROL_WORDS_PER_PAGE];

    #[inline]
    fn deref(&self) -> &Self::Target {
        // SAFETY: the pointer is to a whole page of a mapping (`page_address` checked the index), page-aligned, zeroed or
        // written by others, so every bit pattern is a valid `AtomicU32`; the claim keeps the mapping alive and
        // the page accessible for as long as `self`, and guarantees that this process accesses it in 32-bit atomics only.
        unsafe { self.words.as_ref() }
    }
}

/// Words that follow each other in memory.
#[derive(Clone, Copy, Debug)]
struct Run {
    start: NonNull<AtomicU64>,
    len: usize,
}

/// Pages as one array of atomic 64-bit words, which need not be contiguous in memory.
#[derive(Debug)]
pub struct DataPages {
    /// The run that page 0 begins. When all pages are adjacent (the usual case) it is all of them, and the page table is
    /// never looked at.
    first: Run,
    /// For each page the run of words from its beginning to the last page adjacent to it.
    table: Box<[Run]>,
    _claims: Box<[Claim]>,
}

// SAFETY: pointers to atomics that stay mapped as long as `_claims` (which hold their regions) exist; atomics may be
// used from any thread.
unsafe impl Send for DataPages {}
// SAFETY: as above.
unsafe impl Sync for DataPages {}

impl DataPages {
    fn new(pages: &[Page]) -> Result<Self, ViewError> {
        let claims = pages.iter().map(|page| page.claim(Width::Bits64)).collect::<Result<Box<_>, _>>()?;
        let mut table: Box<[Run]> = pages
            .iter()
            .map(|page| Run { start: page.region.page_address(page.index).cast(), len: WORDS_PER_PAGE })
            .collect();
        for index in (1..pages.len()).rev() {
            if pages[index - 1].is_followed_by(&pages[index]) {
                table[index - 1].len += table[index].len;
            }
        }
        let first = table.first().copied().unwrap_or(Run { start: NonNull::dangling(), len: 0 });
        Ok(Self { first, table, _claims: claims })
    }

    /// Number of words.
    #[inline]
    pub fn len(&self) -> usize {
        self.table.len() * WORDS_PER_PAGE
    }

    /// Whether there is no page.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Size in bytes.
    #[inline]
    pub fn byte_len(&self) -> usize {
        self.table.len() * PAGE_BYTES
    }

    /// Whether all pages follow each other in memory.
    pub fn is_contiguous(&self) -> bool {
        self.first.len == self.len()
    }

    /// The words from number `word` on that follow each other in memory; at least the rest of its page, and the rest of
    /// all pages if they are contiguous. Empty only beyond the end.
    #[inline]
    pub fn run(&self, word: usize) -> &[AtomicU64] {
        match self.words_of(self.first).get(word..) {
            Some(run) if !run.is_empty() => run,
            _ => self.later_run(word),
        }
    }

    #[cold]
    fn later_run(&self, word: usize) -> &[AtomicU64] {
        let run = self.table.get(word / WORDS_PER_PAGE);
        run.map_or(&[], |&run| &self.words_of(run)[word % WORDS_PER_PAGE..])
    }

    #[inline]
    fn words_of(&self, run: Run) -> &[AtomicU64] {
        // SAFETY: runs are made in `new` only: whole pages of one mapping, adjacent in it, so inside one
        // allocation; page-aligned; every bit pattern is a valid `AtomicU64`. (A run of no pages is dangling, aligned and
        // empty.) The claims keep the mapping alive and its pages accessible for as long as `self`, and guarantee that this
        // process accesses these pages in 64-bit atomics only.
        unsafe { std::slice::from_raw_parts(run.start.as_ptr(), run.len) }
    }
}
