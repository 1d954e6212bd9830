//! How many runs of pages may be guarded by mappings of their own.
//!
//! A process has a limited number of mappings (`vm.max_map_count`, 65530 by default), and where the kernel has no guard markers each
//! run of guarded pages takes two of them: its own, and the rest of what it was cut out of. A guest that gives back every other page
//! of 1 GiB would take four times as many as there are.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

/// `vm.max_map_count` where it cannot be read (documented, Linux' default).
const DEFAULT_MAPPINGS: usize = 65530;
/// Mappings that a guarded run takes: its own, and the second part of what it was cut out of.
const FOR_EACH_RUN: usize = 2;

/// Runs of pages that may be guarded, shared by all guests of a process.
#[derive(Debug)]
pub(crate) struct Budget {
    runs: usize,
    used: AtomicUsize,
}

impl Budget {
    pub(crate) fn new(runs: usize) -> Arc<Self> {
        Arc::new(Self { runs, used: AtomicUsize::new(0) })
    }

    /// The one of this process: half of its mappings. The rest is for the allocator, threads, files and guest RAM.
    pub(crate) fn of_process() -> Arc<Self> {
        static BUDGET: LazyLock<Arc<Budget>> = LazyLock::new(|| {
            let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
            let mappings: usize = text.trim().parse().unwrap_or(DEFAULT_MAPPINGS);
            Budget::new(mappings / 2 / FOR_EACH_RUN)
        });
        Arc::clone(&BUDGET)
    }

    /// Takes `more` runs for a guest that has `own`, if it then has no more than are left for all others. So the first greedy
    /// guest gets half, the second half of what is left, and there is always something left.
    pub(crate) fn take(&self, own: usize, more: usize) -> bool {
        self.take_if(more, |used| own + more <= self.runs.saturating_sub(used))
    }

    /// Takes `more` runs while there are any: for pages that a guest gets back, which may cut a run in two.
    pub(crate) fn take_for_return(&self, more: usize) -> bool {
        self.take_if(more, |used| used <= self.runs)
    }

    /// `fits` is asked about what would be used.
    fn take_if(&self, more: usize, fits: impl Fn(usize) -> bool) -> bool {
        let add = |used: usize| used.checked_add(more).filter(|&used| more == 0 || fits(used));
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    pub(crate) fn give_back(&self, runs: usize) {
        self.used.fetch_sub(runs, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greedy_guests_leave_something_for_the_next() {
        let budget = Budget::new(1024);
        let mut guests = Vec::new();
        for _ in 0..4 {
            let mut own = 0;
            while budget.take(own, 1) {
                own += 1;
            }
            guests.push(own);
        }
        assert_eq!(guests, [512, 256, 128, 64]);
        assert!(!budget.take(0, 65), "all or nothing");
        assert_eq!(budget.used(), 960);
        assert!(budget.take_for_return(64) && !budget.take_for_return(1));
        assert!(budget.take(2000, 0), "who needs nothing more is not refused");
        budget.give_back(1024);
        assert_eq!(budget.used(), 0);
    }
}
