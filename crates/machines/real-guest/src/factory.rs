//! Real partitions for the management service: a [`VmFactory`] whose guests run on KVM.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use component_runtime::{Address, Context};
use kvm_partition::{
    Backing, ExitCounts, KernelImage, KvmPartition, Machine, MachineConfig, MachineControl, MachineEvent,
    MachineObserver,
};
use machine_contract::{
    ChannelDevice, HostPartition, PartitionError, PartitionFactory, PartitionRequest, PowerEvent,
    RunningPartition, VmFactory,
};
use page_range::{GuestPage, PageCount};
use parking_lot::Mutex;
use partition::GuestMemory as _;

use storage_vsp::VspConfig;
use vmbus::control::Uuid;
use vmms_host::storage::{ScsiController, StorageHandle};

use crate::agent::{AGENT, Said, Voice};
use crate::disk::{DiskFile, FileDisk};

/// What all starts of a guest have in common.
#[derive(Clone, Debug)]
pub struct GuestSpec {
    /// Virtual processors.
    pub vps: u32,
    /// What its RAM is made of.
    pub backing: Backing,
    /// Its kernel.
    pub kernel: Arc<KernelImage>,
    /// Its initramfs.
    pub initramfs: Arc<[u8]>,
    /// The kernel's command line.
    pub command_line: String,
    /// Its virtual hard disks.
    pub disks: Vec<DiskFile>,
    /// Whether it is offered to report free pages, where KVM can hand these reports over.
    pub page_reporting: bool,
    /// Whether it has a controller for them.
    pub controller: bool,
}

/// Reads how often the guest was left.
type ExitReader = Arc<dyn Fn() -> ExitCounts + Send + Sync>;

/// What a guest has reported as unused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reported {
    /// Pages, each as often as it was reported.
    pub pages: PageCount,
    /// Reports that were refused.
    pub refused: u64,
}

#[derive(Default)]
struct Current {
    control: Option<MachineControl>,
    partition: Option<Arc<KvmPartition>>,
    exits: Option<ExitReader>,
    ended: Option<MachineEvent>,
}

/// A handle to a guest, for whoever watches the guest. The handle outlives the guest's starts and resets.
#[derive(Clone, Default)]
pub struct GuestHandle {
    voice: Voice,
    storage: StorageHandle,
    current: Arc<Mutex<Current>>,
}

impl std::fmt::Debug for GuestHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuestHandle").finish_non_exhaustive()
    }
}

impl GuestHandle {
    /// What the guest says.
    #[must_use]
    pub fn voice(&self) -> &Voice {
        &self.voice
    }

    /// Its controller: disks are plugged in and taken out here.
    #[must_use]
    pub fn storage(&self) -> &StorageHandle {
        &self.storage
    }

    /// Types a line into one of its serial ports.
    pub fn type_line(&self, port: u8, line: &str) {
        let control = self.current.lock().control.clone();
        if let Some(control) = control {
            control.type_in(port, format!("{line}\n").as_bytes());
        }
    }

    /// Gives its init a command.
    pub fn command(&self, line: &str) {
        self.type_line(AGENT, line);
    }

    /// Gives its init a command, and waits for its answer: see [`Voice::ask`].
    #[must_use]
    pub fn ask(&self, command: &str, answer: &str, longest: Duration) -> Option<String> {
        self.voice.ask(|line| self.command(line), command, answer, longest)
    }

    /// The same with an answer of several lines: see [`Voice::ask_lines`].
    #[must_use]
    pub fn ask_lines(&self, command: &str, limits: [&str; 2], most: usize, longest: Duration) -> Vec<String> {
        self.voice.ask_lines(|line| self.command(line), command, limits, most, longest)
    }

    /// Stops its processors, as if it hung; or (`false`) lets them run again.
    pub fn pause(&self, pause: bool) {
        let control = self.current.lock().control.clone();
        match control {
            Some(control) if pause => control.pause(),
            Some(control) => control.resume(),
            None => {}
        }
    }

