//! The devices of a VM besides Dynamic Memory, as the worker drives them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gmo_memory_manager::{GmoMemoryManager, Pin};
use guest_insight::GuestInsight;
use machine_contract::{ChannelDevice, DeviceOutput, DeviceRequest, Heartbeat, HostPartition};
use page_range::GuestPage;
use partition::NotifyFn;
use vmbus::control::Relid;
use vmbus::ring::{BufferRange, GuestBuffer, PacketType};

use crate::bus::{HostBus, ReceivedPacket, SendError};

/// What devices use of their VM.
pub(crate) struct Surroundings<'a> {
    pub(crate) bus: &'a mut HostBus,
    pub(crate) memory: &'a mut GmoMemoryManager,
    pub(crate) partition: &'a dyn HostPartition,
}

/// A request under way.
struct Held {
    /// Whom its completion is for, if its driver waits for one.
    transaction_id: Option<u64>,
    /// Keeps its pages in the VM's map.
    pin: Option<Pin>,
}

struct Slot {
    device: Box<dyn ChannelDevice>,
    relid: Option<Relid>,
    /// The channel was taken back for something that the guest did: it can be offered anew once it is closed.
    rescinded: bool,
    /// What the device has said last of the guest's heartbeat.
    heartbeat: Option<Heartbeat>,
    requests: BTreeMap<u64, Held>,
    next_request: u64,
}

/// What a device has to say of its guest.
#[derive(Debug, PartialEq)]
pub(crate) enum Told {
    /// Whether the guest lives is seen otherwise than before.
    Heartbeat(Heartbeat),
    /// Something for the VM's events.
    Event { service: &'static str, what: String },
    /// The same, of a storage controller or one of its disks.
    Storage { lun: Option<u8>, what: String },
    /// What an agent in the guest has measured.
    Insight(GuestInsight),
    /// The guest broke a rule.
    Violation { rule: String },
}

/// All of them.
pub(crate) struct Devices {
    slots: Vec<Slot>,
    told: Vec<Told>,
}

impl Devices {
    /// These devices; `doorbell` wakes the worker.
    pub(crate) fn new(devices: Vec<Box<dyn ChannelDevice>>, doorbell: &NotifyFn) -> Self {
        let slots = devices.into_iter().map(|mut device| {
            device.connect(doorbell);
            Slot {
                device,
                relid: None,
                rescinded: false,
                heartbeat: None,
                requests: BTreeMap::new(),
                next_request: 0,
            }
        });
        Self { slots: slots.collect(), told: Vec::new() }
    }

    /// Offers those that are not on offer.
    pub(crate) fn offer(&mut self, bus: &mut HostBus) {
        for slot in self.slots.iter_mut().filter(|slot| slot.relid.is_none()) {
            slot.relid = bus.offer(slot.device.offer()).ok();
            if let (Some(relid), Some(_)) = (slot.relid, slot.device.largest_buffer()) {
                bus.keep_no_frames_of(relid);
            }
        }
    }

    /// A channel was opened.
    ///
    /// # Errors
    /// Not everything that the device said could be sent.
    pub(crate) fn opened(
        &mut self,
        now: Duration,
        around: &mut Surroundings<'_>,
        relid: Relid,
    ) -> Result<(), SendError> {
        let Self { slots, told } = self;
        let slot = slots.iter_mut().find(|slot| slot.relid == Some(relid));
        slot.map_or(Ok(()), |slot| slot.drive(around, told, |device, out| device.opened(now, out)))
    }

    /// A channel was closed.
    pub(crate) fn closed(&mut self, relid: Relid) {
        for slot in self.slots.iter_mut().filter(|slot| slot.relid == Some(relid)) {
            slot.device.closed();
            if slot.heartbeat.take().is_some_and(|heartbeat| heartbeat != Heartbeat::NoContact) {
                self.told.push(Told::Heartbeat(Heartbeat::NoContact));
            }
            if std::mem::take(&mut slot.rescinded) {
                slot.relid = None;
            }
        }
    }

