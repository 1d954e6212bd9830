//! A mutex without poisoning: `parking_lot`'s, or the model checker's with the same interface.

#[cfg(not(any(loom, shuttle)))]
pub use parking_lot::{Mutex, MutexGuard};

#[cfg(loom)]
use loom::sync as model;
#[cfg(all(shuttle, not(loom)))]
use shuttle::sync as model;

#[cfg(any(loom, shuttle))]
pub use model::MutexGuard;

/// The model checker's mutex, with the interface of `parking_lot`'s.
#[cfg(any(loom, shuttle))]
#[derive(Debug)]
pub struct Mutex<T>(model::Mutex<T>);

#[cfg(any(loom, shuttle))]
impl<T> Mutex<T> {
    /// An unlocked mutex.
    pub fn new(value: T) -> Self {
        Mutex(model::Mutex::new(value))
    }

    /// Waits for the lock.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(any(loom, shuttle))]
impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Mutex::new(T::default())
    }
}
