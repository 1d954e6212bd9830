//! Who accesses which page in which width.

use std::collections::BTreeMap;
use std::sync::Arc;

use model_sync::Mutex;

use crate::region::Region;

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

/// The claims of one region. Only claimed pages have an entry: a ring has a few, guest RAM has a million.
#[derive(Debug, Default)]
pub(crate) struct Claims(Mutex<BTreeMap<usize, Entry>>);

#[derive(Debug)]
struct Entry {
    width: Width,
    holders: usize,
}

impl Claims {
    /// Number of pages somebody holds a view of.
    pub(crate) fn pages(&self) -> usize {
        self.0.lock().len()
    }

    fn take(&self, page: usize, wanted: Width) -> Result<(), WidthConflict> {
        let mut entries = self.0.lock();
        let entry = entries.entry(page).or_insert(Entry { width: wanted, holders: 0 });
        if entry.width != wanted {
            return Err(WidthConflict { page, in_use: entry.width, wanted });
        }
        entry.holders += 1;
        Ok(())
    }

    /// Calls `access` with the width to use for a short access to the page. Nobody can claim it in another meanwhile.
    pub(crate) fn during<R>(&self, page: usize, access: impl FnOnce(Width) -> R) -> R {
        let entries = self.0.lock();
        let width = entries.get(&page).map_or(Width::Bits64, |entry| entry.width);
        access(width)
    }

    fn release(&self, page: usize) {
        let mut entries = self.0.lock();
        if let Some(entry) = entries.get_mut(&page) {
            entry.holders -= 1;
            if entry.holders == 0 {
                entries.remove(&page);
            }
        }
    }
}

/// The right to access one page in one width; given back on drop. Keeps the mapping alive.
#[derive(Debug)]
pub(crate) struct Claim {
    region: Arc<Region>,
    page: usize,
}

impl Claim {
    /// Claims `page`, which lies in `region`, in the wanted width.
    pub(crate) fn new(region: &Arc<Region>, page: usize, wanted: Width) -> Result<Self, WidthConflict> {
        region.claims().take(page, wanted)?;
        Ok(Self { region: Arc::clone(region), page })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.region.claims().release(self.page);
    }
}