    /// Bytes of host memory that its RAM takes now; 0 while it is off.
    #[must_use]
    pub fn resident(&self) -> u64 {
        let partition = self.current.lock().partition.clone();
        partition.map_or(0, |partition| partition.resident())
    }

    /// What it has reported as unused since its last start; `None` if it is not offered to.
    #[must_use]
    pub fn reported(&self) -> Option<Reported> {
        let partition = self.current.lock().partition.clone();
        let partition = partition.filter(|partition| partition.reports_pages())?;
        Some(Reported { pages: PageCount(partition.pages_reported()), refused: partition.reports_refused() })
    }

    /// The lowest page that the guest has given back, and that it must not touch.
    #[must_use]
    pub fn first_guarded(&self) -> Option<GuestPage> {
        let partition = self.current.lock().partition.clone();
        partition.and_then(|partition| partition.first_guarded())
    }

    /// How often its processors were left since its last start.
    #[must_use]
    pub fn exits(&self) -> ExitCounts {
        let reader = self.current.lock().exits.clone();
        reader.map_or_else(ExitCounts::default, |read| read())
    }

    /// Signals that came without an exit since its last start.
    #[must_use]
    pub fn signals_without_exit(&self) -> u64 {
        let partition = self.current.lock().partition.clone();
        partition.map_or(0, |partition| partition.signals_without_exit())
    }

    /// What the machine did last on its own account: power-off, reset, crash, failure.
    #[must_use]
    pub fn ended(&self) -> Option<MachineEvent> {
        self.current.lock().ended.clone()
    }
}

struct Observer {
    voice: Voice,
    current: Arc<Mutex<Current>>,
    power: Address<PowerEvent>,
    announced: Announced,
}

/// Whether the worker was told that the guest's init listens: once for each start of the guest, however often the guest says so. Nothing
/// else that a guest prints reaches the worker.
#[derive(Clone, Debug, Default)]
struct Announced(Arc<AtomicBool>);

impl Announced {
    /// Whether this is the first time since the guest was started.
    fn is_first(&self) -> bool {
        !self.0.swap(true, Ordering::Relaxed)
    }

