//! Pauses after refusals.

use core::time::Duration;

/// A pause that doubles with every refusal in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    until: Option<Duration>,
    refusals: u32,
}

impl Backoff {
    /// Refused: pause.
    pub(crate) fn refused(&mut self, now: Duration, first: Duration, longest: Duration) {
        let pause = first.saturating_mul(1 << self.refusals.min(16)).min(longest);
        self.refusals += 1;
        self.until = Some(now + pause);
    }

    /// Not refused: the next pause is a first one again.
    pub(crate) fn accepted(&mut self) {
        *self = Self::default();
    }

    /// Whether there has been no refusal since the last success: then there is no pause, whatever the time.
    pub(crate) fn is_none(&self) -> bool {
        self.until.is_none()
    }

    pub(crate) fn pauses(&self, now: Duration) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_longest_and_starts_again() {
        let (first, longest) = (Duration::from_secs(5), Duration::from_secs(300));
        let mut backoff = Backoff::default();
        let mut now = Duration::ZERO;
        for pause in [5, 10, 20, 40, 80, 160, 300, 300, 300] {
            backoff.refused(now, first, longest);
            now += Duration::from_secs(pause);
            assert!(backoff.pauses(now - Duration::from_nanos(1)) && !backoff.pauses(now));
        }
        assert!(!backoff.is_none());
        backoff.accepted();
        assert!(!backoff.pauses(now) && backoff.is_none());
        backoff.refused(now, first, longest);
        assert!(!backoff.pauses(now + first));
    }
}
