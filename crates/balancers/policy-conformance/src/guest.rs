//! Guests of a few lines: what they need, and how they answer.

use core::time::Duration;

use balancing_policy::PageCount;

/// What a guest needs over time: straight lines between the points, level before the first and after the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    points: Vec<(Duration, PageCount)>,
}

impl Load {
    /// The same at all times.
    #[must_use]
    pub fn constant(demand: PageCount) -> Self {
        Self { points: vec![(Duration::ZERO, demand)] }
    }

    /// Through these points, as time since the host started and pages. Sorted by time.
    #[must_use]
    pub fn through(mut points: Vec<(Duration, PageCount)>) -> Self {
        points.sort_by_key(|&(at, _)| at);
        Self { points }
    }

    /// What it needs at a time.
    #[must_use]
    pub fn at(&self, now: Duration) -> PageCount {
        let next = self.points.partition_point(|&(at, _)| at <= now);
        let after = self.points.get(next);
        let before = next.checked_sub(1).and_then(|n| self.points.get(n));
        match (before, after) {
            (Some(&(t0, from)), Some(&(t1, to))) => {
                let part = (now - t0).as_secs_f64() / (t1 - t0).as_secs_f64();
                let pages = from.get() as f64 + part * (to.get() as f64 - from.get() as f64);
                PageCount(pages as u64)
            }
            (Some(&(_, pages)), None) | (None, Some(&(_, pages))) => pages,
            (None, None) => PageCount::ZERO,
        }
    }
}

/// How a guest answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manners {
    /// Does what it is asked.
    #[default]
    Good,
    /// Reports, and never answers an operation.
    NeverAnswers,
    /// Answers, and never gives anything.
    GivesNothing,
    /// Takes no part in Dynamic Memory.
    Absent,
}

/// A guest.
#[derive(Clone, Debug)]
pub struct Guest {
    /// What it needs.
    pub load: Load,
    /// How it answers.
    pub manners: Manners,
    /// What it never gives up.
    pub floor: PageCount,
    /// Multiple in which memory can be hot-added to it.
    pub granule: PageCount,
}

impl Guest {
    /// A well-mannered Windows guest.
    #[must_use]
    pub fn new(load: Load) -> Self {
        Self { load, manners: Manners::Good, floor: PageCount::from_mib(64), granule: PageCount::from_mib(2) }
    }

    /// The same with other manners.
    #[must_use]
    pub fn with_manners(self, manners: Manners) -> Self {
        Self { manners, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_are_lines_between_their_points() {
        let second = Duration::from_secs;
        let load = Load::through(vec![(second(20), PageCount(200)), (second(10), PageCount(100))]);
        let at = |seconds| load.at(second(seconds)).get();
        assert_eq!([0, 10, 15, 20, 99].map(at), [100, 100, 150, 200, 200]);
        let jump = Load::through(vec![(second(5), PageCount(1)), (second(5), PageCount(9))]);
        assert_eq!((jump.at(second(4)).get(), jump.at(second(5)).get()), (1, 9));
        assert_eq!(Load::through(vec![]).at(second(1)), PageCount::ZERO);
    }
}
