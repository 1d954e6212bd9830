//! A few runs, in a ring buffer.

use alloc::collections::{VecDeque, vec_deque};

use super::{Run, common};

/// A few runs, lowest first. The buffer stays when they become fewer.
#[derive(Clone, Debug)]
pub(in crate::set) struct Few(VecDeque<Run>);

impl Few {
    pub(super) const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// The first run of a set that is about to have a second.
    pub(super) fn of(run: Run) -> Self {
        let mut runs = VecDeque::with_capacity(4);
        runs.push_back(run);
        Self(runs)
    }

    pub(super) fn has_no_buffer(&self) -> bool {
        self.0.capacity() == 0
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn first(&self) -> Option<Run> {
        self.0.front().copied()
    }

    pub(super) fn last(&self) -> Option<Run> {
        self.0.back().copied()
    }

    /// The lowest run that ends beyond this number.
    pub(super) fn first_beyond(&self, number: u64) -> Option<Run> {
        self.0.get(self.position(|run| run.1 <= number)).copied()
    }

    pub(super) fn iter(&self) -> vec_deque::Iter<'_, Run> {
        self.0.iter()
    }

    /// The runs that end beyond this number.
    pub(super) fn iter_beyond(&self, number: u64) -> vec_deque::Iter<'_, Run> {
        self.0.range(self.position(|run| run.1 <= number)..)
    }

    pub(super) fn insert(&mut self, run: Run) -> u64 {
        let from = self.position(|other| other.1 < run.0);
        let to = from + self.0.range(from..).take_while(|other| other.0 <= run.1).count();
        if from == to {
            self.0.insert(from, run);
            return run.1 - run.0;
        }
        let there: u64 = self.0.range(from..to).map(|&other| common(other, run)).sum();
        self.0[from] = (self.0[from].0.min(run.0), self.0[to - 1].1.max(run.1));
        self.drop_between(from + 1, to);
        run.1 - run.0 - there
    }

    pub(super) fn remove(&mut self, run: Run) -> u64 {
        let from = self.position(|other| other.1 <= run.0);
        let to = from + self.0.range(from..).take_while(|other| other.0 < run.1).count();
        if from == to {
            return 0;
        }
        let there = self.0.range(from..to).map(|&other| common(other, run)).sum();
        let (start, end) = (self.0[from].0, self.0[to - 1].1);
        let left = (start < run.0).then_some((start, run.0));
        let right = (run.1 < end).then_some((run.1, end));
        let mut kept = from;
        for rest in [left, right].into_iter().flatten() {
            if kept < to {
                self.0[kept] = rest;
            } else {
                self.0.insert(kept, rest);
            }
            kept += 1;
        }
        self.drop_between(kept, to);
        there
    }

    /// Let the lowest run begin at this number, and take it out if nothing is left of it.
    pub(super) fn shorten_first(&mut self, start: u64) {
        match self.0.front_mut() {
            Some(first) if start < first.1 => first.0 = start,
            _ => drop(self.0.pop_front()),
        }
    }

    /// Let the highest run end at this number, and take it out if nothing is left of it.
    pub(super) fn shorten_last(&mut self, end: u64) {
        match self.0.back_mut() {
            Some(last) if last.0 < end => last.1 = end,
            _ => drop(self.0.pop_back()),
        }
    }

    /// How many runs are `before` something; they are the first ones.
    fn position(&self, before: impl Fn(&Run) -> bool) -> usize {
        let Some(last) = self.0.len().checked_sub(1) else { return 0 };
        // The ends need no search, and most changes are there.
        if last == 0 || before(&self.0[last - 1]) {
            last + usize::from(before(&self.0[last]))
        } else if !before(&self.0[0]) {
            0
        } else {
            self.0.partition_point(before)
        }
    }

    fn drop_between(&mut self, from: usize, to: usize) {
        if from < to {
            self.0.drain(from..to);
        }
    }
}

impl FromIterator<Run> for Few {
    fn from_iter<I: IntoIterator<Item = Run>>(runs: I) -> Self {
        Self(runs.into_iter().collect())
    }
}

impl IntoIterator for Few {
    type Item = Run;
    type IntoIter = vec_deque::IntoIter<Run>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
