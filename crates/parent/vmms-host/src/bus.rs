//! The host's end of a VM's VMBus: carries out what [`vmbus::control::server`] decides, and owns the open rings.
//!
//! It connects the protocol machine to a partition: messages through the guest's one slot with a queue in front of it,
//! pages of a GPADL by number, pinned in the memory map while the guest shares them, doorbells by connection id. It knows
//! channels, not devices: what a channel carries is the business of whoever offered it.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use component_runtime::lanes::{CauseLanes, Lane};
use gmo_memory_manager::{GmoMemoryManager, Pin};
use machine_contract::HostPartition;
use page_range::GuestPage;
use partition::{Doorbell, MappedPages};
use vmbus::control::queue::MessageQueue;
use vmbus::control::server::{
    ContactOrigin, Offer, OfferError, Output, RequestId, Rings, Server, ServerConfig, Violation,
};
use vmbus::control::{GpadlId, Relid, Status, VMBUS_SINT, Version};
use vmbus::ring::{
    ChannelRings, Corruption, OutgoingPacket, PacketBuffer, PacketType, ReadError, Role, Wait, WriteError,
};

/// Packets for the guest that wait for room in the ring, at most.
const WAITING_PACKETS: usize = crate::constants::WAITING_PACKETS.whole() as usize;

/// What happened on the bus that its owner has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusEvent {
    /// The guest made contact; with what preceded it.
    Contact(Version, ContactOrigin),
    /// The guest opened a channel.
    Opened(Relid),
    /// A channel is closed: by the guest, by contact renewed, or since its ring was found corrupt.
    Closed(Relid),
    /// The guest has taken its leave of the bus.
    Unloaded,
    /// The guest broke a rule of the channel protocol.
    Violation(Violation),
    /// The guest's ring broke a rule: the channel was closed and rescinded.
    Corrupt(Relid, Corruption),
    /// The guest's driver leaves the trailers of its packets stale. Told once for each time that the channel is opened: it
    /// changes nothing.
    StaleTrailers(Relid),
    /// A GPADL named pages that are not the guest's, or a channel could not be opened.
    Refused(String),
}

/// A packet from the guest's driver. Its bytes are a private copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedPacket {
    /// Its type.
    pub kind: PacketType,
    /// Chosen by the driver; a completion repeats it.
    pub transaction_id: u64,
    /// Whether the driver waits for a completion: the device owes it [`HostBus::complete`].
    pub completion_requested: bool,
    /// The message, with the padding of up to 7 bytes that the sender added.
    pub payload: Vec<u8>,
}

/// What a guest did not leave room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The channel is not open.
    #[error("the channel is not open")]
    NotOpen,
    /// The guest reads nothing, and the queue before the ring is full.
    #[error("the guest does not read its ring: {WAITING_PACKETS} packets wait")]
    Stuck,
    /// The packet is larger than the ring can ever take.
    #[error("the packet does not fit in the guest's ring")]
    TooLarge,
}

thread_local! {
    /// Where packets are checked, and then copied from. One for all channels that a thread reads, so that it stays in the
    /// processor's cache; it is taken while it is in use.
    static PACKET: Cell<PacketBuffer> = Cell::default();
}

/// In this order in memory: what a message from the guest takes comes first, up to the incoming ring's place.
#[repr(C)]
struct Channel {
    waiting: VecDeque<Waiting>,
    /// Those of `waiting` that are completions.
    waiting_completions: usize,
    rings: ChannelRings,
    target_vp: u32,
    next_transaction: u64,
    /// Whether the guest's trailers have been told of.
    told_trailers: bool,
}

impl Channel {
    /// The first packet that waited, or `last` if none did, is done with.
    fn drop_first(&mut self, last: &mut Option<Sending<'_>>) {
        match self.waiting.pop_front() {
            Some(first) => self.waiting_completions -= usize::from(first.completes.is_some()),
            None => *last = None,
        }
    }
}

