//! The phases ①–④ of Figure 4-5 of \[A\], found in the counters.
//!
//! One VM is the *newcomer*: the last that was started, after all others. The phases are told by what the memory does, not by
//! what the scenario's timeline says:
//!
//! * ① begins when the newcomer has its startup RAM (mapped, not only promised);
//! * ② when its Physical Memory first exceeds its startup RAM;
//! * ③ when the others have first lost more than 8 MB in all, against what they had when ② began. This is a phase only if the
//!   host has little left when the phase begins and nothing left at some time of it, and the newcomer goes on growing: a policy that
//!   takes memory from VMs while the host has plenty shows no contention. Nor are there phases where one of the others grew in ① or ②:
//!   then the newcomer is not who needs the memory, but one of many;
//! * ④ when the newcomer has fallen 64 MB below its peak, and so has what its guest has committed: the newcomer has less
//!   because it needs less, not because it is squeezed. The phase lasts until the others have what they had, or to the
//!   end.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::points::Point;
use page_range::PageCount;

/// When the phases began, seconds of virtual time; and what was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phases {
    /// Name of the VM that came last.
    pub newcomer: String,
    /// ①: the newcomer is idle, the others are loaded.
    pub idle_s: f64,
    /// ②: the newcomer grows from what the host still has.
    pub grows_s: f64,
    /// ③: the others lose memory to the newcomer.
    pub contention_s: f64,
    /// ④: the newcomer's load falls.
    pub falls_s: f64,
    /// The others have their memory back.
    pub restored_s: Option<f64>,
    /// How much the newcomer had grown when the others first lost memory, MB.
    pub undisturbed_growth_mb: f64,
}

/// What the others may lose in all before it counts.
pub const LOSS: PageCount = PageCount::from_mib(8);
/// How far below its peak the newcomer is when its load has fallen.
const FALL: PageCount = PageCount::from_mib(64);
/// Available Memory below which the host has nothing left. Invented: what the balancer would not move by itself.
const NOTHING_LEFT: PageCount = PageCount::from_mib(32);
/// Available Memory up to which the host has little left: some moves of a balancer. Invented; where the source measured contention,
/// 108 MB were available on average (Table 4-1 of \[A\]).
const LITTLE_LEFT: PageCount = PageCount::from_mib(256);
/// How long before and after the others first lose memory the host must have little left: rounds of a balancer. Invented.
const AROUND: Duration = Duration::from_secs(15);
/// How much another VM may have grown from the begin of ① to that of ③: a VM at its maximum may come back to it. Invented.
const CALM: PageCount = PageCount::from_mib(64);
/// How near to what they had the others must come: a VM moves only for 4 MB or more.
const NEAR: PageCount = PageCount::from_mib(4);

/// The index of the newcomer: the VM that got its memory last, if all others had theirs before, and more than one runs.
pub(crate) fn newcomer(points: &[Point]) -> Option<usize> {
    let vms = points.first()?.vms.len();
    let started = |vm: usize| points.iter().position(|point| !point.vms[vm].physical.is_zero());
    let mut starts: Vec<(usize, usize)> = (0..vms).filter_map(|vm| Some((started(vm)?, vm))).collect();
    starts.sort_unstable();
    let [.., (before, _), (last, vm)] = starts[..] else { return None };
    (last > before).then_some(vm)
}

/// Finds the phases; `None` where there is no newcomer, or a phase does not come.
#[must_use]
pub fn find(points: &[Point], names: &[String]) -> Option<Phases> {
    find_with(points, names, LOSS)
}

