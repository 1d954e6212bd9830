//! The algorithm in its own terms, in MiB.

use crate::constants as c;

/// A guest that takes part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Domain {
    /// What it uses: without free memory, buffers and cache.
    pub used: f64,
    /// What it has.
    pub actual: f64,
    /// The most that it can have.
    pub maximum: f64,
}

impl Domain {
    /// What it prefers to have.
    #[must_use]
    pub fn preferred(&self, cache_factor: f64) -> f64 {
        (self.used * cache_factor).min(self.maximum).max(c::LEAST_PREFERRED.value)
    }

    fn needed(&self, cache_factor: f64) -> f64 {
        self.preferred(cache_factor) - self.actual
    }
}

/// What each domain is to have, with so much of the host free: `None` where nothing is asked of it.
#[must_use]
pub fn balance(free: f64, domains: &[Domain], cache_factor: f64) -> Vec<Option<f64>> {
    let needed: f64 = domains.iter().map(|domain| domain.needed(cache_factor)).sum();
    if free - needed > 0.0 {
        with_enough(free - needed, domains, cache_factor)
    } else {
        when_low(free, domains, cache_factor)
    }
}

/// All have what they prefer; what is beyond that is theirs in proportion to it. What is beyond a maximum goes to the others evenly.
fn with_enough(beyond: f64, domains: &[Domain], cache_factor: f64) -> Vec<Option<f64>> {
    let all: f64 = domains.iter().map(|domain| domain.preferred(cache_factor)).sum();
    let (mut left, mut acceptors) = (0.0, 0_usize);
    let mut targets: Vec<f64> = domains
        .iter()
        .map(|domain| {
            let preferred = domain.preferred(cache_factor);
            let target = c::ROUNDING.value * (preferred + preferred / all * beyond);
            if target > domain.maximum {
                left += target - domain.maximum;
                domain.maximum
            } else {
                acceptors += 1;
                target
            }
        })
        .collect();
    while left > 0.0 && acceptors > 0 {
        let bonus = c::ROUNDING.value * (left / acceptors as f64);
        left = 0.0;
        for (target, domain) in
            targets.iter_mut().zip(domains).filter(|(target, domain)| **target < domain.maximum)
        {
            *target += bonus;
            if *target >= domain.maximum {
                left += *target - domain.maximum;
                *target = domain.maximum;
                acceptors -= 1;
            }
        }
    }
    targets.into_iter().map(Some).collect()
}

/// Those that have more than they prefer come down to it; what that gives, and what is free, goes to the others in proportion to what
/// they prefer.
fn when_low(free: f64, domains: &[Domain], cache_factor: f64) -> Vec<Option<f64>> {
    let gives = |domain: &Domain| domain.needed(cache_factor) < 0.0 || domain.actual >= domain.maximum;
    let mut squeezed = free;
    let mut targets = vec![None; domains.len()];
    for (target, domain) in targets.iter_mut().zip(domains).filter(|(_, domain)| gives(domain)) {
        let surplus = -domain.needed(cache_factor);
        if surplus >= c::DONOR_LEAST.value {
            squeezed += surplus;
            *target = Some(domain.preferred(cache_factor));
        }
    }
    if squeezed < 0.0 {
        return targets;
    }
    let acceptors = || domains.iter().filter(|domain| !gives(domain));
    let all: f64 = acceptors().map(|domain| domain.preferred(cache_factor)).sum();
    for (target, domain) in targets.iter_mut().zip(domains).filter(|(_, domain)| !gives(domain)) {
        let share = domain.preferred(cache_factor) / all * squeezed;
        *target = Some((c::ROUNDING.value * (domain.actual + share)).min(domain.maximum));
    }
    targets
}

/// What each domain is brought to for a start that lacks `needed`: all that have more than they prefer give in proportion to that, and a
/// little more than is needed. Nothing if they have not so much.
#[must_use]
pub fn for_start(needed: f64, domains: &[Domain], cache_factor: f64) -> Vec<Option<f64>> {
    let surplus = |domain: &Domain| (-domain.needed(cache_factor)).max(0.0);
    let all: f64 = domains.iter().map(surplus).sum();
    if all < needed || all <= 0.0 {
        return vec![None; domains.len()];
    }
    let part = needed / all * c::SAFETY.value;
    domains
        .iter()
        .map(|domain| (surplus(domain) > 0.0).then(|| domain.actual - surplus(domain) * part))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(used: f64, actual: f64, maximum: f64) -> Domain {
        Domain { used, actual, maximum }
    }

    fn near(targets: &[Option<f64>], expected: &[Option<f64>]) {
        let same = targets.iter().zip(expected).all(|pair| match pair {
            (Some(own), Some(other)) => (own - other).abs() < 1e-6,
            (own, other) => own == other,
        });
        assert!(same && targets.len() == expected.len(), "{targets:?}, {expected:?}");
    }

    #[test]
    fn a_guest_prefers_three_tenths_more_than_it_uses() {
        assert_eq!(domain(1000.0, 0.0, 4000.0).preferred(1.3), 1300.0);
        assert_eq!(domain(1000.0, 0.0, 1200.0).preferred(1.3), 1200.0);
        assert_eq!(domain(100.0, 0.0, 4000.0).preferred(1.3), 200.0);
    }

    #[test]
    fn what_is_beyond_preferences_is_shared_in_proportion_to_them() {
        // 1300 and 650 preferred, 1950 there and 390 free beside: a fifth more for each.
        let domains = [domain(1000.0, 975.0, 4000.0), domain(500.0, 975.0, 4000.0)];
        near(&balance(390.0, &domains, 1.3), &[Some(0.999 * 1560.0), Some(0.999 * 780.0)]);
        // The first takes no more than 1400; what it leaves is the other's.
        let domains = [domain(1000.0, 975.0, 1400.0), domain(500.0, 975.0, 4000.0)];
        let left = 0.999 * 1560.0 - 1400.0;
        near(&balance(390.0, &domains, 1.3), &[Some(1400.0), Some(0.999 * 780.0 + 0.999 * left)]);
    }

    #[test]
    fn when_memory_is_low_who_has_more_than_preferred_gives_that() {
        // The first prefers 1300 and has 1000; the second prefers 1300 and has 500; the third prefers 260 and has 760.
        let domains =
            [domain(1000.0, 1000.0, 4000.0), domain(1000.0, 500.0, 4000.0), domain(200.0, 760.0, 4000.0)];
        let share = (500.0 + 100.0) / 2.0;
        near(
            &balance(100.0, &domains, 1.3),
            &[Some(0.999 * (1000.0 + share)), Some(0.999 * (500.0 + share)), Some(260.0)],
        );
        // A surplus of less than 10 MB is left alone.
        let domains = [domain(1000.0, 1000.0, 4000.0), domain(200.0, 269.0, 4000.0)];
        near(&balance(0.0, &domains, 1.3), &[Some(999.0), None]);
    }

    #[test]
    fn for_a_start_all_give_in_proportion_to_what_they_have_beyond() {
        let domains =
            [domain(1000.0, 1500.0, 4000.0), domain(500.0, 1250.0, 4000.0), domain(1000.0, 900.0, 4000.0)];
        // 200 and 600 beyond.
        near(&for_start(400.0, &domains, 1.3), &[Some(1500.0 - 105.0), Some(1250.0 - 315.0), None]);
        near(&for_start(900.0, &domains, 1.3), &[None, None, None]);
    }
}
