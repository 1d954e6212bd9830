//! What the user says about files that do not say it themselves.

use core::fmt;
use core::str::FromStr;

use input_file::CodePageName;

use crate::number::Unit;

/// What the user says about files that do not say it themselves.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The code page of all text files.
    pub code_page: Option<CodePageName>,
    /// Units of columns.
    pub units: Vec<UnitOf>,
    /// Names of counters in another language.
    pub counters: Vec<CounterName>,
}

impl Options {
    /// The unit that the user gave a column, compared without regard to case.
    pub(crate) fn unit(&self, column: &str) -> Option<Unit> {
        let wanted = column.trim().to_lowercase();
        self.units.iter().find(|unit| unit.column.to_lowercase() == wanted).map(|unit| unit.unit)
    }
}

/// The unit of a column, written `MemoryMaximum=GB`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitOf {
    /// The column as the file calls it.
    pub column: String,
    /// Its unit.
    pub unit: Unit,
}

/// Text that gives no column a unit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} gives no column a unit: write COLUMN=UNIT, such as MemoryMaximum=GB (bytes, KB, MB, GB, TB)")]
pub struct BadUnit(String);

impl FromStr for UnitOf {
    type Err = BadUnit;

    fn from_str(text: &str) -> Result<Self, BadUnit> {
        let bad = || BadUnit(text.to_owned());
        // A column's own name may have the sign.
        let (column, unit) = text.rsplit_once('=').ok_or_else(bad)?;
        let unit = Unit::of_word(unit.trim()).ok_or_else(bad)?;
        let column = column.trim().to_owned();
        if column.is_empty() { Err(bad()) } else { Ok(Self { column, unit }) }
    }
}

/// What a counter or counter set is called in the file, written `Physical Memory=Physischer Arbeitsspeicher`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterName {
    /// Its English name.
    pub english: String,
    /// Its name in the file.
    pub local: String,
}

/// Text that names no counter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no counter: write ENGLISH=LOCAL, such as \"Physical Memory=Physischer Arbeitsspeicher\"; English names are {known}", known = known())]
pub struct BadNaming(String);

/// Names of counters and counter sets that the import looks for.
pub(crate) const ENGLISH: [&str; 9] = [
    "Hyper-V Dynamic Memory VM",
    "Hyper-V Dynamic Memory Balancer",
    "Memory",
    "Physical Memory",
    "Current Pressure",
    "Average Pressure",
    "Available Memory",
    "Available MBytes",
    "Committed Bytes",
];

fn known() -> String {
    ENGLISH.join(", ")
}

impl FromStr for CounterName {
    type Err = BadNaming;

    fn from_str(text: &str) -> Result<Self, BadNaming> {
        let bad = || BadNaming(text.to_owned());
        let (english, local) = text.split_once('=').ok_or_else(bad)?;
        let (english, local) = (english.trim(), local.trim());
        let known = ENGLISH.iter().find(|name| name.eq_ignore_ascii_case(english)).ok_or_else(bad)?;
        if local.is_empty() {
            return Err(bad());
        }
        Ok(Self { english: (*known).to_owned(), local: local.to_owned() })
    }
}

impl fmt::Display for CounterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.english, self.local)
    }
}
