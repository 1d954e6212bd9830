//! What a run has left, read as far as it is whole.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use perf_counters::pdh::CounterLog;
use perf_counters::schema::{BALANCER_INSTANCE, Machine, StorageCounters, host_sets, vm_sets};
use perf_counters::{CounterDefinition, Epoch};
use run_journal::journal::{self, Entry};
use run_journal::manifest::ManifestError;
use run_journal::{EVENTS_FILE, JOURNAL_FILE, MANIFEST_FILE, Manifest, Record, events, file_in};
use scenario::run::{COUNTERS_FILE, SUMMARY_FILE};
use vmms_host::bus::RecordedFrame;

use crate::ExportError;

/// Bytes that are read of a counter file: about those of a thousand VMs for a day, once a second. Invented.
const MOST_COUNTERS: u64 = 1 << 34;
/// Bytes that are read of a summary: about a kilobyte for each VM. Invented.
const MOST_SUMMARY: u64 = 1 << 30;

/// The folder of a run.
#[derive(Debug)]
pub struct Run {
    directory: PathBuf,
    remarks: RefCell<Vec<String>>,
}

/// Of what a counter is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// The host.
    Host,
    /// A VM, or its guest.
    Vm(Arc<str>),
}

/// One counter of one thing over time.
#[derive(Clone, Debug)]
pub struct Series {
    /// Of what.
    pub scope: Scope,
    /// Which counter.
    pub definition: &'static CounterDefinition,
    /// A value for each of [`Counters::times`], as Performance Monitor shows it; `None` where there is none.
    pub values: Vec<Option<f64>>,
}

/// All counters of a run.
#[derive(Clone, Debug)]
pub struct Counters {
    /// Virtual time of each row.
    pub times: Vec<Duration>,
    /// The VMs, in the order of the run.
    pub vms: Vec<Arc<str>>,
    /// The counters that this program knows, of the host first, then VM by VM.
    pub series: Vec<Series>,
    /// Where virtual time 0 lies.
    pub epoch: Epoch,
}

/// A message or a packet that crossed between a guest and the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrossedFrame {
    /// Virtual time at which the host read or wrote it, in nanoseconds.
    pub t_ns: u64,
    /// The VM.
    pub vm: Arc<str>,
    /// Guest to host, else host to guest.
    pub from_guest: bool,
    /// Number of the event that led to it; 0 for none.
    pub cause: u64,
    /// What crossed.
    pub frame: RecordedFrame,
}

impl Run {
    /// The run in this folder.
    ///
    /// # Errors
    /// There is no such folder.
    pub fn open(directory: &Path) -> Result<Self, ExportError> {
        if !directory.is_dir() {
            return Err(ExportError::NoFolder(directory.to_owned()));
        }
        Ok(Self { directory: directory.to_owned(), remarks: RefCell::default() })
    }

    /// What whoever exports should be told: what is missing, and why.
    pub fn remarks(&self) -> Vec<String> {
        self.remarks.borrow().clone()
    }

    fn remark(&self, path: &Path, what: &dyn std::fmt::Display) {
        self.say(format!("{}: {what}", path.display()));
    }

    /// Something is left out of the export, for this reason.
    pub(crate) fn left_out(&self, why: &ExportError) {
        self.say(format!("left out: {why}"));
    }

    /// Once, however often a file is read.
    fn say(&self, remark: String) {
        let mut remarks = self.remarks.borrow_mut();
        if !remarks.contains(&remark) {
            remarks.push(remark);
        }
    }

    /// The events and the counters, of which a run has both, or at least one: what is missing is said.
    ///
    /// # Errors
    /// There is neither: why there are no events.
    pub(crate) fn events_and_counters(&self) -> Result<(Vec<Record>, Option<Counters>), ExportError> {
        match (self.events(), self.counters()) {
            (Ok(records), counters) => {
                let counters = counters.map_err(|error| self.left_out(&error)).ok();
                Ok((records, counters))
            }
            (Err(error), Ok(counters)) => {
                self.left_out(&error);
                Ok((Vec::new(), Some(counters)))
            }
            (Err(error), Err(_)) => Err(error),
        }
    }

    fn file(&self, name: &str, why: &'static str) -> Result<PathBuf, ExportError> {
        let path = file_in(&self.directory, name);
        if path.is_file() { Ok(path) } else { Err(ExportError::Missing { path, why }) }
    }

    /// The events, in the order of their numbers.
    ///
    /// # Errors
    /// They were not recorded, or are not those of a run. Of a file that is cut off what is whole is taken.
    pub fn events(&self) -> Result<Vec<Record>, ExportError> {
        let path = file_in(&self.directory, EVENTS_FILE);
        let unusable =
            |why: &dyn std::fmt::Display| ExportError::Unusable { path: path.clone(), why: why.to_string() };
        let whole = events::read_whole(&path).map_err(|error| unusable(&error))?;
        if let Some(missing) = whole.missing {
            if !missing.is_cut_off() {
                return Err(unusable(&missing));
            }
            self.remark(&path, &missing);
        }
        let mut records = whole.records;
        records.sort_by_key(|record| record.seq);
        if records.is_empty() {
            return Err(ExportError::Nothing {
                path,
                why: "there is no event in it, so there is nothing to show",
            });
        }
        Ok(records)
    }

