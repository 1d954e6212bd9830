//! What one run comes to: the row of a point.
//!
//! A row has what was seen of the run. What it means is computed when all rows are there, because many measures hold a run against others. A row is
//! what its text says: a comparison on one machine reads its rows from their texts as well, so that there is nothing that a file on another machine could
//! lose.

use serde::{Deserialize, Serialize};

use super::collector::Collector;

/// What one run comes to. It depends on load, policy, seed and version, and on nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    /// What was seen of it.
    pub(crate) collector: Collector,
    /// Rounds that the policy lost because it panicked.
    pub(crate) lost_rounds: u64,
}

impl Row {
    /// Its text: one line of JSON.
    pub(crate) fn text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// A row of its text, and whether it is of a run with so many VMs.
    pub(crate) fn read(text: &str, vms: usize) -> Result<Self, String> {
        let row: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        match row.collector.served().len() {
            found if found == vms => Ok(row),
            found => Err(format!("it is of a run of {found} VMs, and its load has {vms}")),
        }
    }
}
