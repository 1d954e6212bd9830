//! VMBus: ring buffers, packets and channel messages, host and guest side.
//!
//! The virtual bus of the source documents: it spans parent and guest, and carries what a device's VSP and VSC say to each
//! other. [`ring`] is the data path, two rings in guest pages; [`control`] is how a guest finds its channels, opens and
//! leaves them.
//!
//! The crate owns positions in rings and the state of both ends' protocol, and nothing else: no guest memory, no device. It
//! never does I/O, starts a thread, reads a clock, or believes the other side.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]
extern crate alloc;

pub mod control;
pub mod ring;

/// The examples of the README are tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
