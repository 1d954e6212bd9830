//! Who paid: from where the memory came that a VM was given.
//!
//! The pool mixes all frames, so it is a matter of definition which VM's memory a grant is made of. This is the engine's: what no VM
//! has given up goes first, for nobody had to do without it. When that is used up, what came back from VMs follows, oldest first: had they
//! not given it up, it could not be given.

use std::collections::VecDeque;

use balancing_policy::{PageCount, VmId};
use serde::Serialize;

/// From where memory came that a VM was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The host had it: no VM has given it up.
    Free,
    /// It came home by itself, of a VM that had ended or lost it.
    Ended,
    /// This VM gave it up.
    Vm(VmId),
}

impl Source {
    /// Its name in events and summaries: `free`, `ended` or `vm`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Ended => "ended",
            Self::Vm(_) => "vm",
        }
    }
}

/// Pages that came from one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// From where.
    pub source: Source,
    /// How many.
    pub pages: PageCount,
}

/// Where the memory of one grant, or of one start, comes from, in the order in which it was taken.
#[derive(Debug, Default)]
pub(crate) struct Origins(Vec<Origin>);

impl Origins {
    fn push(&mut self, source: Source, pages: PageCount) {
        match self.0.last_mut() {
            _ if pages.is_zero() => {}
            Some(last) if last.source == source => last.pages += pages,
            _ => self.0.push(Origin { source, pages }),
        }
    }

    pub(crate) fn append(&mut self, more: Self) {
        for Origin { source, pages } in more.0 {
            self.push(source, pages);
        }
    }

    /// Takes off the last of them, up to `pages`.
    pub(crate) fn take_last(&mut self, mut pages: PageCount) -> Self {
        let mut taken = Vec::new();
        while let Some(last) = self.0.last_mut().filter(|_| !pages.is_zero()) {
            let part = last.pages.min(pages);
            taken.push(Origin { source: last.source, pages: part });
            last.pages -= part;
            pages -= part;
            if last.pages.is_zero() {
                self.0.pop();
            }
        }
        taken.reverse();
        Self(taken)
    }

    pub(crate) fn pages(&self) -> PageCount {
        self.0.iter().map(|origin| origin.pages).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One entry for each source, in ascending order.
    pub(crate) fn by_source(mut self) -> Vec<Origin> {
        self.0.sort_by_key(|origin| origin.source);
        let mut sums = Self::default();
        for Origin { source, pages } in self.0 {
            sums.push(source, pages);
        }
        sums.0
    }
}

/// What of the pool came back from VMs, oldest first. The rest of the pool is free.
#[derive(Debug, Default)]
pub(crate) struct CameBack {
    lots: VecDeque<Origin>,
    pages: PageCount,
}

impl CameBack {
    /// Memory has come into the pool.
    pub(crate) fn came(&mut self, source: Source, pages: PageCount) {
        if pages.is_zero() || source == Source::Free {
            return;
        }
        self.pages += pages;
        match self.lots.back_mut() {
            Some(newest) if newest.source == source => newest.pages += pages,
            _ => self.lots.push_back(Origin { source, pages }),
        }
    }

    /// `pages` are taken out of a pool of `pool`.
    pub(crate) fn take(&mut self, pool: PageCount, pages: PageCount) -> Origins {
        let mut origins = Origins::default();
        let free = pool.saturating_sub(self.pages).min(pages);
        origins.push(Source::Free, free);
        let mut rest = pages - free;
        while !rest.is_zero()
            && let Some(lot) = self.oldest(rest)
        {
            rest -= lot.pages;
            origins.push(lot.source, lot.pages);
        }
        origins
    }

    /// Takes the oldest lot, up to `most` pages of it.
    fn oldest(&mut self, most: PageCount) -> Option<Origin> {
        let lot = self.lots.front_mut()?;
        let taken = Origin { source: lot.source, pages: lot.pages.min(most) };
        lot.pages -= taken.pages;
        self.pages -= taken.pages;
        if lot.pages.is_zero() {
            self.lots.pop_front();
        }
        Some(taken)
    }

    /// What was taken and not used is in the pool again, as it was.
    pub(crate) fn put_back(&mut self, origins: Origins) {
        for origin in origins.0.into_iter().rev().filter(|origin| origin.source != Source::Free) {
            self.pages += origin.pages;
            self.lots.push_front(origin);
        }
    }

