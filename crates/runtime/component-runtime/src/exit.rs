//! How components end, and how others learn of an end.
use core::any::Any;
use core::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::ComponentId;
use crate::trace::Label;

/// Called with the notice of a component's end, after the component has been dropped.
pub(crate) type ExitHook = Box<dyn FnOnce(ExitNotice) + Send>;

/// Says that a component is gone. Sent to each address that asked for it with `Seat::on_exit`, after the component has been dropped.
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
    /// The component returned `NextWake::Stopped`.
    Stopped,
    /// Another component killed it (`Context::kill`).
    Killed,
    /// The component panicked; what it said.
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

/// Why a component is dropped.
#[derive(Clone, Debug)]
pub(crate) enum Exit {
    /// The component ends while the run goes on: those who asked for a notice get one.
    Gone(ExitReason),
    /// The run ends: no notice is sent.
    RunEnds,
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
