//! The parts of a load that full runs run, where all of it would take too long.

use core::time::Duration;

use guest_memory_manager::trace::TraceWindow;

use crate::SizingError;
use crate::fleet::Fleet;
use crate::job::Job;
use crate::measure::HostOutcome;

/// Parts of the load that full runs run, at most. Invented.
pub(crate) const MOST: usize = 3;

/// A part of the load that full runs run.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    /// The fleet cut to it, and the window that it was cut to; `None`: all of the load.
    pub(crate) cut: Option<(Fleet, TraceWindow)>,
    /// Where it begins.
    pub(crate) from_s: f64,
}

impl Part {
    /// All of the load.
    pub(crate) const ALL: Self = Self { cut: None, from_s: 0.0 };

    /// What is around a moment, `window_s` long; `None` if nothing is there. Before it counts, a part runs for as long as everything takes to
    /// settle.
    pub(crate) fn around(fleet: &Fleet, moment_s: f64, window_s: f64) -> Result<Option<Self>, SizingError> {
        let from_s = (moment_s - window_s / 2.0 - fleet.warm_up_s()).max(0.0).floor();
        let to_s = (moment_s + window_s / 2.0).min(fleet.length().as_secs_f64() + 1.0);
        let time = Duration::from_secs_f64;
        let Some(cut) = TraceWindow::new(time(from_s), time(to_s)) else { return Ok(None) };
        Ok(Some(Self { cut: Some((fleet.window(cut)?, cut)), from_s }))
    }

    /// What it is of `whole`.
    pub(crate) fn fleet<'f>(&'f self, whole: &'f Fleet) -> &'f Fleet {
        self.cut.as_ref().map_or(whole, |(fleet, _)| fleet)
    }

    /// Whether what comes of a moment shows in it.
    pub(crate) fn shows(&self, moment_s: f64, window_s: f64, settled_s: f64) -> bool {
        self.cut.as_ref().is_none_or(|(fleet, _)| {
            let (from, to) = (self.from_s + settled_s, self.from_s + fleet.length().as_secs_f64());
            (from..=to).contains(&moment_s) && (moment_s - from > window_s / 8.0 || from < 2.0 * settled_s)
        })
    }
}

/// In words, what full runs of these parts run, of a try with so many hosts that are up.
pub(crate) fn told(parts: &[Part], up: usize) -> String {
    let cut = parts.iter().filter_map(|part| part.cut.as_ref());
    let length: f64 = cut.map(|(fleet, _)| fleet.length().as_secs_f64()).sum();
    if length > 0.0 {
        let hosts = if up > 1 { ", of the hosts that are worst by the fast model" } else { "" };
        format!("full runs of {} around the worst moments{hosts}", crate::clock::length(length))
    } else {
        "full runs".to_owned()
    }
}

/// Runs jobs of one part.
pub(crate) type RunPart<'a> = dyn FnMut(&Part, &[Job]) -> Result<Vec<HostOutcome>, SizingError> + 'a;

/// Runs jobs in all parts: the worst of them counts, at the time that it has in the whole.
pub(crate) fn run(
    whole: &Fleet,
    parts: &[Part],
    jobs: &[Job],
    run: &mut RunPart<'_>,
) -> Result<Vec<HostOutcome>, SizingError> {
    let whole_s = whole.length().as_secs_f64();
    let mut all: Vec<HostOutcome> = Vec::new();
    for part in parts {
        let mut outcomes = run(part, jobs)?;
        let fleet = part.fleet(whole);
        for (job, outcome) in jobs.iter().zip(&mut outcomes) {
            for (vm, seen) in job.vms.iter().zip(&mut outcome.vms) {
                // Nothing asks for it there.
                seen.started |= fleet.is_off(*vm);
            }
        }
        if let Some((fleet, _)) = &part.cut {
            for vm in outcomes.iter_mut().flat_map(|outcome| &mut outcome.vms) {
                vm.longest_at_s += part.from_s;
                vm.started_at_s += part.from_s;
                vm.most_lacking.1 += part.from_s;
                // The worst is in the parts, so that a share is of the whole time.
                vm.on_s *= whole_s / fleet.length().as_secs_f64().max(1.0);
            }
        }
        if all.is_empty() {
            all = outcomes;
        } else {
            all.iter_mut().zip(outcomes).for_each(|(before, now)| join(before, now));
        }
    }
    Ok(all)
}

/// What a host went through in two parts.
fn join(before: &mut HostOutcome, now: HostOutcome) {
    before.least_available_mb = before.least_available_mb.min(now.least_available_mb);
    before.slowest_start_s = before.slowest_start_s.max(now.slowest_start_s);
    before.ended_early |= now.ended_early;
    for (before, now) in before.vms.iter_mut().zip(now.vms) {
        let short = before.short_s + now.short_s;
        let refused = before.refused + now.refused;
        let started = before.started && now.started;
        if now.longest_s > before.longest_s {
            *before = now;
        }
        (before.short_s, before.refused, before.started) = (short, refused, started);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::hours_of_three_vms;
    use crate::measure::VmOutcome;
    use guest_memory_manager::trace::{Trace, VmTrace};
    use page_range::PageCount;
    use std::sync::Arc;

    /// A list of VMs beside a log tells the demand of a moment, which is played from the first to the last value of the log.
    #[test]
    fn a_vm_is_off_in_a_part_only_if_it_was_recorded_before_or_after_it_alone() {
        let mut fleet = hours_of_three_vms(3);
        let whole = fleet.plans[0].trace.clone().unwrap();
        let mut trace = Trace::default();
        for (name, vm) in whole.vms() {
            let kept = vm.samples().iter().enumerate().filter(|(place, sample)| match name {
                "A" => true,
                "B" => *place == 0 || sample.time == vm.length(),
                _ => sample.time < Duration::from_secs(600),
            });
            trace.insert(name, VmTrace::new(kept.map(|(_, sample)| *sample).collect()).unwrap());
        }
        fleet.plans[0].trace = Some(Arc::new(trace));
        let part = Part::around(&fleet, 6000.0, 1200.0).unwrap().unwrap();
        let cut = part.fleet(&fleet);
        assert_eq!([0, 1, 2].map(|vm| cut.is_off(vm)), [false, false, true]);
        assert_eq!(cut.curves[1].as_ref().unwrap().used_at(Duration::ZERO), PageCount::from_mib(1200));

        let job = Job::of(PageCount::from_mib(8192), vec![2, 1]);
        let seen = run(&fleet, &[Part::ALL, part], &[job], &mut |part, _| {
            let on = |started| VmOutcome { started, ..VmOutcome::default() };
            let vms = vec![on(part.cut.is_none()), on(true)];
            Ok(vec![HostOutcome { vms, ..HostOutcome::default() }])
        });
        assert!(seen.unwrap()[0].vms.iter().all(|vm| vm.started));
    }
}
