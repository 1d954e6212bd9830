//! Whether runs show what the sources say: every `[[check]]` of a scenario file, made on many seeds.
//!
//! In the source documents this is chapter 4 of the verification guideline \[A\] (sections 7.1 to 7.4 of what it measured), and Microsoft's own
//! tests of Dynamic Memory ([`ORACLE`]).
//!
//! It owns the measuring and the judging. It changes no run: what it looks at are the counters of runs that know nothing of it.
//! [`mutations`](mutate::MUTATIONS) switch one mechanism off, to show which checks depend on it.

mod contention;
mod judge;
mod measure;
pub mod mutate;
mod observation;
pub mod report;
mod single;
pub mod suite;

pub use judge::{Verdict, judge};
pub use measure::{Measured, measure};
pub use observation::{Observation, Reference, host_used};
pub use report::{Report, Row};
pub use suite::{ORACLE, Options, SOURCE, verify};
