//! The instant that a run's virtual time starts from.

use core::{fmt, str::FromStr, time::Duration};

use jiff::{Timestamp, civil::DateTime, tz::Offset};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The date and time (UTC) at which virtual time 0 lies. This date comes from the scenario, so that timestamps do
/// not depend on when a run is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(Timestamp);

/// Not a date and time.
#[derive(Debug, thiserror::Error)]
#[error("not a date and time in UTC such as 2011-02-22T09:00:00Z")]
pub struct EpochError;

impl Epoch {
    /// 22 February 2011, 09:00 UTC: the day Windows Server 2008 R2 SP1 became available. Invented.
    pub const DEFAULT: Self = Self(Timestamp::constant(1_298_365_200, 0));

    /// Nanoseconds since 1970-01-01T00:00:00Z; 0 for what lies before, and at most those of the year 2554.
    pub fn unix_nanos(self) -> u64 {
        u64::try_from(self.0.as_nanosecond().max(0)).unwrap_or(u64::MAX)
    }

    /// The civil date and time (UTC) after `elapsed` of virtual time. Beyond the year 9999 it stays there.
    pub(crate) fn civil(self, elapsed: Duration) -> DateTime {
        let instant = self.0.checked_add(elapsed).unwrap_or(Timestamp::MAX);
        Offset::UTC.to_datetime(instant)
    }
}

impl Default for Epoch {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl FromStr for Epoch {
    type Err = EpochError;

    /// Reads RFC 3339 with an offset, as in `2011-02-22T09:00:00Z`.
    fn from_str(text: &str) -> Result<Self, EpochError> {
        text.parse().map(Self).map_err(|_cause| EpochError)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for Epoch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Epoch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_the_day_of_sp1() {
        assert_eq!(Epoch::DEFAULT.to_string(), "2011-02-22T09:00:00Z");
        assert_eq!("2011-02-22T10:00:00+01:00".parse::<Epoch>().unwrap(), Epoch::DEFAULT);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "yesterday", "2011-02-22", "2011-02-22T09:00:00", "2011-02-30T09:00:00Z"] {
            assert!(text.parse::<Epoch>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_run_longer_than_the_calendar_stays_at_its_end() {
        assert_eq!(Epoch::DEFAULT.civil(Duration::MAX).year(), 9999);
    }
}
