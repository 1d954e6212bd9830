//! Simulated time: nanoseconds since the run began.
use core::fmt;
use core::iter::Sum;
use core::ops::{Add, AddAssign, Sub};
use core::str::FromStr;
use core::time::Duration;

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

/// Writes a duration as days, hours, minutes and seconds, largest first, without leading zeros: `2d3h`, `12m30.500s`,
/// `0s`. The seconds have 3, 6 or 9 decimals, whichever is enough to be exact. [`parse_duration`] reads it back.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    use fmt::Write as _;
    let (seconds, sub) = (duration.as_secs(), duration.subsec_nanos());
    let mut out = String::new();
    let mut rest = seconds;
    for (unit, length) in [("d", 86_400), ("h", 3_600), ("m", 60)] {
        if rest >= length {
            let _ = write!(out, "{}{unit}", rest / length);
            rest %= length;
        }
    }
    let _ = match sub {
        0 if rest == 0 && !out.is_empty() => Ok(()),
        0 => write!(out, "{rest}s"),
        _ if sub % 1_000_000 == 0 => write!(out, "{rest}.{:03}s", sub / 1_000_000),
        _ if sub % 1_000 == 0 => write!(out, "{rest}.{:06}s", sub / 1_000),
        _ => write!(out, "{rest}.{sub:09}s"),
    };
    out
}

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseDurationError {
    /// Nothing there.
    #[error("a duration is missing: write for example 12m30s")]
    Empty,
    /// A number has no unit behind it.
    #[error("`{0}` has no unit: use d, h, m, s, ms, us or ns, for example 90s or 1h30m")]
    NoUnit(String),
    /// A unit that does not exist.
    #[error("`{0}` is not a unit of time: use d, h, m, s, ms, us or ns")]
    UnknownUnit(String),
    /// A part does not begin with a number.
    #[error("`{0}` is not a number, or has more than nine decimals: write for example 12m30.5s")]
    NotANumber(String),
    /// More than 584 years.
    #[error("`{0}` is too long: a run lasts at most 584 years")]
    TooLong(String),
}

/// Reads a duration: numbers with units (`d`, `h`, `m`, `s`, `ms`, `us` or `µs`, `ns`), one after another, with at most
/// nine decimals each: `12m30s`, `1.5h`, `250ms`, `1d 2h`.
///
/// # Errors
/// [`ParseDurationError`], which quotes the part that is wrong.
pub fn parse_duration(text: &str) -> Result<Duration, ParseDurationError> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(ParseDurationError::Empty);
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(number_end);
        let tail = tail.trim_start();
        let unit_end =
            tail.find(|c: char| c.is_ascii_digit() || c == '.' || c.is_whitespace()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && decimals.is_empty()) || decimals.len() > 9 || decimals.contains('.') {
            return Err(ParseDurationError::NotANumber(rest.to_owned()));
        }
        let unit_nanos: u64 = match unit {
            "d" => 86_400_000_000_000,
            "h" => 3_600_000_000_000,
            "m" | "min" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "us" | "µs" | "μs" => 1_000,
            "ns" => 1,
            "" => return Err(ParseDurationError::NoUnit(number.to_owned())),
            other => return Err(ParseDurationError::UnknownUnit(other.to_owned())),
        };
        let too_long = || ParseDurationError::TooLong(text.to_owned());
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| too_long())? };
        let billionths: u64 = format!("{decimals:0<9}").parse().map_err(|_| too_long())?;
        // At most 86400e9 * (1e9 - 1): inside u128, and after the division inside u64.
        let fraction = u128::from(unit_nanos) * u128::from(billionths) / 1_000_000_000;
        let part = whole
            .checked_mul(unit_nanos)
            .and_then(|n| n.checked_add(u64::try_from(fraction).ok()?))
            .ok_or_else(too_long)?;
        total = total.checked_add(part).ok_or_else(too_long)?;
        rest = tail.trim_start();
    }
    Ok(Duration::from_nanos(total))
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

    #[test]
    fn says_what_is_wrong() {
        let wrong = |text: &str| parse_duration(text).unwrap_err();
        assert_eq!(wrong("  "), ParseDurationError::Empty);
        assert_eq!(wrong("12"), ParseDurationError::NoUnit("12".into()));
        assert_eq!(wrong("12 parsecs"), ParseDurationError::UnknownUnit("parsecs".into()));
        assert_eq!(wrong("m12s"), ParseDurationError::NotANumber("m12s".into()));
        assert_eq!(wrong("1.2.3s"), ParseDurationError::NotANumber("1.2.3s".into()));
        assert_eq!(wrong("-3s"), ParseDurationError::NotANumber("-3s".into()));
        assert_eq!(wrong("700000d"), ParseDurationError::TooLong("700000d".into()));
    }

    proptest! {
        #[test]
        fn shown_and_read_back(nanos: u64) {
            prop_assert_eq!(SimTime(nanos).to_string().parse(), Ok(SimTime(nanos)));
        }
        #[test]
        fn reading_never_panics(text in "\\PC{0,20}") {
            let _ = parse_duration(&text);
        }
    }
}
