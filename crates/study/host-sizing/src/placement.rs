//! Which VM is on which host.

use crate::fleet::Fleet;

/// Ways to place VMs. Clusters place by what VMs have or demand at the time, so an answer must not depend on one placement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The largest peaks first, each to the host with the least so far.
    Peaks,
    /// The same by what VMs demand on average.
    Means,
    /// In turn, by name.
    InTurn,
}

pub(crate) const WAYS: [Way; 3] = [Way::Peaks, Way::Means, Way::InTurn];

/// Places all VMs on so many hosts.
pub(crate) fn place(fleet: &Fleet, figures: &[(f64, f64)], hosts: usize, way: Way) -> Vec<Vec<usize>> {
    let hosts = hosts.max(1);
    let mut placed = vec![Vec::new(); hosts];
    let mut order: Vec<usize> = (0..fleet.vms.len()).collect();
    let weight = |vm: usize| {
        let (mean, peak) = figures.get(vm).copied().unwrap_or_default();
        if way == Way::Means { mean } else { peak }
    };
    if way == Way::InTurn {
        for vm in order {
            placed[vm % hosts].push(vm);
        }
        return placed;
    }
    order.sort_by(|a, b| weight(*b).total_cmp(&weight(*a)).then(a.cmp(b)));
    let mut load = vec![0.0_f64; hosts];
    for vm in order {
        let least = (0..hosts).min_by(|a, b| load[*a].total_cmp(&load[*b])).unwrap_or(0);
        load[least] += weight(vm);
        placed[least].push(vm);
    }
    placed.iter_mut().for_each(|vms| vms.sort_unstable());
    placed
}

/// A host fails that one more of them was up with: the one with the largest peaks. Returns the VMs of each that is left, and the places in it
/// of those that restart there: each, the largest first, on the host with the least so far.
pub(crate) fn after_failure(
    fleet: &Fleet,
    figures: &[(f64, f64)],
    left: usize,
) -> Vec<(Vec<usize>, Vec<usize>)> {
    let peak = |vm: &usize| figures.get(*vm).map_or(0.0, |(_, peak)| *peak);
    let load = |vms: &[usize]| vms.iter().map(peak).sum::<f64>();
    let mut placed = place(fleet, figures, left.max(1) + 1, Way::Peaks);
    let fails = (0..placed.len()).max_by(|a, b| load(&placed[*a]).total_cmp(&load(&placed[*b]))).unwrap_or(0);
    let mut failed = placed.swap_remove(fails);
    failed.sort_by(|a, b| peak(b).total_cmp(&peak(a)).then(a.cmp(b)));
    let mut arriving = vec![Vec::new(); placed.len()];
    for vm in failed {
        let with = |host: usize| load(&placed[host]) + load(&arriving[host]);
        let least = (0..placed.len()).min_by(|a, b| with(*a).total_cmp(&with(*b))).unwrap_or(0);
        arriving[least].push(vm);
    }
    let joined = placed.into_iter().zip(arriving).map(|(own, arriving)| {
        let mut vms: Vec<usize> = own.iter().chain(&arriving).copied().collect();
        vms.sort_unstable();
        let arrive = arriving.iter().filter_map(|vm| vms.binary_search(vm).ok()).collect();
        (vms, arrive)
    });
    joined.collect()
}
