//! The wire messages of the Hyper-V Dynamic Memory (DM) protocol: the bytes that a DM VSC (guest driver) and a DM VSP
//! (host) exchange, one message per VMBus packet, and nothing else.
//!
//! The crate owns layouts, sizes and bit packings. The crate never decides: what a message means for a VM, whether it may
//! come now, and whether the page ranges in it are the sender's, is for `dm-vsp` and `dm-vsc`. The crate allocates nothing,
//! needs no `std`, and no input makes it panic.
//!
//! - [`Packet::decode`] turns a packet's payload into a [`Message`] that borrows from it; sizes and range counts are
//!   checked against the bytes that are really there. Types that are not known are kept ([`Message::Unknown`]).
//! - [`Packet::encode`] writes a message into the caller's buffer.
//! - [`wire`] has the layouts themselves, as `zerocopy` types whose sizes are checked at compile time.
//!
//! ```
//! use dm_protocol::{Message, Packet, Version, VersionRequest};
//!
//! let request = VersionRequest { version: Version::V2_0, is_last_attempt: false };
//! let mut buffer = [0; dm_protocol::MAX_GUEST_PAYLOAD];
//! let bytes = Packet { trans_id: 1, message: Message::VersionRequest(request) }.encode(&mut buffer)?;
//! assert_eq!(bytes, [1, 0, 16, 0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0]);
//! assert_eq!(Packet::decode(bytes)?.message, Message::VersionRequest(request));
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! Sources: the public Linux, QEMU and OpenVMM sources and mailing lists, as facts; all integers are little-endian and a
//! page on the wire is always 4096 bytes, whatever the guest's own page size.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod decode;
mod encode;
mod limits;
mod message;
mod message_type;
mod range;
#[cfg(any(test, feature = "test-support"))]
pub mod test_support;
mod version;
pub mod wire;

pub use decode::DecodeError;
pub use encode::EncodeError;
pub use limits::{
    MAX_BALLOON_REQUEST_PAGES, MAX_BALLOON_RESPONSE_RANGES, MAX_GUEST_PAYLOAD, MAX_HOST_PAYLOAD,
    MAX_UNBALLOON_REQUEST_RANGES,
};
pub use message::{
    BalloonRequest, BalloonResponse, Capabilities, CapabilitiesReport, CapabilitiesResponse, HotAddRequest,
    HotAddResponse, HotRemoveRequest, HotRemoveResponse, InfoMessage, Message, Packet, StatusReport,
    UnballoonRequest, UnknownMessage, VersionRequest, VersionResponse,
};
pub use message_type::{MessageType, Sender};
pub use range::WireRange;
pub use version::Version;
