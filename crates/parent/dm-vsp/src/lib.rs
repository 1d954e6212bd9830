//! The DM VSP (Dynamic Memory virtualization service provider): the host's end of the Dynamic Memory protocol, one for
//! each virtual machine, in the worker process of that VM (table 2-3 of the source).
//!
//! [`DmVsp`] is a state machine without I/O, threads or clocks: the caller hands in what happened ([`Input`]) and the time, and
//! carries out what comes back ([`Output`]). Inputs and outputs are plain data, so a recorded run can be fed in again
//! and must give the same outputs.
//!
//! **What it owns**: the conversation with one guest (version, capabilities, quiet period, the one operation that is
//! outstanding and its deadline) and the account of that guest's pages ([`GuestPages`]: its RAM, what it gave away, what
//! is stranded).
//!
//! **What it never does**: it decides nothing about how much memory a VM gets, it holds no host frames and no memory map
//! (it asks its caller to [map](Output::Map) and to [release](Output::Release) guest pages), and it believes nothing a
//! guest says that it can check. Whatever a guest sends costs only that guest: at worst its channel.
//!
//! # Driving it
//!
//! ```
//! use dm_vsp::{DmVsp, GuestLayout, Input, Output, VspConfig};
//! use page_range::PageCount;
//! use core::time::Duration;
//!
//! let layout = GuestLayout::flat(PageCount::from_mib(512), PageCount::from_mib(4096))?;
//! let mut vsp = DmVsp::new(VspConfig::new(layout))?;
//! let mut out = Vec::new();
//! vsp.handle(Duration::ZERO, Input::ChannelOpened, &mut out);
//! // A guest asks for 0.3, last attempt.
//! let request = [1, 0, 16, 0, 3, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0];
//! vsp.handle(Duration::from_millis(1), Input::Packet(request.to_vec()), &mut out);
//! for output in out.drain(..) {
//!     match output {
//!         Output::Send { bytes, .. } => { /* write it to the ring, or queue it */ }
//!         Output::Map { ticket, ranges, kind } => { /* map, then Input::Mapped */ }
//!         Output::Release { ticket, ranges, kind } => { /* unmap all or nothing, then Input::Released */ }
//!         Output::CloseChannel => { /* close or rescind it, then Input::ChannelClosed */ }
//!         _ => { /* for the balancer, the counters and the event log */ }
//!     }
//! }
//! if let Some(at) = vsp.next_timeout() { /* Input::Timer at that time */ }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Every `Grow` and `Shrink` is answered by exactly one [`Output::Rejected`] (at once) or [`Output::Finished`]. Every
//! `Map` and `Release` is to be answered by the caller with its ticket; after [`Input::Reset`] tickets given before are
//! void. Messages in `Send` belong to the handshake or to the one outstanding operation: a caller whose ring is full
//! queues them and never has more than one operation's messages to queue.

#![no_std]
#![forbid(unsafe_code)]

#[macro_use]
extern crate alloc;
#[cfg(any(test, feature = "test-support"))]
extern crate std;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod answers;
mod config;
mod constants;
mod event;
mod handshake;
mod interface;
mod machine;
mod operation;
mod pages;
mod saved;
mod send;
mod state;
mod statistics;
#[cfg(feature = "test-support")]
pub mod test_support;

pub use config::{
    CapabilityPolicy, ConfigError, GuestLayout, HostRelease, HotAddBackoff, HotAddForm, ProtocolVersion,
    Timeouts, VspConfig,
};
pub use constants::constants;
pub use event::{PROTOCOL_ERROR_EVENT, Violation, version_refusal};
pub use interface::{
    GuestCapabilities, Ignored, Input, MapKind, MapRefused, OperationKind, Outcome, Output, Rejection,
    ReleaseKind, ReleaseRefused, StatusReport, Waiting,
};
pub use pages::GuestPages;
pub use saved::{RestoreError, SavedState};
pub use state::{DmVsp, HotAddState};
pub use statistics::Statistics;
