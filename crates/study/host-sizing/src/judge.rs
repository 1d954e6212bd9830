//! Whether the risk is kept by what hosts went through.

use std::collections::BTreeMap;

use page_range::PageCount;

use crate::allowed::Promises;
use crate::ample::CONFIRMED;
use crate::answer::{Evaluated, Failover, Shortage};
use crate::fleet::Fleet;
use crate::job::{Engine, Job};
use crate::measure::{HostOutcome, Series, VmOutcome};
use crate::worst::{shortages, worse};

/// Hosts that were tried.
#[derive(Clone, Copy)]
pub(crate) struct Tried {
    pub(crate) hosts: u32,
    pub(crate) memory: PageCount,
    pub(crate) engine: Engine,
    /// When a host fails in the middle, and how many VMs are on it.
    pub(crate) fails: (f64, usize),
}

/// What a try came to.
pub(crate) struct Judged {
    pub(crate) evaluated: Evaluated,
    /// All that is short, the worst first.
    pub(crate) shortages: Vec<Shortage>,
    /// Where the risk is not kept, the worst first.
    pub(crate) violations: Vec<Shortage>,
    pub(crate) least_available_mb: f64,
    /// Hosts that are worst by the fast model: places in the jobs of the try.
    pub(crate) worst_hosts: Vec<usize>,
    /// Of the host that had the least left.
    pub(crate) series: Series,
    pub(crate) failover: Option<Failover>,
}

/// Judges a try by what its runs showed.
pub(crate) fn judge(fleet: &Fleet, promises: &Promises, tried: Tried, seen: &[(Job, HostOutcome)]) -> Judged {
    let mut worst: BTreeMap<usize, VmOutcome> = BTreeMap::new();
    // Of VMs that restart in the middle, which are short on any host: held against that, and told apart.
    let mut restarted: BTreeMap<usize, VmOutcome> = BTreeMap::new();
    let mut broken: BTreeMap<usize, VmOutcome> = BTreeMap::new();
    let mut refused = 0;
    for (job, outcome) in seen {
        for (place, (vm, seen)) in job.vms.iter().zip(&outcome.vms).enumerate() {
            let restarts = job.arrive.contains(&place);
            let allowed = if restarts {
                promises.restarted[*vm]
            } else {
                refused = refused.max(seen.refused);
                promises.of(tried.engine)[*vm]
            };
            // How often a guest refuses memory while it boots into the middle of its load is a matter of moments: of one that restarts,
            // how long it is short counts.
            let often = !restarts && (seen.share() > allowed.share || seen.refused > allowed.refused);
            if !seen.started || seen.longest_s > allowed.longest_s || often {
                worse(&mut broken, *vm, seen);
            }
            if restarts && seen.started {
                worse(&mut restarted, *vm, seen);
            } else if !seen.started || seen.short_s > 0.0 || seen.refused > 0 {
                worse(&mut worst, *vm, seen);
            }
        }
    }
    let with_vms = || seen.iter().filter(|(job, _)| !job.vms.is_empty()).map(|(_, outcome)| outcome);
    let tightest = with_vms().min_by(|a, b| a.least_available_mb.total_cmp(&b.least_available_mb));
    Judged {
        evaluated: Evaluated {
            hosts: tried.hosts,
            memory_mb: tried.memory.mib(),
            engine: tried.engine,
            kept: broken.is_empty(),
            longest_s: worst.values().map(|seen| seen.longest_s).fold(0.0, f64::max),
            share: worst.values().map(VmOutcome::share).fold(0.0, f64::max),
            refused,
            not_started: worst.values().filter(|seen| !seen.started).count(),
            vms_broken: broken.len(),
            ended_early: seen.iter().any(|(_, outcome)| outcome.ended_early),
        },
        shortages: shortages(fleet, &worst),
        violations: shortages(fleet, &broken),
        least_available_mb: tightest.map_or(0.0, |outcome| outcome.least_available_mb),
        worst_hosts: if tried.engine == Engine::Fast { worst_hosts(seen) } else { Vec::new() },
        series: tightest.map(|outcome| outcome.series.clone()).unwrap_or_default(),
        failover: failover(fleet, tried, seen, &restarted),
    }
}

