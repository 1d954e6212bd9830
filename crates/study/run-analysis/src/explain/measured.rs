//! What a run's counters say of the host at a time.

use std::path::Path;
use std::time::Duration;

use page_range::PageCount;

use crate::figures::{FiguresError, Recorded};

/// The host at the sample before a time, or at that time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// When the sample was taken.
    pub at: Duration,
    /// The balancer's Available Memory.
    pub available: PageCount,
    /// Free memory of the parent operating system, MiB.
    pub parent_free_mib: f64,
}

impl Measured {
    /// Reads the counters of the run in `directory`; `None` if there is no sample as early as `at`.
    ///
    /// # Errors
    /// Counters that cannot be read, or are not of a run.
    pub fn read(directory: &Path, at: Duration) -> Result<Option<Self>, FiguresError> {
        Ok(Self::of(&Recorded::read(directory)?, at))
    }

    /// The last sample of a run that is no later than `at`.
    #[must_use]
    pub fn of(run: &Recorded, at: Duration) -> Option<Self> {
        let before = run.points.partition_point(|point| point.time <= at);
        let point = run.points.get(before.checked_sub(1)?)?;
        Some(Self {
            at: point.time,
            available: point.host.available,
            parent_free_mib: point.host.parent_free_mib,
        })
    }
}
