//! From what was measured to pass or fail.

use serde::{Deserialize, Serialize};

use super::measure::measure;
use super::measured::Measured;
use super::observation::Observation;
use scenario::file::{Check, Expectation};
use scenario::run::statistics;

/// What came of one check in one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// Whether it is as expected.
    pub passed: bool,
    /// The number, in the check's unit; of many samples their mean.
    pub value: Option<f64>,
    /// Share of the samples that are as expected, where there are many.
    pub share: Option<f64>,
    /// Why not, in words.
    pub why: Option<String>,
}

impl Verdict {
    pub(crate) fn failed(why: impl Into<String>) -> Self {
        Self { passed: false, value: None, share: None, why: Some(why.into()) }
    }

    pub(crate) const HOLDS: Self = Self { passed: true, value: None, share: None, why: None };
}

/// Makes a check of a run.
#[must_use]
pub fn judge(check: &Check, run: &Observation) -> Verdict {
    match measure(check, run) {
        Err(missing) => Verdict::failed(missing),
        Ok(Measured::Holds) => Verdict::HOLDS,
        Ok(Measured::Fails(why)) => Verdict::failed(why),
        Ok(Measured::Number(value)) => {
            let passed = value.is_finite() && check.expectation.met_by(value);
            let why = (!passed).then(|| measured(value, check));
            Verdict { passed, value: Some(value), share: None, why }
        }
        Ok(Measured::Samples(values)) => {
            let met = values.iter().filter(|value| check.expectation.met_by(**value)).count();
            let share = met as f64 / values.len().max(1) as f64;
            let passed = !values.is_empty() && share >= check.share;
            let why = (!passed).then(|| format!("{:.1} % of {} samples", 100.0 * share, values.len()));
            Verdict { passed, value: statistics::mean(&values), share: Some(share), why }
        }
    }
}

fn measured(value: f64, check: &Check) -> String {
    format!("{} {}", number(value), check.check.unit.unwrap_or(""))
}

/// A number for reading: about four digits.
pub(crate) fn number(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 1000.0 => 0,
        size if size >= 100.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// What is expected, in words.
pub(crate) fn expected(check: &Check) -> String {
    let unit = check.check.unit.unwrap_or("");
    let text = match check.expectation {
        Expectation::Holds => "holds".to_owned(),
        Expectation::Near { expected, tolerance: 0.0 } => format!("{} {unit}", number(expected)),
        Expectation::Near { expected, tolerance } => {
            format!("{} ± {} {unit}", number(expected), number(tolerance))
        }
        Expectation::Between(low, high) => format!("{} to {} {unit}", number(low), number(high)),
        Expectation::AtLeast(low) => format!("≥ {} {unit}", number(low)),
        Expectation::AtMost(high) => format!("≤ {} {unit}", number(high)),
    };
    if check.share < 1.0 { format!("{text} in {:.0} % of samples", 100.0 * check.share) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (30.26, "30.26"),
            (2176.4, "2176"),
            (108.04, "108"),
            (0.0352, "0.035"),
            (-0.0001, "0"),
            (100.0, "100"),
            (20.0, "20"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
