//! The scenario `real-linux`: several real guests on a host with too little memory for all, and a memory eater in each.
//!
//! As in Figure 4-5 of the main source one guest after the other wants more: the first gets what is free, for the newcomer the
//! balancer has to take from those before, and when the newcomer lets go the others get back what they gave. It is run by the same runner as any
//! scenario, under the wall clock, and leaves the same files; `guests.csv` adds what only a real guest has: its own
//! `MemTotal` and `MemAvailable`, and the memory that host and VMM really use.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use balancing_policy::MemorySettings;
use component_runtime::{ClockMode, Driver};
use guest_memory_manager::{IntegrationServices, PageFileSize, find_profile};
use kvm_partition::{Backing, KernelImage};
use page_range::PageCount;
use run_analysis::figures::{self, Views};
use run_journal::{EventsLevel, HumanLog};
use scenario::file::Patience;
use scenario::run::plan::{Action, PlannedVm, Step};
use scenario::run::{GUESTS_FILE, Outcome, Plan, Point, RunOptions};

use crate::factory::{GuestHandle, RealGuest};
use crate::host::{GuestConfig, RealHostConfig, spec};
use crate::initramfs;
use crate::manual::Keep;
use crate::pieces::Pieces;
use crate::record::own_resident;
use crate::units::bytes_mib;
use crate::watch::{UNTIL_ALL_REPORT, all_report, none_has_failed};

/// The same as a figure: the balancer's view, the guest's and the host's.
pub const VIEWS_FIGURE: &str = "figure-views.svg";

/// How the scenario is run.
#[derive(Clone, Debug)]
pub struct Contention {
    /// Guests, 2 or more.
    pub guests: usize,
    /// All memory of the host, MiB.
    pub host_mib: u64,
    /// What each guest eats in the end, MiB.
    pub appetite_mib: u64,
    /// The balancing policy.
    pub policy: String,
    /// What guest RAM is made of.
    pub backing: Backing,
    /// Where the files go; the folder exists.
    pub directory: PathBuf,
    /// How much is logged for a person.
    pub log: Option<String>,
}

impl Default for Contention {
    fn default() -> Self {
        Self {
            guests: 2,
            host_mib: 1456,
            appetite_mib: 420,
            policy: "hyperv".to_owned(),
            backing: Backing::default(),
            directory: PathBuf::from("."),
            log: None,
        }
    }
}

/// Why the run ends.
const LAST_COURSE_OVER: &str = "the last guest has had its time";

const STARTUP_MIB: u64 = 512;
const MINIMUM_MIB: u64 = 256;
const MAXIMUM_MIB: u64 = 1024;
/// Between one guest's meal and the next one's.
const COURSE: Duration = Duration::from_secs(15);
/// Between the starts of two guests: the last one is the newcomer of Figure 4-5, and a start shows in the samples of a second.
const BETWEEN_STARTS: Duration = Duration::from_secs(2);
/// How much more an eater takes each second: little enough for the balancer to follow.
const BITE_MIB: u64 = 40;

impl Contention {
    /// How long the part is that is looked at, from the first time that all guests report.
    #[must_use]
    pub fn length(&self) -> Duration {
        COURSE * (self.guests as u32 + 3)
    }

    fn guest(&self, place: usize) -> GuestConfig {
        let settings =
            MemorySettings::dynamic(PageCount::from_mib(STARTUP_MIB), PageCount::from_mib(MAXIMUM_MIB))
                .with_minimum(PageCount::from_mib(MINIMUM_MIB));
        let mut guest = GuestConfig::new(&format!("VM{}", place + 1), settings);
        guest.backing = self.backing;
        guest.memory_interval = Duration::from_secs(1);
        guest
    }

    fn plan(&self) -> Result<Plan> {
        let guests: Vec<GuestConfig> = (0..self.guests).map(|place| self.guest(place)).collect();
        let memory = PageCount::from_mib(self.host_mib);
        let until = UNTIL_ALL_REPORT + self.length();
        Ok(Plan { policy: self.policy.clone(), ..plan("real-linux", memory, &guests, until)? })
    }

