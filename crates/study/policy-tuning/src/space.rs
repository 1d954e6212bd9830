//! Which parameters are varied, between what, and where the sets that are tried lie.

use std::fmt;
use std::time::Duration;

use component_runtime::random;
use page_range::PageCount;
use policy_catalogue::PolicyError;
use quantities::{format_duration, format_size, parse_duration, parse_size};
use rand_core::RngCore;
use toml::{Table, Value};

/// From this ratio of its ends on, a range is searched by ratios rather than by differences. Invented.
const RATIO: f64 = 4.0;
/// How far from the published value parameters are varied unless a range is given: to this part of the value, and to so many times of it.
/// Invented.
const AROUND: f64 = 4.0;

/// How a parameter is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Number,
    Whole,
    /// A whole number of pages, written as a size.
    Size,
    /// Seconds, written as a time.
    Time,
}

/// A parameter that is varied, and between what.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    name: String,
    from: f64,
    to: f64,
    kind: Kind,
}

impl Parameter {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value at this part of the way from the one end to the other.
    fn at(&self, part: f64) -> Value {
        let part = part.clamp(0.0, 1.0);
        let by_ratio = self.from > 0.0 && self.to / self.from >= RATIO;
        let value = if by_ratio {
            self.from * libm::pow(self.to / self.from, part)
        } else {
            self.from + (self.to - self.from) * part
        };
        self.written(value)
    }

    fn written(&self, value: f64) -> Value {
        match self.kind {
            // Four digits: what is beyond changes nothing and cannot be read.
            Kind::Number => Value::Float(digits(value, 4)),
            Kind::Whole => Value::Integer(value.round() as i64),
            // Whole MB, of 256 pages.
            Kind::Size => Value::String(format_size(page_count((value / 256.0).round().max(1.0) * 256.0))),
            Kind::Time => {
                let milliseconds = (digits(value, 4) * 1000.0).round().max(0.0);
                Value::String(format_duration(Duration::from_millis(milliseconds as u64)))
            }
        }
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        write!(f, "{}={}..{}", self.name, plain(self.written(self.from)), plain(self.written(self.to)))
    }
}

fn page_count(pages: f64) -> PageCount {
    PageCount(pages as u64)
}

fn digits(value: f64, count: i32) -> f64 {
    if value == 0.0 {
        return 0.0;
    }
    let scale = libm::pow(10.0, f64::from(count - 1) - libm::floor(libm::log10(value.abs())));
    (value * scale).round() / scale
}

/// The parameters that are varied.
#[derive(Clone, Debug, PartialEq)]
pub struct Space {
    policy: String,
    parameters: Vec<Parameter>,
}

/// Why there is nothing to search.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct BadSpace(
    /// Everything that is wrong, a sentence each.
    pub Vec<String>,
);

impl From<PolicyError> for BadSpace {
    fn from(error: PolicyError) -> Self {
        Self(vec![error.to_string()])
    }
}

/// How the sets that are tried are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Search {
    /// A Latin hypercube: each parameter takes every part of its range once; then more of it around the best.
    #[default]
    Random,
    /// Every combination of evenly spaced values.
    Grid,
}

impl Space {
    /// Ranges such as `step_limit=10MB..200MB` or `hold=30s..10m` of this policy.
    ///
    /// # Errors
    /// Everything that is wrong with them: a parameter that the policy does not have, an end that it does not take, a range without
    /// a length.
    pub fn new(policy: &str, ranges: &[impl AsRef<str>]) -> Result<Self, BadSpace> {
        let defaults = known(policy)?;
        let mut wrong = Vec::new();
        let mut parameters: Vec<Parameter> = Vec::new();
        for range in ranges {
            match parameter(policy, &defaults, range.as_ref()) {
                Ok(parameter) if parameters.iter().any(|other| other.name == parameter.name) => {
                    wrong.push(format!("{} is given twice", parameter.name));
                }
                Ok(parameter) => parameters.push(parameter),
                Err(why) => wrong.push(why),
            }
        }
        if parameters.is_empty() && wrong.is_empty() {
            wrong.push("no parameter is varied: give one, such as name=least..most".to_owned());
        }
        if wrong.is_empty() {
            Ok(Self { policy: policy.to_owned(), parameters })
        } else {
            Err(BadSpace(wrong))
        }
    }

