//! Numbers of pages.

use core::fmt;
use core::iter::Sum;
use core::ops::{Add, AddAssign, Mul, Sub, SubAssign};

/// Bytes in a page: the x86-64 base page (documented: Intel SDM vol. 3, 4.5).
pub const PAGE_SIZE: u64 = 4096;
/// Pages in a MiB.
pub const PAGES_PER_MIB: u64 = 1024 * 1024 / PAGE_SIZE;
/// Pages in a large page of 2 MiB (documented: Intel SDM vol. 3, 4.5; what Windows Server 2008 R2 maps guest memory with).
pub const LARGE_PAGE_PAGES: u64 = 512;

/// A number of 4 KiB pages.
///
/// `+` and `-` are for numbers that are known to fit: like those of the primitive types, they panic on overflow where
/// overflow checks are on. For what a peer or a file gives, use the `checked_` and `saturating_` methods.
///
/// `Display` writes whole MiB in the sources' way of writing, "512 MB", and anything else in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PageCount(pub u64);

impl PageCount {
    /// No page.
    pub const ZERO: Self = Self(0);
    /// As many as can be counted.
    pub const MAX: Self = Self(u64::MAX);
    /// The pages of one large page (2 MiB).
    pub const LARGE_PAGE: Self = Self(LARGE_PAGE_PAGES);

    /// The pages of `mib` MiB; as many as can be counted if that is more than there can be.
    #[must_use]
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib.saturating_mul(PAGES_PER_MIB))
    }

    /// The whole pages in `bytes` bytes, rounded down.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes / PAGE_SIZE)
    }

    /// The number of pages.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// In MiB, with fractions.
    #[must_use]
    pub fn mib(self) -> f64 {
        self.0 as f64 / PAGES_PER_MIB as f64
    }

    /// In MiB, rounded down.
    #[must_use]
    pub const fn whole_mib(self) -> u64 {
        self.0 / PAGES_PER_MIB
    }

    /// In bytes; `u64::MAX` if that is more than can be counted.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0.saturating_mul(PAGE_SIZE)
    }

    /// Whether there is no page.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum, or `None` if it cannot be counted.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The difference, or `None` if `other` is more.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(difference) => Some(Self(difference)),
            None => None,
        }
    }

    /// The sum, at most [`PageCount::MAX`].
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, zero if `other` is more.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Rounded down to a multiple of `granule`; unchanged if the granule is zero.
    #[must_use]
    pub const fn round_down_to(self, granule: Self) -> Self {
        match self.0.checked_rem(granule.0) {
            Some(rest) => Self(self.0 - rest),
            None => self,
        }
    }

    /// Rounded up to a multiple of `granule`; unchanged if the granule is zero, [`PageCount::MAX`] if there is no such
    /// multiple.
    #[must_use]
    pub const fn round_up_to(self, granule: Self) -> Self {
        match self.0.checked_rem(granule.0) {
            None | Some(0) => self,
            Some(rest) => Self(self.0.saturating_add(granule.0 - rest)),
        }
    }
}

impl fmt::Display for PageCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("1 page"),
            pages if pages.is_multiple_of(PAGES_PER_MIB) => write!(f, "{} MB", pages / PAGES_PER_MIB),
            pages => write!(f, "{pages} pages"),
        }
    }
}

impl Add for PageCount {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for PageCount {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Mul<u64> for PageCount {
    type Output = Self;
    fn mul(self, factor: u64) -> Self {
        Self(self.0 * factor)
    }
}

impl AddAssign for PageCount {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl SubAssign for PageCount {
    fn sub_assign(&mut self, other: Self) {
        self.0 -= other.0;
    }
}

impl Sum for PageCount {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::ZERO, Add::add)
    }
}

impl<'a> Sum<&'a Self> for PageCount {
    fn sum<I: Iterator<Item = &'a Self>>(counts: I) -> Self {
        counts.copied().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        assert_eq!(PageCount::from_mib(512), PageCount(131_072));
        assert_eq!(PageCount(131_073).whole_mib(), 512);
        assert_eq!(PageCount(384).mib(), 1.5);
        assert_eq!(PageCount(3).bytes(), 12_288);
        assert_eq!(PageCount::from_bytes(12_289), PageCount(3));
        assert_eq!(PageCount::LARGE_PAGE.bytes(), 2 * 1024 * 1024);
    }

    #[test]
    fn absurd_sizes_saturate() {
        assert_eq!(PageCount::from_mib(u64::MAX), PageCount::MAX);
        assert_eq!(PageCount::MAX.bytes(), u64::MAX);
        assert_eq!(PageCount::MAX.checked_add(PageCount(1)), None);
        assert_eq!(PageCount(1).checked_sub(PageCount(2)), None);
        assert_eq!(PageCount::MAX.saturating_add(PageCount(1)), PageCount::MAX);
        assert_eq!(PageCount(1).saturating_sub(PageCount(2)), PageCount::ZERO);
        assert_eq!(PageCount::MAX.round_up_to(PageCount(512)), PageCount::MAX);
    }

    #[test]
    fn rounding() {
        assert_eq!(PageCount(1023).round_down_to(PageCount(512)), PageCount(512));
        assert_eq!(PageCount(1024).round_down_to(PageCount(512)), PageCount(1024));
        assert_eq!(PageCount(513).round_up_to(PageCount(512)), PageCount(1024));
        assert_eq!(PageCount(512).round_up_to(PageCount(512)), PageCount(512));
        assert_eq!(PageCount(7).round_up_to(PageCount::ZERO), PageCount(7));
        assert_eq!(PageCount(7).round_down_to(PageCount::ZERO), PageCount(7));
    }

    #[test]
    fn written_as_the_sources_write_it() {
        assert_eq!(PageCount::from_mib(512).to_string(), "512 MB");
        assert_eq!(PageCount(1).to_string(), "1 page");
        assert_eq!(PageCount(3).to_string(), "3 pages");
        assert_eq!(PageCount::ZERO.to_string(), "0 MB");
    }

    #[test]
    fn counts_are_added_and_subtracted() {
        let (seven, three) = (PageCount(7), PageCount(3));
        assert_eq!(seven - three, PageCount(4));
        assert_eq!(seven.checked_add(three), Some(PageCount(10)));
        assert_eq!(seven.checked_sub(three), Some(PageCount(4)));
        let mut count = seven;
        count += three;
        assert_eq!(count, PageCount(10));
        count -= PageCount(4);
        assert_eq!(count, PageCount(6));
        assert!(PageCount::ZERO.is_zero() && !three.is_zero());
    }

    #[test]
    fn sums() {
        let counts = [PageCount(1), PageCount(2), PageCount(3)];
        assert_eq!(counts.iter().sum::<PageCount>(), PageCount(6));
        assert_eq!(counts.into_iter().sum::<PageCount>(), PageCount(6));
        assert_eq!(PageCount(3) * 4, PageCount(12));
    }
}
