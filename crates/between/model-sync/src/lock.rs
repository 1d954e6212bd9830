//! Locks without poisoning: `parking_lot`'s, or the model checker's with the same interface.

#[cfg(not(any(loom, shuttle)))]
pub use parking_lot::{Mutex, MutexGuard, RwLock};

#[cfg(loom)]
use loom::sync as model;
#[cfg(all(shuttle, not(loom)))]
use shuttle::sync as model;

#[cfg(any(loom, shuttle))]
pub use model::MutexGuard;
#[cfg(any(loom, shuttle))]
use model::{RwLockReadGuard, RwLockWriteGuard};

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

/// The model checker's read-write lock, with the interface of `parking_lot`'s.
#[cfg(any(loom, shuttle))]
#[derive(Debug)]
pub struct RwLock<T>(model::RwLock<T>);

#[cfg(any(loom, shuttle))]
impl<T> RwLock<T> {
    /// An unlocked lock.
    pub fn new(value: T) -> Self {
        RwLock(model::RwLock::new(value))
    }

    /// Waits until no thread writes.
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Waits until no thread reads or writes.
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(any(loom, shuttle))]
impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        RwLock::new(T::default())
    }
}
