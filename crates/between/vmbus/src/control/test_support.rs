//! Harnesses for tests, here and in other crates: rules checked from outside, two ends joined, functions to be fuzzed.
//!
//! Nothing here is part of the protocol. What goes wrong is reported by panicking: these are assertions.

mod bytes;
mod fuzz;
mod monitor;
mod pair;
#[cfg(test)]
mod tests;

pub use bytes::Bytes;
pub use fuzz::{Reached, fuzz_client, fuzz_message, fuzz_server};
pub use monitor::{Monitor, Question};
pub use pair::{Pair, Step, Unsettled};
