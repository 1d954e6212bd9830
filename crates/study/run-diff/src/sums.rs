//! What came of two runs: sums of the host and of each VM, from their summaries.

use serde::Serialize;
use serde_json::Value;

use crate::Pair;

/// Sums of the host. Sizes are MB.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HostSums {
    /// The least Available Memory.
    pub least_available_mb: Pair<Option<f64>>,
    /// Added Memory of the balancer.
    pub added_mb: Pair<Option<f64>>,
    /// Removed Memory of the balancer.
    pub removed_mb: Pair<Option<f64>>,
    /// Memory Add Operations and Memory Remove Operations.
    pub operations: Pair<Option<f64>>,
    /// Page-file reads of the parent OS.
    pub parent_page_reads: Pair<Option<f64>>,
}

impl HostSums {
    /// Whether all are the same.
    #[must_use]
    pub fn is_same(&self) -> bool {
        [self.least_available_mb, self.added_mb, self.removed_mb, self.operations, self.parent_page_reads]
            .iter()
            .all(Pair::is_same)
    }
}

/// Sums of a VM. Sizes are MB; `None` where the run has no such VM, or the VM never ran.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VmSums {
    /// Its name.
    pub name: String,
    /// The most Physical Memory.
    pub peak_mb: Pair<Option<f64>>,
    /// Physical Memory at the end.
    pub final_mb: Pair<Option<f64>>,
    /// Memory added.
    pub added_mb: Pair<Option<f64>>,
    /// Memory removed.
    pub removed_mb: Pair<Option<f64>>,
    /// The longest time without a break in which the VM lacked memory, seconds.
    pub longest_shortage_s: Pair<Option<f64>>,
    /// What the VM lacked, over time, MB·s.
    pub unmet_demand_mb_s: Pair<Option<f64>>,
}

impl VmSums {
    /// All sums, in the order of a table.
    #[must_use]
    pub fn all(&self) -> [Pair<Option<f64>>; 6] {
        [
            self.peak_mb,
            self.final_mb,
            self.added_mb,
            self.removed_mb,
            self.longest_shortage_s,
            self.unmet_demand_mb_s,
        ]
    }
}

fn number(value: Option<&Value>, path: &str) -> Option<f64> {
    value.and_then(|value| value.pointer(path)).and_then(Value::as_f64)
}

/// The host's sums.
pub(crate) fn host(summaries: Pair<&Value>) -> HostSums {
    let of = |path: &str| summaries.map(|summary| number(Some(summary), path));
    let operations = |summary: &Value| {
        let count = |name: &str| number(Some(summary), &format!("/host/memory_{name}_operations"));
        Some(count("add")? + count("remove")?)
    };
    HostSums {
        least_available_mb: of("/host/available_memory_mb/minimum"),
        added_mb: of("/host/added_memory_mb"),
        removed_mb: of("/host/removed_memory_mb"),
        operations: summaries.map(operations),
        parent_page_reads: of("/host/parent_page_reads"),
    }
}

/// Sums of the VMs that differ, in the order of the first run, and how many VMs do not differ.
pub(crate) fn vms(summaries: Pair<&Value>) -> (Vec<VmSums>, usize) {
    let lists =
        summaries.map(|summary| summary.get("vms").and_then(Value::as_array).map_or(&[][..], Vec::as_slice));
    let name = |vm: &Value| vm.get("name").and_then(Value::as_str).map(str::to_owned);
    let mut names: Vec<String> = lists.first.iter().filter_map(name).collect();
    names.extend(
        lists
            .second
            .iter()
            .filter_map(name)
            .filter(|name| !lists.first.iter().any(|vm| vm["name"] == **name)),
    );
    let all = names.len();
    let differing: Vec<VmSums> = names
        .into_iter()
        .map(|name| {
            let found = lists.map(|vms| vms.iter().find(|vm| vm["name"] == *name));
            let of = |path: &str| found.map(|vm| number(vm, path));
            VmSums {
                peak_mb: of("/physical_memory_mb/maximum"),
                final_mb: of("/physical_memory_mb/last"),
                added_mb: of("/added_memory_mb"),
                removed_mb: of("/removed_memory_mb"),
                longest_shortage_s: of("/longest_shortage_s"),
                unmet_demand_mb_s: of("/unmet_demand_mb_s"),
                name,
            }
        })
        .filter(|vm| vm.all().iter().any(|sum| !sum.is_same()))
        .collect();
    let same = all - differing.len();
    (differing, same)
}