/// A packet that waits for room in the ring.
struct Waiting {
    completes: Option<u64>,
    payload: Vec<u8>,
}

/// A packet to be sent.
#[derive(Clone, Copy)]
struct Sending<'a> {
    /// The transaction that it completes; none if it begins one.
    completes: Option<u64>,
    payload: &'a [u8],
}

impl Waiting {
    fn sending(&self) -> Sending<'_> {
        Sending { completes: self.completes, payload: &self.payload }
    }
}

impl Sending<'_> {
    fn to_waiting(self) -> Waiting {
        Waiting { completes: self.completes, payload: self.payload.to_vec() }
    }
}

/// The open channels by relid, next to each other: a VM has one or two, and looks at them whenever it is rung for.
#[derive(Default)]
struct Channels(Vec<(Relid, Channel)>);

impl Channels {
    fn find(&self, relid: Relid) -> Result<usize, usize> {
        self.0.binary_search_by_key(&relid, |&(known, _)| known)
    }

    fn get(&self, relid: Relid) -> Option<&Channel> {
        self.find(relid).ok().map(|at| &self.0[at].1)
    }

    fn get_mut(&mut self, relid: Relid) -> Option<&mut Channel> {
        self.find(relid).ok().map(|at| &mut self.0[at].1)
    }

    /// In the place of the one with this relid, if there is one.
    fn insert(&mut self, relid: Relid, channel: Channel) {
        match self.find(relid) {
            Ok(at) => self.0[at].1 = channel,
            Err(at) => self.0.insert(at, (relid, channel)),
        }
    }

    /// Whether there was one.
    fn remove(&mut self, relid: Relid) -> bool {
        self.find(relid).map(|at| self.0.remove(at)).is_ok()
    }

    fn iter(&self) -> impl Iterator<Item = (Relid, &Channel)> {
        self.0.iter().map(|(relid, channel)| (*relid, channel))
    }
}

struct Gpadl {
    pages: MappedPages,
    pin: Pin,
}

/// The host's end of one VM's bus.
///
/// In this order in memory: what every wake takes comes first.
#[repr(C)]
pub struct HostBus {
    channels: Channels,
    /// Set when the guest has posted or freed its slot: a signal alone, which is all that comes in the steady state, is no
    /// reason to look for messages.
    mail: Arc<AtomicBool>,
    lanes: CauseLanes,
    partition: Arc<dyn HostPartition>,
    server: Server,
    queue: MessageQueue,
    doorbell: Doorbell,
    mail_doorbell: Doorbell,
    gpadls: BTreeMap<GpadlId, Gpadl>,
    actions: Vec<Output>,
}

impl HostBus {
    /// A bus without channels. `doorbell` rings whenever the guest has posted, signalled or freed the message slot.
    pub fn new(
        config: ServerConfig,
        partition: Arc<dyn HostPartition>,
        doorbell: Doorbell,
        lanes: CauseLanes,
    ) -> Self {
        let server = Server::new(ServerConfig { processors: Some(partition.processors()), ..config });
        let mail = Arc::new(AtomicBool::new(false));
        let mail_doorbell: Doorbell = {
            let (mail, doorbell) = (Arc::clone(&mail), Arc::clone(&doorbell));
            Arc::new(move || {
                // Release: whoever sees the flag sees the message.
                mail.store(true, Ordering::Release);
                doorbell();
            })
        };
        for &connection_id in server.connection_ids() {
            // The ids are this server's own, in a partition that was just made: they cannot be in use.
            let opened = partition.open_message_port(connection_id, Arc::clone(&mail_doorbell));
            debug_assert!(opened.is_ok(), "{opened:?}");
        }
        let heard = partition.on_slot_free(0, VMBUS_SINT, Arc::clone(&mail_doorbell));
        debug_assert!(heard.is_ok(), "every partition has VP 0: {heard:?}");
        Self {
            channels: Channels::default(),
            mail,
            lanes,
            partition,
            server,
            queue: MessageQueue::default(),
            doorbell,
            mail_doorbell,
            gpadls: BTreeMap::new(),
            actions: Vec::new(),
        }
    }

