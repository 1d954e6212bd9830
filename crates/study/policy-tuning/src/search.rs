//! The search itself.

use std::collections::BTreeSet;
use std::time::Duration;

use component_runtime::random;
use policy_catalogue::PolicyError;
use policy_comparison::{CompareError, Comparison, Contestant, compare};
use scenario::file::Scenario;
use toml::Table;

use super::outcome::{Chosen, Outcome, Preference, Score, Sets, Trial, choose, front};
use super::space::{BadSpace, Search, Space};

/// Of a random search this part of the budget is spread over the whole space, and the rest around the best of it. Invented.
const SPREAD: f64 = 2.0 / 3.0;
/// How far from the best the rest is spread, as a part of each range. Invented.
const NEAR: f64 = 0.15;
/// So many sets of the front are judged beside the chosen one. Invented: a table with more columns is not read.
const JUDGED: usize = 5;
/// What the published parameters are called in comparisons.
const PUBLISHED: &str = "published";

/// What to search, and on what.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What is varied.
    pub space: Space,
    /// How the sets that are tried are spread.
    pub search: Search,
    /// How many sets may be tried.
    pub budget: usize,
    /// Of the random search.
    pub seed: u64,
    /// Which of the front is wanted.
    pub preference: Preference,
    /// The loads that the search sees.
    pub training: Vec<Scenario>,
    /// The seeds that it sees.
    pub training_seeds: Vec<u64>,
    /// The loads that judge what was found.
    pub held_out: Vec<Scenario>,
    /// Their seeds.
    pub held_out_seeds: Vec<u64>,
    /// End of every run, in place of the loads' own.
    pub until: Option<Duration>,
    /// Threads to run on.
    pub threads: usize,
}

/// How far a search is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advance {
    /// What it does.
    pub doing: &'static str,
    /// How far the comparison is that it makes for that.
    pub of: policy_comparison::Advance,
}

/// Why there is no outcome.
#[derive(Debug, thiserror::Error)]
pub enum TuneError {
    /// The space cannot be searched as asked.
    #[error(transparent)]
    Space(#[from] BadSpace),
    /// There is no such policy, or it refuses a set.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// Nothing is held out.
    #[error(
        "nothing is held out: what was tuned on some loads must be judged on others; name seeds, loads or a window of the trace for that"
    )]
    NothingHeldOut,
    /// The search would see what judges it.
    #[error(
        "{load:?} with seed {seed} is both trained on and held out: whoever tunes on what judges has judged nothing"
    )]
    Seen {
        /// The load.
        load: String,
        /// The seed.
        seed: u64,
    },
    /// Less than two sets.
    #[error("a budget of {0} sets is no search: try two at least")]
    Budget(usize),
    /// With no set anything could be compared.
    #[error("no set could be compared with the published parameters: no VM was served with both")]
    NothingCompared,
    /// A comparison failed.
    #[error(transparent)]
    Compare(#[from] CompareError),
}

/// Searches, chooses and judges. `progress` is called from this thread, a few times a second.
///
/// # Errors
/// Settings that make no search, or a run that fails.
pub fn tune(settings: &Settings, progress: &mut dyn FnMut(Advance)) -> Result<Outcome, TuneError> {
    check(settings)?;
    let trials = search(settings, progress)?;
    let scores: Vec<Score> = trials.iter().map(|trial| trial.training).collect();
    let (front, chosen) = (front(&scores), choose(&scores, settings.preference));
    let judged = judge(settings, &trials, &front, &chosen, progress)?;
    let sets = |loads: &[Scenario], seeds: &[u64]| Sets {
        loads: loads.iter().map(|load| load.name.clone()).collect(),
        seeds: seeds.to_vec(),
    };
    Ok(Outcome {
        policy: settings.space.policy().to_owned(),
        varied: settings.space.parameters().iter().map(ToString::to_string).collect(),
        preference: settings.preference,
        training: sets(&settings.training, &settings.training_seeds),
        held_out: sets(&settings.held_out, &settings.held_out_seeds),
        trials,
        front,
        chosen,
        judged,
    })
}

