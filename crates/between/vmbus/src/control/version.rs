//! VMBus protocol versions.

use core::fmt;

/// A VMBus version as it is on the wire: major number in the upper, minor number in the lower 16 bits.
///
/// Any value can be written down: what a guest asks for need not exist.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Version(pub u32);

impl Version {
    /// 0.13: Windows Server 2008. Refused.
    pub const WS2008: Self = Self::new(0, 13);
    /// 1.1: Windows 7, Server 2008 R2. Refused: it signals through the interrupt page, which we do not have.
    pub const WIN7: Self = Self::new(1, 1);
    /// 2.4: Windows 8, Server 2012. The first with event flags of its own for every channel.
    pub const WIN8: Self = Self::new(2, 4);
    /// 3.0: Windows 8.1, Server 2012 R2. The first with UNLOAD.
    pub const WIN8_1: Self = Self::new(3, 0);
    /// 4.0: Windows 10, Server 2016.
    pub const WIN10: Self = Self::new(4, 0);
    /// 4.1: Windows 10 RS3. The first with MODIFYCHANNEL.
    pub const WIN10_RS3: Self = Self::new(4, 1);
    /// 5.0. The first whose contact goes to connection id 4 and whose answer names the connection to use.
    pub const WIN10_V5: Self = Self::new(5, 0);
    /// 5.1: Windows 10 RS4.
    pub const WIN10_RS4: Self = Self::new(5, 1);
    /// 5.2: Windows 10 RS5, Server 2019.
    pub const WS2019: Self = Self::new(5, 2);
    /// 5.3: Server 2022. The first whose MODIFYCHANNEL is answered.
    pub const WS2022: Self = Self::new(5, 3);
    /// 6.0 ("Copper"). Refused: its feature flags are not implemented.
    pub const COPPER: Self = Self::new(6, 0);

    /// The versions both state machines speak, newest first: the order in which a guest tries them.
    pub const SPOKEN: [Self; 8] = [
        Self::WS2022,
        Self::WS2019,
        Self::WIN10_RS4,
        Self::WIN10_V5,
        Self::WIN10_RS3,
        Self::WIN10,
        Self::WIN8_1,
        Self::WIN8,
    ];

    /// Version `major.minor`.
    pub const fn new(major: u16, minor: u16) -> Self {
        Self((major as u32) << 16 | minor as u32)
    }

