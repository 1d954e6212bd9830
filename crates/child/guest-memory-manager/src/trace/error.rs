//! What can be wrong with trace files.

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// A thing that is wrong with a trace file.
#[derive(Debug, thiserror::Error)]
#[error("{file}{}{}: {problem}", line.map_or_else(String::new, |line| format!(":{line}")),
    column.map_or_else(String::new, |column| format!(", column {column}")))]
pub struct TraceError {
    /// Name of the file.
    pub file: String,
    /// Line, counted from 1; `None` if it is about the whole file.
    pub line: Option<u64>,
    /// Name of the column, if it is about one.
    pub column: Option<&'static str>,
    /// What is wrong, and how to mend it.
    #[source]
    pub problem: TraceProblem,
}

/// How many problems are told one by one. Invented.
pub const MOST_PROBLEMS: usize = 20;
/// How many of one kind in one of several files. Invented.
const MOST_OF_ONE_FILE: u64 = 2;

/// What is wrong with a trace file, and how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum TraceProblem {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// The header is that of no format.
    #[error(
        "{found:?} is not the header of a trace: it must have the columns `vm,t,mem_provisioned_kb,mem_used_kb,cpu_pct`, or \
         those of GWA-T-12 or GWA-T-13: `Timestamp [ms]`, `Memory capacity provisioned [KB]`, `Memory usage [KB]`, `CPU usage [%]`"
    )]
    Header {
        /// The first line.
        found: String,
    },
    /// A row has not enough or too many columns.
    #[error("the row has {found} columns, {expected} are needed")]
    Columns {
        /// How many it has.
        found: usize,
        /// How many the header has.
        expected: usize,
    },
    /// A quote without another.
    #[error("a field's quotes do not match (is the file cut off?)")]
    Quotes,
    /// A field is no number, or not one that is possible here.
    #[error("{found:?} is not {expected}: correct it, or remove the row and allow gaps to be filled")]
    Number {
        /// What is written.
        found: String,
        /// What must be there.
        expected: &'static str,
    },
    /// The VM has no name.
    #[error("the VM has no name: write its number or name")]
    NoVm,
    /// A VM has no memory.
    #[error(
        "VM {vm:?} is off here (0 KB provisioned): remove the row, or allow gaps to be filled, which leaves such rows out"
    )]
    Off {
        /// Which VM.
        vm: String,
    },
    /// A row has the time of the row before.
    #[error(
        "time {time} s of VM {vm:?} comes twice: remove one of the rows, or allow gaps to be filled, which takes the first"
    )]
    Twice {
        /// Which VM.
        vm: String,
        /// The time.
        time: f64,
    },
    /// Rows of one VM are not in order of time.
    #[error(
        "time {time} s of VM {vm:?} is before that of the row before ({before} s): sort the rows by vm and t"
    )]
    Unsorted {
        /// Which VM.
        vm: String,
        /// Time of this row.
        time: f64,
        /// Time of the row before.
        before: f64,
    },
    /// Rows of one VM are missing.
    #[error(
        "VM {vm:?} has no row between {before} s and {time} s, where there is one every {interval} s: add the rows, or \
         allow gaps to be filled"
    )]
    Gap {
        /// Which VM.
        vm: String,
        /// Time of this row.
        time: f64,
        /// Time of the row before.
        before: f64,
        /// Time between two rows.
        interval: f64,
    },
    /// There is no row.
    #[error("there are no rows: the file has a header only, or nothing")]
    Empty,
    /// A folder without traces.
    #[error(
        "there is no file that ends in .csv in this folder or in the folders of it: name a trace file or its folder"
    )]
    NoFiles,
    /// All VMs are off all the time.
    #[error("no VM of the trace is ever on")]
    NeverOn,
}

/// A kind of problem, as one of it and as many are called.
pub type ProblemKind = (&'static str, &'static str);

