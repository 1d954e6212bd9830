//! The wall clock, and sleeping by it.
use core::time::Duration;
use std::sync::OnceLock;
use std::time::Instant;

use crate::sync::{Port, Signals};
use crate::time::SimTime;

/// Elapsed time times a speed; zero before the run has begun.
#[derive(Debug)]
pub(crate) struct Clock {
    speed: f64,
    began: OnceLock<Instant>,
}

impl Clock {
    pub(crate) fn new(speed: f64) -> Self {
        Clock { speed, began: OnceLock::new() }
    }

    #[expect(clippy::disallowed_methods, reason = "this is the wall clock")]
    pub(crate) fn begin(&self) {
        let _ = self.began.set(Instant::now());
    }

    /// A thread is about to be started, which will sleep at this port. Only the clock of a model has to know.
    #[inline]
    pub(crate) fn enter(&self, _port: &Port) {}

    /// The thread that sleeps at this port is over.
    #[inline]
    pub(crate) fn leave(&self, _port: &Port) {}

    /// The run is over.
    #[inline]
    pub(crate) fn end(&self) {}

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates"
    )]
    pub(crate) fn now(&self) -> SimTime {
        let elapsed = self.began.get().map_or(Duration::ZERO, Instant::elapsed);
        SimTime((elapsed.as_nanos() as f64 * self.speed) as u64)
    }

    /// Sleeps at a port until there are signals, or until it is `time`. May return no signals without reason.
    pub(crate) fn sleep(&self, port: &Port, time: SimTime) -> Signals {
        port.wait(self.until(time))
    }

    /// How long to sleep until it is `time`; `None` if that is never.
    fn until(&self, time: SimTime) -> Option<Duration> {
        if time == SimTime::MAX {
            return None;
        }
        let left = time.since(self.now());
        // A time that does not fit is as good as never.
        Duration::try_from_secs_f64(left.as_secs_f64() / self.speed).ok()
    }
}
