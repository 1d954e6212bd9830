//! The administrator, and whoever sits at the guests' consoles: carries out the timeline.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use balancing_policy::VmId;
use component_runtime::random::{below, stream};
use component_runtime::trace::{self, Cause};
use component_runtime::{Address, Component, Context, NextWake, SimTime, WakeCause};
use guest_memory_manager::trace::Trace;
use guest_partition::{BusCommand, Console, GuestCommand};
use page_range::PageCount;
use vmms_host::{SharedStatus, VmState, VmmsCommand, VmmsMessage};

use super::build::AFTER_START;
use super::hand::{Hand, LOOK};
use super::plan::{Action, Step};
use crate::file::{Patience, VmComponent};

/// A start that the operator asks for again if it has been refused by then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retry {
    at: Duration,
    /// The try that this would be, from 2.
    number: u32,
    patience: Patience,
    while_host_used_below: Option<PageCount>,
}

pub(crate) struct Operator {
    pub(crate) timeline: VecDeque<Step>,
    pub(crate) names: Vec<Arc<str>>,
    pub(crate) consoles: Vec<Console>,
    pub(crate) vmms: Address<VmmsMessage>,
    pub(crate) status: SharedStatus,
    pub(crate) host_memory: PageCount,
    pub(crate) trace: Option<Arc<Trace>>,
    pub(crate) seed: u64,
    /// What is done beside the timeline.
    pub(crate) hand: Option<Hand>,
    /// Counts the workloads of each VM, so that each draws random numbers of its own.
    pub(crate) drawn: Vec<u32>,
    /// The VMs that are asked for again if their start was refused.
    pub(crate) retries: BTreeMap<usize, Retry>,
}

impl Operator {
    fn vmms(&self, ctx: &mut Context<'_>, command: VmmsCommand) {
        ctx.send(&self.vmms, VmmsMessage::Command(command));
    }

    fn console(&self, ctx: &mut Context<'_>, vm: usize, command: GuestCommand) {
        if !self.consoles[vm].command(ctx, command) {
            tracing::warn!(event = "console_off", vm = &*self.names[vm]);
        }
    }

    fn bus(&self, ctx: &mut Context<'_>, vm: usize, command: BusCommand) {
        if !self.consoles[vm].bus_command(ctx, command) {
            tracing::warn!(event = "console_off", vm = &*self.names[vm]);
        }
    }

    /// Memory that the host has in use, as an administrator sees it: all but the parent OS's free memory.
    fn host_used(&self) -> PageCount {
        let free = self.status.look().parent.free_mib;
        self.host_memory.saturating_sub(PageCount((free.max(0.0) * 256.0) as u64))
    }

    /// What has come due by `now`: the earliest of the timeline and of what is asked for again, and at the same time the timeline first.
    fn due(&mut self, now: SimTime) -> Option<Due> {
        let step = self.timeline.front().map(|step| step.at).filter(|&at| SimTime::from(at) <= now);
        let retry = self.retries.iter().min_by_key(|(_, retry)| retry.at).map(|(&vm, &retry)| (vm, retry));
        match retry.filter(|(_, retry)| SimTime::from(retry.at) <= now) {
            Some((vm, retry)) if step.is_none_or(|at| retry.at < at) => Some(Due::Retry(vm, retry)),
            _ => step.and_then(|_| self.timeline.pop_front()).map(|step| Due::Step(step.action)),
        }
    }

    /// Asks for a VM, and notes when to ask again.
    fn start(&mut self, ctx: &mut Context<'_>, vm: usize, now: Retry) {
        self.retries.remove(&vm);
        if now.while_host_used_below.is_some_and(|limit| self.host_used() >= limit) {
            return;
        }
        self.vmms(ctx, VmmsCommand::Start(id(vm)));
        if now.number < now.patience.tries {
            let at = now.at.saturating_add(now.patience.retry_after);
            self.retries.insert(vm, Retry { at, number: now.number + 1, ..now });
        }
    }

    /// Asks for a VM again, if its start was refused.
    fn start_again(&mut self, ctx: &mut Context<'_>, vm: usize, retry: Retry) {
        let refused = {
            let status = self.status.look();
            status.vms.get(vm).is_some_and(|vm| vm.state == VmState::Off && vm.started_at.is_none())
        };
        if !refused {
            self.retries.remove(&vm);
            return;
        }
        tracing::info!(
            event = "start_again",
            vm = &*self.names[vm],
            r#try = retry.number,
            tries = retry.patience.tries
        );
        self.start(ctx, vm, retry);
    }

