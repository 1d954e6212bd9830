//! Ranges of pages.

use core::fmt;

use crate::{LARGE_PAGE_PAGES, PageCount, PageNumber};

/// A run of consecutive pages. Never empty, and its end never overflows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(try_from = "RawRange<P>", bound(deserialize = "P: PageNumber + serde::Deserialize<'de>"))
)]
pub struct PageRange<P> {
    start: P,
    pages: PageCount,
}

/// What a range looks like before it is checked.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
struct RawRange<P> {
    start: P,
    pages: PageCount,
}

/// Two numbers that are not a range of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pages} from page {start:#x} are not a range: it would be empty or end beyond the last page number")]
pub struct BadRange {
    /// Number of the first page.
    pub start: u64,
    /// How many pages.
    pub pages: PageCount,
}

#[cfg(feature = "serde")]
impl<P: PageNumber> TryFrom<RawRange<P>> for PageRange<P> {
    type Error = BadRange;
    fn try_from(raw: RawRange<P>) -> Result<Self, BadRange> {
        Self::new(raw.start, raw.pages).ok_or(BadRange { start: raw.start.number(), pages: raw.pages })
    }
}

impl<P: PageNumber> PageRange<P> {
    /// `pages` pages from `start`; `None` if that is no page, or if the end cannot be numbered.
    #[must_use]
    pub fn new(start: P, pages: PageCount) -> Option<Self> {
        let end = start.number().checked_add(pages.get())?;
        Self::between(start.number(), end)
    }

    /// One page; `None` for the number `u64::MAX`, whose end cannot be numbered.
    #[must_use]
    pub fn one(page: P) -> Option<Self> {
        Self::new(page, PageCount(1))
    }

    /// The pages with numbers from `start` up to, not including, `end`; `None` if there are none.
    #[must_use]
    pub fn between(start: u64, end: u64) -> Option<Self> {
        (start < end).then(|| Self { start: P::from_number(start), pages: PageCount(end - start) })
    }

    /// A run out of a set, which has pages.
    pub(crate) fn of_run(start: u64, end: u64) -> Self {
        debug_assert!(start < end, "an empty run in a set");
        Self { start: P::from_number(start), pages: PageCount(end - start) }
    }

    /// The first page.
    #[must_use]
    pub fn start(self) -> P {
        self.start
    }

    /// The last page.
    #[must_use]
    pub fn last(self) -> P {
        P::from_number(self.end() - 1)
    }

    /// The number after the last page's.
    #[must_use]
    pub fn end(self) -> u64 {
        self.start.number() + self.pages.get()
    }

    /// How many pages; at least one.
    #[must_use]
    pub fn pages(self) -> PageCount {
        self.pages
    }

    /// Whether the page is one of these.
    #[must_use]
    pub fn contains(self, page: P) -> bool {
        self.start <= page && page.number() < self.end()
    }

    /// Whether every page of `other` is one of these.
    #[must_use]
    pub fn contains_range(self, other: Self) -> bool {
        self.start <= other.start && other.end() <= self.end()
    }

    /// Whether there is a page in both.
    #[must_use]
    pub fn intersects(self, other: Self) -> bool {
        self.start.number() < other.end() && other.start.number() < self.end()
    }

    /// The pages in both, if any.
    #[must_use]
    pub fn intersection(self, other: Self) -> Option<Self> {
        Self::between(self.start.number().max(other.start.number()), self.end().min(other.end()))
    }

    /// The first `pages` pages and the rest; `None` if one of the two would be empty.
    #[must_use]
    pub fn split_at(self, pages: PageCount) -> Option<(Self, Self)> {
        if pages >= self.pages {
            return None;
        }
        let middle = self.start.number() + pages.get();
        Some((Self::between(self.start.number(), middle)?, Self::between(middle, self.end())?))
    }

    /// The first `pages` pages, or all if there are no more; `None` if `pages` is zero.
    #[must_use]
    pub fn first(self, pages: PageCount) -> Option<Self> {
        Self::new(self.start, pages.min(self.pages))
    }

    /// The part that consists of whole, aligned large pages (2 MiB), if there is one.
    #[must_use]
    pub fn large_part(self) -> Option<Self> {
        let start = self.start.number().checked_next_multiple_of(LARGE_PAGE_PAGES)?;
        Self::between(start, self.end() - self.end() % LARGE_PAGE_PAGES)
    }

