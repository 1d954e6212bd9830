//! How much each VM keeps, as one number for all: the level of want.
//!
//! | level | what is given up |
//! |---|---|
//! | below 0 | what is beyond comfort; who has most beyond it, in proportion, gives first |
//! | 0 to 1 | comfort, down to the margin that forecasts need |
//! | 1 to 2 | that margin |
//! | above 2 | needs, in the proportions of Hyper-V's shortage: need / (1 + λ · g(weight)), λ = level − 2 |
//!
//! Low weights give up comfort and margin earlier. With equal weights no VM's need is cut while any VM has a margin left,
//! which is what leaves least demand unmet.

/// What a VM claims, in pages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Claim {
    /// What it will need when memory can reach it.
    pub need: f64,
    /// What it should have beyond that because forecasts fail.
    pub margin: f64,
    /// What it should have beyond its need if memory suffices.
    pub comfort: f64,
    /// g(weight): its share of a shortage; above 0.
    pub share: f64,
    /// The least it can be brought to.
    pub lowest: f64,
    /// The most it can be brought to.
    pub highest: f64,
}

/// What all claim.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    claims: Vec<Claim>,
    /// The smallest share of those that can be moved.
    least_share: Option<f64>,
}

/// Memory suffices for everyone's comfort.
pub(crate) const COMFORT: f64 = 0.0;
/// Everyone has the margin that forecasts need.
pub(crate) const SAFE: f64 = 1.0;
/// Everyone has what it will need.
pub(crate) const NEED: f64 = 2.0;

/// At this level everyone keeps what it has.
const LEVEL_MIN: f64 = -0.999;
/// At this level no VM keeps a page above its lowest.
const LEVEL_MAX: f64 = (1_u64 << 60) as f64;

impl Claims {
    pub(crate) fn clear(&mut self) {
        self.claims.clear();
        self.least_share = None;
    }

    /// Add a VM's claim.
    pub fn push(&mut self, claim: Claim) {
        if claim.lowest < claim.highest {
            self.least_share = Some(self.least_share.map_or(claim.share, |least| least.min(claim.share)));
        }
        self.claims.push(claim);
    }

    /// What the VM at `index` may keep at this level, within what it can be brought to. Falls with the level.
    #[must_use]
    pub fn at(&self, index: usize, level: f64) -> f64 {
        let Claim { need, margin, comfort, share, lowest, highest } = self.claims[index];
        // How many times as fast as the highest weight it gives up what it has beyond its need.
        let pace = share / self.least_share.unwrap_or(share).min(share);
        let kept = if level <= COMFORT {
            (need + comfort) / (1.0 + level.max(LEVEL_MIN))
        } else if level <= SAFE {
            need + margin.max(comfort * (1.0 - level * pace))
        } else if level <= NEED {
            need + margin * (1.0 - (level - SAFE) * pace).max(0.0)
        } else {
            need / (1.0 + (level - NEED) * share)
        };
        kept.max(lowest).min(highest)
    }

    /// What all may keep at this level.
    #[must_use]
    pub fn total(&self, level: f64) -> f64 {
        (0..self.claims.len()).map(|index| self.at(index, level)).sum()
    }

    /// The lowest level at which all together keep no more than `limit`, to within a page below it; or the highest there
    /// is, if lowests are above the limit.
    #[must_use]
    pub fn fitting(&self, limit: f64, guess: f64) -> f64 {
        lowest_level(limit, guess, |level| self.total(level))
    }

    /// The lowest level at which what these VMs have beyond it makes up `amount`.
    #[must_use]
    pub fn giving(&self, has: &[f64], amount: f64, guess: f64) -> f64 {
        let kept =
            |level| has.iter().enumerate().map(|(index, has)| has.min(self.at(index, level))).sum::<f64>();
        let held: f64 = has.iter().sum();
        lowest_level(held - amount, guess, kept)
    }
}

