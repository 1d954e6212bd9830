//! A host to run.

use page_range::PageCount;
use serde::Serialize;

/// What a host is simulated with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// The whole stack: guests, drivers, rings, workers, balancer.
    Full,
    /// The policy on demand curves: no guests and rings.
    Fast,
}

/// A host to run.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) memory: PageCount,
    pub(crate) vms: Vec<usize>,
    pub(crate) seed: usize,
    /// Keep what VMs without a recording demanded. Full runs alone know it.
    pub(crate) keep_demand: bool,
    /// A VM that is short for longer than this ends the run.
    pub(crate) hopeless_s: f64,
    /// Places in `vms` of those that were on another host, which fails at the worst moment of the load: they restart here. Full runs alone
    /// know this.
    pub(crate) arrive: Vec<usize>,
}

impl Job {
    /// VMs on a host with the first seed, to the end.
    #[cfg(test)]
    pub(crate) fn of(memory: PageCount, vms: Vec<usize>) -> Self {
        Self { memory, vms, seed: 0, keep_demand: false, hopeless_s: f64::INFINITY, arrive: Vec::new() }
    }
}
