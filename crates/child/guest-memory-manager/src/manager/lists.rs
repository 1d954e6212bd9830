//! Which page is on which list. Working sets and their trimmed pages are with the process that owns them.
//!
//! # Large pages
//!
//! What a guest's host maps with a large page stays so until the guest gives a part of it away. So it is chosen with care which page is
//! given to whom:
//!
//! * Who needs pages gets those that are in no whole large page any more, and only then a large page is broken: [`take_pieces`].
//!   *Documented* for Linux, whose allocator splits the smallest free block that is large enough and joins buddies when they are freed (The
//!   Linux kernel documentation, Physical Memory; Gorman, *Understanding the Linux Virtual Memory Manager*, ch. 6). *Inferred* for
//!   Windows, whose memory manager tells drivers that they can ask it to keep fragmentation low, and builds large pages when it has none
//!   (Microsoft, `MmAllocatePagesForMdlEx`, `MM_ALLOCATE_PREFER_CONTIGUOUS` and `MM_ALLOCATE_FAST_LARGE_PAGES`).
//! * Who frees pages frees such pages first, too (*invented*: what a real process frees lies where it lies, and the large pages around it
//!   become whole by compaction later. The model comes to the same without moving pages.)
//! * The balloon gets whole large pages as long as there are any: [`PageLists::take_large_pages`]. *Documented* for Linux (`hv_balloon`:
//!   units of 2 MiB, and single pages only when there are no more); *inferred* for Windows, where a driver can ask for aligned
//!   blocks since Windows 7 and Server 2008 R2 (`MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS`), and whose answer was seen to be compacted memory
//!   (the author of QEMU's `hv-balloon` on its mailing list).

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
                taken.insert_all(take_pieces(list, missing, End::Low));
            }
        }
        taken
    }

    /// Up to `want` pages in whole large pages for the balloon: those that are unused, then those that the file cache has pages of. From
    /// the top of memory, where applications come last.
    pub(super) fn take_large_pages(&mut self, want: PageCount) -> Pages {
        let mut large = Pages::new();
        if want < PageCount::LARGE_PAGE {
            return large;
        }
        let unused = self.zeroed.union(&self.free);
        large.insert_all(choose_large(&unused, want));
        self.remove(&large);
        let missing = want - large.pages();
        if missing >= PageCount::LARGE_PAGE && !self.file_standby.is_empty() {
            let more = choose_large(&unused.difference(&large).union(&self.file_standby), missing);
            self.remove(&more);
            large.insert_all(more);
        }
        large
    }

    /// Up to `want` pages for the balloon, out of pieces as far as there are any: those of large pages that the balloon has a part of come
    /// first, since these are broken in the host's map already; then unused ones before those of the file cache.
    pub(super) fn take_small_pages(&mut self, want: PageCount) -> Pages {
        let mut small = Pages::new();
        if want.is_zero() {
            return small;
        }
        for block in self.ballooned.runs().flat_map(broken_at_its_ends) {
            for list in [&mut self.zeroed, &mut self.free, &mut self.file_standby] {
                let mut beside: Pages = list.within(block).collect();
                let beside = beside.take_lowest(want - small.pages());
                list.remove_all(&beside);
                small.insert_all(beside);
            }
        }
        for list in [&mut self.zeroed, &mut self.free, &mut self.file_standby] {
            small.insert_all(take_pieces(list, want - small.pages(), End::High));
        }
        small
    }

    /// What is available in large pages that are not available whole.
    pub(super) fn pieces(&self) -> Pages {
        let available = self.zeroed.union(&self.free).union(&self.file_standby);
        let large: Pages = available.runs().filter_map(GuestRange::large_part).collect();
        available.difference(&large)
    }

    pub(super) fn remove(&mut self, pages: &Pages) {
        for list in [&mut self.zeroed, &mut self.free, &mut self.file_standby] {
            list.remove_all(pages);
        }
    }
}

