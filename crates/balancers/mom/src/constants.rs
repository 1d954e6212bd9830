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
    INTERVAL = "time between decisions", 10.0 "s", Documented,
        "mom.conf, policy-engine-interval";
    SAMPLE_INTERVAL = "time between samples", 5.0 "s", Documented,
        "mom.conf, host-monitor-interval and guest-monitor-interval";
    SAMPLES = "samples that are averaged", 10.0 "samples", Documented,
        "mom.conf, sample-history-length";
    PRESSURE_THRESHOLD = "free part of the host below which guests shrink", 0.2 "of total", Documented,
        "balloon.rules, pressure_threshold";
    CRITICAL = "free part of the host at and below which guests are made to page", 0.05 "of total", Documented,
        "balloon.rules, pressure_critical";
    GUEST_FREE = "free part that a guest is to have", 0.2 "of its memory", Documented,
        "balloon.rules, min_guest_free_percent";
    MOST_CHANGE = "most a guest shrinks, least it grows, in a decision", 0.05 "of its memory", Documented,
        "balloon.rules, max_balloon_change_percent";
    LEAST_CHANGE = "change that is not worth it", 0.0025 "of its memory", Documented,
        "balloon.rules, min_balloon_change_percent";
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
