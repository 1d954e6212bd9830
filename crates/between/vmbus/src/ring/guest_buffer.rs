//! The bytes that a GPA-direct packet names, held while its request is under way.

use partition::{DataPages, GuestRam, MappedPages, MemoryError, ViewError};

use crate::ring::BufferRange;

const PAGE: usize = 4096;

/// Why the pages of a request are no buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BufferRefused {
    /// A page is not memory of this guest, or was given away.
    #[error(transparent)]
    NotMemory(#[from] MemoryError),
    /// A page is the control page of a ring.
    #[error(transparent)]
    InUse(#[from] ViewError),
    /// The request has more bytes than the device takes at once.
    #[error("a request of {bytes} bytes: the device takes {most} at once")]
    TooLarge {
        /// Its bytes.
        bytes: u64,
        /// How many are possible.
        most: u64,
    },
}

/// The bytes that ranges of guest pages name, in order. While the value exists the pages are viewed: with KVM none of them can be taken from the guest,
/// in a simulated partition their bytes stay.
#[derive(Debug)]
pub struct GuestBuffer {
    /// For each range where it begins and ends in its pages.
    ranges: Vec<(usize, usize, MappedPages)>,
    bytes: u64,
    /// What keeps the pages from being taken.
    _views: Vec<DataPages>,
}

impl GuestBuffer {
    /// The bytes of `ranges` in the memory of a guest; at most `most` of them.
    ///
    /// # Errors
    /// See [`BufferRefused`]. Nothing is held then.
    pub fn new(
        ram: &(impl GuestRam + ?Sized),
        ranges: &[BufferRange],
        most: u64,
    ) -> Result<Self, BufferRefused> {
        let bytes = ranges.iter().map(|range| u64::from(range.byte_count)).sum();
        if bytes > most {
            return Err(BufferRefused::TooLarge { bytes, most });
        }
        let (mut held, mut views) = (Vec::new(), Vec::new());
        for range in ranges {
            let pages = ram.pages(&range.pages)?;
            views.push(pages.data()?);
            let begin = range.byte_offset as usize;
            held.push((begin, begin + range.byte_count as usize, pages));
        }
        Ok(Self { ranges: held, bytes, _views: views })
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.bytes
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Copies bytes out, from `offset` on. Returns how many: fewer than `out` has if the buffer ends, or a page was withdrawn.
    pub fn read(&self, offset: u64, out: &mut [u8]) -> usize {
        self.each_piece(offset, out.len(), |page, at, done, len| {
            page.read(at, &mut out[done..done + len]).is_ok()
        })
    }

    /// Copies bytes in, from `offset` on. Returns how many: fewer than there are if the buffer ends, or a page was withdrawn.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> usize {
        self.each_piece(offset, bytes.len(), |page, at, done, len| {
            page.write(at, &bytes[done..done + len]).is_ok()
        })
    }

    fn each_piece(
        &self,
        offset: u64,
        len: usize,
        mut act: impl FnMut(&partition::Page, usize, usize, usize) -> bool,
    ) -> usize {
        let (mut skip, mut done) = (offset, 0);
        for (begin, end, pages) in &self.ranges {
            let bytes = (end - begin) as u64;
            if skip >= bytes {
                skip -= bytes;
                continue;
            }
            let mut at = begin + skip as usize;
            skip = 0;
            while at < *end && done < len {
                let piece = (PAGE - at % PAGE).min(end - at).min(len - done);
                let Some(page) = pages.get(at / PAGE) else { return done };
                if !act(page, at % PAGE, done, piece) {
                    return done;
                }
                at += piece;
                done += piece;
            }
        }
        done
    }
}
