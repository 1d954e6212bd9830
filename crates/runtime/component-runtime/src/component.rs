//! The contract between components and the runtime: what a component is to the runtime ([`Component`]), and what the runtime is to
//! a component ([`Context`] while it is awake, [`Seat`] before it exists). Each of the three is defined by the others, so they share
//! a file; what carries the contract out is behind [`RunServices`].
use core::fmt;
use std::sync::Arc;

use crate::config::RunConfig;
use crate::doorbell::Doorbell;
use crate::end::EndReason;
use crate::exit::{ExitHook, ExitNotice};
use crate::id::ComponentId;
use crate::mailbox::{self, Address, Mailbox};
use crate::recording::MachineRecorder;
use crate::route::Route;
use crate::time::SimTime;
use crate::trace::{self, Label};
use crate::wake::{NextWake, WakeCause};

/// A state machine with mailboxes and doorbells.
///
/// The runtime calls [`wake`](Component::wake) when there is input for the component, which handles inputs, at most the budget
/// ([`Context::budget`]), and says how to go on. `wake` must not block: other components of a virtual run wait for its end, and
/// the watchdog names a component that blocks. Between wakes a component costs nothing.
///
/// Dropping a component must set free all that it owns; the runtime drops it when it has stopped, panicked, was killed, or
/// the run has ended. Its mailboxes belong to it, so messages that it has not read go with it.
pub trait Component: Send {
    /// Handles inputs (at most the budget) and says how to go on.
    fn wake(&mut self, now: SimTime, cause: WakeCause, ctx: &mut Context<'_>) -> NextWake;
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

/// What a run does for its components: [`Context`] and [`Seat`] ask, the run answers.
pub(crate) trait RunServices: Send + Sync {
    /// How the run is driven.
    fn config(&self) -> &RunConfig;
    /// A slot and a way to reach it for a new component.
    fn seat(&self, label: Arc<Label>) -> Seat;
    /// Puts a component into its seat.
    fn start(&self, id: ComponentId, component: Box<dyn Component>, exits: Vec<ExitHook>);
    /// Gives up a seat that was never started.
    fn abandon(&self, id: ComponentId);
    /// Has a component dropped at the next scheduling point. `false`: it is gone already, or has not been started.
    fn kill(&self, id: ComponentId) -> bool;
    /// Ends the run at the next scheduling point; the first reason counts.
    fn end(&self, reason: EndReason);
}

/// What a component can do while it is awake.
pub struct Context<'a> {
    run: &'a dyn RunServices,
    id: ComponentId,
    now: SimTime,
    left: u32,
    more: bool,
}

impl<'a> Context<'a> {
    pub(crate) fn new(run: &'a dyn RunServices, budget: u32, id: ComponentId, now: SimTime) -> Self {
        Context { run, id, now, left: budget, more: false }
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
        self.run.seat(Label::of(name, vm))
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
        self.run.config().recorder.as_deref()
    }

    /// Whether the budget ended while there were inputs left.
    pub(crate) fn ended_early(&self) -> bool {
        self.more
    }
}

/// A place for a component, made before the component: so that others can know its addresses, and it can know theirs.
///
/// Make its mailboxes and doorbells, hand out the addresses, then [`start`](Seat::start) the component in it. What is sent there
/// before waits for the component's first wake. A seat that is dropped is given up.
pub struct Seat {
    run: Arc<dyn RunServices>,
    id: ComponentId,
    route: Route,
    label: Arc<Label>,
    exits: Vec<ExitHook>,
    started: bool,
}

impl Seat {
    pub(crate) fn new(run: Arc<dyn RunServices>, id: ComponentId, route: Route, label: Arc<Label>) -> Self {
        Seat { run, id, route, label, exits: Vec::new(), started: false }
    }

    /// The identity that the component will have.
    #[must_use]
    pub fn id(&self) -> ComponentId {
        self.id
    }

    /// Its name and VM.
    #[must_use]
    pub fn label(&self) -> &Label {
        &self.label
    }

    /// Makes a mailbox for messages of one type. The mailbox goes into the component, the address to those who may send.
    #[must_use]
    pub fn mailbox<M: Send + 'static>(&self) -> (Address<M>, Mailbox<M>) {
        mailbox::mailbox(self.route.clone(), self.id)
    }

    /// A doorbell of the component.
    #[must_use]
    pub fn doorbell(&self) -> Doorbell {
        Doorbell::new(self.route.clone(), self.id)
    }

    /// When the component is gone (stopped, killed or panicked, not when the run ends) and has been dropped, sends what
    /// `message` makes of the notice to `address`. May be called for several recipients.
    pub fn on_exit<M: Send + 'static>(
        &mut self,
        address: &Address<M>,
        message: impl FnOnce(ExitNotice) -> M + Send + 'static,
    ) {
        let address = address.clone();
        self.exits.push(Box::new(move |notice| {
            address.send(message(notice));
        }));
    }

    /// Starts the component: its first wake has [`WakeCause::started`], at the beginning of the run or one latency from now. If
    /// the run is already ending, the component is dropped instead.
    pub fn start(mut self, component: Box<dyn Component>) -> ComponentId {
        self.started = true;
        self.run.start(self.id, component, core::mem::take(&mut self.exits));
        self.id
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if !self.started {
            self.run.abandon(self.id);
        }
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("id", &self.id).field("label", &self.label).finish_non_exhaustive()
    }
}
