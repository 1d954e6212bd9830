//! Policies on the same loads with the same seeds, measured and compared.
//!
//! Every policy runs every load with every seed; what differs between two policies in one seed is the policies' doing, so
//! differences are taken seed by seed (paired) against the first policy. [`MEASURES`] says what is measured. All runs are on the
//! inline driver in virtual time: the results are the same on any machine and with any number of threads. [`points`] makes of a comparison what many
//! machines can share.
//!
//! ```no_run
//! use policy_comparison::{Contestant, Look, Settings, loads};
//!
//! # #[derive(Default)] struct MyPolicy;
//! # impl balancing_policy::Policy for MyPolicy {
//! #     fn name(&self) -> &str { "mine" }
//! #     fn uses_priority(&self) -> bool { false }
//! #     fn round(&mut self, _: &balancing_policy::HostView<'_>, _: &[balancing_policy::VmView], _: &mut balancing_policy::Proposal) {}
//! # }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut contestants = vec![Contestant::own(MyPolicy::default)];
//! contestants.extend(Contestant::all());
//! let loads = loads::built_in().map(loads::find).collect::<Result<_, _>>()?;
//! let comparison = policy_comparison::compare(&Settings::new(contestants, loads), &mut |_| ())?;
//! println!("{}", comparison.table(Look::default()));
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod bound;
mod catalogue;
mod collector;
mod contestant;
mod jobs;
pub mod loads;
mod measured;
mod page;
mod plans;
pub mod points;
mod regret;
mod result;
mod row;
mod statistics;
mod steps;
mod table;
mod timed;
mod won;

pub use bound::FrontPoint;
pub use catalogue::{Better, Kind, MEASURES, Measure, MeasureId, Values};
pub use collector::Series;
pub use contestant::Contestant;
pub use jobs::Advance;
pub use regret::{Mark, PolicyRegret, Regret};
pub use result::{
    CONFIDENCE, Cell, Compared, Comparison, Judgement, LoadResult, PolicyCost, SCHEMA, WithoutKeyInput,
};
pub use statistics::{Interval, confidence};
pub use table::Rows;
pub use terminal_text::Look;
pub use timed::is_in_policy_round;
pub use won::Won;

use std::time::Duration;

use scenario::file::Scenario;
use scenario::run::{Choices, RunError};

/// Seeds of a comparison unless others are given.
pub const SEEDS: u64 = 10;

/// What is compared, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The policies; differences are to the first.
    pub contestants: Vec<Contestant>,
    /// The loads.
    pub loads: Vec<Scenario>,
    /// The seeds; every policy runs every load with each.
    pub seeds: Vec<u64>,
    /// Threads to run on.
    pub threads: usize,
    /// End of the runs, in place of the loads' own. Seed and policy in it have no meaning. Every second is sampled, whatever a
    /// load's own interval is, unless it says otherwise: measures are of what happened, not of what was recorded of it.
    pub choices: Choices,
    /// Whether each load is also run by a policy that is told its future, to say how much could still be gained; see [`Regret`].
    pub regret: bool,
    /// A policy that is longer in one round than this, in real time, ends the comparison: nothing in a program can end an endless
    /// loop of its own. (One that takes more than a few seconds and comes back loses the round.)
    pub patience: Duration,
}

/// Patience unless something else is said. Invented.
const PATIENCE: Duration = Duration::from_secs(60);

impl Settings {
    /// These policies on these loads, with ten seeds, on all processors.
    #[must_use]
    pub fn new(contestants: Vec<Contestant>, loads: Vec<Scenario>) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let choices = Choices { sample_interval: Some(Duration::from_secs(1)), ..Choices::default() };
        Self {
            contestants,
            loads,
            seeds: (1..=SEEDS).collect(),
            threads,
            choices,
            regret: true,
            patience: PATIENCE,
        }
    }
}

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// Nothing to compare.
    #[error("a comparison needs at least one {0}")]
    Nothing(&'static str),
    /// Two of the same name.
    #[error("{0:?} is named twice")]
    Twice(String),
    /// A run could not be made.
    #[error("load {load:?}, seed {seed}, policy {policy:?}: {error}")]
    Run {
        /// The load.
        load: String,
        /// The seed.
        seed: u64,
        /// The policy.
        policy: String,
        /// What went wrong.
        error: Box<RunError>,
    },
    /// A policy does not come back.
    #[error(
        "policy {policy:?} has been in one round for more than {} (load {load:?}, seed {seed}) and cannot be \
         interrupted: look for a loop that does not end, or compare without it",
        quantities::format_duration(*patience)
    )]
    Endless {
        /// The policy.
        policy: String,
        /// The load.
        load: String,
        /// The seed.
        seed: u64,
        /// For longer than this, in real time.
        patience: Duration,
    },
    /// No thread.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

impl CompareError {
    fn run(load: &str, seed: u64, policy: &str, error: RunError) -> Self {
        Self::Run { load: load.to_owned(), seed, policy: policy.to_owned(), error: Box::new(error) }
    }
}

/// Compares. `progress` is called from this thread, a few times a second.
///
/// # Errors
/// Settings that make no comparison, or a run that fails; a policy that panics only loses its rounds.
pub fn compare(settings: &Settings, progress: &mut dyn FnMut(Advance)) -> Result<Comparison, CompareError> {
    check(settings)?;
    jobs::run_all(settings, progress).map(|measured| Comparison::of(settings, &measured))
}

/// Sees to it that there is something to compare, and that nothing is there twice.
fn check(settings: &Settings) -> Result<(), CompareError> {
    for (what, empty) in [
        ("policy", settings.contestants.is_empty()),
        ("load", settings.loads.is_empty()),
        ("seed", settings.seeds.is_empty()),
    ] {
        if empty {
            return Err(CompareError::Nothing(what));
        }
    }
    let policies = settings.contestants.iter().map(|contestant| contestant.name().to_owned());
    let loads = settings.loads.iter().map(|load| load.name.clone());
    let seeds = settings.seeds.iter().map(|seed| format!("seed {seed}"));
    for names in [policies.collect::<Vec<_>>(), loads.collect(), seeds.collect()] {
        let mut seen = std::collections::BTreeSet::new();
        if let Some(twice) = names.iter().find(|name| !seen.insert(*name)) {
            return Err(CompareError::Twice(twice.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
