//! The memory of a host: what mints frames, and where they come home.

use core::fmt;
use std::sync::Arc;

use model_sync::Mutex;

use crate::{FrameHome, HostFrames, HostPage, HostRange, PageCount, RangeSet, ReturnedFrames};

/// The memory of one host.
///
/// [`HostMemory::new`] mints all of its frames, once. What is dropped later waits here until [`HostMemory::collect`]
/// hands it out again; the bell tells its owner (the balancer) that there is something to collect.
pub struct HostMemory {
    total: PageCount,
    returned: Mutex<RangeSet<HostPage>>,
    bell: Arc<dyn Fn() + Send + Sync>,
}

impl HostMemory {
    /// A host with `total` pages of memory, and all of them as frames.
    ///
    /// `bell` is rung each time frames have come home, after they can be collected, on whatever thread dropped them and
    /// possibly while that thread unwinds: it must not block, and must not panic.
    pub fn new(total: PageCount, bell: Arc<dyn Fn() + Send + Sync>) -> (Arc<Self>, HostFrames) {
        let memory = Arc::new(Self { total, returned: Mutex::default(), bell });
        let all = HostRange::new(HostPage(0), total).map(RangeSet::from).unwrap_or_default();
        let frames = HostFrames::mint(all, memory.clone());
        (memory, frames)
    }

    /// All frames that have come home since the last time.
    pub fn collect(self: &Arc<Self>) -> HostFrames {
        let runs = core::mem::take(&mut *self.returned.lock());
        HostFrames::mint(runs, self.clone())
    }

    /// How many pages have come home and were not collected yet.
    #[must_use]
    pub fn returned_pages(&self) -> PageCount {
        self.returned.lock().pages()
    }

    /// All memory of the host, wherever its frames are.
    #[must_use]
    pub fn total(&self) -> PageCount {
        self.total
    }
}

impl FrameHome for HostMemory {
    fn come_home(&self, frames: ReturnedFrames) {
        let runs = frames.into_runs();
        let pages = runs.pages();
        let new = self.returned.lock().insert_all(runs);
        debug_assert_eq!(new, pages, "a frame came home twice");
        (self.bell)();
    }
}

impl fmt::Debug for HostMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostMemory")
            .field("total", &self.total)
            .field("returned", &self.returned.lock())
            .finish_non_exhaustive()
    }
}
