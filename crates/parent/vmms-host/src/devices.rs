//! The devices of a VM besides Dynamic Memory, as the worker drives them.

use std::time::Duration;

use machine_contract::{ChannelDevice, DeviceOutput};
use vmbus::control::Relid;
use vmbus::ring::PacketType;

use crate::bus::{HostBus, SendError};

struct Slot {
    device: Box<dyn ChannelDevice>,
    relid: Option<Relid>,
}

/// All of them.
pub(crate) struct Devices(Vec<Slot>);

impl Devices {
    pub(crate) fn new(devices: Vec<Box<dyn ChannelDevice>>) -> Self {
        Self(devices.into_iter().map(|device| Slot { device, relid: None }).collect())
    }

    /// Offers those that are not on offer.
    pub(crate) fn offer(&mut self, bus: &mut HostBus) {
        for slot in self.0.iter_mut().filter(|slot| slot.relid.is_none()) {
            slot.relid = bus.offer(slot.device.offer()).ok();
        }
    }

    /// A channel was opened.
    ///
    /// # Errors
    /// Not everything that the device said could be sent.
    pub(crate) fn opened(&mut self, now: Duration, bus: &mut HostBus, relid: Relid) -> Result<(), SendError> {
        let slot = self.0.iter_mut().find(|slot| slot.relid == Some(relid));
        slot.map_or(Ok(()), |slot| slot.drive(bus, |device, out| device.opened(now, out)))
    }

    /// A channel was closed.
    pub(crate) fn closed(&mut self, relid: Relid) {
        for slot in self.0.iter_mut().filter(|slot| slot.relid == Some(relid)) {
            slot.device.closed();
        }
    }

    /// A channel was taken back: it can be offered anew.
    pub(crate) fn forget(&mut self, relid: Relid) {
        for slot in &mut self.0 {
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
        for slot in &mut self.0 {
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
                    let sent = slot.drive(bus, |device, out| device.packet(now, &packet.payload, out));
                    result = sent.and(result);
                }
            }
            if slot.device.next_timeout().is_some_and(|due| due <= now) {
                result = slot.drive(bus, |device, out| device.timer(now, out)).and(result);
            }
        }
        result
    }

    /// When one of them wants to be called at the latest.
    pub(crate) fn next_timeout(&self, bus: &HostBus) -> Option<Duration> {
        let open = self.0.iter().filter(|slot| slot.relid.is_some_and(|relid| bus.is_open(relid)));
        open.filter_map(|slot| slot.device.next_timeout()).min()
    }
}

impl Slot {
    /// Calls the device, and does what it wants.
    fn drive(
        &mut self,
        bus: &mut HostBus,
        call: impl FnOnce(&mut dyn ChannelDevice, &mut Vec<DeviceOutput>),
    ) -> Result<(), SendError> {
        let mut wanted = Vec::new();
        call(&mut *self.device, &mut wanted);
        let mut result = Ok(());
        for DeviceOutput::Send(payload) in wanted {
            if let Some(relid) = self.relid {
                result = bus.send(relid, &payload).and(result);
            }
        }
        result
    }
}
