//! The algorithm in its own terms: machines with balloons, a goal, shares. Amounts are in one unit of the caller's choice.

use crate::constants::MOST_PASSES;

/// A machine that takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Its claim against the others; above 0.
    pub shares: u64,
    /// What it has.
    pub balloon: i64,
    /// Least it is ballooned to.
    pub minimum: i64,
    /// Its configured memory.
    pub maximum: i64,
    /// Free in the guest.
    pub free: i64,
}

/// Parameters of a round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// A goal of this size or less is ignored.
    pub smallest_goal: i64,
    /// Most a machine moves from what it has.
    pub step: i64,
    /// More free memory than this part of the minimum: not under pressure.
    pub free_share: f64,
}

/// Which machines a distribution concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Among {
    /// Machines under pressure.
    Pressed,
    /// Machines with enough free memory.
    Relaxed,
    All,
}

/// Rounds of the algorithm, with the space that they need.
#[derive(Clone, Debug, Default)]
pub struct Ballooning {
    results: Vec<i64>,
    done: Vec<bool>,
}

/// Whether the machine has enough free memory for others to come first.
pub(crate) fn relaxed(machine: &Machine, limits: &Limits) -> bool {
    machine.free as f64 > machine.minimum as f64 * limits.free_share && machine.balloon >= machine.minimum
}

impl Ballooning {
    /// One round: what each machine should have so that all together have `goal` more (or less, if it is negative).
    ///
    /// A goal to grow goes to the machines under pressure, a goal to shrink to the others; only if that makes no progress
    /// at all, to everyone.
    pub fn round(&mut self, machines: &[Machine], goal: i64, limits: &Limits) -> &[i64] {
        self.results.clear();
        self.results.extend(machines.iter().map(|machine| machine.balloon));
        let (first, growing) = if goal > limits.smallest_goal {
            (Among::Pressed, true)
        } else if goal < -limits.smallest_goal {
            (Among::Relaxed, false)
        } else {
            return &self.results;
        };
        let rest = self.distribute(machines, first, goal, limits);
        let no_progress = if growing { rest >= goal } else { rest <= goal };
        if no_progress {
            self.distribute(machines, Among::All, rest, limits);
        }
        &self.results
    }

    /// Distribute `goal` by shares; returns what is left of it.
    ///
    /// A pass sets everyone to minimum + share of (all above the minimums + what is left), within bounds and within a step
    /// of what it had when the round began. A machine of which the pass asks nothing drops out of the passes that follow; a
    /// machine at its step limit does not, and so keeps its claim.
    ///
    /// A goal to grow may take from a machine that is above its share; a goal to shrink gives no machine anything.
    fn distribute(&mut self, machines: &[Machine], among: Among, goal: i64, limits: &Limits) -> i64 {
        self.done.clear();
        self.done.extend(machines.iter().map(|machine| match among {
            Among::All => false,
            Among::Pressed => relaxed(machine, limits),
            Among::Relaxed => !relaxed(machine, limits),
        }));
        let mut rest = goal;
        for _ in 0..MOST_PASSES.value as u32 {
            let changed = self.pass(machines, rest, goal > 0, limits);
            rest -= changed.unwrap_or(0);
            if rest == 0 || changed.is_none() {
                break;
            }
        }
        rest
    }

