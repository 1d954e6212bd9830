//! The real half of a validation: a load in unmodified guests, by the plan that simulated guests follow as well.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use component_runtime::{ClockMode, Driver};
use guest_validation::{Collector, Curves, LOADS, Load, Moved, VmLoad};
use kvm_partition::KernelImage;
use run_journal::EventsLevel;
use scenario::run::plan::Action;
use scenario::run::{Plan, Point, RunOptions};
use vhd::TableAccess;

use crate::disk::DiskFile;
use crate::disk_images::new_disk;
use crate::factory::{GuestHandle, RealGuest};
use crate::host::{GuestConfig, spec};
use crate::initramfs;
use crate::pieces::Pieces;
use crate::units::bytes_mib;
use crate::watch::{UNTIL_ALL_REPORT, all_report, none_has_failed};

/// Between the moment at which all guests report and the beginning of the load.
const QUIET: Duration = Duration::from_secs(5);
/// What guests print that do not say what they run on.
const UNKNOWN: &str = "unknown";

/// The file that the real half of a load is left in.
#[must_use]
pub fn file_of(load: &Load) -> String {
    format!("{}.csv", load.name)
}

/// The loads of these names; all of them if none is named.
///
/// # Errors
/// A name that is none, with those that there are.
pub fn chosen(names: &[String]) -> Result<Vec<&'static Load>> {
    if names.is_empty() {
        return Ok(LOADS.iter().collect());
    }
    let find = |name: &String| {
        guest_validation::find(name).ok_or_else(|| {
            let all: Vec<&str> = LOADS.iter().map(|load| load.name).collect();
            anyhow!("{name:?} is no load: there are {}", all.join(", "))
        })
    };
    names.iter().map(find).collect()
}

/// Runs a load in real guests, and writes its curves into a folder.
///
/// # Errors
/// If a piece is missing, a guest never reports, or the run fails.
pub fn run(pieces: &Pieces, load: &'static Load, directory: &Path) -> Result<Curves> {
    let kernel = Arc::new(KernelImage::open(&pieces.kernel)?);
    let with_disks = load.vms.iter().any(VmLoad::has_disks);
    let initramfs = if with_disks { initramfs::guest_with_disks } else { initramfs::guest };
    let initramfs: Arc<[u8]> = initramfs(pieces)?.into();
    let plan = real_plan(load)?;
    let disks = tempfile::tempdir().context("no temporary folder")?;
    let handles: Vec<GuestHandle> = plan.vms.iter().map(|_| GuestHandle::default()).collect();
    let mut specs = Vec::new();
    for (planned, vm) in plan.vms.iter().zip(load.vms) {
        let mut config = GuestConfig::new(&planned.name, planned.settings);
        config.disks = disks_of(vm, &planned.name, disks.path())?;
        specs.push(spec(&config, &kernel, &initramfs));
    }
    let collector = Collector::new(load);
    let trouble = Arc::new(parking_lot::Mutex::new(None));
    let mut programs = Programs::new(load, handles.clone(), collector.clone());
    let options = RunOptions {
        driver: Driver::Threads,
        clock: ClockMode::Wall { speed: 1.0 },
        events: EventsLevel::All,
        tap: Some(collector.tap()),
        observer: Some({
            let trouble = Arc::clone(&trouble);
            Box::new(move |point| match programs.drive(point) {
                Ok(false) => ControlFlow::Continue(()),
                Ok(true) => ControlFlow::Break("the load is over".to_owned()),
                Err(what) => {
                    trouble.lock().get_or_insert(what.clone());
                    ControlFlow::Break(what)
                }
            })
        }),
        machines: Some(Box::new({
            let handles = handles.clone();
            move |place, _| Box::new(RealGuest::new(specs[place].clone(), handles[place].clone()))
        })),
        ..RunOptions::default()
    };
    scenario::run::run(plan, options).context("the run failed")?;
    if let Some(what) = trouble.lock().take() {
        bail!("load {}: {what}", load.name);
    }
    let kernel = pieces.kernel.file_name().map_or_else(|| UNKNOWN.into(), |name| name.to_string_lossy());
    let curves = collector.curves(vec![("kernel".to_owned(), kernel.into_owned())]);
    let path = directory.join(file_of(load));
    std::fs::write(&path, curves.to_text()).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(curves)
}

/// Numbers of a guest's disks on its controller.
const SWAP_LUN: u8 = 0;
const FILES_LUN: u8 = 1;

/// The disks of a guest, new and empty: what lies on them is of no matter, only how much of it is read and written.
fn disks_of(vm: &VmLoad, name: &str, folder: &Path) -> Result<Vec<DiskFile>> {
    let mut disks = Vec::new();
    for (lun, mib, what) in [(SWAP_LUN, vm.swap, "swap"), (FILES_LUN, vm.files, "files")] {
        if mib > 0 {
            let path = folder.join(format!("{name}-{what}.vhd"));
            let new = new_disk(mib, u128::from(lun) + 1);
            vhd::files::create_dynamic(&path, &new, TableAccess::InMemory)?.flush()?;
            disks.push(DiskFile { lun, path, read_only: false });
        }
    }
    Ok(disks)
}

