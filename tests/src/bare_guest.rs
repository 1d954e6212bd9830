//! A guest without an operating system: it has a guest's side of a partition, speaks the bus and Dynamic Memory well enough to be
//! served, and does what a test's [`Play`] says.

use std::collections::VecDeque;
use std::time::Duration;

use component_runtime::{Address, Component, Context, NextWake, SimTime, WakeCause};
use dm_protocol::{
    Capabilities, CapabilitiesReport, MAX_GUEST_PAYLOAD, Message as DmMessage, Packet, StatusReport,
    Version as DmVersion, VersionRequest,
};
use machine_contract::{PartitionFactory, VmFactory};
use partition::{GuestRam as _, GuestSynic as _, HvStatus, Hypercalls as _, PowerEvent, SimulatedGuest};
use vmbus::control::message::{
    Body as _, CloseChannel, GpadlMessages, InitiateContact, Message, OpenChannel, Payload, UserData,
};
use vmbus::control::{DYNAMIC_MEMORY_CLASS, GpadlId, Relid, VMBUS_SINT, Version};
use vmbus::ring::{ChannelRings, OutgoingPacket, PacketBuffer, Role};

use crate::lone_guest::LoneGuestVm;

/// What a bare guest does.
pub trait Play: Send {
    /// Does the next thing, and says how long to wait then.
    fn act(&mut self, guest: &mut BareGuest, now: Duration, ctx: &mut Context<'_>) -> Duration;
}

/// A VM with a bare guest.
pub struct BareVm(LoneGuestVm);

impl BareVm {
    /// A VM whose guest does what `play` makes, anew with each boot.
    pub fn new<P: Play + 'static>(play: impl Fn() -> P + Send + Sync + 'static) -> Self {
        Self(LoneGuestVm::new("bare-guest", move |side, power| {
            let guest = BareGuest {
                side,
                power,
                relid: None,
                opened: false,
                heard: Vec::new(),
                rings: None,
                posts: VecDeque::new(),
                transaction: 0,
            };
            Box::new(Playing { play: Box::new(play()), next: Duration::ZERO, guest })
        }))
    }
}

impl VmFactory for BareVm {
    fn partition(&mut self) -> Box<dyn PartitionFactory> {
        self.0.partition()
    }
}

struct Playing {
    play: Box<dyn Play>,
    next: Duration,
    guest: BareGuest,
}

impl Component for Playing {
    fn wake(&mut self, now: SimTime, _cause: WakeCause, ctx: &mut Context<'_>) -> NextWake {
        let now = Duration::from(now);
        if now >= self.next {
            self.guest.listen();
            self.next = now + self.play.act(&mut self.guest, now, ctx);
            self.guest.flush();
        }
        NextWake::At(SimTime::from(self.next))
    }
}

/// The guest.
pub struct BareGuest {
    /// Its side of the partition.
    pub side: SimulatedGuest,
    power: Address<PowerEvent>,
    /// The channel of Dynamic Memory, once it is offered.
    pub relid: Option<Relid>,
    /// Whether the host has opened the channel since it was last asked to.
    pub opened: bool,
    /// Payloads of packets that came since it acted last.
    pub heard: Vec<Vec<u8>>,
    rings: Option<ChannelRings>,
    posts: VecDeque<Vec<u8>>,
    transaction: u64,
}

/// Two rings of 32 pages each.
const RING_PAGES: std::ops::Range<u64> = 4000..4064;
const HALF: u32 = 32;
const RING_GPADL: GpadlId = GpadlId(0xe1e10);