/// As [`find`], with another loss of the others at which ③ begins.
#[must_use]
pub fn find_with(points: &[Point], names: &[String], loss: PageCount) -> Option<Phases> {
    let vm = newcomer(points)?;
    let seconds = |index: usize| points[index].time.as_secs_f64();
    let physical = |index: usize| points[index].vms[vm].physical;
    let others = |index: usize| -> PageCount {
        let all: PageCount = points[index].vms.iter().map(|vm| vm.physical).sum();
        all - physical(index)
    };
    let idle = points.iter().position(|point| !point.vms[vm].physical.is_zero())?;
    let startup = physical(idle);
    let grows = (idle..points.len()).find(|&index| physical(index) > startup)?;
    let had = others(grows);
    let contention = (grows..points.len()).find(|&index| had.saturating_sub(others(index)) > loss)?;
    let grown = |now: usize, other: usize| {
        points[now].vms[other].physical.saturating_sub(points[idle].vms[other].physical)
    };
    let calm = (idle..=contention)
        .all(|now| (0..points[now].vms.len()).all(|other| other == vm || grown(now, other) <= CALM));
    if !calm {
        return None;
    }
    let (mut peak, mut committed) = (PageCount::ZERO, PageCount::ZERO);
    let falls = (contention..points.len()).find(|&index| {
        let now = &points[index].vms[vm];
        peak = peak.max(now.physical);
        committed = committed.max(now.guest_commit);
        let needs_less = now.guest_available.is_none() || committed.saturating_sub(now.guest_commit) > FALL;
        needs_less && peak.saturating_sub(now.physical) > FALL
    })?;
    let lowest = points[contention..=falls].iter().map(|point| point.host.available).min()?;
    let then = points[contention].time;
    let around = points.iter().filter(|point| point.time.abs_diff(then) <= AROUND);
    let left = around.map(|point| point.host.available).min()?;
    if left > LITTLE_LEFT || lowest > NOTHING_LEFT || peak <= physical(contention) {
        return None;
    }
    let restored = (falls..points.len()).find(|&index| {
        points[index]
            .vms
            .iter()
            .zip(&points[grows].vms)
            .enumerate()
            .all(|(other, (now, then))| other == vm || then.physical.saturating_sub(now.physical) <= NEAR)
    });
    Some(Phases {
        newcomer: names.get(vm)?.clone(),
        idle_s: seconds(idle),
        grows_s: seconds(grows),
        contention_s: seconds(contention),
        falls_s: seconds(falls),
        restored_s: restored.map(seconds),
        undisturbed_growth_mb: physical(contention).saturating_sub(startup).mib(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::points::VmPoint;

    fn points(newcomer: &[u64], other: &[u64]) -> Vec<Point> {
        newcomer
            .iter()
            .zip(other)
            .enumerate()
            .map(|(second, (&newcomer, &other))| Point {
                time: Duration::from_secs(second as u64),
                vms: [other, newcomer]
                    .map(|mb| VmPoint {
                        running: mb > 0,
                        physical: PageCount::from_mib(mb),
                        ..VmPoint::default()
                    })
                    .to_vec(),
                ..Point::default()
            })
            .collect()
    }

    fn names() -> Vec<String> {
        vec!["VM7".to_owned(), "VM8".to_owned()]
    }

    #[test]
    fn the_phases_are_told_by_the_memory() {
        let run = points(
            &[0, 0, 512, 512, 700, 900, 1200, 1500, 1400, 1000],
            &[128, 4096, 4096, 4096, 4096, 4090, 3800, 3500, 3800, 4094],
        );
        let phases = find(&run, &names()).unwrap();
        assert_eq!(phases.newcomer, "VM8");
        assert_eq!(
            (phases.idle_s, phases.grows_s, phases.contention_s, phases.falls_s),
            (2.0, 4.0, 6.0, 8.0)
        );
        assert_eq!((phases.restored_s, phases.undisturbed_growth_mb), (Some(9.0), 688.0));
    }

    #[test]
    fn a_run_without_contention_has_no_phases() {
        // Others lose memory while the host has plenty: a policy's way, and no contention.
        let mut plenty = points(&[0, 512, 900, 1200, 1300, 1100], &[128, 4096, 4096, 4000, 3900, 3900]);
        assert!(find(&plenty, &names()).is_some());
        for point in &mut plenty {
            point.host.available = PageCount::from_mib(1476);
        }
        assert_eq!(find(&plenty, &names()), None);
        // The others lose what they do not need while the host has plenty, and much later the host has nothing left.
        let mut later: Vec<Point> = plenty.clone();
        for (index, point) in later.iter_mut().enumerate() {
            point.time = Duration::from_secs(60 * index as u64);
            point.host.available = PageCount::from_mib(if index < 4 { 1476 } else { 0 });
        }
        assert_eq!(find(&later, &names()), None);
        // The newcomer loses memory though its guest needs as much as before.
        let mut squeezed = points(&[0, 512, 900, 1200, 1300, 1100], &[128, 4096, 4096, 4000, 3900, 3900]);
        for point in &mut squeezed {
            point.vms[1].guest_available = Some(PageCount::ZERO);
            point.vms[1].guest_commit = PageCount::from_mib(1200);
        }
        assert_eq!(find(&squeezed, &names()), None);
        squeezed[5].vms[1].guest_commit = PageCount::from_mib(500);
        assert_eq!(find(&squeezed, &names()).map(|phases| phases.falls_s), Some(5.0));
        // Of many VMs that grow the last to start is not the one to whom the others lose memory.
        let mut fleet = points(&[0, 512, 900, 1200, 1300, 1100], &[512, 512, 1500, 1400, 1300, 1300]);
        assert_eq!(find(&fleet, &names()), None);
        for point in &mut fleet {
            point.vms[0].physical = point.vms[0].physical.max(PageCount::from_mib(1440));
        }
        assert!(find(&fleet, &names()).is_some());
        let calm = points(&[0, 512, 600, 512], &[4096, 4096, 4096, 4096]);
        assert_eq!(find(&calm, &names()), None);
        let together = points(&[512, 900, 1500, 1400], &[4096, 4096, 3500, 4096]);
        assert_eq!(find(&together, &names()), None);
        assert_eq!(find(&[], &[]), None);
    }
}
