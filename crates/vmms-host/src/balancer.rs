//! The memory balancer as a component: mailbox, timer and doorbell around [`memory_balancer::Balancer`].
//!
//! It owns nothing itself: the pool is the engine's. It forwards what the engine decides to workers and vmms, and records
//! why.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use balancing_policy::VmId;
use component_runtime::trace::{self, Cause};
use component_runtime::{Address, Component, Context, Mailbox, NextWake, SimTime, WakeCause};
use memory_balancer::{Balancer, Correction, Decision, Input, Output, SystemCounters, VmCounters};
use page_range::HostMemory;
use parking_lot::{Mutex, MutexGuard};

use crate::message::{BalancerMessage, VmmsMessage, WorkerMessage};

/// The balancer's engine, shared with whoever reads its counters, as performance counters are.
#[derive(Clone, Debug)]
pub struct SharedBalancer(Arc<Mutex<Balancer>>);

impl SharedBalancer {
    /// Shares an engine.
    #[must_use]
    pub fn new(balancer: Balancer) -> Self {
        Self(Arc::new(Mutex::new(balancer)))
    }

    /// Looks at the engine. Nobody may hold this for long: the balancer waits.
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
}

/// The component.
pub(crate) struct BalancerComponent {
    pub(crate) shared: SharedBalancer,
    pub(crate) memory: Arc<HostMemory>,
    pub(crate) inbox: Mailbox<BalancerMessage>,
    pub(crate) vmms: Address<VmmsMessage>,
    known: BTreeMap<VmId, Known>,
    slowdown: f64,
    outputs: Vec<Output>,
}

impl BalancerComponent {
    pub(crate) fn new(
        shared: SharedBalancer,
        memory: Arc<HostMemory>,
        inbox: Mailbox<BalancerMessage>,
        vmms: Address<VmmsMessage>,
    ) -> Self {
        Self { shared, memory, inbox, vmms, known: BTreeMap::new(), slowdown: 1.0, outputs: Vec::new() }
    }

    fn tell(&mut self, ctx: &mut Context<'_>, input: Input) {
        let now: Duration = ctx.now().into();
        match &input {
            Input::Status { vm, .. } => {
                if let Some(known) = self.known.get_mut(vm) {
                    known.cause = trace::cause();
                }
            }
            Input::ParentState(state) => self.slowdown = state.slowdown,
            _ => {}
        }
        let mut outputs = std::mem::take(&mut self.outputs);
        self.shared.look().handle(now, input, &mut outputs);
        for output in outputs.drain(..) {
            self.carry_out(ctx, output);
        }
        self.outputs = outputs;
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

    fn carry_out(&mut self, ctx: &mut Context<'_>, output: Output) {
        match output {
            Output::Admitted { vm, frames, waited } => {
                let name = self.name(vm);
                tracing::info!(
                    event = "start_admitted",
                    vm = &*name,
                    pages = frames.pages().get(),
                    waited_ms = waited.as_millis() as u64
                );
                ctx.send(&self.vmms, VmmsMessage::Admitted { vm, frames });
            }
            Output::StartWaits { vm, attempt, required, available, .. } => {
                ctx.send(&self.vmms, VmmsMessage::StartWaits { vm, attempt, required, available });
            }
            Output::StartRefused { vm, required, available, .. } => {
                ctx.send(&self.vmms, VmmsMessage::StartRefused { vm, required, available });
            }
            Output::Grant { vm, operation, frames, unballoon, hot_add } => {
                let slowdown = self.slowdown;
                self.order(ctx, vm, |name| {
                    tracing::info!(
                        event = "add_memory",
                        vm = name,
                        unballoon = unballoon.get(),
                        hot_add = hot_add.get(),
                        operation = operation.0
                    );
                    WorkerMessage::Grant { operation, frames, slowdown }
                });
            }
            Output::Shrink { vm, operation, pages } => {
                let slowdown = self.slowdown;
                self.order(ctx, vm, |name| {
                    tracing::info!(
                        event = "remove_memory",
                        vm = name,
                        pages = pages.get(),
                        operation = operation.0
                    );
                    WorkerMessage::Shrink { operation, pages, slowdown }
                });
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
        // What nobody owned any more came home by itself, whatever rang.
        let home = self.memory.collect();
        if !home.is_empty() {
            self.tell(ctx, Input::FramesHome(home));
        }
        while let Some(message) = ctx.recv(&mut self.inbox) {
            self.message(ctx, message);
        }
        let due = self.shared.look().next_timeout();
        if due.is_some_and(|due| SimTime::from(due) <= now) {
            trace::set_cause(Cause::NONE);
            self.tell(ctx, Input::Timer);
        }
        let next = self.shared.look().next_timeout();
        next.map_or(NextWake::Idle, |at| NextWake::At(SimTime::from(at)))
    }
}
