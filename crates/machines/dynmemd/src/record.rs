//! What the daemon leaves behind: folders as of runs, one for each stretch of time, of which the oldest are deleted.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use balancing_policy::{MemorySettings, Phase};
use memory_balancer::SystemCounters;
use page_range::PageCount;
use perf_counters::{Epoch, Layout, Memory, ParentCounters, Rate, Sample, pdh};
use qemu_host::Snapshot;
use run_journal::manifest::{self, Manifest, ScenarioIdentity, Seeds};
use run_journal::{EventsLevel, Form, MANIFEST_FILE, Recorder};
use scenario::run::{COUNTERS_FILE, SCENARIO_FILE, SUMMARY_FILE, host_counters, vm_counters};

use crate::summary::Tally;

/// Records together are not larger than this if nothing is said.
pub(crate) const USUAL_KEEP: u64 = 1 << 30;
/// The longest time of one record. Invented: a day's worth is looked at together.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// The largest record, bytes of events. Invented: what a browser still shows.
const LARGEST: u64 = 64 << 20;
/// A record has at most this part of what all may have together, so that there are older ones to delete: the counters of a thousand VMs come to
/// gigabytes in a day. Invented.
const PART: u64 = 4;
/// VMs that come within this time of another are of one record. Invented: a host starts its VMs one after the other.
const SETTLES: Duration = Duration::from_secs(10);
/// How often is looked how large the record is.
const LOOKS: Duration = Duration::from_secs(60);

/// Name of the list of VMs beside the counters: what `Get-VM` and `Get-VMMemory` would say of them, for `cargo xtask import`.
const VMS_FILE: &str = "vms.csv";

/// The VMs and their settings, under the names of PowerShell's columns; sizes in bytes, as there.
fn vm_list(snapshot: &Snapshot) -> String {
    let mut text =
        "Name,State,MemoryStartup,MemoryMinimum,MemoryMaximum,DynamicMemoryEnabled,Buffer,Priority\r\n"
            .to_owned();
    for vm in &snapshot.vms {
        let (name, settings) = (vm.name.replace('"', "\"\""), &vm.settings);
        let priority = settings.weight / MemorySettings::WEIGHT_PER_PRIORITY;
        // What it has now, which all together can have, unlike what they had when they were found.
        let startup = vm.assigned.unwrap_or(settings.startup).max(settings.minimum).min(settings.maximum);
        let [startup, minimum, maximum] = [startup, settings.minimum, settings.maximum].map(PageCount::bytes);
        let dynamic = if settings.dynamic { "True" } else { "False" };
        text.push_str(&format!(
            "\"{name}\",Running,{startup},{minimum},{maximum},{dynamic},{},{priority}\r\n",
            settings.buffer
        ));
    }
    text
}

/// The balancer's counters. What it keeps beyond the host's memory, for VMs that had more than there is when they were found, is no reserve.
fn system_counters(snapshot: &Snapshot) -> SystemCounters {
    let beyond = snapshot.ledger.total.saturating_sub(snapshot.total);
    let reserve = snapshot.system.reserve.saturating_sub(beyond);
    SystemCounters { reserve, ..snapshot.system }
}

/// The counters of all VMs of a snapshot, for records and for Prometheus.
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) layout: Layout,
    pub(crate) sample: Sample,
    host: String,
    epoch: Epoch,
}

impl Counters {
    pub(crate) fn new(host: &str, epoch: Epoch) -> Result<Self> {
        let layout = Layout::new(host, epoch, Vec::<String>::new())?;
        Ok(Self { sample: Sample::new(&layout), layout, host: host.to_owned(), epoch })
    }

    /// Where the VM of this name is in the layout, which has them in the order of their names, as a snapshot does.
    fn place(&self, name: &str) -> Option<usize> {
        self.layout.vms().binary_search_by(|other| (**other).cmp(name)).ok()
    }

    /// Whether the snapshot has the VMs of the layout, or fewer.
    fn has_room_for(&self, snapshot: &Snapshot) -> bool {
        snapshot.vms.iter().all(|vm| self.place(&vm.name).is_some())
    }

    /// The VMs are those of the snapshot from now on.
    pub(crate) fn lay_out(&mut self, snapshot: &Snapshot) -> Result<()> {
        let names = snapshot.vms.iter().map(|vm| vm.name.to_string());
        self.layout = Layout::new(self.host.clone(), self.epoch, names)?;
        self.sample = Sample::new(&self.layout);
        Ok(())
    }

