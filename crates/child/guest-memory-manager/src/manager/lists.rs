//! Which page is on which list. Working sets and their trimmed pages are with the process that owns them.

use page_range::{GuestPage, GuestRange, LARGE_PAGE_PAGES, PageCount, RangeSet};

/// A set of guest pages.
pub(super) type Pages = RangeSet<GuestPage>;

/// The pages that belong to no process.
#[derive(Debug)]
pub(super) struct PageLists {
    /// All pages of the guest, in whatever use they are.
    pub(super) present: Pages,
    /// Free and cleared: what a fresh allocation gets.
    pub(super) zeroed: Pages,
    /// Free, contents of the former owner.
    pub(super) free: Pages,
    /// Pages of files, unmodified: given away at once when they are needed.
    pub(super) file_standby: Pages,
    /// Held by the balloon driver.
    pub(super) ballooned: Pages,
    /// Held by other drivers (the rings of the VMBus).
    pub(super) locked: Pages,
}

/// Which list an allocation prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefer {
    /// Fresh pages must be cleared: those that are already come first.
    Zeroed,
    /// The page is overwritten from disk: cleared ones are kept for others.
    Free,
}

impl PageLists {
    /// At power-on every page is on the free list.
    pub(super) fn new(present: Pages) -> Self {
        Self {
            free: present.clone(),
            present,
            zeroed: Pages::new(),
            file_standby: Pages::new(),
            ballooned: Pages::new(),
            locked: Pages::new(),
        }
    }

    /// Pages on the free and the zeroed list.
    pub(super) fn unused(&self) -> PageCount {
        self.zeroed.pages() + self.free.pages()
    }

    /// Up to `want` pages, from free and zeroed, then out of the file cache.
    pub(super) fn take(&mut self, want: PageCount, prefer: Prefer) -> Pages {
        let order = match prefer {
            Prefer::Zeroed => [&mut self.zeroed, &mut self.free, &mut self.file_standby],
            Prefer::Free => [&mut self.free, &mut self.zeroed, &mut self.file_standby],
        };
        let mut taken = Pages::new();
        for list in order {
            let missing = want - taken.pages();
            if missing.is_zero() {
                break;
            }
            if !list.is_empty() {
                taken.insert_all(list.take_lowest(missing));
            }
        }
        taken
    }

    /// Up to `want` pages for the balloon: whole large pages first (free, zeroed), then smaller pieces, then likewise
    /// out of the file cache. From the top of memory, where applications come last.
    pub(super) fn take_for_balloon(&mut self, want: PageCount) -> (Pages, Pages) {
        let (mut large, mut small) = (Pages::new(), Pages::new());
        let lists: [&mut [&mut Pages]; 2] =
            [&mut [&mut self.zeroed, &mut self.free], &mut [&mut self.file_standby]];
        for group in lists {
            for list in group.iter_mut() {
                large.insert_all(take_large_pages(list, want - large.pages() - small.pages()));
            }
            for list in group.iter_mut() {
                small.insert_all(list.take_highest(want - large.pages() - small.pages()));
            }
        }
        (large, small)
    }
}

/// Split off whole, aligned large pages, the highest first: as many as fit into `want`.
fn take_large_pages(list: &mut Pages, want: PageCount) -> Pages {
    let mut missing = want.get() / LARGE_PAGE_PAGES * LARGE_PAGE_PAGES;
    let mut chosen: Vec<GuestRange> = Vec::new();
    for run in list.runs().rev() {
        if missing == 0 {
            break;
        }
        let Some(part) = run.large_part() else { continue };
        let pages = part.pages().get().min(missing);
        // Both are multiples of a large page, so what is left stays aligned.
        if let Some(top) = GuestRange::between(part.end() - pages, part.end()) {
            chosen.push(top);
            missing -= pages;
        }
    }
    for range in &chosen {
        list.remove(*range);
    }
    chosen.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(runs: &[(u64, u64)]) -> Pages {
        runs.iter().filter_map(|&(start, end)| GuestRange::between(start, end)).collect()
    }

    #[test]
    fn the_balloon_gets_large_pages_from_the_top_first() {
        let mut lists = PageLists::new(pages(&[(0, 1000), (1024, 2100)]));
        let (large, small) = lists.take_for_balloon(PageCount(1100));
        assert_eq!(large, pages(&[(1024, 2048)]));
        assert_eq!(small, pages(&[(2048, 2100), (976, 1000)]));
    }

    #[test]
    fn the_file_cache_comes_last() {
        let mut lists = PageLists::new(pages(&[(0, 512)]));
        lists.file_standby = pages(&[(4096, 8192)]);
        let (large, small) = lists.take_for_balloon(PageCount(1500));
        assert_eq!(large, pages(&[(0, 512), (8192 - 512, 8192)]));
        assert_eq!(small.pages(), PageCount(1500 - 1024));
        assert!(lists.free.is_empty());
    }

    #[test]
    fn fresh_allocations_take_cleared_pages_and_reads_do_not() {
        let mut lists = PageLists::new(pages(&[(0, 10)]));
        lists.zeroed = pages(&[(10, 20)]);
        assert_eq!(lists.take(PageCount(10), Prefer::Zeroed), pages(&[(10, 20)]));
        assert_eq!(lists.take(PageCount(4), Prefer::Free), pages(&[(0, 4)]));
        assert_eq!(lists.take(PageCount(100), Prefer::Zeroed), pages(&[(4, 10)]));
    }
}
