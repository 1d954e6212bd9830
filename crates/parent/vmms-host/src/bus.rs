//! The host's end of a VM's VMBus: carries out what [`vmbus::control::server`] decides, and owns the open rings.
//!
//! The host's end of the bus connects the protocol machine to a partition: messages through the guest's one slot with a queue
//! in front of it, pages of a GPADL by number, doorbells by connection id. The bus knows channels, not devices: what a channel
//! carries is the business of the device that offered it.
//!
//! What its owner has to know or to do comes out of [`HostBus::next_event`], in order. Pages that the guest shares must stay
//! mapped meanwhile; the memory map is not the bus' own, so the bus asks ([`BusEvent::Pin`]) and goes on when it is answered
//! ([`HostBus::pinned`]), at once or much later.

mod channel;
mod frame;
mod rung;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use component_runtime::lanes::{CauseLanes, Lane};
use machine_contract::HostPartition;
use page_range::GuestPage;
use partition::{MappedPages, NotifyFn};
use vmbus::control::queue::MessageQueue;
pub use vmbus::control::server::RequestId;
use vmbus::control::server::{
    ContactOrigin, Offer, OfferError, Output, Rings, Server, ServerConfig, Violation,
};
use vmbus::control::{GpadlId, Relid, Status, VMBUS_SINT, Version};
use vmbus::ring::{ChannelRings, Corruption, PacketBuffer, PacketType, Role};

use crate::statistics::{BusStatistics, ChannelStatistics};
use channel::{Channel, Packet, Sent};
use frame::Capture;
pub use frame::{Bytes, Frame, RecordedFrame};
pub use rung::Clock;
use rung::Rung;

/// Packets for the guest that wait for room in the ring, at most.
const WAITING_PACKETS: usize = crate::constants::WAITING_PACKETS.whole() as usize;

/// What happened on the bus that its owner has to know, or is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusEvent {
    /// The guest made contact; with what preceded it.
    Contact(Version, ContactOrigin),
    /// The guest opened a channel.
    Opened(Relid),
    /// A channel is closed: by the guest, by contact renewed, or since its ring was found corrupt. With what was counted while it
    /// was open.
    Closed(Relid, Box<ChannelStatistics>),
    /// A ring has never been so full since its channel was opened. Told for every sixteenth of the ring.
    HighWater {
        /// The channel.
        relid: Relid,
        /// Which of its rings.
        ring: Lane,
        /// Bytes that packets took in it.
        used: u32,
        /// Bytes of its data area.
        size: u32,
    },
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
    /// The guest shares these pages with the host. A question: they are to be kept mapped from now on, and whether that
    /// could be done is to be told with [`HostBus::pinned`].
    Pin {
        /// Name of the question. Never used twice by a bus.
        request: RequestId,
        /// The pages; whatever numbers a guest likes.
        pages: Vec<GuestPage>,
    },
    /// The pages of this [`BusEvent::Pin`] need not stay mapped any longer. Comes some time after each `Pin`, answered or
    /// not; of one that was answered with an error there is nothing to let go of.
    Unpin(RequestId),
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
    /// What lies between descriptor and message: of a GPA-direct packet the list of pages.
    pub extra: Vec<u8>,
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

/// Pages that the guest shares.
struct Gpadl {
    request: RequestId,
    state: GpadlState,
}

enum GpadlState {
    /// The owner has been asked to pin the pages.
    Asked(Vec<u64>),
    /// The pages are pinned.
    Ready(MappedPages),
}