impl TraceProblem {
    /// What it is, for counting: one, and many.
    fn kind(&self) -> ProblemKind {
        match self {
            Self::Unreadable(_) | Self::Header { .. } | Self::Empty | Self::NoFiles | Self::NeverOn => {
                ("file that is no trace", "files that are no traces")
            }
            Self::Columns { .. } | Self::Quotes | Self::Number { .. } | Self::NoVm => {
                ("broken row", "broken rows")
            }
            Self::Off { .. } => ("row of a VM that is off", "rows of a VM that is off"),
            Self::Twice { .. } => ("time that comes twice", "times that come twice"),
            Self::Unsorted { .. } => ("row out of order", "rows out of order"),
            Self::Gap { .. } => ("gap", "gaps"),
        }
    }

    /// Whether filling gaps mends it.
    #[must_use]
    pub fn can_be_filled(&self) -> bool {
        matches!(self, Self::Off { .. } | Self::Twice { .. } | Self::Gap { .. })
    }
}

/// Trace files that cannot be used: what is wrong with them, one by one up to [`MOST_PROBLEMS`] and the first of each kind, and all
/// of it counted.
#[derive(Debug)]
pub struct TraceErrors {
    /// By file and line; at least one.
    pub shown: Vec<TraceError>,
    /// How often each kind, and in how many files.
    pub counts: Vec<(ProblemKind, u64, usize)>,
    /// How many files were read.
    pub files: usize,
}

impl TraceErrors {
    /// Problems that are not among the ones shown.
    #[must_use]
    pub fn hidden(&self) -> u64 {
        let all: u64 = self.counts.iter().map(|(_, count, _)| count).sum();
        all.saturating_sub(self.shown.len() as u64)
    }

    /// How many of which kind, in one sentence.
    #[must_use]
    pub fn in_all(&self) -> String {
        let each = self.counts.iter().map(|(kind, count, files)| {
            let files = if *files == 1 { "1 file".to_owned() } else { format!("{files} files") };
            format!("{count} {} in {files}", if *count == 1 { kind.0 } else { kind.1 })
        });
        let read = if self.files == 1 { "the file".to_owned() } else { format!("the {} files", self.files) };
        format!("in all of {read}: {}", each.collect::<Vec<_>>().join(", "))
    }
}

impl fmt::Display for TraceErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, error) in self.shown.iter().enumerate() {
            write!(f, "{}{error}", if number == 0 { "" } else { "\n" })?;
        }
        if self.hidden() > 0 { write!(f, "\n{}", self.in_all()) } else { Ok(()) }
    }
}

impl core::error::Error for TraceErrors {}

/// Collects what is wrong.
#[derive(Debug, Default)]
pub(super) struct Problems {
    /// Number of the file, and the problem.
    shown: Vec<(usize, TraceError)>,
    /// Of each kind: how many, and in which files.
    counts: BTreeMap<ProblemKind, (u64, BTreeSet<usize>)>,
    of_file: BTreeMap<(usize, ProblemKind), u64>,
}

impl Problems {
    pub(super) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    pub(super) fn add(&mut self, file: usize, several: bool, error: TraceError) {
        let kind = error.problem.kind();
        let first = !self.counts.contains_key(&kind);
        let (count, files) = self.counts.entry(kind).or_default();
        *count += 1;
        files.insert(file);
        let of_file = self.of_file.entry((file, kind)).or_default();
        *of_file += 1;
        let few = !several || *of_file <= MOST_OF_ONE_FILE;
        if first || (few && self.shown.len() < MOST_PROBLEMS) {
            self.shown.push((file, error));
        }
    }

    pub(super) fn into_errors(mut self, files: usize) -> TraceErrors {
        self.shown.sort_by_key(|(file, error)| (*file, error.line));
        let counts = self.counts.into_iter().map(|(kind, (count, files))| (kind, count, files.len()));
        TraceErrors {
            shown: self.shown.into_iter().map(|(_, error)| error).collect(),
            counts: counts.collect(),
            files,
        }
    }
}
