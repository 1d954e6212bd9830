//! What of a program's files is in the cache, and in which order that leaves.
//!
//! *Linux* keeps file pages on two lists. What is read comes to the end of the inactive one; what is read again while it is there goes to the end
//! of the active one. Who needs room gets the beginning of the inactive list, and while that is shorter than the active one the active list's
//! beginning becomes the inactive one's end. What comes back after so little else had left or become active that the active list would have kept
//! it becomes active at once. (Documented: the comments of Linux' `mm/workingset.c`, and Gorman, *Understanding the Linux Virtual Memory Manager*,
//! ch. 10. That the two lists of a guest with less than some GB are to be of one length, too.)
//!
//! Windows has one list here: what came first leaves first (*simplified*: what is used again goes back to the end of its standby list).

use std::collections::VecDeque;

use crate::profile::Kernel;

/// Pages `first..end` of the files.
type Run = (u64, u64);

/// Runs of pages in the order in which they came.
#[derive(Debug, Default)]
struct Row {
    runs: VecDeque<Run>,
    pages: u64,
}

impl Row {
    fn push(&mut self, (first, end): Run) {
        self.pages += end - first;
        match self.runs.back_mut() {
            Some(last) if last.1 == first => last.1 = end,
            _ if end > first => self.runs.push_back((first, end)),
            _ => {}
        }
    }

    /// Takes at most so many pages from the beginning; one run of them.
    fn pop(&mut self, most: u64) -> Option<Run> {
        let front = self.runs.front_mut().filter(|_| most > 0)?;
        let run = (front.0, front.1.min(front.0 + most));
        front.0 = run.1;
        if front.0 == front.1 {
            self.runs.pop_front();
        }
        self.pages -= run.1 - run.0;
        Some(run)
    }

    /// Takes out a run that is on this list in one piece.
    fn remove(&mut self, (first, end): Run) {
        let Some(at) = self.runs.iter().position(|run| run.0 <= first && end <= run.1) else { return };
        self.pages -= end - first;
        let Some(whole) = self.runs.remove(at) else { return };
        for rest in [(end, whole.1), (whole.0, first)] {
            if rest.0 < rest.1 {
                self.runs.insert(at, rest);
            }
        }
    }

    /// Where the run ends that has this page.
    fn end_of(&self, page: u64) -> Option<u64> {
        self.runs.iter().find(|run| (run.0..run.1).contains(&page)).map(|run| run.1)
    }

    /// The first page on this list after that one.
    fn next_after(&self, page: u64) -> Option<u64> {
        self.runs.iter().map(|run| run.0).filter(|&first| first > page).min()
    }
}

/// Pages that have left the cache, and when: counted in pages that had left or become active before the first of them.
#[derive(Clone, Copy, Debug)]
struct Left {
    run: Run,
    age: u64,
}

/// Where the next pages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// In the cache.
    Cached,
    /// On the disk.
    Absent,
}

/// The files of one program in the cache.
#[derive(Debug)]
pub(super) struct FileCache {
    kernel: Kernel,
    inactive: Row,
    active: Row,
    left: Vec<Left>,
    /// Pages that have left or become active.
    age: u64,
}

impl FileCache {
    pub(super) fn new(kernel: Kernel) -> Self {
        Self { kernel, inactive: Row::default(), active: Row::default(), left: Vec::new(), age: 0 }
    }

    /// All that is in the cache.
    pub(super) const fn pages(&self) -> u64 {
        self.inactive.pages + self.active.pages
    }

    /// Where a page is, and up to which one, `end` at most, the pages after it are there as well.
    pub(super) fn find(&self, page: u64, end: u64) -> (u64, Found) {
        if let Some(cached) = self.inactive.end_of(page).or_else(|| self.active.end_of(page)) {
            return (cached.min(end), Found::Cached);
        }
        let next = [&self.inactive, &self.active].into_iter().filter_map(|row| row.next_after(page)).min();
        (next.unwrap_or(end).min(end), Found::Absent)
    }

    /// Pages are read that are in the cache, on one list.
    pub(super) fn use_again(&mut self, run: Run) {
        if self.kernel == Kernel::Linux && self.inactive.end_of(run.0).is_some() {
            self.inactive.remove(run);
            self.activate(run);
        }
    }

    /// Pages come from the disk.
    pub(super) fn insert(&mut self, run: Run) {
        if self.kernel == Kernel::Linux && self.would_have_stayed(run) {
            self.activate(run);
        } else {
            self.inactive.push(run);
        }
    }

    /// Lets go of so many pages: those whose turn it is.
    pub(super) fn evict(&mut self, mut pages: u64) {
        while pages > 0 {
            self.balance(pages);
            let Some(gone) = self.inactive.pop(pages) else { return };
            pages -= gone.1 - gone.0;
            if self.kernel == Kernel::Linux {
                self.remember(gone);
            }
        }
    }

    /// What has been active longest becomes inactive while less is inactive than active; and where so many pages are to go, so that they are
    /// there.
    fn balance(&mut self, wanted: u64) {
        while self.inactive.pages < self.active.pages.max(wanted) {
            let half = (self.active.pages.saturating_sub(self.inactive.pages)).div_ceil(2);
            let missing = half.max(wanted.saturating_sub(self.inactive.pages));
            let Some(run) = self.active.pop(missing) else { return };
            self.inactive.push(run);
        }
    }

