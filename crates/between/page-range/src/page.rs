//! Page numbers.

use core::fmt;
use core::hash::Hash;

/// A numbering of pages. Ranges and sets are generic over it, so that guest pages and host frames never mix.
pub trait PageNumber: Copy + Ord + Hash + fmt::Debug + fmt::Display + Send + Sync + 'static {
    /// The page's number: its address divided by the page size.
    fn number(self) -> u64;
    /// The page of that number.
    fn from_number(number: u64) -> Self;
}

/// Number of a page of guest physical memory (guest physical address / 4096).
///
/// The DM protocol carries 40 bits of it; nothing here depends on that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GuestPage(pub u64);

/// Number of a page frame of the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct HostPage(pub u64);

impl PageNumber for GuestPage {
    fn number(self) -> u64 {
        self.0
    }
    fn from_number(number: u64) -> Self {
        Self(number)
    }
}

impl PageNumber for HostPage {
    fn number(self) -> u64 {
        self.0
    }
    fn from_number(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for GuestPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "guest page {:#x}", self.0)
    }
}

impl fmt::Display for HostPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host frame {:#x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_whose_it_is() {
        assert_eq!(GuestPage(0x1f).to_string(), "guest page 0x1f");
        assert_eq!(HostPage(0x1f).to_string(), "host frame 0x1f");
    }
}
