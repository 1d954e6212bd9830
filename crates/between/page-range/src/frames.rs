//! Host frames as owned values.

use core::fmt;
use std::sync::Arc;

use crate::{HostPage, HostRange, PageCount, RangeSet};

mod large_page_index;

use large_page_index::LargePageIndex;

#[cfg(test)]
mod tests;

/// Where frames go when their last owner drops them.
pub trait FrameHome: Send + Sync {
    /// Take back frames that were dropped. Called on the thread that dropped them, possibly while it unwinds: must not
    /// block for long, and must not panic. Never called with no frames.
    fn come_home(&self, frames: ReturnedFrames);
}

/// Frames on their last steps home. Only dropping [`HostFrames`] makes one, so that a home cannot be told to take back
/// what was never given out.
#[derive(Debug)]
pub struct ReturnedFrames {
    runs: RangeSet<HostPage>,
}

impl ReturnedFrames {
    /// Which frames.
    #[must_use]
    pub fn runs(&self) -> &RangeSet<HostPage> {
        &self.runs
    }

    pub(crate) fn into_runs(self) -> RangeSet<HostPage> {
        self.runs
    }
}

/// Frames of host memory, owned: the holder of this value has the memory, and no other part of the program has it.
///
/// Minted by [`HostMemory::new`](crate::HostMemory::new) only. Moving memory from the pool to a virtual machine is
/// moving such a value; [`take`](Self::take) splits it, [`merge`](Self::merge) joins two. Dropping it, in unwinding too,
/// sends the frames home.
///
/// It cannot be copied,
///
/// ```compile_fail,E0599
/// fn twice(frames: page_range::HostFrames) -> [page_range::HostFrames; 2] {
///     [frames.clone(), frames]
/// }
/// ```
///
/// ```compile_fail,E0382
/// fn twice(frames: page_range::HostFrames) -> [page_range::HostFrames; 2] {
///     [frames, frames]
/// }
/// ```
///
/// nor made up from runs,
///
/// ```compile_fail,E0451
/// use page_range::{FrameHome, HostFrames, HostPage, RangeSet};
/// fn make_up(runs: RangeSet<HostPage>, home: std::sync::Arc<dyn FrameHome>) -> HostFrames {
///     HostFrames { runs, large_pages: None, home }
/// }
/// ```
///
/// ```compile_fail,E0624
/// fn make_up(runs: page_range::RangeSet<page_range::HostPage>, home: std::sync::Arc<page_range::HostMemory>) {
///     page_range::HostFrames::mint(runs, home);
/// }
/// ```
///
/// nor read from a file,
///
/// ```compile_fail,E0277
/// let frames: page_range::HostFrames = serde_json::from_str("[]").unwrap();
/// ```
///
/// nor slipped to a host as returned when they never were given out:
///
/// ```compile_fail,E0451
/// fn slip(home: &page_range::HostMemory, runs: page_range::RangeSet<page_range::HostPage>) {
///     page_range::FrameHome::come_home(home, page_range::ReturnedFrames { runs });
/// }
/// ```
#[must_use = "dropping frames sends them home"]
pub struct HostFrames {
    runs: RangeSet<HostPage>,
    /// Made when frames are first taken by number, and kept from then on: a pool needs it, what is mapped does not.
    large_pages: Option<Box<LargePageIndex>>,
    home: Arc<dyn FrameHome>,
}

/// Frames of another host's memory, given back.
#[derive(Debug, thiserror::Error)]
#[error("{} of another host's memory cannot be merged into this one's", .frames.pages())]
pub struct ForeignFrames {
    /// The frames that were to be merged.
    pub frames: HostFrames,
}

/// Frames that are not among those owned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{missing} is not among the frames owned")]
pub struct NotOwned {
    /// The lowest run that is not there.
    pub missing: HostRange,
}

impl HostFrames {
    pub(crate) fn mint(runs: RangeSet<HostPage>, home: Arc<dyn FrameHome>) -> Self {
        Self { runs, large_pages: None, home }
    }

