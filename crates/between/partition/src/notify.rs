//! Functions that are called when there is something to look at.

use std::fmt;
use std::sync::Arc;

use model_sync::Mutex;

/// A function that the partition calls when there is something to look at: a message, an event flag, a free message slot.
/// The function must not block; the partition calls it on any thread, and possibly more often than there is news.
pub type NotifyFn = Arc<dyn Fn() + Send + Sync>;

/// A place for a function that is connected later. A call before that is made up for when the function is connected.
#[derive(Default)]
pub(crate) struct NotifySlot(Mutex<State>);

#[derive(Default)]
struct State {
    notify: Option<NotifyFn>,
    pending: bool,
}

impl NotifySlot {
    /// Connects the function, and calls it if [`Self::call`] came before the function did.
    pub(crate) fn connect(&self, notify: &NotifyFn) {
        let rang = {
            let mut state = self.0.lock();
            state.notify = Some(Arc::clone(notify));
            std::mem::take(&mut state.pending)
        };
        if rang {
            notify();
        }
    }

    pub(crate) fn call(&self) {
        let notify = {
            let mut state = self.0.lock();
            state.pending = state.notify.is_none();
            state.notify.clone()
        };
        // Outside the lock: the function may come back to this slot.
        if let Some(notify) = notify {
            notify();
        }
    }
}

impl fmt::Debug for NotifySlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotifySlot").field("connected", &self.0.lock().notify.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn a_call_before_connecting_is_made_up_for_once() {
        let heard = Arc::new(AtomicU32::new(0));
        let notify: NotifyFn = {
            let heard = Arc::clone(&heard);
            Arc::new(move || {
                heard.fetch_add(1, Ordering::Relaxed);
            })
        };
        let slot = NotifySlot::default();
        slot.call();
        slot.call();
        slot.connect(&notify);
        assert_eq!(heard.load(Ordering::Relaxed), 1);
        slot.call();
        slot.connect(&notify);
        assert_eq!(heard.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_callback_may_reconnect_from_inside() {
        let slot = Arc::new(NotifySlot::default());
        let (outside, inside) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let inner: NotifyFn = {
            let inside = Arc::clone(&inside);
            Arc::new(move || {
                inside.fetch_add(1, Ordering::Relaxed);
            })
        };
        let outer: NotifyFn = {
            let (slot, outside) = (Arc::clone(&slot), Arc::clone(&outside));
            Arc::new(move || {
                outside.fetch_add(1, Ordering::Relaxed);
                // A lock that is held here would be waited for without end by `connect`.
                assert!(slot.0.try_lock().is_some(), "the function is called under the lock");
                slot.connect(&inner);
            })
        };
        slot.connect(&outer);
        slot.call();
        assert_eq!((outside.load(Ordering::Relaxed), inside.load(Ordering::Relaxed)), (1, 0));
        slot.call();
        assert_eq!((outside.load(Ordering::Relaxed), inside.load(Ordering::Relaxed)), (1, 1));
    }
}
