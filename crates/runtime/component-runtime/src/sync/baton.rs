//! Handing over from thread to thread: of all threads that wait at batons, one runs.
use model_sync::atomic::{AtomicBool, Ordering};
use model_sync::thread::{self, Thread};

/// The right to run, for one thread. The thread that has the right gives it to the next thread and waits at its own baton.
///
/// What the giver did before it gave, the taker sees.
#[derive(Debug)]
pub(crate) struct Baton {
    given: AtomicBool,
    taker: Thread,
}

impl Baton {
    /// A baton at which the calling thread will wait.
    pub(crate) fn of_this_thread() -> Self {
        Baton { given: AtomicBool::new(false), taker: thread::current() }
    }

    /// Lets the baton's thread run.
    pub(crate) fn give(&self) {
        self.publish(Ordering::Release);
        self.rouse();
    }

    /// First half of giving. The ordering is a parameter only for the model that shows that a weaker one would be wrong.
    #[inline]
    pub(super) fn publish(&self, ordering: Ordering) {
        self.given.store(true, ordering);
    }

    /// Second half of giving. The taker may run before it, if it was awake.
    #[inline]
    pub(super) fn rouse(&self) {
        self.taker.unpark();
    }

    /// Waits until the baton has been given. Only for the thread that made it.
    pub(crate) fn wait(&self) {
        // A park may end for no reason, or because of an unpark that an earlier wait did not need.
        while !self.take() {
            thread::park();
        }
    }

    /// Takes the baton if it has been given.
    #[inline]
    pub(super) fn take(&self) -> bool {
        let given = self.given.load(Ordering::Acquire);
        if given {
            // No thread gives this baton again before this thread has run.
            self.given.store(false, Ordering::Relaxed);
        }
        given
    }
}
