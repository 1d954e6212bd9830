//! What a component can do while it is awake.
use std::sync::Arc;

use crate::run::Run;
use crate::runtime::EndReason;
use crate::{Address, ComponentId, MachineRecorder, Mailbox, Seat, SimTime, trace};

/// What a component can do while it is awake.
pub struct Context<'a> {
    run: &'a Arc<Run>,
    id: ComponentId,
    now: SimTime,
    left: u32,
    more: bool,
}

impl<'a> Context<'a> {
    pub(crate) fn new(run: &'a Arc<Run>, id: ComponentId, now: SimTime) -> Self {
        Context { run, id, now, left: run.config.budget, more: false }
    }

    /// When this wake began.
    #[must_use]
    pub fn now(&self) -> SimTime {
        self.now
    }

    /// Which component is awake.
    #[must_use]
    pub fn id(&self) -> ComponentId {
        self.id
    }

    /// How many more inputs this wake may handle. [`recv`](Context::recv) counts its messages itself; for inputs from
    /// elsewhere (packets of a ring) call [`spend`](Context::spend).
    #[must_use]
    pub fn budget(&self) -> u32 {
        self.left
    }

    /// Takes one input off the budget. `false`: the budget had ended; leave the input where it is and return. The runtime
    /// then wakes the component again, whatever it returns (other than `Stopped`).
    #[must_use]
    pub fn spend(&mut self) -> bool {
        if self.left == 0 {
            self.more = true;
            return false;
        }
        self.left -= 1;
        true
    }

    /// The next message that has arrived, whose cause becomes the current one. `None`: there is none, or the budget has ended;
    /// in that case the runtime wakes the component again, whatever it returns (other than `Stopped`).
    pub fn recv<M>(&mut self, mailbox: &mut Mailbox<M>) -> Option<M> {
        if self.left == 0 {
            self.more |= mailbox.has_arrived(self.now);
            return None;
        }
        let (message, cause) = mailbox.take(self.now)?;
        self.left -= 1;
        trace::set_cause(cause);
        Some(message)
    }

    /// Sends a message, with the current cause. Messages of one mailbox arrive in the order in which they were sent, one
    /// latency later. `false`: the component behind the address is gone, and the message has been dropped.
    pub fn send<M>(&mut self, address: &Address<M>, message: M) -> bool {
        address.send(message)
    }

    /// Makes a place for a new component.
    #[must_use]
    pub fn seat(&mut self, name: &str, vm: Option<&str>) -> Seat {
        Seat::new(self.run, name, vm)
    }

    /// Has a component dropped at the next scheduling point, whatever is on its way to it; a component may kill itself.
    /// `false`: it is gone already, or has not been started.
    pub fn kill(&mut self, component: ComponentId) -> bool {
        self.run.kill(component)
    }

    /// Ends the run after this wake. The first reason given counts.
    pub fn stop_run(&mut self, reason: impl Into<String>) {
        self.run.end(EndReason::Stopped(reason.into()));
    }

    /// What records inputs and outputs of state machines, if something does.
    #[must_use]
    pub fn recorder(&self) -> Option<&'a dyn MachineRecorder> {
        self.run.config.recorder.as_deref()
    }

    pub(crate) fn ended_early(&self) -> bool {
        self.more
    }
}
