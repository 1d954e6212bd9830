//! The devices of a VM besides Dynamic Memory, as the worker drives them.

use std::time::Duration;

use machine_contract::{ChannelDevice, DeviceOutput, Heartbeat};
use vmbus::control::Relid;
use vmbus::ring::PacketType;

use crate::bus::{HostBus, SendError};

struct Slot {
    device: Box<dyn ChannelDevice>,
    relid: Option<Relid>,
    /// What the device has said last of the guest's heartbeat.
    heartbeat: Option<Heartbeat>,
}

/// What a device has to say of its guest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Whether the guest lives is seen otherwise than before.
    Heartbeat(Heartbeat),
    /// Something for the VM's events.
    Event { service: &'static str, what: String },
}

/// All of them.
pub(crate) struct Devices {
    slots: Vec<Slot>,
    told: Vec<Told>,
}

impl Devices {
    pub(crate) fn new(devices: Vec<Box<dyn ChannelDevice>>) -> Self {
        let slots = devices.into_iter().map(|device| Slot { device, relid: None, heartbeat: None });
        Self { slots: slots.collect(), told: Vec::new() }
    }

    /// Offers those that are not on offer.
    pub(crate) fn offer(&mut self, bus: &mut HostBus) {
        for slot in self.slots.iter_mut().filter(|slot| slot.relid.is_none()) {
            slot.relid = bus.offer(slot.device.offer()).ok();
        }
    }

    /// A channel was opened.
    ///
    /// # Errors
    /// Not everything that the device said could be sent.
    pub(crate) fn opened(&mut self, now: Duration, bus: &mut HostBus, relid: Relid) -> Result<(), SendError> {
        let Self { slots, told } = self;
        let slot = slots.iter_mut().find(|slot| slot.relid == Some(relid));
        slot.map_or(Ok(()), |slot| slot.drive(bus, told, |device, out| device.opened(now, out)))
    }

    /// A channel was closed.
    pub(crate) fn closed(&mut self, relid: Relid) {
        for slot in self.slots.iter_mut().filter(|slot| slot.relid == Some(relid)) {
            slot.device.closed();
            if slot.heartbeat.take().is_some_and(|heartbeat| heartbeat != Heartbeat::NoContact) {
                self.told.push(Told::Heartbeat(Heartbeat::NoContact));
            }
        }
    }

    /// A channel was taken back: it can be offered anew.
    pub(crate) fn forget(&mut self, relid: Relid) {
        for slot in &mut self.slots {
            slot.relid.take_if(|device| *device == relid);
        }
    }

    /// Hands the devices what their drivers have sent, while `spend` allows, and the time.
    ///
    /// # Errors
    /// Not everything that they said could be sent.
    pub(crate) fn run(
        &mut self,
        now: Duration,
        bus: &mut HostBus,
        mut spend: impl FnMut() -> bool,
    ) -> Result<(), SendError> {
        let mut result = Ok(());
        let Self { slots, told } = self;
        for slot in slots {
            let Some(relid) = slot.relid.filter(|&relid| bus.is_open(relid)) else { continue };
            loop {
                if !spend() {
                    bus.pause_reading(relid);
                    break;
                }
                let Some(packet) = bus.read(relid) else { break };
                if packet.completion_requested {
                    result = bus.complete(relid, packet.transaction_id, &[]).and(result);
                }
                // No device here knows other packets.
                if packet.kind == PacketType::IN_BAND {
                    let sent = slot.drive(bus, told, |device, out| device.packet(now, &packet.payload, out));
                    result = sent.and(result);
                }
            }
            if slot.device.next_timeout().is_some_and(|due| due <= now) {
                result = slot.drive(bus, told, |device, out| device.timer(now, out)).and(result);
            }
        }
        result
    }

    /// Has the first device that can ask the guest to shut down ask it; false if there is none.
    ///
    /// # Errors
    /// Not everything that the device said could be sent.
    pub(crate) fn shut_down(&mut self, now: Duration, bus: &mut HostBus) -> Result<bool, SendError> {
        let Self { slots, told } = self;
        for slot in slots {
            if !slot.relid.is_some_and(|relid| bus.is_open(relid)) {
                continue;
            }
            let mut asked = false;
            slot.drive(bus, told, |device, out| asked = device.shut_down(now, out))?;
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
        let open = self.slots.iter().filter(|slot| slot.relid.is_some_and(|relid| bus.is_open(relid)));
        open.filter_map(|slot| slot.device.next_timeout()).min()
    }
}

impl Slot {
    /// Calls the device, and does what it wants.
    fn drive(
        &mut self,
        bus: &mut HostBus,
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
                        result = bus.send(relid, &payload).and(result);
                    }
                }
                DeviceOutput::Heartbeat(heartbeat) => {
                    self.heartbeat = Some(heartbeat);
                    told.push(Told::Heartbeat(heartbeat));
                }
                DeviceOutput::Told { service, what } => told.push(Told::Event { service, what }),
            }
        }
        result
    }
}