    /// All parameters of the policy that are amounts, from a quarter of their published value to four times as much; shares end at 1.
    ///
    /// # Errors
    /// There is no such policy, or it has no such parameters.
    pub fn around_published(policy: &str) -> Result<Self, BadSpace> {
        let defaults = known(policy)?;
        let varied = defaults.iter().filter_map(|(name, value)| {
            let (published, kind) = amount(value)?;
            let most = if kind == Kind::Number && published <= 1.0 { 1.0 } else { f64::INFINITY };
            let (from, to) = (published / AROUND, (published * AROUND).min(most));
            let parameter = Parameter { name: name.clone(), from, to, kind };
            (published > 0.0 && parameter.at(0.0) != parameter.at(1.0)).then_some(parameter)
        });
        let parameters: Vec<Parameter> = varied.collect();
        if parameters.is_empty() {
            return Err(BadSpace(vec![format!(
                "{policy} has no parameter that is an amount: there is nothing to tune"
            )]));
        }
        Ok(Self { policy: policy.to_owned(), parameters })
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &str {
        &self.policy
    }

    /// What is varied.
    #[must_use]
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// How many values of each parameter a grid of at most `budget` sets has.
    ///
    /// # Errors
    /// Not even two of each.
    pub(crate) fn levels(&self, budget: usize) -> Result<usize, BadSpace> {
        let count = self.parameters.len() as u32;
        let levels = (2..=budget)
            .take_while(|levels| levels.checked_pow(count).is_some_and(|sets| sets <= budget))
            .last();
        levels.ok_or_else(|| {
            let least = 2_usize.checked_pow(count).map_or_else(|| "too many".to_owned(), |sets| sets.to_string());
            BadSpace(vec![format!(
                "a grid over {count} parameters has {least} sets at least, and the budget is {budget}: vary fewer parameters, or search at random"
            )])
        })
    }

    /// Every combination of so many values of each parameter.
    pub(crate) fn grid(&self, levels: usize) -> Vec<Vec<f64>> {
        let parts = || (0..levels).map(|level| level as f64 / (levels - 1).max(1) as f64);
        let mut sets = vec![Vec::new()];
        for _ in &self.parameters {
            let longer =
                sets.iter().flat_map(|set: &Vec<f64>| parts().map(|part| [&set[..], &[part]].concat()));
            sets = longer.collect();
        }
        sets
    }

    /// A Latin hypercube of so many sets, within this distance of the middle (parts of the whole ranges).
    pub(crate) fn hypercube(
        &self,
        count: usize,
        middle: &[f64],
        reach: f64,
        rng: &mut impl RngCore,
    ) -> Vec<Vec<f64>> {
        let columns: Vec<Vec<f64>> = middle
            .iter()
            .map(|middle| {
                let (low, high) = ((middle - reach).max(0.0), (middle + reach).min(1.0));
                let mut column: Vec<f64> = (0..count)
                    .map(|place| low + (high - low) * (place as f64 + random::unit(rng)) / count as f64)
                    .collect();
                // Fisher and Yates.
                for place in (1..count).rev() {
                    let other = random::below(rng, place as u64 + 1) as usize;
                    column.swap(place, other);
                }
                column
            })
            .collect();
        (0..count).map(|row| columns.iter().map(|column| column[row]).collect()).collect()
    }

    /// The parameters at these parts of their ranges.
    pub(crate) fn table(&self, parts: &[f64]) -> Table {
        self.parameters
            .iter()
            .zip(parts)
            .map(|(parameter, part)| (parameter.name.clone(), parameter.at(*part)))
            .collect()
    }
}

/// The defaults of a policy that can be tuned.
fn known(policy: &str) -> Result<Table, BadSpace> {
    if policy == policy_catalogue::CLAIRVOYANT {
        return Err(BadSpace(vec![format!(
            "{policy} is told the future: it is a mark for designs, and there is nothing to tune"
        )]));
    }
    Ok(policy_catalogue::defaults(policy)?)
}

/// A parameter's default as an amount.
fn amount(value: &Value) -> Option<(f64, Kind)> {
    match value {
        Value::Float(number) => Some((*number, Kind::Number)),
        Value::Integer(number) => Some((*number as f64, Kind::Whole)),
        Value::String(text) => parse_duration(text).ok().map(|time| (time.as_secs_f64(), Kind::Time)),
        _ => None,
    }
}

fn parameter(policy: &str, defaults: &Table, range: &str) -> Result<Parameter, String> {
    let shape =
        || format!("{range:?} is no range of a parameter: write name=least..most, such as step=10MB..200MB");
    let (name, ends) = range.split_once('=').ok_or_else(shape)?;
    let (from, to) = ends.split_once("..").ok_or_else(shape)?;
    let name = name.trim();
    let default = defaults.get(name).ok_or_else(|| {
        let known: Vec<&str> =
            defaults.iter().filter(|(_, value)| amount(value).is_some()).map(|(name, _)| &**name).collect();
        let near = quantities::nearest(name, known.iter().copied());
        let near = near.map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
        format!("{policy} has no parameter {name:?}; it has {}{near}", known.join(", "))
    })?;
    let (_, kind) = amount(default)
        .ok_or_else(|| format!("{name} is no amount: it cannot be varied between two ends"))?;
    let end = |text: &str| {
        let text = text.trim();
        let plain = text.parse::<f64>().ok().filter(|number| number.is_finite());
        let found = match kind {
            Kind::Number | Kind::Time => {
                plain.or_else(|| parse_duration(text).ok().map(|time| time.as_secs_f64()))
            }
            Kind::Whole | Kind::Size => plain.or_else(|| parse_size(text).ok().map(|size| size.get() as f64)),
        };
        found.ok_or_else(|| {
            let such = match kind {
                Kind::Number => format!("a number such as {default}"),
                Kind::Time => format!("a time such as {default}"),
                Kind::Whole | Kind::Size => {
                    format!("a size such as 50MB, or a whole number such as {default}")
                }
            };
            format!("{name}: {text:?} is not what {name} takes: {such}")
        })
    };
    let (low, high) = (end(from)?, end(to)?);
    if low >= high {
        return Err(format!("{name}: {from} is not less than {to}"));
    }
    let sizes = [from, to].iter().any(|text| text.trim().parse::<f64>().is_err());
    let kind = if kind == Kind::Whole && sizes { Kind::Size } else { kind };
    let parameter = Parameter { name: name.to_owned(), from: low, to: high, kind };
    for part in [0.0, 1.0] {
        let table: Table = [(name.to_owned(), parameter.at(part))].into_iter().collect();
        if let Some(bad) = policy_catalogue::check(policy, &table).first() {
            return Err(format!("{name}: {}", bad.why));
        }
    }
    Ok(parameter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_parameters_are_written() {
        let space =
            Space::new("proxmox", &["step_limit=10MB..160MB", "interval=5s..20s", "host_goal=0.7..0.9"])
                .unwrap();
        let shown: Vec<String> = space.parameters().iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["step_limit=10MB..160MB", "interval=5s..20s", "host_goal=0.7..0.9"]);
        // By ratios where the ends are far apart: the middle of 10 and 160 is 40; else by differences.
        let table = space.table(&[0.5, 0.5, 0.5]);
        assert_eq!(table["step_limit"].as_str(), Some("40MB"));
        assert_eq!(table["interval"].as_str(), Some("10s"));
        assert_eq!(table["host_goal"].as_float(), Some(0.8));
        // Whatever lies between is taken by the policy.
        for part in [0.0, 0.123, 0.5, 0.987, 1.0] {
            policy_catalogue::make("proxmox", &space.table(&[part; 3])).unwrap();
        }
    }

    #[test]
    fn everything_that_is_wrong_is_told() {
        let error = Space::new(
            "proxmox",
            &["step=1..2", "interval=20s..5s", "weights=0..1", "host_goal", "host_goal=a..b"],
        )
        .unwrap_err();
        assert_eq!(
            error.0,
            [
                "proxmox has no parameter \"step\"; it has free_share, host_goal, interval, smallest_goal, step_limit; did you mean \"step_limit\"?",
                "interval: 20s is not less than 5s",
                "weights is no amount: it cannot be varied between two ends",
                "\"host_goal\" is no range of a parameter: write name=least..most, such as step=10MB..200MB",
                "host_goal: \"a\" is not what host_goal takes: a number such as 0.8",
            ]
        );
        for (policy, why) in [
            ("clairvoyant", "told the future"),
            ("static", "nothing to tune"),
            ("hyperw", "did you mean \"hyperv\""),
        ] {
            let error = Space::around_published(policy).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        let none: [&str; 0] = [];
        assert!(Space::new("esx", &none).is_err());
    }

    #[test]
    fn every_design_can_be_varied_around_what_is_published() {
        for name in policy_catalogue::names().filter(|name| !["static", "clairvoyant"].contains(name)) {
            let space = Space::around_published(name).unwrap();
            for part in [0.0, 0.3, 1.0] {
                policy_catalogue::make(name, &space.table(&vec![part; space.parameters().len()])).unwrap();
            }
        }
    }

    #[test]
    fn a_grid_has_every_combination_and_fits_its_budget() {
        let space = Space::new("proxmox", &["step_limit=10MB..160MB", "interval=5s..20s"]).unwrap();
        assert_eq!(space.levels(20).unwrap(), 4);
        assert_eq!(space.levels(4).unwrap(), 2);
        assert!(
            space.levels(3).unwrap_err().to_string().contains("has 4 sets at least, and the budget is 3")
        );
        let mut grid = space.grid(3);
        assert_eq!(grid.len(), 9);
        grid.dedup();
        assert_eq!(grid.len(), 9);
        assert!(grid.contains(&vec![0.5, 1.0]));
    }

    #[test]
    fn a_hypercube_has_every_part_of_every_range_once() {
        let space = Space::new("proxmox", &["step_limit=10MB..160MB", "interval=5s..20s"]).unwrap();
        let sets = space.hypercube(10, &[0.5, 0.5], 0.5, &mut random::stream(1, "test"));
        for column in 0..2 {
            let mut parts: Vec<usize> = sets.iter().map(|set| (set[column] * 10.0) as usize).collect();
            parts.sort_unstable();
            assert_eq!(parts, (0..10).collect::<Vec<_>>());
        }
        // Around a corner it stays within.
        let near = space.hypercube(10, &[0.0, 1.0], 0.2, &mut random::stream(1, "test"));
        assert!(near.iter().all(|set| (0.0..=0.2).contains(&set[0]) && (0.8..=1.0).contains(&set[1])));
    }
}
