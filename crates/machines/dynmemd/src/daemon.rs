//! The daemon put together.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow, bail};
use component_runtime::{Address, ClockMode, Driver, EndReason, RunConfig, Runtime, SimTime, StopHandle};
use page_range::PageCount;
use perf_counters::serve::Endpoint;
use perf_counters::{Epoch, Layout, Sample};
use qemu_host::link::{Connect, UnixSockets};
use qemu_host::{HostCommand, HostMessage, QemuHost, QemuHostConfig, Rules as _, Snapshot};
use run_journal::HumanLog;
use scenario::file::BadScenario;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::config::Config;
use crate::control::{Change, Control, Shared};
use crate::libvirt::{Anywhere, Libvirt};
use crate::options::Options;
use crate::record::{self, Counters, Of, Record};
use crate::surroundings::{ThisHost, read_memory};
use crate::watch::{Left, Watch};

#[cfg(test)]
mod book;

/// What may change while the daemon runs.
struct Live {
    options: Options,
    config: Config,
    paused: bool,
    /// The stretch that runs now: one ends and another begins when a record does.
    stretch: Option<(Address<HostMessage>, StopHandle)>,
    over: bool,
}

type SharedLive = Arc<Mutex<Live>>;

/// The longest that whoever wants to see the host waits. Invented: it is seen in milliseconds.
const LOOK_PATIENCE: Duration = Duration::from_secs(2);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs until it is told to end.
///
/// # Errors
/// What is wrong with what it was given, or with this host.
pub fn run(options: &Options) -> Result<ExitCode> {
    let config = load(options)?;
    if config.qmp.is_empty() && config.libvirt.is_none() {
        bail!(
            "no VM is looked for: name their QMP sockets, as --qmp '/run/vms/*.qmp' or as `qmp` in the file of --config, or a libvirt, as --libvirt qemu:///system"
        );
    }
    let total = match config.memory {
        Some(memory) => memory,
        None => {
            read_memory()
                .context("/proc/meminfo does not say how much memory this host has: use --memory")?
                .total
        }
    };
    let reserve = config.reserve(total);
    if reserve >= total {
        bail!(
            "the reserve ({} MB) leaves nothing of the {} MB for VMs",
            reserve.whole_mib(),
            total.whole_mib()
        );
    }
    let live: SharedLive = Arc::new(Mutex::new(Live {
        options: options.clone(),
        config: config.clone(),
        paused: false,
        stretch: None,
        over: false,
    }));
    let _metrics = config.metrics.map(|address| serve_metrics(address, &live)).transpose()?;
    let shared = Arc::new(Shared {
        look: {
            let live = Arc::clone(&live);
            Box::new(move || look(&live))
        },
        dry_run: config.dry_run,
        change: {
            let live = Arc::clone(&live);
            Box::new(move |change| self::change(&live, change))
        },
    });
    let _control = config.control.as_deref().map(|place| Control::open(place, shared)).transpose()?;
    attend_signals(&live)?;
    let libvirt = config.libvirt.as_deref().map(Libvirt::open).transpose()?.map(Arc::new);
    let sockets = UnixSockets::new().context("cannot wait for sockets")?;
    let connect: Arc<dyn Connect> = Arc::new(Anywhere { sockets, libvirt: libvirt.clone() });
    let daemon = Daemon { live, connect, libvirt, total };
    let mut left = options.for_time;
    let mut printed = Duration::ZERO;
    loop {
        let (reason, took) = daemon.stretch(left, &mut printed)?;
        left = left.map(|left| left.saturating_sub(took));
        match reason {
            ControlFlow::Break(code) => return Ok(code),
            ControlFlow::Continue(()) if left.is_some_and(|left| left.is_zero()) => {
                return Ok(ExitCode::SUCCESS);
            }
            ControlFlow::Continue(()) => {}
        }
    }
}

/// Looks whether a file is right; nothing is started.
///
/// # Errors
/// Everything that is wrong with it.
pub fn check(file: &Path) -> Result<()> {
    load(&Options { config: Some(file.to_owned()), ..Options::default() }).map(drop)
}

/// The file, with what the command line says in its place.
fn load(options: &Options) -> Result<Config> {
    let mut config = match &options.config {
        Some(path) => Config::load(path)?,
        None => Config::default(),
    };
    for pattern in &options.qmp {
        glob::Pattern::new(pattern).map_err(|error| anyhow!("--qmp {pattern}: {error}"))?;
    }
    config.qmp.extend(options.qmp.iter().cloned());
    config.libvirt = options.libvirt.clone().or(config.libvirt);
    config.dry_run |= options.dry_run;
    config.memory = options.memory.or(config.memory);
    config.reserve = options.reserve.or(config.reserve);
    config.metrics = options.metrics.or(config.metrics);
    config.control = options.control.clone().or(config.control);
    config.record = options.record.clone().or(config.record);
    if let Some(policy) = &options.policy {
        // Parameters are of the policy that they were written for.
        if config.policy.as_ref() != Some(policy) {
            config.parameters.clear();
        }
        config.policy = Some(policy.clone());
    }
    let name = config.policy.get_or_insert_with(|| policy_catalogue::POLICIES[0].name.to_owned());
    if policy_catalogue::make(name, &config.parameters)?.foresees() {
        bail!("the policy {name:?} has to be told the future, which nobody knows of real VMs");
    }
    Ok(config)
}

