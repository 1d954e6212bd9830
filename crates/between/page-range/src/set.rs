//! Sets of pages, stored as runs.

use core::fmt;
use core::marker::PhantomData;

#[cfg(feature = "serde")]
use serde::de::{Error as _, SeqAccess, Visitor};
#[cfg(feature = "serde")]
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{PageCount, PageNumber, PageRange};

mod runs;
#[cfg(test)]
mod tests;

/// A set of pages as sorted, disjoint runs with gaps between them.
///
/// Costs depend on the number of runs, never on the number of pages: a look-up, an insertion or a removal takes
/// O(log runs), plus the runs that it swallows, and up to a few hundred runs that are moved in memory. Serialised as the
/// list of its runs; a list that is not sorted, disjoint and merged is refused, so that equal sets have equal forms.
pub struct RangeSet<P> {
    runs: runs::Runs,
    pages: u64,
    numbering: PhantomData<P>,
}

/// The part of a range that was there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{overlap} is there already")]
pub struct Overlap<P: PageNumber> {
    /// The lowest run of pages that are in both.
    pub overlap: PageRange<P>,
}

/// The part of a range that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{missing} is not there")]
pub struct NotContained<P: PageNumber> {
    /// The lowest run of pages of the range that are not in the set.
    pub missing: PageRange<P>,
}

