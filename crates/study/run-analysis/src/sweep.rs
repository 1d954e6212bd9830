//! What the parent OS does over a range of reserves, on hosts of several sizes, while the VMs want more memory than there is.
//!
//! Table 4-1 of \[A\] gives two points of one host. Runs over a range show what the model makes of the rest: where it is held by the two points,
//! and where it goes on beyond them.

use std::time::Duration;

use memory_balancer::BalancerConfig;
use page_range::PageCount;
use scenario::file::{self, BadScenario, LoadOptions, Scenario};
use scenario::run::statistics::{mean, median};
use scenario::run::{Point, RunError, phases};
use serde::{Deserialize, Serialize};

use crate::parallel;
use crate::verify::{Change, Observation, peak_of_averages, suite};

/// Memory of the hosts, GB. The source's has 32.
pub const HOSTS_GB: [u64; 5] = [16, 24, 32, 48, 64];

/// The reserves for the parent OS, MB. 1344 is what this model takes for 32 GB when `MemoryReserve` is unset, 2048 what the source set.
pub const RESERVES_MB: [u64; 18] =
    [0, 256, 512, 640, 768, 896, 1024, 1152, 1344, 1536, 1792, 2048, 2304, 2560, 2816, 3072, 3584, 4096];

/// The scenario of each run.
const SCENARIO: &str = include_str!("sweep/scenario.toml");

/// Memory of a VM, GB: a host has as many VMs as fit.
const VM_GB: u64 = 4;

/// In so many seconds all VMs but the last are started: 20 s for each on the source's host.
const STARTS_S: u64 = 140;

/// When the last VM is loaded.
const LOADED: Duration = Duration::from_secs(16 * 60);

/// What was seen over the range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// The seeds that the runs were made with.
    pub seeds: Vec<u64>,
    /// Every host.
    pub hosts: Vec<Host>,
}

/// A host over the range of reserves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Its memory, GB.
    pub memory_gb: u64,
    /// The reserve that this model takes when `MemoryReserve` is unset, MB.
    pub unset_mb: u64,
    /// What was seen at each reserve.
    pub seen: Vec<Seen>,
}

/// What was seen at one reserve while the VMs wanted more than there was: medians over the seeds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// The reserve, MB.
    pub reserve_mb: u64,
    /// The parent's page reads a second: largest average over the window of the check `page_reads_peak`.
    pub page_reads_peak: f64,
    /// Available Memory, mean, MB.
    pub available_mean_mb: f64,
    /// The parent's free memory, mean, MB.
    pub parent_free_mb: f64,
}

/// Why there is no sweep.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The scenario.
    #[error(transparent)]
    Scenario(#[from] BadScenario),
    /// A run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The load made no contention.
    #[error(
        "with a reserve of {reserve_mb} MB on a host of {memory_gb} GB the VMs did not run short of memory (seed {seed})"
    )]
    NoContention {
        /// The reserve, MB.
        reserve_mb: u64,
        /// Memory of the host, GB.
        memory_gb: u64,
        /// The seed.
        seed: u64,
    },
}

/// How many runs a sweep with so many seeds takes.
#[must_use]
pub const fn runs(seeds: usize) -> usize {
    HOSTS_GB.len() * RESERVES_MB.len() * seeds
}

/// The text of the scenario for a host with this reserve.
#[must_use]
pub fn scenario_text(memory_gb: u64, reserve_mb: u64) -> String {
    let last = memory_gb / VM_GB;
    let others = last - 1;
    let put = [
        ("@HOST@", memory_gb),
        ("@RESERVE@", reserve_mb),
        ("@LAST@", last),
        ("@OTHERS@", others),
        ("@EVERY@", STARTS_S / others),
    ];
    put.into_iter().fold(SCENARIO.to_owned(), |text, (name, value)| text.replace(name, &value.to_string()))
}

/// Runs the scenario on every host with every reserve and every seed, on so many threads.
///
/// # Errors
/// [`SweepError`].
pub fn sweep(seeds: &[u64], threads: usize) -> Result<Sweep, SweepError> {
    let jobs: Vec<(u64, u64, u64)> = HOSTS_GB
        .iter()
        .flat_map(|&host| RESERVES_MB.iter().map(move |&reserve| (host, reserve)))
        .flat_map(|(host, reserve)| seeds.iter().map(move |&seed| (host, reserve, seed)))
        .collect();
    let mut seen =
        parallel::all(&jobs, threads, |&(host, reserve, seed)| look(host, reserve, seed)).into_iter();
    let mut hosts = Vec::new();
    for memory_gb in HOSTS_GB {
        let mut over = Vec::new();
        for _ in RESERVES_MB {
            let of_seeds: Vec<Seen> = seen.by_ref().take(seeds.len()).collect::<Result<_, _>>()?;
            over.extend(middle(&of_seeds));
        }
        let unset_mb = BalancerConfig::default_reserve(PageCount::from_mib(memory_gb * 1024)).whole_mib();
        hosts.push(Host { memory_gb, unset_mb, seen: over });
    }
    Ok(Sweep { seeds: seeds.to_vec(), hosts })
}

