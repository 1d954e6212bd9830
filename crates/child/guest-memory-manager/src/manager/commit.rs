//! Processes allocating and releasing memory.

use page_range::PageCount;

use super::MemoryManager;
use super::lists::{End, Pages, take_pieces};
use super::page_file::PageFile;
use super::process::{Process, ProcessId, ProcessReport};
use crate::constants::ALLOCATION_PIECE;

/// An allocation would take the guest beyond its commit limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot commit {requested}: {left} are left below the commit limit")]
pub struct CommitFailed {
    /// What was asked for.
    pub requested: PageCount,
    /// What would have been granted.
    pub left: PageCount,
}

impl MemoryManager {
    /// Start a process without memory. An `application`'s waiting counts as stall time of the guest.
    pub fn start_process(&mut self, application: bool) -> ProcessId {
        let id = ProcessId(self.next_process);
        self.next_process += 1;
        self.processes.push(Process::new(id, application));
        id
    }

    /// End a process and free all of its memory. Returns its commit; zero if there is no such process.
    pub fn end_process(&mut self, id: ProcessId) -> PageCount {
        let Some(at) = self.index(id) else { return PageCount::ZERO };
        let commit = self.processes[at].commit;
        self.processes.change(at, |process| process.nonpaged = PageCount::ZERO);
        self.release(id, commit);
        self.processes.remove(at);
        self.close_files(id);
        commit
    }

    /// Commit `pages` more for a process and touch them. Pages that cannot be had at once come as the model advances;
    /// until then the process is [stalled](ProcessReport::stalled).
    ///
    /// # Errors
    /// If the commit limit would be exceeded, or there is no such process. Nothing has changed then.
    pub fn allocate(&mut self, id: ProcessId, pages: PageCount) -> Result<(), CommitFailed> {
        let left = self.committable();
        let Some(at) = self.index(id).filter(|_| pages <= left) else {
            return Err(self.refuse(id, pages, left));
        };
        self.processes.change(at, |process| {
            process.refused = PageCount::ZERO;
            process.commit += pages;
            process.to_touch += pages;
        });
        self.follow_commit();
        self.settle(at);
        Ok(())
    }

    /// As [`MemoryManager::allocate`], of a program that asks in pieces: it gets as many whole ones (`allocation.piece`) as there are.
    ///
    /// # Errors
    /// If not all can be committed; the error names what is missing.
    pub fn allocate_in_pieces(&mut self, id: ProcessId, pages: PageCount) -> Result<(), CommitFailed> {
        let whole = self.committable().round_down_to(ALLOCATION_PIECE.pages());
        if pages <= self.committable() || whole.is_zero() {
            return self.allocate(id, pages);
        }
        self.allocate(id, whole)?;
        let left = self.committable();
        Err(self.refuse(id, pages - whole, left))
    }

    /// As [`MemoryManager::allocate`], for memory that is never paged out.
    pub(crate) fn allocate_nonpaged(&mut self, id: ProcessId, pages: PageCount) -> Result<(), CommitFailed> {
        if pages > self.available() {
            return Err(self.refuse(id, pages, self.available()));
        }
        self.allocate(id, pages)?;
        if let Some(at) = self.index(id) {
            self.processes.change(at, |process| process.nonpaged += pages);
        }
        Ok(())
    }

    /// Refuse a process `pages`: counted, and remembered as what the process wants and does not have.
    fn refuse(&mut self, id: ProcessId, pages: PageCount, left: PageCount) -> CommitFailed {
        self.commit_failures += 1;
        if let Some(at) = self.index(id) {
            self.processes.change(at, |process| process.refused = pages);
        }
        CommitFailed { requested: pages, left }
    }

    /// A process no longer wants what it was refused.
    pub fn withdraw(&mut self, id: ProcessId) {
        if let Some(at) = self.index(id) {
            self.processes.change(at, |process| process.refused = PageCount::ZERO);
        }
    }

    /// What a process has asked for, was refused, and still wants.
    #[must_use]
    pub fn refused_to(&self, id: ProcessId) -> PageCount {
        self.index(id).map_or(PageCount::ZERO, |at| self.processes[at].refused)
    }

    /// What processes have asked for, were refused, and still want: memory that the guest lacks and that no other counter shows.
    #[must_use]
    pub fn refused(&self) -> PageCount {
        self.processes.iter().map(|process| process.refused).sum()
    }

    /// Release up to `pages` of a process's commit, evenly from what is resident and what is not. Returns how many.
    pub fn release(&mut self, id: ProcessId, pages: PageCount) -> PageCount {
        let Some(at) = self.index(id) else { return PageCount::ZERO };
        let file = &mut self.page_file;
        let (released, freed) = self.processes.change(at, |process| {
            if !pages.is_zero() {
                process.refused = PageCount::ZERO;
            }
            release_from(process, file, pages)
        });
        self.lists.free.insert_all(freed);
        released
    }

