//! Why a scenario was not run.

use std::io;
use std::path::PathBuf;

use component_runtime::ConfigError;
use perf_counters::LayoutError;

/// Why a scenario was not run, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The policy.
    #[error(transparent)]
    Policy(#[from] policy_catalogue::PolicyError),
    /// A workload that cannot be made as configured.
    #[error("a workload of the scenario cannot be made: {0}")]
    Workload(String),
    /// A run that would never end, or never fit.
    #[error(transparent)]
    Length(#[from] crate::file::BadLength),
    /// Names that no counter file can hold.
    #[error(transparent)]
    Names(#[from] LayoutError),
    /// Driver and clock do not go together, or a parameter of theirs is impossible.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A virtual hard disk that no VHD can be.
    #[error("a virtual hard disk of the scenario cannot be made: {0}")]
    Disk(#[from] vhd::VhdError),
    /// A file of the run directory.
    #[error("cannot write {}: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Another scenario that this one refers to.
    #[error("the scenario {0:?}, to which this one refers, could not be run: {1}")]
    Reference(String, String),
    /// The system gives no more threads.
    #[error(
        "{0}; the run needs a thread for each component, up to five for each VM: raise the limit (`ulimit -u`, or the container's), or \
         run everything on one thread with `--driver inline`"
    )]
    OutOfThreads(String),
    /// A defect: something that never happens has happened.
    #[error("an invariant was violated, which is a defect of this program: {0}")]
    Invariant(String),
}
