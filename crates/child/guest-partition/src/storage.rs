//! The StorVSC as a driver on the guest's bus: what the memory manager wants of a disk, the disk is asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use component_runtime::Doorbell;
use guest_memory_manager::{DiskIo, DiskUse, Guest};
use model_sync::Mutex;
use page_range::PageCount;
use partition::GuestRam;
use storage_protocol::SCSI_CLASS;
use storage_vsc::{BufferUse, DiskInfo, Input, Operation, Output, StorageVsc, VscConfig};
use vmbus::control::Uuid;
use vmbus::ring::BufferRange;

use crate::driver::{ChannelDriver, DriverOutput};

/// Pages of each ring (documented: Linux' storage driver has 128 KiB; with one page more for control).
const RING_PAGES: u32 = 33;
/// Pages of a buffer: the largest transfer that the host takes (documented: 256 KiB).
const BUFFER_PAGES: u64 = 64;
/// Buffers of the driver: so many requests are under way at a time (invented).
const BUFFERS: usize = 8;
const SECTORS_PER_PAGE: u64 = 8;
/// Where on the disk the page file begins: files come before it (invented).
const PAGE_FILE_AT: u64 = 2 << 30;

/// A buffer: pages of the driver's own.
struct Buffer {
    pages: Vec<u64>,
}

/// Driver of a guest's disks: files lie on the first, the page file on the last.
pub(crate) struct StorageDriver {
    /// How many there are to be: before they are all there, none is used.
    expected: u8,
    guest: Arc<Mutex<Guest>>,
    ram: Arc<dyn GuestRam>,
    machine: StorageVsc,
    /// Rung when the memory manager has to be looked at earlier than it said.
    kernel: Doorbell,
    disks: BTreeMap<u8, DiskInfo>,
    free: Vec<Buffer>,
    /// Buffers of the driver's own requests, by the number of the packet; the bytes to be read back from it.
    own: BTreeMap<u64, (Buffer, u32)>,
    /// Buffers of what the memory manager wants, by its number.
    used: BTreeMap<u64, Buffer>,
    /// Buffers that were in use when the channel was closed.
    stale: Vec<Buffer>,
    /// How many buffers there are.
    buffers: usize,
}

impl StorageDriver {
    pub(crate) fn new(
        expected: u8,
        guest: Arc<Mutex<Guest>>,
        ram: Arc<dyn GuestRam>,
        kernel: Doorbell,
    ) -> Self {
        Self {
            expected,
            guest,
            ram,
            machine: StorageVsc::new(VscConfig::default()),
            kernel,
            disks: BTreeMap::new(),
            free: Vec::new(),
            own: BTreeMap::new(),
            used: BTreeMap::new(),
            stale: Vec::new(),
            buffers: 0,
        }
    }

    fn handle(&mut self, now: Duration, input: Input, out: &mut Vec<DriverOutput>) {
        let mut outputs = Vec::new();
        self.machine.handle(now, input, &mut outputs);
        for output in outputs {
            match output {
                Output::Send { request, payload, buffer } => self.send(request, payload, buffer, out),
                Output::Ready { version, .. } => tracing::info!(event = "storage_ready", version = %version),
                Output::Failed { why } => tracing::warn!(event = "storage_failed", why = ?why),
                Output::DiskFound { lun, disk } => drop(self.disks.insert(lun, disk)),
                Output::DiskGone { lun } => drop(self.disks.remove(&lun)),
                Output::Done { tag, result } => {
                    self.free.extend(self.used.remove(&tag));
                    if let Err(why) = result {
                        tracing::warn!(event = "disk_error", why = ?why);
                    }
                    let mut guest = self.guest.lock();
                    let before = guest.memory().next_timeout();
                    guest.disk_io_done(now, tag, result.is_ok());
                    if guest.is_due_earlier(before) {
                        self.kernel.ring();
                    }
                }
                Output::Ignored => {}
            }
        }
    }

    fn send(&mut self, request: u64, payload: Vec<u8>, buffer: BufferUse, out: &mut Vec<DriverOutput>) {
        let range = |buffer: &Buffer, bytes: u32| {
            let pages = u64::from(bytes).div_ceil(4096) as usize;
            buffer.pages.get(..pages).map(|pages| BufferRange {
                byte_offset: 0,
                byte_count: bytes,
                pages: pages.to_vec(),
            })
        };
        let buffer = match buffer {
            BufferUse::None => None,
            BufferUse::Callers { tag, bytes } => self.used.get(&tag).and_then(|buffer| range(buffer, bytes)),
            BufferUse::Own { bytes } => self.free.pop().and_then(|buffer| {
                let range = range(&buffer, bytes);
                self.own.insert(request, (buffer, bytes));
                range
            }),
            BufferUse::Parameters(parameters) => self.free.pop().and_then(|buffer| {
                let bytes = u32::try_from(parameters.len()).ok()?;
                let first = buffer.pages.first().copied()?;
                // Pages of the driver's own are memory of this guest.
                let _written = self.ram.write(first * 4096, &parameters);
                let range = range(&buffer, bytes);
                self.own.insert(request, (buffer, 0));
                range
            }),
        };
        out.push(DriverOutput::Request { number: request, payload, buffer });
    }

