//! The rules in their own terms: what part of the host is free, and a guest with a balloon. Amounts are in one unit of the
//! caller's choice.

use crate::Config;

/// A guest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guest {
    /// What it has.
    pub current: f64,
    /// What it uses: averages of what it had less averages of what was unused.
    pub used: f64,
    /// The least that it may have.
    pub minimum: f64,
    /// The most that it may have.
    pub maximum: f64,
}

/// The free part of its memory that a guest is left, below 0 to make it page, when `host_free` of the host is free.
#[must_use]
pub fn guest_free(host_free: f64, config: &Config) -> f64 {
    if host_free > config.critical {
        config.guest_free * (host_free / config.pressure_threshold)
    } else {
        host_free - config.critical
    }
}

/// What the guest should have, if that is worth a change: all guests shrink while less than the threshold is free, and
/// grow otherwise.
#[must_use]
pub fn decide(guest: &Guest, host_free: f64, config: &Config) -> Option<f64> {
    let Guest { current, used, minimum, maximum } = *guest;
    let new = if host_free < config.pressure_threshold {
        let ideal = minimum.max(used + guest_free(host_free, config) * current);
        let new = ((1.0 - config.most_change) * current).max(ideal);
        (new <= current).then_some(new)?
    } else {
        let ideal = minimum.max(used + config.guest_free * current);
        maximum.min(((1.0 + config.most_change) * current).max(ideal))
    };
    ((new - current).abs() > config.least_change * current).then_some(new)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decided(current: f64, used: f64, host_free: f64) -> Option<f64> {
        let guest = Guest { current, used, minimum: 500.0, maximum: 2000.0 };
        decide(&guest, host_free, &Config::default())
    }

    fn near(a: Option<f64>, b: f64) -> bool {
        a.is_some_and(|a| (a - b).abs() < 1e-9)
    }

    #[test]
    fn free_memory_is_scaled_back_with_the_hosts() {
        let free = |host| guest_free(host, &Config::default());
        assert!((free(0.20) - 0.20).abs() < 1e-12);
        assert!((free(0.10) - 0.10).abs() < 1e-12);
        assert!((free(0.06) - 0.06).abs() < 1e-12);
        // Critical: 0.05 below what the host has, to make guests page.
        assert!((free(0.05) - 0.0).abs() < 1e-12);
        assert!((free(0.01) + 0.04).abs() < 1e-12);
    }

    #[test]
    fn shrinks_by_five_percent_at_most() {
        assert!(near(decided(1000.0, 300.0, 0.10), 950.0));
        // 870 in use and 10 % free would be 970.
        assert!(near(decided(1000.0, 870.0, 0.10), 970.0));
        // The guest is to have 10 % free and has 5: nothing to take.
        assert_eq!(decided(1000.0, 950.0, 0.10), None);
        // The minimum holds.
        assert!(near(decided(510.0, 100.0, 0.10), 500.0));
        assert_eq!(decided(500.0, 100.0, 0.10), None);
        // A host in need makes guests page.
        assert!(near(decided(1000.0, 1000.0, 0.01), 960.0));
    }

    #[test]
    fn grows_by_five_percent_at_least() {
        assert!(near(decided(1000.0, 300.0, 0.20), 1050.0));
        // In use, and 20 % free: at once.
        assert!(near(decided(1000.0, 1000.0, 0.50), 1200.0));
        assert!(near(decided(1990.0, 300.0, 0.50), 2000.0));
        assert_eq!(decided(2000.0, 2000.0, 0.50), None);
        // Below its minimum it is brought there.
        assert!(near(decided(100.0, 10.0, 0.50), 500.0));
    }

    #[test]
    fn little_is_not_worth_it() {
        assert_eq!(decided(1996.0, 300.0, 0.50), None);
        assert_eq!(decided(501.0, 300.0, 0.10), None);
    }

    #[test]
    fn it_flips_at_the_threshold() {
        assert!(decided(1000.0, 300.0, 0.199_999).is_some_and(|new| new < 1000.0));
        assert!(decided(1000.0, 300.0, 0.200_001).is_some_and(|new| new > 1000.0));
    }

    proptest! {
        #[test]
        fn never_above_maximum_and_never_more_than_five_percent_down(
            current in 1.0..4000.0_f64,
            used in 0.0..8000.0_f64,
            minimum in 0.0..1000.0_f64,
            range in 0.0..3000.0_f64,
            host_free in 0.0..1.0_f64,
        ) {
            let guest = Guest { current, used, minimum, maximum: minimum + range };
            if let Some(new) = decide(&guest, host_free, &Config::default()) {
                prop_assert!(new >= 0.95 * current - 1e-9 || new >= guest.maximum - 1e-9);
                if host_free >= 0.2 {
                    prop_assert!(new <= guest.maximum);
                } else {
                    prop_assert!(new <= current && new >= minimum);
                }
            }
        }
    }
}
