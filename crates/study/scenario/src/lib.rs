//! Scenario files and the runner.
//!
//! In the source documents these are chapter 3 of the verification guideline: the test bed (Tables 3-1 to 3-5) and the four
//! scenarios.
//!
//! This crate owns the [format of scenario files](mod@file) and the [running](run) of what such a file says. The crate never
//! decides what a run shows: results come out of the components' mechanisms, and a number of the source is only ever something to
//! check against.
#![forbid(unsafe_code)]

pub mod file;
pub mod run;
