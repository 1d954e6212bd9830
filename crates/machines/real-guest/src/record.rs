//! The record: everything that must be seen of the host with the unmodified driver, looked at one by one.
//!
//! Each check compares what the host's own components recorded (events, counters, resident memory) with what the guest itself says
//! (its `MemTotal`, its kernel's messages, the driver's debug file). Nothing is taken from a log line that this program wrote for
//! people.

mod balloon;
mod disks;
mod guard;
mod kernels;
mod life;
mod messages;
mod reporting;
mod services;
mod trouble;
mod validation;

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use balancing_policy::{MemorySettings, VmId};
use clap::ValueEnum as _;
use page_range::PageCount;
use serde::{Deserialize, Serialize};

use crate::agent::GuestView;
use crate::events::Event;
use crate::factory::GuestHandle;
use crate::host::{RealHost, RealHostConfig};
use crate::manual::{Keep, Manual, Targets};
use crate::pieces::Pieces;

pub(crate) use balloon::boot_seen;
pub use messages::MESSAGES_FILE;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What must be so.
    pub what: String,
    /// Whether it is.
    pub passed: bool,
    /// What was seen.
    pub seen: String,
}

/// All that was looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// In order.
    pub checks: Vec<Check>,
    /// How long things took, by name: seconds, or what the name says.
    pub figures: Vec<(String, f64)>,
}

impl Part {
    /// All parts in two pieces, in their order, of which each takes about half of the time.
    #[must_use]
    pub fn halves() -> [Vec<Self>; 2] {
        let (first, second) = Self::value_variants().split_at(Self::Services as usize);
        [first.to_vec(), second.to_vec()]
    }
}

impl Record {
    /// Whether all is as it must be.
    #[must_use]
    pub fn passed(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|check| check.passed)
    }

    /// Writes it into a folder.
    ///
    /// # Errors
    /// If that is not possible.
    pub fn write(&self, directory: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(directory.join(RECORD_FILE), text).context("cannot write the record")
    }

    /// Reads what [`write`](Self::write) wrote.
    ///
    /// # Errors
    /// If there is no such file.
    pub fn read(directory: &Path) -> Result<Self> {
        let text = std::fs::read(directory.join(RECORD_FILE)).context("cannot read the record")?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// What was looked at after this.
    pub fn append(&mut self, later: Self) {
        self.checks.extend(later.checks);
        self.figures.extend(later.figures);
    }

    /// Looks at one thing, and says so.
    pub(crate) fn check(&mut self, what: &str, passed: bool, seen: impl Into<String>) -> bool {
        let check = Check { what: what.to_owned(), passed, seen: seen.into() };
        let mark = if passed { "ok  " } else { "FAIL" };
        let _closed =
            writeln!(std::io::stdout(), "{mark}  {}: {}", check.what, terminal_text::escape(&check.seen));
        self.checks.push(check);
        passed
    }

    pub(crate) fn figure(&mut self, name: &str, value: f64) {
        let _closed = writeln!(std::io::stdout(), "      {name}: {value:.3}");
        self.figures.push((name.to_owned(), value));
    }
}

/// Which parts of the record to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Balloon, unballoon, hot-add, with memory of this process.
    Balloon,
    /// Two processors, a file as memory, VMBus 4.0; reset, and death in the middle of an operation.
    Life,
    /// Guests that panic, hang, flood, or lack the driver.
    Trouble,
    /// A guest that touches pages which it has given back, beside one that does not.
    Guard,
    /// Heartbeat, shutdown, time synchronization.
    Services,
    /// Free page reporting.
    Reporting,
    /// Guests with each further kernel that was fetched: what they agree to, and that memory moves.
    Kernels,
    /// A load, and beside it what the simulated guest makes of the same load.
    Validation,
    /// Virtual hard disks: root, swap, hot-plug.
    Disks,
}

/// Which parts, and whether each must be there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chosen<'a> {
    /// None: all.
    pub(crate) parts: &'a [Part],
    /// Whether a part that cannot be looked at here is left out. If not, that is an error; but of all parts only the possible ones are meant.
    pub(crate) where_possible: bool,
}

impl Chosen<'_> {
    fn has(self, part: Part) -> bool {
        self.parts.is_empty() || self.parts.contains(&part)
    }

    fn may_lack(self) -> bool {
        self.parts.is_empty() || self.where_possible
    }
}

/// The record's file.
pub const RECORD_FILE: &str = "record.json";

/// Makes the record. What the driver said in its first part, byte for byte, is left in `directory` as [`MESSAGES_FILE`]. `disks` is where
/// [`disk_images`](crate::disk_images) has made disks for the part of that name, which is left out without them; it works with copies, which
/// stay in `directory`. `kernels` is where further kernels are, each in a folder as a package unpacks it.
///
/// # Errors
/// If a guest could not even be started, or a file cannot be written. What is not as it must be is in the record.
pub(crate) fn make(
    pieces: &Pieces,
    chosen: Chosen<'_>,
    directory: &Path,
    disks: Option<&Path>,
    kernels: Option<&Path>,
) -> Result<Record> {
    let mut record = Record::default();
    // In the order in which they are defined.
    for &part in Part::value_variants().iter().filter(|&&part| chosen.has(part)) {
        match part {
            Part::Balloon => balloon::look(&mut record, pieces, directory)?,
            Part::Life => life::look(&mut record, pieces)?,
            Part::Trouble => trouble::look(&mut record, pieces)?,
            Part::Guard => guard::look(&mut record, pieces)?,
            Part::Services => services::look(&mut record, pieces)?,
            Part::Reporting if reporting::possible()? => reporting::look(&mut record, pieces)?,
            Part::Reporting if chosen.may_lack() => {
                let _closed = writeln!(
                    std::io::stdout(),
                    "      page reporting: left out: {}",
                    reporting::NOT_POSSIBLE
                );
            }
            Part::Reporting => bail!("page reporting: {}", reporting::NOT_POSSIBLE),
            Part::Kernels => match kernels {
                Some(kernels) => kernels::look(&mut record, pieces, kernels)?,
                None if chosen.may_lack() => {}
                None => bail!("there is no further kernel for the part `kernels`"),
            },
            Part::Validation => validation::look(&mut record, pieces, directory)?,
            Part::Disks => match disks {
                Some(disks) => disks::look(&mut record, pieces, disks, directory)?,
                None if chosen.may_lack() => {}
                None => bail!("there are no disks for the part `disks`"),
            },
        }
    }
    Ok(record)
}

