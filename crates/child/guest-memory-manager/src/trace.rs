//! Recorded loads: reading them strictly, cutting a window out of them, and generating small ones.
//!
//! Two formats are read. The first has one row per VM and moment, in the columns `vm,t,mem_provisioned_kb,mem_used_kb,
//! cpu_pct` (t in seconds). The second is that of the Grid Workloads Archive's traces GWA-T-12 (Bitbrains) and GWA-T-13 (Materna,
//! with quoted fields, decimal commas and dates), one file per VM, columns separated by `;`. Both say what a hypervisor saw in
//! use, every five minutes; bursts within five minutes are not in them. In both, `t` may be a date with a time of day instead,
//! columns may come in any order with others among them, and the separator may be `,`, `;` or a tab.

mod columns;
mod error;
mod generate;
mod reader;
mod remarks;
mod row;
mod window;

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use page_range::PageCount;
use serde::Serialize;

pub use error::{MOST_PROBLEMS, ProblemKind, TraceError, TraceErrors, TraceProblem};
pub use generate::{GeneratorConfig, generate};
pub use reader::{Gaps, ReadOptions};
pub use remarks::TraceRemarks;
pub use window::{BadWindow, TraceWindow};

/// One row: what a VM had and used at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// Time since the start of the trace.
    pub time: Duration,
    /// Memory the VM had.
    pub provisioned: PageCount,
    /// Memory it used.
    pub used: PageCount,
    /// Processor use, percent.
    pub cpu: f64,
}

/// The recording of one VM: at least one sample, in order of time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VmTrace {
    samples: Vec<Sample>,
}

impl VmTrace {
    /// A recording from its samples; `None` if there are none, or if their times do not increase.
    #[must_use]
    pub fn new(samples: Vec<Sample>) -> Option<Self> {
        let sorted = samples.windows(2).all(|pair| pair[0].time < pair[1].time);
        (sorted && !samples.is_empty()).then_some(Self { samples })
    }

    /// The samples, in order of time.
    #[must_use]
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// The largest amount of memory that the VM had: a choice for its maximum.
    #[must_use]
    pub fn provisioned(&self) -> PageCount {
        self.samples.iter().map(|sample| sample.provisioned).max().unwrap_or_default()
    }

    /// Time of the last sample.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.samples.last().map_or(Duration::ZERO, |sample| sample.time)
    }

    /// Memory in use at a time: on the straight line between the samples around it; before the first and after the last
    /// sample, theirs.
    #[must_use]
    pub fn used_at(&self, time: Duration) -> PageCount {
        let after = self.samples.partition_point(|sample| sample.time <= time);
        match (after.checked_sub(1).and_then(|at| self.samples.get(at)), self.samples.get(after)) {
            (Some(before), Some(next)) => {
                let progress = (time - before.time).as_secs_f64() / (next.time - before.time).as_secs_f64();
                let (a, b) = (before.used.get() as f64, next.used.get() as f64);
                PageCount((a + (b - a) * progress) as u64)
            }
            (Some(only), None) | (None, Some(only)) => only.used,
            (None, None) => PageCount::ZERO,
        }
    }
}

/// The recordings of several VMs over the same time.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Trace {
    vms: BTreeMap<VmName, Arc<VmTrace>>,
    #[serde(skip)]
    remarks: TraceRemarks,
}

/// Name of a VM in a trace. Numbers sort as numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct VmName(Option<u64>, String);

impl VmName {
    fn new(name: &str) -> Self {
        // "7" and "07" stay apart by their text.
        Self(name.parse().ok(), name.to_owned())
    }
}

impl Trace {
    /// The recording of a VM.
    #[must_use]
    pub fn vm(&self, name: &str) -> Option<&Arc<VmTrace>> {
        self.vms.get(&VmName::new(name))
    }

    /// All recordings with their VM's name; names that are numbers in the order of the numbers.
    pub fn vms(&self) -> impl Iterator<Item = (&str, &Arc<VmTrace>)> {
        self.vms.iter().map(|(name, vm)| (name.1.as_str(), vm))
    }

    /// How many VMs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.vms.len()
    }

    /// Whether there is no VM.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.vms.is_empty()
    }

    /// The longest recording's length.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.vms.values().map(|vm| vm.length()).max().unwrap_or_default()
    }

    /// Add a VM. Returns the recording that had its name before.
    pub fn insert(&mut self, name: &str, recording: VmTrace) -> Option<Arc<VmTrace>> {
        self.vms.insert(VmName::new(name), Arc::new(recording))
    }

    /// What of the trace lies in the window, its beginning becoming time 0. VMs without a sample in it are left out.
    #[must_use]
    pub fn window(&self, window: TraceWindow) -> Self {
        let cut = |vm: &VmTrace| {
            let inside = vm.samples.iter().filter(|sample| window.contains(sample.time));
            let moved = inside.map(|sample| Sample { time: sample.time - window.from(), ..*sample });
            VmTrace::new(moved.collect())
        };
        let vms = self.vms.iter().filter_map(|(name, vm)| Some((name.clone(), Arc::new(cut(vm)?))));
        Self { vms: vms.collect(), remarks: self.remarks.clone() }
    }

    /// A part of the trace to be played for itself: what lies in the window, and at its ends what the straight line between the
    /// samples around them says. So a VM with samples before and after the window is in it, even if it has none inside.
    #[must_use]
    pub fn part(&self, window: TraceWindow) -> Self {
        let cut = |vm: &VmTrace| {
            // Nothing where the recording begins or ends inside.
            let edge = |time: Duration| {
                let after = vm.samples.partition_point(|sample| sample.time < time);
                let before = vm.samples.get(after.checked_sub(1)?)?;
                vm.samples.get(after)?;
                Some(Sample { time, used: vm.used_at(time), ..*before })
            };
            let inside = || vm.samples.iter().filter(|sample| window.contains(sample.time)).copied();
            let begins_there = inside().next().is_some_and(|sample| sample.time == window.from());
            let first = if begins_there { None } else { edge(window.from()) };
            let whole = first.into_iter().chain(inside()).chain(edge(window.to()));
            let moved = whole.map(|sample| Sample { time: sample.time - window.from(), ..sample });
            VmTrace::new(moved.collect())
        };
        let vms = self.vms.iter().filter_map(|(name, vm)| Some((name.clone(), Arc::new(cut(vm)?))));
        Self { vms: vms.collect(), remarks: self.remarks.clone() }
    }

    /// The trace with every row so much later.
    #[must_use]
    pub fn delayed(mut self, by: Duration) -> Self {
        if !by.is_zero() {
            for vm in self.vms.values_mut() {
                for sample in &mut Arc::make_mut(vm).samples {
                    sample.time = sample.time.saturating_add(by);
                }
            }
        }
        self
    }

    /// What was done to make the trace of its files.
    #[must_use]
    pub fn remarks(&self) -> &TraceRemarks {
        &self.remarks
    }

    /// Count times from the earliest row of all.
    fn start_at_zero(&mut self) {
        let first = self.vms.values().filter_map(|vm| vm.samples().first()).map(|sample| sample.time).min();
        let Some(first) = first.filter(|first| !first.is_zero()) else { return };
        for vm in self.vms.values_mut() {
            for sample in &mut Arc::make_mut(vm).samples {
                sample.time -= first;
            }
        }
    }
}

#[cfg(test)]
mod tests;
