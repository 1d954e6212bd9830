//! Table entries, bitmaps and places: looked up, changed, and written in the order that survives a crash.

use super::{BITMAP_CACHE_BYTES, Cached, Image, Sparse, TableAccess};
use crate::format::{Bitmap, FOOTER_BYTES};
use crate::limits::SECTOR;
use crate::{Storage, VhdError};

/// Zeros are written in pieces of at most this many bytes.
const ZEROS: usize = 64 << 10;

impl Sparse {
    fn table_is_in_memory(&self) -> bool {
        self.access == TableAccess::InMemory
    }
}

/// The part of an image that only dynamic and differencing disks have.
macro_rules! sparse {
    ($self:ident) => {
        match &mut $self.sparse {
            Some(sparse) => sparse,
            None => unreachable!("a fixed disk has no blocks"),
        }
    };
}
pub(super) use sparse;

impl<S: Storage> Image<S> {
    /// Where a block lies.
    pub(crate) fn place(&mut self, block: u32) -> Result<Option<u64>, VhdError> {
        let sparse = sparse!(self);
        if let Some(&place) = sparse.changed.get(&block) {
            return Ok(place);
        }
        if let Some(table) = &sparse.table {
            return Ok(table.place(block));
        }
        let offset = sparse.layout.table_offset + u64::from(block) * 4;
        let mut entry = [0; 4];
        self.read_file(offset, &mut entry)?;
        Ok(crate::format::Table::from_bytes(&entry).place(0))
    }

    /// The bitmap of a block that lies at `place`.
    pub(super) fn bitmap(&mut self, block: u32, place: u64) -> Result<&mut Bitmap, VhdError> {
        let sparse = sparse!(self);
        sparse.clock += 1;
        let (clock, block_bytes) = (sparse.clock, sparse.layout.block_bytes);
        if !sparse.bitmaps.contains_key(&block) {
            let mut bitmap = Bitmap::empty(block_bytes);
            self.read_file(place, bitmap.as_mut_bytes())?;
            self.keep_bitmap(block, bitmap);
        }
        let cached = sparse!(self).bitmaps.entry(block);
        let cached = cached.or_insert_with(|| Cached { bitmap: Bitmap::empty(block_bytes), used: clock });
        cached.used = clock;
        Ok(&mut cached.bitmap)
    }

    /// Keeps a bitmap in memory; those that were not used for longest and are as in the file make room.
    pub(super) fn keep_bitmap(&mut self, block: u32, bitmap: Bitmap) {
        let sparse = sparse!(self);
        let most = (BITMAP_CACHE_BYTES / sparse.layout.bitmap_bytes).max(2) as usize;
        if sparse.bitmaps.len() >= most {
            let clean = |block: &u32| !sparse.changed_bitmaps.contains(block);
            let mut ages: Vec<u64> = sparse
                .bitmaps
                .iter()
                .filter(|(block, _)| clean(block))
                .map(|(_, cached)| cached.used)
                .collect();
            ages.sort_unstable();
            if let Some(&median) = ages.get(ages.len() / 2) {
                let changed = &sparse.changed_bitmaps;
                sparse.bitmaps.retain(|block, cached| cached.used > median || changed.contains(block));
            }
        }
        sparse.bitmaps.insert(block, Cached { bitmap, used: sparse.clock });
    }

    /// Marks sectors of a block as being in it.
    pub(super) fn mark(&mut self, block: u32, place: u64, from: u64, count: u64) -> Result<(), VhdError> {
        if self.bitmap(block, place)?.set(from, count) {
            sparse!(self).changed_bitmaps.insert(block);
        }
        Ok(())
    }