fn check(settings: &Settings) -> Result<(), TuneError> {
    if settings.held_out.is_empty() || settings.held_out_seeds.is_empty() {
        return Err(TuneError::NothingHeldOut);
    }
    if settings.budget < 2 {
        return Err(TuneError::Budget(settings.budget));
    }
    let seen: BTreeSet<(&str, u64)> = pairs(&settings.training, &settings.training_seeds).collect();
    match pairs(&settings.held_out, &settings.held_out_seeds).find(|pair| seen.contains(pair)) {
        Some((load, seed)) => Err(TuneError::Seen { load: load.to_owned(), seed }),
        None => Ok(()),
    }
}

fn pairs<'a>(loads: &'a [Scenario], seeds: &'a [u64]) -> impl Iterator<Item = (&'a str, u64)> {
    loads.iter().flat_map(move |load| seeds.iter().map(move |seed| (load.name.as_str(), *seed)))
}

/// All trials with their scores.
fn search(settings: &Settings, progress: &mut dyn FnMut(Advance)) -> Result<Vec<Trial>, TuneError> {
    let Settings { space, budget, .. } = settings;
    let mut try_all = |sets: &[Vec<f64>], doing, before| {
        tried(settings, sets, before, &mut |of| progress(Advance { doing, of }))
    };
    let trials = match settings.search {
        Search::Grid => try_all(&space.grid(space.levels(*budget)?), "search", 0)?,
        Search::Random => {
            let mut rng = random::stream(settings.seed, "tuning");
            let spread = ((*budget as f64 * SPREAD).round() as usize).clamp(1, *budget);
            let wide = space.hypercube(spread, &vec![0.5; space.parameters().len()], 0.5, &mut rng);
            let mut trials = try_all(&wide, "search", 0)?;
            let scores: Vec<Score> = trials.iter().map(|(trial, _)| trial.training).collect();
            // Around what would be chosen; else around the first of the front, if there is one.
            let best = match choose(&scores, settings.preference) {
                Chosen::Trial(place) => Some(place),
                Chosen::Published => front(&scores).first().copied(),
            };
            if let Some(best) = best
                && spread < *budget
            {
                let near = space.hypercube(budget - spread, &trials[best].1.clone(), NEAR, &mut rng);
                trials.extend(try_all(&near, "search around the best", spread)?);
            }
            trials
        }
    };
    if trials.is_empty() {
        Err(TuneError::NothingCompared)
    } else {
        Ok(trials.into_iter().map(|(trial, _)| trial).collect())
    }
}

/// Runs these sets on the training loads, beside the published parameters. What could not be compared is left out.
fn tried(
    settings: &Settings,
    sets: &[Vec<f64>],
    before: usize,
    progress: &mut dyn FnMut(policy_comparison::Advance),
) -> Result<Vec<(Trial, Vec<f64>)>, TuneError> {
    let named: Vec<(String, Table)> = sets
        .iter()
        .enumerate()
        .map(|(place, parts)| (format!("set {}", before + place + 1), settings.space.table(parts)))
        .collect();
    let comparison =
        compared(settings, named.iter(), &settings.training, &settings.training_seeds, progress)?;
    let trial = |(place, ((name, parameters), parts)): (usize, ((String, Table), &Vec<f64>))| {
        let training = Score::of(&comparison, place + 1)?;
        Some((Trial { name, parameters, training }, parts.clone()))
    };
    Ok(named.into_iter().zip(sets).enumerate().filter_map(trial).collect())
}

