//! Both ends of the bus joined over a simulated partition, message by message, without a runtime.

use std::collections::BTreeMap;

use component_runtime::random::stream;
use gmo_memory_manager::{GmoMemoryManager, Pin};
use guest_memory_manager::{GuestConfig, IntegrationServices, PageFileSize, find_profile};
use machine_contract::HostPartition;
use page_range::{GuestRange, HostFrames, HostMemory, RangeSet};
use partition::{GuestMemory as _, SimulatedPartition};
use proptest::prelude::*;
use vmbus::control::Uuid;
use vmbus::control::server::{Offer as HostOffer, ServerConfig};
use vmms_host::bus::{BusEvent, HostBus, RequestId};

use super::*;

const RAM: PageCount = PageCount::from_mib(256);

/// A class of device that has nothing to do with memory.
const ECHO: Uuid = Uuid::from_bytes(*b"an echo device\0\0");
const OTHER: Uuid = Uuid::from_bytes(*b"another device\0\0");

fn instance(number: u8) -> Uuid {
    let mut bytes = [0; 16];
    bytes[0] = number;
    Uuid::from_bytes(bytes)
}

/// What a driver saw.
#[derive(Debug, Default)]
struct Seen {
    opened: u32,
    closed: u32,
    packets: Vec<Vec<u8>>,
    /// Sent when the channel opens.
    greeting: Vec<u8>,
    /// Answers to each packet.
    answers: usize,
}

struct TestDriver(Uuid, Arc<Mutex<Seen>>);

impl ChannelDriver for TestDriver {
    fn class(&self) -> Uuid {
        self.0
    }
    fn opened(&mut self, _now: Duration, out: &mut Vec<DriverOutput>) {
        let mut seen = self.1.lock();
        seen.opened += 1;
        out.push(DriverOutput::Send(seen.greeting.clone()));
    }
    fn packet(&mut self, _now: Duration, payload: &[u8], out: &mut Vec<DriverOutput>) {
        let mut seen = self.1.lock();
        seen.packets.push(payload.to_vec());
        out.extend((0..seen.answers).map(|_| DriverOutput::Send(vec![7; 2048])));
    }
    fn closed(&mut self, _now: Duration, _out: &mut Vec<DriverOutput>) {
        self.1.lock().closed += 1;
    }
    fn timer(&mut self, _now: Duration, _out: &mut Vec<DriverOutput>) {}
    fn next_timeout(&self) -> Option<Duration> {
        None
    }
}

fn ram() -> GuestRange {
    GuestRange::new(GuestPage(0), RAM).unwrap()
}

/// A guest that boots, with its bus.
fn switched_on(
    partition: &SimulatedPartition,
    drivers: &[Arc<Mutex<Seen>>; 2],
    lanes: CauseLanes,
) -> (Arc<Mutex<Guest>>, GuestBus) {
    let config = GuestConfig {
        profile: *find_profile("ws2008-r2-sp1").unwrap(),
        services: IntegrationServices::Current,
        ram: vec![ram()],
        page_file: PageFileSize::Fixed(RAM),
    };
    let memory = Arc::new(Mutex::new(Guest::new(&config, Duration::ZERO, stream(1, "guest"))));
    let made: Vec<Box<dyn ChannelDriver>> = vec![
        Box::new(TestDriver(ECHO, Arc::clone(&drivers[0]))),
        Box::new(TestDriver(OTHER, Arc::clone(&drivers[1]))),
    ];
    let side = Arc::new(partition.guest());
    let bus = GuestBus::new(ClientConfig::default(), side, Arc::clone(&memory), lanes, made);
    (memory, bus)
}

struct Pair {
    partition: SimulatedPartition,
    host: HostBus,
    map: GmoMemoryManager,
    pins: BTreeMap<RequestId, Pin>,
    /// The host's bus is answered only before it is called the next time.
    late: bool,
    happened: Vec<BusEvent>,
    guest: GuestBus,
    memory: Arc<Mutex<Guest>>,
    drivers: [Arc<Mutex<Seen>>; 2],
    now: Duration,
}

