//! What can be wrong with a trace file.

use std::io;

/// A trace file that cannot be used. Names the file, the line and the column of the first problem, and what else there is.
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
    /// What else is wrong with the file, by line; up to [`MOST_PROBLEMS`] in all. What the first problem hides is not in it:
    /// gaps are looked for when all rows are good.
    pub also: Box<[TraceError]>,
}

/// How many problems of one file are told at once. Invented.
pub const MOST_PROBLEMS: usize = 20;

/// What is wrong with a trace file, and how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum TraceProblem {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// The header is that of neither format.
    #[error(
        "{found:?} is not the header of a trace: it must be `vm,t,mem_provisioned_kb,mem_used_kb,cpu_pct`, or that of \
         GWA-T-12, which begins `Timestamp [ms];CPU cores;CPU capacity provisioned [MHZ];…`"
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
    /// A field is no number, or not one that is possible here.
    #[error("{found:?} is not {expected}: correct the number, or remove the row and allow gaps to be filled")]
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
        "the VM has no memory (0 KB provisioned): correct it, or remove the row and allow gaps to be filled"
    )]
    NothingProvisioned,
    /// Rows of one VM are not in order of time.
    #[error("time {time} s of VM {vm:?} is not after the row before ({before} s): sort the rows by vm and t")]
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
}
