//! What goes on by itself: zeroing, filling the file cache, trimming, writing to the page file, hard faults.

use core::time::Duration;

use page_range::PageCount;

use super::MemoryManager;
use super::commit::mul_div;
use super::lists::{Pages, Prefer};
use crate::constants::{
    CACHE_FILL_RATE, CACHE_LEAVES_FREE, Constant, PAGE_READ_RATE, PAGE_WRITE_RATE, PAGING_STEP, TRIM_GOAL,
    ZEROING_RATE,
};

/// Files fill the cache in pieces of at least this time, so that an idle guest costs little.
const CACHE_PIECE: Duration = Duration::from_secs(5);

/// What one process got in one step.
#[derive(Clone, Copy, Debug, Default)]
struct Faulted {
    /// Pages read from the page file.
    reads: PageCount,
    /// Pages that it still waits for because there was no memory.
    short: PageCount,
}

impl MemoryManager {
    /// Let the model run until `now`. An earlier time changes nothing.
    pub fn advance(&mut self, now: Duration) {
        while self.now < now {
            let mut step = now - self.now;
            let paging = self.pages_now();
            if paging {
                step = step.min(PAGING_STEP.duration());
            }
            self.now += step;
            self.zero_pages(step);
            if paging {
                self.page(step);
            } else {
                self.fill_file_cache();
            }
        }
    }

