//! The guest's end of VMBus: carries out what [`vmbus::control::client`] decides, and gives drivers their channels.
//!
//! This is what `hv_vmbus` is in Linux and `vmbus.sys` in Windows. The bus knows drivers by the class of their device and
//! nothing else of them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use component_runtime::lanes::{CauseLanes, Lane};
use guest_memory_manager::Guest;
use model_sync::Mutex;
use page_range::{GuestPage, PageCount};
use partition::{GuestRam, GuestSynic, Hypercalls};
use vmbus::control::client::{Client, ClientConfig, Offer, OpenParams, Output};
use vmbus::control::{GpadlId, PostStatus, Relid, VMBUS_SINT, Version};
use vmbus::ring::{
    BufferRange, ChannelRings, Corruption, OutgoingPacket, PacketBuffer, PacketType, ReadError, Role, Wait,
    WriteError,
};

use crate::driver::{ChannelDriver, DriverOutput};

/// What a hypervisor gives a guest.
pub trait GuestSide: GuestRam + Hypercalls + GuestSynic {}

impl<T: GuestRam + Hypercalls + GuestSynic> GuestSide for T {}

/// How often a writer looks for room in the ring of a host that does not say when there is some (documented: 20 ms in
/// Linux' DM driver).
const POLL_FOR_ROOM: Duration = Duration::from_millis(20);

/// How soon pages for rings are asked for again when there were none (invented): a guest short of memory needs its Dynamic
/// Memory driver most.
const RETRY_PAGES: Duration = Duration::from_secs(1);

/// While so many packets wait for room, nothing is read that might lead to more (invented).
const WAITING_PACKETS: usize = 256;

/// Packets that wait for room, at most: four times what the longest answer to one request takes, 585,728 single pages at 510
/// in a message (invented). What comes on top is lost, as if the driver had given up.
const MOST_WAITING_PACKETS: usize = 4096;

/// What the owner of the bus has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BusNews {
    /// A version was agreed.
    Connected(Version),
    /// There is no contact.
    Failed(String),
    /// The host has forgotten us.
    Unloaded,
    /// The host broke a rule.
    HostViolation(String),
    /// A driver's channel could not be opened.
    NotOpened(String),
    /// The host did not take a message; there is still contact.
    NotPosted(String),
    /// A driver wants the guest to shut down, or (`true`) to restart.
    ShutDown { restart: bool },
}

/// How far a channel has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The host has been told of the rings' pages.
    Sharing,
    /// The host has been asked to open the channel.
    Opening,
    /// The channel is in use.
    Open,
}

/// A channel in use by a driver.
struct Channel {
    relid: Relid,
    /// Where its signals go.
    connection_id: u32,
    stage: Stage,
    /// To be closed as soon as the host has answered: until then its pages are the host's to use.
    unwanted: bool,
    gpadl: GpadlId,
    pages: Vec<GuestPage>,
    rings: ChannelRings,
    next_transaction: u64,
    /// Packets that found no room in the ring.
    waiting: VecDeque<Packet>,
    /// When to look for room again, if the host does not say when there is some.
    poll_at: Option<Duration>,
}

/// A packet to be sent.
struct Packet {
    kind: Sent,
    payload: Vec<u8>,
}

/// What a packet is to the host.
#[derive(Clone, Copy)]
enum Sent {
    Message,
    /// The completion of a transaction of the host's.
    Completion(u64),
    /// A transaction that the host is to complete; the bytes of page ranges before its message.
    Request(u64, usize),
}

impl Packet {
    fn in_band(payload: Vec<u8>) -> Self {
        Self { kind: Sent::Message, payload }
    }

    fn completion(transaction_id: u64) -> Self {
        Self { kind: Sent::Completion(transaction_id), payload: Vec::new() }
    }

    fn request(number: u64, payload: Vec<u8>, buffer: Option<BufferRange>) -> Self {
        let (payload, ranges) = match buffer {
            None => (payload, 0),
            Some(range) => BufferRange::encode(&[range], &payload),
        };
        Self { kind: Sent::Request(number, ranges), payload }
    }
}

impl Channel {
    fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// Writes the packet, to be seen by the host at the next flush; or queues it where there is no room.
    fn send(&mut self, lanes: &CauseLanes, packet: Packet) {
        if self.waiting.is_empty() && self.write(lanes, &packet).is_ok() {
            return;
        }
        if self.waiting.len() < MOST_WAITING_PACKETS {
            self.waiting.push_back(packet);
        }
    }

