//! Sharing a shortage: the one λ of the pressure-band policy.

/// What every VM claims, in pages, as columns: the sums below run over all VMs many times a round.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims {
    /// Demand and buffer: what it would have if memory sufficed, before bounds.
    wanted: Vec<f64>,
    /// g(weight): its share of a shortage.
    share: Vec<f64>,
    lowest: Vec<f64>,
    highest: Vec<f64>,
}

/// Where a shortage settles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Solution {
    /// 0 if memory suffices.
    pub(super) lambda: f64,
    /// Whether the targets fit into the capacity. They do not if the sum of what the VMs can be brought to at least is above
    /// it.
    pub(super) met: bool,
    /// How often the sums over all VMs were taken to find λ: what a round costs.
    pub(super) evaluations: u32,
}

/// At this λ no VM gets a page above its lowest: a claim is below 2^52 pages, a share above 2^-4.
const LAMBDA_MAX: f64 = (1u64 << 60) as f64;

/// More than halving a bracket of `f64` down to its last bit ever takes.
const MOST_EVALUATIONS: u32 = 200;

/// Pages within which the capacity is met, from below.
const TOLERANCE: f64 = 1.0;

impl Claims {
    pub(super) fn clear(&mut self) {
        self.wanted.clear();
        self.share.clear();
        self.lowest.clear();
        self.highest.clear();
    }

    pub(super) fn push(&mut self, wanted: f64, share: f64, lowest: f64, highest: f64) {
        self.wanted.push(wanted);
        self.share.push(share);
        self.lowest.push(lowest);
        self.highest.push(highest);
    }

    /// From now on the VM at `index` claims this, whatever λ.
    pub(super) fn fix(&mut self, index: usize, pages: f64) {
        for column in [&mut self.wanted, &mut self.lowest, &mut self.highest] {
            if let Some(claim) = column.get_mut(index) {
                *claim = pages;
            }
        }
    }

    /// The least that the VM at `index` can be pressed to.
    pub(super) fn floor_of(&self, index: usize) -> f64 {
        let of = |column: &[f64]| column.get(index).copied().unwrap_or(0.0);
        of(&self.lowest).min(of(&self.highest))
    }

    /// What all VMs have together if each is pressed as far as it goes.
    pub(super) fn floor(&self) -> f64 {
        self.lowest.iter().zip(&self.highest).map(|(lowest, highest)| lowest.min(*highest)).sum()
    }

    /// What the VM at `index` gets at `lambda`: its pressure is p* · (1 + λ · g), within its bounds.
    pub(super) fn at(&self, index: usize, lambda: f64) -> f64 {
        let share = self.wanted[index] / (1.0 + lambda * self.share[index]);
        share.max(self.lowest[index]).min(self.highest[index])
    }

    /// What all get at `lambda`, and how that changes with it.
    fn total_and_slope(&self, lambda: f64) -> (f64, f64) {
        let (mut total, mut slope) = (0.0, 0.0);
        let columns = self.wanted.iter().zip(&self.share).zip(self.lowest.iter().zip(&self.highest));
        for ((&wanted, &g), (&lowest, &highest)) in columns {
            let scale = 1.0 / (1.0 + lambda * g);
            let share = wanted * scale;
            let bounded = share.max(lowest).min(highest);
            total += bounded;
            slope -= if bounded == share { share * scale * g } else { 0.0 };
        }
        (total, slope)
    }

    /// What all get at `lambda`.
    pub(super) fn total(&self, lambda: f64) -> f64 {
        self.total_and_slope(lambda).0
    }