    /// Offers a channel; a guest in contact learns of it at once.
    ///
    /// # Errors
    /// There are 2047 channels already.
    pub fn offer(
        &mut self,
        offer: Offer,
        memory: &mut GmoMemoryManager,
        events: &mut Vec<BusEvent>,
    ) -> Result<Relid, OfferError> {
        let relid = self.server.offer(offer, &mut self.actions)?;
        self.carry_out(memory, events);
        Ok(relid)
    }

    /// Takes a channel back; the guest's driver is told to let go of it.
    pub fn rescind(&mut self, relid: Relid, memory: &mut GmoMemoryManager, events: &mut Vec<BusEvent>) {
        self.server.rescind(relid, &mut self.actions);
        self.carry_out(memory, events);
    }

    /// The VM was reset: everything agreed is void.
    pub fn reset(&mut self, memory: &mut GmoMemoryManager, events: &mut Vec<BusEvent>) {
        self.server.reset(&mut self.actions);
        self.carry_out(memory, events);
    }

    /// The version agreed, while there is contact.
    pub fn version(&self) -> Option<Version> {
        self.server.version()
    }

    /// Whether the channel is open.
    pub fn is_open(&self, relid: Relid) -> bool {
        self.channels.get(relid).is_some()
    }

    /// Messages that wait for the guest to empty its slot.
    pub fn waiting_messages(&self) -> usize {
        self.queue.len()
    }

    /// Asks the processor for what the next [`poll`](Self::poll) looks at.
    pub(crate) fn prefetch(&self) {
        prefetch::value(&*self.channels.0);
        prefetch::line(&*self.mail);
    }

    /// Handles what the guest has posted, while `spend` allows, and moves waiting messages and packets on.
    pub fn poll(
        &mut self,
        memory: &mut GmoMemoryManager,
        events: &mut Vec<BusEvent>,
        mut spend: impl FnMut() -> bool,
    ) {
        if self.mail.swap(false, Ordering::AcqRel) {
            self.drain_queue();
            for &connection_id in self.server.connection_ids() {
                loop {
                    // A guest that does not read is heard again when it has; a worker that has done enough comes back.
                    if self.queue.is_congested() {
                        break;
                    }
                    if !spend() {
                        self.mail.store(true, Ordering::Release);
                        break;
                    }
                    let Some(message) = self.partition.take_posted(connection_id) else { break };
                    // The status matters to a hypervisor that asks while the guest waits; here the port was open.
                    let _status = self.server.message(connection_id, &message, &mut self.actions);
                    self.carry_out(memory, events);
                }
            }
        }
        let waiting: Vec<Relid> =
            self.channels.iter().filter(|(_, c)| !c.waiting.is_empty()).map(|(relid, _)| relid).collect();
        for relid in waiting {
            self.flush(relid, None, memory, events);
        }
    }

    /// A channel's next packet. When none is left the ring has been asked to signal. What led to the packet becomes the
    /// current cause.
    ///
    /// Nothing is read while [`WAITING_PACKETS`] completions wait for the guest, which has asked for them and does not read
    /// them: its next packet may ask for another. The guest signals when it has read, and is heard again.
    pub fn read(
        &mut self,
        relid: Relid,
        memory: &mut GmoMemoryManager,
        events: &mut Vec<BusEvent>,
    ) -> Option<ReceivedPacket> {
        let channel = self.channels.get_mut(relid)?;
        if channel.waiting_completions >= WAITING_PACKETS {
            self.pause_reading(relid, memory, events);
            return None;
        }
        loop {
            let mut buffer = PACKET.take();
            let read = channel.rings.read(&mut buffer).map(|packet| {
                let received = ReceivedPacket {
                    kind: packet.kind,
                    transaction_id: packet.transaction_id,
                    completion_requested: packet.completion_requested,
                    payload: packet.payload.to_vec(),
                };
                (packet.offset, received)
            });
            PACKET.set(buffer);
            match read {
                Ok((offset, packet)) => {
                    self.lanes.follow(Lane::Upstream, relid.get(), offset);
                    let stale = channel.rings.incoming_offsets.stale_trailers() > 0;
                    if stale && !std::mem::replace(&mut channel.told_trailers, true) {
                        events.push(BusEvent::StaleTrailers(relid));
                    }
                    return Some(packet);
                }
                Err(ReadError::Empty) => match channel.rings.wait_for_packet() {
                    Ok(done) => {
                        if done.signal.is_needed() {
                            signal(&*self.partition, channel.target_vp, relid);
                        }
                        if done.wait == Wait::Armed {
                            return None;
                        }
                    }
                    Err(corruption) => {
                        self.corrupt(relid, corruption, memory, events);
                        return None;
                    }
                },
                Err(ReadError::Corrupt(corruption)) => {
                    self.corrupt(relid, corruption, memory, events);
                    return None;
                }
            }
        }
    }