    /// When the model must advance next, if nothing else happens before: while the guest pages, in steps of a fraction of
    /// a second, and otherwise not at all.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        self.pages_now().then(|| self.now + PAGING_STEP.duration())
    }

    /// Read files in the background from now on.
    pub(crate) fn start_file_cache(&mut self) {
        self.cache_fills = true;
        self.cache_filled_at = self.now;
    }

    fn zero_pages(&mut self, time: Duration) {
        if !self.lists.free.is_empty() {
            let pages = self.lists.free.take_lowest(rate(&ZEROING_RATE, time));
            self.lists.zeroed.insert_all(pages);
        }
    }

    fn fill_file_cache(&mut self) {
        let elapsed = self.now.saturating_sub(self.cache_filled_at);
        if !self.cache_fills || elapsed < CACHE_PIECE {
            return;
        }
        self.cache_filled_at = self.now;
        let wanted = self.profile.family().footprint.file_cache.pages();
        let missing = wanted.saturating_sub(self.lists.file_standby.pages());
        let room = self.lists.unused().saturating_sub(CACHE_LEAVES_FREE.pages());
        let pages = rate(&CACHE_FILL_RATE, elapsed).min(missing).min(room);
        if pages.is_zero() {
            return;
        }
        let mut filled = self.lists.free.take_lowest(pages);
        filled.insert_all(self.lists.zeroed.take_lowest(pages - filled.pages()));
        self.lists.file_standby.insert_all(filled);
        self.cache_faults += pages.get();
    }

    /// Whether anything of trimming, writing and reading is going on.
    fn pages_now(&self) -> bool {
        let room = self.page_file.room();
        self.processes.iter().any(|p| p.waits() || (!p.modified.is_empty() && !room.is_zero()))
            || (self.available() < self.low_memory_threshold() && self.may_trim_cold(room))
    }

    fn may_trim_cold(&self, room: PageCount) -> bool {
        room > self.modified() && self.processes.iter().any(|p| !p.cold().is_zero())
    }

    /// One step of paging.
    fn page(&mut self, time: Duration) {
        self.write_modified(rate(&PAGE_WRITE_RATE, time));
        let short = self.fault_in_all(time);
        self.trim(short, rate(&PAGE_WRITE_RATE, time));
    }

    /// The modified page writer: what is trimmed becomes standby by being written.
    fn write_modified(&mut self, most: PageCount) {
        let mut budget = most.min(self.page_file.room());
        for process in &mut self.processes {
            if budget.is_zero() {
                break;
            }
            let written = process.modified.take_lowest(budget);
            budget -= written.pages();
            self.page_file.write(written.pages());
            process.standby.insert_all(written);
        }
    }

    /// Give every process that waits what it can have in this time. Returns how many pages were short.
    fn fault_in_all(&mut self, time: Duration) -> PageCount {
        let readers =
            self.processes.iter().filter(|p| !p.paged_out.is_zero() && !p.absent().is_zero()).count();
        let per_second = PAGE_READ_RATE.pages();
        // One disk: those who wait for it share it.
        let reads = PageCount(rate(&PAGE_READ_RATE, time).get() / readers.max(1) as u64);
        let mut short = PageCount::ZERO;
        for at in 0..self.processes.len() {
            if !self.processes[at].waits() {
                continue;
            }
            let got = self.fault_in(at, reads);
            let process = &mut self.processes[at];
            let waited = if process.waits() {
                time
            } else {
                let share = got.reads.get() as f64 * readers as f64 / per_second.get() as f64;
                Duration::from_secs_f64(share).min(time)
            };
            process.stall += waited;
            short += got.short;
        }
        short
    }

    /// Give a process at once what needs no disk.
    pub(super) fn settle(&mut self, at: usize) {
        if self.processes[at].waits() {
            self.fault_in(at, PageCount::ZERO);
        }
    }

    fn fault_in(&mut self, at: usize, most_reads: PageCount) -> Faulted {
        let mut faulted = Faulted::default();

        // Fresh pages that it writes to.
        let want = self.processes[at].to_touch;
        let fresh = self.take(want, Prefer::Zeroed);
        faulted.short += want - fresh.pages();
        let process = &mut self.processes[at];
        process.to_touch -= fresh.pages();
        process.resident.insert_all(fresh);

        // Its own pages that are still in memory: soft faults, without I/O.
        let back = process.standby.take_lowest(process.absent());
        self.page_file.used -= back.pages();
        process.resident.insert_all(back);
        let back = process.modified.take_lowest(process.absent());
        process.resident.insert_all(back);

        // Hard faults.
        let want = process.absent().min(process.paged_out).min(most_reads);
        let read = self.take(want, Prefer::Free);
        faulted.short += want - read.pages();
        faulted.reads = read.pages();
        self.page_file.read(read.pages());
        let process = &mut self.processes[at];
        process.paged_out -= read.pages();
        process.resident.insert_all(read);

        // Active beyond what it ever touched: fresh pages again.
        let want = process.absent().min(process.untouched());
        let want = if process.paged_out.is_zero() { want } else { PageCount::ZERO };
        let fresh = self.take(want, Prefer::Zeroed);
        faulted.short += want - fresh.pages();
        self.processes[at].resident.insert_all(fresh);
        faulted
    }

    /// Up to `want` available pages, processes' standby pages last.
    pub(super) fn take(&mut self, want: PageCount, prefer: Prefer) -> Pages {
        if want.is_zero() {
            return Pages::new();
        }
        let mut taken = self.lists.take(want, prefer);
        for process in &mut self.processes {
            let missing = want - taken.pages();
            if missing.is_zero() {
                break;
            }
            let repurposed = process.standby.take_lowest(missing);
            process.paged_out += repurposed.pages();
            taken.insert_all(repurposed);
        }
        taken
    }

    /// Trim working sets: cold pages while memory is low, and also active ones where somebody is `short` of pages.
    fn trim(&mut self, short: PageCount, most: PageCount) {
        let available = self.available();
        let threshold = self.low_memory_threshold();
        let low = if available < threshold {
            PageCount((threshold.get() as f64 * TRIM_GOAL.value) as u64) - available
        } else {
            PageCount::ZERO
        };
        let modified = self.modified();
        let room = self.page_file.room().saturating_sub(modified).min(most);
        let goal = (short + low).saturating_sub(modified).min(room);
        let cold = self.trim_proportionally(goal, |process| process.cold());
        let hot = short.saturating_sub(modified + cold).min(room - cold);
        self.trim_proportionally(hot, |process| process.pageable());
    }

    /// Trim `goal` pages, from each process in proportion to what `from` says it has. Returns how many.
    fn trim_proportionally(
        &mut self,
        goal: PageCount,
        from: impl Fn(&super::process::Process) -> PageCount,
    ) -> PageCount {
        let all: PageCount = self.processes.iter().map(&from).sum();
        let goal = goal.min(all);
        if goal.is_zero() {
            return PageCount::ZERO;
        }
        let mut left = goal;
        for process in &mut self.processes {
            let has = from(process);
            // Rounded up, so that the last pages are found too.
            let share = mul_div(goal.get(), has.get(), all.get()) + 1;
            let trimmed = process.resident.take_lowest(PageCount(share).min(has).min(left));
            left -= trimmed.pages();
            process.modified.insert_all(trimmed);
        }
        goal - left
    }
}

/// Pages at a rate in MiB per second over a time; at least one.
pub(super) fn rate(per_second: &Constant, time: Duration) -> PageCount {
    let pages = per_second.value * page_range::PAGES_PER_MIB as f64 * time.as_secs_f64();
    PageCount((pages as u64).max(1))
}
