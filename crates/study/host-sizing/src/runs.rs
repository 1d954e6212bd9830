//! Who runs hosts.

use guest_memory_manager::trace::TraceWindow;

use crate::fleet::Fleet;
use crate::job::{Engine, Job};
use crate::measure::HostOutcome;
use crate::{Progress, SizingError, simulate};

/// Processors that a search counts on when it chooses what to run: an answer must not depend on the machine that finds it. Invented.
pub(crate) const PROCESSORS: f64 = 2.0;
/// Sizes that a search asks for at once. The same on every machine, as what was tried is part of the answer. Invented.
pub(crate) const AT_ONCE: usize = 2;

/// Runs hosts, or knows what their runs came to.
pub(crate) trait Runs {
    /// What jobs come to, in their order. `window` is what the fleet was cut to.
    ///
    /// # Errors
    /// A run that fails, or one that somebody else has not made yet.
    fn run(
        &self,
        fleet: &Fleet,
        window: Option<TraceWindow>,
        engine: Engine,
        jobs: &[Job],
    ) -> Result<Vec<HostOutcome>, SizingError>;
}

/// Runs them in this process.
pub(crate) struct Here<'a> {
    pub(crate) threads: usize,
    pub(crate) progress: Progress<'a>,
}

impl Runs for Here<'_> {
    fn run(
        &self,
        fleet: &Fleet,
        _: Option<TraceWindow>,
        engine: Engine,
        jobs: &[Job],
    ) -> Result<Vec<HostOutcome>, SizingError> {
        simulate::run_all(fleet, engine, jobs, self.threads, self.progress)
    }
}
