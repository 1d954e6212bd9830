//! The worker of one VM (`vmwp.exe` in Figure 2-3): DM VSP and GMO memory manager, over the host's end of the VM's bus.
//!
//! It owns the VM's memory: the map of what is mapped, and the frames on their way. It carries out what the VSP's state machine
//! and the bus decide, takes the time that the host's own work takes, and translates between the VSP and the balancer.
//! It decides nothing about amounts of memory.

mod memory;
mod reset;
mod restraint;

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use balancing_policy::{GuestStatus, VmId};
use component_runtime::lanes::CauseLanes;
use component_runtime::trace::{self, Cause};
use component_runtime::{Address, Component, Context, Doorbell, Mailbox, NextWake, SimTime, WakeCause};
use dm_protocol::MessageType;
use dm_vsp::{DmVsp, Input, MapKind, OperationKind, Outcome, Output, ReleaseKind};
use gmo_memory_manager::GmoMemoryManager;
use machine_contract::{
    ChannelDevice, HostPartition, PartitionFactory, PartitionRequest, PowerEvent, RunningPartition, Watch,
};
use memory_balancer::{Input as Told, OperationId};
use page_range::{GuestPage, GuestRange, HostFrames, PageCount, RangeSet};
use vmbus::control::server::{ContactOrigin, Offer, ServerConfig};
use vmbus::control::{Guid, Relid};
use vmbus::ring::PacketType;

use crate::bus::{BusEvent, HostBus, ReceivedPacket, SendError};
use crate::constants as c;
use crate::devices::{Around, Devices};
use crate::message::{BalancerMessage, VmmsMessage, WorkerEnd, WorkerMessage};
use memory::merge;
use restraint::{Noise, Report, Reports};

/// How long the host's own part of an operation takes, with a parent OS that is not short of memory. The defaults are those of
/// [`constants`](crate::constants()).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HostOperationTime {
    /// For each operation (`operation.base`).
    pub base: Duration,
    /// For each MiB that is mapped or unmapped (`operation.per_mib`).
    pub per_mib: Duration,
}

impl Default for HostOperationTime {
    fn default() -> Self {
        Self { base: c::OPERATION_BASE.duration(), per_mib: c::OPERATION_PER_MIB.duration() }
    }
}

impl HostOperationTime {
    fn of(self, pages: PageCount, slowdown: f64, with_base: bool) -> Duration {
        let base = if with_base { self.base } else { Duration::ZERO };
        (base + self.per_mib.mul_f64(pages.mib())).mul_f64(slowdown.max(1.0))
    }
}

/// What the journal has of a DM VSP: enough to feed the same to another one.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub enum RecordedVspInput {
    /// A new VSP with this configuration: the VM was started.
    Started(Box<dm_vsp::VspConfig>),
    /// An input.
    Input(Input),
}

/// What a worker is made with.
pub(crate) struct WorkerSpec {
    pub(crate) vm: VmId,
    /// Which of the VM's starts this is.
    pub(crate) generation: u64,
    pub(crate) name: Arc<str>,
    /// Configuration of its DM VSP; `None`: a VM with static memory, which is offered no such device.
    pub(crate) vsp: Option<dm_vsp::VspConfig>,
    /// What it boots with.
    pub(crate) boot: RangeSet<GuestPage>,
    /// Startup RAM.
    pub(crate) frames: HostFrames,
    pub(crate) bus: ServerConfig,
    pub(crate) operation_time: HostOperationTime,
    #[cfg(feature = "test-support")]
    pub(crate) sabotage: crate::Sabotage,
    pub(crate) factory: Box<dyn PartitionFactory>,
    /// Devices besides Dynamic Memory.
    pub(crate) devices: Vec<Box<dyn ChannelDevice>>,
    pub(crate) balancer: Address<BalancerMessage>,
    pub(crate) vmms: Address<VmmsMessage>,
    pub(crate) watch: Box<Watch>,
}

/// The operation that the balancer waits for.
struct Operation {
    id: OperationId,
    slowdown: f64,
    /// The host's base time has been spent.
    begun: bool,
    /// What led to it; what comes of waiting in vain comes of this too.
    cause: Cause,
}

/// Host work, when it is done, and what led to it.
struct Due {
    at: Duration,
    work: Work,
    cause: Cause,
}

