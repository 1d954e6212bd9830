//! Page numbers, page ranges, range sets, and **host frames as owned values**.
//!
//! The sources move memory between a host and its virtual machines in pages of 4 KiB, and Windows Server 2008 R2 maps
//! guest memory in large pages of 2 MB where it can. Every component of the stack (the balancer's pool, a grant on
//! its way to a worker, the memory map that the GMO memory manager keeps) speaks about the same pages; this crate is
//! what they share.
//!
//! # What it owns
//!
//! * [`GuestPage`] and [`HostPage`], two numberings that cannot be mixed up, and [`PageCount`]; [`PageCounter`] and [`PageBalance`] for
//!   what a guest counts since it booted, of which only differences are page counts.
//! * [`PageRange`], which is never empty and never overflows, and [`RangeSet`], which stores runs and not pages: a guest
//!   may name 2^40 pages in eight bytes, so nothing here takes time or memory in proportion to a claimed size.
//! * [`HostFrames`], host memory as something that is *owned*. It is minted once, by [`HostMemory::new`], and from then
//!   on is split, merged and moved; dropping it, in unwinding too, sends it home. Giving a VM memory that the host does
//!   not have is not a bug to test for, it cannot be written.
//!
//! # What it never does
//!
//! It holds no bytes of memory (the partition does), maps nothing (the GMO memory manager does), decides nothing about
//! who gets memory (the balancer does), and depends on no hash order: every iteration is in page order.
//!
//! # Features
//!
//! * `std` (on by default): host frames, whose home is behind a lock. Without `std` the crate is `no_std` and has the numbers, ranges and sets.
//! * `serde`: page numbers, counts, ranges and sets can be serialized.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod count;
mod counter;
#[cfg(feature = "std")]
mod frames;
#[cfg(feature = "std")]
mod host_memory;
mod page;
mod range;
mod set;

pub use count::{LARGE_PAGE_PAGES, PAGE_SIZE, PAGES_PER_MIB, PageCount};
pub use counter::{PageBalance, PageCounter};
#[cfg(feature = "std")]
pub use frames::{ForeignFrames, FrameHome, HostFrames, NotOwned, ReturnedFrames};
#[cfg(feature = "std")]
pub use host_memory::HostMemory;
pub use page::{GuestPage, HostPage, PageNumber};
pub use range::{BadRange, PageRange};
pub use set::{IntoRuns, NotContained, Overlap, RangeSet, Runs};

/// A range of guest pages.
pub type GuestRange = PageRange<GuestPage>;
/// A range of host frames.
pub type HostRange = PageRange<HostPage>;

/// The examples of the README are tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