/// What an emulated machine may take at most until a guest is ready: far more than was ever seen (5 s), since it may be busy.
pub(crate) const BOOT: Duration = Duration::from_secs(240);
/// For an operation of the host and its guest; the same for all that is only waited for.
pub(crate) const OPERATION: Duration = Duration::from_secs(120);
/// For an answer of the guest's init.
const ANSWER: Duration = Duration::from_secs(60);

pub(crate) const VM: VmId = VmId(0);

pub(crate) fn mib(count: u64) -> PageCount {
    PageCount::from_mib(count)
}

/// One guest under a person's hand.
pub(crate) struct Stage {
    pub(crate) host: RealHost,
    pub(crate) targets: Targets,
}

impl Stage {
    /// A host of 4 GiB with one guest of 512 to 1280 MiB.
    pub(crate) fn new(pieces: &Pieces, adjust: impl FnOnce(&mut RealHostConfig)) -> Result<Self> {
        let (config, targets) = stage_config(adjust);
        Ok(Self { host: RealHost::start(pieces, config)?, targets })
    }

    pub(crate) fn guest(&self) -> &GuestHandle {
        &self.host.guests[0]
    }

    /// Where the events are now.
    pub(crate) fn mark(&self) -> usize {
        self.host.events.len()
    }

    pub(crate) fn wait(
        &self,
        from: usize,
        longest: Duration,
        wanted: impl FnMut(&Event) -> bool,
    ) -> Option<Event> {
        self.host.events.wait_for(from, longest, wanted).map(|(event, _)| event)
    }

    /// Waits for an event by its name.
    pub(crate) fn named(&self, from: usize, longest: Duration, name: &str) -> Option<Event> {
        self.wait(from, longest, |event| event.name() == name)
    }

    /// Waits until the guest's driver is ready and its init listens.
    pub(crate) fn ready(&self, from: usize) -> bool {
        self.named(from, BOOT, "dm_ready").is_some()
            && self.named(from, BOOT, "login_screen").is_some()
            && self.guest().voice().is_ready()
    }

    /// Sets a target, and waits for the end of the operation that follows from it.
    pub(crate) fn bring_to(&self, target: u64) -> Option<Event> {
        let from = self.mark();
        self.targets.set(VM, Some(mib(target)));
        let finished = self.named(from, OPERATION, "operation_finished");
        // The balancer's books follow by a message.
        self.settle();
        finished
    }

    /// Waits for a round in which nothing is under way.
    pub(crate) fn settle(&self) {
        for _ in 0..20 {
            let from = self.mark();
            let _a_round = self.named(from, Duration::from_secs(3), "round");
            if self.host.host.balancer.system().in_transit.is_zero() {
                return;
            }
        }
    }

    /// What the balancer says that the guest has.
    pub(crate) fn assigned(&self) -> PageCount {
        self.host.host.balancer.vm(VM).map_or(PageCount::ZERO, |vm| vm.physical)
    }

    /// What the guest says that it has.
    pub(crate) fn view(&self) -> GuestView {
        let _told = self.ask("mem", "m ");
        self.guest().voice().view().unwrap_or_default()
    }

    /// Gives the guest's init a command, and waits for its answer.
    pub(crate) fn ask(&self, command: &str, answer: &str) -> Option<String> {
        self.guest().ask(command, answer, ANSWER)
    }

    /// The lines that the guest answers, until the one that ends them.
    pub(crate) fn ask_lines(&self, command: &str, prefix: &str, end: &str) -> Vec<String> {
        self.guest().ask_lines(command, [prefix, end], usize::MAX, ANSWER)
    }

    /// Has the guest use `count` MiB, and give them back: their pages are the host's then as well.
    pub(crate) fn touch(&self, count: u64) {
        let _used = self.ask(&format!("eat {count}"), "eaten");
        let _given_back = self.ask("eat 0", "eaten");
    }
}

pub(crate) fn stage_config(adjust: impl FnOnce(&mut RealHostConfig)) -> (RealHostConfig, Targets) {
    use crate::host::GuestConfig;
    let settings = MemorySettings::dynamic(mib(512), mib(1280)).with_minimum(mib(64));
    let targets = Targets::default();
    let policy = Manual::new(Box::new(Keep), targets.clone());
    let mut config =
        RealHostConfig::new(mib(4096), vec![GuestConfig::new("VM1", settings)], Box::new(policy));
    config.operation_limit = mib(2048);
    adjust(&mut config);
    (config, targets)
}

/// `a` within `percent` of `b`.
pub(crate) fn close(a: f64, b: f64, percent: f64) -> bool {
    (a - b).abs() <= b.abs() * percent / 100.0
}

/// Resident memory of this process, bytes.
#[must_use]
pub fn own_resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) * 1024
}