impl Due {
    fn new(at: Duration, work: Work) -> Self {
        Self { at, work, cause: trace::cause() }
    }
}

/// Host work that takes time.
enum Work {
    Grow { pages: PageCount },
    Unmap { ticket: u64, ranges: RangeSet<GuestPage> },
}

thread_local! {
    /// What a VSP decided: one for all workers that a thread runs, so that it stays in the processor's cache; it is taken while
    /// it is in use.
    static OUTPUTS: Cell<Vec<Output>> = Cell::default();
}

/// In this order in memory: first what every report of the guest takes, then what operations take, then what starts and
/// ends take.
#[repr(C, align(64))]
pub(crate) struct Worker {
    reports: Reports,
    bus_events: Vec<BusEvent>,
    devices: Devices,
    work: VecDeque<Due>,
    balancer: Address<BalancerMessage>,
    /// Set when the VM is over.
    over: Option<WorkerEnd>,
    vm: VmId,
    dm_channel: Option<Relid>,
    /// The balancer was told something of this guest: that it has joined Dynamic Memory, or what it reports.
    known_to_balancer: bool,
    /// The balancer was told that the guest does not answer.
    unresponsive: bool,
    bus: Option<HostBus>,
    vsp: Option<DmVsp>,
    operation: Option<Operation>,
    inbox: Mailbox<WorkerMessage>,
    operation_time: HostOperationTime,
    /// Frames of the grant under way that are not mapped.
    granted: HostFrames,
    /// Frames that the guest has given back and the balancer does not have.
    taken: HostFrames,
    /// What of the operation under way the balancer has got already.
    returned_early: PageCount,
    memory: GmoMemoryManager,
    /// Addresses at which the partition has memory.
    present: RangeSet<GuestPage>,
    partition: Option<Arc<dyn HostPartition>>,
    noise: Noise,
    power: (Address<PowerEvent>, Mailbox<PowerEvent>),
    generation: u64,
    name: Arc<str>,
    machine: String,
    boot: RangeSet<GuestPage>,
    startup: Option<HostFrames>,
    server: ServerConfig,
    running: Option<Box<dyn RunningPartition>>,
    factory: Box<dyn PartitionFactory>,
    lanes: CauseLanes,
    doorbell: Doorbell,
    #[cfg(feature = "test-support")]
    sabotage: crate::Sabotage,
    vmms: Address<VmmsMessage>,
    watch: Box<Watch>,
    /// Protocol errors that are in the event log.
    logged: u64,
}

impl Worker {
    pub(crate) fn new(
        spec: WorkerSpec,
        inbox: Mailbox<WorkerMessage>,
        power: (Address<PowerEvent>, Mailbox<PowerEvent>),
        doorbell: Doorbell,
    ) -> Result<Self, dm_vsp::ConfigError> {
        let vsp = spec.vsp.map(DmVsp::new).transpose()?;
        Ok(Self {
            machine: format!("dm-vsp/{}", spec.name),
            vm: spec.vm,
            generation: spec.generation,
            name: spec.name,
            vsp,
            boot: spec.boot,
            memory: GmoMemoryManager::new(&spec.frames),
            granted: spec.frames.empty_like(),
            taken: spec.frames.empty_like(),
            startup: Some(spec.frames),
            returned_early: PageCount::ZERO,
            present: RangeSet::new(),
            operation: None,
            work: VecDeque::new(),
            server: spec.bus,
            bus: None,
            dm_channel: None,
            devices: Devices::new(spec.devices),
            partition: None,
            running: None,
            factory: spec.factory,
            lanes: CauseLanes::default(),
            doorbell,
            operation_time: spec.operation_time,
            #[cfg(feature = "test-support")]
            sabotage: spec.sabotage,
            inbox,
            power,
            balancer: spec.balancer,
            vmms: spec.vmms,
            watch: spec.watch,
            bus_events: Vec::new(),
            reports: Reports::default(),
            noise: Noise::default(),
            logged: 0,
            known_to_balancer: false,
            unresponsive: false,
            over: None,
        })
    }