fn all_frames() -> HostFrames {
    HostMemory::new(RAM, Arc::new(|| {})).1
}

impl Pair {
    fn new() -> Self {
        let partition = SimulatedPartition::new(1);
        partition.host().add(ram()).unwrap();
        let frames = all_frames();
        let mut map = GmoMemoryManager::new(&frames);
        map.map_ranges(&[ram()], frames).unwrap();
        let drivers = [Arc::<Mutex<Seen>>::default(), Arc::default()];
        let lanes = CauseLanes::default();
        let (memory, guest) = switched_on(&partition, &drivers, lanes.clone());
        let host: Arc<dyn HostPartition> = Arc::new(partition.host());
        Self {
            host: HostBus::new(
                ServerConfig::default(),
                host,
                Arc::new(|| {}),
                Arc::new(|| Duration::ZERO),
                lanes,
            ),
            guest,
            partition,
            map,
            pins: BTreeMap::new(),
            late: false,
            happened: Vec::new(),
            memory,
            drivers,
            now: Duration::ZERO,
        }
    }

    /// With both devices offered and open.
    fn connected() -> Self {
        let mut pair = Self::new();
        pair.offer(ECHO, 1);
        pair.offer(OTHER, 2);
        pair.guest.connect(pair.now);
        pair.settle();
        assert_eq!(pair.open_channels(), 2);
        pair
    }

    fn offer(&mut self, class: Uuid, number: u8) -> Option<Relid> {
        let offer = HostOffer::new(class, instance(number));
        self.host.offer(offer).ok()
    }

    fn run_host(&mut self) {
        self.answer_host();
        while self.host.poll(|| true) && !self.late {
            self.answer_host();
        }
        if !self.late {
            self.answer_host();
            self.check();
        }
    }

    /// Does what the host's bus asks, and takes down what it says, as a worker does.
    fn answer_host(&mut self) {
        while let Some(event) = self.host.next_event() {
            match event {
                BusEvent::Pin { request, pages } => {
                    let pinned = self.map.pin(&pages).map(|pin| self.pins.insert(request, pin));
                    let result = pinned.map(|before| assert!(before.is_none(), "{request} was asked twice"));
                    self.host.pinned(request, result.map_err(|error| error.to_string()));
                }
                BusEvent::Unpin(request) => {
                    // Of pages that could not be pinned there is no pin.
                    if let Some(pin) = self.pins.remove(&request) {
                        self.map.unpin(pin).unwrap();
                    }
                }
                other => self.happened.push(other),
            }
        }
    }

    fn run_guest(&mut self) {
        self.guest.run(self.now, &mut || true);
        let counted = self.memory.lock().counters().other_locked;
        assert_eq!(counted, self.locked().pages(), "pages of rings are lost, or are somebody else's");
    }

    /// Runs both until nothing is left to say.
    fn settle(&mut self) {
        for _ in 0..200 {
            self.now += Duration::from_millis(300);
            self.run_guest();
            self.run_host();
        }
    }

    fn open_channels(&self) -> usize {
        let open = |slot: &Slot| slot.channel.as_ref().is_some_and(Channel::is_open);
        self.guest.slots.iter().filter(|slot| open(slot)).count()
    }

    /// Pages that the guest has set aside for rings.
    fn locked(&self) -> RangeSet<GuestPage> {
        let channels = self.guest.slots.iter().filter_map(|slot| slot.channel.as_ref());
        let channels = channels.flat_map(|channel| &channel.pages);
        let leaving = self.guest.leaving.iter().flat_map(|leaving| &leaving.pages);
        channels.chain(leaving).filter_map(|&page| GuestRange::one(page)).collect()
    }

