//! A recorded run for other people's tools.
//!
//! A run leaves events with their causes, counters, and the bytes of what crossed between guests and host. This crate writes them as
//!
//! * a [Perfetto trace](perfetto): processes and tracks, operations as slices, every event with its fields, causes as arrows, counters;
//! * a [pcapng file](pcapng) of all control messages and packets, with a dissector for Wireshark beside it (`wireshark/vmbus.lua`);
//! * a [Chrome trace](chrome), which older viewers read;
//! * [tables](table) with one row for each thing and units in the names of the columns, as CSV and, with the feature `parquet`, as Parquet;
//! * [OpenMetrics](openmetrics) with timestamps.
//!
//! The same run gives the same bytes. Nothing is run again: all is read from the run's folder. What is missing there, of a run that
//! was killed or recorded less, is left out and [said](Run::remarks).
#![forbid(unsafe_code)]

pub mod chrome;
mod error;
pub mod openmetrics;
pub mod pcapng;
pub mod perfetto;
mod run;
pub mod slices;
pub mod table;
mod tracks;

pub use error::ExportError;
pub use run::{Counters, CrossedFrame, Run, Scope, Series};
