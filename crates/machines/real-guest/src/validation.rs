//! The real half of a validation: a load in unmodified guests, by the plan that simulated guests follow as well.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use component_runtime::{ClockMode, Driver};
use guest_validation::{Collector, Curves, LOADS, Load};
use kvm_partition::KernelImage;
use run_journal::EventsLevel;
use scenario::run::plan::Action;
use scenario::run::{Plan, Point, RunOptions};

use crate::factory::{GuestHandle, RealGuest};
use crate::host::{GuestConfig, spec};
use crate::initramfs;
use crate::pieces::Pieces;
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
    let initramfs: Arc<[u8]> = initramfs::guest(pieces)?.into();
    let plan = real_plan(load)?;
    let handles: Vec<GuestHandle> = plan.vms.iter().map(|_| GuestHandle::default()).collect();
    let specs: Vec<_> = plan
        .vms
        .iter()
        .map(|vm| spec(&GuestConfig::new(&vm.name, vm.settings), &kernel, &initramfs))
        .collect();
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
            }
            return Ok(false);
        };
        if point.time < reported + QUIET {
            return Ok(false);
        }
        if self.seconds == 0 {
            self.collector.begin();
        }
        self.collector.sample(point);
        for ((vm, handle), keeps) in self.load.vms.iter().zip(&self.handles).zip(&mut self.keeps) {
            let wanted = vm.at(self.seconds);
            if wanted != *keeps {
                handle.command(&format!("eat {wanted}"));
                *keeps = wanted;
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
