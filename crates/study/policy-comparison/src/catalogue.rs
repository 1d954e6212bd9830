//! What is measured: names, units, and which way is better.

use serde::Serialize;

/// Which way a measure is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Less is better.
    Lower,
    /// More is better.
    Higher,
}

/// What a measure is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// How well VMs are served. A policy that serves less is worse off.
    Service,
    /// What serving costs. A policy that serves less may well pay less, so that being better here counts for nothing without
    /// being as good in service.
    Cost,
}

/// A measure.
#[derive(Debug, Serialize)]
pub struct Measure {
    /// Its key in files.
    pub key: &'static str,
    /// Its name in tables and figures.
    pub title: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Which way is better.
    pub better: Better,
    /// What it is, exactly.
    pub meaning: &'static str,
    /// What it is of.
    pub kind: Kind,
    /// What is added to both sides of a ratio of two values, in the measure's unit, so that a ratio of next to nothing to nothing
    /// is near 1. Invented: amounts that nobody would notice.
    pub shift: f64,
    /// Digits after the point in tables.
    #[serde(skip)]
    pub(crate) digits: usize,
}

/// Memory that a VM must lack at once for it to be a step, MiB. Invented.
pub(crate) const STEP_MIB: f64 = 64.0;
/// Within how many seconds. Invented.
pub(crate) const STEP_SECONDS: u64 = 5;
/// For how many seconds after a step was met its overshoot is looked for. Invented.
pub(crate) const OVERSHOOT_SECONDS: u64 = 60;
/// Points of pressure by which a VM of higher weight must be worse off for an inversion. Invented.
pub(crate) const INVERSION_MARGIN: f64 = 5.0;

macro_rules! measures {
    ($($id:ident, $key:literal, $title:literal, $unit:literal, $better:ident, $kind:ident, $digits:literal, $shift:literal, $meaning:literal;)*) => {
        /// Number of a measure in [`MEASURES`] and in the values of a run.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum MeasureId {
            $(#[doc = $meaning] $id,)*
        }

        /// All measures, in the order in which they are shown.
        pub const MEASURES: &[Measure] = &[$(Measure {
            key: $key, title: $title, unit: $unit, better: Better::$better, kind: Kind::$kind, digits: $digits, shift: $shift, meaning: $meaning,
        },)*];
    };
}