/// Ends the daemon at SIGINT and SIGTERM, and reads its file again at SIGHUP.
fn attend_signals(live: &SharedLive) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot wait for signals")?;
    let live = Arc::clone(live);
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in &mut signals {
            if signal == SIGHUP {
                match change(&live, Change::Reload) {
                    Ok(said) => eprint!("{said}"),
                    Err(why) => eprintln!("{why}"),
                }
            } else {
                let mut live = lock(&live);
                live.over = true;
                if let Some((_, stop)) = &live.stretch {
                    stop.stop();
                }
            }
        }
    })?;
    Ok(())
}

/// How everything is at this moment; `None`: nothing runs yet.
fn look(live: &SharedLive) -> Option<Arc<Snapshot>> {
    let host = lock(live).stretch.as_ref()?.0.clone();
    let (to, seen) = sync_channel(1);
    host.post_external(HostMessage::Command(HostCommand::Look(to))).ok()?;
    seen.recv_timeout(LOOK_PATIENCE).ok()
}

/// Lets whoever asks have the counters.
fn serve_metrics(address: SocketAddr, live: &SharedLive) -> Result<Endpoint> {
    let (host, epoch): (_, Epoch) = (host_name(), timestamp(now()).parse()?);
    let live = Arc::clone(live);
    let count = move || -> Option<(Layout, Sample)> {
        let snapshot = look(&live)?;
        let mut counters = Counters::new(&host, epoch).ok()?;
        // A name that no counter path can hold is none that a VM is given.
        counters.lay_out(&snapshot).ok()?;
        counters.take(&snapshot);
        Some((counters.layout, counters.sample))
    };
    let metrics = Endpoint::open_counting(address, count).map_err(|error| anyhow!("--metrics: {error}"))?;
    eprintln!("metrics: {}", metrics.url());
    Ok(metrics)
}

/// Makes a change that somebody asked for.
fn change(live: &SharedLive, change: Change) -> Result<String, String> {
    let mut live = lock(live);
    let said = match change {
        Change::Set(vm, said) => {
            live.config.by_hand.entry(vm).or_default().over(said);
            "set, until the daemon ends\n".to_owned()
        }
        Change::Pause(paused) => {
            live.paused = paused;
            if paused { "paused: every VM keeps what it has\n" } else { "resumed\n" }.to_owned()
        }
        Change::Reload => {
            let Some(path) = live.options.config.clone() else {
                return Err("there is no file to read: the daemon was started without --config".to_owned());
            };
            let mut config = load(&live.options).map_err(|error| {
                format!("{}The configuration that was in force stays in force.", complaints(&error))
            })?;
            let before = &live.config;
            let fixed = |config: &Config| {
                let places = (config.qmp.clone(), config.libvirt.clone());
                (config.policy.clone(), config.parameters.clone(), config.memory, config.metrics, places)
            };
            let fixed = fixed(before) != fixed(&config);
            config.by_hand.clone_from(&before.by_hand);
            live.config = config;
            let more = if fixed {
                " Sockets, policy, memory and metrics change when the daemon is started again."
            } else {
                ""
            };
            format!("{} is in force.{more}\n", path.display())
        }
    };
    if let Some((host, _)) = &live.stretch {
        // A stretch that has just ended is followed by one that asks for the configuration itself.
        let _ended =
            host.post_external(HostMessage::Command(HostCommand::Rules(Arc::new(live.config.clone()))));
        let _ended = host.post_external(HostMessage::Command(HostCommand::Pause(live.paused)));
    }
    Ok(said)
}

/// What is wrong with a file, without saying that nothing was started: something runs.
fn complaints(error: &anyhow::Error) -> String {
    match error.downcast_ref::<BadScenario>() {
        Some(bad) => bad.diagnostics.iter().map(|diagnostic| format!("{diagnostic}\n")).collect(),
        None => format!("error: {error:#}\n"),
    }
}

/// An error as both programs print it. Complaints about a file are whole already.
#[must_use]
pub fn complaint(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    if text.starts_with("error: ") { text } else { format!("error: {text}") }
}

struct Daemon {
    live: SharedLive,
    connect: Arc<dyn Connect>,
    libvirt: Option<Arc<Libvirt>>,
    total: PageCount,
}

