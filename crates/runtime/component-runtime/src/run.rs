//! What all parts of a run share: waking a component, dropping it, and asking the engine that knows what runs next.
use core::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::{Arc, OnceLock, Weak};

use model_sync::atomic::{AtomicBool, Ordering};
use tracing::Dispatch;
use tracing::dispatcher;

use crate::component::{Component, Context, RunServices, Seat};
use crate::config::RunConfig;
use crate::end::EndReason;
use crate::exit::{Exit, ExitHook, ExitNotice, ExitReason, panic_message};
use crate::id::ComponentId;
use crate::pulse::Pulse;
use crate::route::Route;
use crate::schedule::Finished;
use crate::time::SimTime;
use crate::trace::{self, Cause, Label, RunTrace};
use crate::wake::{NextWake, WakeCause};

/// How the watchdog is heard.
pub(crate) type Alarm = Box<dyn Fn(&str) + Send + Sync>;

/// What time is, and who decides what runs next: virtual time with its scheduler, or the wall clock.
pub(crate) trait Engine: Send + Sync {
    /// A slot for a component, and how the component is reached.
    fn seat(&self, label: Arc<Label>) -> (ComponentId, Route);
    /// Starts the component of a seat. A component that cannot be started any more is dropped, outside of any lock.
    fn start(
        &self,
        run: &Arc<Run>,
        id: ComponentId,
        component: Box<dyn Component>,
        exits: Vec<ExitHook>,
        cause: Cause,
    );
    /// Gives up a seat that was never started.
    fn abandon(&self, id: ComponentId);
    /// Has a component dropped at the next scheduling point. `false`: it is gone, or not started.
    fn kill(&self, id: ComponentId, cause: Cause) -> bool;
    /// Ends the run at the next scheduling point; the first reason counts.
    fn end(&self, reason: EndReason);
    /// The run is to end, and [`Run::is_interrupted`] says so: wakes the thread that waits for the end.
    fn interrupt(&self);
    /// A component has been dropped: its slot is free. Gives back who wanted to know, and its label. `panics`: what the component
    /// said when it panicked.
    fn dropped(
        &self,
        id: ComponentId,
        now: SimTime,
        panics: Vec<String>,
    ) -> (Vec<ExitHook>, Option<Arc<Label>>);
    /// Which wakes are going on.
    #[cfg(not(any(loom, shuttle)))]
    fn pulses(&self) -> Vec<Arc<Pulse>>;
    /// Drops everything that a run that never began holds, outside of any lock.
    fn clear(&self);
}

/// What all parts of a run share.
pub(crate) struct Run {
    pub(crate) config: RunConfig,
    pub(crate) trace: Arc<RunTrace>,
    #[cfg_attr(
        any(loom, shuttle),
        expect(dead_code, reason = "a model knows no time, so it has no watchdog")
    )]
    pub(crate) alarm: Alarm,
    engine: Box<dyn Engine>,
    interrupted: AtomicBool,
    dispatch: OnceLock<Dispatch>,
    /// The run itself, for the seats that it gives out.
    this: Weak<Run>,
}

impl Run {
    pub(crate) fn new(config: RunConfig, engine: Box<dyn Engine>, alarm: Alarm) -> Arc<Self> {
        Arc::new_cyclic(|this| Run {
            config,
            trace: RunTrace::new(),
            alarm,
            engine,
            interrupted: AtomicBool::new(false),
            dispatch: OnceLock::new(),
            this: this.clone(),
        })
    }

    /// The run, shared. A borrowed run was borrowed from an owner, so there is an owner.
    fn shared(&self) -> Arc<Run> {
        self.this.upgrade().expect("a run that is borrowed has an owner")
    }

    pub(crate) fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Release);
        self.engine.interrupt();
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Acquire)
    }

    /// The dispatcher of events that was current when this was first called: when the run began.
    pub(crate) fn dispatch(&self) -> Dispatch {
        self.dispatch.get_or_init(|| dispatcher::get_default(Clone::clone)).clone()
    }

    /// Wakes a component on this thread, where the watchdog sees it by `pulse`.
    pub(crate) fn wake(
        &self,
        pulse: &Pulse,
        id: ComponentId,
        component: &mut dyn Component,
        now: SimTime,
        wake: WakeCause,
        cause: Cause,
    ) -> Finished {
        pulse.begin(id);
        trace::enter(id, now, cause);
        let mut ctx = Context::new(self, self.config.budget, id, now);
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
        pulse.end();
        Finished { id, next, more, cause, panic }
    }

    /// Drops a component on this thread and sends the notices of its end.
    pub(crate) fn retire(
        &self,
        id: ComponentId,
        component: Option<Box<dyn Component>>,
        now: SimTime,
        cause: Cause,
        why: Exit,
    ) {
        trace::enter(id, now, cause);
        let mut panics = Vec::new();
        let dropping = catch_unwind(AssertUnwindSafe(|| drop(component))).map_err(panic_message);
        if let Err(message) = &dropping {
            tracing::error!(event = "component_panicked", message = %message, dropping = true);
        }
        if let Exit::Gone(reason) = &why {
            match reason {
                ExitReason::Panicked(message) => {
                    tracing::error!(event = "component_exited", reason = "panicked");
                    panics.push(message.clone());
                }
                ExitReason::Killed => tracing::info!(event = "component_exited", reason = "killed"),
                ExitReason::Stopped => tracing::info!(event = "component_exited", reason = "stopped"),
            }
        }
        panics.extend(dropping.err());
        let (exits, label) = self.engine.dropped(id, now, panics);
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

    /// Which wakes are going on.
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) fn pulses(&self) -> Vec<Arc<Pulse>> {
        self.engine.pulses()
    }

    /// Drops everything that refers to this run from within it, so that it can be freed.
    pub(crate) fn clear(&self) {
        let _panicked = catch_unwind(AssertUnwindSafe(|| self.engine.clear()));
    }
}

impl RunServices for Run {
    fn config(&self) -> &RunConfig {
        &self.config
    }

    fn seat(&self, label: Arc<Label>) -> Seat {
        let (id, route) = self.engine.seat(label.clone());
        self.trace.name(id, label.clone());
        Seat::new(self.shared(), id, route, label)
    }

    fn start(&self, id: ComponentId, component: Box<dyn Component>, exits: Vec<ExitHook>) {
        self.engine.start(&self.shared(), id, component, exits, trace::cause());
    }

    fn abandon(&self, id: ComponentId) {
        self.engine.abandon(id);
    }

    fn kill(&self, id: ComponentId) -> bool {
        self.engine.kill(id, trace::cause())
    }

    fn end(&self, reason: EndReason) {
        self.engine.end(reason);
    }
}
