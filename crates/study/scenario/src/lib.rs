//! Scenario files, the runner, checks against the source, figures.
//!
//! In the source documents these are chapters 3 and 4 of the verification guideline: the test bed (Tables 3-1 to 3-5), the four
//! scenarios, and what was observed.
//!
//! It owns the [format of scenario files](mod@file). It never decides what a run shows: results come out of the components' mechanisms, and a number
//! of the source is only ever something to check against.
#![forbid(unsafe_code)]

pub mod compare;
pub mod explain;
pub mod figures;
pub mod file;
pub mod policies;
pub mod run;
pub mod verify;