    /// Takes the snapshot's numbers.
    pub(crate) fn take(&mut self, snapshot: &Snapshot) {
        self.sample.reset(snapshot.now);
        let system = system_counters(snapshot);
        (self.sample.balancer, self.sample.model) = host_counters(&system, snapshot.total);
        if let Some(host) = &snapshot.host {
            let available = Some(Memory::from_pages(host.available.get()));
            self.sample.parent = ParentCounters { available, page_reads: Rate::from_f64(0.0) };
        }
        for vm in &snapshot.vms {
            let Some(at) = self.place(&vm.name) else { continue };
            let Some((phase, counters)) = &vm.counted else { continue };
            if let Some(sample) = self.sample.vms.get_mut(at) {
                *sample = vm_counters(counters, None);
                let started = *phase != Phase::Starting;
                sample.model.startup_memory = started.then(|| Memory::from_pages(counters.at_start.get()));
                sample.model.maximum_memory = Some(Memory::from_pages(vm.settings.maximum.get()));
                sample.guest.available =
                    vm.seen.report.as_ref().map(|(_, status)| Memory::from_pages(status.available.get()));
            }
        }
    }
}

/// One folder, being written.
pub(crate) struct Record {
    folder: PathBuf,
    pub(crate) recorder: Recorder,
    counters: Counters,
    log: Option<pdh::Writer<BufWriter<File>>>,
    manifest: Manifest,
    newest_vm: Duration,
    vms: usize,
    looked: Duration,
    ends: Option<&'static str>,
    tally: Tally,
    listed: bool,
    listed_within_budget: bool,
    /// Bytes of all files of it.
    largest: u64,
}

/// What a record is of.
pub(crate) struct Of<'a> {
    pub(crate) host: &'a str,
    pub(crate) epoch: Epoch,
    pub(crate) policy: &'a str,
    pub(crate) configuration: &'a Arc<str>,
    pub(crate) command: &'a str,
    /// Bytes of all records together.
    pub(crate) keep: u64,
}

impl Record {
    /// Begins a folder below `records`, named by the time.
    pub(crate) fn begin(records: &Path, of: &Of<'_>) -> Result<Self> {
        let named: String =
            of.epoch.to_string().chars().take(19).map(|c| if c == ':' { '-' } else { c }).collect();
        let folder = (1..1000)
            .map(|number| records.join(if number == 1 { named.clone() } else { format!("{named}-{number}") }))
            .find(|folder| !folder.exists())
            .context("there are a thousand records of this second")?;
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let recorder = Recorder::create(&folder, EventsLevel::All, Form::Plain)
            .with_context(|| format!("cannot record in {}", folder.display()))?;
        let manifest = Manifest {
            format: manifest::FORMAT_VERSION,
            scenario: ScenarioIdentity {
                name: "dynmemd".to_owned(),
                file: None,
                sha256: manifest::sha256_hex(of.configuration.as_bytes()),
            },
            policy: of.policy.to_owned(),
            seeds: Seeds::default(),
            driver: "inline".to_owned(),
            clock: "wall".to_owned(),
            speed: Some(1.0),
            until: "the daemon ends".to_owned(),
            epoch: of.epoch.to_string(),
            sample_interval: "1s".to_owned(),
            events: EventsLevel::All,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: None,
            command: of.command.to_owned(),
            artifacts: std::collections::BTreeMap::new(),
        };
        manifest.write(&folder).with_context(|| format!("cannot write in {}", folder.display()))?;
        Ok(Self {
            counters: Counters::new(of.host, of.epoch)?,
            folder,
            recorder,
            log: None,
            manifest,
            newest_vm: Duration::ZERO,
            vms: 0,
            looked: Duration::ZERO,
            ends: None,
            tally: Tally::default(),
            listed: false,
            listed_within_budget: false,
            largest: of.keep / PART,
        })
    }

