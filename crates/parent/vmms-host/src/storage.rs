//! Virtual hard disks as a device of a VM: a SCSI controller over whatever carries requests out.
//!
//! The controller's logic is `storage-vsp`, which does no I/O. What a disk is asked is handed to a [`VirtualDisk`]: one in a file has a
//! thread, one of a simulated host a model of the device that it lies on. Disks come and go by a [`StorageHandle`], also while the guest
//! runs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use machine_contract::{ChannelDevice, DeviceOutput, DeviceRequest};
use model_sync::Mutex;
use partition::NotifyFn;
use storage_protocol::SCSI_CLASS;
use storage_vsp::{DiskConfig, DiskOperation, Fault, Input, Output, StorageVsp, VspConfig};
use vmbus::control::Uuid;
use vmbus::control::server::Offer;
use vmbus::ring::GuestBuffer;

/// Something for a disk to do.
#[derive(Clone, Debug)]
pub struct DiskRequest {
    /// What its controller calls it.
    pub number: u64,
    /// What is to be done. Sectors are the disk's, and fit the buffer.
    pub operation: DiskOperation,
    /// Where data come from or go to.
    pub buffer: Option<Arc<GuestBuffer>>,
}

/// How a request went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskResult {
    /// Which request.
    pub number: u64,
    /// Whether it was done; if not, also why in words, for the host's record.
    pub result: Result<(), (Fault, String)>,
}

/// A disk that does what a controller asks of it, in its own time.
pub trait VirtualDisk: Send {
    /// What the controller has to know of it.
    fn config(&self) -> DiskConfig;

    /// Where to ring when [`finished`](Self::finished) has something. Called before everything else.
    fn connect(&mut self, _doorbell: &NotifyFn) {}

    /// Begins with a request. Several may be under way; they may finish in any order.
    fn start(&mut self, now: Duration, request: DiskRequest);

    /// A request that is over by now.
    fn finished(&mut self, now: Duration) -> Option<DiskResult>;

    /// When the next request is over, if that is known.
    fn next_timeout(&self) -> Option<Duration> {
        None
    }
}

/// What was counted of a disk since it was attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskStatistics {
    /// Reads that are over.
    pub reads: u64,
    /// Writes that are over.
    pub writes: u64,
    /// Flushes and discards that are over.
    pub others: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Requests that the disk could not carry out.
    pub failed: u64,
    /// Requests under way.
    pub queue: u64,
    /// The sum over all reads of the time from request to completion.
    pub read_time: Duration,
    /// The same of writes.
    pub write_time: Duration,
}

enum Command {
    Attach(u8, Box<dyn VirtualDisk>),
    Detach(u8),
}

#[derive(Default)]
struct Shared {
    commands: VecDeque<Command>,
    doorbell: Option<NotifyFn>,
    disks: BTreeMap<u8, DiskStatistics>,
}

/// A hand on a VM's controller, for whoever plugs disks in. It outlives the VM's starts; the controller of each start takes the disks that
/// were handed over since the one before.
#[derive(Clone, Default)]
pub struct StorageHandle(Arc<Mutex<Shared>>);

impl std::fmt::Debug for StorageHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StorageHandle").finish_non_exhaustive()
    }
}

impl StorageHandle {
    /// Plugs a disk in. A number that is in use, or that no controller has, is an event of the VM.
    pub fn attach(&self, lun: u8, disk: Box<dyn VirtualDisk>) {
        self.command(Command::Attach(lun, disk));
    }

    /// Takes a disk out: the guest learns of it at once, and the disk goes when its last request is over.
    pub fn detach(&self, lun: u8) {
        self.command(Command::Detach(lun));
    }

    /// What was counted of each disk since it was attached, of those that are gone as well.
    #[must_use]
    pub fn statistics(&self) -> BTreeMap<u8, DiskStatistics> {
        self.0.lock().disks.clone()
    }

    fn command(&self, command: Command) {
        let mut shared = self.0.lock();
        shared.commands.push_back(command);
        let doorbell = shared.doorbell.clone();
        drop(shared);
        if let Some(doorbell) = doorbell {
            doorbell();
        }
    }
}

/// A request under way.
struct Pending {
    buffer: Option<Arc<GuestBuffer>>,
    begun: Duration,
    /// What it does with how many bytes.
    work: Option<Work>,
}

#[derive(Clone, Copy)]
enum Work {
    Read(u64),
    Write(u64),
    Other,
}