    /// One pass; returns the sum of all changes, `None` if there were none.
    fn pass(&mut self, machines: &[Machine], rest: i64, growing: bool, limits: &Limits) -> Option<i64> {
        let (mut shares, mut above) = (0_i128, i128::from(rest));
        for ((machine, &result), _) in
            machines.iter().zip(&self.results).zip(&self.done).filter(|&(_, &done)| !done)
        {
            shares += i128::from(machine.shares);
            above += i128::from(result - machine.minimum);
        }
        if shares == 0 {
            return None;
        }
        let (mut changes, mut progress) = (0, false);
        for ((machine, result), done) in
            machines.iter().zip(&mut self.results).zip(&mut self.done).filter(|(_, done)| !**done)
        {
            let share = above * i128::from(machine.shares) / shares;
            let share = share.clamp(-i128::from(i64::MAX / 4), i128::from(i64::MAX / 4)) as i64;
            let desired = (machine.minimum + share).min(machine.maximum).max(machine.minimum);
            let next = if growing && desired > machine.balloon {
                desired.min(machine.balloon + limits.step)
            } else if desired < machine.balloon {
                desired.max(machine.balloon - limits.step)
            } else {
                *done = true;
                continue;
            };
            changes += next - *result;
            progress |= next != *result;
            *result = next;
        }
        progress.then_some(changes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// MB of 10⁶ bytes: what the golden values are in.
    const MB: i64 = 1_000_000;

    const LIMITS: Limits = Limits { smallest_goal: 10 * 1024 * 1024, step: 100 * MB, free_share: 0.25 };

    fn machine(shares: u64, balloon: i64, minimum: i64, free: i64) -> Machine {
        Machine { shares, balloon: balloon * MB, minimum: minimum * MB, maximum: 2000 * MB, free: free * MB }
    }

    fn two() -> Vec<Machine> {
        vec![machine(2000, 1000, 1000, 0), machine(1000, 1000, 1000, 0)]
    }

    fn first_full() -> Vec<Machine> {
        vec![machine(2000, 2000, 2000, 0), machine(1000, 1000, 1000, 0)]
    }

    fn three() -> Vec<Machine> {
        vec![machine(2000, 2000, 2000, 0), machine(1000, 1007, 1000, 0), machine(1000, 1000, 1000, 512)]
    }

    fn once(machines: &[Machine], goal: i64) -> Vec<i64> {
        let results = Ballooning::default().round(machines, goal * MB, &LIMITS).to_vec();
        assert!(results.iter().all(|result| result % MB == 0), "{results:?}");
        results.iter().map(|result| result / MB).collect()
    }

    /// Rounds until nothing changes; every change is added to free.
    fn to_rest(machines: &mut [Machine], goal: i64) -> Vec<i64> {
        let mut goal = goal * MB;
        let mut ballooning = Ballooning::default();
        for round in 0.. {
            assert!(round < 1000, "never comes to rest");
            let results = ballooning.round(machines, goal, &LIMITS);
            let mut changed = false;
            for (machine, &result) in machines.iter_mut().zip(results) {
                let change = result - machine.balloon;
                changed |= change != 0;
                goal -= change;
                machine.free = (machine.free + change).max(0);
                machine.balloon = result;
            }
            if !changed {
                break;
            }
        }
        machines.iter().map(|machine| machine.balloon / MB).collect()
    }

    #[test]
    fn one_round() {
        assert_eq!(once(&two(), 0), [1000, 1000]);
        assert_eq!(once(&two(), 10), [1000, 1000], "10 MB are less than 10 MiB");
        assert_eq!(once(&two(), 90), [1060, 1030]);
        assert_eq!(once(&two(), 150), [1100, 1050]);
        assert_eq!(once(&two(), 270), [1100, 1090]);
    }

    #[test]
    fn run_to_rest() {
        assert_eq!(to_rest(&mut two(), 180), [1120, 1060]);
        assert_eq!(to_rest(&mut two(), 270), [1180, 1090]);
        assert_eq!(to_rest(&mut two(), 600), [1300, 1300]);
        assert_eq!(to_rest(&mut two(), 900), [1600, 1300]);
    }

    #[test]
    fn the_first_is_full() {
        assert_eq!(once(&first_full(), 0), [2000, 1000]);
        assert_eq!(once(&first_full(), 18), [2000, 1018]);
        assert_eq!(once(&first_full(), 500), [2000, 1100]);
    }

    #[test]
    fn three_of_which_one_has_free_memory() {
        assert_eq!(once(&three(), 0), [2000, 1007, 1000]);
        assert_eq!(once(&three(), 11), [2000, 1018, 1000]);
        assert_eq!(once(&three(), 80), [2000, 1087, 1000]);
        assert_eq!(once(&three(), 200), [2000, 1107, 1000]);
    }

    #[test]
    fn three_to_rest_and_back() {
        let mut grown = three();
        assert_eq!(to_rest(&mut grown, 593), [2000, 1300, 1300]);
        assert_eq!(to_rest(&mut grown.clone(), -200), [2000, 1200, 1200]);
        assert_eq!(to_rest(&mut grown.clone(), -400), [2000, 1200, 1000]);
        assert_eq!(to_rest(&mut grown.clone(), -593), [2000, 1007, 1000]);
    }

    #[test]
    fn nobody_takes_part() {
        assert!(Ballooning::default().round(&[], 500 * MB, &LIMITS).is_empty());
    }

    fn machines() -> impl Strategy<Value = Vec<Machine>> {
        let machine = (1..10_000_u64, 0..4000_i64, 0..4000_i64, 0..4000_i64, 0..2000_i64).prop_map(
            |(shares, minimum, range, balloon, free)| Machine {
                shares,
                balloon: balloon * MB,
                minimum: minimum * MB,
                maximum: (minimum + range) * MB,
                free: free * MB,
            },
        );
        prop::collection::vec(machine, 0..12)
    }

    proptest! {
        #[test]
        fn steps_and_bounds_hold(machines in machines(), goal in -5000..5000_i64) {
            let results = Ballooning::default().round(&machines, goal * MB, &LIMITS).to_vec();
            for (machine, result) in machines.iter().zip(results) {
                prop_assert!((result - machine.balloon).abs() <= LIMITS.step);
                // Outside of its bounds it may be only where it was, or nearer to them.
                let outside = |amount: i64| (machine.minimum - amount).max(amount - machine.maximum).max(0);
                prop_assert!(outside(result) <= outside(machine.balloon));
                if goal < 0 {
                    prop_assert!(result <= machine.balloon, "a goal to shrink gives nobody anything");
                }
            }
        }
    }
}