    /// Maps the startup RAM, makes the partition and switches the guest on.
    fn start(&mut self, ctx: &mut Context<'_>) {
        let Some(frames) = self.startup.take() else { return };
        if let (Some(recorder), Some(vsp)) = (ctx.recorder(), &self.vsp) {
            let started = RecordedVspInput::Started(Box::new(vsp.config().clone()));
            recorder.input(&self.machine, ctx.now(), &started);
        }
        let runs: Vec<GuestRange> = self.boot.runs().collect();
        if let Err(error) = self.memory.map_ranges(&runs, frames) {
            self.fail(format!("cannot map the startup RAM: {}", error.refusal));
            return;
        }
        let request = PartitionRequest {
            vm: &self.name,
            boot: &self.boot,
            power: &self.power.0,
            lanes: &self.lanes,
            watch: &*self.watch,
        };
        match self.factory.start(ctx, &request) {
            Ok(running) => {
                let host = running.host();
                self.running = Some(running);
                self.present = self.boot.clone();
                self.bus = Some(HostBus::new(
                    self.server.clone(),
                    Arc::clone(&host),
                    self.doorbell.clone().into_fn(),
                    self.lanes.clone(),
                ));
                self.partition = Some(host);
                self.offer_devices(ctx);
                tracing::info!(event = "vm_started", startup_mb = self.memory.pages().whole_mib());
                self.tell_balancer(ctx, Told::VmStarted { vm: self.vm });
            }
            Err(error) => self.fail(error.0),
        }
    }

    fn offer_devices(&mut self, ctx: &mut Context<'_>) {
        let Some(bus) = &mut self.bus else { return };
        if self.vsp.is_some() && self.dm_channel.is_none() {
            let offer = Offer::new(Guid::DYNAMIC_MEMORY, Guid::DYNAMIC_MEMORY_INSTANCE);
            self.dm_channel = bus.offer(offer, &mut self.memory, &mut self.bus_events).ok();
        }
        let (memory, events) = (&mut self.memory, &mut self.bus_events);
        self.devices.offer(&mut Around { now: Self::now(ctx), bus, memory, events });
        self.settle_bus(ctx);
    }

    fn fail(&mut self, why: String) {
        tracing::error!(event = "vm_failed", why = why.as_str());
        self.over.get_or_insert(WorkerEnd::Failed(why));
    }

    fn tell_balancer(&self, ctx: &mut Context<'_>, told: Told) {
        ctx.send(&self.balancer, BalancerMessage::Input(told));
    }

    fn returnable(&self) -> PageCount {
        self.vsp.as_ref().map_or(PageCount::ZERO, |vsp| vsp.pages().ballooned().pages())
    }

    fn now(ctx: &Context<'_>) -> Duration {
        ctx.now().into()
    }

    /// Feeds the VSP, and carries out what it says until nothing is left.
    fn vsp(&mut self, ctx: &mut Context<'_>, input: Input) {
        let mut next = Some(input);
        let mut answers = VecDeque::new();
        while let Some(input) = next {
            let Some(vsp) = &mut self.vsp else { return };
            let now = Self::now(ctx);
            if let Some(recorder) = ctx.recorder() {
                recorder.input(&self.machine, ctx.now(), &RecordedVspInput::Input(input.clone()));
            }
            let mut outputs = OUTPUTS.take();
            vsp.handle(now, input, &mut outputs);
            if let Some(recorder) = ctx.recorder() {
                for output in &outputs {
                    recorder.output(&self.machine, ctx.now(), output);
                }
            }
            for output in outputs.drain(..) {
                answers.extend(self.carry_out(ctx, output));
            }
            OUTPUTS.set(outputs);
            next = answers.pop_front();
        }
        // A session that ends, or a reset, says nothing of it: nobody is waited for any more.
        if self.unresponsive && !self.vsp.as_ref().is_some_and(DmVsp::is_unresponsive) {
            self.unresponsive = false;
            self.tell_balancer(ctx, Told::Responsive { vm: self.vm, responsive: true });
        }
    }

    /// Passes the guest's last report on, if it is time.
    fn pass_report_on(&mut self, ctx: &mut Context<'_>) {
        if let Some(Report { status, returnable, cause }) = self.reports.due(Self::now(ctx)) {
            self.known_to_balancer = true;
            trace::with_cause(cause, || {
                self.tell_balancer(ctx, Told::Status { vm: self.vm, status, returnable });
            });
        }
    }

