//! Page ranges as they are on the wire: 40 bits of page number and 24 bits of count in one integer.

use core::fmt;
use zerocopy::byteorder::little_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// A range of guest pages on the wire: first page number in bits 0–39, number of pages in bits 40–63.
///
/// Every bit pattern is a value: a range may be empty, and may end beyond the last page number. Code that uses a range checks
/// it.
#[derive(
    Clone, Copy, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(transparent)]
pub struct WireRange(U64);

const START_BITS: u32 = 40;

impl WireRange {
    /// The highest first page that can be said.
    pub const MAX_START: u64 = (1 << START_BITS) - 1;
    /// The highest number of pages that can be said in one range: 64 GiB less one page.
    pub const MAX_COUNT: u64 = (1 << (u64::BITS - START_BITS)) - 1;

    /// `count` pages from page `start`; `None` if either does not fit its field.
    #[inline]
    #[must_use]
    pub fn new(start: u64, count: u64) -> Option<Self> {
        (start <= Self::MAX_START && count <= Self::MAX_COUNT)
            .then(|| Self(U64::new(start | count << START_BITS)))
    }

    /// The first page (guest physical address divided by 4096).
    #[inline]
    #[must_use]
    pub fn start(self) -> u64 {
        self.0.get() & Self::MAX_START
    }

    /// The number of pages; may be 0.
    #[inline]
    #[must_use]
    pub fn count(self) -> u64 {
        self.0.get() >> START_BITS
    }
}

impl fmt::Debug for WireRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({:#x}, {})", self.start(), self.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_fields_are_where_they_belong() {
        let range = WireRange::new(0x12_3456_789A, 0xBC_DEF0).unwrap();
        assert_eq!(range.as_bytes(), [0x9a, 0x78, 0x56, 0x34, 0x12, 0xf0, 0xde, 0xbc]);
        assert_eq!((range.start(), range.count()), (0x12_3456_789A, 0xBC_DEF0));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(WireRange::new(WireRange::MAX_START, WireRange::MAX_COUNT).is_some());
        assert!(WireRange::new(WireRange::MAX_START + 1, 0).is_none());
        assert!(WireRange::new(0, WireRange::MAX_COUNT + 1).is_none());
    }

    #[test]
    fn the_fields_have_40_and_24_bits() {
        assert_eq!(WireRange::MAX_START, 0xff_ffff_ffff);
        assert_eq!(WireRange::MAX_COUNT, 0xff_ffff);
        let most = WireRange::new(0xff_ffff_ffff, 0xff_ffff).map(|range| (range.start(), range.count()));
        assert_eq!(most, Some((0xff_ffff_ffff, 0xff_ffff)));
        assert_eq!(WireRange::new(1 << 40, 1), None);
        assert_eq!(WireRange::new(0, 1 << 24), None);
    }

    proptest! {
        #[test]
        fn fields_do_not_touch_each_other(start in 0..=WireRange::MAX_START, count in 0..=WireRange::MAX_COUNT) {
            let range = WireRange::new(start, count).unwrap();
            prop_assert_eq!((range.start(), range.count()), (start, count));
        }
    }
}
