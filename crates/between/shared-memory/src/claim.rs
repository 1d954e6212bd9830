//! Which page is accessed in which width, and which pages must not be accessed at all.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use model_sync::Mutex;
use page_range::{PageNumber, PageRange, RangeSet};

/// The size of the atomic accesses made to a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 32-bit words: the control page of a ring.
    Bits32,
    /// 64-bit words: everything else.
    Bits64,
}

/// A page is already accessed in the other width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "page {page} of the mapping is in use as {in_use:?}: it cannot be accessed as {wanted:?} at the same time"
)]
pub struct WidthConflict {
    /// Page index inside its region.
    pub page: usize,
    /// The width that holders have claimed.
    pub in_use: Width,
    /// The width asked for.
    pub wanted: Width,
}

/// A page was withdrawn with [`Region::withdraw`](crate::Region::withdraw), and is not accessible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("page {page} of the mapping is withdrawn: it cannot be accessed")]
pub struct Withdrawn {
    /// Page index inside its region.
    pub page: usize,
}

/// Why there is no view of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// A view of the page in the other width exists.
    #[error(transparent)]
    WidthConflict(#[from] WidthConflict),
    /// The page is withdrawn.
    #[error(transparent)]
    Withdrawn(#[from] Withdrawn),
}

/// Why pages cannot be withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WithdrawError {
    /// A view of this page exists.
    #[error("page {page} of the mapping cannot be withdrawn: it is in use")]
    InUse {
        /// Page index inside its region.
        page: usize,
    },
    /// The region does not have all of these pages.
    #[error("the mapping has {have} pages, not {wanted}")]
    Beyond {
        /// Pages of the region.
        have: usize,
        /// Pages that it would need.
        wanted: usize,
    },
}

/// Number of a page inside its region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Index(u64);

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "page {} of the mapping", self.0)
    }
}

impl PageNumber for Index {
    fn number(self) -> u64 {
        self.0
    }
    fn from_number(number: u64) -> Self {
        Self(number)
    }
}

/// `None`: no pages.
fn indices(pages: &Range<usize>) -> Option<PageRange<Index>> {
    PageRange::between(pages.start as u64, pages.end as u64)
}

/// The other way round. Indices came from a usize.
fn of_indices(range: PageRange<Index>) -> Range<usize> {
    range.start().0 as usize..range.end() as usize
}

/// The claims of one region. Only claimed pages have an entry: a ring has a few, guest RAM has a million.
#[derive(Debug, Default)]
pub(crate) struct Claims(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// By page.
    entries: BTreeMap<usize, Entry>,
    /// None of these has an entry.
    withdrawn: RangeSet<Index>,
}

#[derive(Debug)]
struct Entry {
    width: Width,
    holders: usize,
}

impl State {
    fn check(&self, page: usize) -> Result<(), Withdrawn> {
        if self.withdrawn.contains(Index(page as u64)) { Err(Withdrawn { page }) } else { Ok(()) }
    }
}

impl Claims {
    /// Number of pages of which a view exists.
    pub(crate) fn pages(&self) -> usize {
        self.0.lock().entries.len()
    }

    /// Claims a page in a width: see [`Page`](crate::Page).
    pub(crate) fn take(&self, page: usize, wanted: Width) -> Result<(), ViewError> {
        let mut state = self.0.lock();
        state.check(page)?;
        let entry = state.entries.entry(page).or_insert(Entry { width: wanted, holders: 0 });
        if entry.width != wanted {
            return Err(WidthConflict { page, in_use: entry.width, wanted }.into());
        }
        entry.holders += 1;
        Ok(())
    }

    /// Calls `access` with the width to use for a short access to the page. Meanwhile no claim of the page in
    /// another width, and no withdrawal of the page, succeeds.
    pub(crate) fn during<R>(&self, page: usize, access: impl FnOnce(Width) -> R) -> Result<R, Withdrawn> {
        let state = self.0.lock();
        state.check(page)?;
        let width = state.entries.get(&page).map_or(Width::Bits64, |entry| entry.width);
        Ok(access(width))
    }

    /// Gives a claim back.
    pub(crate) fn release(&self, page: usize) {
        let entries = &mut self.0.lock().entries;
        if let Some(entry) = entries.get_mut(&page) {
            entry.holders -= 1;
            if entry.holders == 0 {
                entries.remove(&page);
            }
        }
    }

    /// See [`Region::withdraw`](crate::Region::withdraw).
    pub(crate) fn withdraw(&self, pages: &[Range<usize>]) -> Result<Vec<Range<usize>>, WithdrawError> {
        let mut state = self.0.lock();
        for range in pages {
            if let Some((&page, _)) = state.entries.range(range.clone()).next() {
                return Err(WithdrawError::InUse { page });
            }
        }
        let mut fresh = Vec::new();
        for range in pages.iter().filter_map(indices) {
            fresh.extend(state.withdrawn.gaps_within(range).map(of_indices));
            state.withdrawn.insert(range);
        }
        Ok(fresh)
    }

    /// See [`Region::viewed_of`](crate::Region::viewed_of).
    pub(crate) fn claimed_of(&self, pages: &[Range<usize>]) -> Option<usize> {
        let state = self.0.lock();
        let mut wanted = pages.iter().filter(|range| !range.is_empty());
        wanted.find_map(|range| state.entries.range(range.clone()).next().map(|(&page, _)| page))
    }

    /// See [`Region::withdrawn_of`](crate::Region::withdrawn_of).
    pub(crate) fn withdrawn_of(&self, pages: &[Range<usize>]) -> Vec<Range<usize>> {
        let state = self.0.lock();
        pages
            .iter()
            .filter_map(indices)
            .flat_map(|range| state.withdrawn.within(range))
            .map(of_indices)
            .collect()
    }

    /// See [`Region::reinstate`](crate::Region::reinstate).
    pub(crate) fn reinstate(&self, pages: &[Range<usize>]) {
        let mut state = self.0.lock();
        for range in pages.iter().filter_map(indices) {
            state.withdrawn.remove(range);
        }
    }

    /// Whether one of the pages is withdrawn.
    pub(crate) fn is_withdrawn(&self, page: usize) -> bool {
        self.0.lock().check(page).is_err()
    }

    /// Runs of withdrawn pages, and how many pages they have.
    pub(crate) fn withdrawn(&self) -> (usize, usize) {
        let state = self.0.lock();
        // Not more than the region has pages, which is a usize.
        (state.withdrawn.run_count(), state.withdrawn.pages().get() as usize)
    }
}
