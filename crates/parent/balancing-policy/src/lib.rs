//! The contract between the memory balancer and the designs that decide for it.
//!
//! In the source documents the Memory Balancer is one box inside `vmms.exe`: it collects the VMs' memory usage and
//! decides who gets memory. Here the box has two halves. The *engine* (crate `memory-balancer`) owns the host's frames,
//! moves them safely and keeps the books; a *policy* decides, once a round, how much memory each VM should have. This
//! crate is what the two say to each other, and all that a new design needs to know.
//!
//! # A round
//!
//! The engine calls [`Policy::round`] with a [`HostView`] and one [`VmView`] per running VM, in ascending order of
//! [`VmId`]. The [`Proposal`] already holds the last round's target for every VM (what a VM holds, for a new one); the
//! policy changes what it wants changed and says why, as a [`Reason`] that programs can read.
//!
//! ```
//! use balancing_policy::{HostView, Policy, Proposal, Reason, VmView};
//!
//! /// Everyone gets what the guest has committed, and half as much again.
//! struct HalfAgain;
//!
//! impl Policy for HalfAgain {
//!     fn name(&self) -> &str {
//!         "half-again"
//!     }
//!
//!     fn uses_priority(&self) -> bool {
//!         false
//!     }
//!
//!     fn round(&mut self, _host: &HostView<'_>, vms: &[VmView], proposal: &mut Proposal) {
//!         for (index, vm) in vms.iter().enumerate() {
//!             let Some(demand) = vm.demand() else { continue };
//!             let target = vm.reachable(demand + balancing_policy::PageCount(demand.get() / 2));
//!             proposal.set(index, target, Reason::new("half-again").with("demand_mib", demand.mib()));
//!         }
//!     }
//! }
//! ```
//!
//! # What only some guests say
//!
//! [`VmView::insight`] is what an agent in the guest has measured: stalls, active pages, a miss curve. Most guests have no agent, and an agent
//! need not measure everything, so each part is an `Option`; a policy that would rather have it does what it can without.
//!
//! # What a policy cannot do
//!
//! A policy holds no frames and sends nothing. Its targets are proposals: the engine holds them against bounds, capacity and
//! reservations, corrects what does not fit, and records what it corrected. A policy that panics loses its round; the
//! last targets hold.
//!
//! # What this crate never does
//!
//! This crate decides nothing, reads no clock (`now` comes with the [`HostView`]), and nothing in it allocates in a round that
//! has the same VMs as the round before.
#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod future;
mod history;
mod per_vm;
mod policy;
mod pressure;
mod proposal;
mod reason;
mod settings;
mod view;

pub use future::{Future, VmFuture};
pub use guest_insight::{GuestInsight, MissCurve, MissPoint, StallPressure, StallTime};
pub use history::{GuestReport, GuestStatus, HISTORY_LENGTH, StatusHistory};
pub use page_range::{PageBalance, PageCount, PageCounter};
pub use per_vm::PerVm;
pub use policy::Policy;
pub use pressure::{PressureBand, pressure, satisfied_pressure};
pub use proposal::{Proposal, Target};
pub use reason::{MAX_INPUTS, Reason};
pub use settings::{MemorySettings, Setting, SettingsError};
pub use view::{
    HostView, Insight, InsightKind, KeyInput, ParentState, PendingKind, PendingOperation, Phase, Reservation,
    VmId, VmView,
};
