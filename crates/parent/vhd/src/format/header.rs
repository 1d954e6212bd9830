//! The header of a dynamic or differencing disk.

use uuid::Uuid;
use zerocopy::{FromBytes, IntoBytes};

use super::wire::{HEADER_CHECKSUM, RawHeader, RawLocator};
use super::{FOOTER_BYTES, FormatError, HEADER_BYTES, Identity, Place, VhdTime, checksum};
use crate::limits::{MAX_BLOCK_BYTES, MAX_TABLE_ENTRIES, MIN_BLOCK_BYTES};

const COOKIE: &[u8; 8] = b"cxsparse";
const VERSION: u32 = 0x0001_0000;

/// What kind of path a locator has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocatorKind {
    /// "W2ku": absolute, UTF-16 little-endian.
    WindowsAbsolute,
    /// "W2ru": from the child's folder, UTF-16 little-endian.
    WindowsRelative,
    /// Of a kind that is not read.
    Other([u8; 4]),
}

/// Where a path of the parent lies in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Locator {
    /// What kind of path it is.
    pub kind: LocatorKind,
    /// Bytes that are kept for it.
    pub space: u32,
    /// Bytes of the path.
    pub length: u32,
    /// Where it begins.
    pub offset: u64,
}

/// A header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Where the table lies.
    pub table_offset: u64,
    /// Its entries.
    pub entries: u32,
    /// Bytes of a block, without its bitmap.
    pub block_bytes: u32,
    /// Who the parent is; zeros in a dynamic disk.
    pub parent: Identity,
    /// The parent's file name, as characters.
    pub parent_name: String,
    /// Where paths of the parent lie.
    pub locators: Vec<Locator>,
}

impl Header {
    /// The header of a disk of `disk_bytes` without a parent, directly after the footer's copy, with the table after it.
    ///
    /// # Errors
    /// The block size is none, or so small that the table would be too large.
    pub fn new(disk_bytes: u64, block_bytes: u32) -> Result<Self, FormatError> {
        let entries = u32::try_from(disk_bytes.div_ceil(u64::from(block_bytes.max(1)))).unwrap_or(u32::MAX);
        let header = Self {
            table_offset: (FOOTER_BYTES + HEADER_BYTES) as u64,
            entries,
            block_bytes,
            parent: Identity { uuid: Uuid::nil(), time: VhdTime(0) },
            parent_name: String::new(),
            locators: Vec::new(),
        };
        header.check_blocks(disk_bytes)?;
        Ok(header)
    }

    /// Reads the header of a disk of `disk_bytes`.
    ///
    /// # Errors
    /// It is none, is damaged, or does not fit the disk.
    pub fn parse(bytes: &[u8; HEADER_BYTES], disk_bytes: u64) -> Result<Self, FormatError> {
        let place = Place::Header;
        let cookie = FormatError::Cookie { place, expected: "cxsparse" };
        let Ok(raw) = RawHeader::ref_from_bytes(bytes) else { return Err(cookie) };
        if raw.cookie != *COOKIE {
            return Err(cookie);
        }
        let (stored, computed) = (raw.checksum.get(), checksum(bytes, HEADER_CHECKSUM));
        if stored != computed {
            return Err(FormatError::Checksum { place, stored, computed });
        }
        if raw.version.get() >> 16 != VERSION >> 16 {
            return Err(FormatError::Version { place, found: raw.version.get() });
        }
        let name: Vec<u16> =
            raw.parent_name.iter().map(|unit| unit.get()).take_while(|&unit| unit != 0).collect();
        let locators = raw.locators.iter().filter(|locator| locator.code != [0; 4]).map(|locator| Locator {
            kind: match &locator.code {
                b"W2ku" => LocatorKind::WindowsAbsolute,
                b"W2ru" => LocatorKind::WindowsRelative,
                code => LocatorKind::Other(*code),
            },
            space: locator.space.get(),
            length: locator.length.get(),
            offset: locator.offset.get(),
        });
        let header = Self {
            table_offset: raw.table_offset.get(),
            entries: raw.entries.get(),
            block_bytes: raw.block_bytes.get(),
            parent: Identity {
                uuid: Uuid::from_bytes(raw.parent_uuid),
                time: VhdTime(raw.parent_time.get()),
            },
            parent_name: String::from_utf16_lossy(&name),
            locators: locators.collect(),
        };
        header.check_blocks(disk_bytes)?;
        Ok(header)
    }

    fn check_blocks(&self, disk: u64) -> Result<(), FormatError> {
        let &Self { block_bytes, entries, .. } = self;
        if !block_bytes.is_power_of_two() || !(MIN_BLOCK_BYTES..=MAX_BLOCK_BYTES).contains(&block_bytes) {
            return Err(FormatError::BlockSize { bytes: block_bytes });
        }
        if entries > MAX_TABLE_ENTRIES {
            return Err(FormatError::TableTooLarge { entries });
        }
        if u64::from(entries) * u64::from(block_bytes) < disk {
            return Err(FormatError::TableTooSmall { entries, block_bytes, disk });
        }
        Ok(())
    }

