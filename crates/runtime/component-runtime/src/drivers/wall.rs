//! A thread for each component, all at once (wall clock).
use core::sync::atomic::Ordering;
use std::sync::Arc;

use model_sync::thread;
use tracing::dispatcher;

use crate::run::{Engine, Run};
use crate::runtime::{EndReason, RunEnd};
use crate::schedule::Exit;
use crate::sync::Signals;
use crate::wall::{Birth, Wall};
use crate::{ComponentId, ExitReason, NextWake, SimTime, WakeCause, trace};

/// Runs until the time is up, somebody ends it, or no component is left.
pub(crate) fn drive(run: &Arc<Run>, wall: &Wall) -> RunEnd {
    wall.main.settle();
    wall.clock.enter(&wall.main);
    wall.clock.begin();
    let births = wall.people.lock().begin();
    for birth in births {
        start(run, wall, birth);
    }
    let (reason, time) = loop {
        let now = wall.now();
        let reason = wall.people.lock().reason_to_end();
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
    // First nobody is woken any more, then one after another is dropped.
    let living = wall.people.lock().close();
    for (port, _) in &living {
        port.raise(Signals::HALT);
    }
    for (port, thread) in living {
        port.raise(Signals::DROP);
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
    // One that was being started while the doors closed is not among them: it finds out by itself.
    while wall.people.lock().anybody() {
        wall.main.wait(None);
    }
    let mut people = wall.people.lock();
    let (panics, ended) = (people.panics(), people.ended_threads());
    drop(people);
    for thread in ended {
        let _ = thread.join();
    }
    wall.clock.end();
    RunEnd { reason, time, wakes: wall.wakes.load(Ordering::Relaxed), panics }
}

/// Starts the thread of a component.
pub(crate) fn start(run: &Arc<Run>, wall: &Wall, birth: Birth) {
    let dispatch = run.dispatch();
    let (id, name) = (birth.id, birth.label.to_string());
    let port = birth.port.clone();
    wall.clock.enter(&port);
    let body = {
        let run = run.clone();
        move || dispatcher::with_default(&dispatch, || live(&run, birth))
    };
    let (ended, started) = {
        // Held over the start, so that a thread that ends at once finds its handle.
        let mut people = wall.people.lock();
        let started = thread::Builder::new().name(name.replace('\0', "?")).spawn(body);
        let started = started.map(|thread| people.keep_thread(id, thread));
        (people.ended_threads(), started)
    };
    // Join what has ended, so that a long run with many lives does not collect dead threads.
    for thread in ended {
        let _ = thread.join();
    }
    if let Err(error) = started {
        wall.clock.leave(&port);
        let gone = wall.people.lock().dropped(id);
        drop(gone);
        wall.end(EndReason::Failed(format!("no thread can be started for component {name}: {error}")));
    }
}

/// The life of a component's thread.
fn live(run: &Arc<Run>, birth: Birth) {
    let Engine::Wall(wall) = &run.engine else { return };
    let Birth { id, port, pulse, cause: start_cause, component, .. } = birth;
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
            break (Exit::RunEnds, trace::Cause::NONE);
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
            trace::Cause::NONE
        };
        before = cause;
        wall.count_wake();
        pulse.begin(id);
        let finished = run.wake(id, component.as_mut(), now, wake, cause);
        pulse.end();
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
    run.bury(id, Some(component), wall.now(), cause, why);
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
            let gone = self.wall.people.lock().dropped(self.id);
            let name = gone.1.as_ref().map_or_else(|| self.id.to_string(), ToString::to_string);
            self.wall.end(EndReason::Failed(format!(
                "component {name} cannot go on: its thread panicked outside of it"
            )));
        }
    }
}
