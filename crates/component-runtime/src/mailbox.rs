//! Messages between components: a queue, and a doorbell that tells of its arrivals.
use core::fmt;
use std::collections::VecDeque;
use std::sync::Arc;

use model_sync::Mutex;

use crate::run::Route;
use crate::sync::Signals;
use crate::trace::{self, Cause};
use crate::{ComponentId, SimTime};

struct Envelope<M> {
    arrival: SimTime,
    cause: Cause,
    message: M,
}

/// One small allocation, so that a look into an empty mailbox costs a cache line at most.
struct Shared<M> {
    route: Route,
    component: ComponentId,
    /// What has been sent and not read, in order; `None` when the mailbox has been dropped.
    waiting: Mutex<Option<VecDeque<Envelope<M>>>>,
}

/// Where to send messages to a component. Made by `Seat::mailbox`; a clone is the same mailbox.
///
/// Components send with `ctx.send(&address, message)`.
pub struct Address<M>(Arc<Shared<M>>);

/// The receiving end of a mailbox, owned by its component and read with `ctx.recv(&mut mailbox)`. Dropping it drops the
/// messages in it.
pub struct Mailbox<M> {
    shared: Arc<Shared<M>>,
    /// Whether the first message was looked at and left. It is then dropped after the others: an order that runs rely on.
    seen: bool,
}

pub(crate) fn mailbox<M>(route: Route, component: ComponentId) -> (Address<M>, Mailbox<M>) {
    let shared = Arc::new(Shared { route, component, waiting: Mutex::new(Some(VecDeque::new())) });
    (Address(shared.clone()), Mailbox { shared, seen: false })
}

impl<M> Address<M> {
    /// The component behind it.
    #[must_use]
    pub fn component(&self) -> ComponentId {
        self.0.component
    }

    /// Sends from a thread that belongs to no component, for example one that runs a virtual processor. Only in a run with
    /// the wall clock: in virtual time it would come at a different moment each time.
    ///
    /// # Errors
    /// Gives the message back if the component is gone, or the run has virtual time.
    pub fn post_external(&self, message: M) -> Result<(), M> {
        match &self.0.route {
            Route::Virtual(_) => Err(message),
            Route::Wall(_) => self.try_send(message),
        }
    }

    /// Sends; `false` if the component is gone, and the message with it.
    pub(crate) fn send(&self, message: M) -> bool {
        self.try_send(message).is_ok()
    }

    /// Sends, or gives the message back: what it owns may ring when it is dropped, which must not happen under the lock.
    fn try_send(&self, message: M) -> Result<(), M> {
        let cause = trace::cause();
        let shared = &*self.0;
        match &shared.route {
            Route::Virtual(scheduler) => {
                let mut scheduler = scheduler.lock();
                let mut waiting = shared.waiting.lock();
                // One that has been read had arrived, so nothing can arrive before it.
                let last =
                    waiting.as_ref().and_then(VecDeque::back).map_or(SimTime::ZERO, |last| last.arrival);
                match (scheduler.post(shared.component, last), &mut *waiting) {
                    (Some(arrival), Some(waiting)) => waiting.push_back(Envelope { arrival, cause, message }),
                    _ => return Err(message),
                }
            }
            Route::Wall(port) => {
                match &mut *shared.waiting.lock() {
                    Some(waiting) => waiting.push_back(Envelope { arrival: SimTime::ZERO, cause, message }),
                    None => return Err(message),
                }
                port.raise(Signals::MESSAGE);
            }
        }
        Ok(())
    }
}

impl<M> Clone for Address<M> {
    fn clone(&self) -> Self {
        Address(self.0.clone())
    }
}

impl<M> fmt::Debug for Address<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Address").field(&self.0.component).finish()
    }
}

impl<M> Mailbox<M> {
    /// Whether a message has arrived.
    pub(crate) fn has_arrived(&mut self, now: SimTime) -> bool {
        let waiting = self.shared.waiting.lock();
        let first = waiting.as_ref().and_then(VecDeque::front);
        self.seen = first.is_some();
        first.is_some_and(|first| first.arrival <= now)
    }

    pub(crate) fn take(&mut self, now: SimTime) -> Option<(M, Cause)> {
        let mut waiting = self.shared.waiting.lock();
        let waiting = waiting.as_mut()?;
        let Some(Envelope { message, cause, .. }) = waiting.pop_front_if(|first| first.arrival <= now) else {
            self.seen = !waiting.is_empty();
            return None;
        };
        self.seen = false;
        if waiting.is_empty() {
            // The next message goes where the first one was: into lines that are still in the cache.
            waiting.clear();
        }
        Some((message, cause))
    }
}

impl<M> Drop for Mailbox<M> {
    fn drop(&mut self) {
        let mut unread = self.shared.waiting.lock().take().unwrap_or_default();
        if self.seen {
            unread.rotate_left(1);
        }
        // What the messages own may ring when it is dropped: not under the lock.
        drop(unread);
    }
}

impl<M> fmt::Debug for Mailbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.shared.waiting.lock().as_ref().map_or(0, VecDeque::len);
        f.debug_struct("Mailbox").field("waiting", &waiting).finish()
    }
}
