//! The footer, which says what a file is.

use uuid::Uuid;
use zerocopy::{FromBytes, IntoBytes};

use super::wire::{FOOTER_CHECKSUM, RawFooter};
use super::{FOOTER_BYTES, FormatError, Geometry, Place, VhdTime, checksum};
use crate::limits::{MAX_DISK_BYTES, SECTOR};

const COOKIE: &[u8; 8] = b"conectix";
const VERSION: u32 = 0x0001_0000;
/// The bit of `features` that is always set (documented).
const RESERVED_FEATURE: u32 = 2;
/// `data_offset` of a fixed disk.
const NO_HEADER: u64 = u64::MAX;

/// How a disk's sectors lie in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskType {
    /// All of them, in order.
    Fixed,
    /// Blocks as they are written.
    Dynamic,
    /// Blocks as they are written; what is not in them is the parent's.
    Differencing,
}

impl std::fmt::Display for DiskType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Fixed => "fixed",
            Self::Dynamic => "dynamic",
            Self::Differencing => "differencing",
        })
    }
}

/// What tells a disk from others. The caller chooses it: this crate knows neither clocks nor chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Unique; what differs from this disk names it.
    pub uuid: Uuid,
    /// When the disk was made.
    pub time: VhdTime,
}

/// A footer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer {
    /// How sectors lie in the file.
    pub disk_type: DiskType,
    /// Where the header lies; only in dynamic and differencing disks.
    pub header_offset: Option<u64>,
    /// Who the disk is.
    pub identity: Identity,
    /// Four characters of the program that made the file.
    pub creator: [u8; 4],
    /// Its version.
    pub creator_version: u32,
    /// Four characters of the system that it ran on.
    pub host_os: [u8; 4],
    /// Bytes of the disk when it was made.
    pub original_bytes: u64,
    /// Bytes of the disk.
    pub bytes: u64,
    /// Its geometry, as the footer has it.
    pub geometry: Geometry,
    /// A virtual machine was saved with this disk.
    pub saved_state: bool,
}

impl Footer {
    /// The footer of a new disk of `bytes`.
    ///
    /// The creator is "win ", as Hyper-V writes it (documented: libvhdi): readers such as QEMU take a disk's size from the footer only if they
    /// know the creator, and otherwise from the geometry, which is smaller.
    ///
    /// # Errors
    /// No VHD has this size.
    pub fn new(disk_type: DiskType, bytes: u64, identity: Identity) -> Result<Self, FormatError> {
        check_size(bytes)?;
        Ok(Self {
            disk_type,
            header_offset: (disk_type != DiskType::Fixed).then_some(FOOTER_BYTES as u64),
            identity,
            creator: *b"win ",
            creator_version: 0x0006_0001,
            host_os: *b"Wi2k",
            original_bytes: bytes,
            bytes,
            geometry: Geometry::of(bytes),
            saved_state: false,
        })
    }

    /// Sectors of the disk.
    #[must_use]
    pub fn sectors(&self) -> u64 {
        self.bytes / SECTOR
    }

    /// Reads a footer at `place`, the end of the file or its beginning.
    ///
    /// # Errors
    /// It is none, is damaged, or describes no disk.
    pub fn parse(bytes: &[u8; FOOTER_BYTES], place: Place) -> Result<Self, FormatError> {
        let Ok(raw) = RawFooter::ref_from_bytes(bytes) else { return Err(FormatError::NotVhd) };
        if raw.cookie != *COOKIE {
            return Err(FormatError::Cookie { place, expected: "conectix" });
        }
        let (stored, computed) = (raw.checksum.get(), checksum(bytes, FOOTER_CHECKSUM));
        if stored != computed {
            return Err(FormatError::Checksum { place, stored, computed });
        }
        if raw.version.get() >> 16 != VERSION >> 16 {
            return Err(FormatError::Version { place, found: raw.version.get() });
        }
        let disk_type = match raw.disk_type.get() {
            2 => DiskType::Fixed,
            3 => DiskType::Dynamic,
            4 => DiskType::Differencing,
            found => return Err(FormatError::DiskType { found }),
        };
        check_size(raw.current_size.get())?;
        Ok(Self {
            disk_type,
            header_offset: (disk_type != DiskType::Fixed).then(|| raw.data_offset.get()),
            identity: Identity { uuid: Uuid::from_bytes(raw.uuid), time: VhdTime(raw.time.get()) },
            creator: raw.creator,
            creator_version: raw.creator_version.get(),
            host_os: raw.host_os,
            original_bytes: raw.original_size.get(),
            bytes: raw.current_size.get(),
            geometry: Geometry { cylinders: raw.cylinders.get(), heads: raw.heads, sectors: raw.sectors },
            saved_state: raw.saved_state != 0,
        })
    }

