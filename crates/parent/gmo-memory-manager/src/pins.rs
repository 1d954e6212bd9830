//! Pins: pages that must stay mapped.

use core::fmt;
use core::num::NonZeroU64;
use std::collections::BTreeMap;
use std::sync::Arc;

use page_range::{GuestPage, GuestRange, PageCount, RangeSet};
use serde::{Deserialize, Serialize};

use crate::run_map::leading_run;

/// Number of a pin, in its memory map: what survives saving and restoring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PinId(pub u64);

impl PinId {
    /// The highest number that a saved state may say comes next. What remains is enough for ever (invented).
    pub(crate) const MAX_RESTORED: Self = Self(1 << 63);
}

impl fmt::Display for PinId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Pages that stay mapped until this is given back to [`GmoMemoryManager::unpin`](crate::GmoMemoryManager::unpin).
///
/// Pages that are in several pins stay until the last of them is given back. Dropping a pin does not give it back.
#[derive(Debug)]
#[must_use = "the pages stay pinned until this is given back"]
pub struct Pin {
    id: PinId,
    map: MapIdentity,
}

impl Pin {
    /// Its number in its memory map.
    #[must_use]
    pub fn id(&self) -> PinId {
        self.id
    }
}

/// Tells the pins of one memory map from another's.
#[derive(Clone, Debug, Default)]
struct MapIdentity(Arc<()>);

/// All pins of a memory map.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    identity: MapIdentity,
    held: BTreeMap<PinId, RangeSet<GuestPage>>,
    next: u64,
    counts: PinCounts,
}

impl Pins {
    pub(crate) fn restore(next: u64) -> Self {
        Self { next, ..Self::default() }
    }

    pub(crate) fn next_id(&self) -> u64 {
        self.next
    }

    pub(crate) fn held(&self) -> impl Iterator<Item = (PinId, &RangeSet<GuestPage>)> {
        self.held.iter().map(|(&id, pages)| (id, pages))
    }

    /// How many pages are in any pin.
    pub(crate) fn pages(&self) -> PageCount {
        PageCount(self.counts.pages)
    }

    pub(crate) fn first_pinned(&self, range: GuestRange) -> Option<GuestRange> {
        self.counts.first_counted(range)
    }

    pub(crate) fn pin(&mut self, pages: RangeSet<GuestPage>) -> Pin {
        let id = PinId(self.next);
        self.next += 1;
        self.hold(id, pages)
    }

    /// As [`pin`](Self::pin), with a number from a saved state.
    pub(crate) fn hold(&mut self, id: PinId, pages: RangeSet<GuestPage>) -> Pin {
        for run in &pages {
            self.counts.add(run);
        }
        self.held.insert(id, pages);
        Pin { id, map: self.identity.clone() }
    }

    pub(crate) fn unpin(&mut self, pin: Pin) -> Result<(), Pin> {
        if !Arc::ptr_eq(&pin.map.0, &self.identity.0) {
            return Err(pin);
        }
        for run in self.held.remove(&pin.id).unwrap_or_default() {
            self.counts.subtract(run);
        }
        Ok(())
    }
}

/// How many pins each page is in, as runs of pages with the same count; pages in none are in no run.
#[derive(Debug, Default)]
struct PinCounts {
    /// First page number of a run → the number after its last, and the count.
    runs: BTreeMap<u64, (u64, NonZeroU64)>,
    pages: u64,
}

impl PinCounts {
    fn first_counted(&self, range: GuestRange) -> Option<GuestRange> {
        let before = self.runs.range(..range.start().0).next_back();
        let counted = before.into_iter().chain(self.runs.range(range.start().0..range.end()));
        leading_run(
            counted.filter_map(|(&start, &(end, _))| GuestRange::between(start, end)?.intersection(range)),
        )
    }

    fn add(&mut self, range: GuestRange) {
        self.change(range, |count| Some(count.map_or(NonZeroU64::MIN, |count| count.saturating_add(1))));
    }

