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
    INTERVAL = "time between runs", 10.0 "s", Documented,
        "the reference's comparison; squeezed's check interval";
    POLL = "time between looks at a run that is under way", 1.0 "s", Invented,
        "squeezed looks four times as often; reports come once a second here";
    HOST_FREE = "memory of the host that is kept free", 9.0 "MiB", Documented,
        "squeezed: 1 MiB for emergencies and 8 MiB for what a starting domain needs besides";
    SLACK = "memory above the minimum that does not count, twice the distance from a target that does not", 8.0 "KiB", Documented,
        "squeezed: a target is reached within 4 KiB";
    STUCK_AFTER = "time without progress after which a VM is stuck", 5.0 "s", Documented,
        "squeezed";
    UNCOOPERATIVE_AFTER = "time without progress after which a VM is uncooperative", 20.0 "s", Documented,
        "squeezed";
    FORGIVEN_AFTER = "time after which a VM that could not be given memory may try again", 60.0 "s", Invented,
        "squeezed clears the mark when the VM reaches its target, and one that is to have no more is at its target";
}

/// [`SLACK`] in pages.
pub(crate) const SLACK_PAGES: u64 = (SLACK.value as u64) * 1024 / page_size();

const fn page_size() -> u64 {
    1024 * 1024 / PageCount::from_mib(1).get()
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
