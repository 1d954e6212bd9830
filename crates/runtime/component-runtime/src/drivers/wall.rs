//! A thread for each component, all at once (wall clock).
use std::sync::Arc;

use model_sync::thread;
use tracing::dispatcher;

use crate::component::Component;
use crate::end::{EndReason, RunEnd};
use crate::exit::{Exit, ExitHook, ExitReason};
use crate::id::ComponentId;
#[cfg(not(any(loom, shuttle)))]
use crate::pulse::Pulse;
use crate::route::Route;
use crate::run::{Engine, Run};
use crate::sync::Signals;
use crate::time::SimTime;
use crate::trace::{self, Cause, Label};
use crate::wake::{NextWake, WakeCause};
use crate::wall::{Launch, Started, Wall};

/// Runs until the time is up, the run is ended, or no component is left.
pub(crate) fn drive(run: &Arc<Run>, wall: &Arc<Wall>) -> RunEnd {
    wall.main.settle();
    wall.clock.enter(&wall.main);
    wall.clock.begin();
    let launches = wall.registry.lock().begin();
    for launch in launches {
        start(run, wall, launch);
    }
    let (reason, time) = loop {
        let now = wall.now();
        let reason = wall.registry.lock().reason_to_end();
        if run.is_interrupted() {
            break (EndReason::Interrupted, now);
        }
        if let Some(reason) = reason {
            break (reason, now);
        }
        if now >= run.config.until {
            break (EndReason::Until, run.config.until);
        }
        wall.clock.sleep(&wall.main, run.config.until);
    };
    // First no component is woken any more, then one after another is dropped.
    let living = wall.registry.lock().close();
    for (port, _) in &living {
        port.raise(Signals::HALT);
    }
    for (port, thread) in living {
        port.raise(Signals::DROP);
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
    // A component that was being started meanwhile is not among them: its port tells it that the run has ended.
    while wall.registry.lock().has_living() {
        wall.main.wait(None);
    }
    let mut registry = wall.registry.lock();
    let (panics, ended) = (registry.panics(), registry.ended_threads());
    drop(registry);
    for thread in ended {
        let _ = thread.join();
    }
    wall.clock.end();
    RunEnd { reason, time, wakes: wall.wakes(), panics }
}

impl Engine for Arc<Wall> {
    fn seat(&self, label: Arc<Label>) -> (ComponentId, Route) {
        let (id, port) = self.registry.lock().seat(label);
        (id, Route::Wall(port, Arc::clone(&self.clock)))
    }

    fn start(
        &self,
        run: &Arc<Run>,
        id: ComponentId,
        component: Box<dyn Component>,
        exits: Vec<ExitHook>,
        cause: Cause,
    ) {
        let started = self.registry.lock().start(id, component, exits, cause);
        match started {
            Started::Kept => {}
            Started::Now(launch) => start(run, self, launch),
            Started::Refused(component, exits) => drop((component, exits)),
        }
    }

    fn abandon(&self, id: ComponentId) {
        self.registry.lock().abandon(id);
    }

    fn kill(&self, id: ComponentId, cause: Cause) -> bool {
        let port = self.registry.lock().port_of_living(id);
        port.map(|port| port.kill(cause)).is_some()
    }

    fn end(&self, reason: EndReason) {
        Wall::end(self, reason);
    }

    fn interrupt(&self) {
        self.main.raise(Signals::HALT);
    }

    fn dropped(
        &self,
        id: ComponentId,
        now: SimTime,
        panics: Vec<String>,
    ) -> (Vec<ExitHook>, Option<Arc<Label>>) {
        self.registry.lock().dropped(id, now, panics)
    }

    #[cfg(not(any(loom, shuttle)))]
    fn pulses(&self) -> Vec<Arc<Pulse>> {
        self.registry.lock().pulses()
    }

    fn clear(&self) {
        let left = self.registry.lock().clear();
        drop(left);
    }
}

/// Starts the thread of a component.
fn start(run: &Arc<Run>, wall: &Arc<Wall>, launch: Launch) {
    let dispatch = run.dispatch();
    let (id, name) = (launch.id, launch.label.to_string());
    let port = launch.port.clone();
    wall.clock.enter(&port);
    let body = {
        let (run, wall) = (run.clone(), wall.clone());
        move || dispatcher::with_default(&dispatch, || live(&run, &wall, launch))
    };
    let (ended, started) = {
        // Held over the start, so that a thread that ends at once finds its handle.
        let mut registry = wall.registry.lock();
        let started = thread::Builder::new().name(name.replace('\0', "?")).spawn(body);
        let started = started.map(|thread| registry.keep_thread(id, thread));
        (registry.ended_threads(), started)
    };
    // Join what has ended, so that a long run with many lives does not collect dead threads.
    for thread in ended {
        let _ = thread.join();
    }
    if let Err(error) = started {
        wall.clock.leave(&port);
        let gone = wall.registry.lock().dropped(id, wall.now(), Vec::new());
        drop(gone);
        wall.end(EndReason::OutOfThreads { component: name, error: error.to_string() });
    }
}

/// The life of a component's thread.
fn live(run: &Arc<Run>, wall: &Wall, launch: Launch) {
    let Launch { id, port, pulse, cause: start_cause, component, .. } = launch;
    let _attached = trace::attach(run.trace.clone(), wall.now());
    port.settle();
    // Dropped after the component, if it comes to that.
    let rescue = Rescue { wall, id };
    let mut component = component;
    let mut timer = SimTime::MAX;
    let mut before = start_cause;
    let (mut started, mut again) = (true, false);
    let (why, cause) = loop {
        let signals = if started || again || timer <= wall.now() {
            port.take()
        } else {
            wall.clock.sleep(&port, timer)
        };
        if signals.has(Signals::KILL) {
            break (Exit::Gone(ExitReason::Killed), port.kill_cause());
        }
        if signals.has(Signals::HALT | Signals::DROP) {
            let mut signals = signals;
            while !signals.has(Signals::DROP) {
                signals = port.wait(None);
            }
            break (Exit::RunEnds, Cause::NONE);
        }
        let now = wall.now();
        let wake = WakeCause {
            started,
            message: signals.has(Signals::MESSAGE),
            doorbell: signals.has(Signals::BELL),
            timer: timer <= now,
            again,
        };
        if wake == WakeCause::default() {
            continue;
        }
        let cause = if wake.doorbell {
            port.bell_cause()
        } else if wake.started || wake.again {
            before
        } else {
            Cause::NONE
        };
        before = cause;
        wall.count_wake();
        let finished = run.wake(&pulse, id, component.as_mut(), now, wake, cause);
        if let Some(message) = finished.panic {
            break (Exit::Gone(ExitReason::Panicked(message)), finished.cause);
        }
        started = false;
        again = finished.more;
        match finished.next {
            NextWake::Idle => timer = SimTime::MAX,
            NextWake::At(time) => timer = time,
            NextWake::Again => (timer, again) = (SimTime::MAX, true),
            NextWake::Stopped => break (Exit::Gone(ExitReason::Stopped), finished.cause),
        }
    };
    run.retire(id, Some(component), wall.now(), cause, why);
    wall.main.raise(Signals::MESSAGE);
    wall.clock.leave(&port);
    drop(rescue);
}

/// If a thread dies (a subscriber of events panics, not a component: those are caught), its place must not be waited for.
struct Rescue<'a> {
    wall: &'a Wall,
    id: ComponentId,
}

impl Drop for Rescue<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let gone = self.wall.registry.lock().dropped(self.id, self.wall.now(), Vec::new());
            let name = gone.1.as_ref().map_or_else(|| self.id.to_string(), ToString::to_string);
            self.wall.end(EndReason::Failed(format!(
                "component {name} cannot go on: its thread panicked outside of it"
            )));
        }
    }
}
