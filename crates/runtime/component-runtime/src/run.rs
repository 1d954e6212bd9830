//! What all parts of a run share.
use core::any::Any;
use core::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::{Arc, OnceLock};

use model_sync::Mutex;
use model_sync::atomic::{AtomicBool, Ordering};
use tracing::Dispatch;
use tracing::dispatcher;

use crate::runtime::EndReason;
use crate::schedule::{Exit, Finished, Scheduler};
use crate::seat::ExitHook;
use crate::sync::{Port, Signals};
use crate::trace::{self, Cause, Label, RunTrace};
use crate::wall::{Started, Wall};
use crate::watchdog::Pulse;
use crate::{
    ClockMode, Component, ComponentId, Context, ExitNotice, ExitReason, NextWake, RunConfig, SimTime,
    WakeCause, drivers,
};

/// How the watchdog is heard.
pub(crate) type Alarm = Box<dyn Fn(&str) + Send + Sync>;

/// What all parts of a run share.
pub(crate) struct Run {
    pub(crate) config: RunConfig,
    pub(crate) trace: Arc<RunTrace>,
    pub(crate) engine: Engine,
    #[cfg_attr(
        any(loom, shuttle),
        expect(dead_code, reason = "a model knows no time, so it has no watchdog")
    )]
    pub(crate) alarm: Alarm,
    interrupted: AtomicBool,
    /// Of a run with virtual time; with the wall clock each component has its own.
    pulse: Pulse,
    dispatch: OnceLock<Dispatch>,
}

/// What time is, and who decides what runs next.
pub(crate) enum Engine {
    /// Code of components never runs under this lock.
    Virtual(Arc<Mutex<Scheduler>>),
    Wall(Box<Wall>),
}

/// How to reach a component.
#[derive(Clone)]
pub(crate) enum Route {
    Virtual(Arc<Mutex<Scheduler>>),
    Wall(Arc<Port>),
}

impl Route {
    pub(crate) fn ring(&self, id: ComponentId) {
        let cause = trace::cause();
        match self {
            Route::Virtual(scheduler) => scheduler.lock().ring(id, cause),
            Route::Wall(port) => port.ring(cause),
        }
    }
}

impl Run {
    pub(crate) fn new(config: RunConfig, alarm: Alarm) -> Arc<Self> {
        let engine = match config.clock {
            ClockMode::Virtual => Engine::Virtual(Arc::new(Mutex::new(Scheduler::new(&config)))),
            ClockMode::Wall { speed } => Engine::Wall(Box::new(Wall::new(speed))),
        };
        Arc::new(Run {
            config,
            trace: RunTrace::new(),
            engine,
            alarm,
            interrupted: AtomicBool::new(false),
            pulse: Pulse::default(),
            dispatch: OnceLock::new(),
        })
    }