    /// Runs it.
    ///
    /// # Errors
    /// If a piece is missing, a guest never reports, or the run fails.
    pub fn run(&self, pieces: &Pieces) -> Result<(Plan, Outcome)> {
        let kernel = Arc::new(KernelImage::open(&pieces.kernel)?);
        let initramfs: Arc<[u8]> = initramfs::guest(pieces)?.into();
        let plan = self.plan()?;
        let handles: Vec<GuestHandle> = (0..self.guests).map(|_| GuestHandle::default()).collect();
        let specs: Vec<_> =
            (0..self.guests).map(|place| spec(&self.guest(place), &kernel, &initramfs)).collect();
        let mut table = Table::new(&self.directory.join(GUESTS_FILE), handles.clone())?;
        let mut eaters = Eaters::new(self, handles.clone());
        let rows = Arc::clone(&table.rows);
        let trouble = Arc::new(parking_lot::Mutex::new(None));
        let options = RunOptions {
            driver: Driver::Threads,
            clock: ClockMode::Wall { speed: 1.0 },
            directory: Some(self.directory.clone()),
            events: EventsLevel::All,
            log: self.log.as_deref().map(HumanLog::stderr).transpose()?,
            keep_points: true,
            observer: Some({
                let trouble = Arc::clone(&trouble);
                Box::new(move |point| {
                    let next =
                        table.row(point).map_err(|error| format!("cannot write {GUESTS_FILE}: {error}"));
                    match next.and_then(|()| eaters.drive(point)) {
                        Ok(false) => ControlFlow::Continue(()),
                        Ok(true) => ControlFlow::Break(LAST_COURSE_OVER.to_owned()),
                        Err(what) => {
                            trouble.lock().get_or_insert(what.clone());
                            ControlFlow::Break(what)
                        }
                    }
                })
            }),
            machines: Some(Box::new(move |place, _| {
                Box::new(RealGuest::new(specs[place].clone(), handles[place].clone()))
            })),
            ..RunOptions::default()
        };
        let outcome = scenario::run::run(plan.clone(), options).context("the run failed")?;
        if let Some(what) = trouble.lock().take() {
            return Err(anyhow!(what));
        }
        let title = "Three views of each guest's memory: the balancer's, the guest's, the host's";
        let note = format!("host {} MB, policy {}", self.host_mib, self.policy);
        figures::write_views(&self.directory, VIEWS_FIGURE, title, &note, &views(&rows.lock()))?;
        Ok((plan, outcome))
    }
}

/// A run of real guests on a host with so much memory: each is started, one after the other.
///
/// # Errors
/// None that a user could bring about: the names and dates in it are this module's own.
pub(crate) fn plan(name: &str, memory: PageCount, guests: &[GuestConfig], until: Duration) -> Result<Plan> {
    let host = RealHostConfig::new(memory, Vec::new(), Box::new(Keep));
    // What a plan has to say of a simulated guest; these are not simulated.
    let stand_in = *find_profile("linux")?;
    Ok(Plan {
        name: name.to_owned(),
        host_name: "REALHOST".to_owned(),
        epoch: "2011-02-22T09:00:00Z".parse().map_err(|error| anyhow!("{error}"))?,
        host: host.host(),
        devices: Vec::new(),
        policy: "hyperv".to_owned(),
        policy_parameters: toml::Table::new(),
        vms: guests
            .iter()
            .map(|guest| PlannedVm {
                name: guest.name.as_str().into(),
                profile: stand_in,
                services: IntegrationServices::Current,
                vcpus: guest.vps,
                page_file: PageFileSize::Fixed(PageCount::ZERO),
                disks: Vec::new(),
                agent: Default::default(),
                settings: guest.settings,
                operation_times: None,
            })
            .collect(),
        timeline: (0u32..)
            .zip(0..guests.len())
            .map(|(place, vm)| Step {
                at: BETWEEN_STARTS * place,
                action: Action::Start { vm, while_host_used_below: None, patience: Patience::NONE },
            })
            .collect(),
        until,
        sample_interval: Duration::from_secs(1),
        seed: 1,
        trace: None,
    })
}

