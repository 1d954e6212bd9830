//! The DM VSC (Dynamic Memory virtualization service client): the guest's driver for Dynamic Memory, `dmvsc.sys` in the
//! Windows guests of the source and `hv_balloon` in Linux (table 2-3 of the source).
//!
//! It is a state machine without I/O, threads or clocks: the caller hands in what happened ([`Input`]), the time and the
//! guest's [`MemoryManager`], and carries out what comes back ([`Output`]).
//!
//! **What it owns**: the conversation with the host (version, capabilities, the request that is being carried out) and
//! the knowledge of which pages it has given away.
//!
//! **What it never does**: it manages no memory (it asks the guest's memory manager for pages, and hands back only pages
//! that it got from there), it knows nothing of how the host decides, and it does not trust the host: any bytes from it
//! are survived, and pages that the host returns without having got them are left alone (unless configured to
//! [trust](UnballoonCheck::Trust) as Linux does).
//!
//! How long a guest takes for an operation is part of the driver's configuration ([`OperationTime`]): an answer is sent when
//! that time has passed.

#![forbid(unsafe_code)]

mod answer;
mod config;
mod constants;
mod faults;
mod interface;
mod machine;
mod memory;
mod requests;
#[cfg(any(test, feature = "test-support"))]
pub mod test_support;

pub use config::{
    BusyRequests, DriverVersion, Floor, OperationTime, RangeStyle, StatusFields, UnballoonCheck, VscConfig,
};
pub use constants::constants;
pub use faults::{Faults, HotAddFault, StatusClaim};
pub use interface::{EndReason, Ignored, Input, Output};
pub use machine::DmVsc;
pub use memory::{BalloonAllocation, HotAddRefusal, MemoryManager, StatusSnapshot};
