//! How far each policy is from the best that could be.

use serde::Serialize;

use super::bound::{FrontPoint, least_at};
use super::catalogue::{MeasureId, Values};
use super::statistics::Interval;
use super::statistics::rounded;

/// What could still be gained on a load: unmet demand beyond that of the policy that is told the future, and beyond what nobody could
/// do better than.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Regret {
    /// VMs whose need depends on what they are given, so that nobody can know it in advance. All that follows is of the other VMs.
    pub not_known: Vec<String>,
    /// What the policy that is told the future leaves unmet and moves.
    pub clairvoyant: Mark,
    /// By seed: what is unmet at least on a host whose memory flows, whatever is moved, MB·s.
    pub bound_mb_s: Vec<f64>,
    /// The same by what may be moved, for the first seed; empty in a build without the linear programme.
    pub front: Vec<FrontPoint>,
    /// By policy, in their order.
    pub policies: Vec<PolicyRegret>,
}

/// What a policy leaves unmet, and moves for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Mark {
    /// By seed, MB·s.
    pub unmet_mb_s: Vec<f64>,
    /// By seed, MB/h.
    pub moved_mb_per_h: Vec<f64>,
}

/// How far one policy is from the best. `null` where there is nothing to be said, with some seed: beyond the policy that is told the future
/// if the two did not start the same VMs, as often and as soon, and beyond the bound if some VM was not started at once. Who starts a
/// VM late, or not, has its minimum to give to others, and other work to do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PolicyRegret {
    /// The policy.
    pub policy: String,
    /// What it leaves unmet and moves.
    pub mark: Mark,
    /// Median of what it leaves unmet beyond the policy that is told the future, seed by seed, MB·s. Negative: that one is greedy, and was
    /// beaten.
    pub over_clairvoyant: Option<Interval>,
    /// Median of what it leaves unmet beyond the bound, MB·s: no policy could leave more than that less.
    pub over_bound: Option<Interval>,
    /// What it leaves unmet beyond the front at what it moves, with the first seed, MB·s.
    pub over_front: Option<f64>,
    /// The part of its unmet demand that the policy that is told the future does not leave, and the part that is beyond the bound,
    /// percent, medians: so much at least, and so much at most, could still be gained.
    pub could_gain_percent: [Option<f64>; 2],
}

/// What the runs of one seed came to for the VMs whose need is known.
#[derive(Clone, Debug)]
pub(crate) struct SeedRegret {
    pub(crate) clairvoyant: Values,
    pub(crate) bound_mb_s: f64,
    /// Of the first seed.
    pub(crate) front: Vec<FrontPoint>,
    /// By policy.
    pub(crate) policies: Vec<OfPolicy>,
}

/// What one policy's run came to.
#[derive(Clone, Debug)]
pub(crate) struct OfPolicy {
    pub(crate) values: Values,
    /// Whether it started the VMs that the policy which is told the future started, as often and as soon.
    pub(crate) same_work: bool,
    /// Whether it met every request to start a VM at once.
    pub(crate) in_time: bool,
}

fn unmet(values: &Values) -> f64 {
    values[MeasureId::Unmet.index()].map_or(0.0, rounded)
}

fn moved(values: &Values) -> f64 {
    values[MeasureId::Moved.index()].map_or(0.0, rounded)
}

fn mark<'a>(values: impl Iterator<Item = &'a Values> + Clone) -> Mark {
    Mark { unmet_mb_s: values.clone().map(unmet).collect(), moved_mb_per_h: values.map(moved).collect() }
}

