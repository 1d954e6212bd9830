//! What can be wrong with a guest, for scenarios and tests.

use alloc::vec::Vec;
use core::time::Duration;

use page_range::GuestRange;

/// Faults of a guest. The default is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
#[non_exhaustive]
pub struct Faults {
    /// Requests are dropped, and so never answered.
    pub never_answer: bool,
    /// Requests are answered this much later than they would be.
    pub answer_later: Duration,
    /// At most this percentage of the pages asked for is given away.
    pub balloon_percent: Option<u8>,
    /// Every answer is sent twice.
    pub answer_twice: bool,
    /// What happens to new memory.
    pub hot_add: Option<HotAddFault>,
    /// What is claimed instead of the truth.
    pub claim: Option<StatusClaim>,
    /// No status is reported.
    pub no_status: bool,
    /// Ranges that are added to every balloon answer, whosever they are.
    pub foreign_ranges: Vec<GuestRange>,
}

impl Faults {
    /// These faults with some fields changed.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Nothing is wrong.
    pub const NONE: Self = Self {
        never_answer: false,
        answer_later: Duration::ZERO,
        balloon_percent: None,
        answer_twice: false,
        hot_add: None,
        claim: None,
        no_status: false,
        foreign_ranges: Vec::new(),
    };
}

/// What happens to new memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum HotAddFault {
    /// The guest refuses the memory for now.
    RefuseForNow,
    /// The guest refuses the memory for good.
    RefuseForGood,
    /// The guest takes at most this percentage of the memory.
    Percent(u8),
}

/// A false status, in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StatusClaim {
    /// Available memory.
    pub available: u64,
    /// Commit.
    pub committed: u64,
}
