//! One process: its commit and where its pages are.

use core::time::Duration;

use page_range::PageCount;
use serde::{Deserialize, Serialize};

use super::lists::Pages;

/// Names a process of one guest. Never used again in that guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessId(pub(super) u32);

/// A process, or the kernel.
///
/// Of its commit each page is in one of five states: resident (working set), modified (trimmed, not yet written),
/// standby (trimmed and written, contents still in memory), in the page file only, or never touched.
///
/// Three whole lines of the processor's cache, and not parts of four: most calls of a guest touch one process.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Process {
    pub(super) id: ProcessId,
    pub(super) commit: PageCount,
    pub(super) resident: Pages,
    pub(super) modified: Pages,
    pub(super) standby: Pages,
    pub(super) paged_out: PageCount,
    /// Never paged out (the kernel's nonpaged part).
    pub(super) nonpaged: PageCount,
    /// What it keeps touching: this much must be resident for it to run without faults.
    pub(super) active: PageCount,
    /// Untouched pages that it is about to write to.
    pub(super) to_touch: PageCount,
    /// Pages that it is about to look at, from the one that it wrote first on, and that are in the page file by then: all of them as
    /// long as any is, since what makes room for one is the next one.
    pub(super) to_read_back: PageCount,
    /// Pages from the one that it wrote first on that it has looked at. They are those that were used last, so they go out after all others.
    pub(super) looked_at: PageCount,
    /// What it last asked for and was refused, as long as it still wants that.
    pub(super) refused: PageCount,
    /// Time it has lost waiting for pages.
    pub(super) stall: Duration,
    /// Whether [`Process::stall`] counts in the guest's stall time (applications: yes, the system: no).
    pub(super) application: bool,
}

/// Where a process stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProcessReport {
    /// Private commit.
    pub commit: PageCount,
    /// Working set.
    pub resident: PageCount,
    /// What it keeps touching.
    pub active: PageCount,
    /// Pages that are in the page file only.
    pub paged_out: PageCount,
    /// Time it has lost waiting for pages.
    pub stall: Duration,
    /// Whether it waits for pages now.
    pub stalled: bool,
}

impl Process {
    pub(super) fn new(id: ProcessId, application: bool) -> Self {
        Self {
            id,
            commit: PageCount::ZERO,
            resident: Pages::new(),
            modified: Pages::new(),
            standby: Pages::new(),
            paged_out: PageCount::ZERO,
            nonpaged: PageCount::ZERO,
            active: PageCount::ZERO,
            to_touch: PageCount::ZERO,
            to_read_back: PageCount::ZERO,
            looked_at: PageCount::ZERO,
            refused: PageCount::ZERO,
            stall: Duration::ZERO,
            application,
        }
    }

    /// Pages that exist somewhere: in memory or in the page file.
    pub(super) fn held(&self) -> PageCount {
        self.resident.pages() + self.modified.pages() + self.standby.pages() + self.paged_out
    }

    /// Pages that exist in memory.
    pub(super) fn in_memory(&self) -> PageCount {
        self.held() - self.paged_out
    }

    /// Committed and never touched.
    pub(super) fn untouched(&self) -> PageCount {
        self.commit - self.held()
    }

    /// Resident pages that it does not keep touching.
    pub(super) fn cold(&self) -> PageCount {
        self.resident.pages().saturating_sub(self.active.max(self.nonpaged))
    }

    /// Resident pages that may be trimmed at all.
    pub(super) fn pageable(&self) -> PageCount {
        self.resident.pages().saturating_sub(self.nonpaged)
    }

    /// Active pages that are not resident.
    pub(super) fn absent(&self) -> PageCount {
        self.active.saturating_sub(self.resident.pages())
    }

    /// Active pages that only the page file has: those still in memory come back without it.
    pub(super) fn wants_reads(&self) -> PageCount {
        let soft = self.standby.pages() + self.modified.pages();
        self.absent().saturating_sub(soft).max(self.to_read_back).min(self.paged_out)
    }

    /// Whether it looks at pages that are in the page file.
    pub(super) fn reads_back(&self) -> bool {
        !self.to_read_back.is_zero() && !self.paged_out.is_zero()
    }

    /// Whether it cannot go on for want of pages.
    pub(super) fn waits(&self) -> bool {
        !self.to_touch.is_zero() || !self.absent().is_zero() || self.reads_back()
    }

    pub(super) fn report(&self) -> ProcessReport {
        ProcessReport {
            commit: self.commit,
            resident: self.resident.pages(),
            active: self.active,
            paged_out: self.paged_out,
            stall: self.stall,
            stalled: self.waits(),
        }
    }
}