    /// Gives the space of the packets read so far back to the guest: for a reader that stops before the ring is empty.
    pub fn pause_reading(&mut self, relid: Relid, memory: &mut GmoMemoryManager, events: &mut Vec<BusEvent>) {
        let Some(channel) = self.channels.get_mut(relid) else { return };
        match channel.rings.commit_read() {
            Ok(wanted) if wanted.is_needed() => signal(&*self.partition, channel.target_vp, relid),
            Ok(_) => {}
            Err(corruption) => self.corrupt(relid, corruption, memory, events),
        }
    }

    /// Sends an in-band packet, or queues it if the ring has no room now.
    ///
    /// # Errors
    /// [`SendError`]; nothing was sent.
    pub fn send(
        &mut self,
        relid: Relid,
        payload: &[u8],
        memory: &mut GmoMemoryManager,
        events: &mut Vec<BusEvent>,
    ) -> Result<(), SendError> {
        self.send_or_queue(relid, Sending { completes: None, payload }, memory, events)
    }

    /// Completes a transaction of the guest's driver: sends the packet that it asked for, or queues it. There is room for the
    /// completion of everything that [`read`](Self::read) returns.
    ///
    /// # Errors
    /// [`SendError`]; nothing was sent.
    pub fn complete(
        &mut self,
        relid: Relid,
        transaction_id: u64,
        payload: &[u8],
        memory: &mut GmoMemoryManager,
        events: &mut Vec<BusEvent>,
    ) -> Result<(), SendError> {
        self.send_or_queue(relid, Sending { completes: Some(transaction_id), payload }, memory, events)
    }

    fn send_or_queue(
        &mut self,
        relid: Relid,
        packet: Sending<'_>,
        memory: &mut GmoMemoryManager,
        events: &mut Vec<BusEvent>,
    ) -> Result<(), SendError> {
        let channel = self.channels.get_mut(relid).ok_or(SendError::NotOpen)?;
        let alike = match packet.completes {
            Some(_) => channel.waiting_completions,
            None => channel.waiting.len() - channel.waiting_completions,
        };
        if alike >= WAITING_PACKETS {
            return Err(SendError::Stuck);
        }
        // A packet that no ring of this size could take is not kept: it would block what comes after.
        if !fits(&channel.rings, packet.payload) {
            return Err(SendError::TooLarge);
        }
        self.flush(relid, Some(packet), memory, events);
        Ok(())
    }