    fn carry_out(&mut self, ctx: &mut Context<'_>, output: Output) -> Option<Input> {
        match output {
            Output::Send { message, bytes } => self.send(ctx, message, &bytes),
            Output::Map { ticket, ranges, kind } => {
                let result = self.map(&ranges, kind);
                tracing::info!(
                    event = "pages_mapped",
                    pages = ranges.pages().get(),
                    kind = if kind == MapKind::HotAdd { "hot_add" } else { "unballoon" },
                    ok = result.is_ok()
                );
                return Some(Input::Mapped { ticket, result });
            }
            Output::Release { ticket, ranges, kind: ReleaseKind::Ballooned } => {
                // Unmapping what the guest gave takes the host its time; a late answer outside of any operation, too.
                let (slowdown, with_base) = match &mut self.operation {
                    Some(operation) => (operation.slowdown, !std::mem::replace(&mut operation.begun, true)),
                    None => (1.0, true),
                };
                let after = self.work.back().map_or(Duration::ZERO, |due| due.at).max(Self::now(ctx));
                let due = after + self.operation_time.of(ranges.pages(), slowdown, with_base);
                self.work.push_back(Due::new(due, Work::Unmap { ticket, ranges }));
            }
            Output::Release { ticket, ranges, .. } => {
                let (result, frames) = self.unmap(&ranges);
                tracing::info!(
                    event = "pages_unmapped",
                    pages = ranges.pages().get(),
                    kind = "hot_add_refused"
                );
                if let Some(frames) = frames {
                    merge(&mut self.granted, frames);
                }
                return Some(Input::Released { ticket, result });
            }
            Output::VersionAnswered { version, accepted, is_last_attempt } => {
                if self.may_record(ctx) {
                    if let (false, true, Some(vsp)) = (accepted, is_last_attempt, &self.vsp) {
                        let why = dm_vsp::version_refusal(version, &vsp.config().versions);
                        tracing::warn!(event = "dm_refused", why = why.as_str());
                    }
                    tracing::info!(
                        event = "dm_version",
                        major = version >> 16,
                        minor = version & 0xffff,
                        accepted
                    );
                }
            }
            Output::CapabilitiesAnswered { capabilities, accepted } => {
                if self.may_record(ctx) {
                    tracing::info!(
                        event = "dm_capabilities",
                        balloon = capabilities.balloon,
                        hot_add = capabilities.hot_add,
                        granule_mb = capabilities.granule.whole_mib(),
                        accepted
                    );
                }
            }
            Output::Ready { capabilities, .. } => {
                tracing::info!(event = "dm_ready");
                let (balloon, hot_add) = (capabilities.balloon, capabilities.hot_add);
                let granule = capabilities.granule;
                self.known_to_balancer = true;
                self.tell_balancer(ctx, Told::Joined { vm: self.vm, granule, balloon, hot_add });
            }
            Output::Status { reported, demand, absurd } => {
                if absurd && self.may_record(ctx) {
                    tracing::warn!(event = "absurd_status", committed = reported.committed.get());
                }
                tracing::debug!(
                    event = "status_report",
                    committed = reported.committed.get(),
                    available = reported.available.get(),
                    page_file_size = reported.page_file_size.get(),
                    zero_free = reported.zero_free.get(),
                    page_file_writes = reported.page_file_writes.low_bits(),
                    io_diff = reported.io_balance.low_bits(),
                    demand = demand.get()
                );
                let status = GuestStatus {
                    demand,
                    commit: reported.committed,
                    available: reported.available,
                    free: reported.zero_free,
                    page_file: reported.page_file_size,
                    page_file_writes: reported.page_file_writes,
                    io_balance: reported.io_balance,
                    stalled: None,
                };
                let returnable = self.returnable();
                self.reports.came(Report { status, returnable, cause: trace::cause() });
                self.pass_report_on(ctx);
            }
            Output::Rejected { kind, requested, why } => {
                tracing::info!(event = "operation_rejected", pages = requested.get(), why = ?why);
                self.finished(ctx, kind, PageCount::ZERO, false);
            }
            Output::Finished { kind, requested, done, unconfirmed, outcome, .. } => {
                tracing::info!(
                    event = "operation_finished",
                    kind = if kind == OperationKind::Grow { "grow" } else { "shrink" },
                    requested = requested.get(),
                    done = done.get(),
                    unconfirmed = unconfirmed.get(),
                    outcome = ?outcome
                );
                self.finished(
                    ctx,
                    kind,
                    done + unconfirmed,
                    matches!(outcome, Outcome::HotAddOver | Outcome::NoRoom),
                );
            }
            Output::Ignored { message_type, why } => {
                tracing::debug!(event = "dm_message_ignored", message_type = message_type, why = ?why);
            }
            Output::Unresponsive { waiting_for } => {
                tracing::warn!(event = "guest_unresponsive", waiting_for = ?waiting_for);
                self.return_taken(ctx);
                self.unresponsive = true;
                self.tell_balancer(ctx, Told::Responsive { vm: self.vm, responsive: false });
            }
            // The balancer hears of it when all is carried out.
            Output::Responsive => tracing::info!(event = "guest_responsive"),
            Output::ProtocolError { violation } => {
                if self.may_record(ctx) {
                    self.protocol_error(ctx, "Microsoft Hyper-V Dynamic Memory", &violation);
                }
            }
            Output::CloseChannel => return self.rescind_dynamic_memory(ctx),
        }
        None
    }

