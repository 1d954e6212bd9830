//! The worker of one VM (`vmwp.exe` in Figure 2-3): DM VSP and GMO memory manager, over the host's end of the VM's bus.
//!
//! The worker owns the VM's memory: the map of what is mapped, and the frames on their way. It carries out what the VSP's
//! state machine and the bus decide, takes the time that the host's own work takes, and translates between the VSP and the
//! balancer. The worker decides nothing about amounts of memory.

mod capture;
mod channels;
mod journal;
mod memory;
mod reset;
mod restraint;
mod smart_paging;
mod vsp;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use balancing_policy::VmId;
use component_runtime::lanes::CauseLanes;
use component_runtime::trace::{self, Cause};
use component_runtime::{Address, Component, Context, Doorbell, Mailbox, NextWake, SimTime, WakeCause};
use dm_vsp::{DmVsp, Input, Output};
use gmo_memory_manager::{GmoMemoryManager, Pin};
use machine_contract::{
    ChannelDevice, HostPartition, PartitionFactory, PartitionRequest, PowerEvent, RunningPartition, Watch,
};
use memory_balancer::{Input as BalancerInput, OperationId};
use page_range::{GuestPage, HostFrames, PageCount, RangeSet};
use vmbus::control::Relid;
use vmbus::control::server::ServerConfig;

use crate::bus::{HostBus, RequestId};
use crate::constants as c;
use crate::devices::Devices;
use crate::host_slowdown::HostSlowdown;
use crate::message::{BalancerMessage, VmmsMessage, WorkerEnd, WorkerMessage};
use crate::statistics::{MapStatistics, SharedVmStatistics, VmStatistics};
use capture::FrameJournal;
pub use journal::RecordedVspInput;
use journal::VspJournal;
use memory::merge;
pub(crate) use restraint::SharedRestraint;
use restraint::{Recording, Reports};
use smart_paging::PagingFile;

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

/// What a worker is made with.
pub(crate) struct WorkerSpec {
    pub(crate) vm: VmId,
    /// Which of the VM's starts this is.
    pub(crate) generation: u64,
    pub(crate) name: Arc<str>,
    /// Configuration of its DM VSP; `None`: a VM with static memory, which is offered no such device.
    pub(crate) vsp: Option<dm_vsp::VspConfig>,
    /// The pages that the VM boots with.
    pub(crate) boot: RangeSet<GuestPage>,
    /// Startup RAM.
    pub(crate) frames: HostFrames,
    pub(crate) bus: ServerConfig,
    pub(crate) operation_time: HostOperationTime,
    pub(crate) slowdown: HostSlowdown,
    /// What is restrained of this VM over all of its workers.
    pub(crate) restraint: SharedRestraint,
    pub(crate) statistics: SharedVmStatistics,
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
    /// The base time of the host's own work for it (`operation.base`) has been spent.
    begun: bool,
    /// What led to the operation. When a deadline of the guest passes, what comes of that has this cause too.
    cause: Cause,
}

/// Work of the host that takes time: when it is done, what led to it, and for whom it is recorded.
struct Due {
    at: Duration,
    work: Work,
    cause: Cause,
    recording: Recording,
}

/// Host work that takes time.
enum Work {
    Grow { pages: PageCount },
    Unmap { ticket: u64, ranges: RangeSet<GuestPage> },
}

pub(crate) struct Worker {
    vm: VmId,
    name: Arc<str>,
    generation: u64,
    inbox: Mailbox<WorkerMessage>,
    power: (Address<PowerEvent>, Mailbox<PowerEvent>),
    balancer: Address<BalancerMessage>,
    vmms: Address<VmmsMessage>,
    doorbell: Doorbell,
    watch: Box<Watch>,

    // The machine.
    factory: Box<dyn PartitionFactory>,
    running: Option<Box<dyn RunningPartition>>,
    partition: Option<Arc<dyn HostPartition>>,
    lanes: CauseLanes,
    /// The guest has shown its login screen since it booted.
    logged_in: bool,

