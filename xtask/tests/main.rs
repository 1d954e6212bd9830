//! The tests of the command line, as one program.

mod damaged;
#[cfg(all(unix, feature = "storage"))]
mod disks;
#[cfg(all(unix, feature = "study"))]
mod engines;
mod events;
mod fleet;
mod metrics;
mod new_balancer;
mod output;
mod program;
mod sizing;
#[cfg(feature = "study")]
mod sweep;
mod tune;
mod what_if;
mod wrong;
