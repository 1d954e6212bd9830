//! A whole host against one bad guest among good ones.
//!
//! The bad guest is no model of an operating system. It is a component that has a guest's side of a partition and does what
//! bytes say: posts anything, opens its channel and speaks the protocol well enough to get far into it, answers what it was asked
//! truly, falsely, twice or never, moves the indices of its rings, gives away what it does not have, resets itself.

use std::sync::Arc;
use std::time::Duration;

use component_runtime::{Address, Component, Context, EndReason, NextWake, SimTime, WakeCause};
use dm_protocol::{
    BalloonResponse, Capabilities, CapabilitiesReport, HotAddResponse, MAX_GUEST_PAYLOAD,
    Message as DmMessage, Packet, StatusReport, Version as DmVersion, VersionRequest, WireRange,
};
use model_sync::Mutex;
use page_range::{GuestRange, PageCount, RangeSet};
use partition::{GuestRam as _, GuestSynic as _, Hypercalls as _, PowerEvent, SimulatedGuest};
use vmbus::control::message::{
    Body as _, CloseChannel, GpadlMessages, GpadlTeardown, InitiateContact, Message, ModifyChannel,
    OpenChannel, RelidReleased, UserData,
};
use vmbus::control::{DYNAMIC_MEMORY_CLASS, GpadlId, Relid, VMBUS_SINT, Version};
use vmbus::ring::{ChannelRings, OutgoingPacket, PacketBuffer, Role};
use vmms_host::{VmState, VmmsCommand};

use crate::lone_guest::LoneGuestVm;
use crate::world::{self, World};

/// How far a bad guest got: so that a test can tell whether its inputs get anywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// Offers that it got.
    pub offers: u32,
    /// Channels that the host opened for it.
    pub opened: u32,
    /// Handshakes that the host completed with it.
    pub handshakes: u32,
    /// Balloon requests that it got.
    pub balloon_requests: u32,
    /// Unballoon requests that it got.
    pub unballoon_requests: u32,
    /// Hot-add requests that it got.
    pub hot_add_requests: u32,
    /// Channels that the host took back from it.
    pub rescinded: u32,
    /// Times that it booted.
    pub boots: u32,
    /// Protocol errors in the host's event log.
    pub logged: u32,
}

impl std::ops::AddAssign for Reached {
    fn add_assign(&mut self, other: Self) {
        self.offers += other.offers;
        self.opened += other.opened;
        self.handshakes += other.handshakes;
        self.balloon_requests += other.balloon_requests;
        self.unballoon_requests += other.unballoon_requests;
        self.hot_add_requests += other.hot_add_requests;
        self.rescinded += other.rescinded;
        self.boots += other.boots;
        self.logged += other.logged;
    }
}

/// Startup RAM of the bad guest, MiB.
const STARTUP: u64 = 64;
/// When everything is over.
const UNTIL: Duration = Duration::from_secs(240);