    /// What the guest may use for something else, and so might give away, the host must not have as rings; whenever the
    /// host has heard all that the guest has said.
    fn check(&self) {
        if !self.guest.client.all_posted() || self.host.waiting_messages() > 0 {
            return;
        }
        for run in self.map.mapped().difference(&self.locked()).runs() {
            assert_eq!(self.map.first_pinned(run), None, "the guest uses pages that the host has as rings");
        }
    }

    /// The VM is reset, as a worker does it: the guest boots anew.
    fn reset(&mut self) {
        self.host.reset();
        self.answer_host();
        self.partition.host().reset();
        self.partition.host().add(ram()).unwrap();
        (self.memory, self.guest) = switched_on(&self.partition, &self.drivers, CauseLanes::default());
    }

    fn read(&mut self, relid: Relid) -> Option<Vec<u8>> {
        self.host.read(relid).map(|packet| packet.payload)
    }
}

fn relid(number: u32) -> Relid {
    Relid::new(number).unwrap()
}

#[test]
fn two_devices_of_two_classes_carry_packets_both_ways() {
    let mut pair = Pair::new();
    pair.drivers[0].lock().greeting = b"greeting".to_vec();
    pair.drivers[1].lock().greeting = b"other...".to_vec();
    let (echo, other) = (pair.offer(ECHO, 1).unwrap(), pair.offer(OTHER, 2).unwrap());
    pair.guest.connect(pair.now);
    pair.settle();
    assert_eq!(pair.read(echo).as_deref(), Some(&b"greeting"[..]));
    assert_eq!(pair.read(other).as_deref(), Some(&b"other..."[..]));
    pair.host.send(echo, b"answer..").unwrap();
    pair.settle();
    assert_eq!(pair.drivers[0].lock().packets, [b"answer.."]);
    assert!(pair.drivers[1].lock().packets.is_empty());
}

#[test]
fn a_host_offers_rescinds_and_offers_again() {
    let mut pair = Pair::connected();
    for round in 1..20 {
        pair.host.rescind(relid(1));
        pair.settle();
        assert_eq!((pair.open_channels(), pair.drivers[0].lock().closed), (1, round));
        assert_eq!(pair.offer(ECHO, 1), Some(relid(1)), "its id was given back");
        pair.settle();
        assert_eq!((pair.open_channels(), pair.drivers[0].lock().opened), (2, round + 1));
    }
    assert_eq!(pair.memory.lock().counters().other_locked, PageCount(20));
    assert_eq!(pair.map.pinned_pages(), PageCount(20));
}

#[test]
fn of_two_devices_of_a_class_the_other_is_used_when_the_first_goes() {
    let mut pair = Pair::connected();
    pair.offer(ECHO, 3).unwrap();
    pair.settle();
    assert_eq!(pair.open_channels(), 2, "there is one driver for the class");
    pair.host.rescind(relid(1));
    pair.settle();
    assert_eq!(pair.open_channels(), 2);
    assert!(pair.host.is_open(relid(3)));
}

/// The answer to whether pages can be pinned may come at any time, and when nobody waits for it any more.
#[test]
fn a_bus_that_is_answered_late_goes_on_when_it_is_answered() {
    let mut pair = Pair::new();
    pair.late = true;
    pair.offer(ECHO, 1);
    pair.guest.connect(pair.now);
    for _ in 0..20 {
        pair.run_guest();
        let _questions = pair.host.poll(|| true);
    }
    assert_eq!((pair.open_channels(), pair.map.pinned_pages()), (0, PageCount::ZERO));
    pair.settle();
    assert_eq!((pair.open_channels(), pair.map.pinned_pages()), (1, PageCount(10)));
    // The guest has gone before the answer comes: the pages are pinned and let go of.
    pair.guest.close_all(pair.now);
    pair.settle();
    pair.guest.reopen_all(pair.now);
    for _ in 0..5 {
        pair.run_guest();
        let _questions = pair.host.poll(|| true);
    }
    pair.host.rescind(relid(1));
    pair.settle();
    assert_eq!((pair.open_channels(), pair.map.pinned_pages()), (0, PageCount::ZERO));
    assert!(pair.pins.is_empty());
}

