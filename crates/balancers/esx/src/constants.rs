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
    INTERVAL = "time between rebalances", 15.0 "s", Documented,
        "ESX, Mem.BalancePeriod";
    EVENT_INTERVAL = "time between looks for events", 1.0 "s", Invented,
        "ESX acts at once when a VM touches memory; reports come once a second here";
    TAX = "idle memory tax", 0.75 "of idle memory", Documented,
        "Waldspurger, OSDI 2002, section 5.3: an idle page costs four times an active one";
    SAMPLE_PERIOD = "sampling period of active memory", 30.0 "s", Documented,
        "Waldspurger, OSDI 2002, section 5.3";
    SLOW_GAIN = "gain of the slow average", 0.1 "per period", Invented,
        "the paper names a slow and a fast average, not their gains";
    FAST_GAIN = "gain of the fast average", 0.5 "per period", Invented,
        "the paper names a slow and a fast average, not their gains";
    HIGH = "free-memory state high: threshold", 0.06 "of total", Documented,
        "Waldspurger, OSDI 2002, section 6.3";
    SOFT = "free-memory state soft: threshold", 0.04 "of total", Documented,
        "Waldspurger, OSDI 2002, section 6.3";
    HARD = "free-memory state hard: threshold", 0.02 "of total", Documented,
        "Waldspurger, OSDI 2002, section 6.3";
    LOW = "free-memory state low: threshold", 0.01 "of total", Documented,
        "Waldspurger, OSDI 2002, section 6.3";
    MARGIN = "by how much a threshold must be exceeded to count as exceeded", 0.005 "of total", Invented,
        "the paper: only after significantly exceeding the higher threshold";
    BALLOON_LIMIT = "most of a VM's memory that is ballooned", 0.65 "of its memory", Documented,
        "ESX, sched.mem.maxmemctl: 65 %";
    SHARES_PER_WEIGHT = "shares of a VM per weight", 1.0 "shares", Invented,
        "only ratios of shares count";
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