    /// The bytes of the footer, with their checksum.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; FOOTER_BYTES] {
        let mut raw = RawFooter {
            cookie: *COOKIE,
            features: RESERVED_FEATURE.into(),
            version: VERSION.into(),
            data_offset: self.header_offset.unwrap_or(NO_HEADER).into(),
            time: self.identity.time.0.into(),
            creator: self.creator,
            creator_version: self.creator_version.into(),
            host_os: self.host_os,
            original_size: self.original_bytes.into(),
            current_size: self.bytes.into(),
            cylinders: self.geometry.cylinders.into(),
            heads: self.geometry.heads,
            sectors: self.geometry.sectors,
            disk_type: match self.disk_type {
                DiskType::Fixed => 2,
                DiskType::Dynamic => 3,
                DiskType::Differencing => 4,
            }
            .into(),
            checksum: 0.into(),
            uuid: self.identity.uuid.into_bytes(),
            saved_state: self.saved_state.into(),
            reserved: [0; 427],
        };
        raw.checksum = checksum(raw.as_bytes(), FOOTER_CHECKSUM).into();
        let mut bytes = [0; FOOTER_BYTES];
        bytes.copy_from_slice(raw.as_bytes());
        bytes
    }

    /// The first field in which two footers of one file differ.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<&'static str> {
        [
            (self.identity != other.identity, "who the disk is (UUID and time)"),
            (self.disk_type != other.disk_type, "the type of the disk"),
            (self.bytes != other.bytes, "the size of the disk"),
            (self.header_offset != other.header_offset, "where the header is"),
            (self != other, "creator, geometry or saved state"),
        ]
        .into_iter()
        .find_map(|(differs, field)| differs.then_some(field))
    }
}

fn check_size(bytes: u64) -> Result<(), FormatError> {
    if bytes == 0 || !bytes.is_multiple_of(SECTOR) {
        return Err(FormatError::Size { bytes });
    }
    if bytes > MAX_DISK_BYTES { Err(FormatError::TooLarge { bytes }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn footer() -> Footer {
        let identity = Identity { uuid: Uuid::from_u128(0x0102_0304 << 96), time: VhdTime(0x1234_5678) };
        Footer::new(DiskType::Dynamic, 64 << 20, identity).unwrap()
    }

    fn with_checksum(mut bytes: [u8; FOOTER_BYTES]) -> [u8; FOOTER_BYTES] {
        let sum = checksum(&bytes, FOOTER_CHECKSUM);
        bytes[FOOTER_CHECKSUM..FOOTER_CHECKSUM + 4].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    #[test]
    fn fields_stand_where_the_specification_has_them() {
        let bytes = footer().to_bytes();
        assert_eq!(bytes[..8], *b"conectix");
        assert_eq!(bytes[8..16], [0, 0, 0, 2, 0, 1, 0, 0]);
        assert_eq!(bytes[16..24], [0, 0, 0, 0, 0, 0, 2, 0]);
        assert_eq!(bytes[24..28], [0x12, 0x34, 0x56, 0x78]);
        assert_eq!(bytes[28..40], *b"win \0\x06\0\x01Wi2k");
        assert_eq!(bytes[40..56], [0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0]);
        assert_eq!(bytes[56..64], [0x03, 0xc3, 8, 17, 0, 0, 0, 3]);
        assert_eq!(bytes[68..72], [1, 2, 3, 4]);
        assert_eq!(bytes[85..], [0; 427]);
        let sum: u32 = bytes.iter().map(|&byte| u32::from(byte)).sum();
        let own: u32 = bytes[64..68].iter().map(|&byte| u32::from(byte)).sum();
        assert_eq!(u32::from_be_bytes(bytes[64..68].try_into().unwrap()), !(sum - own));
    }

    #[test]
    fn what_is_written_is_read() {
        for disk_type in [DiskType::Fixed, DiskType::Dynamic, DiskType::Differencing] {
            let footer = Footer::new(disk_type, 40 << 30, footer().identity).unwrap();
            assert_eq!(Footer::parse(&footer.to_bytes(), Place::Footer), Ok(footer));
        }
    }

    #[test]
    fn every_damaged_byte_is_noticed() {
        let good = footer().to_bytes();
        for at in 0..FOOTER_BYTES {
            let mut bytes = good;
            bytes[at] ^= 0x10;
            let error = Footer::parse(&bytes, Place::Copy).unwrap_err();
            assert!(
                matches!(error, FormatError::Cookie { .. } | FormatError::Checksum { .. }),
                "{at}: {error}"
            );
        }
    }

    #[test]
    fn what_describes_no_disk_is_refused() {
        let refused = |at: usize, value: &[u8]| {
            let mut bytes = footer().to_bytes();
            bytes[at..at + value.len()].copy_from_slice(value);
            Footer::parse(&with_checksum(bytes), Place::Footer).unwrap_err()
        };
        assert_eq!(refused(12, &[0, 2, 0, 0]), FormatError::Version { place: Place::Footer, found: 0x20000 });
        for found in [0, 1, 5, u32::MAX] {
            assert_eq!(refused(60, &found.to_be_bytes()), FormatError::DiskType { found });
        }
        for bytes in [0u64, 511, 513] {
            assert_eq!(refused(48, &bytes.to_be_bytes()), FormatError::Size { bytes });
        }
        let bytes = MAX_DISK_BYTES + 512;
        assert_eq!(refused(48, &bytes.to_be_bytes()), FormatError::TooLarge { bytes });
        assert_eq!(
            Footer::new(DiskType::Fixed, bytes, footer().identity),
            Err(FormatError::TooLarge { bytes })
        );
    }
}
