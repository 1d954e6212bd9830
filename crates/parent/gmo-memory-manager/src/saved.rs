//! Saving and restoring a memory map.

use page_range::{GuestPage, RangeSet};
use serde::{Deserialize, Serialize};

use crate::{GmoMemoryManager, Pin, PinId};

/// The state of a memory map, by version of its form. A version that is not known is refused when it is read.
///
/// Frames are never part of it: a saved VM has given its memory back, and is restored onto other frames.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SavedState {
    /// The first version.
    V1(SavedStateV1),
}

/// The first version of [`SavedState`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedStateV1 {
    /// The guest pages that are mapped.
    pub mapped: RangeSet<GuestPage>,
    /// The pins, by ascending number.
    pub pins: Vec<SavedPin>,
    /// The number that the next pin will have.
    pub next_pin: PinId,
}

/// A pin in a saved state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedPin {
    /// Its number.
    pub id: PinId,
    /// The pages that it holds.
    pub pages: RangeSet<GuestPage>,
}

/// A memory map that was restored.
#[derive(Debug)]
pub struct Restored {
    /// The memory map.
    pub manager: GmoMemoryManager,
    /// Its pins, by ascending number. Their owners know them by [`Pin::id`].
    pub pins: Vec<Pin>,
}
