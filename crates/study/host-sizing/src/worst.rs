//! The worst of what VMs went through.

use std::collections::BTreeMap;

use crate::answer::Shortage;
use crate::fleet::Fleet;
use crate::measure::{HostOutcome, VmOutcome};

/// The worst of all seeds, by VM.
pub(crate) fn merged(outcomes: &[HostOutcome]) -> Vec<VmOutcome> {
    let mut worst: BTreeMap<usize, VmOutcome> = BTreeMap::new();
    for outcome in outcomes {
        for (vm, seen) in outcome.vms.iter().enumerate() {
            worse(&mut worst, vm, seen);
        }
    }
    worst.into_values().collect()
}

/// Keeps the worse of what a VM went through.
pub(crate) fn worse(seen: &mut BTreeMap<usize, VmOutcome>, vm: usize, now: &VmOutcome) {
    let rank = |outcome: &VmOutcome| (!outcome.started, outcome.refused, (outcome.longest_s * 1000.0) as u64);
    let entry = seen.entry(vm).or_insert_with(|| now.clone());
    if rank(now) > rank(entry) {
        *entry = now.clone();
    }
}

/// What a VM went through, as it is told.
pub(crate) fn shortage(fleet: &Fleet, vm: usize, seen: &VmOutcome) -> Shortage {
    Shortage {
        vm: fleet.vms[vm].name.clone(),
        started: seen.started,
        longest_s: seen.longest_s,
        at_s: seen.longest_at_s,
        share: seen.share(),
        refused: seen.refused,
        most_lacking_mb: seen.most_lacking.0,
        after_failure: seen.after_failure,
    }
}

/// All of it, the worst first.
pub(crate) fn shortages(fleet: &Fleet, seen: &BTreeMap<usize, VmOutcome>) -> Vec<Shortage> {
    let mut list: Vec<Shortage> = seen.iter().map(|(vm, seen)| shortage(fleet, *vm, seen)).collect();
    worst_first(&mut list);
    list
}

fn worst_first(shortages: &mut [Shortage]) {
    shortages.sort_by(|a, b| {
        let rank = |shortage: &Shortage| (shortage.started, core::cmp::Reverse(shortage.refused > 0));
        rank(a)
            .cmp(&rank(b))
            .then(b.longest_s.total_cmp(&a.longest_s))
            .then(b.share.total_cmp(&a.share))
            .then(a.vm.cmp(&b.vm))
    });
}
