//! What an agent in a guest can measure of its memory and the Dynamic Memory status report has no field for.
//!
//! | measure | who has it | what it costs there |
//! |---|---|---|
//! | [`StallPressure`] | Linux since 4.20: `/proc/pressure/memory` (pressure stall information, PSI) | nothing worth naming: the kernel keeps it anyway |
//! | active pages | any guest that clears and reads access bits (Linux: `/sys/kernel/mm/page_idle/bitmap`) | a scan over all pages |
//! | [`MissCurve`] | a guest, or a hypervisor, that follows which pages are touched in which order | every touch of a page that is not in the hot set traps |
//!
//! **How it reaches the host**: as the value of the key [`KEY`] in the guest's pool of key-value pairs (integration service *Data Exchange*,
//! KVP), which the host reads at its own pace. The protocol of Dynamic Memory is not changed. Key and text are this project's (invented), but for
//! the lines about stalls, which are those of `/proc/pressure/memory`: an agent copies them.
//!
//! ```text
//! some avg10=1.53 avg60=0.87 avg300=0.29 total=8123456
//! full avg10=0.44 avg60=0.28 avg300=0.08 total=2431234
//! active 81920
//! curve 20480 0:1 40960:0.5 81920:0
//! ```
//!
//! `active` is in pages of 4 KiB. `curve` is touches a second, then sizes in pages with the share of touches that would miss at that size.
//!
//! What a guest says is a claim. [`GuestInsight::parse`] takes any text and is bounded by [`MAX_CHARACTERS`]; what it does not understand
//! is an error, lines that it does not know are left alone.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod curve;
mod text;

use core::time::Duration;

use page_range::PageCount;

pub use curve::{CurveError, MAX_POINTS, MissCurve, MissPoint};
pub use text::ParseError;

/// The key in the guest's pool under which the agent writes (invented).
pub const KEY: &str = "memory-insight";

/// Characters of a text at most: a value of a key-value pair has room for 2048 bytes of UTF-16, its terminator included (documented: Linux,
/// `include/uapi/linux/hyperv.h`, `HV_KVP_EXCHANGE_MAX_VALUE_SIZE`).
pub const MAX_CHARACTERS: usize = 1023;

/// What an agent in the guest has measured. Each part is there only if the agent measures it.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct GuestInsight {
    /// How long tasks of the guest stood still for want of memory.
    pub stalls: Option<StallPressure>,
    /// Pages that the guest has touched since the agent's scan before the last.
    pub active: Option<PageCount>,
    /// How often the guest would touch a page that it does not have, if it had less memory.
    pub curve: Option<MissCurve>,
}

impl GuestInsight {
    /// This insight with some parts changed.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Whether nothing was measured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stalls.is_none() && self.active.is_none() && self.curve.is_none()
    }
}

/// Pressure stall information of memory, as Linux has it (documented: `Documentation/accounting/psi.rst`).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StallPressure {
    /// Time in which at least one task stood still.
    pub some: StallTime,
    /// Time in which all tasks that had something to do stood still at once.
    pub full: StallTime,
}

/// One line of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StallTime {
    /// Percent of the last ten seconds, as a decaying average.
    pub avg10: f64,
    /// Percent of the last minute.
    pub avg60: f64,
    /// Percent of the last five minutes.
    pub avg300: f64,
    /// All of it since boot.
    pub total: Duration,
}
