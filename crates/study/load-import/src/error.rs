//! Why files cannot be made into a load.

use crate::kind::Objection;

/// Why files cannot be made into a load.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be opened or read.
    #[error("{file}: cannot be read: {cause}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system says.
        cause: std::io::Error,
    },
    /// The file is of none of the kinds that are read.
    #[error("{file} is of none of the kinds that are read{}{}", list(objections), help.as_ref().map_or_else(String::new, |help| format!("\nhelp: {help}")))]
    NoKind {
        /// The file.
        file: String,
        /// What speaks against each kind.
        objections: Vec<Objection>,
        /// What to do, where the file's beginning shows what it is.
        help: Option<String>,
    },
    /// The file is of a kind that is read, and something in it is wrong.
    #[error("{file}{}: {what}", line.map_or_else(String::new, |line| format!(":{line}")))]
    Bad {
        /// The file.
        file: String,
        /// Line, from 1.
        line: Option<u64>,
        /// What is wrong, and how to mend it.
        what: String,
    },
    /// A number whose unit cannot be right.
    #[error(transparent)]
    Unit(Box<DoubtfulUnit>),
    /// The files are good, and there is no VM in them.
    #[error("there is no VM in {files}: {why}")]
    NoVms {
        /// The files.
        files: String,
        /// What to record.
        why: String,
    },
}

/// A number whose unit cannot be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{file}{}: {column:?} of {vm} is {value}: as {taken_as} that is no VM's memory. Which unit is it? Say \
     --unit \"{column}=MB\", or KB, GB or bytes",
    line.map_or_else(String::new, |line| format!(":{line}"))
)]
pub struct DoubtfulUnit {
    /// The file.
    pub file: String,
    /// Line, from 1.
    pub line: Option<u64>,
    /// The column as the file calls it.
    pub column: String,
    /// Whose it is.
    pub vm: String,
    /// What stands there.
    pub value: String,
    /// The unit that the column is known or said to have.
    pub taken_as: &'static str,
}

impl From<DoubtfulUnit> for ImportError {
    fn from(unit: DoubtfulUnit) -> Self {
        Self::Unit(Box::new(unit))
    }
}

impl ImportError {
    pub(crate) fn bad(file: &str, line: Option<u64>, what: impl Into<String>) -> Self {
        Self::Bad { file: file.to_owned(), line, what: what.into() }
    }
}

fn list(objections: &[Objection]) -> String {
    objections
        .iter()
        .map(|objection| format!("\n  not {}: {}", objection.kind.what(), objection.why))
        .collect()
}
