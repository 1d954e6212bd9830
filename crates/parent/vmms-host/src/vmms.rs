//! The management service (`vmms.exe`): starts and ends VMs, asks the balancer for their memory, follows the parent OS.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use balancing_policy::{MemorySettings, ParentState, VmId};
use component_runtime::{
    Address, Component, ComponentId, Context, ExitReason, Mailbox, NextWake, Seat, SimTime, WakeCause,
};
use dm_vsp::{GuestLayout, ProtocolVersion, Timeouts, VspConfig};
use machine_contract::VmFactory;
use memory_balancer::{BalancerConfig, Input};
use model_sync::Mutex;
use page_range::{HostFrames, PageCount};
use vmbus::control::server::ServerConfig;

use crate::event_log::{self, LogEntry};
use crate::host_slowdown::HostSlowdown;
use crate::limits::{HostEdition, HostRelease};
use crate::message::{BalancerMessage, VmmsCommand, VmmsMessage, WorkerEnd, WorkerMessage};
use crate::parent_os::{ParentOs, ParentOsConfig};
use crate::statistics::SharedVmStatistics;
use crate::status::{ParentStatus, SharedStatus, VmState};
use crate::worker::{HostOperationTime, SharedRestraint, Worker, WorkerSpec};

/// How the host treats the Dynamic Memory driver of its guests.
#[derive(Clone, Debug)]
pub struct DynamicMemoryConfig {
    /// Protocol versions that are accepted.
    pub versions: Vec<ProtocolVersion>,
    /// How long after the handshake nothing is asked of a guest.
    pub quiet_period: Duration,
    /// How long a guest may take.
    pub timeouts: Timeouts,
}

impl Default for DynamicMemoryConfig {
    fn default() -> Self {
        Self {
            versions: vec![ProtocolVersion::V0_3],
            quiet_period: Duration::from_secs(50),
            timeouts: Timeouts::default(),
        }
    }
}

/// What a host is.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// All of its memory.
    pub memory: PageCount,
    /// The registry value `MemoryReserve`; `None`: unset.
    pub memory_reserve: Option<PageCount>,
    /// Release of the parent OS.
    pub release: HostRelease,
    /// Edition of the parent OS.
    pub edition: HostEdition,
    /// The parent OS's own memory.
    pub parent_os: ParentOsConfig,
    /// The balancer. Its reserve is that of `memory_reserve`.
    pub balancer: BalancerConfig,
    /// How long the host's part of an operation takes.
    pub operation_time: HostOperationTime,
    /// Dynamic Memory.
    pub dynamic_memory: DynamicMemoryConfig,
    /// VMBus.
    pub bus: ServerConfig,
    /// How long a guest may take to shut down before it is switched off (`vm.shutdown_timeout`).
    pub shutdown_timeout: Duration,
    /// A round of the balancing policy that takes longer than this of real time is skipped; `None`: never.
    pub policy_limit: Option<Duration>,
    /// What the workers do wrong, for tests that are to notice it.
    #[cfg(feature = "test-support")]
    pub sabotage: Sabotage,
}

/// A step that the host leaves out, so that a test can show that the test would notice.
#[cfg(feature = "test-support")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sabotage {
    /// Nothing is left out.
    #[default]
    None,
    /// A grant that the VSP has not heard of when its guest restarts is not answered.
    ForgetGrantAtReset,
}

impl HostConfig {
    /// A host of Windows Server 2008 R2 SP1 Enterprise with this much memory.
    #[must_use]
    pub fn new(memory: PageCount) -> Self {
        Self {
            memory,
            memory_reserve: None,
            release: HostRelease::default(),
            edition: HostEdition::default(),
            parent_os: ParentOsConfig::default(),
            balancer: BalancerConfig::for_host(memory),
            operation_time: HostOperationTime::default(),
            dynamic_memory: DynamicMemoryConfig::default(),
            bus: ServerConfig::default(),
            shutdown_timeout: crate::constants::SHUTDOWN_TIMEOUT.duration(),
            policy_limit: None,
            #[cfg(feature = "test-support")]
            sabotage: Sabotage::None,
        }
    }

    /// What is held back for the parent OS.
    #[must_use]
    pub fn reserve(&self, memory_reserve: Option<PageCount>) -> PageCount {
        memory_reserve.unwrap_or_else(|| BalancerConfig::default_reserve(self.memory))
    }
}

