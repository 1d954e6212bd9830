//! What nobody could do better than: a host whose memory flows.
//!
//! In the fluid model memory moves at once, in any amount, and guests give whatever they do not need. It keeps what no policy can
//! change: what the host has, overhead and minimum of every VM from the moment in which it is asked for, and every VM's
//! maximum. So what is unmet in it is a lower bound for whoever starts every VM when it is asked for. With what may be
//! moved limited as well, the bound is a linear programme (behind the feature `bound`); memory is averaged over slots of time,
//! which makes neither more unmet nor more moved.

use std::time::Duration;

use scenario::run::future::not_known;
use scenario::run::plan::Plan;
use scenario::run::points::Point;
use scenario::run::{Need, Needs};
use serde::{Deserialize, Serialize};

#[cfg(feature = "bound")]
mod programme;

/// Averages of a load are of this many VMs times slots at most: what the linear programme can be asked for in seconds.
const CELLS: usize = 6000;
/// Slots of a load at least and at most.
const SLOTS: (usize, usize) = (24, 120);

/// A point of the front: with so much moved no less can be unmet.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FrontPoint {
    /// What is moved, MB per hour.
    pub moved_mb_per_h: f64,
    /// What is unmet, MB·s.
    pub unmet_mb_s: f64,
    /// What a megabyte moved is worth here, in MB·s: the steepness of the front. The line through the point with that steepness lies
    /// below all that can be.
    pub price_s: f64,
}

/// A VM in the fluid model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FluidVm {
    /// Whether its need is known in advance.
    pub(crate) known: bool,
    pub(crate) startup: f64,
    pub(crate) minimum: f64,
    pub(crate) maximum: f64,
    /// By slot: its mean need, MB, and for which part of the slot it is asked for.
    pub(crate) slots: Vec<(f64, f64)>,
}

/// One moment of all VMs.
#[derive(Clone, Copy, Debug)]
struct Moment {
    /// Until the next, seconds.
    lasts: f64,
    /// What all need within their bounds, MB.
    needed: f64,
    /// What they need beyond their maximum.
    beyond: f64,
    /// How many are asked for.
    asked: usize,
}

/// A load in the fluid model: what its front is computed from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fluid {
    pub(crate) vms: Vec<FluidVm>,
    /// Seconds.
    pub(crate) slot: f64,
    pub(crate) overhead: f64,
}

/// Collects a load in the fluid model from the well-provisioned run.
#[derive(Clone, Debug)]
pub(crate) struct FluidRun {
    pub(crate) fluid: Fluid,
    needs: Needs,
    moments: Vec<Moment>,
    last: Option<Duration>,
}

impl FluidRun {
    pub(crate) fn new(plan: &Plan) -> Self {
        let not_known = not_known(plan);
        let count = (CELLS / plan.vms.len().max(1)).clamp(SLOTS.0, SLOTS.1);
        let vm = |(index, vm): (usize, &scenario::run::plan::PlannedVm)| FluidVm {
            known: !not_known.contains(&index),
            startup: vm.settings.startup.mib(),
            minimum: vm.settings.minimum.mib(),
            maximum: vm.settings.maximum.mib(),
            slots: vec![(0.0, 0.0); count],
        };
        let fluid = Fluid {
            vms: plan.vms.iter().enumerate().map(vm).collect(),
            slot: plan.until.as_secs_f64() / count as f64,
            overhead: plan.host.balancer.overhead_per_vm.mib(),
        };
        Self { fluid, needs: Needs::of(plan), moments: Vec::new(), last: None }
    }

    /// One sample of the well-provisioned run.
    pub(crate) fn observe(&mut self, point: &Point) {
        let before = self.last.replace(point.time);
        let lasts = before.map_or(0.0, |before| point.time.saturating_sub(before).as_secs_f64());
        let length = self.fluid.slot;
        let slot = (before.unwrap_or_default().as_secs_f64() / length) as usize;
        let mut moment = Moment { lasts, needed: 0.0, beyond: 0.0, asked: 0 };
        for (index, (vm, now)) in self.fluid.vms.iter_mut().zip(&point.vms).enumerate() {
            let need = self.needs.at(index, point.time, now);
            if !(need.is_any() || now.running) {
                continue;
            }
            let need = vm.need(&need);
            moment.asked += 1;
            moment.needed += need.clamp(vm.minimum, vm.maximum);
            moment.beyond += (need - vm.maximum).max(0.0);
            let last = vm.slots.len().saturating_sub(1);
            if let Some((mean, asked)) = vm.slots.get_mut(slot.min(last)) {
                *mean += need * lasts / length;
                *asked += lasts / length;
            }
        }
        self.moments.push(moment);
    }

    /// What is unmet at least on a host that has so much for VMs and their overhead, whatever is moved, MB·s.
    pub(crate) fn least(&self, memory: f64) -> f64 {
        let lacks = |moment: &Moment| {
            let capacity = memory - self.fluid.overhead * moment.asked as f64;
            (moment.beyond + (moment.needed - capacity).max(0.0)) * moment.lasts
        };
        self.moments.iter().map(lacks).sum()
    }
}

#[cfg(not(feature = "bound"))]
impl Fluid {
    /// The front between what is unmet and what is moved, most moved first; none without the feature `bound`.
    pub(crate) fn front(&self, _memory: f64) -> Vec<FrontPoint> {
        Vec::new()
    }
}

impl FluidVm {
    /// What of a need counts: of one that nobody can know, nothing.
    fn need(&self, need: &Need) -> f64 {
        if self.known { need.wanted.mib() } else { 0.0 }
    }
}

/// The least that is unmet with so much moved, by a front and what is unmet at least whatever is moved. `hours`: how long the run is.
pub(crate) fn least_at(front: &[FrontPoint], least: f64, moved_mb_per_h: f64, hours: f64) -> f64 {
    let line = |point: &FrontPoint| {
        point.unmet_mb_s - point.price_s * (moved_mb_per_h - point.moved_mb_per_h) * hours
    };
    front.iter().map(line).fold(least, f64::max)
}

/// The least that is unmet by what is moved, MB per hour, as a curve: from nothing to where more moved is of no more use. The points of a
/// front are met, and between them it is the highest of the lines through them, so that nothing can be below it.
pub(crate) fn least_by_moved(front: &[FrontPoint], least: f64, hours: f64) -> Vec<(f64, f64)> {
    /// Points of the curve: dense where the axis is logarithmic.
    const POINTS: i32 = 160;
    let most = front.iter().map(|point| point.moved_mb_per_h).fold(0.0, f64::max);
    if most <= 0.0 {
        return Vec::new();
    }
    let step = libm::log10(1.0 + most) / f64::from(POINTS);
    let even = (0..=POINTS).map(|at| libm::pow(10.0, step * f64::from(at)) - 1.0);
    let mut moved: Vec<f64> = even.chain(front.iter().map(|point| point.moved_mb_per_h)).collect();
    moved.sort_by(f64::total_cmp);
    moved.into_iter().map(|moved| (moved, least_at(front, least, moved, hours))).collect()
}

#[cfg(test)]
mod tests;
