//! What a search has found.

use policy_comparison::{Comparison, MeasureId};
use serde::Serialize;
use toml::Table;

/// The two measures that a search weighs, as ratios to the published parameters: 1 is as much. Geometric means over loads, medians over
/// seeds, on the VMs that both served.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Score {
    /// Unmet demand.
    pub unmet_demand: f64,
    /// Memory moved.
    pub moved: f64,
    /// Times, over all loads and seeds, that a VM was served less often than with the published parameters.
    pub served_less: usize,
}

impl Score {
    /// Of the `place`th contestant of a comparison whose first one has the published parameters; `None` if nothing could be compared.
    pub(crate) fn of(comparison: &Comparison, place: usize) -> Option<Self> {
        let ratio = |id| Some(comparison.overall.cell(place, id)?.median?.median);
        let served_less = comparison.overall.compared.get(place)?.fewer.iter().sum();
        Some(Self { unmet_demand: ratio(MeasureId::Unmet)?, moved: ratio(MeasureId::Moved)?, served_less })
    }

    /// Whether this is at least as good in both and better in one. Who serves less is no better than anybody.
    fn beats(&self, other: &Self) -> bool {
        self.served_less == 0
            && self.unmet_demand <= other.unmet_demand
            && self.moved <= other.moved
            && (self.unmet_demand < other.unmet_demand || self.moved < other.moved)
    }
}

/// A set of parameters that was tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trial {
    /// What it is called.
    pub name: String,
    /// The parameters that differ from the published ones.
    pub parameters: Table,
    /// On the training loads.
    pub training: Score,
}

/// Which of the front is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Preference {
    /// The least product of both measures, of the sets that are no worse than the published parameters in either.
    #[default]
    Both,
    /// The least unmet demand, whatever is moved.
    Unmet,
    /// The least memory moved, whatever is unmet.
    Moved,
}

/// What comes of the choice.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Chosen {
    /// The published parameters: no set that was tried is better in the way that was asked for.
    Published,
    /// This trial, by its place.
    Trial(usize),
}

/// What runs were of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sets {
    /// The loads.
    pub loads: Vec<String>,
    /// The seeds, each on each load.
    pub seeds: Vec<u64>,
}

/// What a search has found.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// The policy.
    pub policy: String,
    /// What was varied, as it may be given again.
    pub varied: Vec<String>,
    /// What was asked for.
    pub preference: Preference,
    /// What the search has seen.
    pub training: Sets,
    /// What it has not seen.
    pub held_out: Sets,
    /// All sets that were tried, in order.
    pub trials: Vec<Trial>,
    /// The places of those that no other beats, by unmet demand.
    pub front: Vec<usize>,
    /// Which was chosen, by the training loads alone.
    pub chosen: Chosen,
    /// The published parameters (first), the chosen ones and the front, on loads that were held out.
    pub judged: Comparison,
}

/// The places of those that no other beats, by unmet demand.
pub(crate) fn front(scores: &[Score]) -> Vec<usize> {
    let kept = |score: &Score| score.served_less == 0 && !scores.iter().any(|other| other.beats(score));
    let mut front: Vec<usize> = (0..scores.len()).filter(|place| kept(&scores[*place])).collect();
    front.sort_by(|a, b| scores[*a].unmet_demand.total_cmp(&scores[*b].unmet_demand).then(a.cmp(b)));
    // Of equals the first.
    front.dedup_by(|b, a| {
        (scores[*a].unmet_demand, scores[*a].moved) == (scores[*b].unmet_demand, scores[*b].moved)
    });
    front
}

/// The choice among trials.
pub(crate) fn choose(scores: &[Score], preference: Preference) -> Chosen {
    const PUBLISHED: Score = Score { unmet_demand: 1.0, moved: 1.0, served_less: 0 };
    let wanted = |score: &Score| match preference {
        Preference::Both => score.beats(&PUBLISHED),
        Preference::Unmet => score.unmet_demand < 1.0,
        Preference::Moved => score.moved < 1.0,
    };
    let cost = |place: &usize| match preference {
        Preference::Both => scores[*place].unmet_demand * scores[*place].moved,
        Preference::Unmet => scores[*place].unmet_demand,
        Preference::Moved => scores[*place].moved,
    };
    let best = front(scores)
        .into_iter()
        .filter(|place| wanted(&scores[*place]))
        .min_by(|a, b| cost(a).total_cmp(&cost(b)));
    best.map_or(Chosen::Published, Chosen::Trial)
}