/// Two good guests and one that does what `bytes` say, on one host with Hyper-V's policy and not too much memory.
///
/// The host must not panic, must lose and make up no frame at any moment, and must go on serving the good guests: they reach
/// their login screens, keep at least what they started with, and are heard by the balancer to the end.
///
/// # Panics
/// If the host does otherwise: that is a bug of the host.
pub fn fuzz_host_bad_guest(bytes: &[u8]) -> Reached {
    let reached = Arc::new(Mutex::new(Reached::default()));
    let bad = BadVm {
        bytes: Arc::new(Mutex::new(Bytes { all: bytes.into(), at: 0 })),
        reached: Arc::clone(&reached),
    };
    let schedule_seed = bytes.first().filter(|first| **first > 127).map(|first| u64::from(*first));
    let mut config = world::host_config(1300);
    config.dynamic_memory.versions = vec![dm_vsp::ProtocolVersion::V0_3, dm_vsp::ProtocolVersion::V2_0];
    let (good1, good2) = (world::ordinary("linux", 1), world::ordinary("ws2008-r2-sp1-enterprise", 2));
    let consoles = [good1.console.clone(), good2.console.clone()];
    let vms = vec![
        world::vm("good1", world::settings(256, 256, 768), good1),
        world::vm("bad", world::settings(STARTUP, 16, 1024), bad.vm()),
        world::vm("good2", world::settings(512, 512, 1024), good2),
    ];
    let mut world = World::new(world::run_config(UNTIL, schedule_seed), config, vms);
    for vm in 0..3 {
        world.command_at(Duration::ZERO, VmmsCommand::Start(balancing_policy::VmId(vm)));
    }
    // More than there is, now and then: the host takes from whoever needs less.
    world.sawtooth_at(Duration::from_secs(20), &consoles[0], 500, Duration::from_secs(20));
    world.sawtooth_at(Duration::from_secs(60), &consoles[1], 500, Duration::from_secs(35));
    world.at(UNTIL - Duration::from_secs(1), |_, hands| {
        for vm in [0, 2] {
            let counters = hands.balancer.vm(balancing_policy::VmId(vm));
            let demand = counters.and_then(|counters| counters.demand);
            assert!(demand.is_some(), "good guest {vm} is not heard any more");
            assert!(hands.assigned(vm) >= PageCount::from_mib(256), "good guest {vm} has lost memory");
        }
    });
    let ended = world.run();
    assert_eq!(ended.trouble, None);
    assert_eq!(ended.end.panics, []);
    assert_eq!(ended.end.reason, EndReason::Until);
    for vm in [0, 2] {
        let status = ended.hands.vm(vm);
        assert_eq!((status.state, status.failures), (VmState::Running, 0), "good guest {vm}");
        assert!(status.login_at.is_some(), "good guest {vm} has not booted");
    }
    for (_, entry) in ended.hands.status.look().event_log.iter() {
        if entry.id == 12540 {
            // Hyper-V's words, and nobody else is accused.
            assert!(entry.text.starts_with("'bad' device "), "{}", entry.text);
            let words = "experienced a protocol error indicative of a deep system problem.";
            assert!(entry.text.contains(words) && entry.log == "Worker-Admin", "{}", entry.text);
            reached.lock().logged += 1;
        }
    }
    *reached.lock()
}

struct Bytes {
    all: Arc<[u8]>,
    at: usize,
}

impl Bytes {
    fn next(&mut self) -> Option<u8> {
        let byte = self.all.get(self.at).copied();
        self.at += 1;
        byte
    }

    fn byte(&mut self) -> u8 {
        self.next().unwrap_or_default()
    }

    fn number(&mut self, unit: u64) -> u64 {
        u64::from(self.byte()) * unit
    }

    fn some(&mut self, most: usize) -> Vec<u8> {
        let count = usize::from(self.byte()) % (most + 1);
        (0..count).map(|_| self.byte()).collect()
    }
}

/// What the bad guests of all boots share.
#[derive(Clone)]
struct BadVm {
    bytes: Arc<Mutex<Bytes>>,
    reached: Arc<Mutex<Reached>>,
}

impl BadVm {
    /// The VM, whose guest goes on with the bytes where it was when it booted last.
    fn vm(self) -> LoneGuestVm {
        LoneGuestVm::new("bad-guest", move |side, power| {
            self.reached.lock().boots += 1;
            Box::new(BadGuest {
                made: self.clone(),
                side,
                power,
                relid: None,
                rings: None,
                ring_pages: Vec::new(),
                next_gpadl: 0xe1e10,
                asked: Vec::new(),
                given: RangeSet::new(),
                added: RangeSet::new(),
                next: Duration::ZERO,
                transaction: 0,
            })
        })
    }
}

/// Something that the host asked for.
#[derive(Clone, Debug)]
enum Asked {
    Balloon(u64),
    Unballoon { ranges: Vec<GuestRange>, more: bool },
    HotAdd(GuestRange),
}

