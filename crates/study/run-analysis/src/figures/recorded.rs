//! A run read back from its `counters.csv`.

use std::path::{Path, PathBuf};

use input_file::{CodePageName, TextLines};
use page_range::PageCount;
use perf_counters::pdh::{CounterLog, ReadError, Remark};
use perf_counters::{BalancerCounters, Rate, schema::BALANCER_INSTANCE};
use perf_counters::{
    CounterDefinition, GuestCounters, MapCounters, ModelCounters, ModelVmCounters, ParentCounters,
    StorageCounters, VmCounters,
};

use scenario::run::points::{HostPoint, VmPoint};
use scenario::run::{COUNTERS_FILE, Plan, Point, SUMMARY_FILE};

/// Why a run cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FiguresError {
    /// A file.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The counters.
    #[error("{}: {error}", path.display())]
    Counters {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: ReadError,
    },
    /// Counters whose names are not English.
    #[error(
        "{}: the names of its counters are not English, for example {counter:?}: Windows writes them in the language of whoever \
         records; record under English as the display language", path.display()
    )]
    Localised {
        /// The file.
        path: PathBuf,
        /// A counter of it.
        counter: String,
    },
    /// No samples.
    #[error("{}: there is no row in it, so there is nothing to draw", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Counters that no run of this project leaves behind.
    #[error("{}: there is no counter {counter:?} in it: it is not of a run of this project", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The counter.
        counter: String,
    },
}

/// What the counters of a run say.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Names of the VMs.
    pub vms: Vec<String>,
    /// All samples. Only what counters hold is in them.
    pub points: Vec<Point>,
    /// Maximum RAM of each VM that ran, MB.
    pub maximum: Vec<Option<f64>>,
    /// All memory of the host, MB.
    pub host_mb: f64,
    /// Which run it is.
    pub of: Option<Identity>,
    /// What each VM's page file and disks did, of a run whose VMs have disks; in the order of the VMs, a value for each sample.
    pub disks: Vec<DiskUse>,
    /// What whoever gave the counters should be told.
    pub remarks: Vec<Remark>,
}

/// What the page file and the disks of a VM did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DiskUse {
    /// Pages that the guest read from its page file in a second.
    pub page_reads: Vec<Option<f64>>,
    /// Seconds that a read of its disks took.
    pub read_latency: Vec<Option<f64>>,
}

/// Which run it is, as its `summary.json` says.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct Identity {
    /// Name of the scenario.
    pub scenario: String,
    /// Name of the policy.
    pub policy: String,
    /// Its seed.
    pub seed: u64,
    /// Names of its VMs, in its order.
    #[serde(default)]
    pub vms: Vec<VmIdentity>,
}

/// A VM of a run.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct VmIdentity {
    /// Its name.
    pub name: String,
}

type Column = Vec<Option<f64>>;

/// Bytes that are read of a counter file: about those of a thousand VMs for a day, once a second. Invented.
const MOST_COUNTERS: u64 = 1 << 34;
/// Bytes that are read of a summary: about a kilobyte for each VM. Invented.
const MOST_SUMMARY: u64 = 1 << 30;

struct Reader<'a> {
    path: &'a Path,
    log: CounterLog,
    host: String,
}

impl Reader<'_> {
    fn column(
        &self,
        machine: &str,
        counter: &CounterDefinition,
        instance: Option<&str>,
    ) -> Result<Column, FiguresError> {
        let found = self.log.find(machine, counter, instance);
        let index = found.ok_or_else(|| match self.log.localised() {
            Some(localised) => {
                FiguresError::Localised { path: self.path.to_owned(), counter: localised.to_string() }
            }
            None => FiguresError::Missing {
                path: self.path.to_owned(),
                counter: format!("{}\\{}", counter.object, counter.name),
            },
        })?;
        Ok(self.log.values(index).collect())
    }

    fn host(&self, counter: &CounterDefinition, instance: Option<&str>) -> Result<Column, FiguresError> {
        self.column(&self.host, counter, instance)
    }
}

fn named(set: &'static [CounterDefinition], name: &str) -> CounterDefinition {
    // Both are constants of one table; a test reads every one of them.
    set.iter().find(|counter| counter.name == name).copied().unwrap_or(set[0])
}

fn pages(mb: Option<f64>) -> PageCount {
    PageCount((mb.unwrap_or(0.0) * 256.0).round() as u64)
}

/// The guest's own commit: what its balloon driver holds is committed too, and is what the guest sees and does not have.
fn own_commit(committed: PageCount, visible: PageCount, physical: PageCount) -> PageCount {
    committed.saturating_sub(visible.saturating_sub(physical))
}

/// Whole pages as a counter file holds them, as MB with six decimals. A page is 3906.25 millionths of a MB, so nothing is lost before
/// the rounding, which is that of the file.
fn mb_as_counted(pages: f64) -> f64 {
    (pages * 3906.25).round_ties_even() / 1e6
}

