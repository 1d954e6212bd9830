//! Sizes, durations and names as people write them in files and on the command line.
//!
//! * A [size](parse_size) is written as in PowerShell, `512MB`, and is a number of 4 KiB pages.
//! * A [duration](parse_duration) is written with its units, `12m30s`.
//! * A name that nothing has is answered with the [nearest] name that something has.
//!
//! What is written by a `format_…` function is read back by its `parse_…` function as the same value.
#![forbid(unsafe_code)]

mod duration;
mod name;
mod size;

pub use duration::{ParseDurationError, format_duration, parse_duration};
pub use name::nearest;
pub use size::{BadSize, SIZE_FORM, format_size, parse_size};
