//! A run in virtual time: its scheduler, and the components that have not been awake yet.
use std::collections::BTreeMap;
use std::sync::Arc;

use model_sync::Mutex;

use crate::component::Component;
use crate::config::RunConfig;
use crate::end::EndReason;
use crate::exit::ExitHook;
use crate::id::ComponentId;
use crate::pulse::Pulse;
use crate::route::Route;
use crate::run::{Engine, Run};
use crate::schedule::Scheduler;
use crate::time::SimTime;
use crate::trace::{Cause, Label};

/// What the parts of a run in virtual time share.
pub(crate) struct VirtualTime {
    /// Code of components never runs under this lock.
    pub(crate) scheduler: Arc<Mutex<Scheduler>>,
    /// Seen by the watchdog: one component is awake at a time.
    pub(crate) pulse: Arc<Pulse>,
    /// Components that were started, until the driver takes them for their first wake.
    waiting: Mutex<BTreeMap<ComponentId, Box<dyn Component>>>,
}

impl VirtualTime {
    pub(crate) fn new(config: &RunConfig) -> Arc<Self> {
        Arc::new(VirtualTime {
            scheduler: Arc::new(Mutex::new(Scheduler::new(config))),
            pulse: Arc::default(),
            waiting: Mutex::default(),
        })
    }

    /// Takes a component that has not been awake yet.
    pub(crate) fn take_waiting(&self, id: ComponentId) -> Option<Box<dyn Component>> {
        self.waiting.lock().remove(&id)
    }
}

impl Engine for Arc<VirtualTime> {
    fn seat(&self, label: Arc<Label>) -> (ComponentId, Route) {
        (self.scheduler.lock().seat(label), Route::Virtual(self.scheduler.clone()))
    }

    fn start(
        &self,
        _run: &Arc<Run>,
        id: ComponentId,
        component: Box<dyn Component>,
        exits: Vec<ExitHook>,
        cause: Cause,
    ) {
        self.waiting.lock().insert(id, component);
        let refused = self.scheduler.lock().start(id, exits, cause);
        if let Err(exits) = refused {
            let component = self.take_waiting(id);
            drop((component, exits));
        }
    }

    fn abandon(&self, id: ComponentId) {
        self.scheduler.lock().abandon(id);
    }

    fn kill(&self, id: ComponentId, cause: Cause) -> bool {
        self.scheduler.lock().kill(id, cause)
    }

    fn end(&self, reason: EndReason) {
        self.scheduler.lock().end(reason);
    }

    fn interrupt(&self) {
        // The driver looks before each step.
    }

    fn dropped(
        &self,
        id: ComponentId,
        now: SimTime,
        panics: Vec<String>,
    ) -> (Vec<ExitHook>, Option<Arc<Label>>) {
        self.scheduler.lock().dropped(id, now, panics)
    }

    #[cfg(not(any(loom, shuttle)))]
    fn pulses(&self) -> Vec<Arc<Pulse>> {
        vec![self.pulse.clone()]
    }

    fn clear(&self) {
        let exits = self.scheduler.lock().clear();
        let waiting = core::mem::take(&mut *self.waiting.lock());
        drop((waiting, exits));
    }
}