/// How much memory each guest's agent takes, second by second.
struct Eaters {
    handles: Vec<GuestHandle>,
    appetite_mib: u64,
    length: Duration,
    eating: Vec<u64>,
    /// When all guests reported for the first time.
    begun: Option<Duration>,
}

impl Eaters {
    fn new(config: &Contention, handles: Vec<GuestHandle>) -> Self {
        Self {
            eating: vec![0; handles.len()],
            handles,
            appetite_mib: config.appetite_mib,
            length: config.length(),
            begun: None,
        }
    }

    /// What follows from a sample; `true`: the scenario is over.
    fn drive(&mut self, point: &Point) -> Result<bool, String> {
        none_has_failed(point, &self.handles)?;
        let Some(begun) = self.begun else {
            if all_report(point, &self.handles)? {
                self.begun = Some(point.time);
            }
            return Ok(false);
        };
        let now = point.time.saturating_sub(begun);
        let guests = self.handles.len() as u32;
        for (place, handle) in (0u32..).zip(&self.handles) {
            let eating = &mut self.eating[place as usize];
            let lets_go = COURSE * (guests + 1);
            let wanted = match now {
                // The newcomer lets go when it has eaten for a while.
                now if place + 1 == guests && now >= lets_go => 0,
                now if now >= COURSE * place + COURSE / 3 => (*eating + BITE_MIB).min(self.appetite_mib),
                _ => 0,
            };
            if wanted != *eating {
                handle.command(&format!("eat {wanted}"));
                *eating = wanted;
            }
        }
        Ok(now >= self.length)
    }
}

/// What is written of each guest: the balancer's view, the guest's own, and the host's.
const COLUMNS: [&str; 6] =
    ["assigned_mb", "visible_mb", "demand_mb", "mem_total_mb", "mem_available_mb", "resident_mb"];

/// A row of `guests.csv`; NaN where nothing is known yet.
struct Row {
    time_s: f64,
    vmm_rss_mb: f64,
    guests: Vec<[f64; COLUMNS.len()]>,
}

/// `guests.csv`.
struct Table {
    out: BufWriter<File>,
    handles: Vec<GuestHandle>,
    rows: Arc<parking_lot::Mutex<Vec<Row>>>,
}

impl Table {
    fn new(path: &Path, handles: Vec<GuestHandle>) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
        let mut out = BufWriter::new(file);
        write!(out, "time_s,vmm_rss_mb")?;
        for vm in 1..=handles.len() {
            for column in COLUMNS {
                write!(out, ",vm{vm}_{column}")?;
            }
        }
        writeln!(out)?;
        Ok(Self { out, handles, rows: Arc::default() })
    }

    fn row(&mut self, point: &Point) -> std::io::Result<()> {
        let known = |value: Option<f64>| value.unwrap_or(f64::NAN);
        let guests = point.vms.iter().zip(&self.handles).map(|(vm, handle)| {
            let view = handle.voice().view();
            [
                vm.physical.mib(),
                vm.visible.mib(),
                known(vm.demand.map(PageCount::mib)),
                known(view.map(|view| view.total_kb as f64 / 1024.0)),
                known(view.map(|view| view.available_kb as f64 / 1024.0)),
                bytes_mib(handle.resident()),
            ]
        });
        let row = Row {
            time_s: point.time.as_secs_f64(),
            vmm_rss_mb: bytes_mib(own_resident()),
            guests: guests.collect(),
        };
        write!(self.out, "{:.1},{:.1}", row.time_s, row.vmm_rss_mb)?;
        for value in row.guests.iter().flatten() {
            // As everywhere in such files: nothing where nothing is known.
            if value.is_nan() { write!(self.out, ",")? } else { write!(self.out, ",{value:.1}")? }
        }
        self.rows.lock().push(row);
        writeln!(self.out)?;
        self.out.flush()
    }
}