/// The host's end of one VM's bus.
pub struct HostBus {
    server: Server,
    partition: Arc<dyn HostPartition>,
    lanes: CauseLanes,
    channels: BTreeMap<Relid, Channel>,
    gpadls: BTreeMap<GpadlId, Gpadl>,
    /// Messages for the guest, which has a slot for one.
    queue: MessageQueue,
    doorbell: NotifyFn,
    clock: Clock,
    mail_doorbell: NotifyFn,
    /// Set when the guest has posted or freed its slot: a signal alone, which is all that comes in the steady state, is no
    /// reason to look for messages.
    mail: Arc<AtomicBool>,
    outputs: Vec<Output>,
    events: VecDeque<BusEvent>,
    /// Where packets are checked, and then copied from.
    buffer: PacketBuffer,
    /// What was counted; of channels, those that are closed.
    counted: BusStatistics,
    capture: Capture,
    /// Channels of which nothing is captured.
    not_kept: BTreeSet<Relid>,
}

impl HostBus {
    /// A bus without channels. `doorbell` rings whenever the guest has posted, signalled or freed the message slot; `clock` says when.
    pub fn new(
        mut config: ServerConfig,
        partition: Arc<dyn HostPartition>,
        doorbell: NotifyFn,
        clock: Clock,
        lanes: CauseLanes,
    ) -> Self {
        config.processors = Some(partition.processors());
        let server = Server::new(config);
        let mail = Arc::new(AtomicBool::new(false));
        let mail_doorbell: NotifyFn = {
            let (mail, doorbell) = (Arc::clone(&mail), Arc::clone(&doorbell));
            Arc::new(move || {
                // Release: the thread that sees the flag sees the message.
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
            server,
            partition,
            lanes,
            channels: BTreeMap::new(),
            gpadls: BTreeMap::new(),
            queue: MessageQueue::default(),
            doorbell,
            clock,
            mail_doorbell,
            mail,
            outputs: Vec::new(),
            events: VecDeque::new(),
            buffer: PacketBuffer::default(),
            counted: BusStatistics::default(),
            capture: Capture::default(),
            not_kept: BTreeSet::new(),
        }
    }

    /// What crosses is kept from now on, for [`take_frames`](Self::take_frames).
    pub fn keep_frames(&mut self) {
        self.capture.switch_on();
    }

    /// Whether there is something to take.
    pub fn has_frames(&self) -> bool {
        !self.capture.is_empty()
    }

    /// What has crossed since this was last called, in order. Beyond 4096 frames it is not kept.
    pub fn take_frames(&mut self) -> impl Iterator<Item = Frame> + '_ {
        self.capture.drain()
    }

    /// Its owner is awake: guests that have rung are being heard.
    pub fn woken(&mut self, now: Duration) {
        for channel in self.channels.values() {
            if let Some(waited) = channel.rung.heard(now) {
                self.counted.doorbell_wait += waited;
                self.counted.doorbell_longest_wait = self.counted.doorbell_longest_wait.max(waited);
            }
        }
    }

    /// What was counted since the bus was made.
    pub fn statistics(&self) -> BusStatistics {
        let mut all = self.counted;
        self.channels.values().for_each(|channel| all.channels.add(channel.statistics()));
        all
    }

    /// What was counted of each channel that is open, since it was opened.
    pub fn channel_statistics(&self) -> impl Iterator<Item = (Relid, ChannelStatistics)> + '_ {
        self.channels.iter().map(|(&relid, channel)| (relid, channel.statistics()))
    }

    /// Offers a channel; a guest in contact learns of it at once.
    ///
    /// # Errors
    /// There are 2047 channels already.
    pub fn offer(&mut self, offer: Offer) -> Result<Relid, OfferError> {
        let relid = self.server.offer(offer, &mut self.outputs)?;
        // Numbers are used again.
        self.not_kept.remove(&relid);
        self.carry_out();
        Ok(relid)
    }

    /// What crosses in this channel is not kept for [`take_frames`](Self::take_frames): a device with so many packets that they would leave
    /// no room for others'.
    pub fn keep_no_frames_of(&mut self, relid: Relid) {
        self.not_kept.insert(relid);
    }

    /// Takes a channel back; the guest's driver is told to let go of it.
    pub fn rescind(&mut self, relid: Relid) {
        self.server.rescind(relid, &mut self.outputs);
        self.carry_out();
    }

