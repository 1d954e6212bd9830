//! How long applications stand still, as a kernel with pressure stall information counts it.

use core::time::Duration;

use super::MemoryManager;

/// Times since boot in which applications could not go on for want of pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StallTotals {
    /// At least one of them.
    pub(crate) some: Duration,
    /// All that have something to do.
    pub(crate) full: Duration,
}

impl StallTotals {
    pub(super) fn add(&mut self, some: Duration, full: Duration) {
        self.some += some;
        self.full += full;
    }
}

impl MemoryManager {
    /// Of one step: `waited` is how long each application that waits at all has waited in it, longest first or not. They wait for one disk, so at
    /// the same time.
    pub(super) fn count_stalls(&mut self, waited: &[Duration]) {
        let Some(&longest) = waited.iter().max() else { return };
        let busy = |process: &&super::process::Process| process.application && !process.active.is_zero();
        let all = self.processes.iter().filter(busy).count() <= waited.len();
        let shortest = waited.iter().min().copied().unwrap_or_default();
        self.stalls.add(longest, if all { shortest } else { Duration::ZERO });
    }
}
