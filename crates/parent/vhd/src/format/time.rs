//! Times as a VHD has them.

use std::time::{Duration, SystemTime};

/// Seconds since the beginning of 2000, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct VhdTime(pub u32);

/// 2000-01-01 in Unix time.
const EPOCH: Duration = Duration::from_secs(946_684_800);

impl VhdTime {
    /// A time of the system, to the second. What no VHD can say, before 2000 or after 2136, is 0.
    #[must_use]
    pub fn from_system(time: SystemTime) -> Self {
        let unix = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let seconds = unix.checked_sub(EPOCH).unwrap_or_default().as_secs();
        Self(u32::try_from(seconds).unwrap_or(0))
    }

    /// Seconds of Unix time.
    #[must_use]
    pub fn unix_seconds(self) -> u64 {
        EPOCH.as_secs() + u64::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_counted_from_2000() {
        let at = |unix| VhdTime::from_system(SystemTime::UNIX_EPOCH + Duration::from_secs(unix));
        assert_eq!(at(946_684_800), VhdTime(0));
        assert_eq!(at(946_684_799), VhdTime(0));
        assert_eq!(at(1_300_000_000), VhdTime(353_315_200));
        assert_eq!(VhdTime(353_315_200).unix_seconds(), 1_300_000_000);
    }
}