/// A guest that closed while the host had not yet answered used to take its pages back under the host's hands.
#[test]
fn a_channel_that_is_being_opened_is_closed_when_the_host_has_answered() {
    for steps in 0..12 {
        let mut pair = Pair::new();
        pair.offer(ECHO, 1);
        pair.guest.connect(pair.now);
        for step in 0..steps {
            if step % 2 == 0 { pair.run_host() } else { pair.run_guest() }
        }
        pair.guest.close_all(pair.now);
        pair.run_guest();
        pair.settle();
        if pair.open_channels() == 0 {
            assert_eq!(pair.map.pinned_pages(), PageCount::ZERO);
            assert_eq!(pair.memory.lock().counters().other_locked, PageCount::ZERO);
            pair.guest.reopen_all(pair.now);
            pair.settle();
        }
        assert_eq!(pair.open_channels(), 1, "{steps}");
    }
}

/// A packet of a driver that asks for a completion: the host learns its kind, its transaction and that a completion is owed,
/// and the completion repeats the transaction. A driver that leaves the trailers of its packets stale is heard all the same.
#[test]
fn a_packet_that_asks_for_a_completion_gets_one() {
    let mut pair = Pair::connected();
    while pair.read(relid(1)).is_some() {}
    let asks = OutgoingPacket::in_band(0x1234, b"question").requesting_completion();
    let channel = pair.guest.slots[0].channel.as_mut().unwrap();
    let at = channel.rings.write(&asks).unwrap();
    let _signal = channel.rings.commit_write().unwrap();
    // The trailer's upper half, which names the packet's place in the ring.
    let trailer = channel.pages[1].0 * 4096 + u64::from(at) + 16 + 8 + 4;
    pair.partition.host().write(trailer, &[0xff; 4]).unwrap();
    let packet = pair.host.read(relid(1)).unwrap();
    assert_eq!((packet.kind, packet.transaction_id), (PacketType::IN_BAND, 0x1234));
    assert!(packet.completion_requested);
    assert_eq!(packet.payload, b"question");
    assert_eq!(pair.host.next_event(), Some(BusEvent::StaleTrailers(relid(1))));
    pair.host.complete(relid(1), packet.transaction_id, &[]).unwrap();
    let channel = pair.guest.slots[0].channel.as_mut().unwrap();
    let mut buffer = PacketBuffer::new();
    let completion = channel.rings.read(&mut buffer).unwrap();
    assert_eq!((completion.kind, completion.transaction_id), (PacketType::COMPLETION, 0x1234));
    assert_eq!(completion.payload, b"");
}

/// The host asks likewise, and the driver below the completion sees the message only.
#[test]
fn the_guest_completes_what_the_host_asks_to_be_completed() {
    let mut pair = Pair::connected();
    while pair.read(relid(1)).is_some() {}
    let gpa = pair.guest.slots[0].channel.as_ref().unwrap().pages[6].0 * 4096;
    pair.host.send(relid(1), b"question").unwrap();
    // The flag in the descriptor of the packet that was just written.
    pair.partition.host().write(gpa + 6, &1u16.to_le_bytes()).unwrap();
    pair.run_guest();
    assert_eq!(pair.drivers[0].lock().packets, [b"question"]);
    let completion = pair.host.read(relid(1)).unwrap();
    assert_eq!((completion.kind, completion.transaction_id), (PacketType::COMPLETION, 0));
    // A completion that nobody asked for is no message.
    pair.host.complete(relid(1), 7, b"nobody's").unwrap();
    pair.run_guest();
    assert_eq!(pair.drivers[0].lock().packets.len(), 1);
}

