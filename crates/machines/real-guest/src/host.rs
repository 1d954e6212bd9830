//! A host with real guests: the same management service, workers and balancer as in a simulated run, under the wall clock.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use balancing_policy::{MemorySettings, Policy, VmId};
use component_runtime::{ClockMode, Driver, RunConfig, RunEnd, Runtime, StopHandle};
use dm_vsp::ProtocolVersion;
use kvm_partition::{Backing, KernelImage};
use page_range::PageCount;
use run_journal::{EVENTS_FILE, EventsLevel, HumanLog, JOURNAL_FILE, Recorder};
use vmbus::control::Version;
use vmms_host::parent_os::ParentOsConfig;
use vmms_host::{
    DynamicMemoryConfig, Host, HostConfig, HostEdition, HostOperationTime, VmConfig, VmmsCommand, VmmsMessage,
};

use crate::disk::DiskFile;
use crate::events::EventLog;
use crate::factory::{GuestHandle, GuestSpec, RealGuest};
use crate::initramfs;
use crate::pieces::Pieces;

/// One guest of a host.
#[derive(Clone, Debug)]
pub struct GuestConfig {
    /// Its name.
    pub name: String,
    /// Its memory settings. Startup RAM and maximum should be multiples of 128 MiB, the memory blocks of a Linux guest.
    pub settings: MemorySettings,
    /// Virtual processors.
    pub vps: u32,
    /// What its RAM is made of.
    pub backing: Backing,
    /// Further words for its kernel's command line.
    pub kernel_words: String,
    /// Its virtual hard disks.
    pub disks: Vec<DiskFile>,
    /// Whether it is offered to report free pages.
    pub page_reporting: bool,
    /// How often its init says how much memory it has; zero: never unasked.
    pub memory_interval: Duration,
}

impl GuestConfig {
    /// A guest with one processor.
    #[must_use]
    pub fn new(name: &str, settings: MemorySettings) -> Self {
        Self {
            name: name.to_owned(),
            settings,
            vps: 1,
            backing: Backing::default(),
            kernel_words: String::new(),
            disks: Vec::new(),
            page_reporting: false,
            memory_interval: Duration::ZERO,
        }
    }
}

/// A host.
pub struct RealHostConfig {
    /// All of its memory.
    pub memory: PageCount,
    /// What stays with the parent OS.
    pub reserve: PageCount,
    /// Its guests.
    pub guests: Vec<GuestConfig>,
    /// The policy that decides.
    pub policy: Box<dyn Policy>,
    /// The newest version of VMBus that is agreed to.
    pub bus_version: Version,
    /// Most memory in one operation of the balancer.
    pub operation_limit: PageCount,
    /// How long a guest may take.
    pub timeouts: dm_vsp::Timeouts,
    /// Where to record.
    pub directory: Option<PathBuf>,
    /// How much of it is logged for a person, as a filter of `tracing`.
    pub log: Option<String>,
}

impl RealHostConfig {
    /// A host with this much memory.
    #[must_use]
    pub fn new(memory: PageCount, guests: Vec<GuestConfig>, policy: Box<dyn Policy>) -> Self {
        Self {
            memory,
            reserve: PageCount::ZERO,
            guests,
            policy,
            bus_version: Version::WS2022,
            operation_limit: PageCount::from_mib(128),
            timeouts: dm_vsp::Timeouts::default(),
            directory: None,
            log: None,
        }
    }

    /// The same as the management service takes it.
    pub(crate) fn host(&self) -> HostConfig {
        let mut host = HostConfig::new(self.memory);
        host.memory_reserve = Some(self.reserve);
        host.edition = HostEdition::Unlimited;
        // The parent is a real one: its paging is not modelled, and its work takes the time that it takes.
        host.parent_os = ParentOsConfig { trimming: false, reads_idle: 0.0, ..ParentOsConfig::default() };
        host.operation_time = HostOperationTime { base: Duration::ZERO, per_mib: Duration::ZERO };
        host.balancer.operation_limit = self.operation_limit;
        host.bus.max_version = self.bus_version;
        host.dynamic_memory = DynamicMemoryConfig {
            versions: vec![ProtocolVersion::V0_3, ProtocolVersion::V1_0, ProtocolVersion::V2_0],
            // Documented: Linux needs no quiet period; 50 s are for Windows Server 2019.
            quiet_period: Duration::ZERO,
            timeouts: self.timeouts.clone(),
        };
        host.shutdown_timeout = Duration::from_secs(20);
        host
    }
}

/// A host that runs.
pub struct RealHost {
    /// Management service and balancer.
    pub host: Host,
    /// Its guests, in the order of their configuration.
    pub guests: Vec<GuestHandle>,
    /// Their names.
    pub names: Vec<String>,
    /// What happens.
    pub events: EventLog,
    stop: StopHandle,
    thread: Option<JoinHandle<RunEnd>>,
    recorder: Recorder,
}

/// The guests' kernel command line. `quiet`: each line costs a tenth of a second on an emulated machine.
/// `memhp_default_state`: hot-added memory goes online by itself. `panic=-1`: a guest that panics resets at once.
const COMMAND_LINE: &str = "console=ttyS0 quiet panic=-1 nokaslr mitigations=off memhp_default_state=online \
                            8250.nr_uarts=2 report_delay=0";

