//! A thread for each component, of which one runs at a time (virtual clock).
//!
//! There is no thread in the middle: the one whose wake has ended asks the scheduler what comes next, gives the baton to the
//! thread of that component, and waits at its own. A thread is started by the first wake of its component.
use std::sync::Arc;

use model_sync::Mutex;
use model_sync::thread::{self, JoinHandle};
use tracing::dispatcher;

use super::affinity;
use crate::component::Component;
use crate::end::EndReason;
use crate::id::ComponentId;
use crate::run::Run;
use crate::schedule::{Decision, Finished};
use crate::sync::Baton;
use crate::time::SimTime;
use crate::trace;
use crate::virtual_time::VirtualTime;

struct Threads {
    run: Arc<Run>,
    time: Arc<VirtualTime>,
    cpu: Option<usize>,
    /// Where the thread that called `run` waits for the end.
    main: Baton,
    /// Where the thread of each component waits, by the slot of the component.
    batons: Mutex<Vec<Option<Arc<Baton>>>>,
    /// What the thread that is given the baton has to do. `None`, for the thread that called `run`: to decide what comes next.
    task: Mutex<Option<Decision>>,
    handles: Mutex<Handles>,
}

#[derive(Default)]
struct Handles {
    running: Vec<Option<JoinHandle<()>>>,
    /// Threads that have nothing left to do, to be joined when there is an occasion.
    finished: Vec<JoinHandle<()>>,
}

/// Runs until the scheduler says that it is over, and all threads have ended.
pub(crate) fn drive(run: &Arc<Run>, time: &Arc<VirtualTime>) {
    let threads = Arc::new(Threads {
        run: run.clone(),
        time: time.clone(),
        cpu: run.config.pin_threads.then(affinity::this_cpu).flatten(),
        main: Baton::of_this_thread(),
        batons: Mutex::new(Vec::new()),
        task: Mutex::new(None),
        handles: Mutex::new(Handles::default()),
    });
    loop {
        advance(&threads, None, None);
        threads.main.wait();
        if let Some(Decision::End) = threads.task.lock().take() {
            break;
        }
    }
    let handles = core::mem::take(&mut *threads.handles.lock());
    for handle in handles.running.into_iter().flatten().chain(handles.finished) {
        // A thread that panicked has said so by `Rescue`.
        let _ = handle.join();
    }
}

/// Decides what comes next and hands over. Gives back what the caller, the thread of `me`, has to do itself.
fn advance(threads: &Arc<Threads>, me: Option<ComponentId>, woken: Option<Finished>) -> Option<Decision> {
    let run = &threads.run;
    let mut woken = woken;
    loop {
        let interrupted = run.is_interrupted();
        let decision = threads.time.scheduler.lock().step(woken.take(), interrupted);
        match decision {
            Decision::Wake { id, .. } | Decision::Drop { id, .. } if Some(id) == me => {
                return Some(decision);
            }
            Decision::Wake { id, wake, .. } if wake.started => {
                let component = threads.time.take_waiting(id);
                if start(threads, id, component, decision) {
                    return None;
                }
            }
            Decision::Wake { id, .. } | Decision::Drop { id, .. } => {
                let baton = threads.batons.lock().get(id.index()).and_then(Clone::clone);
                if let Some(baton) = baton {
                    *threads.task.lock() = Some(decision);
                    baton.give();
                    return None;
                }
                match decision {
                    // The component has never been awake, so it has no thread.
                    Decision::Drop { now, cause, why, .. } => {
                        run.retire(id, threads.time.take_waiting(id), now, cause, why);
                    }
                    // Not reached: a component that has been awake has a thread. The run must not hang if it ever is.
                    _ => fail(threads, id, cannot_go_on("its thread is gone")),
                }
            }
            Decision::End => {
                *threads.task.lock() = Some(Decision::End);
                threads.main.give();
                return None;
            }
        }
    }
}