/// Panels of the figure: a guest each, and the host's process.
fn views(rows: &[Row]) -> Vec<Views> {
    let curve = |label: &str, of: &dyn Fn(&Row) -> f64| {
        (label.to_owned(), rows.iter().map(|row| (row.time_s, of(row))).collect::<Vec<_>>())
    };
    let guests = rows.first().map_or(0, |row| row.guests.len());
    let column = |name: &str| COLUMNS.iter().position(|column| *column == name).unwrap_or(0);
    let mut panels: Vec<Views> = (0..guests)
        .map(|vm| {
            let of = |label: &str, name: &str| {
                let column = column(name);
                curve(label, &|row| row.guests.get(vm).map_or(f64::NAN, |guest| guest[column]))
            };
            Views {
                title: String::new(),
                axis: format!("VM{} (MB)", vm + 1),
                curves: vec![
                    of("assigned\n(balancer)", "assigned_mb"),
                    of("MemTotal\n(guest)", "mem_total_mb"),
                    of("resident\n(host)", "resident_mb"),
                    of("demand", "demand_mb"),
                    of("MemAvailable\n(guest)", "mem_available_mb"),
                ],
            }
        })
        .collect();
    panels.push(Views {
        title: String::new(),
        axis: "host's process (MB)".to_owned(),
        curves: vec![
            curve("resident", &|row| row.vmm_rss_mb),
            curve("guest RAM\nof it", &|row| {
                row.guests.iter().map(|guest| guest[column("resident_mb")]).sum()
            }),
        ],
    });
    panels
}

#[cfg(test)]
mod tests {
    use vmms_host::VmState;

    use super::*;

    #[test]
    fn a_guest_that_fails_or_never_reports_ends_the_scenario_with_its_last_words() {
        let config = Contention::default();
        let handles = vec![GuestHandle::default(), GuestHandle::default()];
        handles[1].voice().hear(crate::agent::CONSOLE, b"Kernel panic - not syncing\n");
        handles[1].voice().hear(crate::agent::AGENT, b"up\nmissing hv_balloon\n");
        let mut eaters = Eaters::new(&config, handles);
        let mut point = Point::default();
        point.vms.resize(2, Default::default());
        point.vms[0].demand = Some(PageCount::from_mib(100));
        eaters.handles[0].voice().hear(crate::agent::AGENT, b"up\nready\n");
        assert_eq!(eaters.drive(&point), Ok(false));
        point.time = UNTIL_ALL_REPORT + Duration::from_secs(1);
        let silent = eaters.drive(&point).unwrap_err();
        assert!(silent.contains("VM2 has not reported") && silent.contains("hv_balloon"), "{silent}");
        point.vms[1].state = VmState::Failed;
        let failed = eaters.drive(&point).unwrap_err();
        assert!(failed.contains("VM2 has failed") && failed.contains("Kernel panic"), "{failed}");
    }

    #[test]
    fn the_table_and_its_figure_say_what_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(GUESTS_FILE);
        let handles = vec![GuestHandle::default(), GuestHandle::default()];
        handles[0].voice().hear(crate::agent::AGENT, b"m 409600 204800\n");
        let mut table = Table::new(&path, handles).unwrap();
        let mut point = Point { time: Duration::from_secs(3), ..Point::default() };
        point.vms.resize(2, Default::default());
        point.vms[0].physical = PageCount::from_mib(512);
        table.row(&point).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines = text.lines();
        let head: Vec<&str> = lines.next().unwrap().split(',').collect();
        let row: Vec<&str> = lines.next().unwrap().split(',').collect();
        assert_eq!((head.len(), row.len()), (14, 14), "{text}");
        let value = |name: &str| row[head.iter().position(|column| *column == name).unwrap()];
        assert_eq!((value("time_s"), value("vm1_assigned_mb")), ("3.0", "512.0"));
        assert_eq!((value("vm1_mem_total_mb"), value("vm1_mem_available_mb")), ("400.0", "200.0"));
        assert_eq!((value("vm1_demand_mb"), value("vm2_mem_total_mb")), ("", ""));
        let panels = views(&table.rows.lock());
        let axes: Vec<&str> = panels.iter().map(|panel| panel.axis.as_str()).collect();
        assert_eq!(axes, ["VM1 (MB)", "VM2 (MB)", "host's process (MB)"]);
        assert_eq!(panels[0].curves[1].1, [(3.0, 400.0)]);
    }
}
