//! Which wake is going on, for the watchdog.
use core::sync::atomic::{AtomicU64, Ordering};

use crate::id::ComponentId;

/// Which wake is going on: a count of wakes, and the slot of the component that is awake.
#[derive(Debug, Default)]
pub(crate) struct Pulse(AtomicU64);

impl Pulse {
    /// A wake begins. Called by one thread at a time.
    pub(crate) fn begin(&self, id: ComponentId) {
        let count = (self.0.load(Ordering::Relaxed) >> 32).wrapping_add(1);
        self.0.store(count << 32 | u64::from(id.slot().wrapping_add(1)), Ordering::Relaxed);
    }

    /// The wake has ended.
    pub(crate) fn end(&self) {
        let count = self.0.load(Ordering::Relaxed) >> 32;
        self.0.store(count << 32, Ordering::Relaxed);
    }

    /// The wake that is going on: its number, and the slot of the component.
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) fn awake(&self) -> Option<(u64, usize)> {
        let pulse = self.0.load(Ordering::Relaxed);
        let slot = usize::try_from(pulse & 0xffff_ffff).ok()?.checked_sub(1)?;
        Some((pulse >> 32, slot))
    }
}