struct BadGuest {
    made: BadVm,
    side: SimulatedGuest,
    power: Address<PowerEvent>,
    relid: Option<Relid>,
    rings: Option<ChannelRings>,
    ring_pages: Vec<u64>,
    next_gpadl: u32,
    asked: Vec<Asked>,
    given: RangeSet<page_range::GuestPage>,
    added: RangeSet<page_range::GuestPage>,
    next: Duration,
    transaction: u64,
}

impl Component for BadGuest {
    fn wake(&mut self, now: SimTime, _cause: WakeCause, ctx: &mut Context<'_>) -> NextWake {
        let now = Duration::from(now);
        if now < self.next {
            return NextWake::At(SimTime::from(self.next));
        }
        let bytes = Arc::clone(&self.made.bytes);
        let mut bytes = bytes.lock();
        let Some(action) = bytes.next() else { return NextWake::Idle };
        self.act(action, &mut bytes, ctx);
        // Most of what it does follows at once; now and then it waits.
        self.next = now
            + match action >> 5 {
                0..5 => Duration::from_micros(50),
                5 | 6 => Duration::from_millis(300),
                _ => Duration::from_millis(200) * u32::from(bytes.byte()),
            };
        NextWake::At(SimTime::from(self.next))
    }
}

impl BadGuest {
    fn act(&mut self, action: u8, bytes: &mut Bytes, ctx: &mut Context<'_>) {
        match action % 32 {
            0..3 => self.connect(bytes),
            3..5 => self.take_messages(),
            5..7 => self.handshake(bytes),
            7..12 => self.read_ring(),
            12..17 => self.answer(bytes, false),
            17..19 => self.answer(bytes, true),
            19..21 => self.status(bytes),
            21 => self.any_answer(bytes),
            22 => {
                let payload = bytes.some(64);
                self.send(&payload);
            }
            23 => self.poke(bytes),
            24 => {
                let (id, payload) = (bytes.byte() % 6, bytes.some(240));
                let _status = self.side.post_message(u32::from(id), &payload);
            }
            25..28 => self.any_channel_message(bytes),
            28 => {
                let _status = self.side.signal_event(16 + u32::from(bytes.byte() % 8), 0);
            }
            29 => self.restart_ring(bytes),
            30 if action > 192 => {
                let event = match bytes.byte() {
                    0..8 => PowerEvent::Crashed,
                    8..16 => PowerEvent::PoweredOff,
                    16..32 => PowerEvent::Login,
                    _ => PowerEvent::Reset,
                };
                ctx.send(&self.power, event);
            }
            _ => {}
        }
    }

    fn post(&self, payload: &[u8]) {
        let _status = self.side.post_message(1, payload);
    }

    /// What a driver does from power-on until its channel is open, without waiting for answers that it can guess.
    fn connect(&mut self, bytes: &mut Bytes) {
        let variant = bytes.byte();
        self.take_messages();
        if variant < 200 {
            let vp = u32::from(variant > 190);
            self.post(
                InitiateContact::with_interrupt_page(Version::WIN10, vp, 0, [0, 0]).to_payload().as_bytes(),
            );
        }
        self.post(Message::RequestOffers.to_payload().as_bytes());
        let relid = self.relid.or_else(|| Relid::new(1 + u32::from(variant % 2)));
        let Some(relid) = relid else { return };
        // Rings of two pages, of five, or uneven; pages that follow each other, or that lie about.
        let (pages, split) = match variant % 8 {
            0 | 1 => (4, 2),
            2 => (7, 3),
            3 => (20, 15),
            _ => (10, 5),
        };
        let first = 1000 + bytes.number(4);
        let step = if variant % 16 < 12 { 1 } else { 3 };
        self.ring_pages = (0..pages).map(|index| first + index * step).collect();
        if variant % 32 == 31 {
            // Both rings in the same pages, partly.
            self.ring_pages[5] = self.ring_pages[0];
        }
        self.next_gpadl += 1;
        let gpadl = GpadlId(self.next_gpadl);
        self.rings = self
            .side
            .pages(&self.ring_pages)
            .ok()
            .and_then(|mapped| ChannelRings::open(&mapped, split, Role::Guest).ok());
        if let Ok(messages) = GpadlMessages::new(relid, gpadl, &self.ring_pages) {
            for payload in messages {
                self.post(payload.as_bytes());
            }
        }
        let open = OpenChannel {
            relid: relid.get().into(),
            open_id: relid.get().into(),
            ring_gpadl: gpadl.0.into(),
            target_vp: u32::from(variant % 64 == 63).into(),
            downstream_page_offset: split.into(),
            user_data: UserData::ZERO,
        };
        self.post(open.to_payload().as_bytes());
    }