/// A guest that asks for completions and reads none is not heard until it does: what the host keeps for it is bounded.
#[test]
fn a_guest_that_reads_no_completions_has_to_wait() {
    let mut pair = Pair::connected();
    let mut asked = 0;
    let mut completed = 0;
    for round in 0..20 {
        let channel = pair.guest.slots[0].channel.as_mut().unwrap();
        let asks = OutgoingPacket::in_band(asked, b"").requesting_completion();
        while channel.rings.write(&asks).is_ok() {
            asked += 1;
        }
        let _signal = channel.rings.commit_write().unwrap();
        while let Some(packet) = pair.host.read(relid(1)) {
            if packet.completion_requested {
                pair.host.complete(relid(1), packet.transaction_id, &[]).unwrap();
                completed += 1;
            }
        }
        assert!(round < 10 || completed < asked, "{completed} of {asked}");
    }
    // It reads, and gets them all.
    for _ in 0..20 {
        let mut buffer = PacketBuffer::new();
        let channel = pair.guest.slots[0].channel.as_mut().unwrap();
        while channel.rings.read(&mut buffer).is_ok() {}
        let _signal = channel.rings.commit_read().unwrap();
        pair.run_host();
        while let Some(packet) = pair.host.read(relid(1)) {
            if packet.completion_requested {
                pair.host.complete(relid(1), packet.transaction_id, &[]).unwrap();
                completed += 1;
            }
        }
    }
    assert_eq!(completed, asked);
}

/// A guest short of memory needs its Dynamic Memory driver most.
#[test]
fn a_driver_without_pages_for_its_rings_gets_them_when_there_are_some() {
    let mut pair = Pair::new();
    pair.offer(ECHO, 1);
    let available = pair.memory.lock().counters().available;
    let all = pair.memory.lock().allocate_locked(pair.now, available).unwrap();
    pair.guest.connect(pair.now);
    for _ in 0..50 {
        pair.now += Duration::from_millis(300);
        pair.guest.run(pair.now, &mut || true);
        pair.host.poll(|| true);
    }
    assert_eq!(pair.open_channels(), 0);
    let told = pair.guest.news().into_iter().filter(|news| matches!(news, BusNews::NotOpened(_))).count();
    assert_eq!(told, 1, "it is told once");
    pair.memory.lock().free_locked(pair.now, &all);
    pair.settle();
    assert_eq!(pair.open_channels(), 1);
}

#[test]
fn a_guest_that_begins_anew_gets_everything_anew() {
    let mut pair = Pair::connected();
    pair.guest.connect(pair.now);
    assert_eq!(pair.drivers[0].lock().closed, 1);
    pair.settle();
    assert_eq!(pair.open_channels(), 2);
    assert_eq!(pair.memory.lock().counters().other_locked, PageCount(20));
}

#[test]
fn a_guest_that_leaves_has_its_pages_back_when_the_host_has_forgotten_it() {
    let mut pair = Pair::connected();
    pair.guest.unload(pair.now);
    assert_eq!(pair.locked().pages(), PageCount(20), "the host has not said so yet");
    pair.settle();
    assert!(pair.happened.contains(&BusEvent::Unloaded));
    assert_eq!(pair.locked().pages(), PageCount::ZERO);
    assert_eq!(pair.map.pinned_pages(), PageCount::ZERO);
}

#[test]
fn a_corrupt_ring_costs_its_channel_only_until_contact_is_renewed() {
    let mut pair = Pair::connected();
    let upstream = pair.guest.slots[0].channel.as_ref().unwrap().pages[0];
    pair.partition.host().write(upstream.0 * 4096, &0xffff_fff1u32.to_le_bytes()).unwrap();
    assert_eq!(pair.read(relid(1)), None);
    pair.settle();
    assert!(
        matches!(pair.happened[..], [.., BusEvent::Corrupt(..), BusEvent::Closed(..)]),
        "{:?}",
        pair.happened
    );
    assert_eq!(pair.open_channels(), 1);
    assert!(!pair.host.is_open(relid(1)) && pair.host.is_open(relid(2)));
}

