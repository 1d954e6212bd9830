//! Doorbells: "look at what we share".
use core::fmt;
use std::sync::Arc;

use crate::id::ComponentId;
use crate::route::Route;
use crate::time::SimTime;

/// Wakes a component without a message: there is something to look at in what it shares with others, for example a ring.
///
/// Several rings before the component wakes are one wake. A doorbell may be rung from anywhere: in a wake, in `Drop`, and, in
/// a run with the wall clock, on any thread. Ringing for a component that is gone does nothing.
#[derive(Clone)]
pub struct Doorbell {
    route: Route,
    component: ComponentId,
}

impl Doorbell {
    pub(crate) fn new(route: Route, component: ComponentId) -> Self {
        Doorbell { route, component }
    }

    /// Rings. The component wakes one latency later; what it then does has the ringer's current cause
    /// ([`trace::cause`](crate::trace::cause)), that of the last ring if there were several.
    pub fn ring(&self) {
        self.route.ring(self.component);
    }

    /// What time it is in the run, on whatever thread: with the virtual clock when the wake began that is going on, with the wall
    /// clock now.
    #[must_use]
    pub fn now(&self) -> SimTime {
        self.route.now()
    }

    /// The component that it wakes.
    #[must_use]
    pub fn component(&self) -> ComponentId {
        self.component
    }

    /// As a function, for libraries that know nothing of this runtime.
    #[must_use]
    pub fn into_fn(self) -> Arc<dyn Fn() + Send + Sync> {
        Arc::new(move || self.ring())
    }
}

impl fmt::Debug for Doorbell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Doorbell").field(&self.component).finish()
    }
}