    /// Every page, in order. For ranges that are known to be small: a range may have 2^64 pages.
    pub fn each_page(self) -> impl DoubleEndedIterator<Item = P> {
        (self.start.number()..self.end()).map(P::from_number)
    }
}

impl<P: PageNumber> fmt::Debug for PageRange<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}..{:#x}", self.start.number(), self.end())
    }
}

impl<P: PageNumber> fmt::Display for PageRange<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}..{:#x} ({})", self.start.number(), self.end(), self.pages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GuestPage, GuestRange};

    fn range(start: u64, end: u64) -> GuestRange {
        GuestRange::between(start, end).unwrap()
    }

    #[test]
    fn one_page() {
        assert_eq!(GuestRange::one(GuestPage(7)), Some(range(7, 8)));
        assert_eq!(GuestRange::one(GuestPage(u64::MAX)), None);
    }

    #[test]
    fn neighbours_share_no_page() {
        let middle = range(10, 20);
        for (other, share) in [
            (range(5, 10), false),
            (range(20, 25), false),
            (range(5, 11), true),
            (range(19, 25), true),
            (range(12, 13), true),
            (range(0, 99), true),
        ] {
            assert_eq!((middle.intersects(other), other.intersects(middle)), (share, share), "{other}");
            assert_eq!(middle.intersection(other).is_some(), share, "{other}");
        }
    }

    #[test]
    fn neither_empty_nor_overflowing() {
        assert_eq!(GuestRange::new(GuestPage(7), PageCount::ZERO), None);
        assert_eq!(GuestRange::new(GuestPage(u64::MAX), PageCount(1)), None);
        assert_eq!(GuestRange::one(GuestPage(u64::MAX)), None);
        assert_eq!(GuestRange::new(GuestPage(2), PageCount::MAX), None);
        assert_eq!(GuestRange::between(3, 3), None);
        assert_eq!(GuestRange::between(4, 3), None);
        let all = GuestRange::new(GuestPage(0), PageCount::MAX).unwrap();
        assert_eq!(all.end(), u64::MAX);
        assert_eq!(all.last(), GuestPage(u64::MAX - 1));
    }

    #[test]
    fn relations() {
        assert!(range(2, 5).contains(GuestPage(2)) && !range(2, 5).contains(GuestPage(5)));
        assert!(range(2, 5).contains_range(range(3, 5)) && !range(2, 5).contains_range(range(3, 6)));
        assert!(range(2, 5).intersects(range(4, 9)) && !range(2, 5).intersects(range(5, 9)));
        assert_eq!(range(2, 5).intersection(range(4, 9)), Some(range(4, 5)));
        assert_eq!(range(2, 5).intersection(range(5, 9)), None);
    }

    #[test]
    fn splitting() {
        assert_eq!(range(2, 5).split_at(PageCount(1)), Some((range(2, 3), range(3, 5))));
        assert_eq!(range(2, 5).split_at(PageCount::ZERO), None);
        assert_eq!(range(2, 5).split_at(PageCount(3)), None);
        assert_eq!(range(2, 5).first(PageCount(9)), Some(range(2, 5)));
        assert_eq!(range(2, 5).first(PageCount::ZERO), None);
        assert_eq!(range(2, 5).each_page().collect::<Vec<_>>(), [GuestPage(2), GuestPage(3), GuestPage(4)]);
    }

    #[test]
    fn large_parts() {
        assert_eq!(range(0, 511).large_part(), None);
        assert_eq!(range(1, 1023).large_part(), None);
        assert_eq!(range(1, 1024).large_part(), Some(range(512, 1024)));
        assert_eq!(range(512, 1700).large_part(), Some(range(512, 1536)));
        assert_eq!(range(u64::MAX - 3, u64::MAX).large_part(), None);
    }

    #[test]
    fn serialised_and_checked() {
        let json = serde_json::to_string(&range(2, 5)).unwrap();
        assert_eq!(json, r#"{"start":2,"pages":3}"#);
        assert_eq!(serde_json::from_str::<GuestRange>(&json).unwrap(), range(2, 5));
        for bad in [r#"{"start":2,"pages":0}"#, r#"{"start":18446744073709551615,"pages":1}"#] {
            let error = serde_json::from_str::<GuestRange>(bad).unwrap_err().to_string();
            assert!(error.contains("are not a range"), "{error}");
        }
    }

    #[test]
    fn written_in_hexadecimal() {
        assert_eq!(range(0x200, 0x400).to_string(), "0x200..0x400 (2 MB)");
        assert_eq!(format!("{:?}", range(16, 17)), "0x10..0x11");
    }
}