    fn write(&mut self, lanes: &CauseLanes, packet: &Packet) -> Result<(), WriteError> {
        let payload = &packet.payload;
        let outgoing = match packet.kind {
            Sent::Completion(transaction_id) => OutgoingPacket::completion(transaction_id, payload),
            Sent::Message => OutgoingPacket::in_band(self.next_transaction, payload),
            Sent::Request(number, 0) => OutgoingPacket::in_band(number, payload).requesting_completion(),
            Sent::Request(number, ranges) => OutgoingPacket::gpa_direct(number, payload, ranges),
        };
        let offset = self.rings.write(&outgoing)?;
        lanes.note(Lane::Upstream, self.relid.get(), offset);
        self.next_transaction += u64::from(matches!(packet.kind, Sent::Message));
        Ok(())
    }
}

/// Pages of rings that the host may still use.
struct Leaving {
    gpadl: GpadlId,
    pages: Vec<GuestPage>,
}

/// A driver, and the channel that it has.
struct Slot {
    driver: Box<dyn ChannelDriver>,
    channel: Option<Channel>,
}

pub(crate) struct GuestBus {
    client: Client,
    outputs: Vec<Output>,
    /// When the client is due: as it said when what it wanted was last carried out.
    client_due: Option<Duration>,
    side: Arc<dyn GuestSide>,
    guest: Arc<Mutex<Guest>>,
    lanes: CauseLanes,
    slots: Vec<Slot>,
    /// Pages of rings that the host may still use, until it says that it does not, or has forgotten us.
    leaving: Vec<Leaving>,
    /// Offers whose rings found no pages; they are tried again at `retry_at`.
    starved: Vec<Offer>,
    told_starved: bool,
    retry_at: Option<Duration>,
    news: Vec<BusNews>,
    /// Where packets are checked, and then copied from.
    buffer: PacketBuffer,
    /// What a driver wants, while it is carried out; empty otherwise. A report every second needs no new memory.
    wanted: Vec<DriverOutput>,
}

impl GuestBus {
    pub(crate) fn new(
        config: ClientConfig,
        side: Arc<dyn GuestSide>,
        guest: Arc<Mutex<Guest>>,
        lanes: CauseLanes,
        drivers: Vec<Box<dyn ChannelDriver>>,
    ) -> Self {
        Self {
            slots: drivers.into_iter().map(|driver| Slot { driver, channel: None }).collect(),
            news: Vec::new(),
            retry_at: None,
            client_due: None,
            lanes,
            side,
            client: Client::new(config),
            outputs: Vec::new(),
            guest,
            leaving: Vec::new(),
            starved: Vec::new(),
            told_starved: false,
            buffer: PacketBuffer::default(),
            wanted: Vec::new(),
        }
    }

    /// Makes contact with the host; whatever was agreed before is void.
    pub(crate) fn connect(&mut self, now: Duration) {
        self.lose_channels(now);
        self.client.connect(now, &mut self.outputs);
        self.carry_out(now);
    }

    /// Closes all channels and takes leave of the host.
    pub(crate) fn unload(&mut self, now: Duration) {
        for index in 0..self.slots.len() {
            self.close(index, now);
        }
        self.lose_channels(now);
        self.client.unload(now, &mut self.outputs);
        self.carry_out(now);
    }

    /// There is no contact any more. The pages of the rings stay away until the host has surely forgotten us.
    fn lose_channels(&mut self, now: Duration) {
        self.starved.clear();
        for index in 0..self.slots.len() {
            let Some(channel) = self.slots[index].channel.take() else { continue };
            self.lanes.forget(channel.relid.get());
            let was_open = channel.is_open();
            self.leaving.push(Leaving { gpadl: channel.gpadl, pages: channel.pages });
            if was_open {
                self.drive(index, now, |driver, out| driver.closed(now, out));
            }
        }
    }

    /// The pages of rings that the host does not use any more.
    fn free_left(&mut self, now: Duration, which: impl Fn(&Leaving) -> bool) {
        for leaving in std::mem::take(&mut self.leaving) {
            if which(&leaving) {
                self.free(now, &leaving.pages);
            } else {
                self.leaving.push(leaving);
            }
        }
    }