    /// The VM was reset: everything agreed is void.
    pub fn reset(&mut self) {
        self.server.reset(&mut self.outputs);
        self.carry_out();
    }

    /// The version agreed, while there is contact.
    pub fn version(&self) -> Option<Version> {
        self.server.version()
    }

    /// Whether the channel is open.
    pub fn is_open(&self, relid: Relid) -> bool {
        self.channels.contains_key(&relid)
    }

    /// Messages that wait for the guest to empty its slot.
    pub fn waiting_messages(&self) -> usize {
        self.queue.len()
    }

    /// The oldest event that the owner has not taken.
    pub fn next_event(&mut self) -> Option<BusEvent> {
        self.events.pop_front()
    }

    /// Handles what the guest has posted, while `spend` allows, and moves waiting messages and packets on. Stops at the first
    /// message of which the owner has to know: what a later message means may depend on the owner's answer. `true`: take the
    /// events and call again.
    pub fn poll(&mut self, mut spend: impl FnMut() -> bool) -> bool {
        if self.mail.swap(false, Ordering::AcqRel) {
            self.drain_queue();
            for &connection_id in self.server.connection_ids() {
                // A guest that does not read is heard again when it has.
                while !self.queue.is_congested() {
                    if !spend() {
                        // The owner has spent its budget: the flag makes its next call look here again.
                        self.mail.store(true, Ordering::Release);
                        break;
                    }
                    let Some(message) = self.partition.take_posted(connection_id) else { break };
                    self.counted.control_from_guest += 1;
                    self.capture.add(true, || RecordedFrame::Message {
                        target: connection_id,
                        bytes: Bytes(message.to_vec()),
                    });
                    // The status matters to a hypervisor that asks while the guest waits; here the port was open.
                    let _status = self.server.message(connection_id, &message, &mut self.outputs);
                    self.carry_out();
                    if !self.events.is_empty() {
                        self.mail.store(true, Ordering::Release);
                        return true;
                    }
                }
            }
        }
        let waiting = self.channels.iter().filter(|(_, channel)| channel.has_waiting());
        for relid in waiting.map(|(&relid, _)| relid).collect::<Vec<_>>() {
            self.flush(relid);
        }
        false
    }

    /// The owner's answer to [`BusEvent::Pin`]: whether the pages stay mapped; if not, why. A question that has been withdrawn
    /// meanwhile needs no answer, and takes one.
    pub fn pinned(&mut self, request: RequestId, result: Result<(), String>) {
        let of_request = |(_, gpadl): &(&GpadlId, &mut Gpadl)| {
            gpadl.request == request && matches!(gpadl.state, GpadlState::Asked(_))
        };
        let Some((&id, gpadl)) = self.gpadls.iter_mut().find(of_request) else { return };
        let GpadlState::Asked(numbers) = &gpadl.state else { return };
        let done = match result {
            Err(why) => Err((why, false)),
            Ok(()) => self.partition.pages(numbers).map_err(|error| (error.to_string(), true)),
        };
        let is_ready = done.is_ok();
        match done {
            Ok(pages) => gpadl.state = GpadlState::Ready(pages),
            Err((why, was_pinned)) => {
                self.gpadls.remove(&id);
                self.events.push_back(BusEvent::Refused(format!("{id}: {why}")));
                if was_pinned {
                    self.events.push_back(BusEvent::Unpin(request));
                }
            }
        }
        self.server.gpadl_result(request, is_ready, &mut self.outputs);
        self.carry_out();
    }

