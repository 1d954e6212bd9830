//! What the runtime knows about the wake in which an event happens.

use component_runtime::{
    SimTime,
    trace::{self, Cause},
};

/// Component of events outside of any component's wake: the run itself.
pub(crate) const RUN: &str = "run";

/// The context of an event.
pub(crate) struct Context<'a> {
    pub(crate) now: SimTime,
    pub(crate) component: &'a str,
    pub(crate) vm: Option<&'a str>,
    pub(crate) cause: u64,
}

/// Calls `f` with the context of this thread.
pub(crate) fn with<R>(f: impl FnOnce(Context<'_>) -> R) -> R {
    trace::with_current(|current| match current {
        Some(current) => f(Context {
            now: current.now,
            component: current.component,
            vm: current.vm,
            cause: current.cause.0,
        }),
        None => f(Context {
            now: trace::now().unwrap_or_default(),
            component: RUN,
            vm: None,
            cause: trace::cause().0,
        }),
    })
}

/// Takes the next event number and makes it the cause of what follows; 0 outside of any run.
pub(crate) fn take_seq() -> u64 {
    let seq = trace::next_seq();
    if !seq.is_none() {
        trace::set_cause(seq);
    }
    seq.0
}

/// What led to what is being done now.
pub(crate) fn cause() -> u64 {
    let Cause(cause) = trace::cause();
    cause
}
