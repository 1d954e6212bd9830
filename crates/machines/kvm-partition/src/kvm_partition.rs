//! The partition's traits over a VM: what the host's end of a bus sees.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kvm_ioctls::VmFd;
use page_range::{GuestPage, GuestRange};
use parking_lot::{Mutex, RwLock};
use partition::{
    ConnectionInUse, EventPort, GuestMemory, GuestRam, HvStatus, MappedPages, MemoryError, Message,
    MessagePort, NoSuchSint, NotifyFn, POST_BUFFERS, PostError, VMBUS_SINT,
};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use crate::acpi::reserved;
use crate::doorbells::{Doorbells, OnFailure, Source};
use crate::page_reporting::COLD_DISCARD_HINT;
use crate::ram::{Backing, Ram};
use crate::synic::{Registers, Synic};
use crate::sys;

/// The VM of the moment. A reset makes another one.
pub(crate) struct Connected {
    pub(crate) vm: Arc<VmFd>,
    /// One for each virtual processor: a write raises the VMBus interrupt.
    pub(crate) interrupts: Vec<EventFd>,
}

struct PostPort {
    doorbell: NotifyFn,
    posted: VecDeque<Message>,
}

/// What the host sees of a guest on KVM. The partition outlives resets: ports stay open, memory and interrupt controller
/// start anew.
pub struct KvmPartition {
    vps: u32,
    ram: Ram,
    synic: Synic,
    connected: RwLock<Option<Connected>>,
    posts: Mutex<BTreeMap<u32, PostPort>>,
    slot_free: Mutex<BTreeMap<u32, NotifyFn>>,
    doorbells: Doorbells,
    /// Whether the guest is offered to report free pages.
    page_reporting: AtomicBool,
    reported: Reported,
}

/// What the guest has reported as unused.
#[derive(Debug, Default)]
struct Reported {
    pages: AtomicU64,
    refused: AtomicU64,
}

impl std::fmt::Debug for KvmPartition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KvmPartition").field("vps", &self.vps).finish_non_exhaustive()
    }
}

impl KvmPartition {
    /// A partition without memory and without a VM. `failed` is told if its doorbells ring no more.
    pub(crate) fn new(name: &str, vps: u32, backing: Backing, failed: OnFailure) -> io::Result<Self> {
        Self::with_ram(name, vps, Ram::new(backing), failed)
    }

    pub(crate) fn with_ram(name: &str, vps: u32, ram: Ram, failed: OnFailure) -> io::Result<Self> {
        Ok(Self {
            vps,
            ram,
            synic: Synic::new(vps),
            connected: RwLock::default(),
            posts: Mutex::default(),
            slot_free: Mutex::default(),
            doorbells: Doorbells::new(name, failed)?,
            page_reporting: AtomicBool::new(false),
            reported: Reported::default(),
        })
    }

    /// Virtual processors.
    pub fn vps(&self) -> u32 {
        self.vps
    }

    /// Signals of the guest, and freed message slots, that came without an exit.
    pub fn signals_without_exit(&self) -> u64 {
        self.doorbells.signals()
    }

    /// The lowest page that the guest has given back, and that it must not touch.
    pub fn first_guarded(&self) -> Option<GuestPage> {
        self.ram.first_guarded()
    }

    /// Whether the guest is offered to report free pages: it was asked for, and this computer's KVM hands over what it takes.
    pub fn reports_pages(&self) -> bool {
        self.page_reporting.load(Ordering::Relaxed)
    }

    /// Pages that the guest has reported as unused and that were freed, each as often as it was reported.
    pub fn pages_reported(&self) -> u64 {
        self.reported.pages.load(Ordering::Relaxed)
    }

    /// Reports that were refused, because of a page that is not the guest's to report.
    pub fn reports_refused(&self) -> u64 {
        self.reported.refused.load(Ordering::Relaxed)
    }

    pub(crate) fn offer_page_reporting(&self) {
        self.page_reporting.store(true, Ordering::Relaxed);
    }