    /// A channel's next packet. When none is left the ring has been asked to signal. What led to the packet becomes the
    /// current cause.
    ///
    /// Nothing is read while as many completions wait as may (`WAITING_PACKETS`) for a guest that has asked for them and does not
    /// read them: its next packet may ask for another. The guest signals when it has read, and is heard again.
    pub fn read(&mut self, relid: Relid) -> Option<ReceivedPacket> {
        let channel = self.channels.get_mut(&relid)?;
        if channel.waiting_completions() >= WAITING_PACKETS {
            self.pause_reading(relid);
            return None;
        }
        match channel.read(&*self.partition, &self.lanes, &mut self.buffer, &mut self.capture) {
            Ok(packet) => {
                if channel.has_new_stale_trailers() {
                    self.events.push_back(BusEvent::StaleTrailers(relid));
                }
                if let Some(fuller) = channel.new_high_water(Lane::Upstream) {
                    self.events.push_back(fuller);
                }
                packet
            }
            Err(corruption) => {
                self.corrupt(relid, corruption);
                None
            }
        }
    }

    /// Gives the space of the packets read so far back to the guest: for a reader that stops before the ring is empty.
    pub fn pause_reading(&mut self, relid: Relid) {
        let Some(channel) = self.channels.get_mut(&relid) else { return };
        if let Err(corruption) = channel.commit_read(&*self.partition) {
            self.corrupt(relid, corruption);
        }
    }

    /// Sends an in-band packet, or queues it if the ring has no room now.
    ///
    /// # Errors
    /// [`SendError`]; nothing was sent.
    pub fn send(&mut self, relid: Relid, payload: &[u8]) -> Result<(), SendError> {
        self.send_or_queue(relid, Packet { kind: Sent::Message, payload: payload.to_vec() })
    }

    /// The same with transaction number 0, by which a driver that numbers its requests tells what nobody asked for.
    ///
    /// # Errors
    /// [`SendError`]; nothing was sent.
    pub fn notify(&mut self, relid: Relid, payload: &[u8]) -> Result<(), SendError> {
        self.send_or_queue(relid, Packet { kind: Sent::Notice, payload: payload.to_vec() })
    }

    /// Completes a transaction of the guest's driver: sends the packet that it asked for, or queues it. There is room for the
    /// completion of everything that [`read`](Self::read) returns.
    ///
    /// # Errors
    /// [`SendError`]; nothing was sent.
    pub fn complete(&mut self, relid: Relid, transaction_id: u64, payload: &[u8]) -> Result<(), SendError> {
        self.send_or_queue(
            relid,
            Packet { kind: Sent::Completion(transaction_id), payload: payload.to_vec() },
        )
    }

    fn send_or_queue(&mut self, relid: Relid, packet: Packet) -> Result<(), SendError> {
        self.channels.get_mut(&relid).ok_or(SendError::NotOpen)?.queue(packet)?;
        self.flush(relid);
        Ok(())
    }

    fn flush(&mut self, relid: Relid) {
        let Some(channel) = self.channels.get_mut(&relid) else { return };
        match channel.flush(&*self.partition, &self.lanes, &mut self.capture) {
            Ok(()) => self.events.extend(channel.new_high_water(Lane::Downstream)),
            Err(corruption) => self.corrupt(relid, corruption),
        }
    }

    fn corrupt(&mut self, relid: Relid, corruption: Corruption) {
        self.events.push_back(BusEvent::Corrupt(relid, corruption));
        self.rescind(relid);
    }

    fn drain_queue(&mut self) {
        let Self { partition, queue, capture, counted, .. } = self;
        queue.drain_into(|message| {
            let target = message.target;
            let posted = partition.try_post(target.vp, target.sint, message.payload.as_bytes());
            if posted.is_ok() {
                counted.control_to_guest += 1;
                capture.add(false, || RecordedFrame::Message {
                    target: target.vp,
                    bytes: Bytes(message.payload.as_bytes().to_vec()),
                });
            }
            // What the partition refuses for ever (a VP that does not exist) is dropped; only "busy" waits.
            !matches!(posted, Err(partition::PostError::Busy))
        });
    }

