//! The DM VSC (Dynamic Memory virtualization service client): the guest's driver for Dynamic Memory, `dmvsc.sys` in the
//! Windows guests of the source and `hv_balloon` in Linux (table 2-3 of the source).
//!
//! [`DmVsc`] is a state machine without I/O, threads or clocks: the caller hands in what happened ([`Input`]), the time and the
//! guest's [`MemoryServices`], and carries out what comes back ([`Output`]).
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
//!
//! # Driving it
//!
//! ```
//! use core::time::Duration;
//!
//! use dm_vsc::{
//!     BalloonAllocation, DmVsc, DriverVersion, HotAddRefusal, Input, MemoryServices, Output, StatusSnapshot, VscConfig,
//! };
//! use page_range::{GuestPage, GuestRange, PageCount};
//!
//! /// A guest of 64 MiB that uses nothing, and gives pages from the top of what it has left.
//! struct Memory(PageCount);
//!
//! impl MemoryServices for Memory {
//!     fn status(&self) -> StatusSnapshot {
//!         StatusSnapshot::default().with(|status| (status.total, status.available) = (self.0, self.0))
//!     }
//!
//!     fn allocate_balloon(&mut self, most: PageCount) -> BalloonAllocation {
//!         let pages = most.min(self.0);
//!         self.0 -= pages;
//!         let ranges = GuestRange::new(GuestPage(self.0.get()), pages).into_iter().collect();
//!         BalloonAllocation::new(ranges, Duration::ZERO)
//!     }
//!
//!     fn free_balloon(&mut self, ranges: &[GuestRange]) -> PageCount {
//!         let pages = ranges.iter().map(|range| range.pages()).sum();
//!         self.0 += pages;
//!         pages
//!     }
//!
//!     fn hot_add(&mut self, _: GuestRange, _: Option<GuestRange>) -> Result<PageCount, HotAddRefusal> {
//!         Err(HotAddRefusal::ForGood)
//!     }
//! }
//!
//! let mut memory = Memory(PageCount::from_mib(64));
//! let mut driver = DmVsc::new(VscConfig::windows(DriverVersion::V0_3));
//! let mut out = Vec::new();
//! driver.handle(Duration::ZERO, Input::ChannelOpened, &mut memory, &mut out);
//! // It proposes 0.3, as its last attempt.
//! let Output::Send { message, bytes } = &out[0] else { panic!("{out:?}") };
//! assert_eq!(message.to_string(), "VERSION_REQUEST");
//! assert_eq!(bytes[..], [1, 0, 16, 0, 1, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0]);
//! // The host's answer comes from the channel's ring; then `next_timeout` says when to hand in `Input::Timer`.
//! let accepted = vec![2, 0, 16, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
//! driver.handle(Duration::from_millis(1), Input::Packet(accepted), &mut memory, &mut out);
//! assert!(out.contains(&Output::VersionAccepted(DriverVersion::V0_3)));
//! ```

#![no_std]
#![forbid(unsafe_code)]

#[macro_use]
extern crate alloc;
#[cfg(any(test, feature = "test-support"))]
extern crate std;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

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
pub use memory::{BalloonAllocation, HotAddRefusal, MemoryServices, StatusSnapshot};