    /// Empties the slot, as often as the host fills it meanwhile at most a few times.
    fn take_messages(&mut self) {
        for _ in 0..4 {
            let Some(bytes) = self.side.take_message(0, VMBUS_SINT) else { return };
            let mut reached = self.made.reached.lock();
            match Message::decode(&bytes) {
                Ok(Message::OfferChannel(offer)) => {
                    reached.offers += 1;
                    if offer.class.get() == DYNAMIC_MEMORY_CLASS {
                        self.relid = Relid::new(offer.relid.get());
                    }
                }
                Ok(Message::OpenChannelResult(result)) => {
                    reached.opened += u32::from(result.status.get() == 0);
                }
                Ok(Message::RescindChannelOffer(rescind)) => {
                    reached.rescinded += 1;
                    drop(reached);
                    if let Some(relid) = Relid::new(rescind.relid.get()) {
                        self.post(RelidReleased::new(relid).to_payload().as_bytes());
                    }
                }
                _ => {}
            }
        }
    }

    fn send(&mut self, payload: &[u8]) {
        let Some(rings) = &mut self.rings else { return };
        self.transaction += 1;
        let written = rings.write(&OutgoingPacket::in_band(self.transaction, payload));
        let signal = rings.commit_write().is_ok_and(vmbus::ring::Signal::is_needed);
        if let (Ok(_), true, Some(relid)) = (written, signal, self.relid) {
            let _status = self.side.signal_event(16 + relid.get(), 0);
        }
    }

    fn send_dm(&mut self, message: DmMessage<'_>) {
        let mut buffer = [0; MAX_GUEST_PAYLOAD];
        let trans_id = self.transaction as u32;
        if let Ok(bytes) = (Packet { trans_id, message }).encode(&mut buffer) {
            self.send(bytes);
        }
    }

    fn handshake(&mut self, bytes: &mut Bytes) {
        let variant = bytes.byte();
        let version = if variant.is_multiple_of(2) { DmVersion::V0_3 } else { DmVersion::V2_0 };
        self.send_dm(DmMessage::VersionRequest(VersionRequest { version, is_last_attempt: variant > 250 }));
        let capabilities = Capabilities::new(variant % 32 != 31, true, u32::from(variant % 4));
        self.send_dm(DmMessage::CapabilitiesReport(CapabilitiesReport {
            capabilities,
            min_page_count: 0,
            max_page_number: u64::MAX,
        }));
    }

    fn read_ring(&mut self) {
        let mut buffer = PacketBuffer::new();
        while let Some(rings) = &mut self.rings {
            let Ok(packet) = rings.read(&mut buffer) else { break };
            let mut reached = self.made.reached.lock();
            match Packet::decode(packet.payload).map(|packet| packet.message) {
                Ok(DmMessage::CapabilitiesResponse(response)) => {
                    reached.handshakes += u32::from(response.is_accepted);
                }
                Ok(DmMessage::BalloonRequest(request)) => {
                    reached.balloon_requests += 1;
                    self.asked.push(Asked::Balloon(request.num_pages.into()));
                }
                Ok(DmMessage::UnballoonRequest(request)) => {
                    reached.unballoon_requests += 1;
                    let ranges = request.ranges.iter().filter_map(|range| to_pages(*range)).collect();
                    self.asked.push(Asked::Unballoon { ranges, more: request.more_pages });
                }
                Ok(DmMessage::HotAddRequest(request)) => {
                    reached.hot_add_requests += 1;
                    self.asked.extend(to_pages(request.range).map(Asked::HotAdd));
                }
                _ => {}
            }
        }
        if let Some(rings) = &mut self.rings {
            let _signal = rings.wait_for_packet();
        }
    }