    /// Takes a snapshot's counters. What comes back is why the record should end and another begin.
    pub(crate) fn take(&mut self, snapshot: &Snapshot) -> Result<Option<&'static str>> {
        if snapshot.vms.len() != self.vms {
            (self.vms, self.newest_vm) = (snapshot.vms.len(), snapshot.now);
        }
        let settled = snapshot.now >= self.newest_vm + SETTLES;
        // A table of counters has the columns that it has: it begins when the VMs are there, and others belong to the next one.
        if self.log.is_none() && settled && !snapshot.vms.is_empty() {
            self.counters.lay_out(snapshot)?;
            let path = self.folder.join(COUNTERS_FILE);
            let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
            self.list(snapshot)?;
            let mut log = pdh::Writer::new(BufWriter::new(file), &self.counters.layout)?;
            // A row of the beginning, when there was no VM: readers count time from the first one.
            self.counters.sample.reset(Duration::ZERO);
            log.write(&self.counters.sample).context("cannot write the counters")?;
            self.log = Some(log);
        }
        self.tally.add(snapshot, &system_counters(snapshot));
        if self.listed && !self.listed_within_budget && snapshot.vms.len() == self.vms {
            self.list(snapshot)?;
        }
        if let Some(log) = &mut self.log {
            self.counters.take(snapshot);
            log.write(&self.counters.sample)
                .and_then(|()| log.flush())
                .context("cannot write the counters")?;
            if settled && !self.counters.has_room_for(snapshot) {
                self.ends = Some("a VM has come");
            }
        }
        if snapshot.now >= LONGEST {
            self.ends = Some("a day is over");
        }
        if snapshot.now >= self.looked + LOOKS {
            self.looked = snapshot.now;
            // A daemon that is killed leaves one that is a minute old.
            self.write_summary("the daemon has not ended this record", snapshot.now, false)?;
            let events = self.recorder.finish().context("cannot write the events")?.events_bytes;
            if events > LARGEST || size(&self.folder)? > self.largest {
                self.ends = Some("the record is large");
            }
        }
        Ok(self.ends)
    }

    /// Leaves the list of VMs.
    fn list(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.listed = true;
        // Only then could a host start them all with what they have.
        let budget = snapshot.total.saturating_sub(snapshot.reserve);
        self.listed_within_budget = snapshot.ledger.assigned <= budget;
        let list = self.folder.join(VMS_FILE);
        std::fs::write(&list, vm_list(snapshot)).with_context(|| format!("cannot write {}", list.display()))
    }

    /// Ends the folder.
    pub(crate) fn end(mut self, after: Duration) -> Result<PathBuf> {
        if let Some(log) = self.log.take() {
            log.finish().context("cannot write the counters")?;
        }
        self.recorder.finish().context("cannot write the events")?;
        self.manifest.until = quantities::format_duration(Duration::from_secs(after.as_secs().max(1)));
        // Written beside it and given its place: there is always a whole one.
        let place = self.folder.join(MANIFEST_FILE);
        let aside = self.folder.join("aside");
        std::fs::create_dir_all(&aside)?;
        self.manifest.write(&aside)?;
        std::fs::rename(aside.join(MANIFEST_FILE), place)?;
        std::fs::remove_dir(aside)?;
        self.write_summary(self.ends.unwrap_or("the daemon has ended"), after, true)?;
        Ok(self.folder)
    }

    /// Written beside it and given its place, as the manifest is.
    fn write_summary(&self, reason: &str, after: Duration, complete: bool) -> Result<()> {
        let place = self.folder.join(SUMMARY_FILE);
        let aside = self.folder.join("summary.json.new");
        let text = serde_json::to_string_pretty(&self.tally.summary(reason, after, complete))?;
        std::fs::write(&aside, text + "\n").with_context(|| format!("cannot write {}", aside.display()))?;
        std::fs::rename(&aside, &place).with_context(|| format!("cannot write {}", place.display()))
    }

    /// Leaves the text of what was configured.
    pub(crate) fn configuration(&self, text: &str) -> Result<()> {
        let path = self.folder.join("dynmemd.toml");
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Bytes of the files in a folder.
fn size(folder: &Path) -> std::io::Result<u64> {
    let files = std::fs::read_dir(folder)?.flatten();
    Ok(files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum())
}

/// Deletes the oldest records, until all together have at most `keep` bytes. Only folders that a daemon has left are looked at.
pub(crate) fn tidy(records: &Path, keep: u64) -> std::io::Result<()> {
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(records)? {
        let path = entry?.path();
        let ours = Manifest::read(&path).is_ok_and(|manifest| manifest.scenario.name == "dynmemd");
        if ours && !path.join(SCENARIO_FILE).exists() {
            let bytes = size(&path)?;
            folders.push((path, bytes));
        }
    }
    // By name, which is by time.
    folders.sort();
    let mut all: u64 = folders.iter().map(|(_, bytes)| bytes).sum();
    for (path, bytes) in folders {
        if all <= keep {
            break;
        }
        std::fs::remove_dir_all(path)?;
        all -= bytes;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_records_go_and_nothing_else() {
        let records = tempfile::tempdir().unwrap();
        let of = |epoch: &str| {
            let text: Arc<str> = Arc::from("");
            let epoch = epoch.parse().unwrap();
            let of = Of {
                host: "HOST",
                epoch,
                policy: "hyperv",
                configuration: &text,
                command: "dynmemd",
                keep: USUAL_KEEP,
            };
            let record = Record::begin(records.path(), &of).unwrap();
            std::fs::write(record.folder.join("large"), vec![0; 10_000]).unwrap();
            record.end(Duration::from_secs(5)).unwrap()
        };
        let folders = ["2026-11-30T22:00:00Z", "2026-11-30T23:00:00Z", "2026-11-30T23:00:00Z"].map(of);
        let mine = records.path().join("0-mine");
        std::fs::create_dir(&mine).unwrap();
        std::fs::write(mine.join("thesis"), vec![0; 100_000]).unwrap();
        tidy(records.path(), 25_000).unwrap();
        assert_eq!(folders.map(|folder| folder.exists()), [false, true, true]);
        assert!(mine.exists());
        let manifest = Manifest::read(&records.path().join("2026-11-30T23-00-00-2")).unwrap();
        assert_eq!((&*manifest.until, &*manifest.policy), ("5s", "hyperv"));
    }
}