    /// HvExtCallQueryCapabilities.
    pub(crate) fn tell_capabilities(&self, output: u64) -> HvStatus {
        match self.ram.write(output, &COLD_DISCARD_HINT.to_le_bytes()) {
            Ok(()) => HvStatus::Success,
            Err(_) => HvStatus::InvalidParameter,
        }
    }

    /// HvExtCallMemoryHeatHint of memory that is not used.
    pub(crate) fn free_reported(&self, ranges: &[GuestRange]) -> HvStatus {
        match self.ram.free_reported(ranges) {
            Ok(pages) => {
                self.reported.pages.fetch_add(pages, Ordering::Relaxed);
                HvStatus::Success
            }
            Err(_) => {
                self.reported.refused.fetch_add(1, Ordering::Relaxed);
                HvStatus::InvalidParameter
            }
        }
    }

    pub(crate) fn ram(&self) -> &Ram {
        &self.ram
    }

    /// Connects a VM, whose memory slots are this partition's RAM. `slots_free` signal that a message slot is free.
    pub(crate) fn connect(&self, connected: Connected, slots_free: Vec<EventFd>) -> io::Result<()> {
        for (vp, fd) in (0..).zip(slots_free) {
            let doorbell = self.slot_free.lock().get(&vp).cloned().unwrap_or_else(|| Arc::new(|| {}));
            self.doorbells.listen(Source::SlotFree(vp), fd, doorbell)?;
        }
        *self.connected.write() = Some(connected);
        Ok(())
    }

    /// The VM is no more: its memory and interrupt controller go with it, its ports stay.
    pub(crate) fn disconnect(&self) {
        let gone = self.connected.write().take();
        for vp in 0..self.vps {
            self.doorbells.forget(Source::SlotFree(vp));
        }
        self.synic.reset();
        for port in self.posts.lock().values_mut() {
            port.posted.clear();
        }
        self.ram.clear(gone.as_ref().map(|gone| &*gone.vm));
    }

    pub(crate) fn set_registers(&self, vp: u32, registers: Registers) {
        self.synic.set(vp, registers);
    }

    /// HvPostMessage.
    pub(crate) fn post_message(&self, connection_id: u32, payload: &[u8]) -> HvStatus {
        let Ok(message) = Message::new(payload) else { return HvStatus::InvalidParameter };
        let doorbell = {
            let mut posts = self.posts.lock();
            let Some(port) = posts.get_mut(&connection_id) else { return HvStatus::InvalidConnectionId };
            if port.posted.len() >= POST_BUFFERS {
                return HvStatus::InsufficientBuffers;
            }
            port.posted.push_back(message);
            Arc::clone(&port.doorbell)
        };
        doorbell();
        HvStatus::Success
    }

    /// HvSignalEvent that KVM did not handle itself: a connection that nobody listens to, or a flag that does not exist.
    pub(crate) fn signal_event(&self, connection_id: u32, flag: u16) -> HvStatus {
        match self.doorbells.hears(Source::Connection(connection_id)) {
            true if flag != 0 => HvStatus::InvalidParameter,
            _ => HvStatus::InvalidConnectionId,
        }
    }

    fn interrupt(&self, vp: u32) {
        if let Some(connected) = &*self.connected.read()
            && let Some(line) = connected.interrupts.get(vp as usize)
        {
            // Fails only when 2^64 - 1 interrupts have not been heard.
            let _ = line.write(1);
        }
    }
}

impl GuestRam for KvmPartition {
    fn pages(&self, pages: &[u64]) -> Result<MappedPages, MemoryError> {
        self.ram.pages(pages)
    }

    fn read(&self, gpa: u64, out: &mut [u8]) -> Result<(), MemoryError> {
        self.ram.read(gpa, out)
    }

    fn write(&self, gpa: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        self.ram.write(gpa, bytes)
    }
}

