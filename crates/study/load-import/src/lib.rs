//! What other programs wrote about VMs and their memory.
//!
//! Whoever is to size a host has files: logs of Performance Monitor, lists of `Get-VM`, a Prometheus server's answers, a
//! spreadsheet of RVTools, runs and traces of this project. [`read`] takes any number of them, of any kinds, and makes one [`Load`]
//! of them: VMs by name, with their memory settings and what they demanded over time. [`Load::scenario`] writes it as a scenario file
//! and a trace.
//!
//! The crate never simulates, and never guesses in silence: what a file does not say and had to be assumed stands in
//! [`LoadVm::assumed`] with its reason, what was done to a file in [`Load::remarks`]. A number whose unit cannot be right is an
//! [error](ImportError::Unit) that asks.
//!
//! ```
//! use load_import::{Input, Options};
//!
//! let list = "\"Name\",\"MemoryStartup\",\"MemoryMaximum\",\"MemoryDemand\",\"State\"\n\"SQL01\",\"2147483648\",\"8589934592\",\"3221225472\",\"Running\"\n";
//! let load = load_import::read_inputs(&[Input::of_text("vms.csv", list)], &Options::default())?;
//! assert_eq!(load.vms[0].name, "SQL01");
//! assert_eq!(load.vms[0].settings.maximum.whole_mib(), 8192);
//! # Ok::<(), load_import::ImportError>(())
//! ```
#![forbid(unsafe_code)]

mod error;
mod groups;
mod input;
mod kind;
mod load;
mod lost_letters;
mod merge;
mod names;
mod number;
mod options;
mod part;
mod perfmon;
mod prometheus;
mod reading;
mod recorded;
mod scenario_file;
mod sheet;
mod twins;
mod vm_list;
#[cfg(feature = "xlsx")]
mod workbook;

pub use error::{DoubtfulUnit, ImportError};
pub use input::Input;
pub use kind::{Kind, Objection};
pub use load::{Demand, Evidence, Load, LoadHost, LoadVm, Release, Settings, Source, Today};
pub use number::Unit;
pub use options::{BadNaming, BadUnit, CounterName, Options, UnitOf};
pub use prometheus::METRICS;
pub use scenario_file::{Written, WrittenVm};

use std::path::PathBuf;

/// Reads files, and folders of traces, and makes one load of them.
///
/// # Errors
/// See [`ImportError`]; each names its file.
pub fn read(paths: &[PathBuf], options: &Options) -> Result<Load, ImportError> {
    let inputs = paths.iter().map(|path| Input::open(path)).collect::<Result<Vec<_>, _>>()?;
    read_inputs(&inputs, options)
}

/// As [`read`], of what has been read already.
///
/// # Errors
/// See [`ImportError`]; each names its file.
pub fn read_inputs(inputs: &[Input], options: &Options) -> Result<Load, ImportError> {
    let mut parts = Vec::with_capacity(inputs.len());
    for input in inputs {
        parts.extend(reading::read(input, options)?);
    }
    merge::merge(parts)
}
