//! The memory balancer as a component: mailbox, timer and doorbell around [`memory_balancer::Balancer`].
//!
//! The component owns no memory: the pool is the engine's. It forwards what the engine decides to workers and vmms, and
//! records why.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use balancing_policy::VmId;
use component_runtime::trace::{self, Cause};
use component_runtime::{Address, Component, Context, Mailbox, NextWake, SimTime, WakeCause};
use memory_balancer::{
    Balancer, Correction, Decision, Done, Input, OperationId, Origin, Output, Source, SystemCounters,
    VmCounters,
};
use model_sync::{Mutex, MutexGuard};
use page_range::{HostMemory, PageCount};

use crate::message::{BalancerMessage, VmmsMessage, WorkerMessage};

/// The balancer's engine, shared with the readers of its counters, as performance counters are.
#[derive(Clone, Debug)]
pub struct SharedBalancer(Arc<Mutex<Balancer>>);

impl SharedBalancer {
    /// Shares an engine.
    #[must_use]
    pub fn new(balancer: Balancer) -> Self {
        Self(Arc::new(Mutex::new(balancer)))
    }

    /// Looks at the engine. The balancer waits meanwhile, so this is not to be held for long.
    pub fn look(&self) -> MutexGuard<'_, Balancer> {
        self.0.lock()
    }

    /// The counters of Table 3-6 and the rest of the ledger.
    #[must_use]
    pub fn system(&self) -> SystemCounters {
        self.look().system_counters()
    }

    /// The counters of Table 3-7 of one VM.
    #[must_use]
    pub fn vm(&self, vm: VmId) -> Option<VmCounters> {
        self.look().counters_of(vm)
    }
}

#[derive(Default)]
struct Known {
    name: Arc<str>,
    worker: Option<Address<WorkerMessage>>,
    /// What led to what the balancer knows of it: its last report, then the last decision about it.
    cause: Cause,
    /// What led to its last request to start.
    start: Cause,
}

/// Memory that VMs have given back and that has been given to no VM since, as far as the pool has no other. A grant that takes some
/// of it was possible because that memory came back.
#[derive(Default)]
struct CameBack {
    pages: PageCount,
    /// What brought the last of it.
    cause: Cause,
}

/// The component.
pub(crate) struct BalancerComponent {
    pub(crate) shared: SharedBalancer,
    pub(crate) memory: Arc<HostMemory>,
    pub(crate) inbox: Mailbox<BalancerMessage>,
    pub(crate) vmms: Address<VmmsMessage>,
    known: BTreeMap<VmId, Known>,
    came_back: CameBack,
    /// What vmms was last told that VMs have been given.
    told_given: PageCount,
}

impl BalancerComponent {
    pub(crate) fn new(
        shared: SharedBalancer,
        memory: Arc<HostMemory>,
        inbox: Mailbox<BalancerMessage>,
        vmms: Address<VmmsMessage>,
    ) -> Self {
        Self {
            shared,
            memory,
            inbox,
            vmms,
            known: BTreeMap::new(),
            came_back: CameBack::default(),
            told_given: PageCount::ZERO,
        }
    }

    fn tell(&mut self, ctx: &mut Context<'_>, input: Input) {
        let now: Duration = ctx.now().into();
        match &input {
            Input::Status { vm, .. } => {
                if let Some(known) = self.known.get_mut(vm) {
                    known.cause = trace::cause();
                }
            }
            Input::StartRequest { vm } | Input::VmRestarts { vm } => {
                if let Some(known) = self.known.get_mut(vm) {
                    known.start = trace::cause();
                }
            }
            _ => {}
        }
        let arriving = arriving(&input);
        if !arriving.is_zero() {
            self.came_back.pages += arriving;
            self.came_back.cause = trace::cause();
        }
        let mut outputs = Vec::new();
        let (mut pool, left) = {
            let mut engine = self.shared.look();
            let before = engine.ledger().available;
            engine.handle(now, input, &mut outputs);
            (before + arriving, engine.ledger().available)
        };
        for output in outputs {
            if let Output::Grant { frames, .. } = &output {
                let others = pool.saturating_sub(self.came_back.pages);
                let also = (frames.pages() > others).then_some(self.came_back.cause);
                pool = pool.saturating_sub(frames.pages());
                self.carry_out(ctx, output, also);
                self.came_back.pages = self.came_back.pages.min(pool);
            } else {
                self.carry_out(ctx, output, None);
            }
        }
        // The pool has more than what came back: no VM had to wait for that.
        if left > self.came_back.pages {
            self.came_back = CameBack::default();
        }
    }