#[test]
fn a_packet_that_no_ring_can_take_is_refused_and_blocks_nothing() {
    let mut pair = Pair::connected();
    let too_large = vec![1; 5 * 4096];
    let refused = pair.host.send(relid(1), &too_large);
    assert_eq!(refused, Err(vmms_host::bus::SendError::TooLarge));
    // As many as fill the ring, and more wait in the queue.
    for _ in 0..10 {
        pair.host.send(relid(1), &[2; 4000]).unwrap();
    }
    let refused = pair.host.send(relid(1), &too_large);
    assert_eq!(refused, Err(vmms_host::bus::SendError::TooLarge));
    pair.host.send(relid(1), b"the last").unwrap();
    pair.settle();
    assert_eq!(pair.drivers[0].lock().packets.len(), 11);
    assert_eq!(pair.drivers[0].lock().packets.last().unwrap(), b"the last");
}

#[test]
fn a_guest_that_reads_nothing_is_sent_no_more_than_so_much() {
    let mut pair = Pair::connected();
    let sent = (0..10_000).take_while(|_| pair.host.send(relid(1), &[3; 100]).is_ok()).count();
    assert!((256..1000).contains(&sent), "{sent}");
    pair.settle();
    assert_eq!(pair.drivers[0].lock().packets.len(), sent, "nothing that was taken is lost");
}

/// A host that asks and asks, and reads no answers: what the guest keeps for it is limited, and nothing of it is lost.
#[test]
fn a_host_that_reads_nothing_is_not_answered_without_end() {
    let mut pair = Pair::connected();
    pair.drivers[0].lock().answers = 10;
    let mut asked = 0;
    for _ in 0..100 {
        while pair.host.send(relid(1), b"?").is_ok() {
            asked += 1;
        }
        pair.run_guest();
        pair.run_host();
    }
    let channel = pair.guest.slots[0].channel.as_ref().unwrap();
    assert!(channel.waiting.len() < WAITING_PACKETS + 10, "{}", channel.waiting.len());
    let mut answers = 0;
    for _ in 0..100_000 {
        while pair.read(relid(1)).is_some() {
            answers += 1;
        }
        pair.run_guest();
        pair.run_host();
    }
    assert_eq!(answers, asked * 10 + 1, "with the greeting");
}

/// Posts without end and reads nothing: the host keeps no more than a slot's queue of answers, and takes no more posts.
#[test]
fn a_guest_that_posts_without_end_fills_its_own_buffers() {
    let mut pair = Pair::new();
    let side = pair.partition.guest();
    let mut refused = 0;
    for _ in 0..1000 {
        let unload = [16, 0, 0, 0, 0, 0, 0, 0];
        refused += usize::from(side.post_message(1, &unload) == partition::HvStatus::InsufficientBuffers);
        pair.run_host();
        assert!(pair.host.waiting_messages() <= 32, "{}", pair.host.waiting_messages());
    }
    // One answer in the slot, as many as may wait, and the port's own buffers.
    assert_eq!((1000 - refused, pair.happened.len()), (1 + 16 + 16, 1 + 16));
}

