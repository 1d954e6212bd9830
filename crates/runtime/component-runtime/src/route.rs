//! How a component is reached: through the scheduler of virtual time, or at the port of its thread.
use std::sync::Arc;

use model_sync::Mutex;

use crate::clock::Clock;
use crate::id::ComponentId;
use crate::pace::Pace;
use crate::schedule::Scheduler;
use crate::sync::Port;
use crate::time::SimTime;
use crate::trace;

/// How to reach a component.
#[derive(Clone)]
pub(crate) enum Route {
    /// In virtual time. Code of components never runs under this lock.
    Virtual(Arc<Mutex<Scheduler>>),
    /// With the wall clock.
    Wall(Arc<Port>, Arc<Clock>),
    /// With the wall clock, on one thread.
    Paced(Arc<Pace>),
}

impl Route {
    pub(crate) fn ring(&self, id: ComponentId) {
        let cause = trace::cause();
        match self {
            Route::Virtual(scheduler) => scheduler.lock().ring(id, cause),
            Route::Wall(port, _) => port.ring(cause),
            Route::Paced(pace) => pace.with(|scheduler| scheduler.ring(id, cause)),
        }
    }

    /// What time it is in the run.
    pub(crate) fn now(&self) -> SimTime {
        match self {
            Route::Virtual(scheduler) => scheduler.lock().now(),
            Route::Wall(_, clock) => clock.now(),
            Route::Paced(pace) => pace.clock.now(),
        }
    }
}
