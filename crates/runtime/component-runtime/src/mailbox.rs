//! Messages between components: a queue, and a doorbell that tells of its arrivals.
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, unbounded};

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

struct Target {
    route: Route,
    component: ComponentId,
    /// When the last message arrives: the next one not before it. Only touched under the scheduler's lock.
    last_arrival: AtomicU64,
}

/// Where to send messages to a component. Made by `Seat::mailbox`; a clone is the same mailbox.
///
/// Components send with `ctx.send(&address, message)`.
pub struct Address<M> {
    queue: Sender<Envelope<M>>,
    target: Arc<Target>,
}

/// The receiving end of a mailbox, owned by its component and read with `ctx.recv(&mut mailbox)`. Dropping it drops the
/// messages in it.
pub struct Mailbox<M> {
    queue: Receiver<Envelope<M>>,
    /// The next message, taken out of the queue to see whether it has arrived.
    next: Option<Envelope<M>>,
}

pub(crate) fn mailbox<M>(route: Route, component: ComponentId) -> (Address<M>, Mailbox<M>) {
    let (sender, receiver) = unbounded();
    let target = Arc::new(Target { route, component, last_arrival: AtomicU64::new(0) });
    (Address { queue: sender, target }, Mailbox { queue: receiver, next: None })
}

impl<M> Address<M> {
    /// The component behind it.
    #[must_use]
    pub fn component(&self) -> ComponentId {
        self.target.component
    }

    /// Sends from a thread that belongs to no component, for example one that runs a virtual processor. Only in a run with
    /// the wall clock: in virtual time it would come at a different moment each time.
    ///
    /// # Errors
    /// Gives the message back if the component is gone, or the run has virtual time.
    pub fn post_external(&self, message: M) -> Result<(), M> {
        match &self.target.route {
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
        let cause = trace::cause();
        let put = |arrival, message| {
            self.queue.send(Envelope { arrival, cause, message }).map_err(|refused| refused.0.message)
        };
        match &self.target.route {
            Route::Virtual(scheduler) => self.post(&mut scheduler.lock(), message, put),
            Route::Paced(pace) => pace.with(|scheduler| self.post(scheduler, message, put)),
            Route::Wall(port, _) => {
                put(SimTime::ZERO, message)?;
                port.raise(Signals::MESSAGE);
                Ok(())
            }
        }
    }

    /// Puts a message into the queue at the time that the scheduler says.
    fn post(
        &self,
        scheduler: &mut Scheduler,
        message: M,
        put: impl FnOnce(SimTime, M) -> Result<(), M>,
    ) -> Result<(), M> {
        let after = SimTime(self.target.last_arrival.load(Ordering::Relaxed));
        match scheduler.post(self.target.component, after) {
            None => Err(message),
            Some(arrival) => {
                self.target.last_arrival.store(arrival.0, Ordering::Relaxed);
                put(arrival, message)
            }
        }
    }
}

impl<M> Clone for Address<M> {
    fn clone(&self) -> Self {
        Address { queue: self.queue.clone(), target: self.target.clone() }
    }
}

impl<M> fmt::Debug for Address<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Address").field(&self.target.component).finish()
    }
}

impl<M> Mailbox<M> {
    /// Whether a message has arrived.
    pub(crate) fn has_arrived(&mut self, now: SimTime) -> bool {
        if self.next.is_none() {
            self.next = self.queue.try_recv().ok();
        }
        self.next.as_ref().is_some_and(|next| next.arrival <= now)
    }

    pub(crate) fn take(&mut self, now: SimTime) -> Option<(M, Cause)> {
        if !self.has_arrived(now) {
            return None;
        }
        self.next.take().map(|envelope| (envelope.message, envelope.cause))
    }
}

impl<M> fmt::Debug for Mailbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox")
            .field("waiting", &(self.queue.len() + usize::from(self.next.is_some())))
            .finish()
    }
}
