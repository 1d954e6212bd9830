//! Who is running, when, and because of what: the context every event of a run is recorded in.
//!
//! The runtime sets it around each wake, on the thread of the wake. An event that is recorded takes [`cause`] as its cause
//! and then becomes the cause of what follows ([`set_cause`]); `ctx.send` and `Doorbell::ring` carry the cause to the
//! receiving side, where `ctx.recv` and a doorbell wake set it. A timer wake starts with [`Cause::NONE`].
//!
//! Numbers are per run, not per process, so several runs may go on at once on different threads.
use core::cell::{Cell, RefCell};
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use model_sync::RwLock;
use serde::{Deserialize, Serialize};

use crate::id::ComponentId;
use crate::time::SimTime;

/// The sequence number of the event that led to something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cause(pub u64);

impl Cause {
    /// Nothing led to it: a timer, the start of the run.
    pub const NONE: Cause = Cause(0);

    /// Whether there is no cause.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// The name of a component and the VM that it serves. Shown as `dm-vsp/VM8`, or `balancer` without a VM.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Label {
    /// What the component is, for example `dm-vsp`.
    pub name: Arc<str>,
    /// The VM that it serves, if it serves one.
    pub vm: Option<Arc<str>>,
}

impl Label {
    pub(crate) fn of(name: &str, vm: Option<&str>) -> Arc<Self> {
        Arc::new(Label { name: name.into(), vm: vm.map(Into::into) })
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.vm {
            Some(vm) => f.pad(&format!("{}/{vm}", self.name)),
            None => f.pad(&self.name),
        }
    }
}

/// The context of what is running on this thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Current {
    /// When the wake began.
    pub now: SimTime,
    /// The component's name, for example `dm-vsp`.
    pub component: Arc<str>,
    /// Its VM.
    pub vm: Option<Arc<str>>,
    /// What led to what is being done now.
    pub cause: Cause,
}

/// [`Current`], borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurrentRef<'a> {
    /// When the wake began.
    pub now: SimTime,
    /// The component's name, for example `dm-vsp`.
    pub component: &'a str,
    /// Its VM.
    pub vm: Option<&'a str>,
    /// What led to what is being done now.
    pub cause: Cause,
}

/// What a run's threads share: the event numbers, and the names of the components.
#[derive(Debug)]
pub(crate) struct RunTrace {
    next_seq: AtomicU64,
    /// By slot; `None`: the slot is taken and not named yet.
    labels: RwLock<Vec<Option<Arc<Label>>>>,
}

impl RunTrace {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(RunTrace { next_seq: AtomicU64::new(1), labels: RwLock::new(Vec::new()) })
    }

    /// Names the component in `id`'s slot; a component that had the slot before is gone. With the wall clock, components on several threads
    /// take seats at once: whoever has a later slot may come first.
    pub(crate) fn name(&self, id: ComponentId, label: Arc<Label>) {
        let mut labels = self.labels.write();
        let index = id.index();
        if index >= labels.len() {
            labels.resize(index + 1, None);
        }
        labels[index] = Some(label);
    }

    pub(crate) fn label(&self, index: usize) -> Option<Arc<Label>> {
        self.labels.read().get(index).cloned().flatten()
    }
}

struct Local {
    run: RefCell<Option<Arc<RunTrace>>>,
    /// 1 + the index of the component that is awake; 0 outside of wakes.
    component: Cell<usize>,
    now: Cell<u64>,
    cause: Cell<u64>,
    /// Events that were recorded on this thread.
    recorded: Cell<u64>,
}

#[cfg(not(shuttle))]
thread_local! {
    static LOCAL: Local = const { Local::new() };
}
// Shuttle's threads share one of the system's.
#[cfg(shuttle)]
model_sync::thread_local! {
    static LOCAL: Local = Local::new();
}

impl Local {
    const fn new() -> Self {
        Local {
            run: RefCell::new(None),
            component: Cell::new(0),
            now: Cell::new(0),
            cause: Cell::new(0),
            recorded: Cell::new(0),
        }
    }
}

