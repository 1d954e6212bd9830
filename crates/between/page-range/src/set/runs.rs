//! How the runs of a set are stored.

use alloc::collections::{btree_map, vec_deque};
use core::option;

mod few;
mod many;
#[cfg(test)]
mod tests;

use few::Few;
use many::Many;

/// A run: the number of its first page, and the number after its last.
pub(super) type Run = (u64, u64);

/// More runs than this are in a tree. In a buffer of so many a look-up touches fewer lines than in a tree, and moving a
/// quarter of them, as an insertion does on average, costs no more than what it saves. Tests come to both sides of it.
const MOST_FEW: usize = if cfg!(test) { 12 } else { 256 };

/// A tree of fewer runs than this goes back into a buffer: half of what it takes to make one, so that no set moves at
/// each change.
const LEAST_MANY: usize = MOST_FEW / 2;

/// Sorted, disjoint runs with gaps between them.
///
/// The layout is chosen for sets that the processor's caches have forgotten since the last change, as it is in a host of
/// many virtual machines: a single run is inline; of the buffer that has a few, a change at the lower or the upper end
/// touches one line. Only what bounds the cost of a set of many runs, the tree, touches several for every change.
#[derive(Clone, Debug)]
pub(super) enum Runs {
    /// At most one run. A set that ever had more runs keeps its buffer.
    One(Run),
    /// Up to [`MOST_FEW`].
    Few(Few),
    /// At least [`LEAST_MANY`].
    Many(Many),
}

impl Runs {
    /// None.
    pub(super) const fn new() -> Self {
        Self::Few(Few::new())
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Few(few) => few.len(),
            Self::Many(many) => many.len(),
        }
    }

    /// The lowest.
    pub(super) fn first(&self) -> Option<Run> {
        match self {
            Self::One(run) => Some(*run),
            Self::Few(few) => few.first(),
            Self::Many(many) => many.first(),
        }
    }

    /// The highest.
    pub(super) fn last(&self) -> Option<Run> {
        match self {
            Self::One(run) => Some(*run),
            Self::Few(few) => few.last(),
            Self::Many(many) => many.last(),
        }
    }

    /// The one that has this number.
    pub(super) fn of(&self, number: u64) -> Option<Run> {
        let (start, end) = match self {
            Self::One(run) => Some(*run),
            Self::Few(few) => few.first_beyond(number),
            Self::Many(many) => many.of(number),
        }?;
        (start <= number && number < end).then_some((start, end))
    }

    /// All of them, lowest first.
    pub(super) fn iter(&self) -> Iter<'_> {
        match self {
            Self::One(run) => Iter::One(Some(*run).into_iter()),
            Self::Few(few) => Iter::Few(few.iter()),
            Self::Many(many) => Iter::Many(None, many.iter()),
        }
    }

    /// Those that end beyond this number, lowest first.
    pub(super) fn iter_beyond(&self, number: u64) -> Iter<'_> {
        match self {
            Self::One(run) => Iter::One(Some(*run).filter(|run| run.1 > number).into_iter()),
            Self::Few(few) => Iter::Few(few.iter_beyond(number)),
            Self::Many(many) => {
                let before = many.of(number).filter(|run| run.0 < number);
                Iter::Many(before, many.iter_from(number))
            }
        }
    }

    /// Put a run in, joined with what it touches. Returns how many of its pages are new.
    pub(super) fn insert(&mut self, run: Run) -> u64 {
        let added = match self {
            Self::One(one) if run.0 <= one.1 && one.0 <= run.1 => {
                let there = common(*one, run);
                *one = (one.0.min(run.0), one.1.max(run.1));
                run.1 - run.0 - there
            }
            Self::One(one) => {
                let mut few = Few::of(*one);
                let added = few.insert(run);
                *self = Self::Few(few);
                added
            }
            Self::Few(few) if few.has_no_buffer() => {
                *self = Self::One(run);
                run.1 - run.0
            }
            Self::Few(few) => few.insert(run),
            Self::Many(many) => many.insert(run),
        };
        self.fit();
        added
    }

    /// Take out what there is of a run. Returns how many pages that was.
    pub(super) fn remove(&mut self, run: Run) -> u64 {
        let removed = match self {
            Self::One(one) if run.1 <= one.0 || one.1 <= run.0 => 0,
            Self::One(one) => {
                let there = common(*one, run);
                match (one.0 < run.0, run.1 < one.1) {
                    (false, false) => *self = Self::new(),
                    (true, false) => one.1 = run.0,
                    (false, true) => one.0 = run.1,
                    (true, true) => {
                        let mut few = Few::of(*one);
                        few.remove(run);
                        *self = Self::Few(few);
                    }
                }
                there
            }
            Self::Few(few) => few.remove(run),
            Self::Many(many) => many.remove(run),
        };
        self.fit();
        removed
    }

    /// Take the lowest run out, or so many pages of its lower end if it has more.
    pub(super) fn take_first(&mut self, most: u64) -> Option<Run> {
        let (start, end) = self.first()?;
        let taken = (start, end.min(start.saturating_add(most)));
        match self {
            Self::Few(few) => few.shorten_first(taken.1),
            Self::One(_) | Self::Many(_) => {
                self.remove(taken);
            }
        }
        Some(taken)
    }

    /// Take the highest run out, or so many pages of its upper end if it has more.
    pub(super) fn take_last(&mut self, most: u64) -> Option<Run> {
        let (start, end) = self.last()?;
        let taken = (start.max(end.saturating_sub(most)), end);
        match self {
            Self::Few(few) => few.shorten_last(taken.0),
            Self::One(_) | Self::Many(_) => {
                self.remove(taken);
            }
        }
        Some(taken)
    }

    /// Move to the other form if there are too many runs for this one, or too few.
    fn fit(&mut self) {
        match self {
            Self::Few(few) if few.len() > MOST_FEW => *self = Self::Many(few.iter().copied().collect()),
            Self::Many(many) if many.len() < LEAST_MANY => {
                *self = Self::Few(many.iter().map(|(&start, &end)| (start, end)).collect());
            }
            _ => {}
        }
    }
}

