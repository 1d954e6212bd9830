//! What the checks of a scenario file measure. Every check of [`CHECKS`](scenario::file::CHECKS) has its function here.

use page_range::PageCount;

use super::measured::{Look, Measured, Missing, vm};
use super::observation::{Observation, host_used};
use super::{contention, single};
use scenario::file::Check;

/// Measures a check.
///
/// # Errors
/// What is missing: a VM that the check does not name, or a phase that does not come.
pub fn measure(check: &Check, run: &Observation) -> Result<Measured, Missing> {
    match check.check.name {
        "vms_started" => Ok(Measured::Number(run.started() as f64)),
        "vms_started_ratio" => {
            let against = reference(check, run)?.vms_started;
            if against == 0 {
                return Err("no VM started in the scenario that it is measured against".to_owned());
            }
            Ok(Measured::Number(run.started() as f64 / against as f64))
        }
        "host_memory_used" => Ok(Measured::Number(gib(most(run, host_used)))),
        "host_memory_used_ratio" => {
            let against = reference(check, run)?.host_used;
            Ok(Measured::Number(most(run, host_used).mib() / against.mib().max(1.0)))
        }
        "memory_assigned" => Ok(Measured::Number(gib(most(run, |point| point.host.assigned)))),
        "no_failed_start" => Ok(no_failed_start(run)),
        "start_refused" => start_refused(run, vm(check, run)?),
        "start_time" => start_time(run, vm(check, run)?),
        "within_bounds" => Ok(within_bounds(run)),
        "bounds_reached" => Ok(bounds_reached(run)),
        "assigned_difference" => {
            let (vm, than) = (vm(check, run)?, than(check, run)?);
            let point = &run.points[until(check, run)?];
            Ok(Measured::Number(point.vms[vm].physical.mib() - point.vms[than].physical.mib()))
        }
        "holds_more" => {
            let (vm, than) = (vm(check, run)?, than(check, run)?);
            let points = &run.points[from(check, run)?..=until(check, run)?];
            let more = points.iter().filter(|point| point.vms[vm].physical > point.vms[than].physical);
            Ok(Measured::Number(more.count() as f64 / points.len().max(1) as f64))
        }
        "assigned_change" => {
            let vm = vm(check, run)?;
            let at = |index: usize| run.points[index].vms[vm].physical.mib();
            Ok(Measured::Number(at(until(check, run)?) - at(from(check, run)?)))
        }
        "demand_change" => {
            let vm = vm(check, run)?;
            let at = |index: usize| {
                run.points[index].vms[vm]
                    .demand
                    .map(PageCount::mib)
                    .ok_or("the guest does not report".to_owned())
            };
            Ok(Measured::Number(at(until(check, run)?)? - at(from(check, run)?)?))
        }
        "reclaim_time" => reclaim_time(run, vm(check, run)?, from(check, run)?),
        "assigned" => {
            let vm = vm(check, run)?;
            Ok(Measured::Number(run.points[until(check, run)?].vms[vm].physical.mib()))
        }
        "guest_visible" => {
            let vm = vm(check, run)?;
            Ok(Measured::Number(run.points[until(check, run)?].vms[vm].visible.mib()))
        }
        "overhead_per_vm" => {
            let point = &run.points[until(check, run)?];
            let running = point.vms.iter().filter(|vm| vm.running).count();
            if running == 0 {
                return Err("no VM runs then".to_owned());
            }
            Ok(Measured::Number(point.host.overhead.mib() / running as f64))
        }
        "pressure_difference" => {
            let (vm, than) = (vm(check, run)?, than(check, run)?);
            let point = &run.points[until(check, run)?];
            let of = |vm: usize| point.vms[vm].pressure.ok_or("the guest does not report".to_owned());
            Ok(Measured::Number(of(vm)? - of(than)?))
        }
        "high_pressure_time" => {
            high_pressure_time(run, vm(check, run)?, from(check, run)?, until(check, run)?)
        }
        name => {
            if let Some(look) = single::measure(name, check, run) {
                return look;
            }
            contention::measure(name, check, run)
                .unwrap_or_else(|| Err(format!("the check {name:?} is not made by this version")))
        }
    }
}

fn than(check: &Check, run: &Observation) -> Result<usize, Missing> {
    let name =
        check.than.as_ref().ok_or("the check needs to know which VM to compare with: give it `than`")?;
    run.place(&name.value).ok_or(format!("there is no VM {:?}", name.value))
}

fn from(check: &Check, run: &Observation) -> Result<usize, Missing> {
    samples(run)?;
    Ok(check.from.map_or(0, |time| run.at(time)))
}

fn until(check: &Check, run: &Observation) -> Result<usize, Missing> {
    samples(run)?;
    Ok(check.at.map_or(run.points.len() - 1, |time| run.at(time)))
}

fn samples(run: &Observation) -> Result<(), Missing> {
    if run.points.is_empty() { Err("the run has no samples".to_owned()) } else { Ok(()) }
}

fn reference(check: &Check, run: &Observation) -> Result<super::Reference, Missing> {
    let name = check
        .against
        .as_ref()
        .ok_or("the check needs to know which scenario to measure against: give it `against`")?;
    let found = run.references.iter().find(|(known, _)| *known == name.value);
    found.map(|(_, reference)| *reference).ok_or(format!("the scenario {:?} was not run", name.value))
}

