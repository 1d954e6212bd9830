//! The whole stack under test: host, balancer, workers, VMBus, guests.
//!
//! Two ways in. [`journey`] runs a scenario from its text, exactly as the command line does. [`world`] puts a host and VMs
//! together piece by piece, for what no scenario file can say: devices of other classes, and a [hostile] guest that is no model
//! of any operating system but bytes.
//!
//! It holds no tests but the random schedules of threads (shuttle); the others are in `tests/`. The fuzz function of a whole host is here so that `fuzz/` can wrap it.
#![forbid(unsafe_code)]

pub mod hostile;
#[cfg(feature = "journey")]
pub mod journey;
#[cfg(all(test, shuttle))]
mod shuttle_models;
pub mod tapped;
pub mod world;

pub use hostile::{Reached, fuzz_host_bad_guest};
