//! Numbers of pages that a guest counts since it booted. Such a number is no [`PageCount`]: only the difference of two such
//! numbers is.

use crate::PageCount;

/// Pages counted since the guest booted, of which the low 32 bits are known: the Dynamic Memory status report has room for
/// no more. It only grows, and begins again at 0 after 2^32 pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PageCounter(u32);

impl PageCounter {
    /// A counter of which the low 32 bits are these.
    #[must_use]
    pub const fn from_low_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// A counter that stands at `total` pages.
    #[must_use]
    pub const fn at(total: u64) -> Self {
        Self(total as u32)
    }

    /// The low 32 bits.
    #[must_use]
    pub const fn low_bits(self) -> u32 {
        self.0
    }

    /// Pages counted since `earlier`, which is right for fewer than 2^32 of them.
    #[must_use]
    pub const fn since(self, earlier: Self) -> PageCount {
        PageCount(self.0.wrapping_sub(earlier.0) as u64)
    }
}

/// Pages of one kind less pages of another, both counted since the guest booted, of which the low 32 bits are known. It may
/// grow and fall.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PageBalance(u32);

impl PageBalance {
    /// A balance of which the low 32 bits are these.
    #[must_use]
    pub const fn from_low_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The balance of two counters.
    #[must_use]
    pub const fn of(more: u64, less: u64) -> Self {
        Self(more.wrapping_sub(less) as u32)
    }

    /// The low 32 bits.
    #[must_use]
    pub const fn low_bits(self) -> u32 {
        self.0
    }

    /// By how many pages the balance has grown since `earlier`, negative if it has fallen: right for less than 2^31 pages
    /// either way.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.wrapping_sub(earlier.0) as i32 as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_goes_on_over_32_bits() {
        let before = PageCounter::at(u64::from(u32::MAX) - 1);
        assert_eq!(PageCounter::at(u64::from(u32::MAX) + 4).since(before), PageCount(5));
        assert_eq!(before.since(before), PageCount::ZERO);
        assert_eq!(PageCounter::from_low_bits(before.low_bits()), before);
    }

    #[test]
    fn a_balance_grows_and_falls() {
        let before = PageBalance::of(100, 40);
        assert_eq!(PageBalance::of(101, 40).since(before), 1);
        assert_eq!(PageBalance::of(100, 70).since(before), -30);
        assert_eq!(PageBalance::of(40, 100).since(before), -120);
        let wide = PageBalance::of(1 << 32, 1);
        assert_eq!(PageBalance::of((1 << 32) + 3, 1).since(wide), 3);
        assert_eq!(PageBalance::from_low_bits(wide.low_bits()), wide);
    }
}