    fn send(&mut self, ctx: &Context<'_>, message: MessageType, bytes: &[u8]) {
        let (Some(relid), Some(bus)) = (self.dm_channel, &mut self.bus) else { return };
        tracing::debug!(event = "dm_send", message = %message, bytes = bytes.len());
        if let Err(error) = bus.send(relid, bytes, &mut self.memory, &mut self.bus_events) {
            // The guest's own doing; the operation ends by its timeout or with the channel.
            if self.may_record(ctx) {
                tracing::warn!(event = "send_failed", why = %error);
            }
        }
    }

    fn message(&mut self, ctx: &mut Context<'_>, message: WorkerMessage) {
        match message {
            WorkerMessage::Grant { operation, frames, slowdown } => {
                let pages = frames.pages();
                merge(&mut self.granted, frames);
                let due = Self::now(ctx) + self.operation_time.of(pages, slowdown, true);
                tracing::info!(event = "grant", pages = pages.get(), operation = operation.0);
                self.operation =
                    Some(Operation { id: operation, slowdown, begun: true, cause: trace::cause() });
                self.work.push_back(Due::new(due, Work::Grow { pages }));
            }
            WorkerMessage::Shrink { operation, pages, slowdown } => {
                tracing::info!(event = "shrink", pages = pages.get(), operation = operation.0);
                self.operation =
                    Some(Operation { id: operation, slowdown, begun: false, cause: trace::cause() });
                self.vsp(ctx, Input::Shrink { pages });
            }
            WorkerMessage::ShutDown => {
                if let Some(running) = &mut self.running {
                    tracing::info!(event = "shutdown_requested");
                    running.shut_down(ctx);
                }
            }
            WorkerMessage::TurnOff => {
                self.over.get_or_insert(WorkerEnd::Orderly);
            }
            WorkerMessage::Reset => self.reset(ctx),
            WorkerMessage::RescindDynamicMemory => {
                tracing::info!(event = "vmbus_rescind");
                if let Some(closed) = self.rescind_dynamic_memory(ctx) {
                    self.vsp(ctx, closed);
                }
                self.settle_bus(ctx);
            }
            WorkerMessage::OfferDynamicMemory => self.offer_devices(ctx),
            WorkerMessage::Panic => panic!("the worker was told to panic"),
        }
    }

    fn power_event(&mut self, ctx: &mut Context<'_>, event: PowerEvent) {
        match event {
            PowerEvent::Login => {
                tracing::info!(event = "login_screen");
                ctx.send(&self.vmms, VmmsMessage::LoggedIn(self.vm));
            }
            PowerEvent::PoweredOff => {
                self.over.get_or_insert(WorkerEnd::Orderly);
            }
            PowerEvent::Reset => self.reset(ctx),
            PowerEvent::Crashed => self.fail("the guest has crashed".to_owned()),
            PowerEvent::Failed(why) => self.fail(why),
        }
    }

