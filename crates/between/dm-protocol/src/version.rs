//! Protocol versions.

use core::fmt;

/// A version of the protocol as it is on the wire: major in the high 16 bits, minor in the low 16 bits.
///
/// Versions compare as their number. Only three are known ([`Version::KNOWN`]); any other value can arrive.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u32);

impl Version {
    /// 0.3: Windows 7, Windows Server 2008 R2 SP1 (documented).
    pub const V0_3: Self = Self::new(0, 3);
    /// 1.0: Windows 8, Windows Server 2012 and 2012 R2; adds INFO_MESSAGE (documented).
    pub const V1_0: Self = Self::new(1, 0);
    /// 2.0: Windows 10, Windows Server 2016 and later; adds hot-remove (documented).
    pub const V2_0: Self = Self::new(2, 0);
    /// The versions that exist, oldest first.
    pub const KNOWN: [Self; 3] = [Self::V0_3, Self::V1_0, Self::V2_0];

    /// The version `major.minor`.
    #[must_use]
    pub const fn new(major: u16, minor: u16) -> Self {
        Self((major as u32) << 16 | minor as u32)
    }

    /// The number before the dot.
    #[must_use]
    pub const fn major(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// The number after the dot.
    #[must_use]
    pub const fn minor(self) -> u16 {
        self.0 as u16
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major(), self.minor())
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({self})")
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString as _;

    use super::*;

    #[test]
    fn versions_are_ordered_and_have_the_documented_numbers() {
        assert_eq!(Version::KNOWN.map(|v| v.0), [0x0000_0003, 0x0001_0000, 0x0002_0000]);
        assert!(Version::KNOWN.is_sorted());
        assert_eq!((Version::V0_3.major(), Version::V0_3.minor()), (0, 3));
        assert_eq!((Version::V2_0.major(), Version::V2_0.minor()), (2, 0));
        assert_eq!(Version::new(10, 2).to_string(), "10.2");
    }
}