/// A sample with no more in it than the counters of a run hold.
fn as_counted(point: &Point) -> Point {
    let host = &point.host;
    Point {
        time: point.time,
        host: HostPoint {
            available: host.available,
            assigned: point.vms.iter().map(|vm| vm.physical).sum(),
            in_transit: host.in_transit,
            overhead: host.overhead,
            reserve: host.reserve,
            parent_free_mib: mb_as_counted((host.parent_free_mib.max(0.0) * 256.0).floor()),
            // With the six decimals that the file has.
            parent_reads_per_second: Rate::from_f64(host.parent_reads_per_second).map_or(0.0, Rate::to_f64),
            ..HostPoint::default()
        },
        vms: point
            .vms
            .iter()
            .map(|vm| VmPoint {
                running: !vm.physical.is_zero(),
                physical: vm.physical,
                visible: vm.visible,
                demand: vm.demand,
                guest_available: vm.guest_available,
                guest_commit: own_commit(vm.guest_committed, vm.visible, vm.physical),
                guest_refused: vm.guest_refused,
                large_pages: vm.large_pages,
                small_pages: vm.small_pages,
                ..VmPoint::default()
            })
            .collect(),
    }
}

impl Recorded {
    /// Reads the counters in a run's folder. Times are counted from the first row, which is the run's beginning. VMs come in
    /// the order of the run, and by their names there, if its summary is beside the counters: tools that rewrite counters
    /// change both.
    ///
    /// # Errors
    /// A file that cannot be read, or is not of a run.
    pub fn read(directory: &Path) -> Result<Self, FiguresError> {
        Self::read_in(directory, None)
    }

    /// As [`read`](Self::read), of counters in a code page that the user has named.
    ///
    /// # Errors
    /// A file that cannot be read, or is not of a run.
    pub fn read_in(directory: &Path, code_page: Option<CodePageName>) -> Result<Self, FiguresError> {
        let path = directory.join(COUNTERS_FILE);
        let file = input_file::open(&path, MOST_COUNTERS)
            .map_err(|error| FiguresError::File { path: path.clone(), error })?;
        let lines = TextLines::new(file);
        let lines = match code_page {
            Some(code_page) => lines.in_code_page(code_page),
            None => lines,
        };
        let log = CounterLog::read_lines(lines)
            .map_err(|error| FiguresError::Counters { path: path.clone(), error })?;
        if log.is_empty() {
            return Err(FiguresError::Empty { path });
        }
        let times = log.times();
        let summary = input_file::read(&directory.join(SUMMARY_FILE), MOST_SUMMARY).ok();
        let of: Option<Identity> = summary.and_then(|text| serde_json::from_slice(&text).ok());
        let physical = named(&VmCounters::DEFINITIONS, "Physical Memory");
        let available = named(&BalancerCounters::DEFINITIONS, "Available Memory");
        // The host is the machine that has a balancer; columns may come in any order.
        let host =
            log.paths().iter().find(|path| path.is(&path.machine, &available, Some(BALANCER_INSTANCE)));
        let host = host.or(log.paths().first()).map_or_else(String::new, |path| path.machine.clone());
        let instances = log.instances(physical.object);
        let column_of = |name: &str| log.find(&host, &physical, Some(name)).map(|_| name.to_owned());
        let in_run: Option<Vec<String>> =
            of.as_ref().and_then(|of| of.vms.iter().map(|vm| column_of(&vm.name)).collect());
        let vms = match in_run {
            Some(vms) if vms.len() == instances.len() => vms,
            _ => instances.into_iter().map(str::to_owned).collect(),
        };
        let remarks = log.remarks().to_vec();
        let reader = Reader { path: &path, log, host };

        let balancer =
            |name| reader.host(&named(&BalancerCounters::DEFINITIONS, name), Some(BALANCER_INSTANCE));
        let model = |name| reader.host(&named(&ModelCounters::DEFINITIONS, name), None);
        let parent = |name| reader.host(&named(&ParentCounters::DEFINITIONS, name), None);
        let (available, in_transit) = (balancer("Available Memory")?, model("Memory In Transit")?);
        let (overhead, reserve) = (model("Overhead Memory")?, model("Reserve Memory")?);
        let (free, reads) = (parent("Available MBytes")?, parent("Page Reads/sec")?);
        let host_mb = model("Host Memory")?.into_iter().flatten().next().unwrap_or_default();
        let mut points: Vec<Point> = times
            .into_iter()
            .enumerate()
            .map(|(row, time)| Point {
                time,
                host: HostPoint {
                    available: pages(available[row]),
                    in_transit: pages(in_transit[row]),
                    overhead: pages(overhead[row]),
                    reserve: pages(reserve[row]),
                    parent_free_mib: free[row].unwrap_or_default(),
                    parent_reads_per_second: reads[row].unwrap_or_default(),
                    ..HostPoint::default()
                },
                vms: Vec::with_capacity(vms.len()),
            })
            .collect();
        let mut maximum = Vec::new();
        let mut disks = Vec::new();
        for vm in &vms {
            // Only runs with disks have counters of them.
            let latency = named(&StorageCounters::DEFINITIONS, "Avg. Disk sec/Read");
            if let Ok(read_latency) = reader.host(&latency, Some(vm)) {
                let page_reads =
                    reader.column(vm, &named(&GuestCounters::DEFINITIONS, "Page Reads/sec"), None)?;
                disks.push(DiskUse { page_reads, read_latency });
            }
            let of = |name| reader.host(&named(&VmCounters::DEFINITIONS, name), Some(vm));
            let of_model = |name| reader.host(&named(&ModelVmCounters::DEFINITIONS, name), Some(vm));
            let in_guest = |name| reader.column(vm, &named(&GuestCounters::DEFINITIONS, name), None);
            let (physical, visible) = (of("Physical Memory")?, of("Guest Visible Physical Memory")?);
            let (available, committed) = (in_guest("Available MBytes")?, in_guest("Committed Bytes")?);
            let (demand, refused) = (of_model("Demand")?, of_model("Refused Commit").unwrap_or_default());
            // Counters of before there were these have them not.
            let of_map = |name| reader.host(&named(&MapCounters::DEFINITIONS, name), Some(vm));
            let (large, small) =
                (of_map("2M Pages").unwrap_or_default(), of_map("4K Pages").unwrap_or_default());
            let count =
                |column: &Column, row: usize| column.get(row).copied().flatten().map_or(0, |n| n as u32);
            maximum.push(of_model("Maximum Memory")?.into_iter().flatten().reduce(f64::max));
            for (row, point) in points.iter_mut().enumerate() {
                let (has, sees) = (pages(physical[row]), pages(visible[row]));
                let commit = PageCount((committed[row].unwrap_or(0.0) / 4096.0) as u64);
                point.vms.push(VmPoint {
                    running: !has.is_zero(),
                    physical: has,
                    visible: sees,
                    demand: demand[row].map(|demand| pages(Some(demand))),
                    guest_available: available[row].map(|mb| pages(Some(mb))),
                    guest_commit: own_commit(commit, sees, has),
                    guest_refused: pages(refused.get(row).copied().flatten()),
                    large_pages: count(&large, row),
                    small_pages: count(&small, row),
                    ..VmPoint::default()
                });
                point.host.assigned += has;
            }
        }
        Ok(Self { vms, points, maximum, host_mb, of, disks, remarks })
    }

