//! The control plane: channel messages and the state machines of both sides.
//!
//! - [`message`]: the channel messages, byte for byte, and nothing else.
//! - [`server`]: the host's side of one guest: offers, version negotiation, GPADLs, open and close.
//! - [`client`]: the guest's side, as a driver such as Linux' `hv_vmbus` has it.
//! - [`queue`]: the host's queue in front of the guest's single message slot.
//!
//! The machines do no I/O, start no thread and read no clock. Messages and answers go in, outputs come out; the
//! caller carries the outputs out **in order**. Neither machine believes the other: whatever arrives may be refused
//! and reported, and never causes a panic, a loop without end or memory without bound.

pub mod client;
#[cfg(test)]
mod explore;
mod ids;
pub mod message;
pub mod queue;
pub mod server;
#[cfg(any(test, feature = "test-support"))]
pub mod test_support;
mod version;

pub use ids::{
    CONTACT_CONNECTION_ID, CONTACT_CONNECTION_ID_V5, DYNAMIC_MEMORY_CLASS, DYNAMIC_MEMORY_INSTANCE, GpadlId,
    InvalidRelid, MAX_RELID, NO_INTERRUPT_VP, PostStatus, Relid, Status, VMBUS_MESSAGE_TYPE, VMBUS_SINT,
};
pub use uuid::Uuid;
pub use version::Version;
