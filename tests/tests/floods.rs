//! A guest that does as much as it can: what the host records of it is limited, says what was left out, and can be replayed;
//! the guest beside it is recorded as ever.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use balancing_policy::VmId;
use component_runtime::{Address, Component, ComponentId, Context, NextWake, SimTime, WakeCause};
use dm_protocol::{
    Capabilities, CapabilitiesReport, MAX_GUEST_PAYLOAD, Message as DmMessage, Packet, StatusReport,
    Version as DmVersion, VersionRequest,
};
use dm_vsp::{DmVsp, Output};
use machine_contract::{
    HostPartition, PartitionError, PartitionFactory, PartitionRequest, RunningPartition, VmFactory,
};
use model_sync::Mutex;
use partition::{
    GuestMemory as _, GuestRam as _, GuestSynic as _, HvStatus, Hypercalls as _, PowerEvent, SimulatedGuest,
    SimulatedPartition,
};
use run_journal::{EventsLevel, Recorder, journal};
use vmbus::control::message::{
    Body as _, CloseChannel, GpadlMessages, InitiateContact, Message, OpenChannel, UserData,
};
use vmbus::control::{DYNAMIC_MEMORY_CLASS, GpadlId, Relid, VMBUS_SINT, Version};
use vmbus::ring::{ChannelRings, OutgoingPacket, PacketBuffer, Role};
use vmms_host::{RecordedVspInput, VmmsCommand};
use whole_stack_tests::world::{self, World};

/// What is done without pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flood {
    StatusReports,
    UnknownMessages,
    Reopenings,
    Contacts,
    OfferRequests,
    Logins,
    Resets,
    BrokenRules,
}

/// The time of the flood: the good guest has booted, and reports.
const FLOOD: std::ops::Range<Duration> = Duration::from_millis(60_000)..Duration::from_millis(60_050);
const UNTIL: Duration = Duration::from_secs(80);
/// Two rings of 32 pages each.
const PAGES: std::ops::Range<u64> = 4000..4064;

#[derive(Clone)]
struct FloodVm {
    flood: Flood,
    /// How often the guest did what it does.
    done: Arc<Mutex<u64>>,
}

impl VmFactory for FloodVm {
    fn partition(&mut self) -> Box<dyn PartitionFactory> {
        Box::new(self.clone())
    }
}

impl PartitionFactory for FloodVm {
    fn start(
        &mut self,
        ctx: &mut Context<'_>,
        request: &PartitionRequest<'_>,
    ) -> Result<Box<dyn RunningPartition>, PartitionError> {
        let partition = SimulatedPartition::new(1);
        let mut machine = FloodMachine { made: self.clone(), partition, component: None };
        machine.boot(ctx, request)?;
        Ok(Box::new(machine))
    }
}

struct FloodMachine {
    made: FloodVm,
    partition: SimulatedPartition,
    component: Option<ComponentId>,
}

impl FloodMachine {
    fn boot(&mut self, ctx: &mut Context<'_>, request: &PartitionRequest<'_>) -> Result<(), PartitionError> {
        for range in request.boot.runs() {
            self.partition.host().add(range).map_err(|error| PartitionError(error.to_string()))?;
        }
        let mut seat = ctx.seat("flooding-guest", Some(request.vm));
        (request.watch)(&mut seat);
        let side = self.partition.guest();
        side.on_interrupt(0, VMBUS_SINT, seat.doorbell().into_fn()).unwrap();
        self.component = Some(seat.start(Box::new(FloodGuest {
            made: self.made.clone(),
            side,
            power: request.power.clone(),
            step: Step::Contact,
            relid: None,
            opened: false,
            rings: None,
            posts: VecDeque::new(),
            next: Duration::ZERO,
            transaction: 0,
        })));
        Ok(())
    }
}

impl RunningPartition for FloodMachine {
    fn host(&self) -> Arc<dyn HostPartition> {
        Arc::new(self.partition.host())
    }

    fn reset(&mut self, ctx: &mut Context<'_>, request: &PartitionRequest<'_>) -> Result<(), PartitionError> {
        self.stop(ctx);
        self.partition.host().reset();
        self.boot(ctx, request)
    }

