//! The atomics, locks and threads of everything that is synchronised by hand, in one place.
//!
//! Production code and its models are the same source, which takes its atomics, fences, `Arc` and threads from this crate. In a
//! normal build these types are those of `core` and `std`; under `--cfg loom` those of [loom], which explores every
//! interleaving; under `--cfg shuttle` those of [shuttle], which explores random interleavings of larger models.
//!
//! Without the default feature `std` only the atomics and fences are there, and the crate is `no_std`.
//!
//! [loom]: https://docs.rs/loom
//! [shuttle]: https://docs.rs/shuttle
#![cfg_attr(not(any(feature = "std", loom, shuttle)), no_std)]
#![forbid(unsafe_code)]

/// Atomic types and fences of what one process has for itself.
pub mod atomic {
    #[cfg(not(any(loom, shuttle)))]
    pub use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
    #[cfg(loom)]
    pub use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
    #[cfg(all(shuttle, not(loom)))]
    pub use shuttle::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
}

/// Atomic types and fences for memory that two partitions share: loom's in a loom model, otherwise always those of `core`,
/// since the pages of a guest are what they are.
///
/// Shuttle cannot put its own types into such pages. Under shuttle the words are `core`'s, and the code that uses them says where
/// another thread may come in between, with [`interleave`](shared::interleave).
pub mod shared {
    #[cfg(not(any(loom, shuttle)))]
    pub use core::sync::atomic::fence;
    #[cfg(not(loom))]
    pub use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
    #[cfg(loom)]
    pub use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

    /// The fence, and a place where shuttle may change threads.
    #[cfg(all(shuttle, not(loom)))]
    pub fn fence(order: Ordering) {
        interleave();
        core::sync::atomic::fence(order);
    }

    /// A place where shuttle may change threads. Nothing at all in any other build.
    #[inline(always)]
    pub fn interleave() {
        #[cfg(all(shuttle, not(loom)))]
        shuttle::thread::yield_now();
    }
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
pub use lock::{Mutex, MutexGuard, RwLock};

/// Parks the thread until another unparks it, or until `timeout` has passed; may also return for no reason.
///
/// A model checker knows no time: in a model the timeout never ends the wait.
#[cfg(any(feature = "std", loom, shuttle))]
pub fn park_at_most(timeout: Option<core::time::Duration>) {
    match timeout {
        #[cfg(not(any(loom, shuttle)))]
        Some(timeout) => thread::park_timeout(timeout),
        _ => thread::park(),
    }
}
