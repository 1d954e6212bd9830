//! What a hypervisor offers to the parent and the child partition.
//!
//! In the source documents both partitions stand on the hypervisor and see of it: the child's memory, *messages* and
//! *event flags* of the synthetic interrupt controller (SynIC). VMBus is built from these three and from nothing else, so
//! they are all that the rest of the stack knows of a hypervisor:
//!
//! | trait | side | what |
//! |---|---|---|
//! | [`GuestRam`] | both | pages of the guest by number, kept alive while in use; copies at an address |
//! | [`GuestMemory`] | host | memory added, taken, restored, counted |
//! | [`MessagePort`] | host | messages to the guest (one slot for each SINT) and from it (16 buffers for each port) |
//! | [`EventPort`] | host | event flags to the guest, signals from it |
//! | [`Hypercalls`] | guest | HvPostMessage, HvSignalEvent |
//! | [`GuestSynic`] | guest | what an interrupt handler finds: message slot and event flags |
//!
//! [`SimulatedPartition`] implements them inside one process; a KVM partition implements the host's half with a real
//! guest in the place of the other.
//!
//! **Owns**: the bytes of guest pages, message slots, post buffers, event flags.
//! **Never**: looks into a message, knows what a VMBus channel is, starts a thread, waits, or reads a clock. A
//! function that the caller gives ([`NotifyFn`]) is called when there is something to look at; how the caller then wakes is its
//! own business. The partition holds no lock while it calls that function.
//!
//! Facts: Hypervisor Top-Level Functional Specification, chapter "Virtual Interrupt Controller" (SynIC).
#![forbid(unsafe_code)]

mod memory;
mod notify;
mod power;
mod simulated;
mod synic;

pub use memory::{GuestMemory, GuestRam, MemoryError, PagePiece, page_pieces};
pub use notify::NotifyFn;
pub use power::PowerEvent;
pub use shared_memory::{ControlPage, DataPages, MappedPages, Page, ViewError};
pub use simulated::{SimulatedGuest, SimulatedHost, SimulatedPartition};
pub use synic::{
    ConnectionInUse, EVENT_FLAGS, EventFlags, EventPort, GuestSynic, HvStatus, Hypercalls, MESSAGE_BYTES,
    Message, MessagePort, MessageTooLong, NoSuchSint, POST_BUFFERS, PostError, SINTS, VMBUS_SINT,
};
