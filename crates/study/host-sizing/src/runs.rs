//! Who runs hosts.

use core::cell::RefCell;
use std::collections::BTreeMap;

use guest_memory_manager::trace::TraceWindow;
use page_range::PageCount;

use crate::fleet::Fleet;
use crate::job::{Engine, Job};
use crate::measure::HostOutcome;
use crate::{Progress, SizingError, simulate};

/// Processors that a search counts on when it chooses what to run: an answer must not depend on the machine that finds it. Invented.
pub(crate) const PROCESSORS: f64 = 2.0;
/// Sizes that a search asks for at once. The same on every machine, as what was tried is part of the answer. Invented.
pub(crate) const AT_ONCE: usize = 2;

/// Hosts to run.
#[derive(Clone, Copy)]
pub(crate) struct Batch<'a> {
    pub(crate) fleet: &'a Fleet,
    /// What the fleet was cut to.
    pub(crate) window: Option<TraceWindow>,
    pub(crate) engine: Engine,
    pub(crate) jobs: &'a [Job],
}

/// Runs hosts, or knows what their runs came to.
pub(crate) trait Runs {
    /// What jobs come to, in their order.
    ///
    /// # Errors
    /// A run that fails, or one that somebody else has not made yet.
    fn run(&self, batch: Batch<'_>) -> Result<Vec<HostOutcome>, SizingError>;
}

/// Runs them in this process.
pub(crate) struct Here<'a> {
    pub(crate) threads: usize,
    pub(crate) progress: Progress<'a>,
}

impl Runs for Here<'_> {
    fn run(&self, batch: Batch<'_>) -> Result<Vec<HostOutcome>, SizingError> {
        simulate::run_all(batch.fleet, batch.engine, batch.jobs, self.threads, self.progress)
    }
}

/// What a job is named by. When its run is ended is not part of it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    engine: Engine,
    window: Option<(core::time::Duration, core::time::Duration)>,
    memory: PageCount,
    vms: Vec<usize>,
    arrive: Vec<usize>,
    seed: usize,
    keep_demand: bool,
}

/// Remembers what jobs of one fleet came to, so that a try can be looked at again with more hosts and parts at the cost of those.
pub(crate) struct Remembered<'a> {
    runs: &'a dyn Runs,
    known: RefCell<BTreeMap<Name, (f64, HostOutcome)>>,
}

impl<'a> Remembered<'a> {
    pub(crate) fn new(runs: &'a dyn Runs) -> Self {
        Self { runs, known: RefCell::default() }
    }
}

impl Runs for Remembered<'_> {
    fn run(&self, batch: Batch<'_>) -> Result<Vec<HostOutcome>, SizingError> {
        let jobs = batch.jobs;
        let name = |job: &Job| Name {
            engine: batch.engine,
            window: batch.window.map(|window| (window.from(), window.to())),
            memory: job.memory,
            vms: job.vms.clone(),
            arrive: job.arrive.clone(),
            seed: job.seed,
            keep_demand: job.keep_demand,
        };
        let new: Vec<Job> = {
            let known = self.known.borrow();
            // What was ended early says nothing of how it would have gone on.
            let is_known = |job: &&Job| {
                known
                    .get(&name(job))
                    .is_some_and(|(until, seen)| !seen.ended_early || *until >= job.hopeless_s)
            };
            jobs.iter().filter(|job| !is_known(job)).cloned().collect()
        };
        let outcomes = self.runs.run(Batch { jobs: &new, ..batch })?;
        let mut known = self.known.borrow_mut();
        for (job, outcome) in new.iter().zip(outcomes) {
            known.insert(name(job), (job.hopeless_s, outcome));
        }
        Ok(jobs.iter().map(|job| known.get(&name(job)).cloned().unwrap_or_default().1).collect())
    }
}