    /// What is to run in a VM that is off and is asked for again is given to its guest after that.
    fn postpone(&mut self, vm: usize, action: &Action) -> bool {
        let off = self.status.look().vms.get(vm).is_some_and(|vm| vm.state == VmState::Off);
        let Some(retry) = self.retries.get(&vm).filter(|_| off) else { return false };
        let step = Step { at: retry.at.saturating_add(AFTER_START), action: action.clone() };
        let place = self.timeline.partition_point(|other| other.at <= step.at);
        self.timeline.insert(place, step);
        true
    }

    fn act(&mut self, ctx: &mut Context<'_>, action: Action) {
        if let Action::Run { vm, .. } = action
            && self.postpone(vm, &action)
        {
            return;
        }
        match action {
            Action::Start { vm, while_host_used_below, patience } => {
                let at = ctx.now().into();
                self.start(ctx, vm, Retry { at, number: 1, patience, while_host_used_below });
            }
            Action::ShutDown(vm) => {
                self.retries.remove(&vm);
                self.vmms(ctx, VmmsCommand::ShutDown(id(vm)));
            }
            Action::TurnOff(vm) => {
                self.retries.remove(&vm);
                self.vmms(ctx, VmmsCommand::TurnOff(id(vm)));
            }
            Action::Reset(vm) => self.vmms(ctx, VmmsCommand::Reset(id(vm))),
            Action::Restart(vm) => self.console(ctx, vm, GuestCommand::Restart),
            Action::Run { vm, name, workload } => {
                self.drawn[vm] += 1;
                let purpose = format!("workload/{}/{name}/{}", self.names[vm], self.drawn[vm]);
                match workload.build(stream(self.seed, &purpose), self.trace.as_deref()) {
                    Ok(workload) => {
                        tracing::info!(event = "set_workload", vm = &*self.names[vm], workload = &*name);
                        self.console(ctx, vm, GuestCommand::Run { name, workload });
                    }
                    // The file's check builds every workload once; only a plan made by hand gets here.
                    Err(error) => {
                        tracing::error!(event = "bad_workload", vm = &*self.names[vm], why = %error);
                    }
                }
            }
            Action::Unload { vm, name } => self.console(ctx, vm, GuestCommand::Unload { name }),
            Action::End { vm, name } => self.console(ctx, vm, GuestCommand::End { name }),
            Action::SetMemoryReserve(value) => self.vmms(ctx, VmmsCommand::SetMemoryReserve(value)),
            Action::Configure { vm, settings } => self.vmms(ctx, VmmsCommand::Configure(id(vm), settings)),
            Action::SetFaults { vm, faults } => {
                tracing::info!(event = "inject_fault", vm = &*self.names[vm], faults = ?faults);
                self.consoles[vm].set_faults(*faults);
            }
            Action::Crash(vm) => self.console(ctx, vm, GuestCommand::Crash),
            Action::SendGarbage(vm) => {
                let mut rng = stream(self.seed, &format!("garbage/{}", self.names[vm]));
                let bytes = (0..64).map(|_| below(&mut rng, 256) as u8).collect();
                self.bus(ctx, vm, BusCommand::SendGarbage(bytes));
            }
            Action::CloseChannels(vm) => self.bus(ctx, vm, BusCommand::CloseChannels),
            Action::ReopenChannels(vm) => self.bus(ctx, vm, BusCommand::ReopenChannels),
            Action::Panic(vm, VmComponent::Guest) => self.console(ctx, vm, GuestCommand::Panic),
            Action::Panic(vm, VmComponent::DmVsc) => self.bus(ctx, vm, BusCommand::Panic),
            Action::Panic(vm, VmComponent::Worker) => self.vmms(ctx, VmmsCommand::PanicWorker(id(vm))),
            Action::Mark(text) => tracing::info!(event = "mark", text = text.as_str()),
        }
    }
}

/// What the operator is to do now.
enum Due {
    Step(Action),
    Retry(usize, Retry),
}

fn id(vm: usize) -> VmId {
    VmId(u32::try_from(vm).unwrap_or(u32::MAX))
}

impl Component for Operator {
    fn wake(&mut self, now: SimTime, _cause: WakeCause, ctx: &mut Context<'_>) -> NextWake {
        while let Some(due) = self.due(now) {
            trace::set_cause(Cause::NONE);
            match due {
                Due::Step(action) => self.act(ctx, action),
                Due::Retry(vm, retry) => self.start_again(ctx, vm, retry),
            }
        }
        let by_hand = self.hand.as_ref().map_or_else(Vec::new, |hand| hand.take(now.into()));
        for action in by_hand {
            trace::set_cause(Cause::NONE);
            self.act(ctx, action);
        }
        let look = self.hand.is_some().then(|| Duration::from(now) + LOOK);
        let step = self.timeline.front().map(|step| step.at);
        let retry = self.retries.values().map(|retry| retry.at).min();
        let next = [look, step, retry].into_iter().flatten().min();
        next.map_or(NextWake::Idle, |at| NextWake::At(SimTime::from(at)))
    }
}
