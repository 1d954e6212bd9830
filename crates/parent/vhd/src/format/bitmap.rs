//! Which sectors of a block are in it.

use crate::limits::SECTOR;

/// A block's sector bitmap: bit 7 of byte 0 is the first sector. A sector whose bit is clear is the parent's, or zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitmap {
    bytes: Vec<u8>,
}

impl Bitmap {
    /// Bytes of a bitmap in the file, for blocks of so many bytes: whole sectors.
    #[must_use]
    pub fn bytes_for(block_bytes: u32) -> u64 {
        u64::from(block_bytes).div_ceil(SECTOR * 8).next_multiple_of(SECTOR)
    }

    /// A bitmap without any sector, for blocks of so many bytes.
    #[must_use]
    pub fn empty(block_bytes: u32) -> Self {
        Self { bytes: vec![0; usize::try_from(Self::bytes_for(block_bytes)).unwrap_or(usize::MAX)] }
    }

    /// The bytes, as in the file.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, to be read into.
    pub fn as_mut_bytes(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Whether a sector of the block is in it.
    #[must_use]
    pub fn has(&self, sector: u64) -> bool {
        let byte = usize::try_from(sector / 8).ok().and_then(|at| self.bytes.get(at));
        byte.is_some_and(|byte| byte >> (7 - sector % 8) & 1 == 1)
    }

    /// Puts sectors into the block; whether that changed anything.
    pub fn set(&mut self, from: u64, count: u64) -> bool {
        let mut changed = false;
        for sector in from..from + count {
            let bit = 1 << (7 - sector % 8);
            if let Some(byte) = self.bytes.get_mut((sector / 8) as usize) {
                changed |= *byte & bit == 0;
                *byte |= bit;
            }
        }
        changed
    }

    /// From a sector on: whether it is in the block, and how many of at most `limit` sectors are as it is.
    #[must_use]
    pub fn run(&self, from: u64, limit: u64) -> (bool, u64) {
        let present = self.has(from);
        let mut count = 1;
        while count < limit {
            let at = from + count;
            // Whole bytes at once: most bitmaps are full.
            if at.is_multiple_of(8)
                && limit - count >= 8
                && self.bytes.get((at / 8) as usize) == Some(&if present { 0xff } else { 0 })
            {
                count += 8;
            } else if self.has(at) == present {
                count += 1;
            } else {
                break;
            }
        }
        (present, count.min(limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sector_is_the_highest_bit() {
        let mut bitmap = Bitmap::empty(2 << 20);
        assert_eq!(bitmap.as_bytes().len(), 512);
        assert!(bitmap.set(0, 1));
        assert!(bitmap.set(9, 2));
        assert!(!bitmap.set(9, 2));
        assert_eq!(bitmap.as_bytes()[..3], [0x80, 0x60, 0]);
    }

    #[test]
    fn small_blocks_still_have_a_whole_sector_of_bits() {
        assert_eq!(Bitmap::bytes_for(4096), 512);
        assert_eq!(Bitmap::bytes_for(2 << 20), 512);
        assert_eq!(Bitmap::bytes_for(4 << 20), 1024);
    }

    #[test]
    fn runs_end_where_the_bit_changes() {
        let mut bitmap = Bitmap::empty(2 << 20);
        bitmap.set(3, 37);
        for (from, limit, expected) in [
            (0, 4096, (false, 3)),
            (3, 4096, (true, 37)),
            (3, 5, (true, 5)),
            (8, 4096, (true, 32)),
            (40, 4096, (false, 4096)),
            (40, 4056, (false, 4056)),
            (39, 1, (true, 1)),
        ] {
            assert_eq!(bitmap.run(from, limit), expected, "{from} {limit}");
        }
    }
}