impl PartialEq for Runs {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

/// How many pages two runs that touch or overlap have in common.
fn common(one: Run, other: Run) -> u64 {
    one.1.min(other.1) - one.0.max(other.0)
}

/// Runs, lowest first.
#[derive(Clone, Debug)]
pub(super) enum Iter<'a> {
    /// At most one.
    One(option::IntoIter<Run>),
    /// Of a buffer.
    Few(vec_deque::Iter<'a, Run>),
    /// Of a tree: perhaps one, and those after it.
    Many(Option<Run>, btree_map::Range<'a, u64, u64>),
}

impl Iterator for Iter<'_> {
    type Item = Run;
    fn next(&mut self) -> Option<Run> {
        match self {
            Self::One(run) => run.next(),
            Self::Few(runs) => runs.next().copied(),
            Self::Many(before, runs) => {
                before.take().or_else(|| runs.next().map(|(&start, &end)| (start, end)))
            }
        }
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Run> {
        match self {
            Self::One(run) => run.next_back(),
            Self::Few(runs) => runs.next_back().copied(),
            Self::Many(before, runs) => {
                runs.next_back().map(|(&start, &end)| (start, end)).or_else(|| before.take())
            }
        }
    }
}

/// The runs of a set that is no longer needed, lowest first.
#[derive(Debug)]
pub(super) enum IntoIter {
    /// The only one.
    One(option::IntoIter<Run>),
    /// Of a buffer.
    Few(vec_deque::IntoIter<Run>),
    /// Of a tree.
    Many(btree_map::IntoIter<u64, u64>),
}

impl Iterator for IntoIter {
    type Item = Run;
    fn next(&mut self) -> Option<Run> {
        match self {
            Self::One(run) => run.next(),
            Self::Few(runs) => runs.next(),
            Self::Many(runs) => runs.next(),
        }
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::One(run) => run.size_hint(),
            Self::Few(runs) => runs.size_hint(),
            Self::Many(runs) => runs.size_hint(),
        }
    }
}

impl IntoIterator for Runs {
    type Item = Run;
    type IntoIter = IntoIter;
    fn into_iter(self) -> IntoIter {
        match self {
            Self::One(run) => IntoIter::One(Some(run).into_iter()),
            Self::Few(few) => IntoIter::Few(few.into_iter()),
            Self::Many(many) => IntoIter::Many(many.into_iter()),
        }
    }
}
