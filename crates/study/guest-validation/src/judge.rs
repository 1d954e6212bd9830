//! Holding one half against the other.

use crate::curves::{Curve, Curves, VmCurves};

/// How far a simulated curve is from the real one, percent of the real one; of a curve that adds up from the load's beginning on, percent of
/// what the real one comes to in the end, since a percentage of nearly nothing says nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurveError {
    /// Which curve.
    pub curve: Curve,
    /// Median over time.
    pub median: f64,
    /// 95th percentile over time.
    pub p95: f64,
    /// The same, each value held against what the real curve passes through within a second of it: both are samples, once a second, of
    /// reports that come once a second.
    pub p95_within_a_second: f64,
    /// Of the means of the last five seconds.
    pub end: f64,
}

/// When the assigned memory follows a load: seconds of the load, in the real guest and in the simulated one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reaction {
    /// What is timed.
    pub what: &'static str,
    /// In the real guest; `None` if it does not happen.
    pub real: Option<usize>,
    /// In the simulated one.
    pub simulated: Option<usize>,
}

/// One guest of a load.
#[derive(Clone, Debug, PartialEq)]
pub struct VmJudgement {
    /// Its curves, in the order of [`Curve::ALL`].
    pub curves: Vec<CurveError>,
    /// When it was given memory, and had memory taken.
    pub reactions: Vec<Reaction>,
    /// Median time of its hot-adds, seconds, real and simulated, with how many there were.
    pub hot_adds: [(usize, Option<f64>); 2],
}

/// A load in real guests and in simulated ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Its guests.
    pub vms: Vec<VmJudgement>,
}

/// Assigned memory that has changed by so much has changed, MiB.
const CHANGED: f64 = 8.0;
/// Seconds at the end whose mean is the final value.
const END: usize = 5;

impl Judgement {
    /// Holds the simulated half against the real one, as far as both go.
    #[must_use]
    pub fn of(real: &Curves, simulated: &Curves) -> Self {
        let seconds = real.seconds().min(simulated.seconds());
        let vms =
            real.vms.iter().zip(&simulated.vms).map(|(real, simulated)| judge(real, simulated, seconds));
        Self { vms: vms.collect() }
    }

    /// The largest of such errors of any curve of any guest.
    #[must_use]
    pub fn worst(&self, of: impl Fn(&CurveError) -> f64) -> f64 {
        self.vms.iter().flat_map(|vm| &vm.curves).map(of).fold(0.0, f64::max)
    }
}

fn judge(real: &VmCurves, simulated: &VmCurves, seconds: usize) -> VmJudgement {
    let curves = real.there().map(|curve| {
        let of = |vm: &VmCurves| -> Vec<f64> { vm.get(curve).iter().copied().take(seconds).collect() };
        error(curve, &of(real), &of(simulated))
    });
    let assigned = |of: &VmCurves| of.get(Curve::Assigned)[..seconds].to_vec();
    let (real_assigned, simulated_assigned) = (assigned(real), assigned(simulated));
    let reaction = |what, when: fn(&[f64]) -> Option<usize>| Reaction {
        what,
        real: when(&real_assigned),
        simulated: when(&simulated_assigned),
    };
    let median = |times: &[f64]| (times.len(), percentile(times.to_vec(), 50.0));
    VmJudgement {
        curves: curves.collect(),
        reactions: vec![
            reaction("first growth", |assigned| changes(assigned, |by| by > 0.0).next()),
            reaction("last growth", |assigned| changes(assigned, |by| by > 0.0).last()),
            reaction("first loss", |assigned| changes(assigned, |by| by < 0.0).next()),
        ],
        hot_adds: [median(&real.hot_adds), median(&simulated.hot_adds)],
    }
}

/// Seconds at which so much has changed since the last such second.
fn changes(values: &[f64], so: fn(f64) -> bool) -> impl Iterator<Item = usize> {
    let mut last = values.first().copied().unwrap_or_default();
    values.iter().enumerate().filter_map(move |(second, &value)| {
        let by = value - last;
        (by.abs() >= CHANGED).then(|| last = value)?;
        so(by).then_some(second)
    })
}