    fn message(&mut self, ctx: &mut Context<'_>, message: BalancerMessage) {
        match message {
            BalancerMessage::Register { vm, name, settings } => {
                let registered = self.shared.look().register(vm, Arc::clone(&name), settings);
                if let Err(error) = registered {
                    tracing::error!(event = "register_failed", vm = &*name, why = %error);
                }
                self.known.insert(vm, Known { name, ..Known::default() });
            }
            BalancerMessage::Worker { vm, worker } => {
                if let Some(known) = self.known.get_mut(&vm) {
                    known.worker = worker;
                }
            }
            BalancerMessage::Configure { vm, settings } => {
                let configured = self.shared.look().configure(ctx.now().into(), vm, settings);
                if let Err(error) = configured {
                    tracing::error!(event = "configure_failed", why = %error);
                }
            }
            BalancerMessage::Input(input) => self.tell(ctx, input),
        }
    }

    /// Does what the engine says. `also` is what a grant could not have been given without, beside the decision about its VM.
    fn carry_out(&mut self, ctx: &mut Context<'_>, output: Output, also: Option<Cause>) {
        match output {
            Output::Admitted { vm, frames, waited } => {
                let name = self.name(vm);
                let asked = self.known.get(&vm).map_or(Cause::NONE, |known| known.start);
                // The memory that came while the VM waited.
                let also = Some(trace::cause()).filter(|&cause| !waited.is_zero() && cause != asked);
                trace::with_cause(asked, || {
                    tracing::info!(
                        event = "start_admitted",
                        vm = &*name,
                        pages = frames.pages().get(),
                        waited_ms = waited.as_millis() as u64,
                        also_because_of = link(also)
                    );
                    ctx.send(&self.vmms, VmmsMessage::Admitted { vm, frames });
                });
            }
            Output::RestartWaits { vm, required, available, .. } => {
                ctx.send(&self.vmms, VmmsMessage::RestartWaits { vm, required, available });
            }
            Output::StartRefused { vm, required, available, reserved_until } => {
                ctx.send(&self.vmms, VmmsMessage::StartRefused { vm, required, available, reserved_until });
            }
            Output::ReservationEnded { vm } => {
                tracing::info!(event = "start_reservation_ended", vm = &*self.name(vm));
            }
            Output::Grant { vm, operation, frames, target } => {
                self.order(ctx, vm, |name| {
                    tracing::info!(
                        event = "add_memory",
                        vm = name,
                        pages = frames.pages().get(),
                        target = target.get(),
                        operation = operation.0,
                        also_because_of = link(also)
                    );
                    WorkerMessage::Grant { operation, frames }
                });
            }
            Output::Shrink { vm, operation, pages } => {
                self.order(ctx, vm, |name| {
                    tracing::info!(
                        event = "remove_memory",
                        vm = name,
                        pages = pages.get(),
                        operation = operation.0
                    );
                    WorkerMessage::Shrink { operation, pages }
                });
            }
            Output::Moved { vm, operation, origins } => {
                let vm = self.name(vm);
                for origin in origins {
                    self.moved(&vm, operation, origin);
                }
            }
            Output::Decision(decision) => self.record(&decision),
            Output::Round { number, summary } => {
                tracing::info!(event = "round", round = number, rule = summary.rule(), inputs = %Inputs(&summary));
            }
            Output::PolicyFailed { policy, message } => {
                tracing::error!(event = "policy_failed", policy = &*policy, why = message.as_str());
            }
            Output::Fault(fault) => tracing::warn!(event = "balancer_fault", why = %fault),
        }
    }

