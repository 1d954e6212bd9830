//! The phases ①–⑥ of Figure 4-4 of \[A\]: one VM is loaded and unloaded. Found in the counters, not in the timeline.
//!
//! * ① the VM idles at its startup RAM;
//! * ② its load rises: from the first step of the load until it is at its highest;
//! * ③ its load falls;
//! * ④ idle, the VM keeps what it has;
//! * ⑤ from the first fall of Physical Memory until it has been at rest for 30 s;
//! * ⑥ idle.

use std::time::Duration;

use page_range::PageCount;
use serde::Serialize;

use super::Point;

/// How far an idle guest's commit may move without being load: more than its services do by themselves, less than a step
/// of a load.
const IDLE: PageCount = PageCount::from_mib(16);
/// How far below its peak the guest's commit is when its load has fallen.
const FALL: PageCount = PageCount::from_mib(64);
/// Physical Memory is at rest when no sample for so long differs by a move from the one before. Every few minutes the parent
/// asks once more for what the guest would not give, and may get a little.
const REST: Duration = Duration::from_secs(30);
/// The least that the balancer moves.
const MOVE: PageCount = PageCount::from_mib(4);
/// How long before the first grant the load's first step can be.
const REACTION: Duration = Duration::from_secs(60);

/// Where each phase begins: places in the list of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cycle {
    /// ①: the first sample of the running guest.
    pub idle: usize,
    /// ②: the last sample before the load's first step.
    pub rises: usize,
    /// ③: the last sample of the full load.
    pub falls: usize,
    /// ④: the first sample after the load.
    pub unloaded: usize,
    /// ⑤: the last sample before Physical Memory falls.
    pub reclaims: usize,
    /// ⑥: the first sample of Physical Memory at rest.
    pub reclaimed: usize,
    /// The last sample.
    pub end: usize,
}

impl Cycle {
    /// Finds the phases of the VM at place `vm`.
    ///
    /// # Errors
    /// Which phase does not come.
    pub fn find(points: &[Point], vm: usize) -> Result<Self, &'static str> {
        let of = |index: usize| &points[index].vms[vm];
        let time = |index: usize| points[index].time;
        let commit = |index: usize| of(index).guest_commit;
        let physical = |index: usize| of(index).physical;
        let end = points.len().checked_sub(1).ok_or("there are no samples")?;
        let idle = (0..=end)
            .find(|&index| of(index).guest_available.is_some() && !physical(index).is_zero())
            .ok_or("the VM never ran")?;
        let grown =
            (idle..=end).find(|&index| physical(index) > physical(idle)).ok_or("the VM never grew")?;
        let window = (idle..grown).rev().take_while(|&index| time(grown) - time(index) <= REACTION);
        let quiet = window.clone().map(commit).min().unwrap_or_default() + IDLE;
        let rises = window.clone().find(|&index| commit(index) <= quiet).unwrap_or(idle);

        let mut peak = PageCount::ZERO;
        let below = (grown..=end)
            .find(|&index| {
                peak = peak.max(commit(index));
                peak.saturating_sub(commit(index)) > FALL
            })
            .ok_or("the load never falls")?;
        let falls = (grown..below)
            .rev()
            .find(|&index| peak.saturating_sub(commit(index)) <= IDLE)
            .ok_or("the load never falls")?;
        let lowest = (falls..=end).map(commit).min().unwrap_or_default() + IDLE;
        let unloaded = (falls..=end).find(|&index| commit(index) <= lowest).ok_or("the load never falls")?;

        let held = physical(falls);
        let fallen = (falls..=end).find(|&index| physical(index) < held).ok_or("nothing is taken back")?;
        let mut since = fallen;
        let reclaimed = (fallen..=end)
            .find_map(|index| {
                if physical(index).max(physical(index - 1)) - physical(index).min(physical(index - 1)) >= MOVE
                {
                    since = index;
                }
                (time(index) - time(since) >= REST).then_some(since)
            })
            .ok_or("memory is still being taken back when the run ends")?;
        Ok(Self { idle, rises, falls, unloaded, reclaims: fallen - 1, reclaimed, end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::points::VmPoint;

    fn points(samples: &[(u64, u64)]) -> Vec<Point> {
        let mib = PageCount::from_mib;
        samples
            .iter()
            .enumerate()
            .map(|(index, &(physical, commit))| Point {
                time: Duration::from_secs(10 * index as u64),
                vms: vec![VmPoint {
                    running: physical > 0,
                    physical: mib(physical),
                    guest_commit: mib(commit),
                    guest_available: (physical > 0).then(|| mib(physical.saturating_sub(commit))),
                    ..VmPoint::default()
                }],
                ..Point::default()
            })
            .collect()
    }

    #[test]
    fn the_phases_are_told_by_the_counters() {
        let samples = [
            (0, 0),
            (512, 410),
            (512, 414),
            (512, 440),
            (600, 500),
            (800, 700),
            (800, 702),
            (800, 600),
            (800, 410),
            (800, 412),
            (700, 412),
            (512, 412),
            (512, 410),
            (512, 411),
            (512, 411),
        ];
        let cycle = Cycle::find(&points(&samples), 0).unwrap();
        assert_eq!(
            cycle,
            Cycle { idle: 1, rises: 2, falls: 6, unloaded: 8, reclaims: 9, reclaimed: 11, end: 14 }
        );
    }

    #[test]
    fn what_does_not_come_is_named() {
        assert_eq!(Cycle::find(&[], 0), Err("there are no samples"));
        assert_eq!(Cycle::find(&points(&[(0, 0)]), 0), Err("the VM never ran"));
        assert_eq!(Cycle::find(&points(&[(512, 400); 5]), 0), Err("the VM never grew"));
        let kept = [(512, 400), (800, 700), (800, 400), (800, 400)];
        assert_eq!(Cycle::find(&points(&kept), 0), Err("nothing is taken back"));
    }
}
