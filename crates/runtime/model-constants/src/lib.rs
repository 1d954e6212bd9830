//! Constants of a model: each with its unit, how well founded it is, and where it comes from.
//!
//! A crate that models something writes its numbers as one table with [`constants!`]. Its code uses the items of the table and its
//! documentation prints them, so the two cannot differ. A constant that was chosen with results in view names them, and says what
//! they leave free.
//!
//! ```
//! mod constants {
//!     model_constants::constants! {
//!         /// How often the guest reports.
//!         REPORT = "report.interval", 1.0, "s", Documented, "Linux' hv_balloon: once a second";
//!         /// What a VM costs beside its memory.
//!         OVERHEAD = "overhead", 8.0, "MiB", Calibrated, "what the host had in use",
//!             chosen_with ["max-vms-dynamic/vms_started"], free "7 to 12 give as many VMs";
//!     }
//! }
//! assert_eq!(constants::REPORT.duration().as_secs(), 1);
//! assert_eq!(constants::OVERHEAD.chosen_with, ["max-vms-dynamic/vms_started"]);
//! assert_eq!(constants::constants().len(), 2);
//! ```
#![no_std]
#![forbid(unsafe_code)]

use core::fmt;
use core::time::Duration;

use page_range::{PAGES_PER_MIB, PageCount};

/// How well founded a constant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Label {
    /// A source states it.
    Documented,
    /// Solved from numbers that a source states.
    Inferred,
    /// Chosen so that runs show what a source observed, where other values, or others together with it, would do so too. Runs that show it are no
    /// evidence for the model.
    Calibrated,
    /// Chosen by this project within what the sources say.
    Invented,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Documented => "documented",
            Self::Inferred => "inferred",
            Self::Calibrated => "calibrated",
            Self::Invented => "invented",
        })
    }
}

/// One constant of a model.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
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
    /// The checks that it was chosen with in view, each as `scenario/check`. A run in which one of them is as expected is no evidence
    /// for the model.
    pub chosen_with: &'static [&'static str],
    /// What these checks leave free: other values that would do, alone or together with others.
    pub free: &'static str,
}

impl Constant {
    /// The value as pages; the constant's unit must be MiB. Fractions of a page are dropped.
    #[must_use]
    pub const fn pages(&self) -> PageCount {
        PageCount((self.value * PAGES_PER_MIB as f64) as u64)
    }

    /// The value as a time, to the nanosecond; the constant's unit must be seconds.
    #[must_use]
    pub const fn duration(&self) -> Duration {
        Duration::from_nanos((self.value * 1e9 + 0.5) as u64)
    }

    /// The value as a whole number. Fractions are dropped, negative values are 0.
    #[must_use]
    pub const fn whole(&self) -> u64 {
        self.value as u64
    }
}

/// Defines a crate's constants, `constants()`, which lists them in the order of the table, and a test that the table is sound.
#[macro_export]
macro_rules! constants {
    ($(
        $(#[$doc:meta])* $item:ident = $name:literal, $value:expr, $unit:literal, $label:ident, $source:expr
        $(, chosen_with [$($check:literal),+ $(,)?], free $free:literal)?;
    )*) => {
        $(
            $(#[$doc])*
            pub(crate) const $item: $crate::Constant = $crate::Constant {
                name: $name,
                value: $value,
                unit: $unit,
                label: $crate::Label::$label,
                source: $source,
                chosen_with: &[$($($check),+)?],
                free: concat!($($free)?),
            };
        )*

        /// Every constant of this crate's model, in the order of its table.
        #[must_use]
        pub fn constants() -> &'static [$crate::Constant] {
            const ALL: &[$crate::Constant] = &[$($item),*];
            ALL
        }

        #[cfg(test)]
        #[test]
        fn every_constant_has_a_name_of_its_own_a_unit_and_a_source() {
            assert_eq!($crate::unsound(constants()), None);
        }
    };
}

/// The name of the first constant that is not as a table's entries must be: finite, not negative, with unit and source, and with a
/// name that no other has. What is calibrated names the checks that it was chosen with; what a source states was not chosen.
#[must_use]
pub fn unsound(constants: &[Constant]) -> Option<&'static str> {
    let sound = |constant: &Constant| {
        constant.value.is_finite()
            && constant.value >= 0.0
            && ![constant.name, constant.unit, constant.source].contains(&"")
            && constant.chosen_with.is_empty() == constant.free.is_empty()
            && match constant.label {
                Label::Documented => constant.chosen_with.is_empty(),
                Label::Calibrated => !constant.chosen_with.is_empty(),
                Label::Inferred | Label::Invented => true,
            }
    };
    let again = |n: usize| constants[..n].iter().any(|other| other.name == constants[n].name);
    (0..constants.len()).find(|n| !sound(&constants[*n]) || again(*n)).map(|n| constants[n].name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: Constant = Constant {
        name: "half",
        value: 0.5,
        unit: "s",
        label: Label::Invented,
        source: "a test",
        chosen_with: &[],
        free: "",
    };

    #[test]
    fn values_are_taken_in_their_units() {
        assert_eq!(HALF.duration(), Duration::from_millis(500));
        assert_eq!(HALF.pages(), PageCount(128));
        assert_eq!(HALF.whole(), 0);
        assert_eq!(Constant { value: 0.1, ..HALF }.duration(), Duration::from_millis(100));
    }

    #[test]
    fn what_a_table_must_not_have_is_found() {
        let other = Constant { name: "other", ..HALF };
        assert_eq!(unsound(&[HALF, other]), None);
        assert_eq!(unsound(&[HALF, other, HALF]), Some("half"));
        let chosen = Constant {
            label: Label::Calibrated,
            chosen_with: &["scenario/check"],
            free: "0.4 to 0.6",
            ..other
        };
        assert_eq!(unsound(&[HALF, chosen]), None);
        for bad in [
            Constant { value: f64::NAN, ..other },
            Constant { value: -1.0, ..other },
            Constant { unit: "", ..other },
            Constant { source: "", ..other },
            Constant { label: Label::Calibrated, ..other },
            Constant { label: Label::Documented, chosen_with: &["scenario/check"], free: "nothing", ..other },
            Constant { label: Label::Calibrated, chosen_with: &["scenario/check"], ..other },
        ] {
            assert_eq!(unsound(&[HALF, bad]), Some("other"));
        }
    }
}
