//! How components are reached in a run whose scheduler goes by the wall clock.
use std::sync::Arc;

use model_sync::Mutex;

use crate::clock::Clock;
use crate::schedule::Scheduler;
use crate::sync::{Port, Signals};

/// How components are reached from any thread.
pub(crate) struct Pace {
    /// Code of components never runs under this lock.
    pub(crate) scheduler: Arc<Mutex<Scheduler>>,
    pub(crate) clock: Clock,
    /// Where the thread that called `run` sleeps.
    pub(crate) main: Arc<Port>,
}

impl Pace {
    /// Calls `act` with the scheduler, whose time is that of the clock, and wakes the thread of the run.
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut Scheduler) -> R) -> R {
        let result = {
            let mut scheduler = self.scheduler.lock();
            scheduler.advance(self.clock.now());
            act(&mut scheduler)
        };
        self.main.raise(Signals::BELL);
        result
    }
}