    /// Say how much of its commit a process keeps touching (at most all of it). More than is resident is faulted in, as
    /// the model advances.
    pub fn set_active(&mut self, id: ProcessId, pages: PageCount) {
        let Some(at) = self.index(id) else { return };
        self.processes.change(at, |process| process.active = pages.min(process.commit));
        self.settle(at);
    }

    /// A process looks at `pages` of what it has, from the page that it wrote first on, once: what of it is in the page file comes back, as
    /// the model advances. The pages that were written first are those that were paged out first, but for those that it has looked at before.
    pub fn look_at_oldest(&mut self, id: ProcessId, pages: PageCount) {
        let Some(at) = self.index(id) else { return };
        self.processes.change(at, |process| {
            let still_there = process.looked_at.min(process.in_memory());
            let out = !process.paged_out.is_zero();
            process.to_read_back =
                if out { pages.min(process.commit).saturating_sub(still_there) } else { PageCount::ZERO };
            process.looked_at = still_there.max(pages.min(process.commit));
        });
        self.settle(at);
    }

    /// A process lets go of up to `pages` of its memory, which stay committed: as while a kernel takes a large piece of memory apart, and
    /// settles the account at the end. What was written last goes first, so what is in memory before what is in the page file. Returns how many.
    pub fn discard(&mut self, id: ProcessId, pages: PageCount) -> PageCount {
        let Some(at) = self.index(id) else { return PageCount::ZERO };
        let file = &mut self.page_file;
        let freed = self.processes.change(at, |process| {
            let resident = pages.min(process.pageable());
            let mut freed = take_pieces(&mut process.resident, resident, End::High);
            let mut rest = (pages - freed.pages()).get();
            let others = [process.paged_out, process.standby.pages(), process.modified.pages()];
            let before = rest;
            take_away(process, file, others, &mut rest, &mut freed);
            process.to_read_back = process.to_read_back.min(process.held());
            (pages - PageCount(rest.min(before)), freed)
        });
        self.lists.free.insert_all(freed.1);
        freed.0
    }

    /// Where a process stands; `None` if there is no such process.
    #[must_use]
    pub fn process(&self, id: ProcessId) -> Option<ProcessReport> {
        self.index(id).map(|at| self.processes[at].report())
    }

    pub(super) fn index(&self, id: ProcessId) -> Option<usize> {
        // In the order of their identifiers, which only grow: where none has ended yet, each is in its place.
        let place = usize::try_from(id.0).ok()?;
        if self.processes.get(place).is_some_and(|process| process.id == id) {
            return Some(place);
        }
        self.processes.binary_search_by_key(&id, |process| process.id).ok()
    }
}

/// Release up to `pages` of a process's commit. Returns how many, and the pages of memory among them.
fn release_from(process: &mut Process, file: &mut PageFile, pages: PageCount) -> (PageCount, Pages) {
    let released = pages.min(process.commit - process.nonpaged);
    let untouched = released.min(process.untouched());
    let mut rest = (released - untouched).get();
    let mut freed = Pages::new();

    // Shares of what the process holds; what rounding leaves comes out of whatever still has pages.
    let pageable = process.held().saturating_sub(process.nonpaged).get().max(1);
    let share = |part: PageCount, of: u64| PageCount(mul_div(of, part.get(), pageable));
    let of = rest;
    let away = [process.paged_out, process.standby.pages(), process.modified.pages()].map(|n| share(n, of));
    take_away(process, file, away, &mut rest, &mut freed);
    let resident = PageCount(rest).min(process.pageable());
    freed.insert_all(take_pieces(&mut process.resident, resident, End::High));
    rest -= resident.get();
    let all = [process.paged_out, process.standby.pages(), process.modified.pages()];
    take_away(process, file, all, &mut rest, &mut freed);

    process.commit -= released;
    process.to_touch = process.to_touch.min(process.untouched());
    process.to_read_back = process.to_read_back.min(process.commit);
    process.active = process.active.min(process.commit);
    (released, freed)
}

/// Drop pages that are not resident, up to the three numbers and up to `rest` in all.
fn take_away(
    process: &mut Process,
    file: &mut PageFile,
    numbers: [PageCount; 3],
    rest: &mut u64,
    freed: &mut Pages,
) {
    let [paged, standby, modified] = numbers;
    let paged = paged.min(process.paged_out).min(PageCount(*rest));
    process.paged_out -= paged;
    *rest -= paged.get();
    let standby = take_pieces(&mut process.standby, standby.min(PageCount(*rest)), End::High);
    *rest -= standby.pages().get();
    file.used -= paged + standby.pages();
    freed.insert_all(standby);
    let modified = take_pieces(&mut process.modified, modified.min(PageCount(*rest)), End::High);
    *rest -= modified.pages().get();
    freed.insert_all(modified);
}

/// `a · b / c` without overflow, rounded down; `c` must not be zero.
pub(super) fn mul_div(a: u64, b: u64, c: u64) -> u64 {
    u64::try_from(u128::from(a) * u128::from(b) / u128::from(c)).unwrap_or(u64::MAX)
}
