//! What goes on by itself: zeroing, filling the file cache, trimming, writing to the page file, hard faults.

use core::time::Duration;
use model_constants::Constant;

use page_range::PageCount;

use super::MemoryManager;
use super::commit::mul_div;
use super::lists::{End, Pages, Prefer, take_pieces};
use super::process::Process;
use crate::constants::{
    CACHE_FILL_RATE, CACHE_LEAVES_FREE, CACHE_PIECE, PAGE_READ_RATE, PAGE_WRITE_RATE, PAGING_STEP, TRIM_GOAL,
    ZEROING_RATE,
};

/// What one process got in one step.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faulted {
    /// Pages read from the page file.
    pub(super) reads: PageCount,
    /// Pages that it still waits for because there was no memory.
    pub(super) short: PageCount,
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
        if !self.cache_fills || elapsed < CACHE_PIECE.duration() {
            return;
        }
        self.cache_filled_at = self.now;
        let wanted = self.profile.family().footprint.file_cache.pages();
        let missing = wanted.saturating_sub(self.lists.file_standby.pages() - self.cached_for_programs());
        let room = self.lists.unused().saturating_sub(CACHE_LEAVES_FREE.pages());
        let pages = rate(&CACHE_FILL_RATE, elapsed).min(missing).min(room);
        if pages.is_zero() {
            return;
        }
        if self.disk.is_some() {
            return self.ask_for_files(pages);
        }
        let mut filled = take_pieces(&mut self.lists.free, pages, End::Low);
        filled.insert_all(take_pieces(&mut self.lists.zeroed, pages - filled.pages(), End::Low));
        self.lists.file_standby.insert_all(filled);
        self.cache_faults += pages.get();
    }

    /// Whether anything of trimming, writing and reading is going on.
    fn pages_now(&self) -> bool {
        let totals = self.processes.totals();
        // Looked at last: mostly there is nothing to write, and no shortage.
        let room = || self.page_file_room();
        let can_write = || !totals.modified.is_zero() && !room().is_zero();
        let is_short = || self.available() < self.low_memory_threshold();
        let can_trim = || !totals.cold.is_zero() && is_short() && room() > totals.modified;
        totals.waiting > 0 || can_write() || can_trim()
    }

    /// One step of paging.
    fn page(&mut self, time: Duration) {
        if self.disk.is_some() {
            return self.page_with_disk(time);
        }
        self.write_modified(rate(&PAGE_WRITE_RATE, time));
        let short = self.fault_in_all(time);
        self.trim(short, rate(&PAGE_WRITE_RATE, time));
    }

    /// The modified page writer: what is trimmed becomes standby by being written.
    pub(super) fn write_modified(&mut self, most: PageCount) {
        let mut budget = most.min(self.page_file_room());
        for at in 0..self.processes.len() {
            if budget.is_zero() {
                break;
            }
            let written = self.processes.change(at, |process| {
                let written = take_pieces(&mut process.modified, budget, End::Low);
                let pages = written.pages();
                process.standby.insert_all(written);
                pages
            });
            budget -= written;
            self.page_file.write(written);
        }
    }

    /// Give every process that waits what it can have in this time. Returns how many pages were short.
    ///
    /// What needs a page that nobody has is served first: otherwise those whose pages were trimmed for it would take them
    /// back each time.
    fn fault_in_all(&mut self, time: Duration) -> PageCount {
        let reader = |p: &&Process| !p.wants_reads().is_zero();
        let readers = self.processes.iter().filter(reader).count().max(1) as u64;
        // There is one disk, which all processes that wait for it share.
        let reads = PageCount(rate(&PAGE_READ_RATE, time).get() / readers);
        let mut waiting: Vec<(usize, Faulted)> = Vec::new();
        for at in 0..self.processes.len() {
            if self.processes[at].waits() {
                waiting.push((at, self.fault_in_new(at, reads)));
            }
        }
        let mut short = PageCount::ZERO;
        let mut applications = Vec::new();
        for (at, got) in waiting {
            short += got.short + self.fault_in_rest(at);
            let process = &self.processes[at];
            let reading = (got.reads * readers).mib() / PAGE_READ_RATE.value;
            let waited = if process.waits() { time } else { Duration::from_secs_f64(reading).min(time) };
            if process.application {
                self.stall += waited;
                applications.push(waited);
            }
            self.processes.change(at, |process| process.stall += waited);
        }
        self.count_stalls(&applications);
        short
    }

    /// Give a process at once what needs no disk.
    pub(super) fn settle(&mut self, at: usize) {
        if self.processes[at].waits() {
            self.fault_in_new(at, PageCount::ZERO);
            self.fault_in_rest(at);
        }
    }

    /// Fresh pages that a process writes to, and hard faults.
    pub(super) fn fault_in_new(&mut self, at: usize, most_reads: PageCount) -> Faulted {
        let want = self.processes[at].to_touch;
        let fresh = self.take_for_program(want, Prefer::Zeroed);
        let mut short = want - fresh.pages();
        let want = self.processes.change(at, |process| {
            process.to_touch -= fresh.pages();
            process.resident.insert_all(fresh);
            process.wants_reads().min(most_reads)
        });
        if want.is_zero() {
            return Faulted { reads: want, short };
        }
        let read = self.take_for_program(want, Prefer::Free);
        let mut reads = read.pages();
        self.page_file.read(reads);
        self.processes.change(at, |process| {
            process.paged_out -= reads;
            process.to_read_back = process.to_read_back.saturating_sub(reads);
            process.resident.insert_all(read);
        });
        if reads < want && self.page_file_room().is_zero() {
            reads += self.exchange(at, want - reads);
            reads += self.exchange_own(at, want - reads);
        }
        short += want - reads;
        Faulted { reads, short }
    }

    /// Soft faults: a process's own pages that are still in memory; and what is active beyond what it ever touched.
    /// Returns how many pages were short.
    pub(super) fn fault_in_rest(&mut self, at: usize) -> PageCount {
        let written = self.processes.change(at, |process| {
            let absent = process.absent();
            let back = take_pieces(&mut process.standby, absent, End::Low);
            let written = back.pages();
            process.resident.insert_all(back);
            let absent = process.absent();
            let back = take_pieces(&mut process.modified, absent, End::Low);
            process.resident.insert_all(back);
            written
        });
        self.page_file.used -= written;
        let process = &self.processes[at];
        if !process.paged_out.is_zero() {
            return PageCount::ZERO;
        }
        let want = process.absent().min(process.untouched() - process.to_touch);
        let fresh = self.take_for_program(want, Prefer::Zeroed);
        let short = want - fresh.pages();
        self.processes.change(at, |process| process.resident.insert_all(fresh));
        short
    }

    /// With memory and page file both full, a page can only come in where another goes out at once: others' pages that
    /// wait to be written, cold pages, and then active ones. Returns how many.
    fn exchange(&mut self, at: usize, want: PageCount) -> PageCount {
        let mut taken = Pages::new();
        for victims in [Process::cold, Process::pageable] {
            for other in (0..self.processes.len()).filter(|&other| other != at) {
                let missing = want - taken.pages();
                taken.insert_all(self.processes.change(other, |process| {
                    let mut out = take_pieces(&mut process.modified, missing, End::Low);
                    let resident = victims(process).min(missing - out.pages());
                    out.insert_all(take_pieces(&mut process.resident, resident, End::Low));
                    process.paged_out += out.pages();
                    out
                }));
            }
        }
        let pages = taken.pages();
        self.page_file.read(pages);
        self.page_file.write(pages);
        self.processes.change(at, |process| {
            process.paged_out -= pages;
            process.to_read_back = process.to_read_back.saturating_sub(pages);
            process.resident.insert_all(taken);
        });
        pages
    }

    /// The same for a process that looks at what it wrote long ago: its own cold pages make room for it. Returns how many.
    fn exchange_own(&mut self, at: usize, want: PageCount) -> PageCount {
        let process = &self.processes[at];
        let pages = want.min(process.to_read_back).min(process.cold()).min(process.paged_out);
        self.page_file.read(pages);
        self.page_file.write(pages);
        self.processes.change(at, |process| process.to_read_back -= pages);
        pages
    }

    /// Up to `want` available pages, but for what is kept available as long as others' pages can be written to the page file in their place.
    fn take_for_program(&mut self, want: PageCount, prefer: Prefer) -> Pages {
        let kept = self.profile.kept_available();
        if kept.is_zero() {
            return self.take(want, prefer);
        }
        let others: PageCount = self.processes.iter().map(|p| p.modified.pages() + p.pageable()).sum();
        let kept = kept.min(others).min(self.page_file_room());
        self.take(want.min(self.available().saturating_sub(kept)), prefer)
    }

    /// Up to `want` available pages, processes' standby pages last.
    pub(super) fn take(&mut self, want: PageCount, prefer: Prefer) -> Pages {
        if want.is_zero() {
            return Pages::new();
        }
        let mut taken = self.lists.take(want, prefer);
        for at in 0..self.processes.len() {
            let missing = want - taken.pages();
            if missing.is_zero() || self.processes.totals().standby.is_zero() {
                break;
            }
            taken.insert_all(self.processes.change(at, |process| {
                let repurposed = take_pieces(&mut process.standby, missing, End::Low);
                process.paged_out += repurposed.pages();
                repurposed
            }));
        }
        taken
    }

    /// Trim working sets: cold pages while memory is low, and also active ones where a process is `short` of pages.
    pub(super) fn trim(&mut self, short: PageCount, most: PageCount) {
        let available = self.available();
        let threshold = self.low_memory_threshold();
        let low = if available < threshold {
            PageCount((threshold.get() as f64 * TRIM_GOAL.value) as u64) - available
        } else {
            PageCount::ZERO
        };
        let modified = self.processes.totals().modified;
        let room = self.page_file_room().saturating_sub(modified);
        let goal = (short + low).saturating_sub(modified).min(room);
        let cold = self.trim_proportionally(goal, Process::cold);
        let hot = short.saturating_sub(modified + cold).min(room - cold).min(most);
        self.trim_proportionally(hot, Process::pageable);
    }

    /// Trim `goal` pages, from each process in proportion to what `from` says it has. Returns how many.
    fn trim_proportionally(&mut self, goal: PageCount, from: impl Fn(&Process) -> PageCount) -> PageCount {
        let all: PageCount = self.processes.iter().map(&from).sum();
        let goal = goal.min(all);
        if goal.is_zero() {
            return PageCount::ZERO;
        }
        let mut left = goal;
        for at in 0..self.processes.len() {
            let has = from(&self.processes[at]);
            // Rounded up, so that the last pages are found too.
            let share = mul_div(goal.get(), has.get(), all.get()) + 1;
            left -= self.processes.change(at, |process| {
                let pages = PageCount(share).min(has).min(left);
                let trimmed = take_pieces(&mut process.resident, pages, End::Low);
                let pages = trimmed.pages();
                process.modified.insert_all(trimmed);
                pages
            });
        }
        goal - left
    }
}

/// Pages at a rate in MiB per second over a time; at least one.
pub(super) fn rate(per_second: &Constant, time: Duration) -> PageCount {
    let pages = per_second.value * page_range::PAGES_PER_MIB as f64 * time.as_secs_f64();
    PageCount((pages as u64).max(1))
}