impl Regret {
    pub(crate) fn of(names: &[String], not_known: Vec<String>, seeds: &[SeedRegret], hours: f64) -> Self {
        let policy = |(index, name): (usize, &String)| {
            let own = || seeds.iter().map(move |seed| &seed.policies[index].values);
            let same_work = seeds.iter().all(|seed| seed.policies[index].same_work);
            let in_time = seeds.iter().all(|seed| seed.policies[index].in_time);
            let over = |comparable: bool, of: fn(&SeedRegret) -> f64| {
                let over: Vec<f64> =
                    seeds.iter().zip(own()).map(|(seed, own)| rounded(unmet(own) - of(seed))).collect();
                Interval::of(&over).filter(|_| comparable)
            };
            let part = |comparable: bool, of: fn(&SeedRegret) -> f64| {
                let parts = seeds.iter().zip(own()).map(|(seed, own)| match unmet(own) {
                    own if own > 0.0 => rounded(100.0 * (1.0 - of(seed) / own).max(0.0)),
                    _ => 0.0,
                });
                Interval::of(&parts.collect::<Vec<_>>()).filter(|_| comparable).map(|part| part.median)
            };
            let of_clairvoyant = |seed: &SeedRegret| unmet(&seed.clairvoyant);
            let of_bound = |seed: &SeedRegret| seed.bound_mb_s;
            let first = seeds.first().zip(own().next()).filter(|(seed, _)| in_time && !seed.front.is_empty());
            PolicyRegret {
                policy: name.clone(),
                mark: mark(own()),
                over_clairvoyant: over(same_work, of_clairvoyant),
                over_bound: over(in_time, of_bound),
                over_front: first.map(|(seed, own)| {
                    rounded(unmet(own) - least_at(&seed.front, seed.bound_mb_s, moved(own), hours))
                }),
                could_gain_percent: [part(same_work, of_clairvoyant), part(in_time, of_bound)],
            }
        };
        Self {
            policies: names.iter().enumerate().map(policy).collect(),
            not_known,
            clairvoyant: mark(seeds.iter().map(|seed| &seed.clairvoyant)),
            bound_mb_s: seeds.iter().map(|seed| rounded(seed.bound_mb_s)).collect(),
            front: seeds.first().map_or_else(Vec::new, |seed| seed.front.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::COUNT;

    fn values(unmet: f64, moved: f64) -> Values {
        let mut values: Values = [None; COUNT];
        values[MeasureId::Unmet.index()] = Some(unmet);
        values[MeasureId::Moved.index()] = Some(moved);
        values
    }

    #[test]
    fn regret_is_what_is_left_beyond_the_best() {
        let front = vec![FrontPoint { moved_mb_per_h: 100.0, unmet_mb_s: 200.0, price_s: 1.0 }];
        let seed = |own: f64, fewer: bool| SeedRegret {
            clairvoyant: values(300.0, 100.0),
            bound_mb_s: 100.0,
            front: front.clone(),
            policies: vec![
                OfPolicy { values: values(own, 60.0), same_work: true, in_time: true },
                OfPolicy { values: values(0.0, 0.0), same_work: !fewer, in_time: !fewer },
            ],
        };
        let names = ["own".to_owned(), "fewer".to_owned()];
        let regret = Regret::of(
            &names,
            Vec::new(),
            &[seed(400.0, false), seed(600.0, true), seed(1000.0, false)],
            2.0,
        );
        let own = &regret.policies[0];
        assert_eq!(own.over_clairvoyant.unwrap(), Interval { median: 300.0, low: 100.0, high: 700.0 });
        assert_eq!(own.over_bound.unwrap().median, 500.0);
        // At 60 MB/h, for two hours, 80 MB less are moved than at the point: 80 MB·s more are unmet at least.
        assert_eq!(own.over_front, Some(400.0 - 280.0));
        assert_eq!(own.could_gain_percent, [Some(50.0), Some(83.333_333_3)]);
        // Who starts fewer VMs has less to do: nothing is said of its regret.
        let fewer = &regret.policies[1];
        assert_eq!((fewer.over_clairvoyant, fewer.over_bound, fewer.over_front), (None, None, None));
        assert_eq!(regret.clairvoyant.unmet_mb_s, [300.0; 3]);
    }
}