impl Work {
    fn of(operation: &DiskOperation) -> Self {
        let bytes = |count: u32| u64::from(count) * u64::from(storage_protocol::SECTOR);
        match operation {
            DiskOperation::Read { count, .. } => Self::Read(bytes(*count)),
            DiskOperation::Write { count, .. } => Self::Write(bytes(*count)),
            DiskOperation::Flush | DiskOperation::Discard { .. } => Self::Other,
        }
    }
}

/// A SCSI controller with its disks, as a device of a VM.
pub struct ScsiController {
    instance: Uuid,
    most_bytes: u64,
    vsp: StorageVsp,
    handle: StorageHandle,
    doorbell: NotifyFn,
    /// Those that go are here until their last request is over.
    disks: BTreeMap<u8, Box<dyn VirtualDisk>>,
    requests: BTreeMap<u64, Pending>,
}

impl ScsiController {
    /// A controller. `instance` tells it from other controllers of the VM; what is done with `handle` happens to this controller from
    /// now on.
    #[must_use]
    pub fn new(instance: Uuid, config: VspConfig, handle: StorageHandle) -> Self {
        Self {
            instance,
            most_bytes: u64::from(config.max_transfer_bytes),
            vsp: StorageVsp::new(config),
            handle,
            doorbell: Arc::new(|| {}),
            disks: BTreeMap::new(),
            requests: BTreeMap::new(),
        }
    }

    /// Feeds the controller's logic, and carries out what it says until nothing is left.
    fn feed(&mut self, now: Duration, input: Input, out: &mut Vec<DeviceOutput>) {
        let (mut inputs, mut outputs) = (VecDeque::from([input]), Vec::new());
        while let Some(input) = inputs.pop_front() {
            self.vsp.handle(input, &mut outputs);
            for output in outputs.drain(..) {
                inputs.extend(self.carry_out(now, output, out));
            }
        }
    }

    fn carry_out(&mut self, now: Duration, output: Output, out: &mut Vec<DeviceOutput>) -> Option<Input> {
        match output {
            Output::Complete { request, payload, data } => {
                let pending = self.requests.remove(&request);
                if let Some(buffer) = pending.and_then(|pending| pending.buffer) {
                    // A page that the guest has no more is its own loss.
                    let _copied = buffer.write(0, &data);
                }
                out.push(DeviceOutput::Complete { request, payload });
            }
            Output::Forget { request } => {
                self.requests.remove(&request);
                out.push(DeviceOutput::Forget { request });
            }
            Output::Notify { payload } => out.push(DeviceOutput::Send(payload)),
            Output::Fetch { request, bytes } => {
                let mut fetched = vec![0; usize::from(bytes)];
                let buffer = self.requests.get(&request).and_then(|pending| pending.buffer.as_ref());
                let length = buffer.map_or(0, |buffer| buffer.read(0, &mut fetched));
                fetched.truncate(length);
                return Some(Input::Fetched { request, bytes: fetched });
            }
            Output::Start { request, lun, operation } => {
                let (Some(disk), Some(pending)) = (self.disks.get_mut(&lun), self.requests.get_mut(&request))
                else {
                    debug_assert!(false, "the controller uses a disk that is not here");
                    return Some(Input::Finished { request, result: Err(Fault::Read) });
                };
                pending.work = Some(Work::of(&operation));
                pending.begun = now;
                let buffer = pending.buffer.clone();
                self.handle.0.lock().disks.entry(lun).or_default().queue += 1;
                disk.start(now, DiskRequest { number: request, operation, buffer });
            }
            Output::Detached { lun } => {
                self.disks.remove(&lun);
                out.push(DeviceOutput::Storage { lun: Some(lun), what: "detached".to_owned() });
            }
            Output::AttachRefused { lun, why } => {
                // The controller refuses before `attach` has put the disk in its place.
                out.push(DeviceOutput::Storage { lun: Some(lun), what: format!("not attached: {why:?}") });
            }
            Output::CloseChannel => {}
            Output::ProtocolError { violation } => {
                out.push(DeviceOutput::CloseChannel { rule: violation.to_string() });
            }
            Output::Ready { version } => {
                out.push(DeviceOutput::Storage { lun: None, what: format!("version {version}") });
            }
        }
        None
    }