fn most(run: &Observation, of: impl Fn(&scenario::run::Point) -> PageCount) -> PageCount {
    run.points.iter().map(of).max().unwrap_or_default()
}

fn gib(pages: PageCount) -> f64 {
    pages.mib() / 1024.0
}

fn no_failed_start(run: &Observation) -> Measured {
    let failed = run.summary.vms.iter().find(|vm| vm.failed_starts > 0 || vm.failures > 0);
    match failed {
        None => Measured::Holds,
        Some(vm) => Measured::Fails(format!("{} failed", vm.name)),
    }
}

/// Refused in Hyper-V's words, and the host unharmed: all others keep what they had.
fn start_refused(run: &Observation, vm: usize) -> Look {
    let (name, startup) = (&run.vms[vm].name, run.vms[vm].settings.startup);
    let words = format!(
        "Not enough memory in the system to start the virtual machine {name} with ram size {} megabytes.",
        startup.whole_mib()
    );
    let fails = |why: String| Ok(Measured::Fails(why));
    if run.summary.vms[vm].failed_starts == 0 {
        return fails(format!("{name} was not refused"));
    }
    let Some(logged) = run.summary.event_log.iter().find(|entry| entry.text.starts_with(&words)) else {
        return fails(format!("the event log does not say {words:?}"));
    };
    let (Some(asked), Some(last)) = (run.asked[vm], run.points.last()) else {
        return Err(format!("{name} was never asked to start"));
    };
    let before = &run.points[run.at(asked).saturating_sub(1)];
    if !last.vms[vm].physical.is_zero() || logged.time_s < asked.as_secs_f64() {
        return fails(format!("{name} has memory"));
    }
    for (other, (then, now)) in before.vms.iter().zip(&last.vms).enumerate() {
        let unharmed = run.summary.vms[other].failures == 0 && now.running == then.running;
        if other != vm && !(unharmed && now.physical == then.physical) {
            return fails(format!("{} was disturbed", run.vms[other].name));
        }
    }
    if last.host.available + last.host.in_transit != before.host.available + before.host.in_transit {
        return fails("the host has less memory than before".to_owned());
    }
    Ok(Measured::Holds)
}

fn start_time(run: &Observation, vm: usize) -> Look {
    let asked = run.asked[vm].ok_or("it was never asked to start")?;
    let started = run.summary.vms[vm].started_s.ok_or("it never got its memory")?;
    Ok(Measured::Number(started - asked.as_secs_f64()))
}

fn bounds_reached(run: &Observation) -> Measured {
    let (mut least, mut most) = (false, false);
    for point in &run.points {
        for (vm, seen) in run.vms.iter().zip(&point.vms) {
            if vm.settings.dynamic && seen.running && !seen.physical.is_zero() {
                // A minimum at or above the startup RAM is no bound that a VM comes down to.
                least |= vm.settings.minimum < vm.settings.startup && seen.physical <= vm.settings.minimum;
                most |= seen.physical >= vm.settings.maximum;
            }
        }
    }
    match (least, most) {
        (true, true) => Measured::Holds,
        (false, _) => Measured::Fails("no VM ever came down to its minimum".to_owned()),
        (true, false) => Measured::Fails("no VM ever had its maximum".to_owned()),
    }
}

fn within_bounds(run: &Observation) -> Measured {
    for point in &run.points {
        for (vm, seen) in run.vms.iter().zip(&point.vms) {
            let settings = &vm.settings;
            let bounds = settings.minimum.min(settings.startup)..=settings.maximum;
            if settings.dynamic
                && seen.running
                && !seen.physical.is_zero()
                && !bounds.contains(&seen.physical)
            {
                return Measured::Fails(format!(
                    "{} has {} at {:?}, its bounds are {} and {}",
                    vm.name,
                    seen.physical,
                    point.time,
                    bounds.start(),
                    bounds.end()
                ));
            }
        }
    }
    Measured::Holds
}

fn reclaim_time(run: &Observation, vm: usize, from: usize) -> Look {
    let had = run.points[from].vms[vm].physical;
    let fallen = run.points[from..].iter().find(|point| point.vms[vm].physical < had);
    let fallen = fallen.ok_or("nothing is taken back")?;
    Ok(Measured::Number((fallen.time - run.points[from].time).as_secs_f64()))
}

/// Pressure above which a VM with the default buffer has less than it is to have, percent: Microsoft, "Hyper-V Performance – Memory"
/// (blogs.technet.microsoft.com/neales, 2016).
const HIGH_PRESSURE: f64 = 85.0;

/// The longest time in a row in which a VM's pressure is high.
fn high_pressure_time(run: &Observation, vm: usize, from: usize, to: usize) -> Look {
    let (mut longest, mut since) = (0.0_f64, None);
    for point in &run.points[from..=to] {
        if point.vms[vm].pressure.is_some_and(|pressure| pressure > HIGH_PRESSURE) {
            let began = *since.get_or_insert(point.time);
            longest = longest.max((point.time - began).as_secs_f64());
        } else {
            since = None;
        }
    }
    Ok(Measured::Number(longest))
}
