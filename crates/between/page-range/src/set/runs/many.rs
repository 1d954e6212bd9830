//! Many runs, in a tree.

use alloc::collections::{BTreeMap, btree_map};

use super::{Run, common};

/// Many runs: first number → the number after the last.
#[derive(Clone, Debug)]
pub(in crate::set) struct Many(BTreeMap<u64, u64>);

impl Many {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn first(&self) -> Option<Run> {
        self.0.first_key_value().map(|(&start, &end)| (start, end))
    }

    pub(super) fn last(&self) -> Option<Run> {
        self.0.last_key_value().map(|(&start, &end)| (start, end))
    }

    /// The run that has this number.
    pub(super) fn of(&self, number: u64) -> Option<Run> {
        let (&start, &end) = self.0.range(..=number).next_back()?;
        (number < end).then_some((start, end))
    }

    pub(super) fn iter(&self) -> btree_map::Range<'_, u64, u64> {
        self.0.range(..)
    }

    /// The runs that begin at this number or after it.
    pub(super) fn iter_from(&self, number: u64) -> btree_map::Range<'_, u64, u64> {
        self.0.range(number..)
    }

    // Both changes go from the highest run concerned down: the usual case, that there is one, which becomes longer or
    // shorter at its upper end, is one descent.

    pub(super) fn insert(&mut self, run: Run) -> u64 {
        let mut added = run.1 - run.0;
        let mut end = run.1;
        while let Some((&start, other_end)) = self.0.range_mut(..=run.1).next_back()
            && run.0 <= *other_end
        {
            added -= common((start, *other_end), run);
            end = end.max(*other_end);
            if start <= run.0 {
                *other_end = end;
                return added;
            }
            self.0.remove(&start);
        }
        self.0.insert(run.0, end);
        added
    }

    pub(super) fn remove(&mut self, run: Run) -> u64 {
        let mut removed = 0;
        while let Some((&start, end)) = self.0.range_mut(..run.1).next_back()
            && run.0 < *end
        {
            let old_end = *end;
            removed += common((start, old_end), run);
            if start < run.0 {
                *end = run.0;
            } else {
                self.0.remove(&start);
            }
            if run.1 < old_end {
                self.0.insert(run.1, old_end);
            }
        }
        removed
    }
}

impl FromIterator<Run> for Many {
    fn from_iter<I: IntoIterator<Item = Run>>(runs: I) -> Self {
        Self(runs.into_iter().collect())
    }
}

impl IntoIterator for Many {
    type Item = Run;
    type IntoIter = btree_map::IntoIter<u64, u64>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
