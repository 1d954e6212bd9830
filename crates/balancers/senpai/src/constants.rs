//! Every constant of this design in one table, each with its label and where it comes from.

use core::time::Duration;

use serde::Serialize;

/// How well founded a constant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// A source states it.
    Documented,
    /// Solved from numbers that a source states.
    Inferred,
    /// Chosen by this project within what the sources say.
    Invented,
}

/// One constant.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Constant {
    /// Its name, as the documentation prints it.
    pub name: &'static str,
    /// Its value, in [`Constant::unit`].
    pub value: f64,
    /// The unit of [`Constant::value`].
    pub unit: &'static str,
    /// How well founded it is.
    pub label: Label,
    /// Where it comes from, in words.
    pub source: &'static str,
}

impl Constant {
    /// The value as a time; the constant's unit must be seconds.
    pub(crate) const fn duration(&self) -> Duration {
        Duration::from_millis((self.value * 1000.0) as u64)
    }
}

macro_rules! constants {
    ($($name:ident = $text:literal, $value:literal $unit:literal, $label:ident, $source:literal;)*) => {
        $(pub(crate) const $name: Constant = Constant {
            name: $text, value: $value, unit: $unit, label: Label::$label, source: $source,
        };)*
        const ALL: &[Constant] = &[$($name),*];
    };
}

constants! {
    TICK = "time between rounds", 1.0 "s", Documented,
        "senpai.py";
    INTERVAL = "ticks between two probes", 6.0 "ticks", Documented,
        "senpai.py, interval";
    PRESSURE = "stall that is aimed at, between two probes", 10000.0 "us", Documented,
        "senpai.py, pressure";
    MOST_PROBE = "most a limit falls at once", 0.01 "of the limit", Documented,
        "senpai.py, max_probe";
    MOST_BACKOFF = "most a limit rises at once", 1.0 "of the limit", Documented,
        "senpai.py, max_backoff";
    PROBE_COEFFICIENT = "stall ratio at which probes begin to shorten, as its inverse", 10.0 "ratio", Documented,
        "senpai.py, coeff_probe";
    BACKOFF_COEFFICIENT = "stall ratio at which the whole limit is added", 20.0 "ratio", Documented,
        "senpai.py, coeff_backoff";
    WRITE_STALL = "stall that one page written to a page file stands for", 30.0 "us", Invented,
        "stands in for guests that do not report stalls: the time of a disk that writes 130 MB/s";
}

/// All constants of this design.
#[must_use]
pub fn constants() -> &'static [Constant] {
    ALL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_constant_has_a_name_of_its_own_and_a_source() {
        for (n, constant) in ALL.iter().enumerate() {
            assert!(!constant.source.is_empty() && !constant.unit.is_empty());
            assert!(ALL[n + 1..].iter().all(|other| other.name != constant.name), "{}", constant.name);
        }
    }
}
