//! A run whose scheduler goes by the wall clock: the order of virtual time, at the pace of real time, on one thread.
use core::time::Duration;
use std::sync::Arc;

use crate::clock::Clock;
use crate::component::Component;
use crate::config::RunConfig;
use crate::end::EndReason;
use crate::exit::ExitHook;
use crate::id::ComponentId;
use crate::pace::Pace;
#[cfg(not(any(loom, shuttle)))]
use crate::pulse::Pulse;
use crate::route::Route;
use crate::run::{Engine, Run};
use crate::sync::Signals;
use crate::time::SimTime;
use crate::trace::{Cause, Label};
use crate::virtual_time::VirtualTime;

/// What the parts of such a run share.
pub(crate) struct Paced {
    pub(crate) components: Arc<VirtualTime>,
    pub(crate) pace: Arc<Pace>,
}

impl Paced {
    pub(crate) fn new(config: &RunConfig, speed: f64) -> Arc<Self> {
        // The wall clock adds nothing to what the machine itself takes.
        let at_once = Duration::from_nanos(1);
        let config = RunConfig { latency: at_once, requeue_delay: at_once, ..config.clone() };
        let components = VirtualTime::new(&config);
        let pace = Arc::new(Pace {
            scheduler: Arc::clone(&components.scheduler),
            clock: Clock::new(speed),
            main: Arc::default(),
        });
        Arc::new(Self { components, pace })
    }
}

impl Engine for Arc<Paced> {
    fn seat(&self, label: Arc<Label>) -> (ComponentId, Route) {
        (self.pace.scheduler.lock().seat(label), Route::Paced(Arc::clone(&self.pace)))
    }

    fn start(
        &self,
        run: &Arc<Run>,
        id: ComponentId,
        component: Box<dyn Component>,
        exits: Vec<ExitHook>,
        cause: Cause,
    ) {
        self.components.start(run, id, component, exits, cause);
        self.pace.main.raise(Signals::BELL);
    }

    fn abandon(&self, id: ComponentId) {
        self.components.abandon(id);
    }

    fn kill(&self, id: ComponentId, cause: Cause) -> bool {
        self.pace.with(|scheduler| scheduler.kill(id, cause))
    }

    fn end(&self, reason: EndReason) {
        self.pace.with(|scheduler| scheduler.end(reason));
    }

    fn interrupt(&self) {
        self.pace.main.raise(Signals::HALT);
    }

    fn dropped(
        &self,
        id: ComponentId,
        now: SimTime,
        panics: Vec<String>,
    ) -> (Vec<ExitHook>, Option<Arc<Label>>) {
        self.components.dropped(id, now, panics)
    }

    #[cfg(not(any(loom, shuttle)))]
    fn pulses(&self) -> Vec<Arc<Pulse>> {
        self.components.pulses()
    }

    fn clear(&self) {
        self.components.clear();
    }
}