impl Outcome {
    /// The chosen parameters; empty: the published ones.
    #[must_use]
    pub fn parameters(&self) -> Table {
        match self.chosen {
            Chosen::Published => Table::new(),
            Chosen::Trial(place) => {
                self.trials.get(place).map(|trial| trial.parameters.clone()).unwrap_or_default()
            }
        }
    }

    /// The part of a scenario file that chooses policy and parameters.
    #[must_use]
    pub fn policy_table(&self) -> String {
        let mut text = format!("[policy]\nname = \"{}\"\n", self.policy);
        let parameters = self.parameters();
        if !parameters.is_empty() {
            text.push_str("\n[policy.parameters]\n");
            text.push_str(&parameters.to_string());
        }
        text
    }

    /// `tune.json`.
    ///
    /// # Errors
    /// Those of the serialiser.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// What was found, in a few sentences.
    #[must_use]
    pub fn words(&self) -> String {
        let percent = |ratio: f64| format!("{:.0} %", 100.0 * ratio);
        let chosen = match self.chosen {
            Chosen::Published => format!(
                "No set of the {} that were tried is better {}: the published parameters stay.",
                self.trials.len(),
                match self.preference {
                    Preference::Both => "in one measure and no worse in the other",
                    Preference::Unmet => "in unmet demand",
                    Preference::Moved => "in memory moved",
                }
            ),
            Chosen::Trial(place) => {
                let trial = &self.trials[place];
                let judged = Score::of(&self.judged, 1);
                let held_out = judged.map_or_else(String::new, |score| {
                    let less = if score.served_less == 0 { "" } else { ", and VMs are served less often" };
                    format!(
                        " On loads that were held out: {} and {}{less}.",
                        percent(score.unmet_demand),
                        percent(score.moved)
                    )
                });
                format!(
                    "Of {} sets that were tried, {} was chosen: on the training loads {} of the unmet demand and {} of the memory moved of the published parameters.{held_out}",
                    self.trials.len(),
                    trial.name,
                    percent(trial.training.unmet_demand),
                    percent(trial.training.moved),
                )
            }
        };
        if self.judged.has_evidence() {
            return chosen;
        }
        format!(
            "{chosen}\nSeeds that are held out: {}. That is too few for a verdict (six are enough), so this is what was seen and no more.",
            self.held_out.seeds.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(unmet_demand: f64, moved: f64) -> Score {
        Score { unmet_demand, moved, served_less: 0 }
    }

    #[test]
    fn the_front_is_what_nothing_beats() {
        let scores = [
            score(0.9, 1.2),
            score(0.8, 1.3),
            score(0.9, 1.1),
            score(1.5, 0.5),
            score(0.9, 1.1),
            score(2.0, 2.0),
        ];
        assert_eq!(front(&scores), [1, 2, 3]);
    }

    /// Who serves less has little to do, and is on no front.
    #[test]
    fn nobody_wins_by_serving_less() {
        let less = Score { served_less: 1, ..score(0.1, 0.1) };
        assert_eq!(front(&[less, score(0.9, 0.9)]), [1]);
        assert_eq!(choose(&[less], Preference::Both), Chosen::Published);
        assert_eq!(choose(&[less], Preference::Unmet), Chosen::Published);
    }

    #[test]
    fn the_choice_is_what_was_asked_for() {
        let scores = [score(0.5, 1.1), score(0.9, 0.8), score(0.95, 0.7), score(1.2, 0.2)];
        assert_eq!(choose(&scores, Preference::Both), Chosen::Trial(2));
        assert_eq!(choose(&scores, Preference::Unmet), Chosen::Trial(0));
        assert_eq!(choose(&scores, Preference::Moved), Chosen::Trial(3));
        assert_eq!(choose(&[score(1.0, 1.0)], Preference::Both), Chosen::Published);
    }
}
