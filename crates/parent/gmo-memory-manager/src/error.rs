//! Refusals. After each of them, nothing has changed.

use page_range::{GuestPage, GuestRange, HostFrames, PageCount};

use crate::{Pin, PinId};

/// Frames were not mapped; this error gives them back.
#[derive(Debug, thiserror::Error)]
#[error("{} not mapped: {refusal}", .frames.pages())]
pub struct MapError {
    /// The frames that were to be mapped.
    pub frames: HostFrames,
    /// Why.
    pub refusal: MapRefusal,
}

/// Why frames were not mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapRefusal {
    /// A guest page in the ranges is mapped already.
    #[error("guest pages {mapped} are mapped already")]
    AlreadyMapped {
        /// The lowest part of the first such range that is mapped.
        mapped: GuestRange,
    },
    /// A guest page is named twice.
    #[error("guest pages {twice} are named twice")]
    NamedTwice {
        /// The lowest part of the first such range that an earlier one names.
        twice: GuestRange,
    },
    /// A guest page lies beyond the [guest address space](crate::GUEST_ADDRESS_SPACE).
    #[error("guest pages {range} reach beyond the guest address space")]
    BeyondAddressSpace {
        /// The first such range.
        range: GuestRange,
    },
    /// There are not as many frames as guest pages.
    #[error("{frames} of host memory cannot back {guest} of guest memory")]
    WrongCount {
        /// Guest pages in the ranges.
        guest: PageCount,
        /// Frames given.
        frames: PageCount,
    },
    /// The frames are of another host than those that are mapped already.
    #[error("the frames are another host's")]
    OtherHost,
}

/// Guest pages were not unmapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("guest pages {range} (range {index}) not unmapped: {refusal}")]
pub struct UnmapError {
    /// Which of the ranges of the call, counted from zero: the first one that offends.
    pub index: usize,
    /// That range.
    pub range: GuestRange,
    /// Why.
    pub refusal: UnmapRefusal,
}

/// Why guest pages were not unmapped. Each names the lowest run of pages in the range for which it is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnmapRefusal {
    /// The guest does not have these pages.
    #[error("{missing} are not mapped")]
    NotMapped {
        /// Which.
        missing: GuestRange,
    },
    /// An earlier range of the same call names these pages.
    #[error("{twice} are named twice")]
    NamedTwice {
        /// Which.
        twice: GuestRange,
    },
    /// These pages are under a live GPADL.
    #[error("{pinned} are pinned")]
    Pinned {
        /// Which.
        pinned: GuestRange,
    },
}

/// Pages were not pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{page} is not mapped and cannot be pinned")]
pub struct PinError {
    /// The first page of the call that is not mapped.
    pub page: GuestPage,
}

/// A pin of another memory map; this error gives it back.
#[derive(Debug, thiserror::Error)]
#[error("a pin of another memory map")]
pub struct ForeignPin {
    /// The pin.
    pub pin: Pin,
}

/// A memory map was not restored. The frames are given back.
#[derive(Debug, thiserror::Error)]
#[error("memory map not restored: {refusal}")]
pub struct RestoreError {
    /// The frames that were to back it.
    pub frames: HostFrames,
    /// Why.
    pub refusal: RestoreRefusal,
}

/// Why a memory map was not restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreRefusal {
    /// Its pages cannot be mapped.
    #[error(transparent)]
    Map(#[from] MapRefusal),
    /// A pin holds pages that are not mapped.
    #[error("pin {id} holds {missing}, which are not mapped")]
    PinNotMapped {
        /// Which pin.
        id: PinId,
        /// The lowest run of such pages.
        missing: GuestRange,
    },
    /// Pins are not in ascending order of their numbers, or one has a number that will be given to another, or no numbers
    /// are left for others.
    #[error("pin {id} is out of order")]
    PinOrder {
        /// Which number.
        id: PinId,
    },
}
