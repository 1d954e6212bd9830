//! Runs a scenario: puts host and VMs into a runtime, watches the counters, and says what came of it.

pub mod build;
mod cycle;
pub mod directory;
mod disks;
mod error;
mod execute;
pub mod fleet;
pub mod future;
mod hand;
mod kept;
pub mod need;
mod operator;
mod options;
mod outputs;
pub mod phases;
pub mod plan;
pub mod points;
mod sampler;
pub mod statistics;
pub mod story;
pub mod summary;
mod sums;
mod told;

pub use build::Choices;
pub use cycle::Cycle;
pub use directory::{COUNTERS_FILE, GUESTS_FILE, REPORT_FILE, SCENARIO_FILE, SUMMARY_FILE};
pub use error::RunError;
pub use hand::Hand;
pub use kept::Points;
pub use need::{Need, Needs};
pub use options::{CounterWatch, Machines, Observer, Outcome, RunOptions};
pub use plan::Plan;
pub use points::Point;
pub use sampler::{host_counters, vm_counters};
pub use summary::Summary;
pub use sums::Collect;
pub use told::{run, run_with_policy};

/// The components of a run, by which events are recorded and logged.
pub const COMPONENTS: [&str; 8] =
    ["operator", "vmms", "memory-balancer", "dm-vsp", "dm-vsc", "guest", "sampler", "run"];

#[cfg(test)]
mod tests;