    fn shut_down(&mut self, _ctx: &mut Context<'_>) {}

    fn stop(&mut self, ctx: &mut Context<'_>) {
        if let Some(component) = self.component.take() {
            ctx.kill(component);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Contact,
    Open,
    Handshake,
    Run,
}

struct FloodGuest {
    made: FloodVm,
    side: SimulatedGuest,
    power: Address<PowerEvent>,
    step: Step,
    relid: Option<Relid>,
    opened: bool,
    rings: Option<ChannelRings>,
    posts: VecDeque<Vec<u8>>,
    next: Duration,
    transaction: u64,
}

impl Component for FloodGuest {
    fn wake(&mut self, now: SimTime, _cause: WakeCause, ctx: &mut Context<'_>) -> NextWake {
        let now = Duration::from(now);
        if now >= self.next {
            self.listen();
            self.next = now + self.act(now, ctx);
            self.flush();
        }
        NextWake::At(SimTime::from(self.next))
    }
}

impl FloodGuest {
    /// Takes whatever the host says.
    fn listen(&mut self) {
        while let Some(bytes) = self.side.take_message(0, VMBUS_SINT) {
            match Message::decode(&bytes) {
                Ok(Message::OfferChannel(offer)) if offer.class.get() == DYNAMIC_MEMORY_CLASS => {
                    self.relid = Relid::new(offer.relid.get());
                }
                Ok(Message::OpenChannelResult(result)) => self.opened = result.status.get() == 0,
                _ => {}
            }
        }
        if let Some(rings) = &mut self.rings {
            let mut buffer = PacketBuffer::new();
            while rings.read(&mut buffer).is_ok() {}
            let _armed = rings.wait_for_packet();
        }
    }

    /// Does the next thing, and says how long to wait then.
    fn act(&mut self, now: Duration, ctx: &mut Context<'_>) -> Duration {
        match self.step {
            Step::Contact => {
                self.post(&contact());
                self.post(&Message::RequestOffers.to_payload());
                self.step = Step::Open;
            }
            Step::Open if self.relid.is_some() => {
                self.open();
                self.step = Step::Handshake;
            }
            Step::Handshake if self.opened => {
                self.handshake();
                self.step = Step::Run;
            }
            Step::Run if FLOOD.contains(&now) => {
                let done = self.flood(ctx);
                *self.made.done.lock() += done;
                return Duration::from_micros(50);
            }
            Step::Run => {
                self.report();
                return Duration::from_secs(1).min(FLOOD.start.checked_sub(now).unwrap_or(Duration::MAX));
            }
            Step::Open | Step::Handshake => {}
        }
        if FLOOD.contains(&now) { Duration::from_micros(50) } else { Duration::from_millis(1) }
    }

    fn flood(&mut self, ctx: &mut Context<'_>) -> u64 {
        match self.made.flood {
            Flood::StatusReports => std::iter::from_fn(|| self.report().then_some(())).count() as u64,
            Flood::UnknownMessages => {
                let message = [0xee, 0xee, 8, 0, 0, 0, 0, 0];
                std::iter::from_fn(|| self.write(&message).then_some(())).count() as u64
            }
            Flood::Reopenings => {
                if !std::mem::take(&mut self.opened) {
                    return 0;
                }
                let relid = self.relid.unwrap();
                self.post(&CloseChannel::new(relid).to_payload());
                self.open();
                self.step = Step::Handshake;
                1
            }
            Flood::Contacts => self.post_at_once(&contact()),
            Flood::OfferRequests => self.post_at_once(&Message::RequestOffers.to_payload()),
            Flood::BrokenRules => self.post_at_once(&[99, 0, 0, 0]),
            Flood::Logins => self.power(ctx, &PowerEvent::Login, 16),
            Flood::Resets => self.power(ctx, &PowerEvent::Reset, 1),
        }
    }

    fn power(&self, ctx: &mut Context<'_>, event: &PowerEvent, times: u64) -> u64 {
        (0..times).filter(|_| ctx.send(&self.power, event.clone())).count() as u64
    }

    fn post(&mut self, payload: &[u8]) {
        self.posts.push_back(payload.to_vec());
    }

    fn post_at_once(&self, payload: &[u8]) -> u64 {
        (0..16).filter(|_| self.side.post_message(1, payload) == HvStatus::Success).count() as u64
    }

    fn flush(&mut self) {
        while let Some(payload) = self.posts.front() {
            if self.side.post_message(1, payload) != HvStatus::Success {
                break;
            }
            self.posts.pop_front();
        }
    }

    fn open(&mut self) {
        let (relid, pages): (Relid, Vec<u64>) = (self.relid.unwrap(), PAGES.collect());
        let gpadl = GpadlId(0xe1e10);
        if self.rings.take().is_none() {
            for payload in GpadlMessages::new(relid, gpadl, &pages).unwrap() {
                self.post(&payload);
            }
        }
        for page in &pages {
            self.side.write(page * 4096, &[0; 128]).unwrap();
        }
        let mapped = self.side.pages(&pages).unwrap();
        self.rings = Some(ChannelRings::open(&mapped, 32, Role::Guest).unwrap());
        let open = OpenChannel {
            relid: relid.get().into(),
            open_id: relid.get().into(),
            ring_gpadl: gpadl.0.into(),
            target_vp: 0.into(),
            downstream_page_offset: 32.into(),
            user_data: UserData::ZERO,
        };
        self.post(&open.to_payload());
    }

    fn handshake(&mut self) {
        self.send(DmMessage::VersionRequest(VersionRequest {
            version: DmVersion::V2_0,
            is_last_attempt: false,
        }));
        self.send(DmMessage::CapabilitiesReport(CapabilitiesReport {
            capabilities: Capabilities::new(true, true, 0),
            min_page_count: 0,
            max_page_number: u64::MAX,
        }));
    }

    fn report(&mut self) -> bool {
        self.send(DmMessage::StatusReport(StatusReport {
            available: 1000,
            committed: 10_000,
            page_file_size: 0,
            zero_free: 0,
            page_file_writes: 0,
            io_diff: 0,
        }))
    }

    fn send(&mut self, message: DmMessage<'_>) -> bool {
        let mut buffer = [0; MAX_GUEST_PAYLOAD];
        let packet = Packet { trans_id: self.transaction as u32, message };
        let bytes = packet.encode(&mut buffer).unwrap().to_vec();
        self.write(&bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> bool {
        let (Some(rings), Some(relid)) = (&mut self.rings, self.relid) else { return false };
        self.transaction += 1;
        let written = rings.write(&OutgoingPacket::in_band(self.transaction, bytes)).is_ok();
        if rings.commit_write().is_ok_and(vmbus::ring::Signal::is_needed) {
            let _signalled = self.side.signal_event(16 + relid.get(), 0);
        }
        written
    }
}

fn contact() -> vmbus::control::message::Payload {
    InitiateContact::with_interrupt_page(Version::WIN10, 0, 0, [0, 0]).to_payload()
}

/// What is left of a run.
struct Left {
    /// How often the guest did what it does.
    done: u64,
    /// What the record has of each VM in each second.
    events: BTreeMap<(String, u64), u64>,
    /// What the record says was left out.
    left_out: u64,
    /// Inputs of the bad guest's VSP in the journal, in each second.
    inputs: BTreeMap<u64, u64>,
    /// Inputs of its VSP that the journal says were left out, and in how many places.
    inputs_left_out: (u64, u64),
    is_equal: bool,
    logged: usize,
}

fn run(flood: Flood) -> Left {
    let (events, event_bytes) = run_journal::buffer();
    let (journal, journal_bytes) = run_journal::buffer();
    let recorder = Recorder::to_writers(Some(events), Some(journal), EventsLevel::All).unwrap();
    let mut config = world::host_config(4000);
    config.dynamic_memory.quiet_period = Duration::ZERO;
    config.dynamic_memory.versions = vec![dm_vsp::ProtocolVersion::V2_0];
    let bad = FloodVm { flood, done: Arc::default() };
    let done = Arc::clone(&bad.done);
    let vms = vec![
        world::vm("good", world::settings(256, 256, 768), world::ordinary("linux", 1)),
        world::vm("bad", world::settings(512, 512, 512), bad),
    ];
    let mut run = world::run_config(UNTIL, None);
    run.recorder = recorder.machine_recorder();
    let ended = tracing::dispatcher::with_default(&run_journal::dispatch(Some(&recorder), None), || {
        let mut world = World::new(run, config, vms);
        for vm in 0..2 {
            world.command_at(Duration::ZERO, VmmsCommand::Start(VmId(vm)));
        }
        world.run()
    });
    ended.assert_well();
    recorder.finish().unwrap();

    let (mut events, mut left_out) = (BTreeMap::new(), 0);
    for record in run_journal::events::Reader::new(&event_bytes.contents()[..]) {
        let record = record.unwrap();
        let Some(vm) = &record.vm else { continue };
        *events.entry((vm.to_string(), Duration::from(record.t).as_secs())).or_default() += 1;
        if &*record.event == "events_left_out" {
            left_out += record.field("count").and_then(run_journal::FieldValue::as_u64).unwrap();
        }
    }
    let (mut inputs, mut inputs_left_out) = (BTreeMap::new(), (0, 0));
    let mut machine: Option<DmVsp> = None;
    let journal_bytes = journal_bytes.contents();
    let reader = journal::Reader::new(&journal_bytes[..]).unwrap();
    let replay = run_journal::replay(reader, "dm-vsp/bad", |now, input: RecordedVspInput| {
        *inputs.entry(Duration::from(now).as_secs()).or_default() += 1;
        let mut out: Vec<Output> = Vec::new();
        match input {
            RecordedVspInput::Started(config) => machine = Some(DmVsp::new(*config).unwrap()),
            RecordedVspInput::Input(input) => machine.as_mut().unwrap().handle(now.into(), input, &mut out),
            RecordedVspInput::LeftOut { inputs, state } => {
                inputs_left_out = (inputs_left_out.0 + inputs, inputs_left_out.1 + 1);
                let config = machine.as_ref().unwrap().config().clone();
                machine = Some(DmVsp::restore(config, *state.unwrap(), now.into()).unwrap());
            }
        }
        out
    });
    Left {
        done: *done.lock(),
        events,
        left_out,
        inputs,
        inputs_left_out,
        is_equal: replay.unwrap().is_equal(),
        logged: ended.hands.status.look().event_log.len(),
    }
}

/// Events of a VM in a second, at most: 20 that it may cause, what the last of its doings leads to (a reset with all its
/// channels, say), and one that says what was left out.
const MOST: u64 = 20 + 10 + 1;

fn check(flood: Flood, at_least: u64) -> Left {
    let left = run(flood);
    assert!(left.done >= at_least, "{flood:?} was done {} times", left.done);
    for ((vm, second), &events) in &left.events {
        // Its boot is recorded for the host too: nothing of that can be caused at will.
        assert!(*second == 0 || vm != "bad" || events <= MOST, "{flood:?}: {events} in second {second}");
    }
    for (&second, &inputs) in &left.inputs {
        assert!(inputs <= MOST, "{flood:?}: {inputs} inputs in second {second}");
    }
    assert!(left.is_equal, "{flood:?}: the replay differs");
    assert!(left.logged <= 50, "{flood:?}: {} entries in the event log", left.logged);
    for second in 70..80 {
        let of_good = left.events.get(&("good".to_owned(), second)).copied().unwrap_or_default();
        assert!(of_good >= 2, "{flood:?}: the good guest is not recorded any more");
    }
    left
}

#[test]
fn a_flood_of_status_reports_or_of_unknown_messages_is_left_out_of_events_and_journal() {
    for flood in [Flood::StatusReports, Flood::UnknownMessages] {
        let left = check(flood, 100_000);
        // The report at the beginning of each second, and 19 more.
        assert!(left.left_out > left.done - 50, "{flood:?}: {} of {}", left.left_out, left.done);
        // Each is an input of the VSP, but for how full the two rings were, which is told for every sixteenth of a ring.
        let (inputs, times) = left.inputs_left_out;
        assert_eq!(times, 1, "{flood:?}");
        assert!(
            (inputs..=inputs + 2 * 16).contains(&left.left_out),
            "{flood:?}: {inputs} of {}",
            left.left_out
        );
    }
}

#[test]
fn a_flood_of_reopenings_is_left_out_of_events_and_journal() {
    let left = check(Flood::Reopenings, 100);
    assert!(left.left_out > left.done, "each is several things that the guest does");
    assert!(left.inputs_left_out.0 > left.done && left.inputs_left_out.1 == 1);
}

#[test]
fn a_flood_of_channel_messages_is_left_out() {
    for flood in [Flood::Contacts, Flood::OfferRequests, Flood::BrokenRules] {
        let left = check(flood, 1000);
        if flood != Flood::OfferRequests {
            assert!(left.left_out > left.done / 2, "{flood:?}: {} of {}", left.left_out, left.done);
        }
    }
}

#[test]
fn a_login_is_heard_once_and_a_guest_is_reset_once_a_second() {
    let left = check(Flood::Logins, 10_000);
    let second: u64 = left.events[&("bad".to_owned(), FLOOD.start.as_secs())];
    assert!(second <= MOST, "{second}");
    // It boots for three milliseconds, and is reset once a second.
    let left = check(Flood::Resets, 10);
    assert!(left.events[&("bad".to_owned(), FLOOD.start.as_secs() + 1)] > 0, "it is reset once more");
}
