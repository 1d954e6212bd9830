//! Limits on message sizes, and why they are what they are.

use crate::wire;

/// The longest payload, in bytes, that a guest sends; a host must accept this much (documented: the Linux driver builds
/// its answers in a 4096-byte buffer).
pub const MAX_GUEST_PAYLOAD: usize = 4096;

/// The longest payload, in bytes, that a host may send (documented: Linux kernels of the 5.x series cut packets at 4096
/// bytes *including* the 16-byte packet descriptor, and current ones stop reading the ring at a payload above 4096).
pub const MAX_HOST_PAYLOAD: usize = 4080;

/// The most ranges in one BALLOON_RESPONSE: 510.
pub const MAX_BALLOON_RESPONSE_RANGES: usize =
    (MAX_GUEST_PAYLOAD - size_of::<wire::BalloonResponse>()) / size_of::<crate::WireRange>();

/// The most ranges in one UNBALLOON_REQUEST: 508.
pub const MAX_UNBALLOON_REQUEST_RANGES: usize =
    (MAX_HOST_PAYLOAD - size_of::<wire::UnballoonRequest>()) / size_of::<crate::WireRange>();

/// The most pages in one BALLOON_REQUEST, 2288 MiB (documented: QEMU's `hv-balloon`, which says that Windows guests do
/// not honour larger requests; not tried here).
pub const MAX_BALLOON_REQUEST_PAGES: u32 = 585_728;

const _: () = assert!(MAX_BALLOON_RESPONSE_RANGES == 510);
const _: () = assert!(MAX_UNBALLOON_REQUEST_RANGES == 508);