    fn subtract(&mut self, range: GuestRange) {
        self.change(range, |count| count.and_then(|count| NonZeroU64::new(count.get() - 1)));
    }

    /// Give each page of the range the count that follows from the one it has.
    fn change(&mut self, range: GuestRange, following: impl Fn(Option<NonZeroU64>) -> Option<NonZeroU64>) {
        let (start, end) = (range.start().0, range.end());
        self.cut(start);
        self.cut(end);
        let old: Vec<_> =
            self.runs.range(start..end).map(|(&start, &(end, count))| (start, end, count)).collect();
        let mut from = start;
        for (run_start, run_end, count) in old {
            self.set(from, run_start, following(None));
            self.set(run_start, run_end, following(Some(count)));
            from = run_end;
        }
        self.set(from, end, following(None));
        self.join(end);
    }

    /// Let a run begin at `at`, if `at` is in one.
    fn cut(&mut self, at: u64) {
        if let Some((_, run)) = self.runs.range_mut(..at).next_back()
            && run.0 > at
        {
            let above = *run;
            run.0 = at;
            self.runs.insert(at, above);
        }
    }

    /// Give the pages, which are one run or no part of any, this count; and join the run to the one before it.
    fn set(&mut self, start: u64, end: u64, count: Option<NonZeroU64>) {
        if start == end {
            return;
        }
        if self.runs.remove(&start).is_some() {
            self.pages -= end - start;
        }
        if let Some(count) = count {
            self.runs.insert(start, (end, count));
            self.pages += end - start;
            self.join(start);
        }
    }

    /// Join the run that begins at `at` to the one that ends there, if their counts are the same.
    fn join(&mut self, at: u64) {
        let Some(&(end, count)) = self.runs.get(&at) else { return };
        if let Some((_, below)) = self.runs.range_mut(..at).next_back()
            && below.0 == at
            && below.1 == count
        {
            below.0 = end;
            self.runs.remove(&at);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAGES: u64 = 24;

    fn ranges() -> impl Strategy<Value = GuestRange> {
        (0..PAGES, 0..PAGES).prop_filter_map("a range", |(one, other)| {
            GuestRange::between(one.min(other), one.max(other) + 1)
        })
    }

    /// The runs of pages with the same count that is not zero, found page by page.
    fn runs_of(counts: &[u64]) -> Vec<(u64, u64, u64)> {
        let mut runs: Vec<(u64, u64, u64)> = Vec::new();
        for (page, &count) in (0..).zip(counts).filter(|&(_, &count)| count > 0) {
            match runs.last_mut() {
                Some(last) if last.1 == page && last.2 == count => last.1 += 1,
                _ => runs.push((page, page + 1, count)),
            }
        }
        runs
    }

    proptest! {
        #[test]
        fn each_page_is_counted(history in prop::collection::vec((any::<bool>(), ranges()), 1..40)) {
            let (mut counts, mut model) = (PinCounts::default(), vec![0u64; PAGES as usize]);
            let mut held = Vec::new();
            for (give_back, range) in history {
                let range = if give_back && !held.is_empty() {
                    let range: GuestRange = held.swap_remove(range.start().0 as usize % held.len());
                    counts.subtract(range);
                    range.each_page().for_each(|page| model[page.0 as usize] -= 1);
                    range
                } else {
                    held.push(range);
                    counts.add(range);
                    range.each_page().for_each(|page| model[page.0 as usize] += 1);
                    range
                };
                let runs: Vec<_> =
                    counts.runs.iter().map(|(&start, &(end, count))| (start, end, count.get())).collect();
                prop_assert_eq!(runs, runs_of(&model));
                prop_assert_eq!(counts.pages, model.iter().filter(|&&count| count > 0).count() as u64);
                let counted = range.each_page().filter(|page| model[page.0 as usize] > 0).collect::<Vec<_>>();
                prop_assert_eq!(counts.first_counted(range).map(GuestRange::start), counted.first().copied());
            }
        }
    }
}