    pub(crate) fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Release);
        if let Engine::Wall(wall) = &self.engine {
            wall.main.raise(Signals::HALT);
        }
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Acquire)
    }

    /// The dispatcher of events that was current when this was first called: when the run began.
    pub(crate) fn dispatch(&self) -> Dispatch {
        self.dispatch.get_or_init(|| dispatcher::get_default(Clone::clone)).clone()
    }

    pub(crate) fn seat(&self, label: Arc<Label>) -> (ComponentId, Route) {
        let (id, route) = match &self.engine {
            Engine::Virtual(scheduler) => {
                (scheduler.lock().seat(label.clone()), Route::Virtual(scheduler.clone()))
            }
            Engine::Wall(wall) => {
                let (id, port) = wall.people.lock().seat(label.clone());
                (id, Route::Wall(port))
            }
        };
        self.trace.name(id, label);
        (id, route)
    }

    pub(crate) fn start(
        self: &Arc<Self>,
        id: ComponentId,
        component: Box<dyn Component>,
        exits: Vec<ExitHook>,
    ) {
        let cause = trace::cause();
        // What cannot be started any more is dropped outside of the lock.
        match &self.engine {
            Engine::Virtual(scheduler) => {
                let refused = scheduler.lock().start(id, component, exits, cause);
                drop(refused);
            }
            Engine::Wall(wall) => {
                let started = wall.people.lock().start(id, component, exits, cause);
                match started {
                    Started::Kept => {}
                    Started::Now(birth) => drivers::wall::start(self, wall, birth),
                    Started::Refused(component, exits) => drop((component, exits)),
                }
            }
        }
    }

    pub(crate) fn abandon(&self, id: ComponentId) {
        match &self.engine {
            Engine::Virtual(scheduler) => scheduler.lock().abandon(id),
            Engine::Wall(wall) => wall.people.lock().abandon(id),
        }
    }

    pub(crate) fn kill(&self, id: ComponentId) -> bool {
        let cause = trace::cause();
        match &self.engine {
            Engine::Virtual(scheduler) => scheduler.lock().kill(id, cause),
            Engine::Wall(wall) => {
                let port = wall.people.lock().port_of_living(id);
                port.map(|port| port.kill(cause)).is_some()
            }
        }
    }

    pub(crate) fn end(&self, reason: EndReason) {
        match &self.engine {
            Engine::Virtual(scheduler) => scheduler.lock().end(reason),
            Engine::Wall(wall) => wall.end(reason),
        }
    }

    /// Wakes a component on this thread.
    pub(crate) fn wake(
        self: &Arc<Self>,
        id: ComponentId,
        component: &mut dyn Component,
        now: SimTime,
        wake: WakeCause,
        cause: Cause,
    ) -> Finished {
        trace::enter(id, now, cause);
        let mut ctx = Context::new(self, id, now);
        let result = catch_unwind(AssertUnwindSafe(|| component.wake(now, wake, &mut ctx)));
        let more = ctx.ended_early();
        let (next, panic) = match result {
            Ok(next) => (next, None),
            Err(payload) => {
                let message = panic_message(payload);
                tracing::error!(event = "component_panicked", message = %message);
                (NextWake::Stopped, Some(message))
            }
        };
        let cause = trace::cause();
        trace::leave();
        Finished { id, next, more, cause, panic }
    }

    /// The same, seen by the watchdog of a run with virtual time.
    pub(crate) fn wake_watched(
        self: &Arc<Self>,
        id: ComponentId,
        component: &mut dyn Component,
        now: SimTime,
        wake: WakeCause,
        cause: Cause,
    ) -> Finished {
        self.pulse.begin(id);
        let finished = self.wake(id, component, now, wake, cause);
        self.pulse.end();
        finished
    }

    /// Drops a component on this thread and tells whoever wanted to know.
    pub(crate) fn bury(
        &self,
        id: ComponentId,
        component: Option<Box<dyn Component>>,
        now: SimTime,
        cause: Cause,
        why: Exit,
    ) {
        trace::enter(id, now, cause);
        let failed = catch_unwind(AssertUnwindSafe(|| drop(component))).err().map(panic_message);
        if let Some(message) = &failed {
            tracing::error!(event = "component_panicked", message = %message, dropping = true);
        }
        if let Exit::Gone(reason) = &why {
            match reason {
                ExitReason::Panicked(_) => tracing::error!(event = "component_exited", reason = "panicked"),
                ExitReason::Killed => tracing::info!(event = "component_exited", reason = "killed"),
                ExitReason::Stopped => tracing::info!(event = "component_exited", reason = "stopped"),
            }
        }
        let panicked = match &why {
            Exit::Gone(ExitReason::Panicked(message)) => Some(message.clone()),
            _ => None,
        };
        let (exits, label) = match &self.engine {
            Engine::Virtual(scheduler) => {
                let mut scheduler = scheduler.lock();
                let (exits, label) = scheduler.dropped(id);
                for (label, message) in
                    label.iter().flat_map(|label| panicked.iter().chain(&failed).map(move |m| (label, m)))
                {
                    scheduler.record_panic(label, message.clone());
                }
                (exits, label)
            }
            Engine::Wall(wall) => {
                let mut people = wall.people.lock();
                let (exits, label) = people.dropped(id);
                for (label, message) in
                    label.iter().flat_map(|label| panicked.iter().chain(&failed).map(move |m| (label, m)))
                {
                    people.record_panic(label, message.clone(), now);
                }
                (exits, label)
            }
        };
        if let (Exit::Gone(reason), Some(label)) = (why, label) {
            let notice = ExitNotice::new(id, &label, reason);
            for exit in exits {
                // A closure of the user: its panic must not end the run.
                if let Err(payload) = catch_unwind(AssertUnwindSafe(|| exit(notice.clone()))) {
                    tracing::error!(event = "exit_notice_panicked", message = %panic_message(payload));
                }
            }
        }
        trace::leave();
    }

    /// Looks at what is awake.
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) fn pulses<T, C: FromIterator<T>>(&self, look: impl Fn(&Pulse) -> Option<T>) -> C {
        match &self.engine {
            Engine::Virtual(_) => look(&self.pulse).into_iter().collect(),
            Engine::Wall(wall) => {
                let pulses = wall.people.lock().pulses();
                pulses.iter().filter_map(|pulse| look(pulse)).collect()
            }
        }
    }

    /// Drops everything that refers to this run from within it, so that it can be freed.
    pub(crate) fn clear(&self) {
        let left = match &self.engine {
            Engine::Virtual(scheduler) => scheduler.lock().clear(),
            Engine::Wall(wall) => wall.people.lock().clear(),
        };
        let _ = catch_unwind(AssertUnwindSafe(|| drop(left)));
    }
}

/// What a panic said.
pub(crate) fn panic_message(payload: Box<dyn Any + Send>) -> String {
    match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => payload
            .downcast_ref::<&str>()
            .map_or_else(|| "a panic without a message".to_owned(), |message| (*message).to_owned()),
    }
}