    /// Tells vmms what the parent OS has not, if that has changed.
    fn tell_what_is_given(&mut self, ctx: &mut Context<'_>) {
        let ledger = self.shared.look().ledger();
        // What is set aside for a start is in no VM yet: the parent OS still has it.
        let given = ledger.assigned + ledger.overhead + ledger.granted + ledger.coming_home;
        if std::mem::replace(&mut self.told_given, given) != given {
            trace::with_cause(Cause::NONE, || ctx.send(&self.vmms, VmmsMessage::Given(given)));
        }
    }

    fn name(&self, vm: VmId) -> Arc<str> {
        self.known.get(&vm).map_or_else(|| Arc::from("?"), |known| Arc::clone(&known.name))
    }

    /// Sends an order to a VM's worker, because of what was last decided about the VM. A worker that is gone drops it; what it
    /// owned comes home.
    fn order(&mut self, ctx: &mut Context<'_>, vm: VmId, order: impl FnOnce(&str) -> WorkerMessage) {
        let Some(known) = self.known.get(&vm) else { return };
        trace::with_cause(known.cause, || {
            let message = order(&known.name);
            if let Some(worker) = &known.worker {
                ctx.send(worker, message);
            }
        });
    }

    /// Records from where memory came that a VM has been given. Nothing comes of that: what follows has the cause that it had.
    fn moved(&self, vm: &str, operation: Option<OperationId>, Origin { source, pages }: Origin) {
        let donor = match source {
            Source::Vm(donor) => Some(self.name(donor)),
            Source::Free | Source::Ended => None,
        };
        trace::with_cause(trace::cause(), || {
            tracing::info!(
                event = "memory_moved",
                vm = vm,
                pages = pages.get(),
                source = source.name(),
                donor = donor.as_deref(),
                operation = operation.map(|operation| operation.0)
            );
        });
    }

    fn record(&mut self, decision: &Decision) {
        let Some(known) = self.known.get_mut(&decision.vm) else { return };
        known.cause = trace::with_cause(known.cause, || {
            tracing::info!(
                event = "decision",
                vm = &*known.name,
                round = decision.round,
                assigned = decision.assigned.get(),
                target = decision.target.get(),
                proposed = decision.proposed.get(),
                rule = decision.reason.rule(),
                inputs = %Inputs(&decision.reason),
                correction = decision.correction.map(correction)
            );
            trace::cause()
        });
    }
}

/// Memory that comes with an input.
fn arriving(input: &Input) -> PageCount {
    match input {
        Input::OperationFinished {
            done: Done::Grown { returned, .. } | Done::Shrunk { returned, .. },
            ..
        } => returned.pages(),
        Input::Returned { frames, .. } | Input::FramesHome(frames) => frames.pages(),
        _ => PageCount::ZERO,
    }
}

/// A second cause as the field of an event.
fn link(cause: Option<Cause>) -> Option<u64> {
    cause.filter(|cause| !cause.is_none()).map(|cause| cause.0)
}

fn correction(correction: Correction) -> &'static str {
    match correction {
        Correction::BelowLowest => "below_lowest",
        Correction::AboveHighest => "above_highest",
        Correction::OverCapacity => "over_capacity",
    }
}

/// The numbers behind a reason, as `name=value` separated by commas.
struct Inputs<'a>(&'a balancing_policy::Reason);

impl std::fmt::Display for Inputs<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, (name, value)) in self.0.inputs().iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{name}={value:.3}")?;
        }
        Ok(())
    }
}

impl Component for BalancerComponent {
    fn wake(&mut self, now: SimTime, _cause: WakeCause, ctx: &mut Context<'_>) -> NextWake {
        // Frames whose owner was dropped have come home by themselves, whatever rang.
        let home = self.memory.collect();
        if !home.is_empty() {
            self.tell(ctx, Input::FramesHome(home));
        }
        while let Some(message) = ctx.recv(&mut self.inbox) {
            self.message(ctx, message);
        }
        let mut due = self.shared.look().next_timeout();
        if due.is_some_and(|due| SimTime::from(due) <= now) {
            trace::set_cause(Cause::NONE);
            self.tell(ctx, Input::Timer);
            due = self.shared.look().next_timeout();
        }
        self.tell_what_is_given(ctx);
        due.map_or(NextWake::Idle, |at| NextWake::At(SimTime::from(at)))
    }
}