    /// Tells the VSP and the devices what the bus reported.
    fn settle_bus(&mut self, ctx: &mut Context<'_>) {
        while !self.bus_events.is_empty() {
            for event in std::mem::take(&mut self.bus_events) {
                let record = self.may_record(ctx);
                match event {
                    BusEvent::Contact(version, origin) => {
                        if record {
                            tracing::info!(event = "vmbus_contact", version = %version);
                        }
                        // The VM was not reset: another kernel runs in it (kexec, kdump), or the guest's drivers were
                        // loaded anew. Neither knows of what was given away before.
                        if origin == ContactOrigin::AfterUnload {
                            self.vsp(ctx, Input::GuestReplaced);
                        }
                        self.offer_devices(ctx);
                    }
                    BusEvent::Opened(relid) => {
                        if record {
                            tracing::info!(event = "vmbus_open", child_relid = relid.get());
                        }
                        if self.dm_channel == Some(relid) {
                            self.vsp(ctx, Input::ChannelOpened);
                        } else {
                            self.with_devices(ctx, |devices, around, _| devices.opened(around, relid));
                        }
                    }
                    BusEvent::Closed(relid) => {
                        if record {
                            tracing::info!(event = "vmbus_close", child_relid = relid.get());
                        }
                        self.channel_closed(ctx, relid);
                    }
                    BusEvent::Unloaded if record => tracing::info!(event = "vmbus_unload"),
                    BusEvent::Violation(violation) if record => {
                        self.protocol_error(ctx, "VMBus", &violation);
                    }
                    BusEvent::Corrupt(relid, corruption) => {
                        if record {
                            self.protocol_error(ctx, "VMBus ring", &corruption);
                        }
                        self.channel_closed(ctx, relid);
                        // It has been taken back: offered anew when the guest makes contact anew.
                        self.forget_channel(relid);
                    }
                    BusEvent::StaleTrailers(relid) if record => {
                        tracing::info!(event = "vmbus_stale_trailers", child_relid = relid.get());
                    }
                    BusEvent::Refused(why) if record => {
                        tracing::warn!(event = "vmbus_refused", why = why.as_str());
                    }
                    BusEvent::Unloaded
                    | BusEvent::Violation(_)
                    | BusEvent::StaleTrailers(_)
                    | BusEvent::Refused(_) => {}
                }
            }
        }
    }

    fn channel_closed(&mut self, ctx: &mut Context<'_>, relid: Relid) {
        if self.dm_channel == Some(relid) {
            self.vsp(ctx, Input::ChannelClosed);
            self.left(ctx);
        }
        self.devices.closed(relid);
    }

    fn forget_channel(&mut self, relid: Relid) {
        self.dm_channel.take_if(|dm| *dm == relid);
        self.devices.forget(relid);
    }

    /// Takes the channel of Dynamic Memory back; gives what the VSP has to hear of it.
    fn rescind_dynamic_memory(&mut self, ctx: &mut Context<'_>) -> Option<Input> {
        let (Some(relid), Some(bus)) = (self.dm_channel.take(), &mut self.bus) else { return None };
        let was_open = bus.is_open(relid);
        bus.rescind(relid, &mut self.memory, &mut self.bus_events);
        // Told here; the bus' own event names a channel that is no longer ours.
        self.left(ctx);
        was_open.then_some(Input::ChannelClosed)
    }

    /// The guest is no part of Dynamic Memory any more, and what it counts since boot may begin anew. The balancer is told once
    /// for each time that it heard of the guest, so that a guest which opens and closes without end is not heard.
    fn left(&mut self, ctx: &mut Context<'_>) {
        self.reports.forget();
        if std::mem::take(&mut self.known_to_balancer) {
            self.tell_balancer(ctx, Told::Left { vm: self.vm });
        }
    }

    fn read_channels(&mut self, ctx: &mut Context<'_>) {
        while let (Some(relid), Some(bus)) = (self.dm_channel, &mut self.bus) {
            if !ctx.spend() {
                bus.pause_reading(relid, &mut self.memory, &mut self.bus_events);
                break;
            }
            let Some(packet) = bus.read(relid, &mut self.memory, &mut self.bus_events) else { break };
            self.complete(ctx, relid, &packet);
            if packet.kind == PacketType::IN_BAND {
                self.vsp(ctx, Input::Packet(packet.payload));
            } else if self.may_record(ctx) {
                self.protocol_error(ctx, "VMBus", &format_args!("a packet of type {:#x}", packet.kind.0));
            }
        }
        self.with_devices(ctx, |devices, around, ctx| devices.run(around, || ctx.spend()));
        self.settle_bus(ctx);
    }

