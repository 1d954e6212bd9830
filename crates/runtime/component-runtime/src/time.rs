//! Simulated time: nanoseconds since the run began.
use core::fmt;
use core::iter::Sum;
use core::ops::{Add, AddAssign, Sub};
use core::str::FromStr;
use core::time::Duration;

use quantities::{ParseDurationError, format_duration, parse_duration};
use serde::{Deserialize, Serialize};

/// A point of time of a run, in nanoseconds since it began.
///
/// Under the virtual clock it moves only from wake to wake; under the wall clock it is elapsed time times the speed.
/// `u64` nanoseconds last for 584 years. Serialised as the number of nanoseconds.
///
/// ```
/// use component_runtime::SimTime;
/// use std::time::Duration;
/// let t = SimTime::from_secs(750) + Duration::from_millis(500);
/// assert_eq!(t.to_string(), "12m30.500s");
/// assert_eq!("12m30.5s".parse(), Ok(t));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SimTime(pub u64);

impl SimTime {
    /// The beginning of the run.
    pub const ZERO: SimTime = SimTime(0);
    /// Never: a timer at this time does not fire, a run until this time has no end of its own.
    pub const MAX: SimTime = SimTime(u64::MAX);

    /// From nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        SimTime(nanos)
    }
    /// From microseconds, [`SimTime::MAX`] if that is beyond it.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        SimTime(micros.saturating_mul(1_000))
    }
    /// From milliseconds, [`SimTime::MAX`] if that is beyond it.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        SimTime(millis.saturating_mul(1_000_000))
    }
    /// From seconds, [`SimTime::MAX`] if that is beyond it.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        SimTime(secs.saturating_mul(1_000_000_000))
    }
    /// Nanoseconds since the run began.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }
    /// Whole seconds since the run began, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000_000
    }
    /// Seconds since the run began.
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        Duration::from(self).as_secs_f64()
    }
    /// This time plus `delay`, [`SimTime::MAX`] if that is beyond it.
    #[must_use]
    pub fn saturating_add(self, delay: Duration) -> Self {
        SimTime(self.0.saturating_add(nanos(delay)))
    }
    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub const fn since(self, earlier: SimTime) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Nanoseconds of a duration, at most `u64::MAX`.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl From<Duration> for SimTime {
    fn from(since_start: Duration) -> Self {
        SimTime(nanos(since_start))
    }
}
impl From<SimTime> for Duration {
    fn from(time: SimTime) -> Self {
        Duration::from_nanos(time.0)
    }
}
impl Add<Duration> for SimTime {
    type Output = SimTime;
    fn add(self, delay: Duration) -> SimTime {
        self.saturating_add(delay)
    }
}
impl AddAssign<Duration> for SimTime {
    fn add_assign(&mut self, delay: Duration) {
        *self = *self + delay;
    }
}
impl Sub for SimTime {
    type Output = Duration;
    /// The same as [`SimTime::since`]: zero if `earlier` is later.
    fn sub(self, earlier: SimTime) -> Duration {
        self.since(earlier)
    }
}
impl Sum<Duration> for SimTime {
    fn sum<I: Iterator<Item = Duration>>(iter: I) -> SimTime {
        iter.fold(SimTime::ZERO, Add::add)
    }
}

impl fmt::Display for SimTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format_duration(Duration::from(*self)))
    }
}

impl FromStr for SimTime {
    type Err = ParseDurationError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_duration(text).map(SimTime::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shows_what_people_write() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "0.000000001s"),
            (10_000, "0.000010s"),
            (500_000_000, "0.500s"),
            (60_000_000_000, "1m"),
            (750_500_000_000, "12m30.500s"),
            (3_600_000_000_000, "1h"),
            (93_784_000_000_000, "1d2h3m4s"),
        ] {
            assert_eq!(SimTime(nanos).to_string(), text);
        }
    }

    #[test]
    fn reads_what_people_write() {
        for (text, nanos) in [
            ("12m30s", 750_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("250ms", 250_000_000),
            (" 1d 2h ", 93_600_000_000_000),
            ("7 ns", 7),
        ] {
            assert_eq!(text.parse(), Ok(SimTime(nanos)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn shown_and_read_back(nanos: u64) {
            prop_assert_eq!(SimTime(nanos).to_string().parse(), Ok(SimTime(nanos)));
        }
    }
}
