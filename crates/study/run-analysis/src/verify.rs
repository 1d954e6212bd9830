//! Whether runs show what the sources say: every `[[check]]` of a scenario file, made on many seeds.
//!
//! In the source documents this is chapter 4 of the verification guideline \[A\] (sections 7.1 to 7.4 of what it measured), and Microsoft's own
//! tests of Dynamic Memory ([`ORACLE`]).
//!
//! It owns the measuring and the judging. It changes no run: what it looks at are the counters of runs that know nothing of it.
//! [`mutations`](mutate::MUTATIONS) switch one mechanism off, to show which checks depend on it. What it is worth that a check is as expected
//! is its [`Kind`]; what it depends on of all that was chosen, [`sensitivity`] shows.

mod change;
mod contention;
mod judge;
pub mod kind;
pub mod knob;
mod measure;
mod measured;
pub mod mutate;
mod observation;
mod parameter;
#[cfg(feature = "points")]
pub mod points;
pub mod report;
pub mod sensitivity;
mod single;
pub mod suite;
mod table;
mod windows;

pub use change::Change;
pub use judge::{Verdict, judge};
pub use kind::Kind;
pub use knob::Knob;
pub use measure::measure;
pub use measured::Measured;
pub(crate) use measured::peak_of_averages;
pub use observation::{Observation, Reference, host_used};
pub use report::{Report, Row};
pub use sensitivity::Sensitivity;
pub use suite::{ORACLE, ORACLE_EVIDENCE, OUTSIDE, Options, SOURCE, verify};
pub use windows::Windows;