fn error(curve: Curve, real: &[f64], simulated: &[f64]) -> CurveError {
    let last = real.last().copied().unwrap_or_default();
    let relative = |difference: f64, real: f64| {
        let whole = if curve.adds_up() { last } else { real };
        100.0 * difference.abs() / whole.abs().max(1.0)
    };
    let errors: Vec<f64> =
        real.iter().zip(simulated).map(|(&real, &simulated)| relative(simulated - real, real)).collect();
    let near = real.iter().zip(simulated).enumerate().map(|(second, (&real_now, &simulated))| {
        let around = &real[second.saturating_sub(1)..(second + 2).min(real.len())];
        let low = around.iter().copied().fold(f64::INFINITY, f64::min);
        let high = around.iter().copied().fold(0.0, f64::max);
        relative(simulated - simulated.clamp(low, high), real_now)
    });
    let near = near.collect();
    let mean = |values: &[f64]| {
        let last = &values[values.len().saturating_sub(END)..];
        last.iter().sum::<f64>() / last.len().max(1) as f64
    };
    let (end, end_simulated) = (mean(real), mean(simulated));
    CurveError {
        curve,
        median: percentile(errors.clone(), 50.0).unwrap_or(0.0),
        p95: percentile(errors, 95.0).unwrap_or(0.0),
        p95_within_a_second: percentile(near, 95.0).unwrap_or(0.0),
        end: relative(end_simulated - end, end),
    }
}

/// The smallest value that so many percent of the values are not above.
fn percentile(mut values: Vec<f64>, percent: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * percent / 100.0).ceil() as usize;
    values.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curves(assigned: &[f64], demand: &[f64]) -> Curves {
        let mut vm = VmCurves::default();
        for (&assigned, &demand) in assigned.iter().zip(demand) {
            vm.push(&[demand, 100.0, demand, assigned]);
        }
        Curves { about: Vec::new(), vms: vec![vm] }
    }

    #[test]
    fn errors_are_of_the_real_value_and_a_second_of_lateness_is_told_apart() {
        let rising: Vec<f64> = (0..40).map(|second| 100.0 + 10.0 * f64::from(second)).collect();
        let late: Vec<f64> = (0..40).map(|second| 90.0 + 10.0 * f64::from(second)).collect();
        let real = curves(&[500.0; 40], &rising);
        let same = Judgement::of(&real, &real);
        assert_eq!(same.worst(|error| error.p95.max(error.end)), 0.0);
        let judged = Judgement::of(&real, &curves(&[550.0; 40], &late));
        let [_, available, demand, assigned] = judged.vms[0].curves[..] else { panic!() };
        assert_eq!((assigned.median, assigned.p95, assigned.end), (10.0, 10.0, 10.0));
        assert_eq!((available.median, available.end), (0.0, 0.0));
        assert!(demand.p95 > 5.0 && demand.p95_within_a_second == 0.0, "{demand:?}");
    }

    #[test]
    fn reactions_are_the_seconds_at_which_memory_comes_and_goes() {
        let real = curves(&[500.0, 500.0, 628.0, 628.0, 756.0, 750.0, 700.0], &[1.0; 7]);
        let never = curves(&[500.0; 7], &[1.0; 7]);
        let judged = Judgement::of(&real, &never);
        let seconds: Vec<_> = judged.vms[0].reactions.iter().map(|reaction| reaction.real).collect();
        assert_eq!(seconds, [Some(2), Some(4), Some(6)]);
        assert!(judged.vms[0].reactions.iter().all(|reaction| reaction.simulated.is_none()));
        assert_eq!(judged.vms[0].hot_adds, [(0, None), (0, None)]);
    }

    #[test]
    fn percentiles_are_values_that_were_there() {
        let values: Vec<f64> = (1..=20).rev().map(f64::from).collect();
        assert_eq!((percentile(values.clone(), 50.0), percentile(values, 95.0)), (Some(10.0), Some(19.0)));
        assert_eq!(percentile(Vec::new(), 50.0), None);
    }
}
