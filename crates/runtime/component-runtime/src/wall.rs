//! What the parts of a run with the wall clock share: its clock, and its components.
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use model_sync::Mutex;

use crate::clock::Clock;
use crate::end::EndReason;
use crate::sync::{Port, Signals};
use crate::time::SimTime;

mod registry;

pub(crate) use registry::{Launch, Registry, Started};

/// A run with the wall clock.
#[derive(Debug)]
pub(crate) struct Wall {
    pub(crate) clock: Arc<Clock>,
    wakes: AtomicU64,
    /// Where the thread that called `run` waits: `HALT` when the run is to end, `MESSAGE` when a component is gone.
    pub(crate) main: Arc<Port>,
    pub(crate) registry: Mutex<Registry>,
}

impl Wall {
    pub(crate) fn new(speed: f64) -> Arc<Self> {
        Arc::new(Wall {
            clock: Arc::new(Clock::new(speed)),
            wakes: AtomicU64::new(0),
            main: Arc::default(),
            registry: Mutex::new(Registry::default()),
        })
    }

    pub(crate) fn now(&self) -> SimTime {
        self.clock.now()
    }

    /// Ends the run; the first reason counts.
    pub(crate) fn end(&self, reason: EndReason) {
        self.registry.lock().end(reason);
        self.main.raise(Signals::HALT);
    }

    pub(crate) fn count_wake(&self) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
    }

    /// How many times components were woken.
    pub(crate) fn wakes(&self) -> u64 {
        self.wakes.load(Ordering::Relaxed)
    }
}