impl<P: PageNumber> RangeSet<P> {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { runs: runs::Runs::new(), pages: 0, numbering: PhantomData }
    }

    /// How many pages.
    #[must_use]
    pub fn pages(&self) -> PageCount {
        PageCount(self.pages)
    }

    /// Whether there is no page.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pages == 0
    }

    /// How many runs.
    #[must_use]
    pub fn run_count(&self) -> usize {
        self.runs.len()
    }

    /// The runs, lowest first. Between two of them there is at least one page that is not in the set.
    #[must_use]
    pub fn runs(&self) -> Runs<'_, P> {
        Runs { inner: self.runs.iter(), left: self.runs.len(), numbering: PhantomData }
    }

    /// The same as [`RangeSet::runs`].
    #[must_use]
    pub fn iter(&self) -> Runs<'_, P> {
        self.runs()
    }

    /// The lowest run.
    #[must_use]
    pub fn first_run(&self) -> Option<PageRange<P>> {
        self.runs.first().map(run)
    }

    /// The highest run.
    #[must_use]
    pub fn last_run(&self) -> Option<PageRange<P>> {
        self.runs.last().map(run)
    }

    /// The run that the page is in.
    #[must_use]
    pub fn run_of(&self, page: P) -> Option<PageRange<P>> {
        self.runs.of(page.number()).map(run)
    }

    /// Whether the page is in the set.
    #[must_use]
    pub fn contains(&self, page: P) -> bool {
        self.run_of(page).is_some()
    }

    /// Whether every page of the range is in the set.
    #[must_use]
    pub fn contains_range(&self, range: PageRange<P>) -> bool {
        self.run_of(range.start()).is_some_and(|run| range.end() <= run.end())
    }

    /// Whether every page of `other` is in the set.
    #[must_use]
    pub fn contains_all(&self, other: &Self) -> bool {
        other.pages <= self.pages && other.runs().all(|run| self.contains_range(run))
    }

    /// Whether any page of the range is in the set.
    #[must_use]
    pub fn intersects(&self, range: PageRange<P>) -> bool {
        self.first_within(range).is_some()
    }

    /// Whether any page of `other` is in the set.
    #[must_use]
    pub fn intersects_any(&self, other: &Self) -> bool {
        let (few, many) = self.smaller_first(other);
        few.runs().any(|run| many.intersects(run))
    }

    /// The lowest run of pages that are both in the range and in the set.
    #[must_use]
    pub fn first_within(&self, range: PageRange<P>) -> Option<PageRange<P>> {
        self.within(range).next()
    }

    /// The lowest run of pages that are in the range and not in the set.
    #[must_use]
    pub fn first_missing(&self, range: PageRange<P>) -> Option<PageRange<P>> {
        self.gaps_within(range).next()
    }

    /// What of the range is in the set, lowest first.
    pub fn within(&self, range: PageRange<P>) -> impl Iterator<Item = PageRange<P>> {
        self.numbers_within(range).map(run)
    }

    /// What of the range is not in the set, lowest first.
    pub fn gaps_within(&self, range: PageRange<P>) -> impl Iterator<Item = PageRange<P>> {
        let mut from = range.start().number();
        let end = range.end();
        let ends = core::iter::once((end, end));
        self.numbers_within(range).chain(ends).filter_map(move |(start, next)| {
            let gap = PageRange::between(from, start);
            from = next;
            gap
        })
    }

    /// How many pages of the range are in the set.
    #[must_use]
    pub fn pages_within(&self, range: PageRange<P>) -> PageCount {
        self.within(range).map(PageRange::pages).sum()
    }

    fn numbers_within(&self, range: PageRange<P>) -> impl Iterator<Item = (u64, u64)> {
        let (start, end) = (range.start().number(), range.end());
        self.runs
            .iter_beyond(start)
            .take_while(move |run| run.0 < end)
            .map(move |run| (run.0.max(start), run.1.min(end)))
    }

    /// Put every page of the range into the set. Returns how many were not in it before.
    pub fn insert(&mut self, range: PageRange<P>) -> PageCount {
        let added = self.runs.insert((range.start().number(), range.end()));
        self.pages += added;
        PageCount(added)
    }

    /// Put the range into the set.
    ///
    /// # Errors
    /// If any page of it is there already. Nothing has changed then.
    pub fn insert_new(&mut self, range: PageRange<P>) -> Result<(), Overlap<P>> {
        if let Some(overlap) = self.first_within(range) {
            return Err(Overlap { overlap });
        }
        self.insert(range);
        Ok(())
    }

    /// Put every page of `other` into the set. Returns how many were not in it before.
    ///
    /// Takes time for the smaller of the two sets only.
    pub fn insert_all(&mut self, mut other: Self) -> PageCount {
        let before = self.pages;
        if other.run_count() > self.run_count() {
            core::mem::swap(self, &mut other);
        }
        for run in other.runs() {
            self.insert(run);
        }
        PageCount(self.pages - before)
    }

    /// Take every page of the range out of the set. Returns how many were in it.
    pub fn remove(&mut self, range: PageRange<P>) -> PageCount {
        let removed = self.runs.remove((range.start().number(), range.end()));
        self.pages -= removed;
        PageCount(removed)
    }

    /// Take the range out of the set.
    ///
    /// # Errors
    /// If any page of it is not there. Nothing has changed then.
    pub fn remove_exact(&mut self, range: PageRange<P>) -> Result<(), NotContained<P>> {
        if let Some(missing) = self.first_missing(range) {
            return Err(NotContained { missing });
        }
        self.remove(range);
        Ok(())
    }

    /// Take every page of `other` out of the set. Returns how many were in it.
    pub fn remove_all(&mut self, other: &Self) -> PageCount {
        other.runs().map(|run| self.remove(run)).sum()
    }

    /// Split off the `pages` lowest pages, or all if there are no more.
    #[must_use]
    pub fn take_lowest(&mut self, pages: PageCount) -> Self {
        if pages >= self.pages() {
            return core::mem::take(self);
        }
        let mut taken = Self::new();
        while let want @ 1.. = pages.get() - taken.pages
            && let Some(run) = self.runs.take_first(want)
        {
            taken.pages += taken.runs.insert(run);
        }
        self.pages -= taken.pages;
        taken
    }

    /// Split off the `pages` highest pages, or all if there are no more.
    #[must_use]
    pub fn take_highest(&mut self, pages: PageCount) -> Self {
        if pages >= self.pages() {
            return core::mem::take(self);
        }
        let mut taken = Self::new();
        while let want @ 1.. = pages.get() - taken.pages
            && let Some(run) = self.runs.take_last(want)
        {
            taken.pages += taken.runs.insert(run);
        }
        self.pages -= taken.pages;
        taken
    }

    /// The pages in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let (few, many) = self.smaller_first(other);
        let mut both = many.clone();
        both.extend(few);
        both
    }

    /// The pages in this set and not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.runs().flat_map(|run| other.gaps_within(run)).collect()
    }

    /// The pages in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (few, many) = self.smaller_first(other);
        few.runs().flat_map(|run| many.within(run)).collect()
    }

    fn smaller_first<'a>(&'a self, other: &'a Self) -> (&'a Self, &'a Self) {
        if self.run_count() <= other.run_count() { (self, other) } else { (other, self) }
    }
}