impl BareGuest {
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
        self.heard.clear();
        if let Some(rings) = &mut self.rings {
            let mut buffer = PacketBuffer::new();
            while let Ok(packet) = rings.read(&mut buffer) {
                self.heard.push(packet.payload.to_vec());
            }
            let _armed = rings.wait_for_packet();
        }
    }

    /// Tells the hypervisor of a power event, so many times; returns how often it took it.
    pub fn power(&self, ctx: &mut Context<'_>, event: &PowerEvent, times: u64) -> u64 {
        (0..times).filter(|_| ctx.send(&self.power, event.clone())).count() as u64
    }

    /// Posts a channel message as soon as there is room.
    pub fn post(&mut self, payload: &[u8]) {
        self.posts.push_back(payload.to_vec());
    }

    /// Posts a channel message as often as there is room, 16 times at most; returns how often.
    #[must_use]
    pub fn post_at_once(&self, payload: &[u8]) -> u64 {
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

    /// Makes contact, and asks for the offers.
    pub fn contact(&mut self) {
        self.post(&contact());
        self.post(&Message::RequestOffers.to_payload());
    }

    /// Takes leave of the host: every channel is closed, every list released. What comes then is another driver's.
    pub fn unload(&mut self) {
        self.post(&Message::Unload.to_payload());
        (self.relid, self.rings, self.opened) = (None, None, false);
    }

    /// Closes the channel of Dynamic Memory. Its list stays.
    ///
    /// # Panics
    /// If it was not offered.
    pub fn close(&mut self) {
        self.opened = false;
        self.post(&CloseChannel::new(self.relid.expect("the channel is offered")).to_payload());
    }

    /// Opens the channel of Dynamic Memory, the first time after a list for its rings.
    ///
    /// # Panics
    /// If it was not offered.
    pub fn open(&mut self) {
        let (relid, pages): (Relid, Vec<u64>) =
            (self.relid.expect("the channel is offered"), RING_PAGES.collect());
        if self.rings.take().is_none() {
            let list: Vec<Payload> =
                GpadlMessages::new(relid, RING_GPADL, &pages).expect("it is short").collect();
            list.iter().for_each(|payload| self.post(payload));
        }
        for page in &pages {
            self.side.write(page * 4096, &[0; 128]).expect("it is boot RAM");
        }
        let mapped = self.side.pages(&pages).expect("it is boot RAM");
        self.rings = Some(ChannelRings::open(&mapped, HALF, Role::Guest).expect("a ring fits"));
        let open = OpenChannel {
            relid: relid.get().into(),
            open_id: relid.get().into(),
            ring_gpadl: RING_GPADL.0.into(),
            target_vp: 0.into(),
            downstream_page_offset: HALF.into(),
            user_data: UserData::ZERO,
        };
        self.post(&open.to_payload());
    }

    /// Says version 2.0 and the capabilities, without waiting for the answers.
    pub fn handshake(&mut self) {
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

    /// Reports so many committed pages; `false` if there is no room.
    pub fn report(&mut self, committed: u64) -> bool {
        self.send(DmMessage::StatusReport(StatusReport {
            available: 1000,
            committed,
            ..StatusReport::default()
        }))
    }

    /// Sends a message of Dynamic Memory; `false` if there is no room.
    ///
    /// # Panics
    /// If it is too long for the protocol.
    pub fn send(&mut self, message: DmMessage<'_>) -> bool {
        let mut buffer = [0; MAX_GUEST_PAYLOAD];
        let packet = Packet { trans_id: self.transaction as u32, message };
        let bytes = packet.encode(&mut buffer).expect("it fits").to_vec();
        self.write(&bytes)
    }

    /// Sends any bytes as a packet; `false` if there is no room.
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        let (Some(rings), Some(relid)) = (&mut self.rings, self.relid) else { return false };
        self.transaction += 1;
        let written = rings.write(&OutgoingPacket::in_band(self.transaction, bytes)).is_ok();
        if rings.commit_write().is_ok_and(vmbus::ring::Signal::is_needed) {
            let _signalled = self.side.signal_event(16 + relid.get(), 0);
        }
        written
    }
}

/// INITIATE_CONTACT of version 4.0.
#[must_use]
pub fn contact() -> Payload {
    InitiateContact::with_interrupt_page(Version::WIN10, 0, 0, [0, 0]).to_payload()
}