    /// Has devices driven. What they could not send, since their guest reads nothing, is lost and recorded.
    fn with_devices(
        &mut self,
        ctx: &mut Context<'_>,
        drive: impl FnOnce(&mut Devices, &mut Around<'_>, &mut Context<'_>) -> Result<(), SendError>,
    ) {
        let Some(bus) = &mut self.bus else { return };
        let (memory, events) = (&mut self.memory, &mut self.bus_events);
        let mut around = Around { now: Self::now(ctx), bus, memory, events };
        if let Err(error) = drive(&mut self.devices, &mut around, ctx)
            && self.may_record(ctx)
        {
            tracing::warn!(event = "send_failed", why = %error);
        }
    }

    /// Sends the driver the completion that it waits for, if it asked for one.
    fn complete(&mut self, ctx: &mut Context<'_>, relid: Relid, packet: &ReceivedPacket) {
        let Some(bus) = self.bus.as_mut().filter(|_| packet.completion_requested) else { return };
        let sent = bus.complete(relid, packet.transaction_id, &[], &mut self.memory, &mut self.bus_events);
        if let Err(error) = sent
            && self.may_record(ctx)
        {
            tracing::warn!(event = "send_failed", why = %error);
        }
    }

    fn next_wake(&self) -> NextWake {
        let vsp = self.vsp.as_ref().and_then(DmVsp::next_timeout);
        let work = self.work.front().map(|due| due.at);
        let report = self.reports.next_timeout();
        let device = self.bus.as_ref().and_then(|bus| self.devices.next_timeout(bus));
        [vsp, work, report, device]
            .into_iter()
            .flatten()
            .min()
            .map_or(NextWake::Idle, |at| NextWake::At(SimTime::from(at)))
    }

    /// Ends the VM: the guest is switched off, and everything that it had goes home.
    fn end(&mut self, ctx: &mut Context<'_>, end: WorkerEnd) -> NextWake {
        if let Some(mut running) = self.running.take() {
            running.stop(ctx);
        }
        tracing::info!(event = "vm_stopped", failed = matches!(end, WorkerEnd::Failed(_)));
        ctx.send(&self.vmms, VmmsMessage::Ended { vm: self.vm, generation: self.generation, end });
        NextWake::Stopped
    }
}

impl Component for Worker {
    fn prefetch_self(&self) {
        // What a report takes, in the order of the fields.
        prefetch::value(&self.reports);
        prefetch::line(&self.devices);
        prefetch::line(&self.balancer);
        prefetch::line(&self.bus);
        prefetch::value(&self.vsp);
    }

    fn prefetch_beyond(&self) {
        if let Some(bus) = &self.bus {
            bus.prefetch();
        }
    }

    fn wake(&mut self, now: SimTime, cause: WakeCause, ctx: &mut Context<'_>) -> NextWake {
        if cause.started {
            self.start(ctx);
        }
        // Once a second a worker wakes for its guest's report alone: then its mailboxes need no look.
        if cause.message || cause.again {
            while let Some(message) = ctx.recv(&mut self.inbox) {
                self.message(ctx, message);
            }
            while let Some(event) = ctx.recv(&mut self.power.1) {
                self.power_event(ctx, event);
            }
        }
        if self.over.is_none() {
            if let Some(bus) = &mut self.bus {
                bus.poll(&mut self.memory, &mut self.bus_events, || ctx.spend());
            }
            self.settle_bus(ctx);
            self.read_channels(ctx);
            if self.vsp.as_ref().and_then(DmVsp::next_timeout).is_some_and(|due| SimTime::from(due) <= now) {
                trace::set_cause(self.operation.as_ref().map_or(Cause::NONE, |operation| operation.cause));
                self.vsp(ctx, Input::Timer);
            }
            self.do_work(ctx);
            self.settle_bus(ctx);
            self.pass_report_on(ctx);
        }
        match self.over.take() {
            Some(end) => self.end(ctx, end),
            None => self.next_wake(),
        }
    }
}