    /// No frames, of that host. A place to merge some into.
    pub fn empty_of<H: FrameHome + 'static>(home: &Arc<H>) -> Self {
        Self::mint(RangeSet::new(), home.clone())
    }

    /// No frames, of the same host as these.
    pub fn empty_like(&self) -> Self {
        self.owned(RangeSet::new())
    }

    /// How many.
    #[must_use]
    pub fn pages(&self) -> PageCount {
        self.runs.pages()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Which ones.
    #[must_use]
    pub fn runs(&self) -> &RangeSet<HostPage> {
        &self.runs
    }

    /// Whether both are frames of the same host.
    #[must_use]
    pub fn same_home(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.home, &other.home)
    }

    /// Split off `pages` pages, or `None` (and nothing has changed) if there are not so many.
    ///
    /// Which ones is a function of the set and the number alone. As many as possible are whole large pages (2 MiB,
    /// aligned), so that the memory can be mapped with large pages, and in one run if there can be: of the shortest run that has as many,
    /// or the lowest. The rest comes from what is no whole large page, lowest first, and only then a large page is broken.
    /// (Invented: no source says which frames Hyper-V grants.)
    #[must_use]
    pub fn take(&mut self, pages: PageCount) -> Option<Self> {
        (pages <= self.pages()).then(|| self.take_up_to(pages))
    }

    /// Split off `pages` pages, chosen as [`take`](Self::take) does, or all if there are no more.
    pub fn take_up_to(&mut self, pages: PageCount) -> Self {
        if pages >= self.pages() {
            return self.take_all();
        }
        let index = self.large_pages.get_or_insert_with(|| Box::new(LargePageIndex::of(&self.runs)));
        let chosen = index.choose(pages);
        for run in &chosen {
            self.remove(run);
        }
        self.owned(chosen)
    }

    /// Split off everything; nothing stays.
    pub fn take_all(&mut self) -> Self {
        self.large_pages = None;
        let runs = core::mem::take(&mut self.runs);
        self.owned(runs)
    }

    /// Split off exactly these frames.
    ///
    /// # Errors
    /// If any of them is not owned here. Nothing has changed then.
    pub fn take_exact(&mut self, runs: &RangeSet<HostPage>) -> Result<Self, NotOwned> {
        if let Some(missing) = runs.runs().find_map(|run| self.runs.first_missing(run)) {
            return Err(NotOwned { missing });
        }
        for run in runs {
            self.remove(run);
        }
        Ok(self.owned(runs.clone()))
    }

    /// Split off exactly this run of frames.
    ///
    /// # Errors
    /// If any of it is not owned here. Nothing has changed then.
    pub fn take_range(&mut self, range: HostRange) -> Result<Self, NotOwned> {
        self.take_exact(&range.into())
    }

    /// Add other frames of the same host.
    ///
    /// # Errors
    /// If they are another host's; they are given back inside the error.
    pub fn merge(&mut self, mut other: Self) -> Result<(), ForeignFrames> {
        if !self.same_home(&other) {
            return Err(ForeignFrames { frames: other });
        }
        if other.runs.run_count() > self.runs.run_count() {
            core::mem::swap(self, &mut other);
        }
        for run in core::mem::take(&mut other.runs) {
            let new = self.runs.insert(run);
            debug_assert_eq!(new, run.pages(), "a frame had two owners");
            if let Some(index) = &mut self.large_pages {
                index.added(run, &self.runs);
            }
        }
        Ok(())
    }

    /// Give the frames up. The same as dropping them, in a word that says so.
    pub fn send_home(self) {
        drop(self);
    }

    /// Take out a run that is owned.
    fn remove(&mut self, range: HostRange) {
        let Some(run) = self.runs.run_of(range.start()) else { return };
        self.runs.remove(range);
        if let Some(index) = &mut self.large_pages {
            index.removed(range, run, &self.runs);
        }
    }

    fn owned(&self, runs: RangeSet<HostPage>) -> Self {
        Self::mint(runs, self.home.clone())
    }
}

impl Drop for HostFrames {
    fn drop(&mut self) {
        if !self.runs.is_empty() {
            self.home.come_home(ReturnedFrames { runs: core::mem::take(&mut self.runs) });
        }
    }
}

impl fmt::Debug for HostFrames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HostFrames").field(&self.runs).finish()
    }
}
