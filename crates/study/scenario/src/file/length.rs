//! How long a run may be, and how often it may be looked at.

use core::time::Duration;

use quantities::format_duration;

/// The longest run: ten years of virtual time. Invented; no study waits for more, and sums over that time stay exact.
pub const LONGEST_RUN: Duration = Duration::from_secs(3653 * 86_400);
/// Most samples of a run: 115 days at one a second. Invented; each is kept and written.
pub const MOST_SAMPLES: u128 = 10_000_000;

/// Samples of single VMs, and of the host beside them, up to which a run is sampled every second unless somebody says otherwise. Each takes
/// about 440 bytes of `counters.csv`, so that this is a file of 440 MB. Invented; 96 VMs for 1 h 45 min, the longest scenario of the
/// sources, have 611,100.
pub const MANY_SAMPLES: u128 = 1_000_000;
/// Times between two samples that people take, in seconds. Invented.
const USUAL_SECONDS: [u64; 13] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];

/// The time between two samples of the counters, where nobody says one: a second, or more where that would be more than [`MANY_SAMPLES`].
pub fn usual_interval(vms: usize, until: Duration) -> Duration {
    let all = until.as_nanos().saturating_mul(vms as u128 + 1);
    let usual = USUAL_SECONDS.into_iter().map(Duration::from_secs);
    usual.into_iter().find(|interval| all / interval.as_nanos() <= MANY_SAMPLES).unwrap_or_else(|| {
        let hour = Duration::from_secs(3600).as_nanos();
        let hours = all.div_ceil(MANY_SAMPLES.saturating_mul(hour));
        Duration::from_secs(3600u64.saturating_mul(u64::try_from(hours).unwrap_or(u64::MAX)))
    })
}

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
    fn what_is_large_is_sampled_less_often() {
        let usual = |vms, until: &str| {
            let until = quantities::parse_duration(until).unwrap();
            let interval = usual_interval(vms, until);
            assert!(until.as_nanos() / interval.as_nanos() * (vms as u128 + 1) <= MANY_SAMPLES);
            assert_eq!(check_length(until, interval), Ok(()));
            format_duration(interval)
        };
        // Whatever comes with the project, and a day of a host of eight.
        assert_eq!(usual(8, "35m"), "1s");
        assert_eq!(usual(96, "1h45m"), "1s");
        assert_eq!(usual(8, "24h"), "1s");
        assert_eq!(usual(100, "24h"), "10s");
        assert_eq!(usual(1024, "35m"), "5s");
        assert_eq!(usual(4096, "3653d"), "15d");
        assert_eq!(usual(0, "3653d"), "10m");
    }

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