/// A run that is known to be one: `start < end`.
fn run<P: PageNumber>((start, end): runs::Run) -> PageRange<P> {
    PageRange::of_run(start, end)
}

impl<P> Default for RangeSet<P> {
    fn default() -> Self {
        Self { runs: runs::Runs::new(), pages: 0, numbering: PhantomData }
    }
}

impl<P> Clone for RangeSet<P> {
    fn clone(&self) -> Self {
        Self { runs: self.runs.clone(), pages: self.pages, numbering: PhantomData }
    }
}

impl<P> PartialEq for RangeSet<P> {
    fn eq(&self, other: &Self) -> bool {
        self.pages == other.pages && self.runs == other.runs
    }
}

impl<P> Eq for RangeSet<P> {}

impl<P: PageNumber> fmt::Debug for RangeSet<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.runs()).finish()
    }
}

impl<P: PageNumber> From<PageRange<P>> for RangeSet<P> {
    fn from(range: PageRange<P>) -> Self {
        let runs = runs::Runs::One((range.start().number(), range.end()));
        Self { runs, pages: range.pages().get(), numbering: PhantomData }
    }
}

impl<P: PageNumber> Extend<PageRange<P>> for RangeSet<P> {
    fn extend<I: IntoIterator<Item = PageRange<P>>>(&mut self, ranges: I) {
        for range in ranges {
            self.insert(range);
        }
    }
}

impl<P: PageNumber> FromIterator<PageRange<P>> for RangeSet<P> {
    fn from_iter<I: IntoIterator<Item = PageRange<P>>>(ranges: I) -> Self {
        let mut set = Self::new();
        set.extend(ranges);
        set
    }
}

/// The runs of a set, lowest first.
#[derive(Clone, Debug)]
pub struct Runs<'a, P> {
    inner: runs::Iter<'a>,
    left: usize,
    numbering: PhantomData<P>,
}

impl<P: PageNumber> Iterator for Runs<'_, P> {
    type Item = PageRange<P>;
    fn next(&mut self) -> Option<Self::Item> {
        let next = self.inner.next()?;
        self.left -= 1;
        Some(run(next))
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<P: PageNumber> DoubleEndedIterator for Runs<'_, P> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let next = self.inner.next_back()?;
        self.left -= 1;
        Some(run(next))
    }
}

impl<P: PageNumber> ExactSizeIterator for Runs<'_, P> {}

impl<'a, P: PageNumber> IntoIterator for &'a RangeSet<P> {
    type Item = PageRange<P>;
    type IntoIter = Runs<'a, P>;
    fn into_iter(self) -> Runs<'a, P> {
        self.runs()
    }
}

/// The runs of a set that is no longer needed, lowest first.
#[derive(Debug)]
pub struct IntoRuns<P> {
    inner: runs::IntoIter,
    numbering: PhantomData<P>,
}

impl<P: PageNumber> Iterator for IntoRuns<P> {
    type Item = PageRange<P>;
    fn next(&mut self) -> Option<Self::Item> {
        self.inner.next().map(run)
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

impl<P: PageNumber> IntoIterator for RangeSet<P> {
    type Item = PageRange<P>;
    type IntoIter = IntoRuns<P>;
    fn into_iter(self) -> IntoRuns<P> {
        IntoRuns { inner: self.runs.into_iter(), numbering: PhantomData }
    }
}

#[cfg(feature = "serde")]
impl<P: PageNumber + Serialize> Serialize for RangeSet<P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.runs())
    }
}

#[cfg(feature = "serde")]
impl<'de, P: PageNumber + Deserialize<'de>> Deserialize<'de> for RangeSet<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Canonical<P>(PhantomData<P>);

        impl<'de, P: PageNumber + Deserialize<'de>> Visitor<'de> for Canonical<P> {
            type Value = RangeSet<P>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("page ranges, lowest first, with gaps between them")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut ranges: A) -> Result<RangeSet<P>, A::Error> {
                let mut set = RangeSet::new();
                while let Some(range) = ranges.next_element::<PageRange<P>>()? {
                    if let Some(last) = set.last_run()
                        && range.start().number() <= last.end()
                    {
                        return Err(A::Error::custom(format_args!(
                            "range {range} must begin beyond the end of {last}, the one before"
                        )));
                    }
                    set.insert(range);
                }
                Ok(set)
            }
        }

        deserializer.deserialize_seq(Canonical(PhantomData))
    }
}
