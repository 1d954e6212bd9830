//! What a component is to the runtime.
use core::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::trace::Label;
use crate::{Context, SimTime};

/// A state machine with mailboxes and doorbells.
///
/// [`wake`](Component::wake) is called when something is there for it: it handles inputs, at most the budget
/// ([`Context::budget`]), and says how to go on. It must not block: other components of a virtual run wait for it, and the
/// watchdog names it. Between wakes it costs nothing.
///
/// Dropping a component must set free all that it owns; the runtime drops it when it has stopped, panicked, was killed, or
/// the run has ended. Its mailboxes belong to it, so messages that it has not read go with it.
pub trait Component: Send {
    /// Handles inputs (at most the budget) and says how to go on.
    fn wake(&mut self, now: SimTime, cause: WakeCause, ctx: &mut Context<'_>) -> NextWake;

    /// Asks the processor for those parts of the component itself that the next wake is going to look at (see the crate
    /// `prefetch`). Nothing else may be done here, and nothing be looked at: it would be waited for. Default: its beginning.
    ///
    /// Called by the inline driver, when the component is soon to be woken, and maybe in vain.
    fn prefetch_self(&self) {
        prefetch::value(self);
    }

    /// The same for memory that the component points to. Its own parts have been asked for before, so they may be looked at here.
    fn prefetch_beyond(&self) {}
}

/// A component that is one function, for tests and small tools.
///
/// ```
/// use component_runtime::{Driver, NextWake, RunConfig, Runtime, from_fn};
/// let mut runtime = Runtime::new(RunConfig::virtual_time(Driver::Inline))?;
/// runtime.seat("once", None).start(from_fn(|_now, _cause, _ctx| NextWake::Stopped));
/// assert_eq!(runtime.run().wakes, 1);
/// # Ok::<(), component_runtime::ConfigError>(())
/// ```
pub fn from_fn(
    wake: impl FnMut(SimTime, WakeCause, &mut Context<'_>) -> NextWake + Send + 'static,
) -> Box<dyn Component> {
    Box::new(Function(wake))
}

struct Function<F>(F);

impl<F: FnMut(SimTime, WakeCause, &mut Context<'_>) -> NextWake + Send> Component for Function<F> {
    fn wake(&mut self, now: SimTime, cause: WakeCause, ctx: &mut Context<'_>) -> NextWake {
        (self.0)(now, cause, ctx)
    }
}

/// Why a component is woken: everything that came since its last wake, together.
///
/// Causes are edges: each arrival is announced once. A component that leaves messages unread is woken again by the next
/// arrival, or by the budget rule of [`Context::recv`], but not because they are still there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WakeCause {
    /// Its first wake.
    pub started: bool,
    /// A message has arrived in one of its mailboxes.
    pub message: bool,
    /// One of its doorbells has rung.
    pub doorbell: bool,
    /// The time of its last [`NextWake::At`] has come.
    pub timer: bool,
    /// It had asked for it ([`NextWake::Again`]), or its budget had ended with messages left. Also when something else wakes it
    /// before the delay is over.
    pub again: bool,
}

/// How a component goes on after a wake. Messages and doorbells wake it in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextWake {
    /// No timer (an earlier one is cancelled).
    Idle,
    /// At this time at the latest (replaces an earlier timer). A time that is not after now counts as
    /// [`Again`](NextWake::Again), with [`WakeCause::timer`].
    At(SimTime),
    /// There is more to do than the budget allows: once more, `RunConfig::requeue_delay` later.
    Again,
    /// It is done: drop it.
    Stopped,
}

/// Names a component of a run. Not used again for another component of the same run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ComponentId(u64);

impl ComponentId {
    pub(crate) const fn new(index: u32, generation: u32) -> Self {
        ComponentId((generation as u64) << 32 | index as u64)
    }
    /// Its place in the tables of the runtime, which a later component may take over.
    pub(crate) const fn index(self) -> usize {
        (self.0 & 0xffff_ffff) as usize
    }
    pub(crate) const fn slot(self) -> u32 {
        (self.0 & 0xffff_ffff) as u32
    }
    pub(crate) const fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

impl fmt::Debug for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ComponentId({self})")
    }
}
impl fmt::Display for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}.{}", self.slot(), self.generation())
    }
}

/// That a component is gone: told to whoever asked for it with `Seat::on_exit`, after the component has been dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitNotice {
    /// Which one.
    pub component: ComponentId,
    /// Its name.
    pub name: Arc<str>,
    /// The VM that it served.
    pub vm: Option<Arc<str>>,
    /// Why.
    pub reason: ExitReason,
}

impl ExitNotice {
    pub(crate) fn new(component: ComponentId, label: &Label, reason: ExitReason) -> Self {
        ExitNotice { component, name: label.name.clone(), vm: label.vm.clone(), reason }
    }
}

/// Why a component is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitReason {
    /// It returned [`NextWake::Stopped`].
    Stopped,
    /// Another component killed it ([`Context::kill`]).
    Killed,
    /// It panicked; what it said.
    Panicked(String),
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExitReason::Stopped => f.pad("stopped"),
            ExitReason::Killed => f.pad("killed"),
            ExitReason::Panicked(message) => write!(f, "panicked: {message}"),
        }
    }
}