/// The published parameters, the chosen ones and the front on what the search has not seen.
fn judge(
    settings: &Settings,
    trials: &[Trial],
    front: &[usize],
    chosen: &Chosen,
    progress: &mut dyn FnMut(Advance),
) -> Result<Comparison, TuneError> {
    let first = match chosen {
        Chosen::Trial(place) => Some(*place),
        Chosen::Published => None,
    };
    // Evenly over the front, both ends among them.
    let others: Vec<usize> = front.iter().copied().filter(|place| Some(*place) != first).collect();
    let count = others.len().min(JUDGED);
    let others: BTreeSet<usize> =
        (0..count).map(|nth| others[nth * (others.len() - 1) / (count - 1).max(1)]).collect();
    let judged = first
        .into_iter()
        .chain(others)
        .map(|place| (trials[place].name.clone(), trials[place].parameters.clone()));
    let named: Vec<(String, Table)> = judged.collect();
    let progress = &mut |of| progress(Advance { doing: "judge", of });
    compared(settings, named.iter(), &settings.held_out, &settings.held_out_seeds, progress)
}

fn compared<'a>(
    settings: &Settings,
    named: impl Iterator<Item = &'a (String, Table)>,
    loads: &[Scenario],
    seeds: &[u64],
    progress: &mut dyn FnMut(policy_comparison::Advance),
) -> Result<Comparison, TuneError> {
    let policy = settings.space.policy();
    let mut contestants = vec![Contestant::with_parameters(policy, PUBLISHED, Table::new())?];
    for (name, parameters) in named {
        contestants.push(Contestant::with_parameters(policy, name, parameters.clone())?);
    }
    let usual = policy_comparison::Settings::new(contestants, loads.to_vec());
    let choices = scenario::run::Choices { until: settings.until, ..usual.choices.clone() };
    let settings = policy_comparison::Settings {
        seeds: seeds.to_vec(),
        threads: settings.threads,
        regret: false,
        choices,
        ..usual
    };
    Ok(compare(&settings, progress)?)
}

#[cfg(test)]
mod tests {
    use policy_comparison::loads;

    use super::*;

    fn settings() -> Settings {
        Settings {
            space: Space::new("mom", &["most_change=0.01..0.2"]).unwrap(),
            search: Search::Grid,
            budget: 3,
            seed: 1,
            preference: Preference::Both,
            training: vec![loads::find("multi-vm").unwrap()],
            training_seeds: vec![1],
            held_out: vec![loads::find("multi-vm").unwrap()],
            held_out_seeds: vec![2],
            until: Some(Duration::from_secs(17 * 60)),
            threads: 2,
        }
    }

    #[test]
    fn what_judges_is_not_seen() {
        let seen = Settings { held_out_seeds: vec![3, 1], ..settings() };
        assert!(matches!(check(&seen), Err(TuneError::Seen { seed: 1, .. })));
        assert!(matches!(
            check(&Settings { held_out_seeds: vec![], ..settings() }),
            Err(TuneError::NothingHeldOut)
        ));
        assert!(matches!(check(&Settings { budget: 1, ..settings() }), Err(TuneError::Budget(1))));
        assert!(check(&settings()).is_ok());
    }

    /// A policy that may change less at once moves less: the search finds the ends of its own range on the front.
    #[test]
    fn a_search_finds_what_its_parameter_does() {
        let mut told = BTreeSet::new();
        let outcome = tune(&settings(), &mut |advance| {
            told.insert(advance.doing);
        })
        .unwrap();
        assert_eq!(told, ["judge", "search"].into());
        assert_eq!(outcome.trials.len(), 3);
        let moved: Vec<f64> = outcome.trials.iter().map(|trial| trial.training.moved).collect();
        assert!(moved[0] < moved[2], "{moved:?}");
        assert!(outcome.front.contains(&0), "{outcome:?}");
        assert_eq!(outcome.judged.policies[0], PUBLISHED);
        assert!(outcome.words().contains("too few for a verdict"), "{}", outcome.words());
        // The same again, whatever runs it.
        let again = tune(&Settings { threads: 1, ..settings() }, &mut |_| ()).unwrap();
        assert_eq!(outcome.json().unwrap(), again.json().unwrap());
        // What is written is what a scenario takes.
        let table: Table = outcome.policy_table().parse().unwrap();
        let parameters =
            table["policy"].get("parameters").and_then(|parameters| parameters.as_table().cloned());
        policy_catalogue::make("mom", &parameters.unwrap_or_default()).unwrap();
    }
}