/// The large pages that a run begins or ends within.
fn broken_at_its_ends(run: GuestRange) -> impl Iterator<Item = GuestRange> {
    let block = |page: u64| {
        GuestRange::between(page - page % LARGE_PAGE_PAGES, page.checked_next_multiple_of(LARGE_PAGE_PAGES)?)
    };
    [block(run.start().0), block(run.end())].into_iter().flatten()
}

/// Which end of memory, or of a run, is taken first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Low,
    High,
}

impl End {
    /// So many pages at this end of the range; all of it if it has no more.
    fn of(self, range: GuestRange, pages: PageCount) -> Option<GuestRange> {
        match self {
            Self::Low => range.first(pages),
            Self::High => GuestRange::between(range.end() - pages.min(range.pages()).get(), range.end()),
        }
    }
}

/// Split off up to `want` pages so that as many large pages as possible stay whole: first what of the list is in no whole large page, then
/// whole large pages, of which the last is broken; both from this end of memory.
pub(super) fn take_pieces(list: &mut Pages, want: PageCount, end: End) -> Pages {
    if want >= list.pages() {
        return core::mem::take(list);
    }
    if want.is_zero() {
        return Pages::new();
    }
    let mut taken = Pages::new();
    let mut add = |piece: Option<GuestRange>, end: End| {
        taken.extend(piece.and_then(|piece| end.of(piece, want - taken.pages())));
        taken.pages() < want
    };
    let mut pieces_of = |run: GuestRange| {
        let Some(large) = run.large_part() else { return add(Some(run), end) };
        // What is taken is away from the whole large pages beside it, which so stay one run with the rest.
        let head = (GuestRange::between(run.start().0, large.start().0), End::Low);
        let tail = (GuestRange::between(large.end(), run.end()), End::High);
        let [first, second] = if end == End::Low { [head, tail] } else { [tail, head] };
        add(first.0, first.1) && add(second.0, second.1)
    };
    match end {
        End::Low => list.runs().all(&mut pieces_of),
        End::High => list.runs().rev().all(&mut pieces_of),
    };
    list.remove_all(&taken);
    let rest = want - taken.pages();
    taken.insert_all(match end {
        End::Low => list.take_lowest(rest),
        End::High => list.take_highest(rest),
    });
    taken
}

/// Split off up to `want` pages: whole large pages from the top of memory, and only then pieces.
pub(super) fn take_large_first(list: &mut Pages, want: PageCount) -> Pages {
    let mut taken = choose_large(list, want);
    list.remove_all(&taken);
    taken.insert_all(take_pieces(list, want - taken.pages(), End::High));
    taken
}