/// What a guest has read and written on its disks, by the host's count.
fn moved(handle: &GuestHandle) -> Moved {
    let counted = handle.storage().statistics();
    let of = |lun: u8| counted.get(&lun).copied().unwrap_or_default();
    Moved {
        file_reads: bytes_mib(of(FILES_LUN).bytes_read),
        page_ins: bytes_mib(of(SWAP_LUN).bytes_read),
        page_outs: bytes_mib(of(SWAP_LUN).bytes_written),
    }
}

/// The plan without the simulated guests' programs, and with time for real ones to boot.
fn real_plan(load: &Load) -> Result<Plan> {
    let mut plan = guest_validation::plan(load).map_err(|error| anyhow!("{error}"))?;
    plan.timeline.retain(|step| matches!(step.action, Action::Start { .. }));
    plan.until = UNTIL_ALL_REPORT + QUIET + Duration::from_secs(load.length + 60);
    Ok(plan)
}

/// What the programs of the guests keep, second by second.
struct Programs {
    load: &'static Load,
    handles: Vec<GuestHandle>,
    collector: Collector,
    keeps: Vec<u64>,
    /// When all guests reported for the first time.
    reported: Option<Duration>,
    seconds: u64,
}

impl Programs {
    fn new(load: &'static Load, handles: Vec<GuestHandle>, collector: Collector) -> Self {
        let keeps = vec![0; handles.len()];
        Self { load, handles, collector, keeps, reported: None, seconds: 0 }
    }

    /// What follows from a sample; `true`: the load is over.
    fn drive(&mut self, point: &Point) -> Result<bool, String> {
        none_has_failed(point, &self.handles)?;
        let Some(reported) = self.reported else {
            if all_report(point, &self.handles)? && self.collector.all_report() {
                self.reported = Some(point.time);
                for (vm, handle) in self.load.vms.iter().zip(&self.handles) {
                    if vm.swap > 0 {
                        handle.command(&format!("swapon {SWAP_LUN}"));
                    }
                    if vm.files > 0 {
                        handle.command(&format!("files {FILES_LUN}"));
                    }
                }
            }
            return Ok(false);
        };
        if point.time < reported + QUIET {
            return Ok(false);
        }
        if self.seconds == 0 {
            self.collector.begin();
        }
        let moved: Vec<Moved> = self.handles.iter().map(moved).collect();
        self.collector.sample(point, &moved);
        for ((vm, handle), keeps) in self.load.vms.iter().zip(&self.handles).zip(&mut self.keeps) {
            let wanted = vm.at(self.seconds);
            if wanted != *keeps {
                // What is swapped out is written only if its bytes are not all alike.
                let take = if vm.swap > 0 { "fill" } else { "eat" };
                handle.command(&format!("{take} {wanted}"));
                *keeps = wanted;
            }
            let (looks, reads) = (vm.looks_at(self.seconds), vm.reads_at(self.seconds));
            if looks > 0 {
                handle.command(&format!("look {looks}"));
            }
            if reads > 0 {
                handle.command(&format!("read {reads} {}", vm.files));
            }
        }
        self.seconds += 1;
        Ok(self.seconds > self.load.length)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use page_range::PageCount;

    use super::*;

    #[test]
    fn loads_are_named_and_what_is_none_is_told_with_those_that_are() {
        assert_eq!(chosen(&[]).unwrap().len(), LOADS.len());
        assert_eq!(chosen(&["ramp".to_owned()]).unwrap()[0].name, "ramp");
        let error = chosen(&["ramps".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("\"ramps\"") && error.contains("steps, ramp"), "{error}");
    }

    /// The load begins a while after the last guest has reported, and ends by itself: one sample for each of its seconds.
    #[test]
    fn a_load_is_driven_second_by_second_once_all_guests_report() {
        let load = guest_validation::find("contention").unwrap();
        let collector = Collector::new(load);
        let mut programs =
            Programs::new(load, vec![GuestHandle::default(), GuestHandle::default()], collector.clone());
        let mut point = Point::default();
        point.vms.resize(2, Default::default());
        point.vms[0].demand = Some(PageCount::from_mib(100));
        assert_eq!(programs.drive(&point), Ok(false));
        point.vms[1].demand = Some(PageCount::from_mib(100));
        let mut tap = collector.tap();
        for vm in ["VM1", "VM2"] {
            writeln!(tap, r#"{{"event":"status_report","vm":"{vm}","committed":25600,"available":25600}}"#)
                .unwrap();
        }
        let mut over = false;
        let mut samples = 0;
        while !over {
            point.time += Duration::from_secs(1);
            over = programs.drive(&point).unwrap();
            samples += 1;
        }
        assert_eq!(collector.curves(Vec::new()).seconds() as u64, load.length + 1);
        assert_eq!(samples, load.length + QUIET.as_secs() + 1);
        assert_eq!(programs.keeps, [420, 0]);
    }
}
