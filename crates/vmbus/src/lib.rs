//! VMBus: ring buffers, packets and channel messages, host and guest side.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]
extern crate alloc;

pub mod control;
pub mod ring;