impl Daemon {
    /// Runs until somebody ends the daemon, or a record ends. The next stretch takes over from what the VMs have.
    fn stretch(
        &self,
        left: Option<Duration>,
        printed: &mut Duration,
    ) -> Result<(ControlFlow<ExitCode>, Duration)> {
        let config = lock(&self.live).config.clone();
        let options = lock(&self.live).options.clone();
        let began = now();
        let epoch: Epoch = timestamp(began).parse()?;
        let host_name = host_name();
        let policy_name = config.policy.clone().unwrap_or_default();
        let policy = policy_catalogue::make(&policy_name, &config.parameters)?;
        let record = match &config.record {
            None => None,
            Some(records) => {
                std::fs::create_dir_all(records)
                    .with_context(|| format!("cannot make {}", records.display()))?;
                let command = command();
                let of = Of {
                    host: &host_name,
                    epoch,
                    policy: &policy_name,
                    configuration: &config.text,
                    command: &command,
                    keep: config.record_keep.unwrap_or(record::USUAL_KEEP),
                };
                let record = Record::begin(records, &of)?;
                record.configuration(&config.text)?;
                Some(record)
            }
        };
        let log = options.log.as_deref().map(HumanLog::stderr).transpose().context("--log")?;
        let dispatch = run_journal::dispatch(record.as_ref().map(|record| &record.recorder), log);
        let left_over = Arc::new(Mutex::new(Left { record, print_at: *printed }));
        let ends = {
            let live = Arc::clone(&self.live);
            move || stop(&live)
        };
        let watch = Watch::new(&left_over, options.every, config.dry_run, ends);
        let host_config = QemuHostConfig {
            memory: self.total,
            dry_run: config.dry_run,
            began,
            balancer: QemuHostConfig::balancer_for(self.total),
            policy,
            rules: Arc::new(config.clone()),
            connect: Arc::clone(&self.connect),
            surroundings: Box::new(ThisHost::new(&config.qmp, self.libvirt.clone(), watch)),
        };
        let run = RunConfig {
            // A thousand VMs are a thousand components, of which each has little to do: one thread for all is the cheapest.
            driver: Driver::Inline,
            clock: ClockMode::Wall { speed: 1.0 },
            until: left.map_or(SimTime::MAX, SimTime::from),
            // A host that is short of memory stops for seconds at a time.
            watchdog: None,
            ..RunConfig::default()
        };
        let end = tracing::dispatcher::with_default(&dispatch, || -> Result<_> {
            let mut runtime = Runtime::new(run)?;
            let host = QemuHost::build(&mut runtime, host_config);
            {
                let mut live = lock(&self.live);
                if live.over {
                    return Ok(None);
                }
                if live.paused {
                    runtime.send(&host.host, HostMessage::Command(HostCommand::Pause(true)));
                }
                live.stretch = Some((host.host.clone(), runtime.stop_handle()));
            }
            Ok(Some(runtime.run()))
        })?;
        lock(&self.live).stretch = None;
        let Some(end) = end else { return Ok((ControlFlow::Break(ExitCode::SUCCESS), Duration::ZERO)) };
        let took: Duration = end.time.into();
        let (record, print_at) = {
            let mut left = lock(&left_over);
            (left.record.take(), left.print_at)
        };
        *printed = print_at.saturating_sub(took);
        if let Some(record) = record {
            let folder = record.end(took)?;
            if let Some(records) = folder.parent().filter(|_| config.record.is_some()) {
                tidy(records, config.record_keep.unwrap_or(record::USUAL_KEEP));
            }
        }
        for panic in &end.panics {
            eprintln!("{} has panicked: {}", panic.component, panic.message);
        }
        let over = lock(&self.live).over;
        match end.reason {
            EndReason::Interrupted if over => Ok((ControlFlow::Break(ExitCode::SUCCESS), took)),
            EndReason::Interrupted | EndReason::Until => Ok((ControlFlow::Continue(()), took)),
            reason => Err(anyhow!("{reason}")),
        }
    }
}

fn tidy(records: &Path, keep: u64) {
    if let Err(error) = record::tidy(records, keep) {
        eprintln!("old records in {} cannot be deleted: {error}", records.display());
    }
}

/// Ends the stretch that runs.
fn stop(live: &SharedLive) {
    if let Some((_, stop)) = &lock(live).stretch {
        stop.stop();
    }
}

/// Time since 1970.
#[expect(clippy::disallowed_methods, reason = "QEMU stamps what guests report with the host's clock")]
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// RFC 3339, in whole seconds.
fn timestamp(unix: Duration) -> String {
    let seconds = i64::try_from(unix.as_secs()).unwrap_or(0);
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

/// This host's name, for counters.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String =
        name.trim().chars().map(|c| if c.is_control() || "\\\"()/#".contains(c) { '_' } else { c }).collect();
    if name.is_empty() { "HOST".to_owned() } else { name }
}

fn command() -> String {
    std::env::args().collect::<Vec<_>>().join(" ")
}