    // Its bus.
    server: ServerConfig,
    bus: Option<HostBus>,
    dm_channel: Option<Relid>,
    devices: Devices,
    /// Pages that the guest shares, by the question of the bus that they answer.
    pins: BTreeMap<RequestId, Pin>,

    // Its memory.
    boot: RangeSet<GuestPage>,
    startup: Option<HostFrames>,
    memory: GmoMemoryManager,
    /// Addresses at which the partition has memory.
    present: RangeSet<GuestPage>,
    /// Frames of the grant under way that are not mapped.
    granted: HostFrames,
    /// Frames that the guest has given back and the balancer does not have.
    taken: HostFrames,
    /// What of the operation under way the balancer has got already.
    returned_early: PageCount,
    /// What is in a file of the host, for want of memory when the VM restarted.
    file: PagingFile,

    // Dynamic Memory.
    vsp: Option<DmVsp>,
    /// What the VSP says, while it is carried out; empty otherwise. A report every second needs no new memory.
    vsp_outputs: Vec<Output>,
    journal: VspJournal,
    frames: FrameJournal,
    operation: Option<Operation>,
    operation_time: HostOperationTime,
    slowdown: HostSlowdown,
    work: VecDeque<Due>,
    reports: Reports,
    /// The guest has joined Dynamic Memory: something can be asked of it.
    joined: bool,
    /// The balancer was told something of this guest: that it has joined Dynamic Memory, or what it reports.
    known_to_balancer: bool,
    /// The balancer was told that the guest does not answer.
    unresponsive: bool,

    restraint: SharedRestraint,
    statistics: SharedVmStatistics,
    recording: Recording,
    /// When it is to be said that something which the guest did was left out.
    say_left_out_at: Option<Duration>,
    /// The guest has asked to be reset, and is when this time comes.
    reset_at: Option<Duration>,
    /// Set when the VM is over.
    over: Option<WorkerEnd>,
    #[cfg(feature = "test-support")]
    sabotage: crate::Sabotage,
}

impl Worker {
    pub(crate) fn new(
        spec: WorkerSpec,
        inbox: Mailbox<WorkerMessage>,
        power: (Address<PowerEvent>, Mailbox<PowerEvent>),
        doorbell: Doorbell,
    ) -> Result<Self, dm_vsp::ConfigError> {
        let vsp = spec.vsp.map(DmVsp::new).transpose()?;
        let devices = Devices::new(spec.devices, &doorbell.clone().into_fn());
        Ok(Self {
            vm: spec.vm,
            generation: spec.generation,
            inbox,
            power,
            balancer: spec.balancer,
            vmms: spec.vmms,
            doorbell,
            watch: spec.watch,
            factory: spec.factory,
            running: None,
            partition: None,
            lanes: CauseLanes::default(),
            logged_in: false,
            server: spec.bus,
            bus: None,
            dm_channel: None,
            devices,
            pins: BTreeMap::new(),
            boot: spec.boot,
            memory: GmoMemoryManager::new(&spec.frames),
            granted: spec.frames.empty_like(),
            taken: spec.frames.empty_like(),
            startup: Some(spec.frames),
            present: RangeSet::new(),
            returned_early: PageCount::ZERO,
            file: PagingFile::default(),
            vsp,
            vsp_outputs: Vec::new(),
            journal: VspJournal::new(&spec.name),
            frames: FrameJournal::new(&spec.name),
            name: spec.name,
            operation: None,
            operation_time: spec.operation_time,
            slowdown: spec.slowdown,
            work: VecDeque::new(),
            reports: Reports::default(),
            joined: false,
            known_to_balancer: false,
            unresponsive: false,
            restraint: spec.restraint,
            statistics: spec.statistics,
            recording: Recording::Host,
            say_left_out_at: None,
            reset_at: None,
            over: None,
            #[cfg(feature = "test-support")]
            sabotage: spec.sabotage,
        })
    }

