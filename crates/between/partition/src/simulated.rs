//! A partition inside this process.

mod ports;
mod ram;
mod sint;

use std::sync::Arc;

use page_range::GuestRange;
use shared_memory::MappedPages;

use crate::synic::{ConnectionInUse, EventFlags, HvStatus, Message, NoSuchSint, PostError};
use crate::{
    EventPort, GuestMemory, GuestRam, GuestSynic, Hypercalls, MemoryError, MessagePort, NotifyFn, SINTS,
};
use ports::Ports;
use ram::Ram;
use sint::Sint;

/// A hypervisor's partition, simulated: what the host writes the guest sees, and the other way round.
///
/// [`host`](Self::host) and [`guest`](Self::guest) give each side what it may do, so that a model of a guest cannot call
/// what only a host can. Made without memory; the host adds it. Only pages that were written, or of which a view exists,
/// take host memory, so a thousand guests of 4 GiB fit in a process.
#[derive(Clone, Debug)]
pub struct SimulatedPartition {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    ram: Ram,
    /// By virtual processor, then by interrupt source.
    sints: Vec<[Sint; SINTS as usize]>,
    ports: Ports,
}

/// The parent partition's view. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SimulatedHost(Arc<Shared>);

/// The child partition's view. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SimulatedGuest(Arc<Shared>);

impl SimulatedPartition {
    /// A partition of `vps` virtual processors and no memory.
    pub fn new(vps: u32) -> Self {
        let sints = (0..vps).map(|_| std::array::from_fn(|_| Sint::default())).collect();
        Self { shared: Arc::new(Shared { ram: Ram::default(), sints, ports: Ports::default() }) }
    }

    /// What the parent partition can do.
    pub fn host(&self) -> SimulatedHost {
        SimulatedHost(Arc::clone(&self.shared))
    }

    /// What the child partition can do.
    pub fn guest(&self) -> SimulatedGuest {
        SimulatedGuest(Arc::clone(&self.shared))
    }
}

impl Shared {
    fn sint(&self, vp: u32, sint: u8) -> Result<&Sint, NoSuchSint> {
        let of_vp = usize::try_from(vp).ok().and_then(|vp| self.sints.get(vp));
        of_vp.and_then(|sints| sints.get(usize::from(sint))).ok_or(NoSuchSint { vp, sint })
    }
}

macro_rules! guest_ram {
    ($side:ty) => {
        impl GuestRam for $side {
            fn pages(&self, pages: &[u64]) -> Result<MappedPages, MemoryError> {
                self.0.ram.pages(pages)
            }
            fn read(&self, gpa: u64, out: &mut [u8]) -> Result<(), MemoryError> {
                self.0.ram.read(gpa, out)
            }
            fn write(&self, gpa: u64, bytes: &[u8]) -> Result<(), MemoryError> {
                self.0.ram.write(gpa, bytes)
            }
        }
    };
}
guest_ram!(SimulatedHost);
guest_ram!(SimulatedGuest);

impl GuestMemory for SimulatedHost {
    fn add(&self, range: GuestRange) -> Result<(), MemoryError> {
        self.0.ram.add(range)
    }
    fn discard(&self, ranges: &[GuestRange]) -> Result<(), MemoryError> {
        self.0.ram.discard(ranges)
    }
    fn restore(&self, ranges: &[GuestRange]) -> Result<(), MemoryError> {
        self.0.ram.restore(ranges)
    }
    fn resident(&self) -> u64 {
        self.0.ram.resident()
    }
}

impl SimulatedHost {
    /// The VM is reset or switched off: memory, messages and flags are gone. Ports, which the host has opened, and
    /// functions to call stay.
    pub fn reset(&self) {
        self.0.ram.clear();
        self.0.sints.iter().flatten().for_each(Sint::reset);
        self.0.ports.drop_messages();
    }
}

impl MessagePort for SimulatedHost {
    fn processors(&self) -> u32 {
        u32::try_from(self.0.sints.len()).unwrap_or(u32::MAX)
    }
    fn try_post(&self, vp: u32, sint: u8, message: &[u8]) -> Result<(), PostError> {
        let target = self.0.sint(vp, sint)?;
        target.try_post(Message::new(message)?)
    }
    fn on_slot_free(&self, vp: u32, sint: u8, notify: NotifyFn) -> Result<(), NoSuchSint> {
        self.0.sint(vp, sint)?.slot_free.connect(&notify);
        Ok(())
    }
    fn open_message_port(&self, connection_id: u32, notify: NotifyFn) -> Result<(), ConnectionInUse> {
        self.0.ports.open_messages(connection_id, notify)
    }
    fn take_posted(&self, connection_id: u32) -> Option<Message> {
        self.0.ports.take_message(connection_id)
    }
    fn close_message_port(&self, connection_id: u32) {
        self.0.ports.close_messages(connection_id);
    }
}

impl EventPort for SimulatedHost {
    fn set_event(&self, vp: u32, sint: u8, flag: u16) -> Result<(), NoSuchSint> {
        self.0.sint(vp, sint)?.set_event(flag);
        Ok(())
    }
    fn open_event_port(&self, connection_id: u32, notify: NotifyFn) -> Result<(), ConnectionInUse> {
        self.0.ports.open_events(connection_id, notify)
    }
    fn close_event_port(&self, connection_id: u32) {
        self.0.ports.close_events(connection_id);
    }
}

impl Hypercalls for SimulatedGuest {
    fn post_message(&self, connection_id: u32, payload: &[u8]) -> HvStatus {
        Message::new(payload)
            .map_or(HvStatus::InvalidParameter, |message| self.0.ports.post(connection_id, message))
    }
    fn signal_event(&self, connection_id: u32, flag: u16) -> HvStatus {
        self.0.ports.signal(connection_id, flag)
    }
}

impl GuestSynic for SimulatedGuest {
    fn on_interrupt(&self, vp: u32, sint: u8, handler: NotifyFn) -> Result<(), NoSuchSint> {
        self.0.sint(vp, sint)?.interrupt.connect(&handler);
        Ok(())
    }
    fn take_message(&self, vp: u32, sint: u8) -> Option<Message> {
        self.0.sint(vp, sint).ok()?.take_message()
    }
    fn take_events(&self, vp: u32, sint: u8) -> EventFlags {
        self.0.sint(vp, sint).map_or_else(|_| EventFlags::default(), Sint::take_events)
    }
}

#[cfg(test)]
mod tests;
