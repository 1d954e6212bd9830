//! Telling somebody that there is something to look at.

use std::fmt;
use std::sync::Arc;

use model_sync::Mutex;

/// Called when there is something to look at. It must not block, and may be called from any thread and more often than
/// there is news.
pub type Doorbell = Arc<dyn Fn() + Send + Sync>;

/// A place for a doorbell that is connected later. A ring before that is not lost.
#[derive(Default)]
pub(crate) struct DoorbellSlot(Mutex<State>);

#[derive(Default)]
struct State {
    doorbell: Option<Doorbell>,
    rang_unheard: bool,
}

impl DoorbellSlot {
    /// Connects the doorbell, and rings it if somebody has rung before.
    pub(crate) fn connect(&self, doorbell: &Doorbell) {
        let rang = {
            let mut state = self.0.lock();
            state.doorbell = Some(Arc::clone(doorbell));
            std::mem::take(&mut state.rang_unheard)
        };
        if rang {
            doorbell();
        }
    }

    pub(crate) fn ring(&self) {
        let doorbell = {
            let mut state = self.0.lock();
            state.rang_unheard = state.doorbell.is_none();
            state.doorbell.clone()
        };
        // Outside the lock: what it calls may come back here.
        if let Some(doorbell) = doorbell {
            doorbell();
        }
    }
}

impl fmt::Debug for DoorbellSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DoorbellSlot").field("connected", &self.0.lock().doorbell.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn a_ring_before_connecting_is_heard_once() {
        let heard = Arc::new(AtomicU32::new(0));
        let doorbell: Doorbell = {
            let heard = Arc::clone(&heard);
            Arc::new(move || {
                heard.fetch_add(1, Ordering::Relaxed);
            })
        };
        let slot = DoorbellSlot::default();
        slot.ring();
        slot.ring();
        slot.connect(&doorbell);
        assert_eq!(heard.load(Ordering::Relaxed), 1);
        slot.ring();
        slot.connect(&doorbell);
        assert_eq!(heard.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_doorbell_may_reconnect_from_inside() {
        let slot = Arc::new(DoorbellSlot::default());
        let (outside, inside) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let inner: Doorbell = {
            let inside = Arc::clone(&inside);
            Arc::new(move || {
                inside.fetch_add(1, Ordering::Relaxed);
            })
        };
        let outer: Doorbell = {
            let (slot, outside) = (Arc::clone(&slot), Arc::clone(&outside));
            Arc::new(move || {
                outside.fetch_add(1, Ordering::Relaxed);
                // A lock that is held here would be waited for without end by `connect`.
                assert!(slot.0.try_lock().is_some(), "the doorbell is rung under the lock");
                slot.connect(&inner);
            })
        };
        slot.connect(&outer);
        slot.ring();
        assert_eq!((outside.load(Ordering::Relaxed), inside.load(Ordering::Relaxed)), (1, 0));
        slot.ring();
        assert_eq!((outside.load(Ordering::Relaxed), inside.load(Ordering::Relaxed)), (1, 1));
    }
}