/// A configured VM. Its id is its place in the list.
pub struct VmConfig {
    /// Its name.
    pub name: Arc<str>,
    /// Its memory settings.
    pub settings: MemorySettings,
    /// Makes its partition and guest.
    pub factory: Box<dyn VmFactory>,
}

struct Vm {
    name: Arc<str>,
    settings: MemorySettings,
    factory: Box<dyn VmFactory>,
    worker: Option<Address<WorkerMessage>>,
    /// All components of the VM as it runs now.
    components: Arc<Mutex<Vec<ComponentId>>>,
    generation: u64,
    /// What is restrained of it, over all of its workers.
    restraint: SharedRestraint,
    statistics: SharedVmStatistics,
}

/// The component.
pub(crate) struct Vmms {
    config: HostConfig,
    vms: Vec<Vm>,
    /// Guests that were asked to shut down, and when they are switched off if they have not by then.
    shutting_down: BTreeMap<VmId, Duration>,
    inbox: Mailbox<VmmsMessage>,
    own: Address<VmmsMessage>,
    balancer: Address<BalancerMessage>,
    status: SharedStatus,
    parent: ParentOs,
    /// What the parent OS does not have, as the balancer said last.
    given: PageCount,
    slowdown: HostSlowdown,
    next_tick: Duration,
}

/// How often the parent OS is looked at.
const TICK: Duration = Duration::from_secs(1);

impl Vmms {
    pub(crate) fn new(
        config: HostConfig,
        vms: Vec<(VmConfig, SharedVmStatistics)>,
        mail: (Address<VmmsMessage>, Mailbox<VmmsMessage>),
        balancer: Address<BalancerMessage>,
        status: SharedStatus,
    ) -> Self {
        let parent = ParentOs::new(config.parent_os.clone(), config.memory);
        let vms: Vec<Vm> = vms
            .into_iter()
            .map(|(vm, statistics)| Vm {
                statistics,
                name: vm.name,
                settings: vm.settings,
                factory: vm.factory,
                worker: None,
                components: Arc::default(),
                generation: 0,
                restraint: SharedRestraint::default(),
            })
            .collect();
        status.look().vms = vec![Default::default(); vms.len()];
        let (own, inbox) = mail;
        Self {
            config,
            vms,
            shutting_down: BTreeMap::new(),
            inbox,
            own,
            balancer,
            status,
            parent,
            given: PageCount::ZERO,
            slowdown: HostSlowdown::default(),
            next_tick: Duration::ZERO,
        }
    }

    fn vm(&mut self, vm: VmId) -> Option<&mut Vm> {
        self.vms.get_mut(vm.0 as usize)
    }

    fn state(&self, vm: VmId) -> VmState {
        self.status.look().vms.get(vm.0 as usize).map_or(VmState::Off, |status| status.state)
    }

    fn set_state(&self, vm: VmId, state: VmState) {
        if let Some(status) = self.status.look().vms.get_mut(vm.0 as usize) {
            status.state = state;
        }
    }

    fn name(&self, vm: VmId) -> Arc<str> {
        self.vms.get(vm.0 as usize).map_or_else(|| Arc::from("?"), |vm| Arc::clone(&vm.name))
    }

    fn log(&self, now: Duration, vm: &str, entry: LogEntry) {
        tracing::error!(event = "event_log", vm, id = entry.id, log = entry.log, text = entry.text.as_str());
        self.status.look().event_log.push(now, entry);
    }

    fn tell_balancer(&self, ctx: &mut Context<'_>, input: Input) {
        ctx.send(&self.balancer, BalancerMessage::Input(input));
    }

