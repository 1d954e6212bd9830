//! The wire messages of Hyper-V's integration services: the bytes that the services in the parent partition and the `hv_utils` drivers of
//! a guest exchange, one message per VMBus packet, and nothing else.
//!
//! Every service has a channel of its own, and all services speak in the same frame: a pipe header, a header with versions, type, status
//! and transaction ([`Message`]), and a body that depends on the type. First the host offers the versions that it speaks
//! ([`Negotiation`]); the guest's driver answers with the one of each kind that both have.
//!
//! | service | body | asked by |
//! |---|---|---|
//! | heartbeat | [`Heartbeat`] | the host, again and again; a guest that lives answers with the next number |
//! | shutdown | [`Shutdown`] | the host; the guest answers whether it will, and then does |
//! | time synchronization | [`TimeSync`] | the host; the guest sets or disciplines its clock |
//! | key-value pairs | [`KeyValue`] | the host; a guest's daemon reads and writes its pools |
//!
//! The crate owns layouts and sizes. When a message may come, and what follows from it, is for `integration-vsp` and `integration-vsc`. No
//! input makes the crate panic.
//!
//! ```
//! use integration_protocol::{Flags, Heartbeat, Message, MessageType, Service, Status, Version};
//!
//! let beat = Heartbeat { sequence: 7, state: Default::default() };
//! let bytes = Message {
//!     framework: Version::new(3, 0),
//!     kind: MessageType::HEARTBEAT,
//!     version: Version::new(3, 0),
//!     status: Status::OK,
//!     transaction: 1,
//!     flags: Flags::REQUEST,
//!     body: &beat.encode(),
//! }
//! .encode();
//! let message = Message::decode(&bytes)?;
//! assert_eq!(Heartbeat::decode(message.body)?.sequence, 7);
//! assert_eq!(Service::of(message.kind), Some(Service::Heartbeat));
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! Sources: the public headers and drivers of Linux (`hyperv.h`, `hv_util.c`, `hv_kvp.c`) and the sources of OpenVMM, as facts. All
//! integers are little-endian.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod bodies;
mod key_value;
mod message;
mod negotiation;
mod service;
pub mod wire;

pub use bodies::{
    ApplicationState, Heartbeat, MAX_SHUTDOWN_TEXT, Shutdown, ShutdownKind, TimeSync, TimeSyncFlags,
};
pub use key_value::{KeyValue, KeyValueOperation, MAX_KEY, MAX_VALUE, Pool, Value};
pub use message::{DecodeError, Flags, MAX_MESSAGE, Message, MessageType, Status};
pub use negotiation::Negotiation;
pub use service::{FRAMEWORK_VERSIONS, Service, Version};