    /// The guest is started again.
    fn start(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl MachineObserver for Observer {
    fn event(&self, event: MachineEvent) {
        let power = match &event {
            MachineEvent::PoweredOff => PowerEvent::PoweredOff,
            MachineEvent::Reset => PowerEvent::Reset,
            MachineEvent::Crashed { .. } => PowerEvent::Crashed,
            MachineEvent::Trespassed { .. } | MachineEvent::Failed(_) => {
                PowerEvent::Failed(event.to_string())
            }
        };
        self.current.lock().ended = Some(event);
        // A worker that is gone stops the machine anyway.
        let _ = self.power.post_external(power);
    }

    fn serial(&self, port: u8, bytes: &[u8]) {
        if let Some(Said::Ready) = self.voice.hear(port, bytes)
            && self.announced.is_first()
        {
            let _ = self.power.post_external(PowerEvent::Login);
        }
    }
}

/// Makes the partitions of one VM.
#[derive(Debug)]
pub struct RealGuest {
    spec: GuestSpec,
    handle: GuestHandle,
}

impl RealGuest {
    /// A VM of this kind, watched through `handle`.
    #[must_use]
    pub fn new(spec: GuestSpec, handle: GuestHandle) -> Self {
        Self { spec, handle }
    }
}

impl VmFactory for RealGuest {
    fn partition(&mut self) -> Box<dyn PartitionFactory> {
        Box::new(Starter { spec: self.spec.clone(), handle: self.handle.clone() })
    }

    fn devices(&mut self) -> Vec<Box<dyn ChannelDevice>> {
        // Guests are told the time by version 3.0, which takes no reference time of the partition.
        let mut devices = vmms_host::integration_devices(Box::new(|_| host_time()), None);
        if self.spec.controller {
            let handle = self.handle.storage.clone();
            devices.push(Box::new(ScsiController::new(CONTROLLER, VspConfig::default(), handle)));
        }
        devices
    }
}

/// The instance of the one controller that a guest has (invented).
const CONTROLLER: Uuid = Uuid::from_u128(0x5e4c_7a51_8a4e_4b0c_9d6a_1d5f_0c1d_15c0);

/// From the beginning of 1601, from which Windows counts, to that of 1970, in seconds: 369 years, 89 of them leap years.
const SECONDS_1601_TO_1970: u64 = 11_644_473_600;

/// This computer's time, in units of 100 ns since the beginning of 1601.
#[expect(clippy::disallowed_methods, reason = "the time of a real host, for a real guest")]
fn host_time() -> u64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let units = (since_1970 + Duration::from_secs(SECONDS_1601_TO_1970)).as_nanos() / 100;
    u64::try_from(units).unwrap_or(u64::MAX)
}

struct Starter {
    spec: GuestSpec,
    handle: GuestHandle,
}

impl PartitionFactory for Starter {
    fn start(
        &mut self,
        _ctx: &mut Context<'_>,
        request: &PartitionRequest<'_>,
    ) -> Result<Box<dyn RunningPartition>, PartitionError> {
        let config = MachineConfig {
            name: request.vm.to_string(),
            vps: self.spec.vps,
            backing: self.spec.backing,
            memory: request.boot.clone(),
            kernel: Arc::clone(&self.spec.kernel),
            initramfs: Arc::clone(&self.spec.initramfs),
            command_line: self.spec.command_line.clone(),
            page_reporting: self.spec.page_reporting,
        };
        for DiskFile { lun, path, read_only } in &self.spec.disks {
            let open = if *read_only { FileDisk::open_read_only } else { FileDisk::open };
            let disk = open(path).map_err(|error| PartitionError(error.to_string()))?;
            self.handle.storage.attach(*lun, Box::new(disk));
        }
        let announced = Announced::default();
        let observer = Observer {
            voice: self.handle.voice.clone(),
            current: Arc::clone(&self.handle.current),
            power: request.power.clone(),
            announced: announced.clone(),
        };
        let machine =
            Machine::start(config, Arc::new(observer)).map_err(|error| PartitionError(error.to_string()))?;
        *self.handle.current.lock() = Current {
            control: Some(machine.control()),
            partition: Some(machine.partition()),
            exits: Some(Arc::new(machine.exit_reader())),
            ended: None,
        };
        Ok(Box::new(Running { machine, handle: self.handle.clone(), announced }))
    }
}

struct Running {
    machine: Machine,
    handle: GuestHandle,
    announced: Announced,
}

impl RunningPartition for Running {
    fn host(&self) -> Arc<dyn HostPartition> {
        self.machine.partition()
    }

    fn reset(
        &mut self,
        _ctx: &mut Context<'_>,
        _request: &PartitionRequest<'_>,
    ) -> Result<(), PartitionError> {
        self.announced.start();
        self.machine.reset().map_err(|error| PartitionError(error.to_string()))
    }

    /// For a guest without the shutdown service: its init is told.
    fn shut_down(&mut self, _ctx: &mut Context<'_>) {
        self.handle.command("poweroff");
    }

    fn stop(&mut self, _ctx: &mut Context<'_>) {
        self.machine.stop();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A worker that was killed has stopped nothing.
        self.machine.stop();
        let mut current = self.handle.current.lock();
        (current.control, current.partition) = (None, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A guest that says "ready" without end makes one message for the worker, and one more after each start.
    #[test]
    fn a_guest_announces_itself_once_for_each_start() {
        let voice = Voice::default();
        let announced = Announced::default();
        let flood = |announced: &Announced| {
            let said = (0..1000).filter(|_| voice.hear(AGENT, b"ready\n") == Some(Said::Ready));
            said.filter(|_| announced.is_first()).count()
        };
        assert_eq!(flood(&announced), 1);
        assert_eq!(flood(&announced), 0);
        announced.start();
        assert_eq!(flood(&announced), 1);
    }
}
