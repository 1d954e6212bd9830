//! Guest memory of which only the pages in use exist.

use std::collections::{BTreeMap, BTreeSet};

use model_sync::Mutex;
use page_range::{GuestPage, GuestRange, RangeSet};
use shared_memory::{MappedPages, PAGE_BYTES, Page, Region};

use crate::memory::{MemoryError, PagePiece, page_pieces};

#[derive(Debug, Default)]
pub(super) struct Ram(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Addresses where the guest has memory.
    ranges: RangeSet<GuestPage>,
    /// Of these, what it has given back.
    taken: RangeSet<GuestPage>,
    /// The pages that exist, by number. Pages made together share one mapping, which goes when its last page goes.
    pages: BTreeMap<u64, Page>,
}

impl State {
    fn check(&self, page: u64) -> Result<(), MemoryError> {
        let page = GuestPage(page);
        if self.ranges.contains(page) && !self.taken.contains(page) {
            Ok(())
        } else {
            Err(MemoryError::NotMemory { page })
        }
    }

    /// Whether the guest has memory at all of these addresses, given back or not.
    fn check_ranges(&self, ranges: &[GuestRange]) -> Result<(), MemoryError> {
        match ranges.iter().find_map(|&range| self.ranges.first_missing(range)) {
            Some(missing) => Err(MemoryError::NotMemory { page: missing.start() }),
            None => Ok(()),
        }
    }

    /// Makes the pages that do not exist yet, in one mapping and in the order of the list: a ring's pages then follow each
    /// other in the host's memory whatever their numbers are.
    fn touch(&mut self, numbers: &[u64]) -> Result<(), MemoryError> {
        numbers.iter().try_for_each(|&number| self.check(number))?;
        let mut seen = BTreeSet::new();
        let missing: Vec<u64> = numbers
            .iter()
            .copied()
            .filter(|number| !self.pages.contains_key(number) && seen.insert(*number))
            .collect();
        if !missing.is_empty() {
            let region = Region::process(missing.len())?;
            self.pages.extend(missing.into_iter().zip(region.all_pages().iter().cloned()));
        }
        Ok(())
    }
}

impl Ram {
    pub(super) fn pages(&self, numbers: &[u64]) -> Result<MappedPages, MemoryError> {
        let mut state = self.0.lock();
        state.touch(numbers)?;
        Ok(numbers.iter().filter_map(|number| state.pages.get(number).cloned()).collect())
    }

    pub(super) fn read(&self, gpa: u64, out: &mut [u8]) -> Result<(), MemoryError> {
        let state = self.0.lock();
        for PagePiece { page: number, offset, done, len } in page_pieces(gpa, out.len())? {
            state.check(number)?;
            let out = &mut out[done..done + len];
            match state.pages.get(&number).map(|page| page.read(offset, out)) {
                Some(Ok(())) => {}
                // Not touched, so zero. (A piece never leaves its page.)
                Some(Err(_)) | None => out.fill(0),
            }
        }
        Ok(())
    }

    pub(super) fn write(&self, gpa: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        let mut state = self.0.lock();
        for PagePiece { page: number, offset, done, len } in page_pieces(gpa, bytes.len())? {
            state.touch(&[number])?;
            if let Some(page) = state.pages.get(&number) {
                let within = page.write(offset, &bytes[done..done + len]);
                debug_assert!(within.is_ok(), "a piece never leaves its page");
            }
        }
        Ok(())
    }

    pub(super) fn add(&self, range: GuestRange) -> Result<(), MemoryError> {
        self.0.lock().ranges.insert_new(range).map_err(|_| MemoryError::Overlap { range })
    }

    pub(super) fn discard(&self, ranges: &[GuestRange]) -> Result<(), MemoryError> {
        let mut state = self.0.lock();
        state.check_ranges(ranges)?;
        for &range in ranges {
            state.taken.insert(range);
            let span = range.start().0..range.end();
            // One range of the map at a time: a range may name far more pages than exist.
            while let Some((&number, _)) = state.pages.range(span.clone()).next() {
                state.pages.remove(&number);
            }
        }
        Ok(())
    }

    pub(super) fn restore(&self, ranges: &[GuestRange]) -> Result<(), MemoryError> {
        let mut state = self.0.lock();
        state.check_ranges(ranges)?;
        for &range in ranges {
            state.taken.remove(range);
        }
        Ok(())
    }

    pub(super) fn resident(&self) -> u64 {
        self.0.lock().pages.len() as u64 * PAGE_BYTES as u64
    }

    pub(super) fn clear(&self) {
        *self.0.lock() = State::default();
    }
}
