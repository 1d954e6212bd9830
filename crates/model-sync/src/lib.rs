//! One switch for everything that is synchronised by hand.
//!
//! Production code and its models are the same source: it takes its atomics, fences, `Arc` and threads from here. In a
//! normal build they are those of `core` and `std`; under `--cfg loom` they are [loom]'s, which explores every
//! interleaving; under `--cfg shuttle` they are [shuttle]'s, which explores random ones of larger models.
//!
//! Without the default feature `std` only the atomics and fences are there, and the crate is `no_std`.
//!
//! [loom]: https://docs.rs/loom
//! [shuttle]: https://docs.rs/shuttle
#![cfg_attr(not(any(feature = "std", loom, shuttle)), no_std)]
#![forbid(unsafe_code)]

/// Atomic types and fences.
pub mod atomic {
    #[cfg(not(any(loom, shuttle)))]
    pub use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
    #[cfg(loom)]
    pub use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
    #[cfg(all(shuttle, not(loom)))]
    pub use shuttle::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
}

#[cfg(loom)]
pub use loom::{sync::Arc, thread};
#[cfg(all(shuttle, not(loom)))]
pub use shuttle::{sync::Arc, thread, thread_local};
#[cfg(all(feature = "std", not(any(loom, shuttle))))]
pub use std::{sync::Arc, thread};

#[cfg(any(feature = "std", loom, shuttle))]
mod lock;
#[cfg(any(feature = "std", loom, shuttle))]
pub use lock::{Mutex, MutexGuard};

/// Parks the thread until somebody unparks it, or until `timeout` has passed; it may also return for no reason.
///
/// A model checker knows no time: there it never returns because of the timeout.
#[cfg(any(feature = "std", loom, shuttle))]
pub fn park_at_most(timeout: Option<core::time::Duration>) {
    match timeout {
        #[cfg(not(any(loom, shuttle)))]
        Some(timeout) => thread::park_timeout(timeout),
        _ => thread::park(),
    }
}
