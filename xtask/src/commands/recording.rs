//! The folder of a run, read for the terminal: of one that is over, or that another process goes on with.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use live_view::recording::{RecordedVm, Recording};
use page_range::PageCount;
use run_analysis::figures::Recorded;
use run_journal::{EVENTS_FILE, Manifest, Record, bytes_recorded, events, file_in};
use scenario::file::LoadOptions;
use scenario::run::{COUNTERS_FILE, Choices, SCENARIO_FILE};

use super::{bad_input, plans};

/// Bytes that are read again each second of a run that goes on. Invented.
pub(super) const MOST_READ_AGAIN: u64 = 64 << 20;

/// Bytes of events and counters that a run has left.
pub(super) fn size(directory: &Path) -> u64 {
    [EVENTS_FILE, COUNTERS_FILE].into_iter().map(|name| bytes_recorded(directory, name)).sum()
}

/// What is there of a run; what is missing is said.
pub(super) fn read(directory: &Path) -> Result<Recording> {
    let counted = Recorded::read(directory);
    let recorded = events::read_whole(&file_in(directory, EVENTS_FILE));
    if let (Err(counters), Err(events)) = (&counted, &recorded) {
        return Err(bad_input(format!(
            "{} is no folder of a run that can be shown: {counters}; {EVENTS_FILE}: {events}",
            directory.display()
        )));
    }
    let mut missing = Vec::new();
    let records = match recorded {
        Ok(whole) => {
            missing.extend(whole.missing.map(|error| format!("{EVENTS_FILE}: {error}.")));
            whole.records
        }
        Err(error) => {
            missing.push(format!("{EVENTS_FILE}: {error}. Only what the counters say is shown."));
            Vec::new()
        }
    };
    let title = title(directory);
    let last = records.iter().map(|record| Duration::from(record.t)).max().unwrap_or_default();
    let run = match counted {
        Ok(run) => run,
        Err(error) => {
            missing.push(format!("{error}. The VMs' memory is not shown."));
            let (vms, points) = (vms(&records), Vec::new());
            return Ok(Recording {
                title,
                until: last,
                host_memory: PageCount::ZERO,
                vms,
                points,
                records,
                missing,
            });
        }
    };
    let priorities = priorities(directory);
    let vm = |(place, name): (usize, &String)| RecordedVm {
        name: name.as_str().into(),
        maximum: run.maximum.get(place).copied().flatten().map_or_else(|| most(&run, place), from_mib),
        priority: priorities.iter().find(|(known, _)| **known == **name).map(|(_, priority)| *priority),
    };
    let vms = run.vms.iter().enumerate().map(vm).collect();
    let until = run.points.last().map_or(last, |point| point.time.max(last));
    Ok(Recording {
        title,
        until,
        host_memory: from_mib(run.host_mb),
        vms,
        points: run.points,
        records,
        missing,
    })
}

fn from_mib(mib: f64) -> PageCount {
    PageCount((mib * 256.0).round() as u64)
}

/// The most memory that a VM ever had.
fn most(run: &Recorded, place: usize) -> PageCount {
    run.points.iter().filter_map(|point| point.vms.get(place)).map(|vm| vm.physical).max().unwrap_or_default()
}

fn title(directory: &Path) -> String {
    let manifest = Manifest::read_part(directory).ok();
    let policy = manifest.and_then(|manifest| manifest.policy);
    let policy = policy.map_or_else(String::new, |policy| format!(" · policy {policy}"));
    format!("{}{policy} · recorded", directory.display())
}

/// The VMs that events are about.
fn vms(records: &[Record]) -> Vec<RecordedVm> {
    let names: BTreeSet<&Arc<str>> = records.iter().filter_map(|record| record.vm.as_ref()).collect();
    let vm = |name: &Arc<str>| RecordedVm { name: name.clone(), maximum: PageCount::ZERO, priority: None };
    names.into_iter().map(vm).collect()
}

/// Memory priorities of the VMs, if the scenario that was run is in the folder and can be read today.
fn priorities(directory: &Path) -> Vec<(Arc<str>, u32)> {
    let path = directory.join(SCENARIO_FILE);
    let file = plans::load(&path.display().to_string(), &LoadOptions::default()).ok();
    let plan = file.and_then(|file| plans::plan(&file, &Choices::default()).ok());
    let vms = plan.map(|plan| plan.vms).unwrap_or_default();
    vms.into_iter().map(|vm| (vm.name, live_view::view::priority(&vm.settings))).collect()
}