/// Whole, aligned large pages, the highest first: as many as fit into `want`.
fn choose_large(list: &Pages, want: PageCount) -> Pages {
    let mut chosen = Pages::new();
    for run in list.runs().rev() {
        let missing = (want - chosen.pages()).round_down_to(PageCount::LARGE_PAGE);
        if missing.is_zero() {
            break;
        }
        // Both are multiples of a large page, so what is left stays aligned.
        chosen.extend(run.large_part().and_then(|large| End::High.of(large, missing)));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn for_balloon(lists: &mut PageLists, want: u64) -> (Pages, Pages) {
        let large = lists.take_large_pages(PageCount(want));
        let small = lists.take_small_pages(PageCount(want) - large.pages());
        (large, small)
    }

    fn pages(runs: &[(u64, u64)]) -> Pages {
        runs.iter().filter_map(|&(start, end)| GuestRange::between(start, end)).collect()
    }

    #[test]
    fn the_balloon_gets_large_pages_from_the_top_first() {
        let mut lists = PageLists::new(pages(&[(0, 1000), (1024, 2100)]));
        let (large, small) = for_balloon(&mut lists, 1100);
        assert_eq!(large, pages(&[(1024, 2048)]));
        assert_eq!(small, pages(&[(2048, 2100), (976, 1000)]));
    }

    #[test]
    fn the_file_cache_comes_last() {
        let mut lists = PageLists::new(pages(&[(0, 512)]));
        lists.file_standby = pages(&[(4096, 8192)]);
        let (large, small) = for_balloon(&mut lists, 1500);
        assert_eq!(large, pages(&[(0, 512), (8192 - 512, 8192)]));
        assert_eq!(small.pages(), PageCount(1500 - 1024));
        assert!(lists.free.is_empty());
    }

    #[test]
    fn a_large_page_that_is_partly_of_the_file_cache_is_given_whole() {
        let mut lists = PageLists::new(pages(&[(512, 700), (2000, 2010)]));
        lists.zeroed = pages(&[(700, 800)]);
        lists.file_standby = pages(&[(800, 1024), (4000, 4010)]);
        let (large, small) = for_balloon(&mut lists, 512 + 15);
        assert_eq!(large, pages(&[(512, 1024)]));
        assert_eq!(small, pages(&[(2000, 2010), (4005, 4010)]));
        assert_eq!((lists.unused(), &lists.file_standby), (PageCount::ZERO, &pages(&[(4000, 4005)])));
    }

    #[test]
    fn what_the_balloon_has_broken_is_completed_first() {
        let mut lists = PageLists::new(pages(&[(600, 700), (1030, 1040)]));
        lists.zeroed = pages(&[(2000, 2005)]);
        lists.ballooned = pages(&[(512, 600), (1024, 1030)]);
        let (_, small) = for_balloon(&mut lists, 103);
        assert_eq!(small, pages(&[(600, 700), (1030, 1033)]));
        let (_, small) = for_balloon(&mut lists, 9);
        assert_eq!(small, pages(&[(1033, 1040), (2003, 2005)]));
    }

    #[test]
    fn pieces_are_taken_before_a_large_page_is_broken() {
        let list = || pages(&[(500, 1030), (1040, 1050), (2048, 3100)]);
        let take = |want, end| {
            let mut list = list();
            (take_pieces(&mut list, PageCount(want), end), list)
        };
        // Pieces of 12, 6, 10 and 28 pages; of what is beside a large page, what is away from it.
        let (taken, left) = take(15, End::Low);
        assert_eq!(taken, pages(&[(500, 512), (1027, 1030)]));
        assert_eq!(left, pages(&[(512, 1027), (1040, 1050), (2048, 3100)]));
        let (taken, left) = take(15, End::High);
        assert_eq!(taken, pages(&[(3085, 3100)]));
        assert_eq!(left, pages(&[(500, 1030), (1040, 1050), (2048, 3085)]));
        let (taken, left) = take(56 + 100, End::Low);
        assert_eq!(taken, pages(&[(500, 612), (1024, 1030), (1040, 1050), (3072, 3100)]));
        assert_eq!(left, pages(&[(612, 1024), (2048, 3072)]));
        let (_, left) = take(56 + 100, End::High);
        assert_eq!(left, pages(&[(512, 1024), (2048, 2972)]));
        assert_eq!(take(9999, End::Low), (list(), Pages::new()));
        assert_eq!(take(0, End::Low), (Pages::new(), list()));
    }

    proptest! {
        /// As many large pages stay whole as can, and what stays is in no more runs than before.
        #[test]
        fn no_more_large_pages_are_broken_than_needed(
            runs in prop::collection::vec((0..9000_u64, 1..1500_u64), 1..20), want in 0..6000_u64, high in any::<bool>(),
        ) {
            let mut list: Pages = runs.iter().filter_map(|&(start, pages)| GuestRange::between(start, start + pages)).collect();
            let large = |list: &Pages| list.runs().filter_map(GuestRange::large_part).map(|part| part.pages().get()).sum::<u64>() / 512;
            let before = list.clone();
            let (whole, in_pieces) = (large(&before), before.pages().get() - 512 * large(&before));
            let taken = take_pieces(&mut list, PageCount(want), if high { End::High } else { End::Low });
            prop_assert_eq!(taken.pages(), PageCount(want).min(before.pages()));
            prop_assert_eq!(taken.union(&list), before.clone());
            prop_assert_eq!(taken.pages() + list.pages(), before.pages());
            prop_assert_eq!(large(&list), whole - want.saturating_sub(in_pieces).div_ceil(512).min(whole));
            prop_assert!(list.run_count() <= before.run_count());
        }
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
