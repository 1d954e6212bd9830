//! How much memory hosts need for VMs, and which memory settings the VMs should have.
//!
//! What was measured of VMs is replayed through the real balancer, on hosts of every size that may be the answer: [`size`] finds the
//! smallest at which a stated [`Risk`] is kept. Every number of an [`Answer`] comes out of runs. Long loads are searched with a
//! [fast model](Engine::Fast), policy and memory on demand curves without guests and rings, whose answer full runs confirm or correct;
//! both figures are in the answer.
//!
//! What measured demand tells about settings is in [`Advice`]; a [script](Answer::script) for PowerShell sets them, another
//! takes them back. [`script::check`] holds such scripts against the documented parameters of `Set-VMMemory`.
#![forbid(unsafe_code)]

mod advise;
mod allowed;
mod ample;
mod answer;
mod back_test;
mod clock;
mod confidence;
mod fast;
mod fleet;
mod job;
mod judge;
mod measure;
mod page;
mod parts;
mod placement;
#[cfg(feature = "points")]
pub mod points;
mod question;
mod runs;
pub mod script;
mod search;
mod simulate;
mod sizing;
mod smallest;
mod tries;
mod words;
mod worst;

pub use advise::{Advice, DemandFigures};
pub use answer::{Answer, BackTest, Evaluated, Failover, Found, SCHEMA, Shortage, Verdict};
pub use back_test::back_test;
pub use confidence::{Confidence, Level};
pub use fleet::{Fleet, FleetVm};
pub use job::Engine;
pub use measure::Series;
pub use question::{BadGrowth, BadRisk, Growth, Hosts, Question, Risk, Sought};
pub use sizing::size;

use scenario::run::RunError;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SizingError {
    /// No VM is ever started.
    #[error("no VM of this load is ever started: there is nothing to size for")]
    NoVms,
    /// The load cannot be changed in the way that was asked for.
    #[error("{0}")]
    Load(String),
    /// The question has no sense.
    #[error("{0}")]
    Question(String),
    /// Runs are to be made by others before the search can go on.
    #[error("runs that the search needs have not been made yet")]
    Waiting,
    /// A run could not be made.
    #[error("a host of {} with {vms} VMs could not be run: {error}", quantities::format_size(*memory))]
    Run {
        /// Memory of the host.
        memory: page_range::PageCount,
        /// How many VMs it had.
        vms: usize,
        /// What went wrong.
        error: Box<RunError>,
    },
}

/// How far a search is: VM seconds that have run since the last call.
pub type Progress<'a> = &'a (dyn Fn(u64) + Sync);