/// Places of the hosts on which VMs are worst off.
fn worst_hosts(seen: &[(Job, HostOutcome)]) -> Vec<usize> {
    let rank = |outcome: &HostOutcome| {
        let worst = outcome.vms.iter().map(|vm| vm.longest_s).fold(0.0, f64::max);
        let off = outcome.vms.iter().filter(|vm| !vm.started).count();
        (off, worst, -outcome.least_available_mb)
    };
    let mut places: Vec<usize> = (0..seen.len()).filter(|place| !seen[*place].0.vms.is_empty()).collect();
    places.sort_by(|a, b| {
        let (a, b) = (rank(&seen[*a].1), rank(&seen[*b].1));
        b.0.cmp(&a.0).then(b.1.total_cmp(&a.1)).then(b.2.total_cmp(&a.2))
    });
    places.truncate(CONFIRMED);
    places
}

/// What came of the failure of a host, if one has failed.
fn failover(
    fleet: &Fleet,
    tried: Tried,
    seen: &[(Job, HostOutcome)],
    restarted: &BTreeMap<usize, VmOutcome>,
) -> Option<Failover> {
    let failed: Vec<&(Job, HostOutcome)> = seen.iter().filter(|(job, _)| !job.arrive.is_empty()).collect();
    let off = |(job, outcome): &&(Job, HostOutcome)| {
        let arrived = job.arrive.iter().filter_map(|place| outcome.vms.get(*place));
        arrived.filter(|vm| !vm.started).count()
    };
    (!failed.is_empty()).then(|| Failover {
        at_s: tried.fails.0,
        restarted: tried.fails.1,
        not_started: failed.iter().map(off).max().unwrap_or(0),
        slowest_start_s: failed.iter().map(|(_, outcome)| outcome.slowest_start_s).fold(0.0, f64::max),
        worst: shortages(fleet, restarted).into_iter().find(|shortage| shortage.longest_s > 0.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allowed::Allowed;
    use crate::fleet::an_hour_of_three_vms;

    /// On a host with memory for all, a guest that boots into the middle of its load has allocations refused as well: how many is a matter of
    /// moments. If they counted, no host would ever be large enough.
    #[test]
    fn what_guests_refuse_while_they_boot_after_a_failure_breaks_no_promise() {
        let fleet = an_hour_of_three_vms();
        let held = vec![Allowed { longest_s: 30.0, share: 0.001, refused: 0 }; 3];
        let restarted = vec![Allowed { longest_s: 90.0, share: 0.01, refused: 2 }; 3];
        let promises = Promises { fast: held.clone(), full: held, restarted };
        let tried =
            Tried { hosts: 2, memory: PageCount::from_mib(8192), engine: Engine::Full, fails: (1800.0, 1) };
        let of = |change: fn(&mut [VmOutcome])| {
            let mut vms = vec![VmOutcome { started: true, on_s: 3600.0, ..VmOutcome::default() }; 3];
            vms[2] = VmOutcome {
                longest_s: 85.0,
                short_s: 85.0,
                refused: 40,
                after_failure: true,
                ..vms[2].clone()
            };
            change(&mut vms);
            let job = Job { hopeless_s: 300.0, arrive: vec![2], ..Job::of(tried.memory, vec![0, 1, 2]) };
            judge(&fleet, &promises, tried, &[(job, HostOutcome { vms, ..HostOutcome::default() })])
        };
        let as_anywhere = of(|_| ());
        assert!(as_anywhere.evaluated.kept, "{:?}", as_anywhere.violations);
        assert_eq!(as_anywhere.evaluated.refused, 0);
        let worst = as_anywhere.failover.unwrap().worst.unwrap();
        assert_eq!((worst.vm.as_str(), worst.longest_s), ("C", 85.0));
        // What counts: how long it is short, whether it comes back at all, and those that were there before.
        for change in [
            (|vms| vms[2].longest_s = 91.0) as fn(&mut [VmOutcome]),
            |vms| vms[2].started = false,
            |vms| vms[0].refused = 1,
            |vms| vms[1].longest_s = 31.0,
            |vms| vms[1].short_s = 4.0,
        ] {
            assert!(!of(change).evaluated.kept);
        }
    }
}
