//! Opening a file: everything that describes the disk is checked before a sector is read.

use std::collections::{BTreeMap, BTreeSet};

use super::{Image, Sparse, TableAccess};
use crate::format::{
    FOOTER_BYTES, Footer, FormatError, HEADER_BYTES, Header, Layout, Place, Table, table_bytes,
};
use crate::limits::SECTOR;
use crate::{DiskType, Storage, VhdError};

/// What to do with a footer that is damaged, or unlike its copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FooterRule {
    /// Refuse the file, and say what is wrong.
    #[default]
    Refuse,
    /// Write the footer, or its copy, again, if the other one is good and no block is missing.
    Repair,
}

/// Both footers as they were found.
struct Found {
    footer: Footer,
    /// What is to be mended.
    fault: Option<FormatError>,
}

impl<S: Storage> Image<S> {
    /// Opens a file. `name` is what errors call it.
    ///
    /// # Errors
    /// The file is no VHD, is damaged or cut off, or cannot be read.
    pub fn open(storage: S, name: &str, access: TableAccess, writable: bool) -> Result<Self, VhdError> {
        Self::open_with(storage, name, access, writable, FooterRule::Refuse).map(|(image, _)| image)
    }

    /// Opens a file, and mends what `rule` says; what was mended comes with it.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn open_with(
        storage: S,
        name: &str,
        access: TableAccess,
        writable: bool,
        rule: FooterRule,
    ) -> Result<(Self, Option<FormatError>), VhdError> {
        let bad = |error| VhdError::Format { name: name.to_owned(), error };
        let read = |offset, out: &mut [u8]| {
            storage.read_at(offset, out).map_err(|error| VhdError::io(name, "read", offset, error))
        };
        let len = storage.len().map_err(|error| VhdError::io(name, "read the length", 0, error))?;
        let Some(end) = len.checked_sub(FOOTER_BYTES as u64) else {
            return Err(bad(FormatError::TooShort { len }));
        };
        let (mut last, mut first) = ([0; FOOTER_BYTES], [0; FOOTER_BYTES]);
        read(end, &mut last)?;
        read(0, &mut first)?;
        let Found { footer, fault } = footers(&last, &first).map_err(bad)?;
        if let Some(fault) = fault.clone().filter(|_| rule == FooterRule::Refuse || !writable) {
            return Err(bad(fault));
        }
        if footer.disk_type == DiskType::Fixed {
            if footer.bytes != end {
                return Err(bad(FormatError::FixedLength { disk: footer.bytes, data: end }));
            }
            return Ok((Self { storage, name: name.to_owned(), footer, sparse: None, writable }, None));
        }
        let offset = footer.header_offset.unwrap_or_default();
        if offset < FOOTER_BYTES as u64 || offset.checked_add(HEADER_BYTES as u64).is_none_or(|end| end > len)
        {
            return Err(bad(FormatError::HeaderPlace { offset, len }));
        }
        let mut bytes = [0; HEADER_BYTES];
        read(offset, &mut bytes)?;
        let header = Header::parse(&bytes, footer.bytes).map_err(bad)?;
        let layout = Layout::new(&header, offset, len).map_err(bad)?;
        let mut bytes = vec![0; layout.entries as usize * 4];
        read(layout.table_offset, &mut bytes)?;
        let table = Table::from_bytes(&bytes);
        let lost = matches!(fault, Some(FormatError::FooterLost { .. }));
        let blocks_end = table.check(&layout, if lost { len } else { end }).map_err(bad)?;
        let end = if lost { blocks_end } else { end };
        if !end.is_multiple_of(SECTOR) {
            return Err(bad(FormatError::Length { len }));
        }
        if layout.first_block > end {
            let (offset, entries) = (layout.table_offset, layout.entries);
            return Err(bad(FormatError::TablePlace { offset, entries, len }));
        }
        let free = table.free_places(&layout, end);
        let sparse = Sparse {
            header,
            layout,
            access,
            table: (access == TableAccess::InMemory).then_some(table),
            changed: BTreeMap::new(),
            bitmaps: BTreeMap::new(),
            changed_bitmaps: BTreeSet::new(),
            end,
            free,
            freed: Vec::new(),
            clock: 0,
        };
        let image = Self { storage, name: name.to_owned(), footer, sparse: Some(sparse), writable };
        if fault.is_some() {
            image.write_footers(end)?;
        }
        Ok((image, fault))
    }

    /// Both footers anew, and nothing after the one at `end`.
    fn write_footers(&self, end: u64) -> Result<(), VhdError> {
        let bytes = self.footer.to_bytes();
        self.write_file(end, &bytes)?;
        let len = end + FOOTER_BYTES as u64;
        self.storage
            .set_len(len)
            .map_err(|error| VhdError::io(&self.name, "cut the file off", len, error))?;
        self.sync_file()?;
        self.write_file(0, &bytes)?;
        self.sync_file()
    }
}

/// Which footer holds, and what is wrong with the other one.
fn footers(last: &[u8; FOOTER_BYTES], first: &[u8; FOOTER_BYTES]) -> Result<Found, FormatError> {
    if first.starts_with(b"vhdxfile") {
        return Err(FormatError::Vhdx);
    }
    let found = |footer, fault| Ok(Found { footer, fault });
    match (Footer::parse(last, Place::Footer), Footer::parse(first, Place::Copy)) {
        // What stands at the beginning of a fixed disk is the guest's, whatever it looks like.
        (Ok(footer), _) if footer.disk_type == DiskType::Fixed => found(footer, None),
        (Ok(footer), Ok(copy)) => match footer.difference(&copy) {
            None => found(footer, None),
            Some(field) => found(copy, Some(FormatError::FootersDisagree { field })),
        },
        (Ok(footer), Err(why)) => found(footer, Some(FormatError::CopyLost { why: why.into() })),
        (Err(why), Ok(copy)) if copy.disk_type != DiskType::Fixed => {
            found(copy, Some(FormatError::FooterLost { why: why.into() }))
        }
        (Err(FormatError::Cookie { .. }), Ok(_) | Err(FormatError::Cookie { .. })) => {
            Err(FormatError::NotVhd)
        }
        (Err(FormatError::Cookie { .. }), Err(why)) | (Err(why), _) => Err(why),
    }
}

/// Bytes that a file of an empty dynamic disk has up to its first block, without a parent's paths.
pub(crate) fn bytes_before_blocks(header: &Header) -> u64 {
    header.table_offset + table_bytes(header.entries)
}
