//! The processes of a guest, and what they come to together.

use core::ops::Deref;

use page_range::PageCount;

use super::process::Process;

/// Sums over all processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// Their commit.
    pub(super) commit: PageCount,
    /// Pages trimmed and not yet written.
    pub(super) modified: PageCount,
    /// Pages trimmed and written, contents still in memory.
    pub(super) standby: PageCount,
    /// Resident pages that their process no longer touches.
    pub(super) cold: PageCount,
    /// How many of them cannot go on for want of pages.
    pub(super) waiting: usize,
}

impl Totals {
    fn add(&mut self, process: &Process) {
        self.commit += process.commit;
        self.modified += process.modified.pages();
        self.standby += process.standby.pages();
        self.cold += process.cold();
        self.waiting += usize::from(process.waits());
    }

    fn subtract(&mut self, process: &Process) {
        self.commit -= process.commit;
        self.modified -= process.modified.pages();
        self.standby -= process.standby.pages();
        self.cold -= process.cold();
        self.waiting -= usize::from(process.waits());
    }
}

/// All processes, in the order of their start.
///
/// Their sums are kept beside them and not added up when asked for: a guest is asked many times a second, and most
/// answers then touch none of the processes, each of which is three lines of the processor's cache. A process is changed
/// through [`Processes::change`] only, so that the sums follow.
#[derive(Debug, Default)]
pub(super) struct Processes {
    all: Vec<Process>,
    totals: Totals,
}

impl Processes {
    /// The sums.
    pub(super) const fn totals(&self) -> &Totals {
        &self.totals
    }

    /// The sums, added up anew.
    pub(super) fn counted(&self) -> Totals {
        let mut totals = Totals::default();
        for process in &self.all {
            totals.add(process);
        }
        totals
    }

    /// One more, at the end.
    pub(super) fn push(&mut self, process: Process) {
        self.totals.add(&process);
        self.all.push(process);
    }

    /// Forget one.
    pub(super) fn remove(&mut self, at: usize) {
        let process = self.all.remove(at);
        self.totals.subtract(&process);
    }

    /// Change one.
    pub(super) fn change<R>(&mut self, at: usize, change: impl FnOnce(&mut Process) -> R) -> R {
        let process = &mut self.all[at];
        self.totals.subtract(process);
        let result = change(process);
        self.totals.add(process);
        result
    }
}

impl Deref for Processes {
    type Target = [Process];
    fn deref(&self) -> &[Process] {
        &self.all
    }
}
