//! Two runs side by side.
//!
//! [`read`] takes a run from its folder, [`compare`] says how two of them differ: in [what was set](settings), in the first event and the
//! [first decision](decisions) that are not the same, and in [what each VM had](sums). [`Difference::text`] is for people; a difference is
//! serialised for programs; [`curves`] are those of both runs over each other, for a page of charts. Nothing here runs anything.
#![forbid(unsafe_code)]

pub mod curves;
pub mod decisions;
mod folder;
pub mod settings;
pub mod sums;
mod tell;

use serde::Serialize;

pub use decisions::{FirstDecision, FirstEvent};
pub use folder::{ReadError, Run, read};
pub use settings::Setting;
pub use sums::{HostSums, VmSums};

/// A value of the first run and of the second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pair<T> {
    /// Of the first run.
    pub first: T,
    /// Of the second run.
    pub second: T,
}

impl<T> Pair<T> {
    /// Both values.
    pub fn new(first: T, second: T) -> Self {
        Self { first, second }
    }

    /// The same of both.
    pub fn map<U>(self, mut convert: impl FnMut(T) -> U) -> Pair<U> {
        Pair { first: convert(self.first), second: convert(self.second) }
    }

    /// References to both.
    pub fn as_ref(&self) -> Pair<&T> {
        Pair { first: &self.first, second: &self.second }
    }
}

impl<T: PartialEq> Pair<T> {
    /// Whether both runs have the same.
    pub fn is_same(&self) -> bool {
        self.first == self.second
    }
}

/// How two runs differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Folders of the runs.
    pub folders: Pair<String>,
    /// Commands that repeat the runs; `None` where a manifest is cut off.
    pub commands: Pair<Option<String>>,
    /// What cannot be compared, and why.
    pub missing: Vec<String>,
    /// Keys of the scenarios and of the runs that are not the same.
    pub settings: Vec<Setting>,
    /// Numbers of events.
    pub events: Pair<usize>,
    /// The first event that is not the same in both.
    pub first_event: Option<FirstEvent>,
    /// The first decision about a VM that is not the same in both.
    pub first_decision: Option<FirstDecision>,
    /// The host's sums; `None` without two summaries.
    pub host: Option<HostSums>,
    /// Sums of the VMs that differ.
    pub vms: Vec<VmSums>,
    /// VMs whose sums are the same in both.
    pub same_vms: usize,
}

impl Difference {
    /// Whether nothing differs in what happened and what came of it, as far as that can be compared.
    #[must_use]
    pub fn is_same_run(&self) -> bool {
        self.first_event.is_none()
            && self.events.is_same()
            && self.vms.is_empty()
            && self.host.as_ref().is_none_or(HostSums::is_same)
    }
}

/// Compares two runs.
#[must_use]
pub fn compare(runs: &Pair<Run>) -> Difference {
    let mut missing: Vec<String> = runs.first.missing.clone();
    missing.extend(runs.second.missing.iter().cloned());
    let summaries = match (&runs.first.summary, &runs.second.summary) {
        (Some(first), Some(second)) => Some(Pair::new(first, second)),
        _ => None,
    };
    let (vms, same_vms) = summaries.map_or_else(Default::default, sums::vms);
    Difference {
        folders: runs.as_ref().map(|run| run.directory.display().to_string()),
        commands: runs.as_ref().map(|run| run.manifest.as_ref().map(|manifest| manifest.command.clone())),
        settings: settings::differences(runs.as_ref(), &mut missing),
        events: runs.as_ref().map(|run| run.events.len()),
        first_event: decisions::first_event(runs.as_ref()),
        first_decision: decisions::first_decision(runs.as_ref()),
        host: summaries.map(sums::host),
        vms,
        same_vms,
        missing,
    }
}

#[cfg(test)]
mod tests;