impl GuestMemory for KvmPartition {
    fn add(&self, range: GuestRange) -> Result<(), MemoryError> {
        if reserved().is_some_and(|reserved| reserved.intersects(range)) {
            return Err(MemoryError::Overlap { range });
        }
        let connected = self.connected.read();
        self.ram.add(range, connected.as_ref().map(|connected| &*connected.vm))
    }

    fn discard(&self, ranges: &[GuestRange]) -> Result<(), MemoryError> {
        self.ram.discard(ranges)
    }

    fn restore(&self, ranges: &[GuestRange]) -> Result<(), MemoryError> {
        self.ram.restore(ranges)
    }

    fn resident(&self) -> u64 {
        self.ram.resident()
    }
}

impl MessagePort for KvmPartition {
    fn processors(&self) -> u32 {
        self.vps
    }

    fn try_post(&self, vp: u32, sint: u8, message: &[u8]) -> Result<(), PostError> {
        self.synic.post(&self.ram, vp, sint, message)?;
        self.interrupt(vp);
        Ok(())
    }

    fn on_slot_free(&self, vp: u32, sint: u8, doorbell: NotifyFn) -> Result<(), NoSuchSint> {
        if vp >= self.vps || sint != VMBUS_SINT {
            return Err(NoSuchSint { vp, sint });
        }
        self.slot_free.lock().insert(vp, Arc::clone(&doorbell));
        if let Some(fd) = self.doorbells.forget(Source::SlotFree(vp)) {
            // An eventfd that was heard until now can be heard again.
            let _ = self.doorbells.listen(Source::SlotFree(vp), fd, doorbell);
        }
        Ok(())
    }

    fn open_message_port(&self, connection_id: u32, doorbell: NotifyFn) -> Result<(), ConnectionInUse> {
        match self.posts.lock().entry(connection_id) {
            std::collections::btree_map::Entry::Occupied(_) => Err(ConnectionInUse { connection_id }),
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(PostPort { doorbell, posted: VecDeque::new() });
                Ok(())
            }
        }
    }

    fn take_posted(&self, connection_id: u32) -> Option<Message> {
        self.posts.lock().get_mut(&connection_id)?.posted.pop_front()
    }

    fn close_message_port(&self, connection_id: u32) {
        self.posts.lock().remove(&connection_id);
    }
}

impl EventPort for KvmPartition {
    fn set_event(&self, vp: u32, sint: u8, flag: u16) -> Result<(), NoSuchSint> {
        if self.synic.set_event(&self.ram, vp, sint, flag)? {
            self.interrupt(vp);
        }
        Ok(())
    }

    fn open_event_port(&self, connection_id: u32, doorbell: NotifyFn) -> Result<(), ConnectionInUse> {
        let source = Source::Connection(connection_id);
        let in_use = ConnectionInUse { connection_id };
        if self.doorbells.hears(source) {
            return Err(in_use);
        }
        // Without descriptors left nothing can be heard: for the bus the same as a connection that it cannot have.
        let fd = EventFd::new(EFD_NONBLOCK).map_err(|_| in_use)?;
        if let Some(connected) = &*self.connected.read() {
            sys::connection_eventfd(&connected.vm, connection_id, &fd, true).map_err(|_| in_use)?;
        }
        self.doorbells.listen(source, fd, doorbell).map_err(|_| in_use)
    }

