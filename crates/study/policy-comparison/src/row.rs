//! What one run comes to: the row of a point.
//!
//! A row has what was seen of the run. What it means is computed when all rows are there, because many measures hold a run against others. A row is
//! what its text says: a comparison on one machine reads its rows from their texts as well, so that there is nothing that a file on another machine could
//! lose.

use serde::{Deserialize, Serialize};

use scenario::file::Scenario;

use super::bound::{Fluid, FrontPoint};
use super::collector::Collector;

/// What one run comes to. It depends on load, policy, seed and version, and on nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    /// What was seen of it.
    pub(crate) collector: Collector,
    /// Beside a well-provisioned run, if regret is asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) best: Option<Best>,
    /// Rounds that the policy lost because it panicked.
    pub(crate) lost_rounds: u64,
}

/// What the best could be on a load with a seed. It depends on no policy that is compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Best {
    /// The load in the fluid model, of which the front is computed where rows are collected: that may take a solver, and a row may not depend on
    /// how the program that ran it was built.
    pub(crate) fluid: Fluid,
    /// What is unmet at least, whatever is moved, MB·s.
    pub(crate) bound_mb_s: f64,
    /// What was seen of the policy that is told the future.
    pub(crate) clairvoyant: Collector,
}

impl Best {
    /// The front between what is unmet and what is moved, most moved first.
    pub(crate) fn front(&self) -> Vec<FrontPoint> {
        self.fluid.front(self.clairvoyant.memory().mib())
    }

    /// The VMs whose need depends on what they are given.
    pub(crate) fn not_known(&self, load: &Scenario) -> Vec<String> {
        let vms = self.fluid.vms.iter().zip(&load.vms);
        vms.filter(|(vm, _)| !vm.known).map(|(_, vm)| vm.name.clone()).collect()
    }
}

impl Row {
    /// Its text: one line of JSON.
    pub(crate) fn text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// A row of its text, and whether it is of a run with so many VMs.
    pub(crate) fn read(text: &str, vms: usize) -> Result<Self, String> {
        let row: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let best = row.best.iter().flat_map(|best| [best.fluid.vms.len(), best.clairvoyant.served().len()]);
        match best.chain([row.collector.served().len()]).find(|found| *found != vms) {
            None => Ok(row),
            Some(found) => Err(format!("it is of a run of {found} VMs, and its load has {vms}")),
        }
    }
}