    /// Answers the oldest thing asked: truly, or not.
    fn answer(&mut self, bytes: &mut Bytes, falsely: bool) {
        self.read_ring();
        if self.asked.is_empty() {
            return;
        }
        let asked = self.asked.remove(0);
        let variant = bytes.byte();
        match asked {
            Asked::Balloon(pages) => {
                let boot = PageCount::from_mib(STARTUP).get();
                let mut free: RangeSet<page_range::GuestPage> =
                    GuestRange::between(4096, boot).into_iter().collect();
                free.remove_all(&self.given);
                let mut gift = free.take_highest(PageCount(pages).min(free.pages()));
                if falsely {
                    match variant % 4 {
                        // Its own ring; what it gave before; beyond its memory; more than was asked for.
                        0 => gift.extend(&ranges_of(&self.ring_pages)),
                        1 => gift.extend(&self.given),
                        2 => gift.extend(GuestRange::between(boot * 40, boot * 40 + 9)),
                        _ => gift.extend(&free.take_lowest(PageCount(u64::from(variant)))),
                    }
                }
                self.given.extend(&gift);
                let ranges: Vec<WireRange> = gift.runs().take(500).filter_map(to_wire).collect();
                let more_pages = falsely && variant > 240;
                self.send_dm(DmMessage::BalloonResponse(BalloonResponse { more_pages, ranges: &ranges }));
                if falsely && variant % 16 == 7 {
                    self.send_dm(DmMessage::BalloonResponse(BalloonResponse { more_pages, ranges: &ranges }));
                }
            }
            Asked::Unballoon { ranges, more } => {
                for range in ranges {
                    self.given.remove(range);
                }
                if more != falsely {
                    self.send_dm(DmMessage::UnballoonResponse);
                }
            }
            Asked::HotAdd(range) => {
                let all = range.pages().get() as u32;
                let (page_count, result) = match (falsely, variant % 4) {
                    (false, _) => (all, 1),
                    (true, 0) => (0, 0),
                    (true, 1) => (all / 2, 1),
                    (true, 2) => (u32::MAX, 7),
                    (true, _) => (0, 1),
                };
                self.added.insert(range);
                self.send_dm(DmMessage::HotAddResponse(HotAddResponse { page_count, result }));
            }
        }
    }

    fn any_answer(&mut self, bytes: &mut Bytes) {
        let ranges: Vec<WireRange> =
            (0..bytes.byte() % 4).filter_map(|_| WireRange::new(bytes.number(70), bytes.number(5))).collect();
        match bytes.byte() % 3 {
            0 => self.send_dm(DmMessage::BalloonResponse(BalloonResponse {
                more_pages: bytes.byte() > 128,
                ranges: &ranges,
            })),
            1 => self.send_dm(DmMessage::UnballoonResponse),
            _ => {
                let page_count = bytes.number(1000) as u32;
                self.send_dm(DmMessage::HotAddResponse(HotAddResponse { page_count, result: 1 }));
            }
        }
    }

    fn status(&mut self, bytes: &mut Bytes) {
        let variant = bytes.byte();
        let claim = match variant {
            0..16 => u64::MAX,
            16..32 => 1 << 40,
            _ => bytes.number(400),
        };
        let report = StatusReport {
            available: claim / 2,
            committed: claim,
            page_file_size: 0,
            zero_free: claim,
            page_file_writes: u32::MAX,
            io_diff: 0,
        };
        // One, or a flood.
        let times = if variant % 8 == 7 { 500 } else { 1 };
        for _ in 0..times {
            self.send_dm(DmMessage::StatusReport(report));
        }
    }

