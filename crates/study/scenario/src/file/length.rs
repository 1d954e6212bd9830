//! How long a run may be, and how often it may be looked at.

use core::time::Duration;

use quantities::format_duration;

/// The longest run: ten years of virtual time. Invented; no study waits for more, and sums over that time stay exact.
pub const LONGEST_RUN: Duration = Duration::from_secs(3653 * 86_400);
/// Most samples of a run: 115 days at one a second. Invented; each is kept and written.
pub const MOST_SAMPLES: u128 = 10_000_000;

/// A run that would never end, or never fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLength {
    /// The run is too long.
    #[error("a run until {} is too long: at most {}", format_duration(*until), format_duration(LONGEST_RUN))]
    TooLong {
        /// When it was to end.
        until: Duration,
    },
    /// The run would be sampled too often.
    #[error(
        "a run until {} with a sample every {} has {samples} samples: at most {MOST_SAMPLES}, so one every {} or more",
        format_duration(*until), format_duration(*interval), format_duration(*least)
    )]
    TooManySamples {
        /// When it was to end.
        until: Duration,
        /// Time between two samples.
        interval: Duration,
        /// How many that would be.
        samples: u128,
        /// The least time between two samples that is possible, in whole milliseconds.
        least: Duration,
    },
}

/// Whether a run may last `until` with a sample every `interval`.
///
/// # Errors
/// What is too much.
pub fn check_length(until: Duration, interval: Duration) -> Result<(), BadLength> {
    if until > LONGEST_RUN {
        return Err(BadLength::TooLong { until });
    }
    let samples = until.as_nanos().checked_div(interval.as_nanos()).unwrap_or(u128::MAX);
    if samples > MOST_SAMPLES {
        // At most ten years over ten million: far inside of 64 bits.
        let least = Duration::from_millis(until.as_millis().div_ceil(MOST_SAMPLES) as u64);
        return Err(BadLength::TooManySamples { until, interval, samples, least });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_ends_or_fits_is_refused() {
        let said = |until: &str, interval: &str| {
            let time = |text: &str| quantities::parse_duration(text).unwrap();
            check_length(time(until), time(interval)).map_err(|error| error.to_string())
        };
        assert_eq!(said("35m", "1s"), Ok(()));
        assert_eq!(said("3650d", "60s"), Ok(()));
        assert_eq!(said("5ms", "1ns"), Ok(()));
        assert_eq!(said("213503d", "1h").unwrap_err(), "a run until 213503d is too long: at most 3653d");
        assert_eq!(
            said("35m", "1ns").unwrap_err(),
            "a run until 35m with a sample every 0.000000001s has 2100000000000 samples: at most 10000000, so one every 0.001s or more"
        );
        assert!(said("365d", "1s").unwrap_err().ends_with("so one every 3.154s or more"));
        assert!(said("1s", "0s").is_err());
    }
}
