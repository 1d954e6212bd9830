//! Messages between components: a queue, and a doorbell that tells of its arrivals.
use core::fmt;
use std::collections::VecDeque;
use std::sync::Arc;

use model_sync::Mutex;

use crate::id::ComponentId;
use crate::route::Route;
use crate::schedule::Scheduler;
use crate::sync::Signals;
use crate::time::SimTime;
use crate::trace::{self, Cause};

struct Envelope<M> {
    arrival: SimTime,
    cause: Cause,
    message: M,
}

/// What both ends of a mailbox share.
struct Shared<M> {
    route: Route,
    component: ComponentId,
    /// Locked for a moment, under the scheduler's lock or under none. No message is dropped under it: what a message owns may ring.
    queue: Mutex<Queue<M>>,
}

/// Messages that have been sent and not been read, in the order in which they were sent, which is that of their arrival.
struct Queue<M> {
    waiting: VecDeque<Envelope<M>>,
    /// When the last message arrives: the next one not before it.
    last_arrival: SimTime,
    /// The receiving end is gone.
    closed: bool,
}

impl<M> Queue<M> {
    /// Puts a message at the end, or gives it back if nobody will read it.
    fn put(&mut self, arrival: SimTime, message: M) -> Result<(), M> {
        if self.closed {
            return Err(message);
        }
        self.waiting.push_back(Envelope { arrival, cause: trace::cause(), message });
        Ok(())
    }
}

/// Where to send messages to a component. Made by `Seat::mailbox`; a clone is the same mailbox.
///
/// Components send with `ctx.send(&address, message)`.
pub struct Address<M> {
    shared: Arc<Shared<M>>,
}

/// The receiving end of a mailbox, owned by its component and read with `ctx.recv(&mut mailbox)`. Dropping it drops the
/// messages in it.
pub struct Mailbox<M> {
    shared: Arc<Shared<M>>,
}

pub(crate) fn mailbox<M>(route: Route, component: ComponentId) -> (Address<M>, Mailbox<M>) {
    let queue = Queue { waiting: VecDeque::new(), last_arrival: SimTime::ZERO, closed: false };
    let shared = Arc::new(Shared { route, component, queue: Mutex::new(queue) });
    (Address { shared: shared.clone() }, Mailbox { shared })
}

impl<M> Address<M> {
    /// The component behind it.
    #[must_use]
    pub fn component(&self) -> ComponentId {
        self.shared.component
    }

    /// Sends from a thread that belongs to no component, for example one that runs a virtual processor. Only in a run with
    /// the wall clock: in virtual time it would come at a different moment each time.
    ///
    /// # Errors
    /// Gives the message back if the component is gone, or the run has virtual time.
    pub fn post_external(&self, message: M) -> Result<(), M> {
        match &self.shared.route {
            Route::Virtual(_) => Err(message),
            Route::Wall(..) | Route::Paced(_) => self.try_send(message),
        }
    }

    /// Sends; `false` if the component is gone, and the message with it.
    pub(crate) fn send(&self, message: M) -> bool {
        self.try_send(message).is_ok()
    }

    /// Sends, or gives the message back: what it owns may ring when it is dropped, which must not happen under the lock.
    fn try_send(&self, message: M) -> Result<(), M> {
        match &self.shared.route {
            Route::Virtual(scheduler) => self.post(&mut scheduler.lock(), message),
            Route::Paced(pace) => pace.with(|scheduler| self.post(scheduler, message)),
            Route::Wall(port, _) => {
                self.shared.queue.lock().put(SimTime::ZERO, message)?;
                port.raise(Signals::MESSAGE);
                Ok(())
            }
        }
    }

    /// Puts a message into the queue at the time that the scheduler says.
    fn post(&self, scheduler: &mut Scheduler, message: M) -> Result<(), M> {
        let mut queue = self.shared.queue.lock();
        match scheduler.post(self.shared.component, queue.last_arrival) {
            None => Err(message),
            Some(arrival) => {
                queue.last_arrival = arrival;
                queue.put(arrival, message)
            }
        }
    }
}

impl<M> Clone for Address<M> {
    fn clone(&self) -> Self {
        Address { shared: self.shared.clone() }
    }
}

impl<M> fmt::Debug for Address<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Address").field(&self.shared.component).finish()
    }
}

impl<M> Mailbox<M> {
    /// Whether a message has arrived.
    pub(crate) fn has_arrived(&self, now: SimTime) -> bool {
        self.shared.queue.lock().waiting.front().is_some_and(|next| next.arrival <= now)
    }

    pub(crate) fn take(&mut self, now: SimTime) -> Option<(M, Cause)> {
        let next = self.shared.queue.lock().waiting.pop_front_if(|next| next.arrival <= now)?;
        Some((next.message, next.cause))
    }
}

impl<M> Drop for Mailbox<M> {
    fn drop(&mut self) {
        let mut queue = self.shared.queue.lock();
        queue.closed = true;
        let unread = core::mem::take(&mut queue.waiting);
        drop(queue);
        drop(unread);
    }
}

impl<M> fmt::Debug for Mailbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").field("waiting", &self.shared.queue.lock().waiting.len()).finish()
    }
}
