//! The block allocation table: where each block lies.

use super::{Bitmap, FOOTER_BYTES, FormatError, HEADER_BYTES, Header};
use crate::limits::SECTOR;

/// The entry of a block that is not in the file.
pub const ABSENT: u32 = u32::MAX;

/// Bytes of a table in the file: whole sectors.
#[must_use]
pub fn table_bytes(entries: u32) -> u64 {
    (u64::from(entries) * 4).next_multiple_of(SECTOR)
}

/// Where things are in a file of dynamic or differencing type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Where the table lies.
    pub table_offset: u64,
    /// Its entries.
    pub entries: u32,
    /// Bytes of a block's data.
    pub block_bytes: u32,
    /// Bytes of a block's bitmap, which stands before its data.
    pub bitmap_bytes: u64,
    /// Where the first block can be: after header and table.
    pub first_block: u64,
    /// From where to where paths of the parent lie; before the blocks, or anywhere between them.
    pub paths: [(u64, u64); 8],
}

impl Layout {
    /// Where things are by a header at `header_offset`, in a file of `len` bytes.
    ///
    /// # Errors
    /// Header, table or a parent's path lie where they cannot.
    pub fn new(header: &Header, header_offset: u64, len: u64) -> Result<Self, FormatError> {
        let &Header { table_offset, entries, block_bytes, .. } = header;
        let bad_table = FormatError::TablePlace { offset: table_offset, entries, len };
        let header_end = header_offset.saturating_add(HEADER_BYTES as u64);
        let table_end = table_offset.checked_add(u64::from(entries) * 4).filter(|&end| end <= len);
        let Some(table_end) = table_end else { return Err(bad_table) };
        let overlaps_header = table_offset < header_end && header_offset < table_end;
        if table_offset < FOOTER_BYTES as u64 || overlaps_header || !table_offset.is_multiple_of(SECTOR) {
            return Err(bad_table);
        }
        let first_block = header_end.max(table_end);
        let mut paths = [(0, 0); 8];
        for (path, locator) in paths.iter_mut().zip(&header.locators) {
            let (offset, length) = (locator.offset, locator.length);
            let end = offset.checked_add(u64::from(length)).filter(|&end| end <= len);
            let end = end.ok_or(FormatError::LocatorPlace { offset, length })?;
            *path = (offset, end.next_multiple_of(SECTOR));
        }
        Ok(Self {
            table_offset,
            entries,
            block_bytes,
            bitmap_bytes: Bitmap::bytes_for(block_bytes),
            first_block: first_block.next_multiple_of(SECTOR),
            paths,
        })
    }

    /// The path of the parent that a block at `place` would lie on, if it would: where it ends.
    fn path_at(&self, place: u64) -> Option<u64> {
        let end = place.saturating_add(self.place_bytes());
        self.paths.iter().find(|&&(from, to)| from < end && place < to).map(|&(_, to)| to)
    }

    /// Bytes of a block with its bitmap.
    #[must_use]
    pub fn place_bytes(&self) -> u64 {
        self.bitmap_bytes + u64::from(self.block_bytes)
    }

    /// Sectors of a block.
    #[must_use]
    pub fn block_sectors(&self) -> u64 {
        u64::from(self.block_bytes) / SECTOR
    }
}

/// A table, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    entries: Vec<u32>,
}

impl Table {
    /// A table of a disk that has nothing.
    #[must_use]
    pub fn empty(entries: u32) -> Self {
        Self { entries: vec![ABSENT; entries as usize] }
    }