    fn attach(
        &mut self,
        now: Duration,
        lun: u8,
        mut disk: Box<dyn VirtualDisk>,
        out: &mut Vec<DeviceOutput>,
    ) {
        let from = out.len();
        self.feed(now, Input::Attach { lun, disk: disk.config() }, out);
        let is_refused = out[from..].iter().any(|output| matches!(output, DeviceOutput::Storage { .. }));
        if !is_refused {
            disk.connect(&self.doorbell);
            self.disks.insert(lun, disk);
            self.handle.0.lock().disks.insert(lun, DiskStatistics::default());
            out.push(DeviceOutput::Storage { lun: Some(lun), what: "attached".to_owned() });
        }
    }

    /// Does what was asked by the handle, and tells the guest what disks have finished.
    fn look(&mut self, now: Duration, out: &mut Vec<DeviceOutput>) {
        loop {
            let Some(command) = self.handle.0.lock().commands.pop_front() else { break };
            match command {
                Command::Attach(lun, disk) => self.attach(now, lun, disk, out),
                Command::Detach(lun) => self.feed(now, Input::Detach { lun }, out),
            }
        }
        for lun in self.disks.keys().copied().collect::<Vec<_>>() {
            while let Some(done) = self.disks.get_mut(&lun).and_then(|disk| disk.finished(now)) {
                self.finished(now, lun, done, out);
            }
        }
    }

    fn finished(&mut self, now: Duration, lun: u8, done: DiskResult, out: &mut Vec<DeviceOutput>) {
        let DiskResult { number: request, result } = done;
        if let Some(Pending { work: Some(work), begun, .. }) = self.requests.get(&request) {
            let mut shared = self.handle.0.lock();
            let counted = shared.disks.entry(lun).or_default();
            counted.queue = counted.queue.saturating_sub(1);
            let took = now.saturating_sub(*begun);
            match (work, &result) {
                (_, Err(_)) => counted.failed += 1,
                (Work::Read(bytes), Ok(())) => {
                    counted.reads += 1;
                    counted.bytes_read += bytes;
                    counted.read_time += took;
                }
                (Work::Write(bytes), Ok(())) => {
                    counted.writes += 1;
                    counted.bytes_written += bytes;
                    counted.write_time += took;
                }
                (Work::Other, Ok(())) => counted.others += 1,
            }
        }
        let result = result.map_err(|(fault, why)| {
            out.push(DeviceOutput::Storage { lun: Some(lun), what: format!("{fault:?} failed: {why}") });
            fault
        });
        self.feed(now, Input::Finished { request, result }, out);
    }
}

impl ChannelDevice for ScsiController {
    fn offer(&self) -> Offer {
        Offer::new(SCSI_CLASS, self.instance)
    }

    fn connect(&mut self, doorbell: &NotifyFn) {
        self.doorbell = Arc::clone(doorbell);
        self.handle.0.lock().doorbell = Some(Arc::clone(doorbell));
    }

    fn largest_buffer(&self) -> Option<u64> {
        Some(self.most_bytes)
    }

    fn opened(&mut self, now: Duration, out: &mut Vec<DeviceOutput>) {
        self.look(now, out);
        self.feed(now, Input::ChannelOpened, out);
    }

    fn request(&mut self, now: Duration, request: DeviceRequest, out: &mut Vec<DeviceOutput>) {
        let DeviceRequest { number, payload, buffer } = request;
        let bytes = buffer.as_ref().map_or(0, |buffer| buffer.len());
        self.requests.insert(number, Pending { buffer, begun: now, work: None });
        self.feed(now, Input::Packet { request: number, payload, buffer: bytes }, out);
    }

    fn bad_buffer(&mut self, now: Duration, why: String, out: &mut Vec<DeviceOutput>) {
        self.feed(now, Input::BadBuffer { why }, out);
    }

    fn closed(&mut self) {
        // What is under way is finished all the same, and not answered.
        self.feed(Duration::ZERO, Input::ChannelClosed, &mut Vec::new());
    }

    fn woken(&mut self, now: Duration, out: &mut Vec<DeviceOutput>) {
        self.look(now, out);
    }

    fn timer(&mut self, now: Duration, out: &mut Vec<DeviceOutput>) {
        self.look(now, out);
    }

    fn next_timeout(&self) -> Option<Duration> {
        self.disks.values().filter_map(|disk| disk.next_timeout()).min()
    }
}

impl Drop for ScsiController {
    fn drop(&mut self) {
        // The controller of the VM's next start may be connected already.
        let mut shared = self.handle.0.lock();
        shared.doorbell.take_if(|doorbell| Arc::ptr_eq(doorbell, &self.doorbell));
    }
}
