//! What a wake tells a component, and what the component answers.
use serde::{Deserialize, Serialize};

use crate::time::SimTime;

/// Why a component is woken: everything that came since its last wake, together.
///
/// Causes are edges: each arrival is announced once. A component that leaves messages unread is woken again by the next
/// arrival, or by the budget rule of `Context::recv`, but not because messages are still there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WakeCause {
    /// The component's first wake.
    pub started: bool,
    /// A message has arrived in a mailbox of the component.
    pub message: bool,
    /// A doorbell of the component has rung.
    pub doorbell: bool,
    /// The time of the component's last [`NextWake::At`] has come.
    pub timer: bool,
    /// The component had asked for another wake ([`NextWake::Again`]), or its budget had ended with messages left. Also set when
    /// something else wakes the component before the delay is over.
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
    /// The component is done: drop it.
    Stopped,
}