    fn command(&mut self, ctx: &mut Context<'_>, command: VmmsCommand) {
        match command {
            VmmsCommand::Start(vm) => self.start(ctx, vm),
            VmmsCommand::ShutDown(vm) => self.shut_down(ctx, vm),
            VmmsCommand::TurnOff(vm) => self.order(ctx, vm, WorkerMessage::TurnOff),
            VmmsCommand::Reset(vm) => self.order(ctx, vm, WorkerMessage::Reset),
            VmmsCommand::RescindDynamicMemory(vm) => self.order(ctx, vm, WorkerMessage::RescindDynamicMemory),
            VmmsCommand::OfferDynamicMemory(vm) => self.order(ctx, vm, WorkerMessage::OfferDynamicMemory),
            VmmsCommand::PanicWorker(vm) => self.order(ctx, vm, WorkerMessage::Panic),
            VmmsCommand::SetMemoryReserve(value) => {
                let reserve = self.config.reserve(value);
                tracing::info!(event = "memory_reserve", mb = reserve.whole_mib(), set = value.is_some());
                self.tell_balancer(ctx, Input::SetReserve(reserve));
            }
            VmmsCommand::Configure(vm, settings) => {
                if let Some(entry) = self.vm(vm) {
                    entry.settings = settings;
                    ctx.send(&self.balancer, BalancerMessage::Configure { vm, settings });
                }
            }
        }
    }

    fn order(&mut self, ctx: &mut Context<'_>, vm: VmId, order: WorkerMessage) {
        let name = self.name(vm);
        match self.vms.get(vm.0 as usize).and_then(|vm| vm.worker.as_ref()) {
            Some(worker) => {
                ctx.send(worker, order);
            }
            None if self.state(vm) == VmState::Starting => {
                self.tell_balancer(ctx, Input::StartCancelled { vm });
                self.set_state(vm, VmState::Off);
                tracing::info!(event = "start_cancelled", vm = &*name);
            }
            None => tracing::warn!(event = "not_running", vm = &*name),
        }
    }

    fn start(&mut self, ctx: &mut Context<'_>, vm: VmId) {
        let now: Duration = ctx.now().into();
        let name = self.name(vm);
        if vm.0 as usize >= self.vms.len() || !matches!(self.state(vm), VmState::Off | VmState::Failed) {
            tracing::warn!(event = "not_off", vm = &*name);
            return;
        }
        let running = self.status.look().active();
        let limit = self.config.release.limits(self.config.edition).running_vms;
        if limit.is_some_and(|limit| running >= limit) {
            self.log(now, &name, event_log::too_many_running(&name, running));
            self.failed_start(vm);
            return;
        }
        tracing::info!(event = "start_requested", vm = &*name);
        if let Some(vm) = self.vm(vm) {
            vm.restraint.lock().started();
        }
        if let Some(status) = self.status.look().vms.get_mut(vm.0 as usize) {
            status.state = VmState::Starting;
            // Whoever asks again after a refusal still wants what was asked for first.
            if status.asked_at.is_none() || status.started_at.is_some() {
                status.asked_at = Some(now);
            }
            status.started_at = None;
            status.login_at = None;
            status.heartbeat = None;
            status.dynamic_memory_refused = None;
        }
        self.tell_balancer(ctx, Input::StartRequest { vm });
    }

    fn failed_start(&self, vm: VmId) {
        if let Some(status) = self.status.look().vms.get_mut(vm.0 as usize) {
            status.state = VmState::Off;
            status.failed_starts += 1;
        }
    }

    fn shut_down(&mut self, ctx: &mut Context<'_>, vm: VmId) {
        let deadline = Duration::from(ctx.now()) + self.config.shutdown_timeout;
        if self.state(vm) == VmState::Running {
            self.set_state(vm, VmState::Stopping);
            self.shutting_down.insert(vm, deadline);
        }
        self.order(ctx, vm, WorkerMessage::ShutDown);
    }

