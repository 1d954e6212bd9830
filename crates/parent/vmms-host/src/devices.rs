//! The devices of a VM besides Dynamic Memory, as the worker drives them.

use std::time::Duration;

use gmo_memory_manager::GmoMemoryManager;
use machine_contract::{ChannelDevice, DeviceOutput};
use vmbus::control::Relid;
use vmbus::ring::PacketType;

use crate::bus::{BusEvent, HostBus, SendError};

struct Slot {
    device: Box<dyn ChannelDevice>,
    relid: Option<Relid>,
}

/// What driving a device takes of its worker.
pub(crate) struct Around<'a> {
    pub(crate) now: Duration,
    pub(crate) bus: &'a mut HostBus,
    pub(crate) memory: &'a mut GmoMemoryManager,
    pub(crate) events: &'a mut Vec<BusEvent>,
}

/// All of them.
pub(crate) struct Devices(Vec<Slot>);

impl Devices {
    pub(crate) fn new(devices: Vec<Box<dyn ChannelDevice>>) -> Self {
        Self(devices.into_iter().map(|device| Slot { device, relid: None }).collect())
    }

    /// Offers those that are not on offer.
    pub(crate) fn offer(&mut self, around: &mut Around<'_>) {
        for slot in self.0.iter_mut().filter(|slot| slot.relid.is_none()) {
            slot.relid = around.bus.offer(slot.device.offer(), around.memory, around.events).ok();
        }
    }

    /// A channel was opened. An error: not everything that the device said could be sent.
    pub(crate) fn opened(&mut self, around: &mut Around<'_>, relid: Relid) -> Result<(), SendError> {
        self.drive(around, relid, |device, now, out| device.opened(now, out))
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

    /// Hands the devices what their drivers have sent, while `spend` allows, and the time. An error: not everything that
    /// they said could be sent.
    pub(crate) fn run(
        &mut self,
        around: &mut Around<'_>,
        mut spend: impl FnMut() -> bool,
    ) -> Result<(), SendError> {
        let mut result = Ok(());
        for slot in &mut self.0 {
            let Some(relid) = slot.relid.filter(|&relid| around.bus.is_open(relid)) else { continue };
            loop {
                if !spend() {
                    around.bus.pause_reading(relid, around.memory, around.events);
                    break;
                }
                let Some(packet) = around.bus.read(relid, around.memory, around.events) else { break };
                if packet.completion_requested {
                    let id = packet.transaction_id;
                    let sent = around.bus.complete(relid, id, &[], around.memory, around.events);
                    result = sent.and(result);
                }
                // No device here knows other packets.
                if packet.kind == PacketType::IN_BAND {
                    let sent =
                        slot.drive(around, |device, now, out| device.packet(now, &packet.payload, out));
                    result = sent.and(result);
                }
            }
            if slot.device.next_timeout().is_some_and(|due| due <= around.now) {
                let sent = slot.drive(around, |device, now, out| device.timer(now, out));
                result = sent.and(result);
            }
        }
        result
    }

    /// When one of them wants to be called at the latest.
    pub(crate) fn next_timeout(&self, bus: &HostBus) -> Option<Duration> {
        let open = self.0.iter().filter(|slot| slot.relid.is_some_and(|relid| bus.is_open(relid)));
        open.filter_map(|slot| slot.device.next_timeout()).min()
    }

    fn drive(
        &mut self,
        around: &mut Around<'_>,
        relid: Relid,
        call: impl FnOnce(&mut dyn ChannelDevice, Duration, &mut Vec<DeviceOutput>),
    ) -> Result<(), SendError> {
        let slot = self.0.iter_mut().find(|slot| slot.relid == Some(relid));
        slot.map_or(Ok(()), |slot| slot.drive(around, call))
    }
}

impl Slot {
    /// Calls the device, and does what it wants.
    fn drive(
        &mut self,
        around: &mut Around<'_>,
        call: impl FnOnce(&mut dyn ChannelDevice, Duration, &mut Vec<DeviceOutput>),
    ) -> Result<(), SendError> {
        let mut wanted = Vec::new();
        call(&mut *self.device, around.now, &mut wanted);
        let mut result = Ok(());
        for output in wanted {
            match (output, self.relid) {
                (DeviceOutput::Send(payload), Some(relid)) => {
                    let sent = around.bus.send(relid, &payload, around.memory, around.events);
                    result = sent.and(result);
                }
                (DeviceOutput::Send(_), None) => {}
            }
        }
        result
    }
}