    fn close_event_port(&self, connection_id: u32) {
        if let Some(fd) = self.doorbells.forget(Source::Connection(connection_id))
            && let Some(connected) = &*self.connected.read()
        {
            // Fails only if it was not assigned.
            let _ = sys::connection_eventfd(&connected.vm, connection_id, &fd, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use page_range::PageCount;

    use super::*;

    const CONNECTION: u32 = 4;

    fn partition() -> KvmPartition {
        KvmPartition::new("test", 2, Backing::Mock, Box::new(|why| panic!("{why}"))).unwrap()
    }

    fn range(start: u64, pages: u64) -> GuestRange {
        GuestRange::new(GuestPage(start), PageCount(pages)).unwrap()
    }

    /// A guest that posts faster than the bus takes is told so by the hypervisor's own status, and holds no more memory of the
    /// host than the documented number of buffers.
    #[test]
    fn a_guest_that_floods_the_bus_waits_for_buffers() {
        let partition = partition();
        let rang = Arc::new(AtomicUsize::new(0));
        let bell: NotifyFn = {
            let rang = Arc::clone(&rang);
            Arc::new(move || {
                rang.fetch_add(1, Ordering::Relaxed);
            })
        };
        assert_eq!(partition.post_message(CONNECTION, &[1; 8]), HvStatus::InvalidConnectionId);
        partition.open_message_port(CONNECTION, bell).unwrap();
        let statuses: Vec<_> = (0..100_000).map(|_| partition.post_message(CONNECTION, &[1; 240])).collect();
        let taken = statuses.iter().filter(|&&status| status == HvStatus::Success).count();
        assert_eq!((taken, rang.load(Ordering::Relaxed)), (POST_BUFFERS, POST_BUFFERS));
        assert!(statuses[POST_BUFFERS..].iter().all(|&status| status == HvStatus::InsufficientBuffers));
        // What was taken is still there, and makes room when it is read.
        assert!(partition.take_posted(CONNECTION).is_some());
        assert_eq!(partition.post_message(CONNECTION, &[2; 8]), HvStatus::Success);
        assert_eq!(partition.post_message(CONNECTION, &[2; 8]), HvStatus::InsufficientBuffers);
        // Messages do not outlive the VM; its ports do.
        partition.disconnect();
        assert!(partition.take_posted(CONNECTION).is_none());
        assert_eq!(partition.post_message(CONNECTION, &[3; 8]), HvStatus::Success);
        assert_eq!(partition.post_message(CONNECTION, &[3; 4096]), HvStatus::InvalidParameter);
    }

    #[test]
    fn signals_that_nobody_listens_to_are_refused() {
        let partition = partition();
        assert_eq!(partition.signal_event(17, 0), HvStatus::InvalidConnectionId);
        partition.open_event_port(17, Arc::new(|| ())).unwrap();
        assert_eq!(
            partition.open_event_port(17, Arc::new(|| ())),
            Err(ConnectionInUse { connection_id: 17 })
        );
        assert_eq!(partition.signal_event(17, 1), HvStatus::InvalidParameter);
        partition.close_event_port(17);
        assert_eq!(partition.signal_event(17, 1), HvStatus::InvalidConnectionId);
    }

    #[test]
    fn memory_is_added_once_outside_of_devices_and_discarded_as_a_whole_or_not_at_all() {
        let partition = partition();
        partition.add(range(0, 64)).unwrap();
        partition.add(range(64, 64)).unwrap();
        assert!(matches!(partition.add(range(127, 2)), Err(MemoryError::Overlap { .. })));
        assert!(matches!(partition.add(range((1 << 20) - 1, 1)), Err(MemoryError::Overlap { .. })));
        let full = partition.resident();
        assert_eq!(full, 128 * 4096);
        partition.write(4096, b"kept").unwrap();
        let outside = partition.discard(&[range(1, 1), range(120, 9)]);
        assert_eq!(outside, Err(MemoryError::NotMemory { page: GuestPage(128) }));
        assert_eq!(partition.resident(), full);
        // Over the seam of two ranges, and the same page twice.
        partition.discard(&[range(60, 8), range(1, 1), range(1, 1)]).unwrap();
        assert_eq!(partition.resident(), full - 9 * 4096);
        let mut bytes = [1; 4];
        assert_eq!(partition.read(4096, &mut bytes), Err(MemoryError::NotMemory { page: GuestPage(1) }));
        partition.restore(&[range(1, 1), range(62, 3)]).unwrap();
        assert_eq!(partition.resident(), full - 5 * 4096);
        partition.read(4096, &mut bytes).unwrap();
        assert_eq!(bytes, [0; 4]);
    }
}
