//! Pressure, the one number Hyper-V balances by.

use page_range::PageCount;

use crate::MemorySettings;

/// Pressure in percent: 100 · demand / assigned (documented). 100 is exactly enough, above is short, below is surplus.
/// A VM that has nothing and needs nothing is at 100; one that has nothing and needs something is short without bound.
#[must_use]
pub fn pressure(demand: PageCount, assigned: PageCount) -> f64 {
    if assigned.is_zero() {
        return if demand.is_zero() { 100.0 } else { f64::INFINITY };
    }
    100.0 * demand.mib() / assigned.mib()
}

/// Pressure of a VM that has its demand and its buffer: 100 / (1 + b), 83.3 at 20 % (documented).
#[must_use]
pub fn satisfied_pressure(settings: &MemorySettings) -> f64 {
    100.0 / (1.0 + settings.buffer_fraction())
}

/// The pressures between which a VM is left alone: the counters Minimum Pressure and Maximum Pressure, in percent.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PressureBand {
    /// Lower edge.
    pub minimum: f64,
    /// Upper edge.
    pub maximum: f64,
}

impl PressureBand {
    /// The band `half_width` to both sides of `centre`.
    #[must_use]
    pub fn around(centre: f64, half_width: f64) -> Self {
        Self { minimum: centre - half_width, maximum: centre + half_width }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_of_the_sources_examples() {
        let settings = MemorySettings::fixed(PageCount::from_mib(512));
        assert!((satisfied_pressure(&settings) - 83.333).abs() < 0.001);
        // The idle guest of Figure 4-4: about 414 of 512 MB in use.
        assert!((pressure(PageCount::from_mib(414), PageCount::from_mib(512)) - 80.86).abs() < 0.01);
    }

    #[test]
    fn pressure_has_a_value_everywhere() {
        assert_eq!(pressure(PageCount::ZERO, PageCount::ZERO), 100.0);
        assert_eq!(pressure(PageCount(1), PageCount::ZERO), f64::INFINITY);
        assert_eq!(pressure(PageCount::ZERO, PageCount(1)), 0.0);
        assert!(pressure(PageCount::MAX, PageCount(1)).is_finite());
    }
}
