//! A place for a component, made before the component: so that others can know its addresses, and it can know theirs.
use core::fmt;
use std::sync::Arc;

use crate::run::{Route, Run};
use crate::trace::Label;
use crate::{Address, Component, ComponentId, Doorbell, ExitNotice, Mailbox, mailbox};

pub(crate) type ExitHook = Box<dyn FnOnce(ExitNotice) + Send>;

/// A component that has never been awake, and who wanted to know of its end.
pub(crate) type Unborn = (Option<Box<dyn Component>>, Vec<ExitHook>);

/// A place for a component. Make its mailboxes and doorbells, hand out the addresses, then [`start`](Seat::start) the
/// component in it. What is sent there before waits for the component's first wake. A seat that is dropped is given up.
pub struct Seat {
    run: Arc<Run>,
    id: ComponentId,
    route: Route,
    label: Arc<Label>,
    exits: Vec<ExitHook>,
    started: bool,
}

impl Seat {
    pub(crate) fn new(run: &Arc<Run>, name: &str, vm: Option<&str>) -> Self {
        let label = Arc::new(Label { name: name.into(), vm: vm.map(Into::into) });
        let (id, route) = run.seat(label.clone());
        Seat { run: run.clone(), id, route, label, exits: Vec::new(), started: false }
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

    /// Makes a mailbox for messages of one type. The mailbox goes into the component, the address to whoever may send.
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

    /// Starts the component: its first wake has [`WakeCause::started`](crate::WakeCause::started), at the beginning of the
    /// run or one latency from now. If the run is already ending, the component is dropped instead.
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