    /// The names of the VMs, in the order of the run, as its summary has them; none without a summary.
    pub fn vm_names(&self) -> Vec<Arc<str>> {
        #[derive(serde::Deserialize)]
        struct Summary {
            vms: Vec<Vm>,
        }
        #[derive(serde::Deserialize)]
        struct Vm {
            name: String,
        }
        let text = input_file::read(&self.directory.join(SUMMARY_FILE), MOST_SUMMARY).ok();
        let summary: Option<Summary> = text.and_then(|text| serde_json::from_slice(&text).ok());
        let vms = summary.map(|summary| summary.vms).unwrap_or_default();
        vms.into_iter().map(|vm| vm.name.into()).collect()
    }

    /// Where virtual time 0 lies, as the manifest says; a day of its own where there is none, and where it cannot be used, which is said.
    pub fn epoch(&self) -> Epoch {
        let path = self.directory.join(MANIFEST_FILE);
        let why = match Manifest::read(&self.directory) {
            Ok(manifest) => match manifest.epoch.parse() {
                Ok(epoch) => return epoch,
                Err(_no_time) => format!("{}: its epoch {:?} is no time", path.display(), manifest.epoch),
            },
            // A real guest that somebody played with has none.
            Err(ManifestError::Io { cause, .. }) if cause.kind() == std::io::ErrorKind::NotFound => {
                return Epoch::DEFAULT;
            }
            Err(error) => error.to_string(),
        };
        self.say(format!("{why}; time 0 of the run is taken to be {}", Epoch::DEFAULT));
        Epoch::DEFAULT
    }

    /// The counters.
    ///
    /// # Errors
    /// There are none, or the file is no counter file.
    pub fn counters(&self) -> Result<Counters, ExportError> {
        let path = self.file(COUNTERS_FILE, "this is not the folder of a run")?;
        let unusable =
            |why: &dyn std::fmt::Display| ExportError::Unusable { path: path.clone(), why: why.to_string() };
        let file = input_file::open(&path, MOST_COUNTERS).map_err(|error| unusable(&error))?;
        let log = CounterLog::read(file).map_err(|error| unusable(&error))?;
        log.remarks().iter().for_each(|remark| self.remark(&path, remark));
        if log.is_empty() {
            return Err(ExportError::Nothing {
                path,
                why: "there is no row in it, so there is nothing to show",
            });
        }
        let found: Vec<Arc<str>> =
            log.instances("Hyper-V Dynamic Memory VM").into_iter().map(Arc::from).collect();
        let named = self.vm_names();
        // Counter paths cannot hold every name; the run's own are nicer, if they are those of the file.
        let vms = if named.len() == found.len() { named } else { found };
        let (_, balancer) = host_sets()[1];
        let host =
            log.paths().iter().find(|path| path.is(&path.machine, &balancer[0], Some(BALANCER_INSTANCE)));
        let host = host.or(log.paths().first()).map_or_else(String::new, |path| path.machine.clone());
        let mut series = Vec::new();
        let mut take =
            |scope: &Scope, machine: &str, instance: Option<&str>, set: &'static [CounterDefinition]| {
                for definition in set {
                    if let Some(column) = log.find(machine, definition, instance) {
                        let values = log.values(column).collect();
                        series.push(Series { scope: scope.clone(), definition, values });
                    }
                }
            };
        for (instance, set) in host_sets() {
            take(&Scope::Host, &host, instance, set);
        }
        for vm in &vms {
            let scope = Scope::Vm(Arc::clone(vm));
            for (machine, set) in vm_sets() {
                match machine {
                    Machine::Host => take(&scope, &host, Some(vm), set),
                    Machine::Guest => take(&scope, vm, None, set),
                }
            }
            take(&scope, &host, Some(vm), &StorageCounters::DEFINITIONS);
        }
        Ok(Counters { times: log.times(), vms, series, epoch: self.epoch() })
    }

    /// What crossed between guests and host, in order.
    ///
    /// # Errors
    /// There is no journal, or the file is none. Of a journal that is cut off what is whole is taken.
    pub fn frames(&self) -> Result<Vec<CrossedFrame>, ExportError> {
        let why = "this is not the folder of a run, or its journal was not recorded (--events all)";
        let path = self.file(JOURNAL_FILE, why)?;
        let unusable =
            |why: &dyn std::fmt::Display| ExportError::Unusable { path: path.clone(), why: why.to_string() };
        let mut vms: BTreeMap<Arc<str>, Arc<str>> = BTreeMap::new();
        let mut frames = Vec::new();
        for entry in journal::Reader::open(&path).map_err(|error| unusable(&error))? {
            let (from_guest, value) = match entry {
                Ok(Entry::Input(value)) => (true, value),
                Ok(Entry::Output(value)) => (false, value),
                Ok(Entry::Event(_)) => continue,
                Err(error @ journal::JournalError::CutOff { .. }) => {
                    self.remark(&path, &error);
                    break;
                }
                Err(error) => return Err(unusable(&error)),
            };
            let Some(vm) = value.machine.strip_prefix("vmbus/") else { continue };
            let vm = vms.entry(Arc::clone(&value.machine)).or_insert_with(|| Arc::from(vm));
            let frame: RecordedFrame = value.decode().map_err(|error| unusable(&error))?;
            if let RecordedFrame::LeftOut { frames } = frame {
                self.remark(
                    &path,
                    &format_args!("{frames} frames of {vm} were left out: it caused more than is recorded"),
                );
            }
            frames.push(CrossedFrame {
                t_ns: value.t.as_nanos(),
                vm: Arc::clone(vm),
                from_guest,
                cause: value.cause,
                frame,
            });
        }
        if frames.is_empty() {
            let why = "no message or packet was recorded; runs record them with --events all";
            return Err(ExportError::Nothing { path, why });
        }
        Ok(frames)
    }
}