/// One run.
fn look(memory_gb: u64, reserve_mb: u64, seed: u64) -> Result<Seen, SweepError> {
    let scenario: Scenario =
        file::parse("reserve-sweep.toml", scenario_text(memory_gb, reserve_mb), &LoadOptions::default())?;
    let mut nobody = |other: &str| {
        Err(RunError::Reference(other.to_owned(), "the scenario of a sweep refers to no other".to_owned()))
    };
    let run = suite::observe(&scenario, seed, Change::None, &mut nobody)?;
    let none = SweepError::NoContention { reserve_mb, memory_gb, seed };
    let Some((from, to)) = contention(&run) else { return Err(none) };
    let of = |of: fn(&Point) -> f64| mean(&run.points[from..=to].iter().map(of).collect::<Vec<_>>());
    let found = peak_of_averages(&run, from, to)
        .zip(of(|point| point.host.available.mib()))
        .zip(of(|point| point.host.parent_free_mib));
    let Some(((page_reads_peak, available_mean_mb), parent_free_mb)) = found else { return Err(none) };
    Ok(Seen { reserve_mb, page_reads_peak, available_mean_mb, parent_free_mb })
}

/// From when, once the last VM is loaded, the others have less than their maximum, to when the last has its most.
fn contention(run: &Observation) -> Option<(usize, usize)> {
    let (_, others) = run.vms.split_last()?;
    let wanted: PageCount = others.iter().map(|vm| vm.settings.maximum).sum();
    let newcomer = others.len();
    let loaded = run.points.partition_point(|point| point.time < LOADED);
    let had =
        |index: usize| -> PageCount { run.points[index].vms[..newcomer].iter().map(|vm| vm.physical).sum() };
    let from = (loaded..run.points.len()).find(|&index| wanted.saturating_sub(had(index)) > phases::LOSS)?;
    let to = (from..run.points.len()).max_by_key(|&index| {
        // Of several samples with as much, the first.
        (run.points[index].vms[newcomer].physical, std::cmp::Reverse(index))
    })?;
    (to > from).then_some((from, to))
}

/// The medians of several runs with one reserve.
fn middle(of_seeds: &[Seen]) -> Option<Seen> {
    let of = |of: fn(&Seen) -> f64| median(&of_seeds.iter().map(of).collect::<Vec<_>>());
    Some(Seen {
        reserve_mb: of_seeds.first()?.reserve_mb,
        page_reads_peak: of(|seen| seen.page_reads_peak)?,
        available_mean_mb: of(|seen| seen.available_mean_mb)?,
        parent_free_mb: of(|seen| seen.parent_free_mb)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At the two reserves of Table 4-1 the source's host shows what its own scenarios show, within the bounds of their checks.
    #[test]
    fn at_the_reserves_of_table_4_1_the_sweep_shows_the_table() {
        let unset = look(32, 1344, 1).unwrap();
        let set = look(32, 2048, 1).unwrap();
        assert!((unset.page_reads_peak - 64.1).abs() <= 0.25 * 64.1, "{unset:?}");
        assert!((set.page_reads_peak - 3.4).abs() <= 0.25 * 3.4, "{set:?}");
        assert!((unset.available_mean_mb - 108.0).abs() <= 0.25 * 108.0, "{unset:?}");
        assert!((set.available_mean_mb - 35.0).abs() <= 0.25 * 35.0, "{set:?}");
        assert!((400.0..=500.0).contains(&unset.parent_free_mb), "{unset:?}");
        assert!((750.0..=850.0).contains(&set.parent_free_mb), "{set:?}");
    }

    /// Without a reserve the disk is the limit, and with the largest the smallest host's last VM starts all the same.
    #[test]
    fn the_ends_of_the_range_are_physical() {
        let none = look(16, 0, 1).unwrap();
        assert!(none.page_reads_peak > 150.0 && none.page_reads_peak <= 190.0, "{none:?}");
        assert!((0.0..100.0).contains(&none.parent_free_mb), "{none:?}");
        let most = look(16, 4096, 1).unwrap();
        assert!(most.page_reads_peak < 1.0 && most.parent_free_mb > 1000.0, "{most:?}");
        assert!(most.available_mean_mb < none.available_mean_mb, "{most:?}, {none:?}");
    }

    #[test]
    fn every_scenario_can_be_read() {
        for host in HOSTS_GB {
            for reserve in RESERVES_MB {
                let text = scenario_text(host, reserve);
                assert!(!text.contains('@'), "{text}");
                let read = file::parse("sweep.toml", text, &LoadOptions::default()).unwrap();
                assert_eq!(read.vms.len() as u64, host / 4);
            }
        }
    }
}
