//! A model of the guest's memory manager, guest operating system profiles and workloads.
//!
//! In the source documents this is component 6 of Figure 2-3, the *Windows memory manager* in the guest operating
//! system "with applications above it": what the DM VSC driver asks for status, for pages to balloon, and gives
//! hot-added memory to.
//!
//! # What it owns
//!
//! * [`MemoryManager`]: which guest page is free, zeroed, standby, in a working set, or locked by a driver (the balloon
//!   among them); commit and its limit; the page file; working-set trimming and hard faults.
//! * [`GuestProfile`]: every guest of Table 2-1 of the guideline, those of the limits table, and those since, with their footprints.
//! * [`workload`]: what applications do with memory; [`trace`]: recorded loads.
//! * [`Guest`]: all of these together, from power-on to login and beyond.
//! * [`agent`]: a program in the guest that measures what no status report says.
//! * [`constants()`]: every number of the model with its label and source.
//!
//! # What it never does
//!
//! The crate reads no clock, starts no thread, sends no message and holds no bytes of memory. The memory manager decides
//! nothing about how much memory the VM has: the host does, through the balloon and hot-add. It never gives away a page in use.
#![forbid(unsafe_code)]

pub mod agent;
mod constants;
pub mod trace;
pub mod workload;

mod guest;
mod host_paging;
mod manager;
mod measured;
mod profile;
mod sampling;

pub use constants::constants;
pub use guest::{ApplicationId, ApplicationReport, BootPhase, Guest, GuestConfig, GuestEvent};
pub use manager::{
    BalloonAllocation, CommitFailed, Counters, DiskIo, DiskUse, HotAddRefused, Inconsistency, MemoryManager,
    NoLockablePages, PageFileSize, ProcessId, ProcessReport,
};
pub use measured::constants as measured_constants;
pub use profile::{
    Architecture, DmVersion, Edition, Family, Footprint, GuestProfile, IntegrationServices, Kernel,
    NoDynamicMemory, UnknownProfile, find_profile, profiles,
};
