//! Names a component that blocks.
use core::sync::atomic::{AtomicU64, Ordering};

use crate::ComponentId;

/// Which wake of a virtual run is going on: a number that changes with each wake, and the component.
#[derive(Debug, Default)]
pub(crate) struct Pulse(AtomicU64);

impl Pulse {
    /// A wake begins. Cheap: nobody but the watchdog reads it.
    pub(crate) fn beat(&self, _id: ComponentId) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