/// The reason for the end of a run in which a component cannot go on, from its name.
fn cannot_go_on(what: &str) -> impl FnOnce(String) -> EndReason {
    move |component| EndReason::Failed(format!("component {component} cannot go on: {what}"))
}

/// The run cannot go on because of `id`, whose component is gone.
fn fail(threads: &Threads, id: ComponentId, reason: impl FnOnce(String) -> EndReason) {
    let gone = {
        let mut scheduler = threads.time.scheduler.lock();
        let now = scheduler.now();
        let gone = scheduler.dropped(id, now, Vec::new());
        let name = gone.1.as_ref().map_or_else(|| id.to_string(), ToString::to_string);
        scheduler.end(reason(name));
        gone
    };
    drop(gone);
}

/// Starts the thread of a component; its first wake is the thread's first task. `false`: it cannot be started, and the run ends.
fn start(
    threads: &Arc<Threads>,
    id: ComponentId,
    component: Option<Box<dyn Component>>,
    first: Decision,
) -> bool {
    // Join what has ended, so that a long run with many lives does not collect dead threads.
    let ended = core::mem::take(&mut threads.handles.lock().finished);
    for handle in ended {
        let _ = handle.join();
    }
    let name = threads.run.trace.label(id.index()).map_or_else(|| id.to_string(), |label| label.to_string());
    let body = {
        let threads = threads.clone();
        move || {
            let dispatch = threads.run.dispatch();
            dispatcher::with_default(&dispatch, || live(&threads, id, component, first));
        }
    };
    // Held over the start, so that a thread that ends at once finds its handle.
    let mut handles = threads.handles.lock();
    let handle = match thread::Builder::new().name(name.replace('\0', "?")).spawn(body) {
        Ok(handle) => handle,
        Err(error) => {
            drop(handles);
            fail(threads, id, |component| EndReason::OutOfThreads { component, error: error.to_string() });
            return false;
        }
    };
    let index = id.index();
    if handles.running.len() <= index {
        handles.running.resize_with(index + 1, || None);
    }
    let before = handles.running[index].replace(handle);
    handles.finished.extend(before);
    true
}

/// The life of a component's thread.
fn live(threads: &Arc<Threads>, id: ComponentId, component: Option<Box<dyn Component>>, first: Decision) {
    if let Some(cpu) = threads.cpu {
        affinity::stay_on(cpu);
    }
    let run = &threads.run;
    let _attached = trace::attach(run.trace.clone(), SimTime::ZERO);
    let baton = Arc::new(Baton::of_this_thread());
    {
        let mut batons = threads.batons.lock();
        if batons.len() <= id.index() {
            batons.resize_with(id.index() + 1, || None);
        }
        batons[id.index()] = Some(baton.clone());
    }
    // Dropped after the component, if it comes to that.
    let rescue = Rescue { threads, id };
    let mut component = component;
    let mut task = Some(first);
    loop {
        let woken = match task.take() {
            Some(Decision::Wake { now, wake, cause, .. }) => {
                let pulse = &threads.time.pulse;
                component.as_deref_mut().map(|component| run.wake(pulse, id, component, now, wake, cause))
            }
            Some(Decision::Drop { now, cause, why, .. }) => {
                // Before the slot becomes free for another.
                threads.batons.lock()[id.index()] = None;
                run.retire(id, component.take(), now, cause, why);
                None
            }
            Some(Decision::End) | None => None,
        };
        let me = component.is_some().then_some(id);
        task = advance(threads, me, woken);
        if component.is_none() {
            break;
        }
        if task.is_none() {
            baton.wait();
            task = threads.task.lock().take();
        }
    }
    drop(rescue);
}

/// If a thread dies while it has the baton (a subscriber of events panics, not a component: those are caught), the baton goes
/// back to the thread that called `run`, which ends the run.
struct Rescue<'a> {
    threads: &'a Threads,
    id: ComponentId,
}

impl Drop for Rescue<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            fail(self.threads, self.id, cannot_go_on("its thread panicked outside of it"));
            self.threads.main.give();
        }
    }
}