    fn carry_out(&mut self) {
        let mut pending: VecDeque<Output> = self.outputs.drain(..).collect();
        while let Some(output) = pending.pop_front() {
            self.carry_out_one(output);
            // What an answer led to comes after what was there already: the order of outputs is kept.
            pending.extend(self.outputs.drain(..));
        }
        self.drain_queue();
    }

    fn carry_out_one(&mut self, output: Output) {
        match output {
            Output::Post(message) => {
                if self.queue.push(message).is_err() {
                    let why = "the guest takes no messages: its queue is full".to_owned();
                    self.events.push_back(BusEvent::Refused(why));
                }
            }
            Output::EstablishGpadl { request, gpadl, pages, .. } => {
                let numbers = pages.iter().copied().map(GuestPage).collect();
                self.gpadls.insert(gpadl, Gpadl { request, state: GpadlState::Asked(pages) });
                self.events.push_back(BusEvent::Pin { request, pages: numbers });
            }
            Output::ReleaseGpadl { gpadl, .. } => {
                if let Some(Gpadl { request, .. }) = self.gpadls.remove(&gpadl) {
                    self.events.push_back(BusEvent::Unpin(request));
                }
            }
            Output::Open { request, relid, rings } => {
                let status = match self.open(relid, rings) {
                    Ok(()) => {
                        self.events.push_back(BusEvent::Opened(relid));
                        Status::SUCCESS
                    }
                    Err(why) => {
                        let why = format!("channel {relid} cannot be opened: {why}");
                        self.events.push_back(BusEvent::Refused(why));
                        Status::UNSUCCESSFUL
                    }
                };
                self.server.open_result(request, status, &mut self.outputs);
            }
            Output::Close { relid } => {
                if let Some(channel) = self.channels.remove(&relid) {
                    self.partition.close_event_port(self.server.event_connection_id(relid));
                    self.lanes.forget(relid.get());
                    let counted = channel.statistics().closed();
                    self.counted.channels.add(counted);
                    self.events.push_back(BusEvent::Closed(relid, Box::new(counted)));
                }
            }
            Output::Retarget { relid, target_vp } => {
                if let Some(channel) = self.channels.get_mut(&relid) {
                    channel.target_vp = target_vp;
                }
            }
            Output::Released { .. } | Output::Unsupported(_) => {}
            Output::Reset => self.queue.clear(),
            Output::Contact { version, target, origin } => {
                let heard =
                    self.partition.on_slot_free(target.vp, target.sint, Arc::clone(&self.mail_doorbell));
                if let Err(missing) = heard {
                    self.events.push_back(BusEvent::Refused(missing.to_string()));
                }
                self.events.push_back(BusEvent::Contact(version, origin));
            }
            Output::Unloaded => self.events.push_back(BusEvent::Unloaded),
            Output::Violation(violation) => self.events.push_back(BusEvent::Violation(violation)),
        }
    }

    fn open(&mut self, relid: Relid, rings: Rings) -> Result<(), String> {
        let Some(Gpadl { state: GpadlState::Ready(pages), .. }) = self.gpadls.get(&rings.gpadl) else {
            return Err("its GPADL is not established".to_owned());
        };
        let open = ChannelRings::open(pages, rings.downstream_offset, Role::Host)
            .map_err(|error| error.to_string())?;
        let connection_id = self.server.event_connection_id(relid);
        let rung = Arc::new(Rung::default());
        self.partition
            .open_event_port(connection_id, Rung::counting(&rung, &self.clock, &self.doorbell))
            .map_err(|error| error.to_string())?;
        let is_kept = !self.not_kept.contains(&relid);
        self.channels.insert(relid, Channel::new(relid, open, rings.target_vp, rung, is_kept));
        Ok(())
    }
}

impl Drop for HostBus {
    fn drop(&mut self) {
        for &connection_id in self.server.connection_ids() {
            self.partition.close_message_port(connection_id);
        }
        for &relid in self.channels.keys() {
            self.partition.close_event_port(self.server.event_connection_id(relid));
        }
    }
}