    /// The number before the point.
    pub const fn major(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// The number after the point.
    pub const fn minor(self) -> u16 {
        self.0 as u16
    }

    /// Whether the state machines of this crate speak it.
    pub fn is_spoken(self) -> bool {
        Self::SPOKEN.contains(&self)
    }

    /// From 5.0 on, contact is made through connection id 4, and VERSION_RESPONSE names the connection for the rest.
    pub fn names_its_connection(self) -> bool {
        self >= Self::WIN10_V5
    }

    /// Whether UNLOAD exists (3.0 and later).
    pub fn has_unload(self) -> bool {
        self >= Self::WIN8_1
    }

    /// Whether MODIFYCHANNEL exists (4.1 and later).
    pub fn has_modify_channel(self) -> bool {
        self >= Self::WIN10_RS3
    }

    /// Whether a refused TL_CONNECT_REQUEST is answered (4.1 and later; documented by OpenVMM's server).
    pub fn answers_tl_connect(self) -> bool {
        self >= Self::WIN10_RS3
    }

    /// Whether INITIATE_CONTACT names the VP for the host's messages (3.0 and later; before, it is VP 0; documented by
    /// OpenVMM's server).
    pub fn names_its_processor(self) -> bool {
        self >= Self::WIN8_1
    }

    /// Whether INITIATE_CONTACT names a SINT (5.0 and later).
    pub fn names_its_sint(self) -> bool {
        self >= Self::WIN10_V5
    }

    /// Whether INITIATE_CONTACT names a virtual trust level (5.1 and later; documented by OpenVMM's server).
    pub fn names_its_vtl(self) -> bool {
        self >= Self::WIN10_RS4
    }

    /// Whether MODIFYCHANNEL is answered (5.3 and later).
    pub fn answers_modify_channel(self) -> bool {
        self >= Self::WS2022
    }

    /// The release of Windows that brought it, if it is a known one.
    pub fn release(self) -> Option<&'static str> {
        Some(match self {
            Self::WS2008 => "Windows Server 2008",
            Self::WIN7 => "Windows 7",
            Self::WIN8 => "Windows 8",
            Self::WIN8_1 => "Windows 8.1",
            Self::WIN10 => "Windows 10",
            Self::WIN10_RS3 => "Windows 10 RS3",
            Self::WIN10_V5 => "Windows 10 (5.0)",
            Self::WIN10_RS4 => "Windows 10 RS4",
            Self::WS2019 => "Windows Server 2019",
            Self::WS2022 => "Windows Server 2022",
            Self::COPPER => "Copper",
            _ => return None,
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major(), self.minor())
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spoken_versions_are_the_eight_from_2_4_to_5_3_newest_first() {
        assert!(Version::SPOKEN.windows(2).all(|pair| pair[0] > pair[1]));
        assert_eq!((Version::SPOKEN[0], Version::SPOKEN[7]), (Version(0x0005_0003), Version(0x0002_0004)));
        for refused in [Version::WS2008, Version::WIN7, Version::COPPER, Version::new(4, 2)] {
            assert!(!refused.is_spoken(), "{refused}");
        }
        assert!(Version::SPOKEN.into_iter().all(|version| version.release().is_some()));
    }

    #[test]
    fn every_feature_begins_with_its_version() {
        /// A feature, the first version that has it, and the one before.
        type Row = (fn(Version) -> bool, Version, Version);
        let rows: [Row; 8] = [
            (Version::has_unload, Version::WIN8_1, Version::WIN8),
            (Version::names_its_processor, Version::WIN8_1, Version::WIN8),
            (Version::has_modify_channel, Version::WIN10_RS3, Version::WIN10),
            (Version::answers_tl_connect, Version::WIN10_RS3, Version::WIN10),
            (Version::names_its_connection, Version::WIN10_V5, Version::WIN10_RS3),
            (Version::names_its_sint, Version::WIN10_V5, Version::WIN10_RS3),
            (Version::names_its_vtl, Version::WIN10_RS4, Version::WIN10_V5),
            (Version::answers_modify_channel, Version::WS2022, Version::WS2019),
        ];
        for (place, (has, first, before)) in rows.into_iter().enumerate() {
            assert!(
                has(first) && has(Version::WS2022) && !has(before) && !has(Version::WS2008),
                "row {place}"
            );
        }
    }

    #[test]
    fn versions_have_numbers_and_the_releases_that_brought_them() {
        let rows = [
            (Version::WS2008, "0.13", "Windows Server 2008"),
            (Version::WIN7, "1.1", "Windows 7"),
            (Version::WIN8, "2.4", "Windows 8"),
            (Version::WIN8_1, "3.0", "Windows 8.1"),
            (Version::WIN10, "4.0", "Windows 10"),
            (Version::WIN10_RS3, "4.1", "Windows 10 RS3"),
            (Version::WIN10_V5, "5.0", "Windows 10 (5.0)"),
            (Version::WIN10_RS4, "5.1", "Windows 10 RS4"),
            (Version::WS2019, "5.2", "Windows Server 2019"),
            (Version::WS2022, "5.3", "Windows Server 2022"),
            (Version::COPPER, "6.0", "Copper"),
        ];
        for (version, number, release) in rows {
            assert_eq!((alloc::format!("{version}"), version.release()), (number.into(), Some(release)));
        }
        assert_eq!(Version::new(4, 2).release(), None);
        let version = Version::new(0x1234, 0x5678);
        assert_eq!((version.0, version.major(), version.minor()), (0x1234_5678, 0x1234, 0x5678));
    }
}