    fn activate(&mut self, run: Run) {
        self.active.push(run);
        self.age += run.1 - run.0;
    }

    fn remember(&mut self, run: Run) {
        let age = self.age;
        self.age += run.1 - run.0;
        match self.left.last_mut() {
            Some(last) if last.run.1 == run.0 && last.age + (last.run.1 - last.run.0) == age => {
                last.run.1 = run.1;
            }
            _ => self.left.push(Left { run, age }),
        }
    }

    /// Whether pages that come back would not have left if the active list had been longer by what else has left or become active since; what was
    /// remembered of them is forgotten.
    fn would_have_stayed(&mut self, run: Run) -> bool {
        let first = self.left.iter().find(|left| (left.run.0..left.run.1).contains(&run.0));
        let distance = first.map(|left| self.age - (left.age + (run.0 - left.run.0)));
        self.forget(run);
        distance.is_some_and(|distance| distance <= self.active.pages)
    }

    fn forget(&mut self, (first, end): Run) {
        let outside = |left: &Left| {
            let before = Left { run: (left.run.0, left.run.1.min(first)), age: left.age };
            let start = left.run.0.max(end);
            let after = Left { run: (start, left.run.1), age: left.age + (start.saturating_sub(left.run.0)) };
            [before, after].into_iter().filter(|left| left.run.0 < left.run.1).collect::<Vec<_>>()
        };
        self.left = self.left.iter().flat_map(outside).collect();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn linux(read: &[Run]) -> FileCache {
        let mut cache = FileCache::new(Kernel::Linux);
        for &run in read {
            cache.insert(run);
        }
        cache
    }

    fn is_cached(cache: &FileCache, page: u64) -> bool {
        cache.find(page, page + 1).1 == Found::Cached
    }

    #[test]
    fn what_was_read_once_leaves_before_what_was_read_again() {
        let mut cache = linux(&[(0, 100)]);
        cache.use_again((0, 40));
        cache.evict(20);
        assert_eq!((cache.find(0, 100), cache.find(40, 100)), ((40, Found::Cached), (60, Found::Absent)));
        assert_eq!(cache.pages(), 80);
    }

    #[test]
    fn what_was_active_longest_becomes_inactive_when_less_is_inactive() {
        let mut cache = linux(&[(0, 100)]);
        cache.use_again((0, 100));
        // All active: fifty become inactive, and the first ten of them leave.
        cache.evict(10);
        assert_eq!((cache.inactive.pages, cache.active.pages), (40, 50));
        assert!(!is_cached(&cache, 9) && is_cached(&cache, 10));
        // More than there is inactive: from the active ones, in their order.
        cache.evict(85);
        assert_eq!((cache.find(95, 100), cache.pages()), ((100, Found::Cached), 5));
        cache.evict(1000);
        assert_eq!(cache.pages(), 0);
    }

    #[test]
    fn what_comes_back_soon_is_active_at_once() {
        let mut cache = linux(&[(0, 100)]);
        cache.use_again((0, 60));
        cache.evict(10);
        assert!(!is_cached(&cache, 60));
        // Ten pages have left since the first of them did, and fifty are active.
        cache.insert((60, 70));
        assert_eq!((cache.inactive.pages, cache.active.pages), (40, 60));
        // Nothing is remembered twice, and of what never was in the cache nothing is.
        cache.insert((200, 210));
        assert_eq!((cache.inactive.pages, cache.active.pages, cache.left.len()), (50, 60, 0));
    }

    #[test]
    fn what_comes_back_late_is_not() {
        let mut cache = linux(&[(0, 100)]);
        cache.use_again((0, 10));
        cache.evict(50);
        cache.insert((10, 20));
        assert_eq!((cache.inactive.pages, cache.active.pages), (50, 10));
    }

    #[test]
    fn windows_has_one_list() {
        let mut cache = FileCache::new(Kernel::Windows);
        cache.insert((0, 100));
        cache.use_again((0, 40));
        cache.evict(20);
        assert_eq!((cache.find(0, 100), cache.left.len()), ((20, Found::Absent), 0));
    }

    proptest! {
        /// Each page is on one list or on none, and the lists know their lengths, whatever is read and evicted.
        #[test]
        fn no_page_is_twice_in_the_cache(
            steps in prop::collection::vec((0..300_u64, 0..60_u64, 0..50_u64), 1..60), is_linux in any::<bool>(),
        ) {
            let mut cache = FileCache::new(if is_linux { Kernel::Linux } else { Kernel::Windows });
            for (mut page, count, evicted) in steps {
                let end = page + count;
                while page < end {
                    let (until, found) = cache.find(page, end);
                    prop_assert!(page < until && until <= end);
                    match found {
                        Found::Cached => cache.use_again((page, until)),
                        Found::Absent => cache.insert((page, until)),
                    }
                    page = until;
                }
                let before = cache.pages();
                cache.evict(evicted);
                prop_assert_eq!(cache.pages(), before.saturating_sub(evicted));
                let mut all: Vec<Run> = cache.inactive.runs.iter().chain(&cache.active.runs).copied().collect();
                prop_assert_eq!(all.iter().map(|run| run.1 - run.0).sum::<u64>(), cache.pages());
                all.extend(cache.left.iter().map(|left| left.run));
                all.sort_unstable();
                prop_assert!(all.iter().all(|run| run.0 < run.1));
                prop_assert!(all.windows(2).all(|pair| pair[0].1 <= pair[1].0));
            }
        }
    }
}