    /// Sends a packet on every open channel that no driver wanted sent.
    pub(crate) fn send_raw(&mut self, now: Duration, bytes: &[u8]) {
        for index in 0..self.slots.len() {
            if let Some(channel) = self.slots[index].channel.as_mut().filter(|channel| channel.is_open()) {
                channel.send(&self.lanes, Packet::in_band(bytes.to_vec()));
                self.flush(index, now);
            }
        }
    }

    /// Closes every channel; the offers stay.
    pub(crate) fn close_all(&mut self, now: Duration) {
        self.starved.clear();
        for index in 0..self.slots.len() {
            self.close(index, now);
        }
    }

    /// Opens the channels that were closed and are still offered.
    pub(crate) fn reopen_all(&mut self, now: Duration) {
        let offers: Vec<Offer> = self.client.offers().copied().collect();
        for offer in offers {
            match self.slot_of(offer.relid) {
                None => self.offered(now, offer),
                Some(index) => {
                    if let Some(channel) = &mut self.slots[index].channel {
                        channel.unwanted = false;
                    }
                }
            }
        }
        self.carry_out(now);
    }

    /// What happened since the last call.
    pub(crate) fn news(&mut self) -> Vec<BusNews> {
        std::mem::take(&mut self.news)
    }

    /// Handles messages, events, packets and timers, while `spend` allows.
    pub(crate) fn run(&mut self, now: Duration, spend: &mut dyn FnMut() -> bool) {
        while spend() {
            let Some(message) = self.side.take_message(0, VMBUS_SINT) else { break };
            traced::taken(&message);
            self.client.message(now, &message, &mut self.outputs);
            self.carry_out(now);
        }
        // Which channels were signalled does not matter: an empty ring costs one load.
        let _signalled = self.side.take_events(0, VMBUS_SINT);
        for index in 0..self.slots.len() {
            if self.slots[index].channel.as_ref().is_some_and(|channel| !channel.waiting.is_empty()) {
                self.flush(index, now);
            }
            self.read(index, now, spend);
        }
        self.timers(now, spend);
    }

