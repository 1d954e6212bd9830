//! Reading, writing and discarding sectors of one file.

use super::Image;
use super::metadata::sparse;
use crate::format::Bitmap;
use crate::limits::SECTOR;
use crate::{DiskType, Storage, VhdError};

/// Sectors that lie in one block.
#[derive(Clone, Copy, Debug)]
struct Piece {
    block: u32,
    /// The first sector inside the block.
    from: u64,
    /// How many.
    count: u64,
    /// Sectors of the request before these.
    done: u64,
}

impl<S: Storage> Image<S> {
    /// Whether sectors are of this disk.
    pub(crate) fn check_sectors(&self, sector: u64, count: u64) -> Result<(), VhdError> {
        let sectors = self.sectors();
        match sector.checked_add(count) {
            Some(end) if end <= sectors => Ok(()),
            _ => Err(VhdError::OutOfDisk { sector, count, sectors }),
        }
    }

    fn pieces(&self, sector: u64, count: u64) -> impl Iterator<Item = Piece> + use<S> {
        let block_sectors = self.layout().map_or(1, crate::format::Layout::block_sectors);
        let mut done = 0;
        std::iter::from_fn(move || {
            (done < count).then(|| {
                let at = sector + done;
                let from = at % block_sectors;
                // A disk's blocks are at most as many as its table has entries.
                let block = (at / block_sectors) as u32;
                let piece = Piece { block, from, count: (block_sectors - from).min(count - done), done };
                done += piece.count;
                piece
            })
        })
    }

    /// Reads what this file has of the sectors from `sector` on. For each run of sectors that it has not, `missing` gets where in
    /// `out` they begin and how many bytes they are; `out` is not touched there.
    ///
    /// # Errors
    /// The sectors are not of this disk, `out` is not in whole sectors, or the host cannot read.
    pub fn read(
        &mut self,
        sector: u64,
        out: &mut [u8],
        mut missing: impl FnMut(usize, usize),
    ) -> Result<(), VhdError> {
        let count = sectors_in(out.len())?;
        self.check_sectors(sector, count)?;
        if self.sparse.is_none() {
            return self.read_file(sector * SECTOR, out);
        }
        for piece in self.pieces(sector, count) {
            let Some(place) = self.place(piece.block)? else {
                missing((piece.done * SECTOR) as usize, (piece.count * SECTOR) as usize);
                continue;
            };
            let data = place + sparse!(self).layout.bitmap_bytes;
            let mut at = 0;
            while at < piece.count {
                let (present, run) = self.bitmap(piece.block, place)?.run(piece.from + at, piece.count - at);
                let (begin, len) = (((piece.done + at) * SECTOR) as usize, (run * SECTOR) as usize);
                if present {
                    self.read_file(data + (piece.from + at) * SECTOR, &mut out[begin..begin + len])?;
                } else {
                    missing(begin, len);
                }
                at += run;
            }
        }
        self.after_access()
    }

    /// Whether no block with one of these sectors is in the file.
    pub(crate) fn are_absent(&mut self, sector: u64, count: u64) -> Result<bool, VhdError> {
        self.check_sectors(sector, count)?;
        if self.sparse.is_none() {
            return Ok(count == 0);
        }
        for piece in self.pieces(sector, count) {
            if self.place(piece.block)?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes whole sectors.
    ///
    /// # Errors
    /// The sectors are not of this disk, it was opened for reading, or the host cannot write: sectors of this request then have their old
    /// or their new content, all others what they had.
    pub fn write(&mut self, sector: u64, data: &[u8]) -> Result<(), VhdError> {
        let count = sectors_in(data.len())?;
        self.check_sectors(sector, count)?;
        self.check_writable()?;
        if self.sparse.is_none() {
            return self.write_file(sector * SECTOR, data);
        }
        for piece in self.pieces(sector, count) {
            let begin = (piece.done * SECTOR) as usize;
            let bytes = &data[begin..begin + (piece.count * SECTOR) as usize];
            let bitmap_bytes = sparse!(self).layout.bitmap_bytes;
            let known = self.place(piece.block)?;
            let place = match known {
                Some(place) => place,
                None => self.new_place()?,
            };
            if let Err(error) = self.write_file(place + bitmap_bytes + piece.from * SECTOR, bytes) {
                if known.is_none() {
                    // Nothing names it.
                    sparse!(self).free.push(place);
                }
                return Err(error);
            }
            if known.is_none() {
                let sparse = sparse!(self);
                sparse.changed.insert(piece.block, Some(place));
                let bitmap = Bitmap::empty(sparse.layout.block_bytes);
                self.keep_bitmap(piece.block, bitmap);
            }
            self.mark(piece.block, place, piece.from, piece.count)?;
        }
        self.after_access()
    }

    /// Whether [`Self::discard`] is possible.
    #[must_use]
    pub fn can_discard(&self) -> bool {
        self.disk_type() == DiskType::Dynamic
    }

    /// Forgets sectors of a dynamic disk: they read as zeros from now on, and blocks of which nothing is left are used again for others.
    ///
    /// # Errors
    /// The sectors are not of this disk, it is of another type or opened for reading, or the host cannot write: some of the sectors
    /// may be forgotten then.
    pub fn discard(&mut self, sector: u64, count: u64) -> Result<(), VhdError> {
        self.check_sectors(sector, count)?;
        self.check_writable()?;
        if !self.can_discard() {
            return Err(VhdError::CannotDiscard { name: self.name.clone(), disk_type: self.disk_type() });
        }
        let (sectors, block_sectors) = (self.sectors(), sparse!(self).layout.block_sectors());
        for piece in self.pieces(sector, count) {
            let Some(place) = self.place(piece.block)? else { continue };
            let of_disk = block_sectors.min(sectors - u64::from(piece.block) * block_sectors);
            if piece.count >= of_disk {
                let sparse = sparse!(self);
                sparse.changed.insert(piece.block, None);
                sparse.bitmaps.remove(&piece.block);
                sparse.changed_bitmaps.remove(&piece.block);
                sparse.freed.push(place);
                continue;
            }
            let data = place + sparse!(self).layout.bitmap_bytes;
            let mut at = 0;
            while at < piece.count {
                let (present, run) = self.bitmap(piece.block, place)?.run(piece.from + at, piece.count - at);
                if present {
                    self.write_zeros(data + (piece.from + at) * SECTOR, run * SECTOR)?;
                }
                at += run;
            }
        }
        self.after_access()
    }
}

/// Sectors of a buffer.
fn sectors_in(bytes: usize) -> Result<u64, VhdError> {
    let whole = bytes as u64;
    if whole.is_multiple_of(SECTOR) { Ok(whole / SECTOR) } else { Err(VhdError::NotSectors { bytes }) }
}
