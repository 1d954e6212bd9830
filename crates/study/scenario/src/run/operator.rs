//! The administrator, and whoever sits at the guests' consoles: carries out the timeline.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use balancing_policy::VmId;
use component_runtime::random::{below, stream};
use component_runtime::trace::{self, Cause};
use component_runtime::{Address, Component, Context, NextWake, SimTime, WakeCause};
use guest_memory_manager::trace::Trace;
use guest_partition::{BusCommand, Console, GuestCommand};
use page_range::PageCount;
use vmms_host::{SharedStatus, VmmsCommand, VmmsMessage};

use super::hand::{Hand, LOOK};
use super::plan::{Action, Step};
use crate::file::VmComponent;

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

    fn act(&mut self, ctx: &mut Context<'_>, action: Action) {
        let id = |vm: usize| VmId(u32::try_from(vm).unwrap_or(u32::MAX));
        match action {
            Action::Start { vm, while_host_used_below } => {
                if while_host_used_below.is_none_or(|limit| self.host_used() < limit) {
                    self.vmms(ctx, VmmsCommand::Start(id(vm)));
                }
            }
            Action::ShutDown(vm) => self.vmms(ctx, VmmsCommand::ShutDown(id(vm))),
            Action::TurnOff(vm) => self.vmms(ctx, VmmsCommand::TurnOff(id(vm))),
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

impl Component for Operator {
    fn wake(&mut self, now: SimTime, _cause: WakeCause, ctx: &mut Context<'_>) -> NextWake {
        while let Some(step) = self.timeline.front().filter(|step| SimTime::from(step.at) <= now).cloned() {
            self.timeline.pop_front();
            trace::set_cause(Cause::NONE);
            self.act(ctx, step.action);
        }
        let by_hand = self.hand.as_ref().map_or_else(Vec::new, |hand| hand.take(now.into()));
        for action in by_hand {
            trace::set_cause(Cause::NONE);
            self.act(ctx, action);
        }
        let look = self.hand.is_some().then(|| Duration::from(now) + LOOK);
        let next = self.timeline.front().map(|step| step.at).into_iter().chain(look).min();
        next.map_or(NextWake::Idle, |at| NextWake::At(SimTime::from(at)))
    }
}