    /// Writes over a word of its rings, most often an index.
    fn poke(&mut self, bytes: &mut Bytes) {
        if self.ring_pages.is_empty() {
            return;
        }
        let which = bytes.byte();
        let half = self.ring_pages.len() / 2;
        let page = match which % 4 {
            0 | 1 => self.ring_pages[0],
            2 => self.ring_pages[half],
            _ => self.ring_pages[usize::from(which) % self.ring_pages.len()],
        };
        let offset = match which >> 4 {
            0..4 => 0,
            4..8 => 4,
            8 => 8,
            9 => 12,
            10 => 64,
            _ => bytes.number(16),
        };
        let value = match bytes.byte() {
            0..64 => u32::MAX,
            byte => u32::from(byte) * 8,
        };
        let _missing = self.side.write(page * 4096 + offset, &value.to_le_bytes());
    }

    /// The ring is begun anew under the host's hands.
    fn restart_ring(&mut self, bytes: &mut Bytes) {
        let split = 2 + u32::from(bytes.byte() % 8);
        self.rings = self
            .side
            .pages(&self.ring_pages)
            .ok()
            .and_then(|mapped| ChannelRings::open(&mapped, split, Role::Guest).ok());
    }

    fn any_channel_message(&mut self, bytes: &mut Bytes) {
        let relid = Relid::new(1 + u32::from(bytes.byte() % 4)).or(self.relid);
        let Some(relid) = relid else { return };
        let gpadl = GpadlId(self.next_gpadl - u32::from(bytes.byte() % 3));
        let payload = match bytes.byte() % 12 {
            0 => CloseChannel::new(relid).to_payload(),
            1 => GpadlTeardown::new(relid, gpadl).to_payload(),
            2 => RelidReleased::new(relid).to_payload(),
            3 => Message::Unload.to_payload(),
            4 => ModifyChannel::new(relid, bytes.byte().into()).to_payload(),
            5 => Message::RequestOffers.to_payload(),
            6 | 7 => {
                // Lists of any pages: beyond its memory, given away, twice, many.
                let count = 1 + bytes.number(3);
                let pages: Vec<u64> = (0..count).map(|_| bytes.number(97)).collect();
                if let Ok(messages) = GpadlMessages::new(relid, GpadlId(bytes.byte().into()), &pages) {
                    for payload in messages {
                        self.post(payload.as_bytes());
                    }
                }
                return;
            }
            8 => {
                // Given away, or newly added: pages that a later answer is about.
                let mut of = if bytes.byte() > 128 { self.given.clone() } else { self.added.clone() };
                let pages: Vec<u64> =
                    of.take_lowest(PageCount(8)).runs().flat_map(|run| run.start().0..run.end()).collect();
                if let Ok(messages) = GpadlMessages::new(relid, GpadlId(bytes.byte().into()), &pages) {
                    for payload in messages {
                        self.post(payload.as_bytes());
                    }
                }
                return;
            }
            _ => {
                let version = Version::new(u16::from(bytes.byte() % 8), u16::from(bytes.byte() % 4));
                let vp = if bytes.byte() > 200 { bytes.byte().into() } else { 0 };
                InitiateContact::with_interrupt_page(version, vp, bytes.number(1), [0, 0]).to_payload()
            }
        };
        self.post(payload.as_bytes());
    }
}

fn to_pages(range: WireRange) -> Option<GuestRange> {
    GuestRange::new(page_range::GuestPage(range.start()), PageCount(range.count()))
}

fn to_wire(range: GuestRange) -> Option<WireRange> {
    WireRange::new(range.start().0, range.pages().get())
}

fn ranges_of(pages: &[u64]) -> RangeSet<page_range::GuestPage> {
    pages.iter().filter_map(|&page| GuestRange::one(page_range::GuestPage(page))).collect()
}