measures! {
    Slowdown, "slowdown", "slowdown, mean", "×", Lower, Service, 3, 0.0,
        "Progress of the applications in a well-provisioned run over their progress in this one; geometric mean over the VMs that ran. Progress is the share of the time in which a VM was asked for in which its application got on: not while the VM had no memory yet, not while the application waited for pages, and only in part with a part of the memory that it wanted. The well-provisioned run has the same load and seed, and a host on which every VM has its maximum from the start.";
    WorstSlowdown, "slowdown_worst", "slowdown, worst VM", "×", Lower, Service, 2, 0.0,
        "The same for the VM that was slowed down most.";
    Unmet, "unmet_demand", "unmet demand", "MB·s", Lower, Service, 0, 1000.0,
        "What VMs needed beyond the memory they had, over time, all VMs together. Need: of a recorded load what was recorded, from the moment in which the VM is asked for, whether it runs or not; else what its guest's applications would have committed had nothing been refused and none waited. The sum of the next three.";
    UnmetCommitted, "unmet_committed", "of it committed", "MB·s", Lower, Service, 0, 1000.0,
        "Of unmet demand, what guests had committed, or were about to.";
    UnmetRefused, "unmet_refused", "of it refused", "MB·s", Lower, Service, 0, 1000.0,
        "Of unmet demand, what guests refused their applications, or these did not ask for because they waited or had been refused before.";
    UnmetWaiting, "unmet_waiting", "of it waiting to run", "MB·s", Lower, Service, 0, 1000.0,
        "Of unmet demand, what recorded loads needed before their VM had memory and its guest played them.";
    Waiting, "waiting", "waiting for a start", "VM·s", Lower, Service, 0, 10.0,
        "Time in which a VM was asked for and had no memory, all VMs together.";
    Above100, "time_above_100", "time above 100", "VM·s", Lower, Service, 0, 10.0,
        "Time in which a VM needed more than it had, all VMs together.";
    PageIns, "page_ins", "guest page-ins", "MB", Lower, Cost, 0, 100.0,
        "What guests read from their page files.";
    Refused, "refused_allocations", "refused allocations", "", Lower, Cost, 0, 10.0,
        "Allocations that guests refused because memory and page file were exhausted. An application that gives up is refused once, one that tries again is refused often: how much was refused is in unmet demand.";
    Started, "started", "VMs started", "%", Higher, Service, 1, 0.0,
        "Requests to start a VM that gave it its memory before the next request or the end of the run.";
    StartDelay, "start_delay", "start delay", "s", Lower, Service, 1, 1.0,
        "From such a request to the memory, mean, to the sample (1 s). 0: at once.";
    Reaction, "reaction", "reaction time, mean", "s", Lower, Service, 1, 1.0,
        "Mean time from a step in a VM's need (64 MB within 5 s) until 90 % of what it then lacked was there; 0 if nothing was lacking. A step that was never met counts with the time the need lasted.";
    SlowReaction, "reaction_p90", "reaction time, 90th percentile", "s", Lower, Service, 1, 1.0,
        "The same, the 90th percentile.";
    Overshoot, "overshoot", "overshoot", "%", Lower, Cost, 1, 1.0,
        "After steps that lacked something and were met: by how much the VM at most had more than need and buffer within 60 s, in percent of these; mean, 0 without such steps.";
    Oscillation, "oscillation", "oscillation", "1/VM·h", Lower, Cost, 2, 0.1,
        "How often a VM's memory turned from growing to shrinking or back, per VM and hour.";
    Moved, "moved", "memory moved", "MB/h", Lower, Cost, 0, 100.0,
        "Memory added to and removed from running VMs, all together.";
    Operations, "operations", "operations", "1/h", Lower, Cost, 0, 10.0,
        "Add and remove operations, all VMs together.";
    Fairness, "fairness", "fairness (Jain)", "", Higher, Service, 4, 0.0,
        "Jain's index of the VMs' satisfaction, mean over time with at least two VMs that run or wait to start. Satisfaction: what a VM has over need and buffer, at most 1; what it lacks counts the more the higher its weight (half at 0, once at 5000, one and a half times at 10000), and one that waits to start lacks all.";
    Inversions, "inversions", "weight inversions", "VM·s", Lower, Service, 0, 10.0,
        "Time in which a VM lacked memory while one of lower weight was at least 5 points of pressure better off and above its minimum, all VMs together.";
    Spread, "spread_of_equals", "spread among equals", "points", Lower, Service, 1, 1.0,
        "Of VMs of one weight, by how many points of pressure the worst off, if it lacks memory, is above the best off that is above its minimum; the largest of all weights, mean over time.";
}

impl Measure {
    /// The least and the most that it can be.
    pub(crate) fn ends(&self) -> (f64, f64) {
        match (self.unit, self.key) {
            ("×", _) => (1.0, f64::INFINITY),
            (_, "started") => (0.0, 100.0),
            (_, "fairness") => (0.0, 1.0),
            _ => (0.0, f64::INFINITY),
        }
    }
}

impl Measure {
    /// The ratio of a value to another one, both shifted; `None` if there is none.
    pub(crate) fn ratio(&self, own: f64, first: f64) -> Option<f64> {
        let ratio = (own + self.shift) / (first + self.shift);
        (ratio.is_finite() && ratio > 0.0).then_some(ratio)
    }
}

/// How many there are.
pub(crate) const COUNT: usize = MEASURES.len();

/// What was measured in one run; `None`: there was nothing to measure.
pub type Values = [Option<f64>; COUNT];

impl MeasureId {
    /// Its place in [`MEASURES`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Its description.
    #[must_use]
    pub const fn measure(self) -> &'static Measure {
        &MEASURES[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn keys_are_distinct_and_ids_are_places() {
        let keys: BTreeSet<_> = MEASURES.iter().map(|measure| measure.key).collect();
        assert_eq!(keys.len(), COUNT);
        assert_eq!(MeasureId::Unmet.measure().key, "unmet_demand");
        assert_eq!(MeasureId::Spread.index(), COUNT - 1);
    }
}