    /// A place for a new block, with an empty bitmap and zeros in the file.
    pub(super) fn new_place(&mut self) -> Result<u64, VhdError> {
        let sparse = sparse!(self);
        let size = sparse.layout.place_bytes();
        if let Some(place) = sparse.free.pop() {
            if let Err(error) = self.write_zeros(place, size) {
                sparse!(self).free.push(place);
                return Err(error);
            }
            return Ok(place);
        }
        let (place, bitmap_bytes) = (sparse.end, sparse.layout.bitmap_bytes);
        let end = place + size;
        if (end + FOOTER_BYTES as u64) / SECTOR >= u64::from(u32::MAX) {
            return Err(VhdError::FileTooLong { name: self.name.clone() });
        }
        // The footer first: at every moment there is one at the end, or the copy says where it should be.
        if let Err(error) = self.write_file(end, &self.footer.to_bytes()) {
            // The footer before is where it was. What was written after it goes, if the host lets it.
            let _host_may_refuse = self.storage.set_len(place + FOOTER_BYTES as u64);
            return Err(error);
        }
        sparse!(self).end = end;
        // Over the footer that was here. Space for the bitmap is taken now, so that a flush needs none.
        if let Err(error) = self.write_zeros(place, bitmap_bytes) {
            sparse!(self).free.push(place);
            return Err(error);
        }
        Ok(place)
    }

    pub(super) fn write_zeros(&self, mut offset: u64, mut bytes: u64) -> Result<(), VhdError> {
        let zeros = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX).min(ZEROS)];
        while bytes > 0 {
            let piece = bytes.min(zeros.len() as u64);
            self.write_file(offset, &zeros[..piece as usize])?;
            offset += piece;
            bytes -= piece;
        }
        Ok(())
    }

    /// After a write: a table that is not kept in memory is written through.
    pub(super) fn after_access(&mut self) -> Result<(), VhdError> {
        let Some(sparse) = &mut self.sparse else { return Ok(()) };
        if !sparse.table_is_in_memory() {
            self.write_metadata()?;
            sparse!(self).bitmaps.clear();
            return Ok(());
        }
        // Bitmaps that wait for a flush take memory: a guest that never flushes is flushed.
        let most = BITMAP_CACHE_BYTES / 2 / sparse.layout.bitmap_bytes;
        if sparse.changed_bitmaps.len() as u64 > most { self.write_metadata() } else { Ok(()) }
    }

    /// Writes bitmaps and table entries that changed, after making durable the data that they make visible.
    pub(super) fn write_metadata(&mut self) -> Result<(), VhdError> {
        let sparse = sparse!(self);
        if sparse.changed.is_empty() && sparse.changed_bitmaps.is_empty() {
            return Ok(());
        }
        self.sync_file()?;
        let blocks: Vec<u32> = sparse!(self).changed_bitmaps.iter().copied().collect();
        for block in blocks {
            if let Some(place) = self.place(block)?
                && let Some(cached) = sparse!(self).bitmaps.get(&block)
            {
                let bytes = cached.bitmap.as_bytes().to_vec();
                self.write_file(place, &bytes)?;
            }
        }
        let sparse = sparse!(self);
        let (offset, changed) = (sparse.layout.table_offset, sparse.changed.clone());
        for (&block, &place) in &changed {
            let entry = crate::format::entry_of(place).to_be_bytes();
            self.write_file(offset + u64::from(block) * 4, &entry)?;
        }
        // Only now: after an error, all of it is written again.
        let sparse = sparse!(self);
        if let Some(table) = &mut sparse.table {
            changed.iter().for_each(|(&block, &place)| table.set(block, place));
        }
        sparse.changed.clear();
        sparse.changed_bitmaps.clear();
        Ok(())
    }

    /// Makes durable whatever was written before. See the crate's description for the order.
    ///
    /// # Errors
    /// The host's. What was flushed before stays; this flush can be tried again.
    pub fn flush(&mut self) -> Result<(), VhdError> {
        if !self.writable {
            return Ok(());
        }
        if self.sparse.is_some() {
            self.write_metadata()?;
        }
        self.sync_file()?;
        if let Some(sparse) = &mut self.sparse {
            // The table in the file names them no more.
            let freed = std::mem::take(&mut sparse.freed);
            sparse.free.extend(freed);
        }
        Ok(())
    }
}
