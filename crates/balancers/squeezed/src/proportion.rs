//! The algorithm in its own terms: domains, what is free, and one γ. Amounts are pages.

/// A domain that can be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Domain {
    /// The least that it may have (`dynamic-min`).
    pub minimum: u64,
    /// The most that it may have (`dynamic-max`).
    pub maximum: u64,
    /// What it has.
    pub actual: u64,
}

impl Domain {
    /// What it should have at this γ.
    #[must_use]
    pub fn target(&self, gamma: f64) -> u64 {
        let range = self.maximum.saturating_sub(self.minimum);
        self.minimum + ((range as f64 * gamma) as u64).min(range)
    }
}

/// How far everyone is from minimum (0) to maximum (1), if `keep_free` of what all together have above their minimums, and
/// of what is free, is to stay free. What a domain has above its minimum by no more than `slack` does not count.
#[must_use]
pub fn gamma(domains: impl Iterator<Item = Domain>, free: u64, keep_free: u64, slack: u64) -> f64 {
    let (mut surplus, mut range) = (0_u128, 0_u128);
    for domain in domains {
        surplus += u128::from(domain.actual.saturating_sub(domain.minimum).saturating_sub(slack));
        range += u128::from(domain.maximum.saturating_sub(domain.minimum));
    }
    let to_share = (surplus + u128::from(free)) as f64 - keep_free as f64;
    if range == 0 {
        return if to_share >= 0.0 { 1.0 } else { 0.0 };
    }
    (to_share / range as f64).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn domain(minimum: u64, maximum: u64, actual: u64) -> Domain {
        Domain { minimum, maximum, actual }
    }

    #[test]
    fn everyone_the_same_part_of_the_way() {
        // 3000 free and 1000 above minimums, 400 to be kept: 3600 of a range of 7200.
        let domains = [domain(1000, 4600, 2000), domain(500, 4100, 500)];
        let gamma = gamma(domains.into_iter(), 3000, 400, 0);
        assert_eq!(gamma, 0.5);
        assert_eq!(domains.map(|domain| domain.target(gamma)), [2800, 2300]);
    }

    #[test]
    fn between_minimum_and_maximum() {
        let domains = || [domain(1000, 2000, 1500)].into_iter();
        assert_eq!(gamma(domains(), 0, 9000, 0), 0.0);
        assert_eq!(gamma(domains(), 9000, 0, 0), 1.0);
        // No domain can be moved: what is free would be enough for everyone, or is not even enough to be kept.
        assert_eq!(gamma([domain(1000, 1000, 1000)].into_iter(), 9000, 0, 0), 1.0);
        assert_eq!(gamma([].into_iter(), 0, 9000, 0), 0.0);
    }

    #[test]
    fn what_is_within_the_slack_does_not_count() {
        assert_eq!(gamma([domain(1000, 2000, 1002)].into_iter(), 0, 0, 2), 0.0);
        assert_eq!(gamma([domain(1000, 2000, 1102)].into_iter(), 0, 0, 2), 0.1);
    }

    proptest! {
        #[test]
        fn nobody_gets_what_is_not_there(
            domains in prop::collection::vec((0..5000_u64, 0..5000_u64, 0..5000_u64), 0..20),
            free in 0..20_000_u64,
            keep_free in 0..2000_u64,
        ) {
            let domains: Vec<_> = domains
                .into_iter()
                .map(|(minimum, range, above)| domain(minimum, minimum + range, minimum + above.min(range)))
                .collect();
            let gamma = gamma(domains.iter().copied(), free, keep_free, 2);
            let targets: u64 = domains.iter().map(|domain| domain.target(gamma)).sum();
            let actual: u64 = domains.iter().map(|domain| domain.actual).sum();
            prop_assert!(targets <= actual + free);
            let minimums: u64 = domains.iter().map(|domain| domain.minimum).sum();
            if targets > minimums {
                prop_assert!(targets + keep_free <= actual + free + 1, "what is to stay free does");
            }
        }
    }
}