    fn admitted(&mut self, ctx: &mut Context<'_>, id: VmId, frames: HostFrames) {
        let now: Duration = ctx.now().into();
        if self.state(id) != VmState::Starting {
            // The start was cancelled meanwhile: the frames go home, and the balancer closes the account.
            drop(frames);
            self.tell_balancer(ctx, Input::VmStopped { vm: id });
            return;
        }
        let spec = {
            let (own, balancer, slowdown) = (self.own.clone(), self.balancer.clone(), self.slowdown.clone());
            let config = self.config.clone();
            self.shutting_down.remove(&id);
            let Some(vm) = self.vm(id) else { return };
            vm.generation += 1;
            vm.components = Arc::default();
            let (generation, components) = (vm.generation, Arc::clone(&vm.components));
            let to_vmms = own.clone();
            let watch = move |seat: &mut Seat| {
                components.lock().push(seat.id());
                seat.on_exit(&to_vmms, move |notice| VmmsMessage::Exited { vm: id, generation, notice });
            };
            let layout = match GuestLayout::flat(vm.settings.startup, vm.settings.maximum) {
                Ok(layout) => layout,
                Err(error) => {
                    let why = error.to_string();
                    return self.ended(ctx, id, WorkerEnd::Failed(why));
                }
            };
            let boot = layout.boot.clone();
            let vsp = vm.settings.dynamic.then(|| {
                VspConfig::new(layout).with(|c| {
                    c.versions = config.dynamic_memory.versions.clone();
                    c.quiet_period = config.dynamic_memory.quiet_period;
                    c.timeouts = config.dynamic_memory.timeouts.clone();
                    c.maximum = Some(vm.settings.maximum);
                })
            });
            WorkerSpec {
                vm: id,
                generation,
                name: Arc::clone(&vm.name),
                vsp,
                boot,
                frames,
                bus: config.bus,
                operation_time: config.operation_time,
                slowdown,
                restraint: Arc::clone(&vm.restraint),
                statistics: vm.statistics.clone(),
                #[cfg(feature = "test-support")]
                sabotage: config.sabotage,
                factory: vm.factory.partition(),
                devices: vm.factory.devices(),
                balancer,
                vmms: own,
                watch: Box::new(watch),
            }
        };
        let name = Arc::clone(&spec.name);
        let mut seat = ctx.seat("dm-vsp", Some(&name));
        (spec.watch)(&mut seat);
        let (address, inbox) = seat.mailbox();
        let power = seat.mailbox();
        let doorbell = seat.doorbell();
        match Worker::new(spec, inbox, power, doorbell) {
            Ok(worker) => {
                ctx.send(&self.balancer, BalancerMessage::Worker { vm: id, worker: Some(address.clone()) });
                seat.start(Box::new(worker));
                if let Some(vm) = self.vm(id) {
                    vm.worker = Some(address);
                }
                if let Some(status) = self.status.look().vms.get_mut(id.0 as usize) {
                    status.state = VmState::Running;
                    status.started_at = Some(now);
                    status.starts += 1;
                }
            }
            Err(error) => self.ended(ctx, id, WorkerEnd::Failed(error.to_string())),
        }
    }

    /// The VM's run has ended: its components are killed, and balancer and status are told.
    fn ended(&mut self, ctx: &mut Context<'_>, id: VmId, end: WorkerEnd) {
        let now: Duration = ctx.now().into();
        let name = self.name(id);
        self.shutting_down.remove(&id);
        let Some(vm) = self.vm(id) else { return };
        vm.worker = None;
        // Messages of this run that are still on their way are ignored: they name another generation.
        vm.generation += 1;
        for component in std::mem::take(&mut *vm.components.lock()) {
            ctx.kill(component);
        }
        ctx.send(&self.balancer, BalancerMessage::Worker { vm: id, worker: None });
        let restarts = end == WorkerEnd::Restart && self.state(id) == VmState::Running;
        self.tell_balancer(
            ctx,
            if restarts { Input::VmRestarts { vm: id } } else { Input::VmStopped { vm: id } },
        );
        if let Some(status) = self.status.look().vms.get_mut(id.0 as usize) {
            status.state = match end {
                WorkerEnd::Failed(_) => VmState::Failed,
                WorkerEnd::Restart if restarts => VmState::Starting,
                WorkerEnd::Restart | WorkerEnd::Orderly => VmState::Off,
            };
            status.heartbeat = None;
            status.failures += u32::from(status.state == VmState::Failed);
            if restarts {
                status.asked_at = Some(now);
                status.login_at = None;
            }
        }
        if let WorkerEnd::Failed(why) = end {
            let text = format!("'{name}' was terminated: {why}");
            self.log(now, &name, LogEntry { id: 18560, log: "Hyper-V-Worker", text });
        }
    }