    /// A channel was taken back: it can be offered anew.
    pub(crate) fn forget(&mut self, relid: Relid) {
        for slot in &mut self.slots {
            slot.relid.take_if(|device| *device == relid);
        }
    }

    /// The guest restarts: its memory is not what requests under way knew. What a device still does with their buffers reaches nobody.
    pub(crate) fn let_go_of_pages(&mut self, memory: &mut GmoMemoryManager) {
        for slot in &mut self.slots {
            slot.requests.values_mut().for_each(|held| held.let_go(memory));
        }
    }

    /// Hands the devices what their drivers have sent, while `spend` allows, and the time.
    ///
    /// # Errors
    /// Not everything that they said could be sent.
    pub(crate) fn run(
        &mut self,
        now: Duration,
        around: &mut Surroundings<'_>,
        mut spend: impl FnMut() -> bool,
    ) -> Result<(), SendError> {
        let mut result = Ok(());
        let Self { slots, told } = self;
        for slot in slots {
            if let Some(relid) = slot.relid.filter(|&relid| around.bus.is_open(relid)) {
                loop {
                    if !spend() {
                        around.bus.pause_reading(relid);
                        break;
                    }
                    let Some(packet) = around.bus.read(relid) else { break };
                    result = slot.packet(now, around, told, relid, packet).and(result);
                }
            }
            result = slot.drive(around, told, |device, out| device.woken(now, out)).and(result);
            if slot.is_heard(around.bus) && slot.device.next_timeout().is_some_and(|due| due <= now) {
                result = slot.drive(around, told, |device, out| device.timer(now, out)).and(result);
            }
        }
        result
    }