    /// When `run` is to be called at the latest.
    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        let drivers = self.slots.iter().filter_map(|slot| {
            let poll = slot.channel.as_ref().and_then(|channel| channel.poll_at);
            [slot.driver.next_timeout(), poll].into_iter().flatten().min()
        });
        debug_assert_eq!(self.client_due, self.client.next_timeout());
        drivers.chain(self.client_due).chain(self.retry_at).min()
    }

    /// Handles what is due, and nothing that the host would have rung for.
    pub(crate) fn timers(&mut self, now: Duration, spend: &mut dyn FnMut() -> bool) {
        if self.retry_at.is_some_and(|due| due <= now) {
            self.retry_at = None;
            for offer in std::mem::take(&mut self.starved) {
                self.offered(now, offer);
            }
            self.told_starved = !self.starved.is_empty();
            self.carry_out(now);
        }
        for index in 0..self.slots.len() {
            let poll_at = self.slots[index].channel.as_ref().and_then(|channel| channel.poll_at);
            if poll_at.is_some_and(|due| due <= now) {
                self.flush(index, now);
                // The channel may have been left unread while too much waited to be sent.
                self.read(index, now, spend);
            }
        }
        if self.client_due.is_some_and(|due| due <= now) {
            self.client.timer(now, &mut self.outputs);
            self.carry_out(now);
        }
        for index in 0..self.slots.len() {
            if self.slots[index].driver.next_timeout().is_some_and(|due| due <= now) {
                self.drive(index, now, |driver, out| driver.timer(now, out));
            }
        }
        for index in 0..self.slots.len() {
            self.drive(index, now, |driver, out| driver.look(now, out));
        }
    }

    /// Calls a driver, and does what it wants.
    fn drive(
        &mut self,
        index: usize,
        now: Duration,
        call: impl FnOnce(&mut dyn ChannelDriver, &mut Vec<DriverOutput>),
    ) {
        let mut wanted = std::mem::take(&mut self.wanted);
        call(&mut *self.slots[index].driver, &mut wanted);
        let mut sent = false;
        for output in wanted.drain(..) {
            match output {
                DriverOutput::Send(payload) => {
                    if let Some(channel) = &mut self.slots[index].channel
                        && channel.is_open()
                    {
                        channel.send(&self.lanes, Packet::in_band(payload));
                        sent = true;
                    }
                }
                DriverOutput::Request { number, payload, buffer } => {
                    if let Some(channel) = &mut self.slots[index].channel
                        && channel.is_open()
                    {
                        channel.send(&self.lanes, Packet::request(number, payload, buffer));
                        sent = true;
                    }
                }
                DriverOutput::Close => {
                    if sent {
                        self.flush(index, now);
                    }
                    self.close(index, now);
                }
                DriverOutput::ShutDown => self.news.push(BusNews::ShutDown { restart: false }),
                DriverOutput::Restart => self.news.push(BusNews::ShutDown { restart: true }),
            }
        }
        self.wanted = wanted;
        if sent {
            self.flush(index, now);
        }
    }

    /// Writes what waits, as far as there is room.
    fn flush(&mut self, index: usize, now: Duration) {
        let Some(channel) = &mut self.slots[index].channel else { return };
        if !channel.is_open() {
            return;
        }
        channel.poll_at = None;
        let mut outcome = Ok(());
        while let Some(packet) = channel.waiting.pop_front() {
            match channel.write(&self.lanes, &packet) {
                // Larger than the ring can ever take: no host would see it.
                Ok(()) | Err(WriteError::TooLarge { .. }) => {}
                Err(WriteError::Full { needed }) => {
                    channel.waiting.push_front(packet);
                    if !channel.rings.peer_honours_pending_send_size() {
                        channel.poll_at = Some(now + POLL_FOR_ROOM);
                        break;
                    }
                    match channel.rings.wait_for_space(needed) {
                        Ok(done) => {
                            if done.signal.is_needed() {
                                let _status = self.side.signal_event(channel.connection_id, 0);
                            }
                            if done.wait == Wait::Armed {
                                break;
                            }
                        }
                        Err(corruption) => {
                            outcome = Err(corruption);
                            break;
                        }
                    }
                }
                Err(WriteError::Corrupt(corruption)) => {
                    channel.waiting.push_front(packet);
                    outcome = Err(corruption);
                    break;
                }
            }
        }
        match outcome.and_then(|()| channel.rings.commit_write()) {
            Ok(wanted) => {
                if wanted.is_needed() {
                    let _status = self.side.signal_event(channel.connection_id, 0);
                }
            }
            Err(corruption) => self.corrupt(index, now, corruption),
        }
    }

    /// Reads what the host has sent to a driver.
    fn read(&mut self, index: usize, now: Duration, spend: &mut dyn FnMut() -> bool) {
        loop {
            let Some(channel) = self.slots[index].channel.as_mut().filter(|channel| channel.is_open()) else {
                return;
            };
            // A host that asks and does not read the answers has to wait.
            if channel.waiting.len() >= WAITING_PACKETS || !spend() {
                return;
            }
            let read = channel.rings.read(&mut self.buffer).map(|packet| {
                let completed = packet.completion_requested.then_some(packet.transaction_id);
                (packet.offset, packet.kind, packet.transaction_id, completed, packet.payload.to_vec())
            });
            match read {
                Ok((offset, kind, transaction, completed, payload)) => {
                    self.lanes.follow(Lane::Downstream, channel.relid.get(), offset);
                    if let Some(transaction_id) = completed {
                        channel.send(&self.lanes, Packet::completion(transaction_id));
                        self.flush(index, now);
                    }
                    // Drivers here know no other packets.
                    match kind {
                        PacketType::IN_BAND
                            if transaction == 0 || !self.slots[index].driver.numbers_requests() =>
                        {
                            self.drive(index, now, |driver, out| driver.packet(now, &payload, out));
                        }
                        PacketType::COMPLETION => {
                            self.drive(index, now, |driver, out| {
                                driver.completed(now, transaction, &payload, out);
                            });
                        }
                        _ => {}
                    }
                }
                Err(ReadError::Empty) => match channel.rings.wait_for_packet() {
                    Ok(done) => {
                        if done.signal.is_needed() {
                            let _status = self.side.signal_event(channel.connection_id, 0);
                        }
                        if done.wait == Wait::Armed {
                            return;
                        }
                    }
                    Err(corruption) => return self.corrupt(index, now, corruption),
                },
                Err(ReadError::Corrupt(corruption)) => return self.corrupt(index, now, corruption),
            }
        }
    }

    fn corrupt(&mut self, index: usize, now: Duration, corruption: Corruption) {
        self.news.push(BusNews::HostViolation(corruption.to_string()));
        self.close(index, now);
    }

    /// Closes a driver's channel. Its pages are free when the host has let go of them.
    fn close(&mut self, index: usize, now: Duration) {
        let Some(channel) = &mut self.slots[index].channel else { return };
        if channel.is_open() {
            // Refused only where there is no such channel any more.
            let _gone = self.client.close(channel.relid, &mut self.outputs);
            self.take_back(index, now);
            self.drive(index, now, |driver, out| driver.closed(now, out));
        } else {
            channel.unwanted = true;
        }
        self.carry_out(now);
    }

    /// Asks the host for the pages of a channel that is not open (any more).
    fn take_back(&mut self, index: usize, now: Duration) {
        let Some(channel) = self.slots[index].channel.take() else { return };
        let Channel { relid, gpadl, pages, .. } = channel;
        self.lanes.forget(relid.get());
        self.leaving.push(Leaving { gpadl, pages });
        if self.client.teardown_gpadl(gpadl, &mut self.outputs).is_err() && !self.client.has_gpadl(gpadl) {
            // The host never had them, or has let go of them.
            self.free_left(now, |leaving| leaving.gpadl == gpadl);
        }
    }

    fn free(&self, now: Duration, pages: &[GuestPage]) {
        self.guest.lock().free_locked(now, pages);
    }

    fn slot_of(&self, relid: Relid) -> Option<usize> {
        self.slots.iter().position(|slot| slot.channel.as_ref().is_some_and(|channel| channel.relid == relid))
    }

    fn carry_out(&mut self, now: Duration) {
        while !self.outputs.is_empty() {
            for output in std::mem::take(&mut self.outputs) {
                match output {
                    Output::Post { connection_id, payload } => {
                        traced::posted(payload.as_bytes());
                        let status = self.side.post_message(connection_id, payload.as_bytes());
                        let status = PostStatus::from_hv_status(status as u16);
                        self.client.post_result(now, status, &mut self.outputs);
                    }
                    Output::Connected(version) => {
                        // A host that answers a new contact has forgotten the contact before.
                        self.free_left(now, |_| true);
                        self.news.push(BusNews::Connected(version));
                    }
                    Output::Failed(failure) => {
                        self.lose_channels(now);
                        self.news.push(BusNews::Failed(failure.to_string()));
                    }
                    Output::Offer(offer) => self.offered(now, offer),
                    Output::GpadlCreated { relid, gpadl, status } => {
                        let of = |channel: &Channel| channel.gpadl == gpadl && channel.relid == relid;
                        let found = self.slots.iter().position(|slot| slot.channel.as_ref().is_some_and(of));
                        if let Some(index) = found {
                            self.gpadl_created(index, now, status.is_success());
                        }
                    }
                    Output::GpadlTorndown(gpadl) => self.free_left(now, |leaving| leaving.gpadl == gpadl),
                    Output::Opened { relid, status } => {
                        if let Some(index) = self.slot_of(relid) {
                            self.opened(index, now, status.is_success());
                        }
                    }
                    Output::Rescinded(offer) => self.rescinded(now, &offer),
                    Output::Unloaded => {
                        self.free_left(now, |_| true);
                        self.news.push(BusNews::Unloaded);
                    }
                    Output::HostViolation(violation) => {
                        self.news.push(BusNews::HostViolation(violation.to_string()));
                    }
                    Output::NotPosted(failure) => self.news.push(BusNews::NotPosted(failure.to_string())),
                    Output::AllOffersDelivered | Output::Modified { .. } => {}
                }
            }
        }
        self.client_due = self.client.next_timeout();
    }

    fn offered(&mut self, now: Duration, offer: Offer) {
        let free = |slot: &Slot| slot.channel.is_none() && slot.driver.class() == offer.class;
        let Some(index) = self.slots.iter().position(free) else { return };
        if let Err(why) = self.prepare(index, now, offer) {
            self.news.push(BusNews::NotOpened(why));
        }
    }

    /// There are no pages for its rings: once more a little later.
    fn starve(&mut self, now: Duration, offer: Offer, why: String) {
        if self.starved.iter().all(|starved| starved.relid != offer.relid) {
            self.starved.push(offer);
        }
        if !std::mem::replace(&mut self.told_starved, true) {
            self.news.push(BusNews::NotOpened(why));
        }
        self.retry_at = Some(now + RETRY_PAGES);
    }

    /// Makes a driver's rings and shares them with the host.
    fn prepare(&mut self, index: usize, now: Duration, offer: Offer) -> Result<(), String> {
        let ring = self.slots[index].driver.ring_pages().max(2);
        let allocated = self.guest.lock().allocate_locked(now, PageCount(u64::from(ring) * 2));
        let pages = match allocated {
            Ok(pages) => pages,
            Err(error) => {
                self.starve(now, offer, error.to_string());
                return Ok(());
            }
        };
        let numbers: Vec<u64> = pages.iter().map(|page| page.0).collect();
        let made = self
            .side
            .pages(&numbers)
            .map_err(|error| error.to_string())
            .and_then(|mapped| {
                ChannelRings::open(&mapped, ring, Role::Guest).map_err(|error| error.to_string())
            })
            .and_then(|rings| {
                let gpadl = self
                    .client
                    .establish_gpadl(offer.relid, &numbers, &mut self.outputs)
                    .map_err(|error| error.to_string())?;
                Ok((rings, gpadl))
            });
        match made {
            Ok((rings, gpadl)) => {
                self.slots[index].channel = Some(Channel {
                    pages,
                    gpadl,
                    unwanted: false,
                    rings,
                    next_transaction: 0,
                    waiting: VecDeque::new(),
                    poll_at: None,
                    relid: offer.relid,
                    connection_id: offer.connection_id,
                    stage: Stage::Sharing,
                });
                Ok(())
            }
            Err(why) => {
                self.free(now, &pages);
                Err(why)
            }
        }
    }

    fn gpadl_created(&mut self, index: usize, now: Duration, ok: bool) {
        let Some(channel) = &mut self.slots[index].channel else { return };
        let (relid, gpadl) = (channel.relid, channel.gpadl);
        if channel.unwanted {
            return self.take_back(index, now);
        }
        let downstream_offset = u32::try_from(channel.pages.len() / 2).unwrap_or(u32::MAX);
        let params = OpenParams::new(gpadl, downstream_offset);
        channel.stage = Stage::Opening;
        if !ok || self.client.open(relid, &params, &mut self.outputs).is_err() {
            self.news.push(BusNews::NotOpened(format!("the host did not take the rings of channel {relid}")));
            self.take_back(index, now);
        }
    }

    fn opened(&mut self, index: usize, now: Duration, ok: bool) {
        let Some(channel) = &mut self.slots[index].channel else { return };
        let relid = channel.relid;
        if ok {
            channel.stage = Stage::Open;
            if channel.unwanted {
                let _gone = self.client.close(relid, &mut self.outputs);
                self.take_back(index, now);
            } else {
                // What the host may have sent before it answered is read with everything else.
                self.drive(index, now, |driver, out| driver.opened(now, out));
            }
        } else {
            self.news.push(BusNews::NotOpened(format!("the host refused to open channel {relid}")));
            self.take_back(index, now);
        }
    }

    fn rescinded(&mut self, now: Duration, offer: &Offer) {
        if let Some(index) = self.slot_of(offer.relid)
            && let Some(channel) = self.slots[index].channel.take()
        {
            self.lanes.forget(offer.relid.get());
            let was_open = channel.is_open();
            // The host stopped using the rings when it took the channel back, and holds their pages until it says so.
            self.leaving.push(Leaving { gpadl: channel.gpadl, pages: channel.pages });
            if was_open {
                self.drive(index, now, |driver, out| driver.closed(now, out));
            }
        }
        self.starved.retain(|starved| starved.relid != offer.relid);
        let _unknown = self.client.release(offer.relid, &mut self.outputs);
        // There may be another device of this class that had no driver so far.
        let others: Vec<Offer> = self.client.offers_of(offer.class).copied().collect();
        for other in others {
            if self.slot_of(other.relid).is_none() {
                self.offered(now, other);
            }
        }
    }
}

mod traced;

#[cfg(test)]
mod tests;