    /// Writes what waits, and after it `last`, as far as there is room. What of it found none waits.
    fn flush(
        &mut self,
        relid: Relid,
        mut last: Option<Sending<'_>>,
        memory: &mut GmoMemoryManager,
        events: &mut Vec<BusEvent>,
    ) {
        let Some(channel) = self.channels.get_mut(relid) else { return };
        let mut outcome = Ok(());
        'packets: while let Some(packet) = channel.waiting.front().map(Waiting::sending).or(last) {
            let outgoing = match packet.completes {
                Some(transaction_id) => OutgoingPacket::completion(transaction_id, packet.payload),
                None => OutgoingPacket::in_band(channel.next_transaction, packet.payload),
            };
            let begins = packet.completes.is_none();
            match channel.rings.write(&outgoing) {
                Ok(offset) => {
                    self.lanes.note(Lane::Downstream, relid.get(), offset);
                    channel.next_transaction += u64::from(begins);
                    channel.drop_first(&mut last);
                }
                Err(WriteError::Full { needed }) => match channel.rings.wait_for_space(needed) {
                    Ok(done) => {
                        if done.signal.is_needed() {
                            signal(&*self.partition, channel.target_vp, relid);
                        }
                        if done.wait == Wait::Armed {
                            break 'packets;
                        }
                    }
                    Err(corruption) => {
                        outcome = Err(corruption);
                        break 'packets;
                    }
                },
                Err(WriteError::Corrupt(corruption)) => {
                    outcome = Err(corruption);
                    break 'packets;
                }
                // Larger than the ring can ever take, which `send` refuses.
                Err(_) => channel.drop_first(&mut last),
            }
        }
        channel.waiting_completions += usize::from(last.is_some_and(|last| last.completes.is_some()));
        channel.waiting.extend(last.map(Sending::to_waiting));
        match outcome.and_then(|()| channel.rings.commit_write()) {
            Ok(wanted) if wanted.is_needed() => signal(&*self.partition, channel.target_vp, relid),
            Ok(_) => {}
            Err(corruption) => self.corrupt(relid, corruption, memory, events),
        }
    }

    fn corrupt(
        &mut self,
        relid: Relid,
        corruption: Corruption,
        memory: &mut GmoMemoryManager,
        events: &mut Vec<BusEvent>,
    ) {
        events.push(BusEvent::Corrupt(relid, corruption));
        self.rescind(relid, memory, events);
    }

    fn drain_queue(&mut self) {
        let partition = &*self.partition;
        self.queue.drain_into(|message| {
            // What the partition refuses for ever (a VP that does not exist) is dropped; only "busy" waits.
            !matches!(
                partition.try_post(message.target.vp, message.target.sint, message.payload.as_bytes()),
                Err(partition::PostError::Busy)
            )
        });
    }

    fn carry_out(&mut self, memory: &mut GmoMemoryManager, events: &mut Vec<BusEvent>) {
        let mut pending: VecDeque<Output> = self.actions.drain(..).collect();
        while let Some(action) = pending.pop_front() {
            match action {
                Output::Post(message) => {
                    if self.queue.push(message).is_err() {
                        events.push(BusEvent::Refused(
                            "the guest takes no messages: its queue is full".to_owned(),
                        ));
                    }
                }
                Output::EstablishGpadl { request, gpadl, pages, .. } => {
                    let done = self.establish(gpadl, &pages, memory);
                    self.answer_gpadl(request, done, events);
                }
                Output::ReleaseGpadl { gpadl, .. } => self.release(gpadl, memory),
                Output::Open { request, relid, rings } => {
                    let done = self.open(relid, rings);
                    match done {
                        Ok(()) => {
                            events.push(BusEvent::Opened(relid));
                            self.server.open_result(request, Status::SUCCESS, &mut self.actions);
                        }
                        Err(why) => {
                            events
                                .push(BusEvent::Refused(format!("channel {relid} cannot be opened: {why}")));
                            self.server.open_result(request, Status::UNSUCCESSFUL, &mut self.actions);
                        }
                    }
                }
                Output::Close { relid } => {
                    if self.channels.remove(relid) {
                        self.partition.close_event_port(self.server.event_connection_id(relid));
                        self.lanes.forget(relid.get());
                        events.push(BusEvent::Closed(relid));
                    }
                }
                Output::Retarget { relid, target_vp } => {
                    if let Some(channel) = self.channels.get_mut(relid) {
                        channel.target_vp = target_vp;
                    }
                }
                Output::Released { .. } | Output::Unsupported(_) => {}
                Output::Reset => self.queue.clear(),
                Output::Contact { version, target, origin } => {
                    let heard =
                        self.partition.on_slot_free(target.vp, target.sint, Arc::clone(&self.mail_doorbell));
                    if let Err(missing) = heard {
                        events.push(BusEvent::Refused(missing.to_string()));
                    }
                    events.push(BusEvent::Contact(version, origin));
                }
                Output::Unloaded => events.push(BusEvent::Unloaded),
                Output::Violation(violation) => events.push(BusEvent::Violation(violation)),
            }
            // What an answer led to comes before what was there already was decided; the order of actions is kept.
            pending.extend(self.actions.drain(..));
        }
        self.drain_queue();
    }

    fn answer_gpadl(&mut self, request: RequestId, done: Result<(), String>, events: &mut Vec<BusEvent>) {
        self.server.gpadl_result(request, done.is_ok(), &mut self.actions);
        if let Err(why) = done {
            events.push(BusEvent::Refused(why));
        }
    }

    fn establish(
        &mut self,
        gpadl: GpadlId,
        pages: &[u64],
        memory: &mut GmoMemoryManager,
    ) -> Result<(), String> {
        let numbers: Vec<GuestPage> = pages.iter().copied().map(GuestPage).collect();
        let pin = memory.pin(&numbers).map_err(|error| format!("{gpadl}: {error}"))?;
        match self.partition.pages(pages) {
            Ok(pages) => {
                self.gpadls.insert(gpadl, Gpadl { pages, pin });
                Ok(())
            }
            Err(error) => {
                unpin(memory, pin);
                Err(format!("{gpadl}: {error}"))
            }
        }
    }

    fn release(&mut self, gpadl: GpadlId, memory: &mut GmoMemoryManager) {
        if let Some(Gpadl { pin, .. }) = self.gpadls.remove(&gpadl) {
            unpin(memory, pin);
        }
    }

    fn open(&mut self, relid: Relid, rings: Rings) -> Result<(), String> {
        let gpadl = self.gpadls.get(&rings.gpadl).ok_or("its GPADL is not established")?;
        let open = ChannelRings::open(&gpadl.pages, rings.downstream_offset, Role::Host)
            .map_err(|error| error.to_string())?;
        let connection_id = self.server.event_connection_id(relid);
        self.partition
            .open_event_port(connection_id, Arc::clone(&self.doorbell))
            .map_err(|error| error.to_string())?;
        let channel = Channel {
            rings: open,
            waiting: VecDeque::new(),
            waiting_completions: 0,
            target_vp: rings.target_vp,
            next_transaction: 0,
            told_trailers: false,
        };
        self.channels.insert(relid, channel);
        Ok(())
    }
}

impl Drop for HostBus {
    fn drop(&mut self) {
        for &connection_id in self.server.connection_ids() {
            self.partition.close_message_port(connection_id);
        }
        for (relid, _) in self.channels.iter() {
            self.partition.close_event_port(self.server.event_connection_id(relid));
        }
    }
}

/// Pins come from the map they are given back to.
fn unpin(memory: &mut GmoMemoryManager, pin: Pin) {
    let unpinned = memory.unpin(pin);
    debug_assert!(unpinned.is_ok(), "a pin went to another VM's map");
}

/// Whether a ring of this size could ever take the packet: descriptor, trailer and the 8 bytes that stay free.
fn fits(rings: &ChannelRings, payload: &[u8]) -> bool {
    payload.len().next_multiple_of(8) + 16 + 8 + 8 <= rings.outgoing.size() as usize
}

/// Sets the channel's event flag, unless the guest wants no interrupts (VP 0xffffffff) or named one that it does not have.
fn signal(partition: &dyn HostPartition, vp: u32, relid: Relid) {
    if let Ok(flag) = u16::try_from(relid.get()) {
        let _no_such_vp = partition.set_event(vp, VMBUS_SINT, flag);
    }
}
