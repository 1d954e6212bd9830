//! Protocol versions.

use core::fmt;

/// A version as it is on the wire: major in the high 8 bits, minor in the low 8 bits. Any value can arrive.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u16);

impl Version {
    /// 2.0: Windows Server 2008 and 2008 R2 (documented).
    pub const WINDOWS_2008: Self = Self::new(2, 0);
    /// 4.2: Windows 7 (documented).
    pub const WINDOWS_7: Self = Self::new(4, 2);
    /// 5.1: Windows 8; longer requests, several channels (documented).
    pub const WINDOWS_8: Self = Self::new(5, 1);
    /// 6.0: Windows 8.1 (documented).
    pub const WINDOWS_8_1: Self = Self::new(6, 0);
    /// 6.2: Windows 10; known, not spoken (documented).
    pub const WINDOWS_10: Self = Self::new(6, 2);
    /// The versions that are spoken here, oldest first.
    pub const SPOKEN: [Self; 4] = [Self::WINDOWS_2008, Self::WINDOWS_7, Self::WINDOWS_8, Self::WINDOWS_8_1];

    /// The version `major.minor`.
    #[must_use]
    pub const fn new(major: u8, minor: u8) -> Self {
        Self((major as u16) << 8 | minor as u16)
    }

    /// Whether requests have the fields that came with 5.1.
    #[must_use]
    pub fn has_long_requests(self) -> bool {
        self >= Self::WINDOWS_8
    }

    /// Bytes of a packet.
    #[must_use]
    pub fn packet_bytes(self) -> usize {
        if self.has_long_requests() { crate::PACKET_BYTES } else { crate::OLD_PACKET_BYTES }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 >> 8, self.0 & 0xff)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