/// Contact voids what was agreed, the answer to the contact before included; the guest has to read all the same.
#[test]
fn a_guest_that_makes_contact_without_end_has_to_read() {
    use vmbus::control::message::{Body as _, InitiateContact};
    for vp in [0, 77] {
        let mut pair = Pair::new();
        let side = pair.partition.guest();
        let contact = InitiateContact::with_interrupt_page(Version::WIN10, vp, 0, [0, 0]).to_payload();
        let flood = |pair: &mut Pair| {
            let mut taken = 0;
            for _ in 0..1000 {
                taken += usize::from(side.post_message(1, &contact) == partition::HvStatus::Success);
                pair.run_host();
            }
            taken
        };
        // One in the slot, as many as may wait, and the port's own buffers.
        assert_eq!(flood(&mut pair), 1 + 16 + 16);
        assert_eq!(flood(&mut pair), 0);
        // A guest that reads goes on.
        for _ in 0..100 {
            let _stale = side.take_message(0, VMBUS_SINT);
            pair.run_host();
        }
        pair.guest.connect(pair.now);
        pair.offer(ECHO, 1);
        pair.settle();
        assert_eq!(pair.open_channels(), 1);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Host,
    Guest,
    Offer(u8),
    Rescind(u8),
    CloseAll,
    ReopenAll,
    Connect,
    Unload,
    Reset,
    Corrupt(u8, u16),
    Send(u8),
    /// From now on, or no more, the host's bus has to wait for its answers.
    Late(bool),
    Garbage(Vec<u8>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => Just(Step::Host),
        6 => Just(Step::Guest),
        2 => (0..4u8).prop_map(Step::Offer),
        2 => (1..5u8).prop_map(Step::Rescind),
        1 => Just(Step::CloseAll),
        1 => Just(Step::ReopenAll),
        1 => Just(Step::Connect),
        1 => Just(Step::Unload),
        1 => Just(Step::Reset),
        1 => (0..2u8, any::<u16>()).prop_map(|(slot, at)| Step::Corrupt(slot, at)),
        2 => (1..5u8).prop_map(Step::Send),
        1 => any::<bool>().prop_map(Step::Late),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Step::Garbage),
    ];
    prop::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever the two do to each other: no page of a ring is lost, the host never has pages as rings that the guest uses for
    /// something else, and when both have calmed down everything offered can be opened again.
    #[test]
    fn any_order_of_offers_closes_and_contacts_ends_well(steps in steps()) {
        let mut pair = Pair::connected();
        for step in steps {
            pair.now += Duration::from_millis(1);
            let now = pair.now;
            match step {
                Step::Host => {
                    let relids: Vec<Relid> = (1..6).map(relid).collect();
                    pair.run_host();
                    for relid in relids {
                        while pair.read(relid).is_some() {}
                    }
                }
                Step::Guest => pair.run_guest(),
                Step::Offer(number) => {
                    pair.offer(if number % 2 == 0 { ECHO } else { OTHER }, number);
                }
                Step::Rescind(number) => {
                    pair.host.rescind(relid(number.into()));
                }
                Step::CloseAll => pair.guest.close_all(now),
                Step::ReopenAll => pair.guest.reopen_all(now),
                Step::Connect => pair.guest.connect(now),
                Step::Unload => pair.guest.unload(now),
                Step::Reset => {
                    pair.reset();
                    pair.guest.connect(now);
                }
                Step::Corrupt(slot, at) => {
                    if let Some(channel) = &pair.guest.slots[usize::from(slot)].channel {
                        let page = channel.pages[usize::from(at) % channel.pages.len()];
                        let gpa = page.0 * 4096 + u64::from(at) % 4096 / 4 * 4;
                        let _gone = pair.partition.host().write(gpa, &u32::from(at).to_le_bytes());
                    }
                }
                Step::Send(number) => {
                    let _closed = pair.host.send(relid(number.into()), b"ping");
                }
                Step::Late(late) => pair.late = late,
                Step::Garbage(bytes) => {
                    let _full = pair.partition.guest().post_message(1, &bytes);
                }
            }
        }
        pair.late = false;
        pair.guest.connect(pair.now);
        pair.settle();
        for number in [1, 2, 3, 4] {
            while pair.read(relid(number)).is_some() {}
        }
        for number in 0..4 {
            pair.offer(if number % 2 == 0 { ECHO } else { OTHER }, number);
        }
        pair.settle();
        prop_assert_eq!(pair.open_channels(), 2, "{:?}", pair.happened);
        prop_assert_eq!(pair.locked().pages(), PageCount(20));
        pair.guest.unload(pair.now);
        pair.settle();
        prop_assert_eq!(pair.locked().pages(), PageCount::ZERO);
        prop_assert_eq!(pair.map.pinned_pages(), PageCount::ZERO);
    }
}
