//! Where an event is shown: in which process, on which track.

use std::collections::BTreeMap;
use std::sync::Arc;

use run_journal::Record;

/// Components of the parent partition. What they record about a VM stays with them.
const PARENT: [&str; 5] = ["memory-balancer", "vmms", "operator", "sampler", "run"];

/// Name of the parent's process.
pub(crate) const PARENT_NAME: &str = "parent partition";

/// The process of an event: that of a VM, or the parent's.
pub(crate) fn process_of(record: &Record) -> Option<&Arc<str>> {
    record.vm.as_ref().filter(|_| !PARENT.contains(&&*record.component))
}

/// The processes and their tracks, numbered in a fixed order: the parent first, then the VMs, tracks by name.
#[derive(Debug)]
pub(crate) struct Processes {
    /// The VMs; the process number of the first is 2.
    pub(crate) vms: Vec<Arc<str>>,
    /// Component tracks: process number and component, to the number of the track in the whole trace, from 1.
    pub(crate) components: BTreeMap<(u32, Arc<str>), u32>,
    numbers: BTreeMap<Arc<str>, u32>,
}

/// Process number of the parent.
pub(crate) const PARENT_PROCESS: u32 = 1;

impl Processes {
    /// Those of these events. `known` are the VMs in the order of the run; others follow by name.
    pub(crate) fn new(records: &[Record], known: &[Arc<str>]) -> Self {
        let mut vms = known.to_vec();
        let mut others: Vec<Arc<str>> = records.iter().filter_map(process_of).cloned().collect();
        others.sort();
        others.dedup();
        vms.extend(others.into_iter().filter(|vm| !known.contains(vm)));
        let numbers: BTreeMap<_, _> = vms.iter().cloned().zip(PARENT_PROCESS + 1..).collect();
        let mut this = Self { vms, components: BTreeMap::new(), numbers };
        for record in records {
            this.components.insert((this.number(process_of(record)), Arc::clone(&record.component)), 0);
        }
        for (track, number) in this.components.values_mut().zip(1..) {
            *track = number;
        }
        this
    }

    /// Number of the process of a VM, or of the parent.
    pub(crate) fn number(&self, vm: Option<&Arc<str>>) -> u32 {
        vm.and_then(|vm| self.numbers.get(vm)).copied().unwrap_or(PARENT_PROCESS)
    }

    /// Process and track of an event.
    pub(crate) fn track(&self, record: &Record) -> (u32, u32) {
        let process = self.number(process_of(record));
        let track = self.components.get(&(process, Arc::clone(&record.component))).copied();
        (process, track.unwrap_or(0))
    }

    /// Number and name of each process.
    pub(crate) fn names(&self) -> impl Iterator<Item = (u32, &str)> {
        let vms = self.vms.iter().zip(PARENT_PROCESS + 1..).map(|(vm, number)| (number, &**vm));
        std::iter::once((PARENT_PROCESS, PARENT_NAME)).chain(vms)
    }
}
