//! VMs, their settings, and what they demanded.

use core::time::Duration;

use page_range::PageCount;
use serde::{Deserialize, Serialize};

use crate::kind::Kind;

/// VMs, their settings, and what they demanded over time.
#[derive(Clone, Debug)]
pub struct Load {
    /// The host, if the files name one, and only one.
    pub host: Option<String>,
    /// The host's memory, if a file says it.
    pub host_memory: Option<PageCount>,
    /// The hosts, if files list them with their memory.
    pub hosts: Vec<LoadHost>,
    /// The Windows Server of the hosts, as scenario files call it.
    pub release: Release,
    /// Time 0 of all demand, milliseconds since 1970 (UTC), if the files have dates.
    pub begins: Option<i64>,
    /// The VMs, in the order of their names.
    pub vms: Vec<LoadVm>,
    /// The files.
    pub sources: Vec<Source>,
    /// What was done to the files, what is missing in them, and where they disagree.
    pub remarks: Vec<String>,
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LoadHost {
    /// Its name.
    pub name: String,
    /// Its memory.
    pub memory: PageCount,
    /// Its logical processors.
    pub logical_processors: Option<u32>,
}

/// The Windows Server of hosts, as scenario files call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Release {
    /// The oldest that runs a VM with such a version of its configuration.
    OfVersions(&'static str),
    /// No file says it.
    Assumed(&'static str),
}

impl Release {
    /// Its word in scenario files.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::OfVersions(key) | Self::Assumed(key) => key,
        }
    }
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Its name.
    pub file: String,
    /// What it is.
    pub kind: Kind,
}

/// A VM.
#[derive(Clone, Debug)]
pub struct LoadVm {
    /// Its name in the files.
    pub name: String,
    /// The host that it was on last.
    pub host: Option<String>,
    /// Whether it was on.
    pub running: bool,
    /// Its memory settings, complete: what no file says is assumed.
    pub settings: Settings,
    /// Its settings as far as files say them: what to go back to.
    pub today: Today,
    /// Virtual processors.
    pub vcpus: Option<u32>,
    /// Generation of the VM.
    pub generation: Option<u32>,
    /// Its guest, in a file's words.
    pub guest: Option<String>,
    /// What it demanded.
    pub demand: Demand,
    /// What was assumed about it, each with the reason.
    pub assumed: Vec<String>,
}

/// Memory settings, in the words of `Set-VMMemory`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// Whether Dynamic Memory is on; otherwise the VM has the startup RAM for good.
    pub dynamic: bool,
    /// Startup RAM.
    pub startup: PageCount,
    /// Minimum RAM.
    pub minimum: PageCount,
    /// Maximum RAM.
    pub maximum: PageCount,
    /// Memory buffer, percent.
    pub buffer: u32,
    /// Memory priority, 0 to 100.
    pub priority: u32,
}

/// Settings as far as files say them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Today {
    /// Dynamic Memory.
    pub dynamic: Option<bool>,
    /// Startup RAM.
    pub startup: Option<PageCount>,
    /// Minimum RAM.
    pub minimum: Option<PageCount>,
    /// Maximum RAM.
    pub maximum: Option<PageCount>,
    /// Memory buffer, percent.
    pub buffer: Option<u32>,
    /// Memory priority.
    pub priority: Option<u32>,
}

/// What a VM demanded.
#[derive(Clone, Debug, PartialEq)]
pub enum Demand {
    /// No file says.
    Unknown,
    /// At one moment only.
    Snapshot(PageCount),
    /// Over time: times since [`Load::begins`], ascending.
    Recorded(Vec<(Duration, PageCount)>),
}

impl Demand {
    /// The largest amount.
    #[must_use]
    pub fn peak(&self) -> Option<PageCount> {
        match self {
            Self::Unknown => None,
            Self::Snapshot(pages) => Some(*pages),
            Self::Recorded(samples) => samples.iter().map(|(_, pages)| *pages).max(),
        }
    }
}

/// How much the demand of a load can tell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Running VMs.
    pub running: usize,
    /// Running VMs of which demand is known over time.
    pub recorded: usize,
    /// Running VMs of which demand is known at one moment only.
    pub snapshots: Vec<String>,
    /// Running VMs of which no demand is known.
    pub unknown: Vec<String>,
    /// The median time between two samples, seconds; `None` without recorded demand.
    pub interval_s: Option<f64>,
    /// How long was recorded, seconds.
    pub length_s: f64,
}

impl Load {
    /// How long was recorded.
    #[must_use]
    pub fn length(&self) -> Duration {
        let last = |vm: &LoadVm| match &vm.demand {
            Demand::Recorded(samples) => samples.last().map(|(time, _)| *time),
            _ => None,
        };
        self.vms.iter().filter_map(last).max().unwrap_or_default()
    }

    /// How much the load can tell.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        let running = || self.vms.iter().filter(|vm| vm.running);
        let named = |wanted: fn(&Demand) -> bool| {
            running().filter(|vm| wanted(&vm.demand)).map(|vm| vm.name.clone()).collect::<Vec<_>>()
        };
        let mut intervals: Vec<Duration> = Vec::new();
        for vm in running() {
            if let Demand::Recorded(samples) = &vm.demand {
                intervals.extend(samples.windows(2).map(|pair| pair[1].0.saturating_sub(pair[0].0)));
            }
        }
        let middle = intervals.len() / 2;
        let interval = (!intervals.is_empty()).then(|| *intervals.select_nth_unstable(middle).1);
        Evidence {
            running: running().count(),
            recorded: running().filter(|vm| matches!(vm.demand, Demand::Recorded(_))).count(),
            snapshots: named(|demand| matches!(demand, Demand::Snapshot(_))),
            unknown: named(|demand| matches!(demand, Demand::Unknown)),
            interval_s: interval.map(|interval| interval.as_secs_f64()),
            length_s: self.length().as_secs_f64(),
        }
    }
}