    /// Maps the startup RAM, makes the partition and switches the guest on.
    fn start(&mut self, ctx: &mut Context<'_>) {
        let Some(frames) = self.startup.take() else { return };
        if let Some(vsp) = &self.vsp {
            self.journal.started(ctx, vsp.config());
        }
        // A VM that restarts may have got less than it boots with.
        let runs = self.page_out_beyond(frames.pages());
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
                let doorbell = self.doorbell.clone();
                let mut bus = HostBus::new(
                    self.server.clone(),
                    Arc::clone(&host),
                    self.doorbell.clone().into_fn(),
                    Arc::new(move || doorbell.now().into()),
                    self.lanes.clone(),
                );
                if ctx.recorder().is_some() {
                    bus.keep_frames();
                }
                self.bus = Some(bus);
                self.partition = Some(host);
                if !self.file.pages().is_zero() {
                    self.tell_machine_of_file(ctx);
                }
                self.offer_devices(ctx);
                tracing::info!(event = "vm_started", startup_mb = self.memory.pages().whole_mib());
                self.tell_balancer(ctx, BalancerInput::VmStarted { vm: self.vm });
            }
            Err(error) => self.fail(error.0),
        }
    }

    fn fail(&mut self, why: String) {
        tracing::error!(event = "vm_failed", why = why.as_str());
        self.over.get_or_insert(WorkerEnd::Failed(why));
    }

    fn tell_balancer(&self, ctx: &mut Context<'_>, input: BalancerInput) {
        ctx.send(&self.balancer, BalancerMessage::Input(input));
    }

    fn returnable(&self) -> PageCount {
        self.vsp.as_ref().map_or(PageCount::ZERO, |vsp| vsp.pages().ballooned().pages())
    }

    fn now(ctx: &Context<'_>) -> Duration {
        ctx.now().into()
    }

    fn message(&mut self, ctx: &mut Context<'_>, message: WorkerMessage) {
        match message {
            order @ (WorkerMessage::Grant { .. } | WorkerMessage::Shrink { .. }) if self.file.is_asking() => {
                self.file.defer(order);
            }
            WorkerMessage::Grant { operation, frames } => {
                let pages = frames.pages();
                merge(&mut self.granted, frames);
                let due = Self::now(ctx) + self.operation_time.of(pages, self.slowdown.get(), true);
                tracing::info!(event = "grant", pages = pages.get(), operation = operation.0);
                self.begin(operation, true);
                self.push_work(due, Work::Grow { pages });
            }
            WorkerMessage::Shrink { operation, pages } => {
                tracing::info!(event = "shrink", pages = pages.get(), operation = operation.0);
                self.begin(operation, false);
                self.vsp(ctx, Input::Shrink { pages });
            }
            WorkerMessage::ShutDown => {
                if self.running.is_some() {
                    tracing::info!(event = "shutdown_requested");
                }
                let asked = self.with_devices(|devices, around| {
                    devices.shut_down(Self::now(ctx), around).unwrap_or(false)
                });
                let asked = asked.unwrap_or(false);
                // A guest without that service has to be asked in another way.
                if let Some(running) = self.running.as_mut().filter(|_| !asked) {
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

    /// The balancer waits for an operation from now on, and what the guest does for it may be recorded.
    fn begin(&mut self, id: OperationId, begun: bool) {
        self.operation = Some(Operation { id, begun, cause: trace::cause() });
        self.restraint.lock().operation_begins();
    }

    fn power_event(&mut self, ctx: &mut Context<'_>, event: PowerEvent) {
        match event {
            PowerEvent::Login if self.logged_in => {}
            PowerEvent::Login => {
                self.logged_in = true;
                tracing::info!(event = "login_screen");
                ctx.send(&self.vmms, VmmsMessage::LoggedIn(self.vm));
            }
            PowerEvent::PoweredOff => {
                self.over.get_or_insert(WorkerEnd::Orderly);
            }
            PowerEvent::Reset => {
                let may = self.restraint.lock().may_reset(Self::now(ctx));
                match may {
                    Ok(()) => self.reset(ctx),
                    Err(not_before) => self.reset_at = Some(not_before),
                }
            }
            PowerEvent::Crashed => self.fail("the guest has crashed".to_owned()),
            PowerEvent::Failed(why) => self.fail(why),
        }
    }

    fn next_wake(&self) -> NextWake {
        let vsp = self.vsp.as_ref().and_then(DmVsp::next_timeout);
        let work = self.work.front().map(|due| due.at);
        let report = self.reports.next_timeout();
        let device = self.bus.as_ref().and_then(|bus| self.devices.next_timeout(bus));
        let file =
            self.file.due().filter(|_| self.joined && self.operation.is_none() && self.work.is_empty());
        [vsp, work, report, device, self.say_left_out_at, self.reset_at, file]
            .into_iter()
            .flatten()
            .min()
            .map_or(NextWake::Idle, |at| NextWake::At(SimTime::from(at)))
    }

    /// Shows what is counted.
    fn count(&self) {
        let bus = self.bus.as_ref().map(HostBus::statistics).unwrap_or_default();
        *self.statistics.look() =
            VmStatistics { bus, map: MapStatistics::of(&self.memory), paged: self.file.pages() };
    }

    /// Ends the VM: the guest is switched off, and everything that it had goes home.
    fn end(&mut self, ctx: &mut Context<'_>, end: WorkerEnd) -> NextWake {
        if let Some(mut running) = self.running.take() {
            running.stop(ctx);
        }
        self.record_frames(ctx);
        self.journal.ends(ctx);
        self.say_what_was_left_out();
        self.record_open_channels();
        tracing::info!(event = "vm_stopped", failed = matches!(end, WorkerEnd::Failed(_)));
        ctx.send(&self.vmms, VmmsMessage::Ended { vm: self.vm, generation: self.generation, end });
        NextWake::Stopped
    }
}

impl Component for Worker {
    fn wake(&mut self, now: SimTime, cause: WakeCause, ctx: &mut Context<'_>) -> NextWake {
        if cause.started {
            self.start(ctx);
        }
        // A worker that wakes for its guest's report alone, as it does once a second, need not look into its mailboxes.
        if cause.message || cause.again {
            while let Some(message) = ctx.recv(&mut self.inbox) {
                self.message(ctx, message);
            }
            while let Some(event) = ctx.recv(&mut self.power.1) {
                self.heard(ctx, |worker, ctx| worker.power_event(ctx, event));
            }
        }
        if self.say_left_out_at.is_some_and(|due| SimTime::from(due) <= now) {
            self.say_what_was_left_out();
        }
        if let Some(bus) = &mut self.bus {
            bus.woken(now.into());
        }
        if self.over.is_none() {
            self.poll_bus(ctx);
            self.read_channels(ctx);
            if self.vsp.as_ref().and_then(DmVsp::next_timeout).is_some_and(|due| SimTime::from(due) <= now) {
                match self.operation.as_ref().map(|operation| operation.cause) {
                    Some(cause) => {
                        trace::set_cause(cause);
                        self.vsp(ctx, Input::Timer);
                    }
                    // Without an operation only a handshake has times, which the guest begins whenever it likes.
                    None => {
                        trace::set_cause(Cause::NONE);
                        self.heard(ctx, |worker, ctx| worker.vsp(ctx, Input::Timer));
                    }
                }
            }
            self.do_work(ctx);
            self.shrink_file(ctx);
            if self.reset_at.take_if(|due| SimTime::from(*due) <= now).is_some() {
                self.heard(ctx, |worker, ctx| worker.power_event(ctx, PowerEvent::Reset));
            }
            self.settle_bus(ctx);
            self.pass_on_what_devices_say(ctx);
            self.pass_report_on(ctx);
            self.record_frames(ctx);
        }
        self.count();
        match self.over.take() {
            Some(end) => self.end(ctx, end),
            None => self.next_wake(),
        }
    }
}
