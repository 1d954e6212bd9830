//! The invariants of the memory manager, checkable at any time.

use page_range::PageCount;

use super::MemoryManager;
use super::lists::Pages;

/// An invariant of the model does not hold: a bug of the model, never of a peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Inconsistency {
    /// The lists together are not the pages that are present.
    #[error("{listed} are on lists, {present} are present, {distinct} of them distinct")]
    Pages {
        /// Sum over all lists.
        listed: PageCount,
        /// Pages the guest has.
        present: PageCount,
        /// Pages on at least one list.
        distinct: PageCount,
    },
    /// A process holds more than it committed, or keeps touching more.
    #[error("process {process}: {held} held, {active} active, {commit} committed")]
    Process {
        /// Which.
        process: u32,
        /// Pages that exist in memory or in the page file.
        held: PageCount,
        /// Pages it keeps touching.
        active: PageCount,
        /// Its commit.
        commit: PageCount,
    },
    /// The sums over all processes that are kept are not what the processes come to.
    #[error("the processes come to {counted}, {kept} was kept")]
    Totals {
        /// What was kept.
        kept: String,
        /// What they come to.
        counted: String,
    },
    /// Commit is above its limit.
    #[error("{committed} are committed, {limit} is the limit")]
    Commit {
        /// Everything committed.
        committed: PageCount,
        /// The limit.
        limit: PageCount,
    },
    /// The page file does not hold what the processes have in it, or more than its size.
    #[error("the page file of {size} holds {used}, the processes have {owned} in it")]
    PageFile {
        /// Its size.
        size: PageCount,
        /// In use.
        used: PageCount,
        /// What processes have in it.
        owned: PageCount,
    },
}

impl MemoryManager {
    /// Check that every page is on exactly one list and every sum adds up. Takes time in proportion to the number of
    /// runs.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn check(&self) -> Result<(), Inconsistency> {
        let lists = &self.lists;
        let common = [&lists.zeroed, &lists.free, &lists.file_standby, &lists.ballooned, &lists.locked];
        let owned = self.processes.iter().flat_map(|p| [&p.resident, &p.modified, &p.standby]);
        let (mut all, mut listed) = (Pages::new(), PageCount::ZERO);
        for list in common.into_iter().chain(owned) {
            listed += list.pages();
            all.extend(list);
        }
        if all != lists.present || listed != lists.present.pages() {
            return Err(Inconsistency::Pages {
                listed,
                present: lists.present.pages(),
                distinct: all.pages(),
            });
        }
        for process in self.processes.iter() {
            let (held, active, commit) = (process.held(), process.active, process.commit);
            let touched = held.saturating_add(process.to_touch);
            let nonpaged = process.nonpaged.min(process.resident.pages());
            if touched > commit || active > commit || nonpaged != process.nonpaged {
                return Err(Inconsistency::Process { process: process.id.0, held: touched, active, commit });
            }
        }
        let (kept, counted) = (*self.processes.totals(), self.processes.counted());
        if kept != counted {
            return Err(Inconsistency::Totals { kept: format!("{kept:?}"), counted: format!("{counted:?}") });
        }
        let (committed, limit) = (self.committed(), self.commit_limit());
        if committed > limit {
            return Err(Inconsistency::Commit { committed, limit });
        }
        let (size, used) = (self.page_file.size, self.page_file.used);
        let owned = self.processes.iter().map(|p| p.paged_out + p.standby.pages()).sum();
        if used != owned || used > size {
            return Err(Inconsistency::PageFile { size, used, owned });
        }
        Ok(())
    }
}
