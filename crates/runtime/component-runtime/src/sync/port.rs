//! Where the thread of a component waits under the wall clock, and where other threads signal to it.
use core::ops::BitOr;
use core::time::Duration;

use model_sync::atomic::{AtomicU32, AtomicU64, Ordering};
use model_sync::thread::{self, Thread};
use model_sync::{Mutex, park_at_most};

use crate::trace::Cause;

/// A set of signals to a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Signals(u32);

impl Signals {
    pub(crate) const NONE: Signals = Signals(0);
    /// A message is in a mailbox.
    pub(crate) const MESSAGE: Signals = Signals(1);
    /// A doorbell has been rung.
    pub(crate) const BELL: Signals = Signals(2);
    /// The component is to be dropped.
    pub(crate) const KILL: Signals = Signals(4);
    /// The run ends: no more wakes.
    pub(crate) const HALT: Signals = Signals(8);
    /// The run ends, and it is this component's turn to be dropped.
    pub(crate) const DROP: Signals = Signals(16);
    /// The time until which the thread sleeps has come.
    #[cfg(shuttle)]
    pub(crate) const TICK: Signals = Signals(32);
    /// Set by the sleeper itself: the thread sleeps, or is about to.
    const ASLEEP: Signals = Signals(1 << 31);

    pub(crate) const fn has(self, signal: Signals) -> bool {
        self.0 & signal.0 != 0
    }
}

impl BitOr for Signals {
    type Output = Signals;
    fn bitor(self, other: Signals) -> Signals {
        Signals(self.0 | other.0)
    }
}

/// Signals for one thread, which sleeps while there are none.
///
/// A thread that raises a signal has published before what the signal is about (a message in a queue, bytes in a ring); the
/// thread that takes the signal sees it.
#[derive(Debug, Default)]
pub(crate) struct Port {
    signals: AtomicU32,
    bell_cause: AtomicU64,
    kill_cause: AtomicU64,
    /// The thread that sleeps here: known before its first sleep.
    sleeper: Mutex<Option<Thread>>,
}

impl Port {
    /// The calling thread is the one that waits here.
    pub(crate) fn settle(&self) {
        *self.sleeper.lock() = Some(thread::current());
    }

    /// Raises signals. May be called on any thread, and before the port has a thread.
    pub(crate) fn raise(&self, signals: Signals) {
        let before = self.signals.fetch_or(signals.0, Ordering::AcqRel);
        // Asleep and not told anything yet: the first one wakes it.
        if before == Signals::ASLEEP.0
            && let Some(sleeper) = &*self.sleeper.lock()
        {
            sleeper.unpark();
        }
    }

    /// Rings the doorbell; the last cause counts.
    pub(crate) fn ring(&self, cause: Cause) {
        self.bell_cause.store(cause.0, Ordering::Relaxed);
        self.raise(Signals::BELL);
    }

    /// The cause of the last ring.
    pub(crate) fn bell_cause(&self) -> Cause {
        Cause(self.bell_cause.load(Ordering::Relaxed))
    }

    /// Tells the component that it has been killed; the last cause counts.
    pub(crate) fn kill(&self, cause: Cause) {
        self.kill_cause.store(cause.0, Ordering::Relaxed);
        self.raise(Signals::KILL);
    }

    /// The cause of the kill.
    pub(crate) fn kill_cause(&self) -> Cause {
        Cause(self.kill_cause.load(Ordering::Relaxed))
    }

    /// Takes the signals that have been raised, without waiting.
    pub(crate) fn take(&self) -> Signals {
        Signals(self.signals.swap(0, Ordering::AcqRel) & !Signals::ASLEEP.0)
    }

    /// Whether no signal has been raised that was not taken.
    #[cfg(shuttle)]
    pub(crate) fn is_quiet(&self) -> bool {
        self.signals.load(Ordering::Acquire) & !Signals::ASLEEP.0 == 0
    }

    /// Takes the signals that have been raised; while there are none, sleeps, at most for `timeout`. May return none without
    /// reason.
    pub(crate) fn wait(&self, timeout: Option<Duration>) -> Signals {
        self.wait_with::<true>(timeout)
    }

    /// `RECHECK` is false only in the model that shows why it has to be true.
    #[inline]
    pub(super) fn wait_with<const RECHECK: bool>(&self, timeout: Option<Duration>) -> Signals {
        let signals = self.take();
        if signals != Signals::NONE {
            return signals;
        }
        // One step: a signal raised before it is seen here, and a raise after it sees that the thread sleeps.
        let raised = self.signals.fetch_or(Signals::ASLEEP.0, Ordering::AcqRel);
        if !RECHECK || raised == 0 {
            park_at_most(timeout);
        }
        self.take()
    }
}