/// The context of this thread, or `None` where no component is awake on it.
#[must_use]
pub fn current() -> Option<Current> {
    LOCAL.with(|local| {
        let label = current_label(local)?;
        Some(Current {
            now: SimTime(local.now.get()),
            component: label.name.clone(),
            vm: label.vm.clone(),
            cause: Cause(local.cause.get()),
        })
    })
}

/// Calls `f` with the context of this thread, borrowed; with `None` where no component is awake on it.
pub fn with_current<R>(f: impl FnOnce(Option<CurrentRef<'_>>) -> R) -> R {
    LOCAL.with(|local| match current_label(local) {
        None => f(None),
        Some(label) => f(Some(CurrentRef {
            now: SimTime(local.now.get()),
            component: &label.name,
            vm: label.vm.as_deref(),
            cause: Cause(local.cause.get()),
        })),
    })
}

fn current_label(local: &Local) -> Option<Arc<Label>> {
    let index = local.component.get().checked_sub(1)?;
    local.run.borrow().as_ref()?.label(index)
}

/// The virtual time of this thread's run: of the wake that is going on, else of the last one. `None` outside of runs.
#[must_use]
pub fn now() -> Option<SimTime> {
    LOCAL.with(|local| local.run.borrow().is_some().then(|| SimTime(local.now.get())))
}

/// What led to what is being done now on this thread.
#[must_use]
pub fn cause() -> Cause {
    LOCAL.with(|local| Cause(local.cause.get()))
}

/// Makes `cause` what led to what is done from now on, until the wake ends or another cause is set.
pub fn set_cause(cause: Cause) {
    LOCAL.with(|local| local.cause.set(cause.0));
}

/// Calls `f` under another cause, and then goes back to the one before (in unwinding too).
pub fn with_cause<R>(cause: Cause, f: impl FnOnce() -> R) -> R {
    struct Restore(Cause);
    impl Drop for Restore {
        fn drop(&mut self) {
            set_cause(self.0);
        }
    }
    let _restore = Restore(self::cause());
    set_cause(cause);
    f()
}

/// Takes the next event number of this thread's run, from 1. For the layer that records events only. Outside of any run,
/// [`Cause::NONE`].
#[must_use]
pub fn next_seq() -> Cause {
    LOCAL.with(|local| {
        local.recorded.set(local.recorded.get() + 1);
        local
            .run
            .borrow()
            .as_ref()
            .map_or(Cause::NONE, |run| Cause(run.next_seq.fetch_add(1, Ordering::Relaxed)))
    })
}

/// How many events have been recorded on this thread: the difference over some work is what that work has led to here.
#[must_use]
pub fn recorded() -> u64 {
    LOCAL.with(|local| local.recorded.get())
}

/// Whether anything can have a cause here: not in a run that has never taken an event number.
pub(crate) fn may_have_causes() -> bool {
    LOCAL.with(|local| local.run.borrow().as_ref().is_none_or(|run| run.next_seq.load(Ordering::Relaxed) > 1))
}

/// Attaches this thread to a run while it lives, and puts back what was there before.
pub(crate) struct Attached {
    before: Option<Arc<RunTrace>>,
    context: (usize, u64, u64),
}

pub(crate) fn attach(run: Arc<RunTrace>, now: SimTime) -> Attached {
    LOCAL.with(|local| {
        let context = (local.component.replace(0), local.now.replace(now.0), local.cause.replace(0));
        Attached { before: local.run.replace(Some(run)), context }
    })
}

impl Drop for Attached {
    fn drop(&mut self) {
        LOCAL.with(|local| {
            *local.run.borrow_mut() = self.before.take();
            local.component.set(self.context.0);
            local.now.set(self.context.1);
            local.cause.set(self.context.2);
        });
    }
}

/// Begins a wake of a component on this thread.
pub(crate) fn enter(id: ComponentId, now: SimTime, cause: Cause) {
    LOCAL.with(|local| {
        local.component.set(id.index() + 1);
        local.now.set(now.0);
        local.cause.set(cause.0);
    });
}

/// Ends a wake on this thread.
pub(crate) fn leave() {
    LOCAL.with(|local| {
        local.component.set(0);
        local.cause.set(0);
    });
}