    /// Of the bytes in the file.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let (whole, _) = bytes.as_chunks::<4>();
        Self { entries: whole.iter().map(|entry| u32::from_be_bytes(*entry)).collect() }
    }

    /// Where a block's bitmap begins in the file; nothing if the block is not there.
    #[must_use]
    pub fn place(&self, block: u32) -> Option<u64> {
        self.entries.get(block as usize).copied().and_then(place_of)
    }

    /// Says where a block is; the place is a multiple of a sector, and below 2 TiB.
    pub fn set(&mut self, block: u32, place: Option<u64>) {
        if let Some(entry) = self.entries.get_mut(block as usize) {
            *entry = entry_of(place);
        }
    }

    /// Blocks that are there, with their places, by place.
    #[must_use]
    pub fn placed(&self) -> Vec<(u64, u32)> {
        let blocks = (0u32..).zip(&self.entries);
        let mut placed: Vec<_> =
            blocks.filter_map(|(block, &entry)| place_of(entry).map(|place| (place, block))).collect();
        placed.sort_unstable();
        placed
    }

    /// Checks that every block lies after what describes the disk, before `end`, and on no other block. Returns where the last one
    /// ends.
    ///
    /// # Errors
    /// One does not.
    pub fn check(&self, layout: &Layout, end: u64) -> Result<u64, FormatError> {
        let size = layout.place_bytes();
        let (mut last, mut last_block) = (None, 0);
        for (offset, block) in self.placed() {
            if offset < layout.first_block || layout.path_at(offset).is_some() {
                return Err(FormatError::BlockInMetadata { block, offset, first: layout.first_block });
            }
            if let Some(other_offset) = last.filter(|last| last + size > offset) {
                return Err(FormatError::BlocksOverlap {
                    block: last_block,
                    offset: other_offset,
                    other: block,
                    other_offset: offset,
                });
            }
            if offset + size > end {
                return Err(FormatError::BlockBeyondFile { block, offset, end: offset + size, len: end });
            }
            (last, last_block) = (Some(offset), block);
        }
        let paths_end = layout.paths.iter().map(|&(_, to)| to).max().unwrap_or_default();
        Ok(last.map_or(layout.first_block, |last| last + size).max(paths_end))
    }

    /// Places of a block's size between the blocks and up to `end` that no block takes.
    #[must_use]
    pub fn free_places(&self, layout: &Layout, end: u64) -> Vec<u64> {
        let size = layout.place_bytes();
        let mut free = Vec::new();
        let mut from = layout.first_block;
        for place in self.placed().into_iter().map(|(place, _)| place).chain([end]) {
            while from + size <= place {
                match layout.path_at(from) {
                    Some(end) => from = end,
                    None => {
                        free.push(from);
                        from += size;
                    }
                }
            }
            from = from.max(place.saturating_add(size));
        }
        free
    }
}

/// What an entry means.
pub(crate) fn place_of(entry: u32) -> Option<u64> {
    (entry != ABSENT).then(|| u64::from(entry) * SECTOR)
}

/// The entry of a place.
pub(crate) fn entry_of(place: Option<u64>) -> u32 {
    place.map_or(ABSENT, |place| u32::try_from(place / SECTOR).unwrap_or(ABSENT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        Layout {
            table_offset: 1536,
            entries: 4,
            block_bytes: 4096,
            bitmap_bytes: 512,
            first_block: 2048,
            paths: [(0, 0); 8],
        }
    }

    fn table(entries: [u32; 4]) -> Table {
        Table { entries: entries.to_vec() }
    }

    #[test]
    fn tables_are_big_endian_sectors() {
        let table = Table::from_bytes(&[0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!((table.place(0), table.place(1), table.place(2)), (Some(2048), None, None));
        assert_eq!((table_bytes(1), table_bytes(129)), (512, 1024));
    }

    #[test]
    fn blocks_lie_apart_and_inside_the_file() {
        let check = |entries, end| table(entries).check(&layout(), end);
        const NO: u32 = ABSENT;
        assert_eq!(check([NO; 4], 2048), Ok(2048));
        assert_eq!(check([13, NO, 4, NO], 11264), Ok(11264));
        assert_eq!(
            check([3, NO, NO, NO], 99999),
            Err(FormatError::BlockInMetadata { block: 0, offset: 1536, first: 2048 })
        );
        assert_eq!(
            check([NO, 4, NO, 12], 99999),
            Err(FormatError::BlocksOverlap { block: 1, offset: 2048, other: 3, other_offset: 6144 })
        );
        assert_eq!(
            check([NO, 4, NO, 13], 11263),
            Err(FormatError::BlockBeyondFile { block: 3, offset: 6656, end: 11264, len: 11263 })
        );
    }

    #[test]
    fn places_that_no_block_takes_are_found() {
        let free = |entries, end| table(entries).free_places(&layout(), end);
        const NO: u32 = ABSENT;
        assert_eq!(free([NO; 4], 2048), []);
        assert_eq!(free([13, NO, NO, NO], 11264), [2048]);
        assert_eq!(free([14, NO, NO, NO], 11776 + 4608), [2048, 11776]);
        assert_eq!(free([4, 13, NO, NO], 11264), []);
        let mut layout = layout();
        layout.paths[3] = (7168, 7680);
        assert_eq!(table([NO; 4]).free_places(&layout, 12288), [2048, 7680]);
        let on_it = table([NO, 12, NO, NO]).check(&layout, 99999);
        assert!(matches!(on_it, Err(FormatError::BlockInMetadata { block: 1, offset: 6144, .. })));
        assert_eq!(table([4, NO, NO, NO]).check(&layout, 99999), Ok(7680));
    }

    #[test]
    fn tables_that_lie_wrong_are_refused() {
        let header = Header::new(16 << 12, 4096).unwrap();
        let place = |table_offset, len| Layout::new(&Header { table_offset, ..header.clone() }, 512, len);
        assert_eq!(place(1536, 1600).unwrap().first_block, 2048);
        for (offset, len) in
            [(1536, 1599), (0, 9999), (512, 9999), (1024, 9999), (1540, 9999), (u64::MAX - 10, 9999)]
        {
            assert_eq!(place(offset, len), Err(FormatError::TablePlace { offset, entries: 16, len }));
        }
    }
}