    /// A run as it came out: the same as [`read`](Self::read) of its folder would give, without reading anything.
    #[must_use]
    pub fn of(plan: &Plan, points: &[Point]) -> Self {
        let ran = |vm: usize| points.iter().any(|point| point.vms[vm].running);
        let maximum = plan.vms.iter().enumerate();
        Self {
            vms: plan.vms.iter().map(|vm| vm.name.to_string()).collect(),
            points: points.iter().map(as_counted).collect(),
            maximum: maximum.map(|(vm, planned)| ran(vm).then(|| planned.settings.maximum.mib())).collect(),
            host_mb: plan.host.memory.mib(),
            of: Some(Identity {
                scenario: plan.name.clone(),
                policy: plan.policy.clone(),
                seed: plan.seed,
                vms: plan.vms.iter().map(|vm| VmIdentity { name: vm.name.to_string() }).collect(),
            }),
            disks: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// Its name, or that of its host.
    pub(crate) fn title(&self) -> String {
        match &self.of {
            Some(of) => format!("{} (seed {})", of.scenario, of.seed),
            None => format!("a host of {:.0} GB", self.host_mb / 1024.0),
        }
    }

    /// Which run it is, under the title of a figure.
    pub(super) fn note(&self) -> String {
        let reserve = |point: Option<&Point>| point.map_or(0.0, |point| point.host.reserve.mib());
        let (first, last) = (reserve(self.points.first()), reserve(self.points.last()));
        let later = if first == last { String::new() } else { format!(" (at the end {last:.0} MB)") };
        let host = format!("host {:.0} GB, reserve {first:.0} MB{later}", self.host_mb / 1024.0);
        match &self.of {
            Some(of) => format!("scenario {}, seed {}, policy {}; {host}", of.scenario, of.seed, of.policy),
            None => host,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_pages_are_rounded_as_in_the_file() {
        for pages in (0..100_000).chain(1_000_000_000..1_000_000_512).map(f64::from) {
            let in_file = format!("{:.6}", pages / 256.0);
            assert_eq!(mb_as_counted(pages), in_file.parse::<f64>().unwrap(), "{pages} pages");
        }
    }
}
