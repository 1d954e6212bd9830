//! The performance counters of Dynamic Memory and their exporters.
//!
//! In the source documents these are the counter sets that Service Pack 1 adds to the parent OS: *Hyper-V
//! Dynamic Memory Balancer* (Table 3-6 of the verification guideline) and *Hyper-V Dynamic Memory VM*
//! (Table 3-7), read with Performance Monitor, together with `Memory\Available MBytes` of parent and guests.
//!
//! The crate owns one [schema] of all counters (name, unit, kind, meaning), the typed
//! [`Sample`] that a run fills at every sampling instant, and three things made from them: the
//! [PDH-CSV 4.0](pdh) file that Performance Monitor and `relog` understand (writer, and a reader of such files from anywhere), the
//! [Prometheus text](prometheus) with `windows_exporter`'s names, and the [check](balance) that the
//! counters add up.
//!
//! This crate never computes a counter: the owner of a quantity fills it in. A quantity that is unknown stays `None`,
//! which leaves one field empty and drops nothing else.
//!
//! ```
//! use core::time::Duration;
//! use perf_counters::{Epoch, Layout, Memory, Sample, pdh};
//!
//! let layout = Layout::new("HOST", Epoch::DEFAULT, ["VM1"])?;
//! let mut sample = Sample::new(&layout);
//! sample.time = Duration::from_millis(1_500);
//! sample.vms[0].vm.physical_memory = Some(Memory::from_mib(512));
//!
//! let mut file = Vec::new();
//! let mut writer = pdh::Writer::new(&mut file, &layout)?;
//! writer.write(&sample)?;
//!
//! let log = pdh::CounterLog::read(&file[..])?;
//! let physical = log.column(r"\\HOST\Hyper-V Dynamic Memory VM(VM1)\Physical Memory").unwrap();
//! assert_eq!(physical, [Some(512.0)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod balance;
mod epoch;
mod layout;
pub mod pdh;
pub mod prometheus;
mod sample;
pub mod schema;
pub mod serve;
mod value;

pub use epoch::{Epoch, EpochError};
pub use layout::{Layout, LayoutError, instance_name};
pub use sample::{Sample, VmSample};
pub use schema::{
    BalancerCounters, BusCounters, CounterDefinition, GuestCounters, Kind, MapCounters, ModelCounters,
    ModelGuestCounters, ModelVmCounters, ParentCounters, StorageCounters, Unit, VmCounters,
};
pub use value::{Memory, Percent, Rate, Seconds, Value};
