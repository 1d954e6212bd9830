//! A guest and a host on a simulated partition: what a VMM would have around driver and controller.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use page_range::{GuestPage, GuestRange, PageCount};
use partition::{GuestMemory, GuestRam, SimulatedPartition};
use storage_vsc::{BufferUse, StorageVsc, VscConfig};
use storage_vsp::{DiskConfig, DiskOperation, Input, Output, StorageVsp, VspConfig, carry_out};
use vhd::test_support::MemoryStorage;
use vhd::{Disk, Identity, Image, NewDisk, TableAccess, Uuid, VhdTime};
use vmbus::ring::{
    BufferRange, ChannelRings, GuestBuffer, OutgoingPacket, PacketBuffer, PacketType, ReadError, Role,
};

/// Sectors of every disk.
pub(crate) const SECTORS: u64 = 999;
/// Bytes of a guest's buffer.
const BUFFER: u64 = 256 << 10;
/// Where buffers begin: after the rings.
const BUFFERS: u64 = 64 << 12;

pub(crate) fn new_disk(number: u8) -> (Disk<MemoryStorage>, MemoryStorage) {
    let identity = Identity { uuid: Uuid::from_bytes([number; 16]), time: VhdTime(0) };
    let new = NewDisk { bytes: SECTORS * 512, block_bytes: 8192, identity };
    let storage = MemoryStorage::new();
    let image = Image::create_dynamic(storage.clone(), "disk", &new, TableAccess::InMemory).unwrap();
    (Disk::new(image, Vec::new()).unwrap(), storage)
}

/// A request on the host's side.
struct Request {
    transaction_id: u64,
    buffer: Option<GuestBuffer>,
}

pub(crate) struct Machine {
    pub(crate) partition: SimulatedPartition,
    pub(crate) vsp: StorageVsp,
    host_rings: ChannelRings,
    requests: BTreeMap<u64, Request>,
    next_request: u64,
    pub(crate) disks: BTreeMap<u8, Disk<MemoryStorage>>,
    /// What disks are to do, and have not begun.
    work: VecDeque<(u64, u8, DiskOperation)>,
    /// Where in the queue the disk that works next takes its work from.
    pub(crate) order: usize,
    /// What went wrong, in the host's words.
    pub(crate) host_log: Vec<String>,
    pub(crate) closed: bool,

    pub(crate) vsc: StorageVsc,
    guest_rings: ChannelRings,
    /// Where the driver's own buffers and those of operations are, by request.
    own: BTreeMap<u64, (u64, u32)>,
    free: Vec<u64>,
    pub(crate) events: Vec<storage_vsc::Output>,
}

impl Machine {
    pub(crate) fn new(vsc: VscConfig) -> Self {
        let partition = SimulatedPartition::new(1);
        let memory = GuestRange::new(GuestPage(0), PageCount::from_mib(8)).unwrap();
        partition.host().add(memory).unwrap();
        let pages: Vec<u64> = (8..40).collect();
        let guest_rings =
            ChannelRings::open(&partition.guest().pages(&pages).unwrap(), 16, Role::Guest).unwrap();
        let host_rings =
            ChannelRings::open(&partition.host().pages(&pages).unwrap(), 16, Role::Host).unwrap();
        Self {
            vsp: StorageVsp::new(VspConfig::default()),
            host_rings,
            requests: BTreeMap::new(),
            next_request: 0,
            disks: BTreeMap::new(),
            work: VecDeque::new(),
            order: 0,
            host_log: Vec::new(),
            closed: false,
            vsc: StorageVsc::new(vsc),
            guest_rings,
            own: BTreeMap::new(),
            free: (0..20).map(|n| BUFFERS + n * BUFFER).collect(),
            events: Vec::new(),
            partition,
        }
    }

    pub(crate) fn attach(&mut self, lun: u8, disk: Disk<MemoryStorage>) {
        let footer = disk.image().footer();
        let config = DiskConfig {
            sectors: disk.sectors(),
            writable: disk.image().is_writable(),
            can_discard: disk.can_discard(),
            id: footer.identity.uuid.into_bytes(),
        };
        self.disks.insert(lun, disk);
        self.host(Input::Attach { lun, disk: config });
    }

    pub(crate) fn open(&mut self) {
        self.host(Input::ChannelOpened);
        self.guest(storage_vsc::Input::ChannelOpened);
    }

    /// Where the buffer of an operation with this tag is: the test's own.
    pub(crate) fn buffer_of(tag: u64) -> u64 {
        BUFFERS + (20 + tag % 4) * BUFFER
    }

    pub(crate) fn host(&mut self, input: Input) {
        let (mut inputs, mut out) = (VecDeque::from([input]), Vec::new());
        while let Some(input) = inputs.pop_front() {
            self.vsp.handle(input, &mut out);
            for output in out.drain(..) {
                match output {
                    Output::Complete { request, payload, data } => {
                        let request = self.requests.remove(&request).unwrap();
                        if let Some(buffer) = &request.buffer {
                            assert_eq!(buffer.write(0, &data), data.len());
                        }
                        let packet = OutgoingPacket::completion(request.transaction_id, &payload);
                        self.host_rings.write(&packet).unwrap();
                    }
                    Output::Forget { request } => drop(self.requests.remove(&request).unwrap()),
                    Output::Notify { payload } => {
                        self.host_rings.write(&OutgoingPacket::in_band(0, &payload)).unwrap();
                    }
                    Output::Fetch { request, bytes } => {
                        let mut fetched = vec![0; usize::from(bytes)];
                        let buffer = self.requests[&request].buffer.as_ref().unwrap();
                        let length = buffer.read(0, &mut fetched);
                        fetched.truncate(length);
                        inputs.push_back(Input::Fetched { request, bytes: fetched });
                    }
                    Output::Start { request, lun, operation } => {
                        self.work.push_back((request, lun, operation));
                    }
                    Output::Detached { lun } => drop(self.disks.remove(&lun).unwrap()),
                    Output::AttachRefused { lun, why } => panic!("{lun} {why:?}"),
                    Output::CloseChannel => self.closed = true,
                    Output::ProtocolError { violation } => self.host_log.push(violation.to_string()),
                    Output::Ready { .. } => {}
                }
            }
        }
        let _signal = self.host_rings.commit_write().unwrap();
    }