    /// Has the first device that can ask the guest to shut down ask it; false if there is none.
    ///
    /// # Errors
    /// Not everything that the device said could be sent.
    pub(crate) fn shut_down(
        &mut self,
        now: Duration,
        around: &mut Surroundings<'_>,
    ) -> Result<bool, SendError> {
        let Self { slots, told } = self;
        for slot in slots {
            if !slot.relid.is_some_and(|relid| around.bus.is_open(relid)) {
                continue;
            }
            let mut asked = false;
            slot.drive(around, told, |device, out| asked = device.shut_down(now, out))?;
            if asked {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What the devices have said of their guest since this was last asked.
    pub(crate) fn told(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.told)
    }

    /// When one of them wants to be called at the latest.
    pub(crate) fn next_timeout(&self, bus: &HostBus) -> Option<Duration> {
        let heard = self.slots.iter().filter(|slot| slot.is_heard(bus));
        heard.filter_map(|slot| slot.device.next_timeout()).min()
    }
}

impl Held {
    fn let_go(&mut self, memory: &mut GmoMemoryManager) {
        if let Some(pin) = self.pin.take() {
            let unpinned = memory.unpin(pin);
            debug_assert!(unpinned.is_ok(), "the pin is of this VM's map");
        }
    }
}

impl Slot {
    /// Whether the device is told the time: while its channel is open, or requests are under way of one that was.
    fn is_heard(&self, bus: &HostBus) -> bool {
        !self.requests.is_empty() || self.relid.is_some_and(|relid| bus.is_open(relid))
    }

    /// A packet from the guest's driver.
    fn packet(
        &mut self,
        now: Duration,
        around: &mut Surroundings<'_>,
        told: &mut Vec<Told>,
        relid: Relid,
        packet: ReceivedPacket,
    ) -> Result<(), SendError> {
        if let Some(most) = self.device.largest_buffer()
            && matches!(packet.kind, PacketType::IN_BAND | PacketType::GPA_DIRECT)
        {
            return self.request(now, around, told, packet, most);
        }
        let mut result = Ok(());
        if packet.completion_requested {
            result = around.bus.complete(relid, packet.transaction_id, &[]);
        }
        // No device here knows other packets.
        if packet.kind == PacketType::IN_BAND {
            result =
                self.drive(around, told, |device, out| device.packet(now, &packet.payload, out)).and(result);
        }
        result
    }

    fn request(
        &mut self,
        now: Duration,
        around: &mut Surroundings<'_>,
        told: &mut Vec<Told>,
        packet: ReceivedPacket,
        most: u64,
    ) -> Result<(), SendError> {
        let held = match packet.kind {
            PacketType::GPA_DIRECT => {
                hold(around, &packet.extra, most).map(|(buffer, pin)| (Some(buffer), Some(pin)))
            }
            _ => Ok((None, None)),
        };
        match held {
            Ok((buffer, pin)) => {
                let number = self.next_request;
                self.next_request += 1;
                let transaction_id = packet.completion_requested.then_some(packet.transaction_id);
                self.requests.insert(number, Held { transaction_id, pin });
                let request = DeviceRequest { number, payload: packet.payload, buffer };
                self.drive(around, told, |device, out| device.request(now, request, out))
            }
            Err(why) => self.drive(around, told, |device, out| device.bad_buffer(now, why, out)),
        }
    }

    /// A request is over. Returned is whom its completion is for.
    fn over(&mut self, request: u64, memory: &mut GmoMemoryManager) -> Option<u64> {
        let mut held = self.requests.remove(&request)?;
        held.let_go(memory);
        held.transaction_id
    }

    /// Calls the device, and does what it wants.
    fn drive(
        &mut self,
        around: &mut Surroundings<'_>,
        told: &mut Vec<Told>,
        call: impl FnOnce(&mut dyn ChannelDevice, &mut Vec<DeviceOutput>),
    ) -> Result<(), SendError> {
        let mut wanted = Vec::new();
        call(&mut *self.device, &mut wanted);
        let mut result = Ok(());
        for output in wanted {
            match output {
                DeviceOutput::Send(payload) => {
                    if let Some(relid) = self.relid {
                        let sent = match self.device.largest_buffer() {
                            Some(_) => around.bus.notify(relid, &payload),
                            None => around.bus.send(relid, &payload),
                        };
                        result = sent.and(result);
                    }
                }
                DeviceOutput::Complete { request, payload } => {
                    let transaction_id = self.over(request, around.memory);
                    if let (Some(relid), Some(transaction_id)) = (self.relid, transaction_id) {
                        result = around.bus.complete(relid, transaction_id, &payload).and(result);
                    }
                }
                DeviceOutput::Forget { request } => {
                    self.over(request, around.memory);
                }
                DeviceOutput::CloseChannel { rule } => {
                    if let Some(relid) = self.relid {
                        self.rescinded = true;
                        around.bus.rescind(relid);
                    }
                    told.push(Told::Violation { rule });
                }
                DeviceOutput::Heartbeat(heartbeat) => {
                    self.heartbeat = Some(heartbeat);
                    told.push(Told::Heartbeat(heartbeat));
                }
                DeviceOutput::Insight(measured) => told.push(Told::Insight(measured)),
                DeviceOutput::Storage { lun, what } => told.push(Told::Storage { lun, what }),
                DeviceOutput::Told { service, what } => told.push(Told::Event { service, what }),
            }
        }
        result
    }
}

/// The bytes that a packet names: memory of this guest, which stays in the VM's map until the request is over.
fn hold(around: &mut Surroundings<'_>, listed: &[u8], most: u64) -> Result<(Arc<GuestBuffer>, Pin), String> {
    let ranges = BufferRange::parse(listed).map_err(|error| error.to_string())?;
    let buffer = GuestBuffer::new(around.partition, &ranges, most).map_err(|error| error.to_string())?;
    let pages: Vec<GuestPage> =
        ranges.iter().flat_map(|range| range.pages.iter().copied().map(GuestPage)).collect();
    let pin = around.memory.pin(&pages).map_err(|error| error.to_string())?;
    Ok((Arc::new(buffer), pin))
}
