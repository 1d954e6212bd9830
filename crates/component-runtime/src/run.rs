//! What all parts of a run share.
use core::any::Any;
use core::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;

use model_sync::Mutex;
use model_sync::atomic::{AtomicBool, Ordering};

use crate::runtime::EndReason;
use crate::schedule::{Exit, Finished, Scheduler};
use crate::seat::ExitHook;
use crate::trace::{self, Cause, Label, RunTrace};
use crate::watchdog::Pulse;
use crate::{
    Component, ComponentId, Context, ExitNotice, ExitReason, NextWake, RunConfig, SimTime, WakeCause,
};

/// What all parts of a run share.
pub(crate) struct Run {
    pub(crate) config: RunConfig,
    pub(crate) trace: Arc<RunTrace>,
    pub(crate) interrupted: AtomicBool,
    pub(crate) pulse: Pulse,
    pub(crate) engine: Engine,
}

/// Who decides what runs next.
pub(crate) enum Engine {
    /// Code of components never runs under this lock.
    Virtual(Mutex<Scheduler>),
}

impl Run {
    pub(crate) fn new(config: RunConfig) -> Arc<Self> {
        let scheduler = Scheduler::new(&config);
        Arc::new(Run {
            config,
            trace: RunTrace::new(),
            interrupted: AtomicBool::new(false),
            pulse: Pulse::default(),
            engine: Engine::Virtual(Mutex::new(scheduler)),
        })
    }

    pub(crate) fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Release);
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Acquire)
    }

    pub(crate) fn seat(&self, label: Arc<Label>) -> ComponentId {
        let Engine::Virtual(scheduler) = &self.engine;
        let id = scheduler.lock().seat(label.clone());
        self.trace.name(id, label);
        id
    }

    pub(crate) fn start(&self, id: ComponentId, component: Box<dyn Component>, exits: Vec<ExitHook>) {
        let cause = trace::cause();
        let Engine::Virtual(scheduler) = &self.engine;
        // What cannot be started any more is dropped outside of the lock.
        let refused = scheduler.lock().start(id, component, exits, cause);
        drop(refused);
    }

    pub(crate) fn abandon(&self, id: ComponentId) {
        let Engine::Virtual(scheduler) = &self.engine;
        scheduler.lock().abandon(id);
    }

    pub(crate) fn ring(&self, id: ComponentId) {
        let cause = trace::cause();
        let Engine::Virtual(scheduler) = &self.engine;
        scheduler.lock().ring(id, cause);
    }

    pub(crate) fn kill(&self, id: ComponentId) -> bool {
        let cause = trace::cause();
        let Engine::Virtual(scheduler) = &self.engine;
        scheduler.lock().kill(id, cause)
    }

    pub(crate) fn end(&self, reason: EndReason) {
        let Engine::Virtual(scheduler) = &self.engine;
        scheduler.lock().end(reason);
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
        let cause = trace::cause();
        let (next, panic) = match result {
            Ok(next) => (next, None),
            Err(payload) => {
                let message = panic_message(payload);
                tracing::error!(event = "component_panicked", message = %message);
                (NextWake::Stopped, Some(message))
            }
        };
        trace::leave();
        Finished { id, next, more, cause, panic }
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
        let Engine::Virtual(scheduler) = &self.engine;
        let (exits, label) = {
            let mut scheduler = scheduler.lock();
            let (exits, label) = scheduler.dropped(id);
            if let (Some(label), Some(message)) = (&label, &failed) {
                scheduler.record_panic(label, message.clone());
            }
            (exits, label)
        };
        if let (Exit::Gone(reason), Some(label)) = (why, label) {
            match &reason {
                ExitReason::Panicked(_) => tracing::error!(event = "component_exited", reason = "panicked"),
                ExitReason::Killed => tracing::info!(event = "component_exited", reason = "killed"),
                ExitReason::Stopped => tracing::info!(event = "component_exited", reason = "stopped"),
            }
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

    /// Drops everything that refers to this run from within it, so that it can be freed.
    pub(crate) fn clear(&self) {
        let Engine::Virtual(scheduler) = &self.engine;
        let left = scheduler.lock().clear();
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