    /// Makes the buffers, while there are none: of as much memory as there is for them.
    fn make_buffers(&mut self, now: Duration) {
        while self.buffers < BUFFERS {
            let Ok(pages) = self.guest.lock().allocate_locked(now, PageCount(BUFFER_PAGES)) else { break };
            self.free.push(Buffer { pages: pages.iter().map(|page| page.0).collect() });
            self.buffers += 1;
        }
    }

    /// What the memory manager's request is on this disk.
    fn operation(io: &DiskIo, sectors: u64, is_shared: bool) -> Operation {
        let begin = PAGE_FILE_AT / 512;
        let (from, room) = match io.purpose {
            DiskUse::FileRead => (0, sectors),
            DiskUse::PageFileRead | DiskUse::PageFileWrite if is_shared && sectors > 2 * begin => {
                (begin, sectors - begin)
            }
            // A disk of its own, or a small one.
            DiskUse::PageFileRead | DiskUse::PageFileWrite => (0, sectors),
        };
        let count = (io.pages.get() * SECTORS_PER_PAGE).min(room);
        // Whole pages of the room.
        let places = (room - count) / SECTORS_PER_PAGE + 1;
        let sector = from + io.page % places * SECTORS_PER_PAGE;
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        match io.purpose {
            DiskUse::PageFileWrite => Operation::Write { sector, count, force: false },
            DiskUse::PageFileRead | DiskUse::FileRead => Operation::Read { sector, count },
        }
    }
}

impl ChannelDriver for StorageDriver {
    fn class(&self) -> Uuid {
        SCSI_CLASS
    }

    fn ring_pages(&self) -> u32 {
        RING_PAGES
    }

    fn numbers_requests(&self) -> bool {
        true
    }

    fn opened(&mut self, now: Duration, out: &mut Vec<DriverOutput>) {
        self.make_buffers(now);
        self.handle(now, Input::ChannelOpened, out);
    }

    fn packet(&mut self, now: Duration, payload: &[u8], out: &mut Vec<DriverOutput>) {
        self.handle(now, Input::Notice { payload: payload.to_vec() }, out);
    }

    fn completed(&mut self, now: Duration, number: u64, payload: &[u8], out: &mut Vec<DriverOutput>) {
        let mut data = Vec::new();
        if let Some((buffer, bytes)) = self.own.remove(&number) {
            data.resize(bytes as usize, 0);
            if let Some(first) = buffer.pages.first() {
                // A single page, or one after the other: the driver's own requests are short.
                let in_page = data.len().min(4096);
                let _read = self.ram.read(first * 4096, &mut data[..in_page]);
            }
            self.free.push(buffer);
        }
        self.handle(now, Input::Completion { request: number, payload: payload.to_vec(), data }, out);
    }

    fn look(&mut self, now: Duration, out: &mut Vec<DriverOutput>) {
        if self.disks.len() < usize::from(self.expected) {
            return;
        }
        let (Some((&files, _)), Some((&page_file, _))) =
            (self.disks.first_key_value(), self.disks.last_key_value())
        else {
            return;
        };
        if self.free.is_empty() && self.used.is_empty() {
            // There was no memory for buffers when the channel was opened.
            self.make_buffers(now);
        }
        while let Some(buffer) = self.free.pop() {
            let Some(io) = self.guest.lock().next_disk_io() else {
                self.free.push(buffer);
                return;
            };
            self.used.insert(io.id, buffer);
            let lun = if io.purpose == DiskUse::FileRead { files } else { page_file };
            let sectors = self.disks.get(&lun).map_or(0, |disk| disk.sectors);
            let operation = Self::operation(&io, sectors, files == page_file);
            self.handle(now, Input::Submit { tag: io.id, lun, operation }, out);
        }
    }

    fn closed(&mut self, now: Duration, out: &mut Vec<DriverOutput>) {
        self.handle(now, Input::ChannelClosed, out);
        self.disks.clear();
        // The driver keeps its pages: a guest that is short of memory would not get others. Those that the host may still use are not used
        // until the channel is closed once more, unless there are no others.
        self.free.append(&mut self.stale);
        self.stale.extend(std::mem::take(&mut self.own).into_values().map(|(buffer, _)| buffer));
        self.stale.extend(std::mem::take(&mut self.used).into_values());
        if self.free.is_empty() {
            self.free.append(&mut self.stale);
        }
    }

    fn timer(&mut self, now: Duration, out: &mut Vec<DriverOutput>) {
        self.handle(now, Input::Timer, out);
    }

    fn next_timeout(&self) -> Option<Duration> {
        self.machine.next_timeout()
    }
}
