//! Medians with intervals that assume nothing about the distribution.

use serde::Serialize;

/// A median and the interval that covers the true one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The median of the values.
    pub median: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Of these values; `None` of nothing. The ends are order statistics, see [`confidence`].
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len();
        let middle = sorted.get(count / 2)?;
        let median = if count.is_multiple_of(2) { 0.5 * (sorted[count / 2 - 1] + middle) } else { *middle };
        let rank = rank(count);
        Some(Self { median, low: sorted[rank - 1], high: sorted[count - rank] })
    }

    /// Whether 0 lies outside of it: for a difference, whether there is one.
    #[must_use]
    pub fn excludes_zero(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }
}

/// The geometric mean of positive values; `None` of nothing.
pub(crate) fn geometric_mean(values: &[f64]) -> Option<f64> {
    let sum: f64 = values.iter().map(|value| libm::log(*value)).sum();
    (!values.is_empty()).then(|| libm::exp(sum / values.len() as f64))
}

/// Probability that at most `k` of `count` values lie below the true median.
fn at_most(k: usize, count: usize) -> f64 {
    let mut term = libm::exp2(-(count as f64));
    let mut sum = term;
    for i in 1..=k {
        term *= (count - i + 1) as f64 / i as f64;
        sum += term;
    }
    sum
}

/// The interval goes from the value of this rank (from 1) to the one as far from the top: the largest rank at which it covers the
/// true median with 95 % at least, or 1.
fn rank(count: usize) -> usize {
    let holds = |rank: usize| 2.0 * at_most(rank - 1, count) <= 0.05;
    (2..=count / 2).take_while(|&rank| holds(rank)).last().unwrap_or(1)
}

/// With what probability the interval of so many values covers the true median, whatever the distribution. Below six values it
/// cannot be 95 %.
#[must_use]
pub fn confidence(count: usize) -> f64 {
    if count == 0 { 0.0 } else { (1.0 - 2.0 * at_most(rank(count) - 1, count)).max(0.0) }
}

/// To nine digits: what is beyond is noise of the arithmetic.
pub(crate) fn rounded(value: f64) -> f64 {
    if value == 0.0 {
        return 0.0;
    }
    let scale = libm::pow(10.0, 8.0 - libm::floor(libm::log10(value.abs())));
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_of_the_arithmetic_is_no_difference() {
        assert_eq!(rounded(0.1 + 0.2), 0.3);
        assert_eq!(rounded(-123_456_789_012.0), -123_456_789_000.0);
        assert_eq!(rounded(0.0), 0.0);
        assert_eq!(rounded(1e-300), 1e-300);
    }

    #[test]
    fn the_ranks_of_the_books() {
        // Order-statistic intervals for the median, as tables of the sign test have them.
        for (count, expected) in
            [(1, 1), (5, 1), (6, 1), (8, 1), (9, 2), (10, 2), (12, 3), (15, 4), (20, 6), (25, 8)]
        {
            assert_eq!(rank(count), expected, "{count}");
        }
        assert!((confidence(10) - 0.978_515_625).abs() < 1e-12);
        assert!((confidence(5) - 0.9375).abs() < 1e-12);
        assert!(confidence(1).abs() < 1e-12);
    }

    #[test]
    fn intervals_of_values() {
        let values: Vec<f64> = (1..=10).rev().map(f64::from).collect();
        assert_eq!(Interval::of(&values), Some(Interval { median: 5.5, low: 2.0, high: 9.0 }));
        assert_eq!(Interval::of(&[3.0]), Some(Interval { median: 3.0, low: 3.0, high: 3.0 }));
        assert_eq!(Interval::of(&[]), None);
        assert!(Interval { median: 1.0, low: 0.5, high: 2.0 }.excludes_zero());
        assert!(!Interval { median: 1.0, low: 0.0, high: 2.0 }.excludes_zero());
    }
}