    pub(crate) fn guest(&mut self, input: storage_vsc::Input) {
        let mut out = Vec::new();
        self.vsc.handle(Duration::ZERO, input, &mut out);
        for output in out {
            let storage_vsc::Output::Send { request, payload, buffer } = output else {
                self.events.push(output);
                continue;
            };
            let (gpa, bytes) = match buffer {
                BufferUse::None => {
                    let packet = OutgoingPacket::in_band(request, &payload).requesting_completion();
                    self.guest_rings.write(&packet).unwrap();
                    continue;
                }
                BufferUse::Own { bytes } => {
                    // Not at the beginning of a page.
                    let gpa = self.free.pop().unwrap();
                    self.own.insert(request, (gpa, bytes));
                    (gpa + 24, bytes)
                }
                BufferUse::Parameters(parameters) => {
                    let gpa = self.free.pop().unwrap();
                    self.own.insert(request, (gpa, 0));
                    self.partition.guest().write(gpa + 24, &parameters).unwrap();
                    (gpa + 24, parameters.len() as u32)
                }
                BufferUse::Callers { tag, bytes } => (Self::buffer_of(tag), bytes),
            };
            let range = BufferRange::contiguous(gpa, u64::from(bytes)).unwrap();
            let (body, extra) = BufferRange::encode(&[range], &payload);
            self.guest_rings.write(&OutgoingPacket::gpa_direct(request, &body, extra)).unwrap();
        }
        let _signal = self.guest_rings.commit_write().unwrap();
    }

    /// Sends a packet that no good driver would.
    pub(crate) fn guest_sends(&mut self, packet: &OutgoingPacket<'_>) {
        self.guest_rings.write(packet).unwrap();
        let _signal = self.guest_rings.commit_write().unwrap();
    }

    /// Until neither side has anything to do.
    pub(crate) fn run(&mut self) {
        while self.host_reads() | self.disk_works() | self.guest_reads() {}
    }

    pub(crate) fn host_reads(&mut self) -> bool {
        let mut buffer = PacketBuffer::new();
        let (payload, request, ranges, kind) = match self.host_rings.read(&mut buffer) {
            Ok(packet) => {
                self.next_request += 1;
                let request = Request { transaction_id: packet.transaction_id, buffer: None };
                (packet.payload.to_vec(), request, packet.extra.to_vec(), packet.kind)
            }
            Err(ReadError::Empty) => return false,
            Err(error) => panic!("{error}"),
        };
        let _signal = self.host_rings.commit_read().unwrap();
        let number = self.next_request;
        let taken = match kind {
            PacketType::GPA_DIRECT => {
                BufferRange::parse(&ranges).map_err(|error| error.to_string()).and_then(|ranges| {
                    GuestBuffer::new(&self.partition.host(), &ranges, BUFFER)
                        .map(Some)
                        .map_err(|error| error.to_string())
                })
            }
            _ => Ok(None),
        };
        match taken {
            Ok(buffer) => {
                let bytes = buffer.as_ref().map_or(0, GuestBuffer::len);
                self.requests.insert(number, Request { buffer, ..request });
                self.host(Input::Packet { request: number, payload, buffer: bytes });
            }
            Err(why) => self.host(Input::BadBuffer { why }),
        }
        true
    }

    pub(crate) fn disk_works(&mut self) -> bool {
        let at = if self.work.is_empty() { 0 } else { self.order % self.work.len() };
        let Some((request, lun, operation)) = self.work.remove(at) else { return false };
        let disk = self.disks.get_mut(&lun).unwrap();
        let result = carry_out(&operation, disk, self.requests[&request].buffer.as_ref());
        let result = result.map_err(|(fault, why)| {
            self.host_log.push(why);
            fault
        });
        self.host(Input::Finished { request, result });
        true
    }

    pub(crate) fn guest_reads(&mut self) -> bool {
        let mut buffer = PacketBuffer::new();
        let (kind, request, payload) = match self.guest_rings.read(&mut buffer) {
            Ok(packet) => (packet.kind, packet.transaction_id, packet.payload.to_vec()),
            Err(ReadError::Empty) => return false,
            Err(error) => panic!("{error}"),
        };
        let _signal = self.guest_rings.commit_read().unwrap();
        if kind == PacketType::IN_BAND {
            self.guest(storage_vsc::Input::Notice { payload });
            return true;
        }
        let mut data = Vec::new();
        if let Some((gpa, bytes)) = self.own.remove(&request) {
            data.resize(bytes as usize, 0);
            self.partition.guest().read(gpa + 24, &mut data).unwrap();
            self.free.push(gpa);
        }
        self.guest(storage_vsc::Input::Completion { request, payload, data });
        true
    }
}