impl RealHost {
    /// Starts the host and all of its guests.
    ///
    /// # Errors
    /// If a piece is missing, or a file cannot be written. A guest that cannot start is an event, not an error.
    pub fn start(pieces: &Pieces, config: RealHostConfig) -> Result<Self> {
        let kernel = KernelImage::open(&pieces.kernel)
            .with_context(|| format!("the kernel {}", pieces.kernel.display()))?;
        let has_disks = config.guests.iter().any(|guest| !guest.disks.is_empty());
        let initramfs = if has_disks { initramfs::guest_with_disks } else { initramfs::guest };
        let initramfs: Arc<[u8]> = initramfs(pieces)?.into();
        Self::start_with(&Arc::new(kernel), &initramfs, config)
    }

    /// Starts the host with a kernel and an initramfs in memory.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn start_with(
        kernel: &Arc<KernelImage>,
        initramfs: &Arc<[u8]>,
        config: RealHostConfig,
    ) -> Result<Self> {
        let events = EventLog::default();
        let recorder = recorder(config.directory.as_deref(), &events)?;
        let log = config.log.as_deref().map(HumanLog::stderr).transpose()?;
        let handles: Vec<GuestHandle> = config.guests.iter().map(|_| GuestHandle::default()).collect();
        let names: Vec<String> = config.guests.iter().map(|guest| guest.name.clone()).collect();
        let vms = config
            .guests
            .iter()
            .zip(&handles)
            .map(|(guest, handle)| VmConfig {
                name: guest.name.as_str().into(),
                settings: guest.settings,
                factory: Box::new(RealGuest::new(spec(guest, kernel, initramfs), handle.clone())),
            })
            .collect();
        let host_config = config.host();
        let run = RunConfig {
            driver: Driver::Threads,
            clock: ClockMode::Wall { speed: 1.0 },
            recorder: recorder.machine_recorder(),
            // An emulated machine stops for seconds at a time.
            watchdog: None,
            ..RunConfig::default()
        };
        let dispatch = run_journal::dispatch(Some(&recorder), log);
        let policy = config.policy;
        let (send, receive) = crossbeam_channel::bounded(1);
        let count = u32::try_from(handles.len()).unwrap_or(u32::MAX);
        let thread = std::thread::Builder::new().name("host".to_owned()).spawn(move || {
            tracing::dispatcher::with_default(&dispatch, || {
                let mut runtime = match Runtime::new(run) {
                    Ok(runtime) => runtime,
                    Err(error) => {
                        let _ = send.send(Err(anyhow!(error)));
                        return RunEnd {
                            reason: component_runtime::EndReason::Failed("not started".to_owned()),
                            time: component_runtime::SimTime::ZERO,
                            wakes: 0,
                            panics: Vec::new(),
                        };
                    }
                };
                let host = Host::build(&mut runtime, host_config, vms, policy);
                for vm in (0..count).map(VmId) {
                    runtime.send(&host.vmms, VmmsMessage::Command(VmmsCommand::Start(vm)));
                }
                // The receiver waits for it.
                let _ = send.send(Ok((host, runtime.stop_handle())));
                runtime.run()
            })
        })?;
        let (host, stop) = receive.recv().context("the host did not start")??;
        Ok(Self { host, guests: handles, names, events, stop, thread: Some(thread), recorder })
    }

    /// Tells the management service something.
    pub fn command(&self, command: VmmsCommand) {
        // A host that has ended does nothing any more.
        let _ = self.host.vmms.post_external(VmmsMessage::Command(command));
    }

    /// Ends everything, and says how it went. All guests are off, and all files are written, when this returns.
    ///
    /// # Errors
    /// If a file could not be written, or memory was lost.
    pub fn end(mut self) -> Result<RunEnd> {
        self.stop.stop();
        let end = self.thread.take().map(JoinHandle::join);
        self.recorder.finish().context("cannot write the record")?;
        match end {
            Some(Ok(end)) => Ok(end),
            _ => Err(anyhow!("the host's thread panicked")),
        }
    }
}

impl Drop for RealHost {
    fn drop(&mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said with what.
            let _ = thread.join();
        }
        // The first error was the one that mattered, if a caller asked for it.
        let _ = self.recorder.finish();
    }
}

fn recorder(directory: Option<&Path>, events: &EventLog) -> Result<Recorder> {
    let open = |name: &str| -> Result<Box<dyn Write + Send>> {
        let Some(directory) = directory else { return Ok(Box::new(std::io::sink())) };
        let path = directory.join(name);
        let file = File::create_new(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Box::new(BufWriter::new(file)))
    };
    let journal = directory.map(|_| open(JOURNAL_FILE)).transpose()?;
    Ok(Recorder::to_writers(Some(events.tee(open(EVENTS_FILE)?)), journal, EventsLevel::All)?)
}

pub(crate) fn spec(guest: &GuestConfig, kernel: &Arc<KernelImage>, initramfs: &Arc<[u8]>) -> GuestSpec {
    GuestSpec {
        vps: guest.vps,
        backing: guest.backing,
        kernel: Arc::clone(kernel),
        initramfs: Arc::clone(initramfs),
        command_line: format!(
            "{COMMAND_LINE} memory_interval={} {}",
            guest.memory_interval.as_secs(),
            guest.kernel_words
        ),
        disks: guest.disks.clone(),
        page_reporting: guest.page_reporting,
        controller: !guest.disks.is_empty(),
    }
}
