//! Who gets how much, in the algorithm's own terms.

use balancing_policy::{MissCurve, PageCount};

/// A VM that takes part.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// How often it would touch a page that it does not have.
    pub curve: MissCurve,
    /// The least that it can have.
    pub least: PageCount,
    /// Its working set, within its bounds.
    pub set: PageCount,
    /// The most that it can have.
    pub most: PageCount,
    /// What it is to have: the answer.
    pub given: PageCount,
}

/// Everyone has its working set, and a share of what is beyond all of them in proportion to it, up to its maximum.
pub fn with_enough(capacity: u128, claims: &mut [Claim]) {
    let sets: u128 = claims.iter().map(|claim| u128::from(claim.set.get())).sum();
    let beyond = capacity.saturating_sub(sets);
    for claim in claims {
        let set = u128::from(claim.set.get());
        let bonus = beyond.saturating_mul(set).checked_div(sets).unwrap_or(0);
        let given = u64::try_from(set.saturating_add(bonus)).unwrap_or(u64::MAX);
        claim.given = PageCount(given).min(claim.most).max(claim.least);
    }
}

/// Rates that differ by less than this part are the same.
const SAME: f64 = 1e-9;

/// From its least on, memory goes where the next pages save most misses a second, up to the working sets.
pub fn least_misses(capacity: u128, claims: &mut [Claim]) {
    for claim in &mut *claims {
        claim.given = claim.least;
    }
    let least: u128 = claims.iter().map(|claim| u128::from(claim.least.get())).sum();
    let mut left = capacity.saturating_sub(least);
    // Each time some claim comes to a point of its curve or to its working set, or all is given.
    let turns: usize = claims.iter().map(|claim| claim.curve.points().len() + 2).sum();
    for _ in 0..turns {
        let best = claims.iter().filter_map(steepest).map(|(rate, _)| rate).fold(0.0, f64::max);
        if left == 0 || best <= 0.0 {
            return;
        }
        let lacks = |claim: &Claim| {
            steepest(claim)
                .filter(|(rate, _)| *rate >= best * (1.0 - SAME))
                .map_or(0, |(_, end)| u128::from((end - claim.given).get()))
        };
        let all: u128 = claims.iter().map(lacks).sum();
        let giving = left.min(all);
        let mut given = 0;
        for claim in &mut *claims {
            let lacking = lacks(claim);
            // Rounded up, as far as there is something left, so that every turn gets on.
            let part = (giving * lacking).div_ceil(all).min(lacking).min(giving - given);
            claim.given += PageCount(u64::try_from(part).unwrap_or(u64::MAX));
            given += part;
        }
        left -= given;
    }
}

/// The best rate at which a claim saves misses from what it has been given on, misses a second for each page, and up to where. `None` if it has
/// its working set.
fn steepest(claim: &Claim) -> Option<(f64, PageCount)> {
    let from = claim.given;
    if from >= claim.set {
        return None;
    }
    let misses = claim.curve.misses_at(from);
    let ends = claim.curve.points().iter().map(|point| point.size).chain([claim.set]);
    let chords = ends.filter(|&end| end > from && end <= claim.set).map(|end| {
        let saved = misses - claim.curve.misses_at(end);
        (saved / (end - from).get() as f64, end)
    });
    // Of the same rate the nearest end: what follows may be better still.
    chords.fold(None, |best: Option<(f64, PageCount)>, chord| match best {
        Some(best) if chord.0 <= best.0 => Some(best),
        _ => Some(chord),
    })
}