    fn message(&mut self, ctx: &mut Context<'_>, message: VmmsMessage) {
        let now: Duration = ctx.now().into();
        match message {
            VmmsMessage::Command(command) => self.command(ctx, command),
            VmmsMessage::Admitted { vm, frames } => self.admitted(ctx, vm, frames),
            VmmsMessage::RestartWaits { vm, required, available } => {
                let name = self.name(vm);
                tracing::warn!(
                    event = "restart_waits",
                    vm = &*name,
                    required_mb = required.whole_mib(),
                    available_mb = available.whole_mib()
                );
            }
            VmmsMessage::StartRefused { vm, required, available, reserved_until } => {
                let name = self.name(vm);
                tracing::warn!(
                    event = "start_refused",
                    vm = &*name,
                    required_mb = required.whole_mib(),
                    available_mb = available.whole_mib(),
                    reserved_s = reserved_until.map_or(0, |until| until.saturating_sub(now).as_secs())
                );
                let startup = self.vms.get(vm.0 as usize).map_or(PageCount::ZERO, |vm| vm.settings.startup);
                self.log(now, &name, event_log::not_enough_memory(&name, startup));
                self.log(now, &name, event_log::could_not_initialize_memory(&name));
                self.log(now, &name, event_log::required_and_available(&name, required, available));
                self.log(now, &name, event_log::failed_to_start(&name));
                self.failed_start(vm);
            }
            VmmsMessage::Given(pages) => self.given = pages,
            VmmsMessage::LoggedIn(vm) => {
                if let Some(status) = self.status.look().vms.get_mut(vm.0 as usize) {
                    status.login_at = Some(now);
                }
            }
            VmmsMessage::Heartbeat(vm, heartbeat) => {
                if let Some(status) = self.status.look().vms.get_mut(vm.0 as usize) {
                    status.heartbeat = Some(heartbeat);
                }
            }
            VmmsMessage::DynamicMemoryRefused { vm, why } => {
                if let Some(status) = self.status.look().vms.get_mut(vm.0 as usize) {
                    status.dynamic_memory_refused.get_or_insert((now, why));
                }
            }
            VmmsMessage::Ended { vm, generation, end } => {
                if self.vms.get(vm.0 as usize).is_some_and(|vm| vm.generation == generation) {
                    self.ended(ctx, vm, end);
                }
            }
            VmmsMessage::Log { vm, entry } => {
                let name = self.name(vm);
                self.log(ctx.now().into(), &name, entry);
            }
            VmmsMessage::Exited { vm, generation, notice } => {
                if self.vms.get(vm.0 as usize).is_some_and(|vm| vm.generation == generation) {
                    let name = self.name(vm);
                    match notice.reason {
                        ExitReason::Panicked(message) => {
                            tracing::error!(
                                event = "component_panicked",
                                vm = &*name,
                                name = &*notice.name,
                                message = message.as_str()
                            );
                            let why = format!("{} panicked: {message}", notice.name);
                            self.ended(ctx, vm, WorkerEnd::Failed(why));
                        }
                        // The components of a guest are killed when it is reset, and a worker that stops has said why (`Ended`).
                        ExitReason::Stopped | ExitReason::Killed => {}
                    }
                }
            }
        }
    }

    fn tick(&mut self, ctx: &mut Context<'_>, now: Duration) {
        let before = self.parent.slowdown();
        self.parent.advance(now, self.config.memory.saturating_sub(self.given));
        let parent = &self.parent;
        self.slowdown.set(parent.slowdown());
        self.status.look().parent = ParentStatus {
            in_use_mib: parent.in_use_mib(),
            free_mib: parent.free_mib(),
            reads_per_second: parent.reads_per_second(),
            reads_total: parent.reads_total(),
            slowdown: parent.slowdown(),
        };
        if (parent.slowdown() - before).abs() > 1e-9 || self.next_tick == Duration::ZERO {
            let state = ParentState::new(parent.reads_per_second(), parent.slowdown());
            self.tell_balancer(ctx, Input::ParentState(state));
        }
        for (vm, _) in self.shutting_down.extract_if(.., |_, deadline| *deadline <= now).collect::<Vec<_>>() {
            let name = self.name(vm);
            tracing::warn!(event = "shutdown_overdue", vm = &*name);
            self.order(ctx, vm, WorkerMessage::TurnOff);
        }
    }
}

impl Component for Vmms {
    fn wake(&mut self, now: SimTime, _cause: WakeCause, ctx: &mut Context<'_>) -> NextWake {
        while let Some(message) = ctx.recv(&mut self.inbox) {
            self.message(ctx, message);
        }
        let now: Duration = now.into();
        if now >= self.next_tick {
            component_runtime::trace::set_cause(component_runtime::trace::Cause::NONE);
            self.tick(ctx, now);
            self.next_tick = now + TICK;
        }
        NextWake::At(SimTime::from(self.next_tick))
    }
}
