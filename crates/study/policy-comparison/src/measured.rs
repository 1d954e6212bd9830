//! What was measured, before it is judged.

use std::sync::Arc;

use super::catalogue::Values;
use super::collector::{Collector, Progress, Series, Which};
use super::regret::SeedRegret;
use super::timed::Timing;

/// What was measured, by load, seed and contestant.
pub(crate) struct Measured {
    pub(crate) values: Vec<Vec<Vec<Values>>>,
    /// Each held against the first contestant's run with the same seed, by load, seed and contestant.
    pub(crate) pairs: Vec<Vec<Vec<Pair>>>,
    /// Of the first seed, by load and contestant.
    pub(crate) series: Vec<Vec<Series>>,
    /// By load and seed, if regret was asked for.
    pub(crate) regrets: Vec<Vec<SeedRegret>>,
    /// By load: the VMs whose need nobody can know in advance.
    pub(crate) not_known: Vec<Vec<String>>,
    /// Rounds that were lost, by contestant.
    pub(crate) lost_rounds: Vec<u64>,
    /// By contestant, as far as this machine has run them.
    pub(crate) timings: Vec<Arc<Timing>>,
}

/// Two runs of one load and seed, on the VMs that both policies served as often.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) own: Values,
    pub(crate) first: Values,
    /// VMs that either of the two served at all.
    pub(crate) vms: usize,
    /// Of those, the VMs that both served as often: what is compared.
    pub(crate) both: usize,
    /// VMs that the policy served less often than the first one.
    pub(crate) fewer: usize,
    /// VMs that it served more often.
    pub(crate) more: usize,
    /// Steps in need that were seen, and with the first policy.
    pub(crate) steps: (usize, usize),
}

impl Pair {
    pub(crate) fn of(own: &Collector, first: &Collector, provisioned: &Progress) -> Self {
        let (served, of_first) = (own.served(), first.served());
        let pairs = || served.iter().zip(&of_first);
        let both: Vec<bool> = pairs().map(|(own, first)| own == first && *own > 0).collect();
        let count = |what: fn(&(&u32, &u32)) -> bool| pairs().filter(what).count();
        // Of VMs that neither served nothing is left out: what they lacked, both left.
        let same = count(|(own, first)| own != first) == 0;
        let which = if same { Which::All } else { Which::These(&both) };
        Self {
            own: own.values(provisioned, which),
            first: first.values(provisioned, which),
            vms: count(|(own, first)| **own > 0 || **first > 0),
            both: both.iter().filter(|both| **both).count(),
            fewer: count(|(own, first)| own < first),
            more: count(|(own, first)| own > first),
            steps: (own.steps(which), first.steps(which)),
        }
    }
}