    /// The bytes of the header, with their checksum. Of the parent's name at most 255 characters are kept, of locators 8.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut raw = RawHeader {
            cookie: *COOKIE,
            data_offset: u64::MAX.into(),
            table_offset: self.table_offset.into(),
            version: VERSION.into(),
            entries: self.entries.into(),
            block_bytes: self.block_bytes.into(),
            checksum: 0.into(),
            parent_uuid: self.parent.uuid.into_bytes(),
            parent_time: self.parent.time.0.into(),
            reserved: 0.into(),
            parent_name: [0.into(); 256],
            locators: [RawLocator::new_zeroed(); 8],
            reserved_2: [0; 256],
        };
        for (to, unit) in raw.parent_name.iter_mut().take(255).zip(self.parent_name.encode_utf16()) {
            *to = unit.into();
        }
        for (to, locator) in raw.locators.iter_mut().zip(&self.locators) {
            *to = RawLocator {
                code: match locator.kind {
                    LocatorKind::WindowsAbsolute => *b"W2ku",
                    LocatorKind::WindowsRelative => *b"W2ru",
                    LocatorKind::Other(code) => code,
                },
                space: locator.space.into(),
                length: locator.length.into(),
                reserved: 0.into(),
                offset: locator.offset.into(),
            };
        }
        raw.checksum = checksum(raw.as_bytes(), HEADER_CHECKSUM).into();
        let mut bytes = [0; HEADER_BYTES];
        bytes.copy_from_slice(raw.as_bytes());
        bytes
    }
}

use zerocopy::FromZeros as _;

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        let mut header = Header::new(64 << 20, 2 << 20).unwrap();
        header.parent = Identity { uuid: Uuid::from_u128(7), time: VhdTime(9) };
        header.parent_name = "golden-Büro.vhd".to_owned();
        let locator = |kind, offset| Locator { kind, space: 512, length: 20, offset };
        header.locators =
            vec![locator(LocatorKind::WindowsRelative, 2048), locator(LocatorKind::Other(*b"MacX"), 4096)];
        header
    }

    #[test]
    fn fields_stand_where_the_specification_has_them() {
        let bytes = header().to_bytes();
        assert_eq!(bytes[..8], *b"cxsparse");
        assert_eq!(bytes[8..16], [0xff; 8]);
        assert_eq!(bytes[16..24], [0, 0, 0, 0, 0, 0, 6, 0]);
        assert_eq!(bytes[24..36], [0, 1, 0, 0, 0, 0, 0, 32, 0, 0x20, 0, 0]);
        assert_eq!(bytes[55..60], [7, 0, 0, 0, 9]);
        assert_eq!(bytes[64..68], [0, b'g', 0, b'o']);
        assert_eq!(bytes[576..600], *b"W2ru\0\0\x02\0\0\0\0\x14\0\0\0\0\0\0\0\0\0\0\x08\0");
        assert_eq!(bytes[768..], [0; 256]);
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(Header::parse(&header().to_bytes(), 64 << 20), Ok(header()));
    }

    #[test]
    fn every_damaged_byte_is_noticed() {
        let good = header().to_bytes();
        for at in 0..HEADER_BYTES {
            let mut bytes = good;
            bytes[at] ^= 0x10;
            assert!(Header::parse(&bytes, 64 << 20).is_err(), "{at}");
        }
    }

    #[test]
    fn blocks_and_tables_that_fit_no_disk_are_refused() {
        let refused = |change: fn(&mut Header)| {
            let mut header = header();
            change(&mut header);
            Header::parse(&header.to_bytes(), 64 << 20).unwrap_err()
        };
        assert_eq!(refused(|h| h.block_bytes = 0), FormatError::BlockSize { bytes: 0 });
        assert_eq!(refused(|h| h.block_bytes = 3 << 20), FormatError::BlockSize { bytes: 3 << 20 });
        assert_eq!(refused(|h| h.block_bytes = 512 << 20), FormatError::BlockSize { bytes: 512 << 20 });
        assert!(matches!(refused(|h| h.entries = 31), FormatError::TableTooSmall { entries: 31, .. }));
        assert_eq!(refused(|h| h.entries = u32::MAX), FormatError::TableTooLarge { entries: u32::MAX });
        assert_eq!(Header::new(64 << 20, 0), Err(FormatError::BlockSize { bytes: 0 }));
        assert!(matches!(Header::new(2040 << 30, 4096), Err(FormatError::TableTooLarge { .. })));
    }
}
