//! The **GMO memory manager** (Guest Memory Object; Table 2-3 of the main source): one for each virtual machine, inside
//! that machine's worker process (`vmwp.exe`), it manages the VM's memory map, from guest pages to host frames.
//!
//! # What it owns
//!
//! Every frame that is mapped into its VM, as [`HostFrames`](page_range::HostFrames): mapping takes frames in, unmapping
//! gives them out, and when the manager is dropped, in unwinding too, all of them go home. Two guest pages on one frame
//! cannot happen, because a frame has one owner.
//!
//! The map uses large pages of 2 MiB, as \[B\] says that Windows Server 2008 R2 does, wherever 512 guest pages and their frames are both
//! contiguous and aligned; it splits one into pages of 4 KiB only when a part of it goes, and joins them again as soon
//! as that is possible. Frames are placed so that it is possible often.
//!
//! Pages under a live GPADL (a ring of a VMBus channel) are *pinned*: a guest that gives such a page to its balloon is
//! refused.
//!
//! # What it never does
//!
//! It speaks no protocol (`dm-vsp` does), decides on no sizes (the balancer does), and holds no bytes (the partition
//! does). The map trusts no range: whatever a guest claims, up to all 2^40 pages, costs time for what is mapped and not for
//! what is claimed, and either is done whole or changes nothing.
#![forbid(unsafe_code)]

mod error;
mod manager;
mod pins;
mod placement;
mod run_map;
mod saved;

#[cfg(test)]
mod tests;

pub use error::{
    ForeignPin, MapError, MapRefusal, PinError, RestoreError, RestoreRefusal, UnmapError, UnmapRefusal,
};
pub use manager::{GUEST_ADDRESS_SPACE, GmoMemoryManager};
pub use pins::{Pin, PinId};
pub use run_map::{Mapping, MappingCounts, SizeChanges};
pub use saved::{Restored, SavedPin, SavedState, SavedStateV1};
