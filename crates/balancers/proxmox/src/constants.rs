//! Every constant of this design in one table, each with its label and where it comes from.

use core::time::Duration;

use balancing_policy::PageCount;
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
    /// The value as pages; the constant's unit must be MiB.
    pub(crate) const fn pages(&self) -> PageCount {
        PageCount::from_mib(self.value as u64)
    }

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
    INTERVAL = "time between rounds", 10.0 "s", Documented,
        "pvestatd's loop";
    HOST_GOAL = "part of the host's memory that is to be used", 0.8 "of total", Documented,
        "Proxmox VE administration guide, dynamic memory management; configurable since 8.4";
    SMALLEST_GOAL = "distance from the goal that is ignored", 10.0 "MiB", Documented,
        "PVE::AutoBalloon";
    STEP_LIMIT = "most a VM moves in a round", 100.0 "MiB", Documented,
        "pvestatd's call of PVE::AutoBalloon";
    FREE_SHARE = "free memory above which a VM is not under pressure", 0.25 "of its minimum", Documented,
        "PVE::AutoBalloon";
    DEFAULT_SHARES = "shares of a VM of default weight", 1000.0 "shares", Documented,
        "qm.conf, shares";
    MOST_PASSES = "passes of one distribution at most", 200.0 "passes", Invented,
        "Proxmox has no such bound; what is left after so many is less than a move";
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
