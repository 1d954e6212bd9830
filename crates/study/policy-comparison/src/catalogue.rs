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

/// How the values of several loads become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pool {
    /// Their mean.
    Mean,
    /// Their geometric mean: of ratios.
    Geometric,
    /// Their largest.
    Worst,
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
    /// Digits after the point in tables.
    #[serde(skip)]
    pub(crate) digits: usize,
    #[serde(skip)]
    pub(crate) pool: Pool,
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
    ($($id:ident, $key:literal, $title:literal, $unit:literal, $better:ident, $digits:literal, $pool:ident, $meaning:literal;)*) => {
        /// Number of a measure in [`MEASURES`] and in the values of a run.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum MeasureId {
            $(#[doc = $meaning] $id,)*
        }

        /// All measures, in the order in which they are shown.
        pub const MEASURES: &[Measure] = &[$(Measure {
            key: $key, title: $title, unit: $unit, better: Better::$better, digits: $digits, pool: Pool::$pool, meaning: $meaning,
        },)*];
    };
}

measures! {
    Slowdown, "slowdown", "slowdown, mean", "×", Lower, 3, Geometric,
        "Progress of the applications in a well-provisioned run over their progress in this one; geometric mean over the VMs that ran. Progress is the share of its running time in which a guest's application did not wait for pages. The well-provisioned run has the same load and seed, and a host on which every VM has its maximum from the start.";
    WorstSlowdown, "slowdown_worst", "slowdown, worst VM", "×", Lower, 2, Worst,
        "The same for the VM that was slowed down most.";
    Unmet, "unmet_demand", "unmet demand", "MB·s", Lower, 0, Mean,
        "What guests had committed, or had refused applications that still wanted it, beyond the memory they had, over time, all VMs together. The guest's own commit at that moment, not its last report.";
    Above100, "time_above_100", "time above 100", "VM·s", Lower, 0, Mean,
        "Time in which a VM had committed more than it had, all VMs together.";
    PageIns, "page_ins", "guest page-ins", "MB", Lower, 0, Mean,
        "What guests read from their page files.";
    Refused, "refused_allocations", "refused allocations", "", Lower, 0, Mean,
        "Allocations that guests refused because memory and page file were exhausted.";
    Started, "started", "VMs started", "%", Higher, 1, Mean,
        "Requests to start a VM that gave it its memory before the next request or the end of the run.";
    StartDelay, "start_delay", "start delay", "s", Lower, 1, Mean,
        "From such a request to the memory, mean, to the sample (1 s). 0: at once.";
    Reaction, "reaction", "reaction time, mean", "s", Lower, 1, Mean,
        "Mean time from a step in a guest's commit (64 MB within 5 s) until 90 % of what it then lacked was there; 0 if nothing was lacking. A step that was never met counts with the time the need lasted.";
    SlowReaction, "reaction_p90", "reaction time, 90th percentile", "s", Lower, 1, Mean,
        "The same, the 90th percentile.";
    Overshoot, "overshoot", "overshoot", "%", Lower, 1, Mean,
        "After steps that lacked something and were met: by how much the VM at most had more than need and buffer within 60 s, in percent of these; mean, 0 without such steps.";
    Oscillation, "oscillation", "oscillation", "1/VM·h", Lower, 2, Mean,
        "How often a VM's memory turned from growing to shrinking or back, per VM and hour.";
    Moved, "moved", "memory moved", "MB/h", Lower, 0, Mean,
        "Memory added to and removed from running VMs, all together.";
    Operations, "operations", "operations", "1/h", Lower, 0, Mean,
        "Add and remove operations, all VMs together.";
    Fairness, "fairness", "fairness (Jain)", "", Higher, 4, Mean,
        "Jain's index of the VMs' satisfaction, mean over time with at least two VMs. Satisfaction: what a VM has over need and buffer, at most 1; what it lacks counts the more the higher its weight (half at 0, once at 5000, one and a half times at 10000).";
    Inversions, "inversions", "weight inversions", "s", Lower, 0, Mean,
        "Time in which a VM lacked memory while one of lower weight was at least 5 points of pressure better off and above its minimum.";
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
        assert_eq!(MeasureId::Inversions.index(), COUNT - 1);
    }
}
