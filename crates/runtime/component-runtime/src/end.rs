//! How a run ends.
use core::fmt;

use crate::time::SimTime;
use crate::trace::Label;

/// How a run went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEnd {
    /// Why it is over.
    pub reason: EndReason,
    /// The time at its end.
    pub time: SimTime,
    /// How many times components were woken.
    pub wakes: u64,
    /// Which components panicked, in order.
    pub panics: Vec<ComponentPanic>,
}

/// Why a run is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Nothing is left to do: no timer, no message and no doorbell is pending. With the wall clock, where other threads may
    /// still ring: no component is left.
    Idle,
    /// `RunConfig::until` has been reached.
    Until,
    /// A component ended it with `ctx.stop_run`; its reason.
    Stopped(String),
    /// A `StopHandle` ended it.
    Interrupted,
    /// Virtual time does not get on, because of this component. Either it was woken `RunConfig::runaway_wakes` times in a row,
    /// each wake at most `RunConfig::requeue_delay` after the one before (it asks again and again); or all components
    /// together were woken that often (and more than 1000 times for each that lives) within one millisecond, and this one most
    /// often in the second half of that.
    Runaway {
        /// The component, as `name/VM`.
        component: String,
    },
    /// The system gave no thread to a component: the limits of the user, the container or the system are reached.
    OutOfThreads {
        /// The component, as `name/VM`.
        component: String,
        /// What the system said.
        error: String,
    },
    /// The driver could not go on: what happened.
    Failed(String),
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EndReason::Idle => f.pad("nothing is left to do"),
            EndReason::Until => f.pad("the time is up"),
            EndReason::Stopped(reason) => f.pad(reason),
            EndReason::Interrupted => f.pad("interrupted"),
            EndReason::Runaway { component } => {
                write!(f, "component {component} is woken again and again while time stands still")
            }
            EndReason::OutOfThreads { component, error } => {
                write!(
                    f,
                    "the system gives no more threads: component {component} cannot be started ({error})"
                )
            }
            EndReason::Failed(what) => f.pad(what),
        }
    }
}

/// A component that panicked. The others went on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentPanic {
    /// Its name.
    pub component: String,
    /// Its VM.
    pub vm: Option<String>,
    /// What it said.
    pub message: String,
    /// When it was woken for the last time.
    pub time: SimTime,
}

impl ComponentPanic {
    pub(crate) fn new(label: &Label, message: String, time: SimTime) -> Self {
        ComponentPanic {
            component: label.name.to_string(),
            vm: label.vm.as_deref().map(str::to_owned),
            message,
            time,
        }
    }
}
