//! A simulated VM whose partition is listened in to, and can be made to fail.

use std::sync::Arc;

use component_runtime::Context;
use guest_partition::SimulatedVm;
use machine_contract::{
    HostPartition, PartitionError, PartitionFactory, PartitionRequest, RunningPartition, VmFactory,
};
use model_sync::Mutex;
use page_range::GuestRange;
use partition::{
    ConnectionInUse, EventPort, GuestMemory, GuestRam, MappedPages, MemoryError, Message, MessagePort,
    NoSuchSint, NotifyFn, PostError,
};

/// What the host's side of a partition is watched by.
#[derive(Default)]
pub struct Tap {
    /// What went over the bus, oldest first: from the guest or to it.
    pub messages: Vec<(bool, Vec<u8>)>,
    /// The partition.
    pub host: Option<Arc<dyn HostPartition>>,
    /// The hypervisor cannot keep the guest from pages that it has given back.
    pub cannot_guard: bool,
    /// How often it was asked to and could not.
    pub not_guarded: usize,
}

/// A VM whose partition is listened in to.
#[derive(Clone)]
pub struct Tapped(SimulatedVm, Arc<Mutex<Tap>>);

impl Tapped {
    /// This VM, listened in to by `tap`.
    #[must_use]
    pub fn new(vm: SimulatedVm, tap: Arc<Mutex<Tap>>) -> Self {
        Self(vm, tap)
    }
}

impl VmFactory for Tapped {
    fn partition(&mut self) -> Box<dyn PartitionFactory> {
        Box::new(self.clone())
    }
}

impl PartitionFactory for Tapped {
    fn start(
        &mut self,
        ctx: &mut Context<'_>,
        request: &PartitionRequest<'_>,
    ) -> Result<Box<dyn RunningPartition>, PartitionError> {
        let running = self.0.start(ctx, request)?;
        Ok(Box::new(TappedMachine(running, Arc::clone(&self.1))))
    }
}

struct TappedMachine(Box<dyn RunningPartition>, Arc<Mutex<Tap>>);

impl RunningPartition for TappedMachine {
    fn host(&self) -> Arc<dyn HostPartition> {
        let host = self.0.host();
        self.1.lock().host = Some(Arc::clone(&host));
        Arc::new(TappedHost(host, Arc::clone(&self.1)))
    }
    fn reset(&mut self, ctx: &mut Context<'_>, request: &PartitionRequest<'_>) -> Result<(), PartitionError> {
        self.0.reset(ctx, request)
    }
    fn shut_down(&mut self, ctx: &mut Context<'_>) {
        self.0.shut_down(ctx);
    }
    fn stop(&mut self, ctx: &mut Context<'_>) {
        self.0.stop(ctx);
    }
}

struct TappedHost(Arc<dyn HostPartition>, Arc<Mutex<Tap>>);

impl GuestRam for TappedHost {
    fn pages(&self, pages: &[u64]) -> Result<MappedPages, MemoryError> {
        self.0.pages(pages)
    }
    fn read(&self, gpa: u64, out: &mut [u8]) -> Result<(), MemoryError> {
        self.0.read(gpa, out)
    }
    fn write(&self, gpa: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        self.0.write(gpa, bytes)
    }
}

impl GuestMemory for TappedHost {
    fn add(&self, range: GuestRange) -> Result<(), MemoryError> {
        self.0.add(range)
    }
    fn discard(&self, ranges: &[GuestRange]) -> Result<(), MemoryError> {
        let mut tap = self.1.lock();
        if tap.cannot_guard {
            tap.not_guarded += 1;
            return Err(MemoryError::TooManyPieces { pieces: ranges.len() });
        }
        self.0.discard(ranges)
    }
    fn restore(&self, ranges: &[GuestRange]) -> Result<(), MemoryError> {
        self.0.restore(ranges)
    }
    fn resident(&self) -> u64 {
        self.0.resident()
    }
}

impl MessagePort for TappedHost {
    fn processors(&self) -> u32 {
        self.0.processors()
    }
    fn try_post(&self, vp: u32, sint: u8, message: &[u8]) -> Result<(), PostError> {
        self.0.try_post(vp, sint, message)?;
        self.1.lock().messages.push((false, message.to_vec()));
        Ok(())
    }
    fn on_slot_free(&self, vp: u32, sint: u8, doorbell: NotifyFn) -> Result<(), NoSuchSint> {
        self.0.on_slot_free(vp, sint, doorbell)
    }
    fn open_message_port(&self, connection_id: u32, doorbell: NotifyFn) -> Result<(), ConnectionInUse> {
        self.0.open_message_port(connection_id, doorbell)
    }
    fn take_posted(&self, connection_id: u32) -> Option<Message> {
        let message = self.0.take_posted(connection_id)?;
        self.1.lock().messages.push((true, message.to_vec()));
        Some(message)
    }
    fn close_message_port(&self, connection_id: u32) {
        self.0.close_message_port(connection_id);
    }
}

impl EventPort for TappedHost {
    fn set_event(&self, vp: u32, sint: u8, flag: u16) -> Result<(), NoSuchSint> {
        self.0.set_event(vp, sint, flag)
    }
    fn open_event_port(&self, connection_id: u32, doorbell: NotifyFn) -> Result<(), ConnectionInUse> {
        self.0.open_event_port(connection_id, doorbell)
    }
    fn close_event_port(&self, connection_id: u32) {
        self.0.close_event_port(connection_id);
    }
}