    /// The pool has `pool` pages. What it does not have any more went where no VM is: into the reserve.
    pub(crate) fn settle(&mut self, pool: PageCount) {
        while self.pages > pool && self.oldest(self.pages - pool).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VM1: Source = Source::Vm(VmId(1));
    const VM2: Source = Source::Vm(VmId(2));

    fn came(lots: &[(Source, u64)]) -> CameBack {
        let mut back = CameBack::default();
        lots.iter().for_each(|&(source, pages)| back.came(source, PageCount(pages)));
        back
    }

    fn list(origins: &Origins) -> Vec<(Source, u64)> {
        origins.0.iter().map(|origin| (origin.source, origin.pages.get())).collect()
    }

    #[test]
    fn what_is_free_goes_first_then_what_came_first() {
        let mut back = came(&[(VM1, 10), (VM2, 5)]);
        let origins = back.take(PageCount(18), PageCount(14));
        assert_eq!(list(&origins), [(Source::Free, 3), (VM1, 10), (VM2, 1)]);
        assert_eq!(origins.pages(), PageCount(14));
        assert_eq!(list(&back.take(PageCount(4), PageCount(4))), [(VM2, 4)]);
    }

    #[test]
    fn what_was_not_used_is_taken_again_from_the_same() {
        let mut back = came(&[(VM1, 10), (VM2, 5)]);
        let mut origins = back.take(PageCount(15), PageCount(12));
        back.put_back(origins.take_last(PageCount(7)));
        assert_eq!(list(&origins), [(VM1, 5)]);
        assert_eq!(list(&back.take(PageCount(10), PageCount(10))), [(VM1, 5), (VM2, 5)]);
    }

    #[test]
    fn what_the_reserve_took_is_gone() {
        let mut back = came(&[(VM1, 10), (VM2, 5)]);
        back.settle(PageCount(7));
        assert_eq!(list(&back.take(PageCount(7), PageCount(7))), [(VM1, 2), (VM2, 5)]);
        for left in [0, 1, 2] {
            let mut back = came(&[(VM1, 60), (VM2, 40)]);
            back.settle(PageCount(left));
            assert_eq!((back.pages, back.lots.len() as u64), (PageCount(left), left.min(1)));
        }
    }

    #[test]
    fn what_is_free_or_nothing_at_all_is_not_remembered() {
        let mut back = came(&[(Source::Free, 10), (VM1, 0), (VM1, 2), (VM1, 3), (VM2, 1)]);
        assert_eq!(back.lots.len(), 2, "what came of one VM in a row is one lot");
        assert_eq!(back.pages, PageCount(6));
        let origins = back.take(PageCount(8), PageCount(8));
        assert_eq!(list(&origins), [(Source::Free, 2), (VM1, 5), (VM2, 1)]);
        assert!(!origins.is_empty() && Origins::default().is_empty());
        back.put_back(origins);
        assert_eq!(back.pages, PageCount(6));
        // A pool that has what came back, or more, has lost nothing of it.
        back.settle(PageCount(6));
        back.settle(PageCount(7));
        assert_eq!(back.pages, PageCount(6));
    }

    #[test]
    fn what_is_appended_joins_what_is_last() {
        let mut all = came(&[(VM1, 4)]).take(PageCount(4), PageCount(4));
        all.append(came(&[(VM1, 1), (VM2, 2)]).take(PageCount(3), PageCount(3)));
        assert_eq!(list(&all), [(VM1, 5), (VM2, 2)]);
        assert_eq!(list(&all.take_last(PageCount::ZERO)), []);
        assert_eq!(list(&all.take_last(PageCount(3))), [(VM1, 1), (VM2, 2)]);
        assert_eq!(list(&all.take_last(PageCount(9))), [(VM1, 4)]);
        assert!(all.is_empty());
    }

    #[test]
    fn one_entry_for_each_source() {
        let mut origins = Origins::default();
        for source in [VM2, Source::Free, VM1, VM2] {
            origins.push(source, PageCount(1));
        }
        let sums = origins.by_source();
        assert_eq!(
            sums.iter().map(|origin| (origin.source, origin.pages.get())).collect::<Vec<_>>(),
            [(Source::Free, 1), (VM1, 1), (VM2, 2)]
        );
    }
}
