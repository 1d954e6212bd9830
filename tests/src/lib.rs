//! The whole stack under test: host, balancer, workers, VMBus, guests.
//!
//! Two ways in. [`journey`] runs a scenario from its text, exactly as the command line does. [`world`] puts a host and VMs
//! together piece by piece, for what no scenario file can say: devices of other classes, a [bare guest](bare_guest) that does
//! what a test says, and a [hostile] one that does what bytes say.
//!
//! This library holds no tests but the random schedules of threads (shuttle); the others are in `tests/`. The fuzz function of a
//! whole host is here so that `fuzz/` can wrap the function.
#![forbid(unsafe_code)]

pub mod bare_guest;
pub mod hostile;
#[cfg(feature = "journey")]
pub mod journey;
mod lone_guest;
#[cfg(all(test, shuttle))]
mod shuttle_models;
pub mod tapped;
pub mod world;

pub use hostile::{Reached, fuzz_host_bad_guest};