/// The lowest level at which `kept`, which falls with the level, is at most `limit`. `guess` is where to begin: the last
/// round's level is usually near.
fn lowest_level(limit: f64, guess: f64, kept: impl Fn(f64) -> f64) -> f64 {
    if kept(LEVEL_MIN) <= limit {
        return LEVEL_MIN;
    }
    let guess = guess.clamp(LEVEL_MIN, NEED + 64.0);
    // Too much is kept at `low`, not at `high`.
    let (mut low, mut high) = (guess, guess);
    let mut width = 0.02;
    if kept(guess) > limit {
        loop {
            low = high;
            high += width;
            width *= 4.0;
            if kept(high) <= limit {
                break;
            }
            if high >= LEVEL_MAX {
                return LEVEL_MAX;
            }
        }
    } else {
        loop {
            high = low;
            low = (low - width).max(LEVEL_MIN);
            width *= 4.0;
            if low == LEVEL_MIN || kept(low) > limit {
                break;
            }
        }
    }
    for _ in 0..64 {
        let middle = f64::midpoint(low, high);
        let amount = kept(middle);
        if amount > limit {
            low = middle;
        } else {
            high = middle;
            if amount > limit - 1.0 {
                break;
            }
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claims(rows: &[Claim]) -> Claims {
        let mut claims = Claims::default();
        rows.iter().for_each(|&row| claims.push(row));
        claims
    }

    const CLAIM: Claim =
        Claim { need: 1000.0, margin: 50.0, comfort: 200.0, share: 1.0, lowest: 100.0, highest: 4000.0 };

    #[test]
    fn what_is_given_up_in_which_order() {
        let claims = claims(&[CLAIM]);
        let at = |level| claims.at(0, level);
        assert_eq!(at(COMFORT), 1200.0);
        assert_eq!(at(-0.5), 2400.0);
        assert_eq!(at(LEVEL_MIN), 4000.0);
        assert_eq!(at(0.5), 1100.0);
        assert_eq!(at(SAFE), 1050.0);
        assert_eq!(at(1.5), 1025.0);
        assert_eq!(at(NEED), 1000.0);
        assert_eq!(at(3.0), 500.0);
        assert_eq!(at(LEVEL_MAX), 100.0);
    }

    #[test]
    fn low_weights_give_up_first_and_more() {
        let claims = claims(&[Claim { share: 0.5, ..CLAIM }, Claim { share: 1.5, ..CLAIM }]);
        // A third of the way to what the highest weight gives up, the lowest has given all its comfort.
        assert_eq!((claims.at(0, 0.25), claims.at(1, 0.25)), (1150.0, 1050.0));
        assert_eq!((claims.at(0, 4.0), claims.at(1, 4.0)), (500.0, 250.0));
    }

    #[test]
    fn a_vm_that_cannot_be_moved_sets_no_pace() {
        let fixed = Claim { share: 0.1, lowest: 500.0, highest: 500.0, ..CLAIM };
        let claims = claims(&[CLAIM, fixed]);
        assert_eq!((claims.at(0, 0.5), claims.at(1, 0.5)), (1100.0, 500.0));
    }

    #[test]
    fn with_equal_weights_no_need_is_cut_while_there_are_margins() {
        let claims = claims(&[CLAIM, Claim { need: 3000.0, margin: 600.0, comfort: 600.0, ..CLAIM }]);
        let level = claims.fitting(4001.0, 0.0);
        assert!(level <= NEED && claims.at(0, level) >= 1000.0 && claims.at(1, level) >= 3000.0);
        let level = claims.fitting(2000.0, 0.0);
        assert!((claims.at(0, level) - 500.0).abs() < 1.0 && (claims.at(1, level) - 1500.0).abs() < 1.0);
    }

    #[test]
    fn nobody_claims_anything() {
        let none = claims(&[]);
        assert_eq!(none.fitting(0.0, 0.0), LEVEL_MIN);
        assert_eq!(claims(&[CLAIM]).fitting(50.0, 0.0), LEVEL_MAX, "the lowest is above that");
    }

    fn rows() -> impl Strategy<Value = Vec<Claim>> {
        let row = (1.0..1e6_f64, 0.0..0.5_f64, 0.0..2.0_f64, 0.17..1.83_f64, 0.0..1.0_f64, 0.0..4.0_f64)
            .prop_map(|(need, margin, comfort, share, lowest, range)| Claim {
                need,
                margin: need * margin,
                comfort: need * margin.max(comfort),
                share,
                lowest: need * lowest,
                highest: need * (lowest + range),
            });
        prop::collection::vec(row, 1..30)
    }

    proptest! {
        #[test]
        fn nobody_keeps_more_at_a_higher_level(rows in rows(), a in -1.0..6.0_f64, b in -1.0..6.0_f64) {
            let claims = claims(&rows);
            for index in 0..rows.len() {
                prop_assert!(claims.at(index, a.min(b)) >= claims.at(index, a.max(b)) - 1e-9);
            }
        }

        #[test]
        fn every_limit_that_can_be_met_is(rows in rows(), part in 0.0..1.0_f64, guess in -1.0..8.0_f64) {
            let claims = claims(&rows);
            let (most, least) = (claims.total(LEVEL_MIN), claims.total(LEVEL_MAX));
            let limit = least + 1.0 + part * (most - least);
            let level = claims.fitting(limit, guess);
            let total = claims.total(level);
            prop_assert!(total <= limit, "{total} of {limit}");
            // To within a page, but for where a level ends: there the total jumps.
            if level > LEVEL_MIN {
                prop_assert!(claims.total(level - 1e-9 * level.abs().max(1.0)) > limit - 2.0);
            }
        }

        #[test]
        fn what_is_to_be_given_is(rows in rows(), part in 0.01..0.99_f64, guess in -1.0..8.0_f64) {
            let claims = claims(&rows);
            let has: Vec<f64> = rows.iter().map(|row| row.highest).collect();
            let above: f64 = rows.iter().map(|row| row.highest - row.lowest).sum();
            prop_assume!(above > 10.0);
            let level = claims.giving(&has, above * part, guess);
            let given: f64 = has.iter().enumerate().map(|(n, has)| (has - claims.at(n, level)).max(0.0)).sum();
            prop_assert!(given >= above * part - 1e-3);
        }
    }
}