    /// The smallest λ ≥ 0 at which all together get no more than `capacity`, to within a page or two below it. `guess` is
    /// where to begin: the last round's λ is usually near.
    ///
    /// The total falls monotonically in λ. Newton's method inside a bracket: where a step would leave the bracket, or
    /// nothing moves because every VM is at a bound, the bracket is halved.
    pub(super) fn solve(&self, capacity: f64, guess: f64) -> Solution {
        let goal = capacity - TOLERANCE;
        if self.total(0.0) <= capacity {
            return Solution { lambda: 0.0, met: true, evaluations: 1 };
        }
        let floor = self.floor();
        if floor > goal {
            return Solution { lambda: LAMBDA_MAX, met: floor <= capacity, evaluations: 1 };
        }
        // Too much is given at `short`, not at `enough`.
        let (mut short, mut enough) = (0.0, LAMBDA_MAX);
        let mut lambda = if guess > 0.0 && guess < LAMBDA_MAX { guess } else { 0.0 };
        let mut evaluations = 1;
        while evaluations < MOST_EVALUATIONS {
            evaluations += 1;
            let (total, slope) = self.total_and_slope(lambda);
            if (total - goal).abs() <= TOLERANCE {
                return Solution { lambda, met: true, evaluations };
            }
            if total > goal {
                short = lambda;
            } else {
                enough = lambda;
            }
            let step = lambda - (total - goal) / slope;
            // With no upper end yet, halving would begin at 2^59: double instead.
            let middle =
                if enough == LAMBDA_MAX { (2.0 * short).max(1.0) } else { short + (enough - short) / 2.0 };
            lambda = if step > short && step < enough { step } else { middle };
        }
        // The total jumps nowhere, so this is the last bit of λ: the side that fits.
        Solution { lambda: enough, met: true, evaluations }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claims(rows: &[(f64, f64, f64, f64)]) -> Claims {
        let mut claims = Claims::default();
        for &(wanted, share, lowest, highest) in rows {
            claims.push(wanted, share, lowest, highest);
        }
        claims
    }

    #[test]
    fn enough_is_enough() {
        let claims = claims(&[(100.0, 1.0, 10.0, 1000.0), (200.0, 1.0, 10.0, 150.0)]);
        assert_eq!(claims.solve(250.0, 0.0), Solution { lambda: 0.0, met: true, evaluations: 1 });
        assert_eq!((claims.at(0, 0.0), claims.at(1, 0.0)), (100.0, 150.0));
    }

    #[test]
    fn equal_shares_lose_in_proportion() {
        // Both want 1200: λ = 0.2 leaves each 1000.
        let claims = claims(&[(1200.0, 1.0, 100.0, 5000.0), (1200.0, 1.0, 100.0, 5000.0)]);
        let solution = claims.solve(2001.0, 0.0);
        assert!((solution.lambda - 0.2).abs() < 0.002, "{solution:?}");
    }

    #[test]
    fn the_larger_share_loses_more() {
        let claims = claims(&[(1000.0, 2.0, 100.0, 5000.0), (1000.0, 0.5, 100.0, 5000.0)]);
        let lambda = claims.solve(1500.0, 0.0).lambda;
        assert!(claims.at(0, lambda) + 100.0 < claims.at(1, lambda));
    }

    #[test]
    fn nobody_falls_below_the_lowest_even_if_the_capacity_does() {
        let claims = claims(&[(1000.0, 1.0, 600.0, 5000.0), (1000.0, 1.0, 600.0, 5000.0)]);
        let solution = claims.solve(1000.0, 0.0);
        assert!(!solution.met);
        assert_eq!((claims.at(0, solution.lambda), claims.at(1, solution.lambda)), (600.0, 600.0));
        assert_eq!(Claims::default().solve(0.0, 0.0), Solution { lambda: 0.0, met: true, evaluations: 1 });
        // All at their lowest fit, and there is not a page to share.
        assert!(
            claims.solve(1200.0, 0.0).met && claims.solve(1200.5, 0.0).met && !claims.solve(1199.5, 0.0).met
        );
    }

    #[test]
    fn a_lambda_is_found_in_a_few_steps() {
        let rows: Vec<_> =
            (0..100).map(|n| (1e5 + 1e3 * f64::from(n), 0.2 + 0.016 * f64::from(n), 5e4, 1e6)).collect();
        let claims = claims(&rows);
        let wanted = claims.total(0.0);
        let cold = claims.solve(wanted * 0.8, 0.0);
        assert!(cold.lambda > 0.1 && cold.evaluations <= 8, "{cold:?}");
        // The round after it, with a little less: its λ is near.
        let warm = claims.solve(wanted * 0.799, cold.lambda);
        assert!(warm.lambda > cold.lambda && warm.evaluations <= 4, "{warm:?}");
        assert_eq!(claims.solve(wanted * 0.8, cold.lambda), Solution { evaluations: 2, ..cold });
        // A λ that no round can begin at: from the beginning.
        assert_eq!(claims.solve(wanted * 0.8, LAMBDA_MAX), cold);
        // Most at their lowest, where a step by the slope leads far out: doubling and halving bring it back.
        let hard = claims.solve(claims.floor() + 10.0, 0.0);
        assert!(hard.met && hard.evaluations <= 40, "{hard:?}");
    }

    #[test]
    fn where_every_vm_is_at_a_bound_the_range_doubles() {
        // Nothing moves before λ is about a thousand.
        let claims = claims(&[(1e6, 1.0, 10.0, 1e3); 5]);
        let solution = claims.solve(2500.0, 0.0);
        assert!((solution.lambda - 1999.0).abs() < 2.0, "{solution:?}");
        assert!(solution.evaluations <= 20, "{solution:?}");
    }

    fn rows() -> impl Strategy<Value = Vec<(f64, f64, f64, f64)>> {
        let row = (0.0..1e9_f64, 0.16..1.84_f64, 1.0..1e6_f64, 0.0..1e9_f64)
            .prop_map(|(wanted, share, lowest, range)| (wanted, share, lowest, lowest + range));
        prop::collection::vec(row, 1..60)
    }

    proptest! {
        #[test]
        fn meets_every_capacity_that_can_be_met(rows in rows(), part in 0.0..1.0_f64, guess in 0.0..100.0_f64) {
            let claims = claims(&rows);
            let (most, least) = (claims.total(0.0), claims.total(LAMBDA_MAX));
            let capacity = least + 2.0 + part * (most - least);
            let solution = claims.solve(capacity, guess);
            prop_assert!(solution.met);
            let total: f64 = (0..rows.len()).map(|n| claims.at(n, solution.lambda)).sum();
            // Sums of up to 60 numbers up to 1e9 are good to far below a page.
            prop_assert!(total <= capacity + 1e-3, "{total} of {capacity}");
            if solution.lambda > 0.0 {
                prop_assert!(total >= capacity - 2.0 - 1e-3, "{total} of {capacity}");
            }
        }

        #[test]
        fn more_capacity_never_means_less_for_anyone(rows in rows(), a in 0.0..1.0_f64, b in 0.0..1.0_f64) {
            let claims = claims(&rows);
            let (most, least) = (claims.total(0.0), claims.total(LAMBDA_MAX));
            let at = |part: f64| claims.solve(least + 2.0 + part * (most - least), 0.0).lambda;
            let (small, large) = (at(a.min(b)), at(a.max(b)));
            // Both are met within two pages: compare what differs by more.
            if (a - b).abs() * (most - least) > 4.0 {
                prop_assert!(small >= large, "{small} {large}");
            }
        }
    }
}
