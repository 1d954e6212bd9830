//! GPA-direct packets: the data stay in pages of the guest, which the packet lists between descriptor and message.
//!
//! A disk's driver sends a request so: the message says what is to be done, the ranges say where the bytes are. The parser believes
//! nothing: counts are held against the bytes that are there before anything is allocated for them. Whether the pages are the
//! guest's memory, only the partition knows: [`GuestBuffer`](super::GuestBuffer) asks it.

use alloc::vec::Vec;

/// Bytes of a page on the wire.
const PAGE: u64 = 4096;
/// Bytes before the first range: four reserved, and the number of ranges.
const HEAD: usize = 8;

/// A run of bytes in guest pages that need not be adjacent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BufferRange {
    /// Where in the first page the bytes begin; less than a page.
    pub byte_offset: u32,
    /// How many bytes; at least one.
    pub byte_count: u32,
    /// The pages, as many as the bytes need.
    pub pages: Vec<u64>,
}

/// Why the ranges of a GPA-direct packet are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum BadRanges {
    /// There is no room for what is said to be there.
    #[error(
        "a GPA-direct packet with {bytes} bytes of page ranges is said to have {ranges} ranges; range {at} does not fit"
    )]
    TooShort {
        /// Bytes between descriptor and message.
        bytes: usize,
        /// Ranges that there should be.
        ranges: u32,
        /// The first that does not fit.
        at: u32,
    },
    /// There is no range at all.
    #[error("a GPA-direct packet without a page range")]
    None,
    /// A range begins after its first page.
    #[error("range {at} of a GPA-direct packet begins at byte {byte_offset} of a page of 4096")]
    Offset {
        /// Which.
        at: u32,
        /// Where.
        byte_offset: u32,
    },
    /// A range has no bytes.
    #[error("range {at} of a GPA-direct packet has no bytes")]
    Empty {
        /// Which.
        at: u32,
    },
    /// A page number that no address has.
    #[error("range {at} of a GPA-direct packet names page {page:#x}, beyond the address space")]
    Page {
        /// Which.
        at: u32,
        /// The number.
        page: u64,
    },
}

impl BufferRange {
    /// A range in adjacent pages, from a guest address on; `None` if it has no bytes or more than a range can have.
    #[must_use]
    pub fn contiguous(gpa: u64, bytes: u64) -> Option<Self> {
        let byte_count = u32::try_from(bytes).ok().filter(|&bytes| bytes > 0)?;
        let (first, last) = (gpa / PAGE, gpa.checked_add(bytes - 1)? / PAGE);
        Some(Self { byte_offset: (gpa % PAGE) as u32, byte_count, pages: (first..=last).collect() })
    }

    /// Pages that the bytes of a range need.
    fn pages_of(byte_offset: u32, byte_count: u32) -> usize {
        (u64::from(byte_offset) + u64::from(byte_count)).div_ceil(PAGE) as usize
    }

    /// The ranges of a GPA-direct packet: what an [`IncomingPacket`](super::IncomingPacket) has as `extra`. Bytes after the last range mean nothing
    /// (documented: Linux' storage driver sends room for 32 pages with fewer).
    ///
    /// # Errors
    /// See [`BadRanges`].
    pub fn parse(extra: &[u8]) -> Result<Vec<Self>, BadRanges> {
        let bytes = extra.len();
        let word = |bytes: &[u8], at: usize| {
            bytes.get(at..at + 4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
        };
        let ranges = word(extra, 4).unwrap_or(0);
        if ranges == 0 {
            return Err(BadRanges::None);
        }
        let (mut found, mut rest) = (Vec::new(), extra.get(HEAD..).unwrap_or_default());
        for at in 0..ranges {
            let too_short = BadRanges::TooShort { bytes, ranges, at };
            let byte_count = word(rest, 0).ok_or(too_short)?;
            let byte_offset = word(rest, 4).ok_or(too_short)?;
            if u64::from(byte_offset) >= PAGE {
                return Err(BadRanges::Offset { at, byte_offset });
            }
            if byte_count == 0 {
                return Err(BadRanges::Empty { at });
            }
            let pages = Self::pages_of(byte_offset, byte_count);
            let listed = rest.get(8..).and_then(|rest| rest.split_at_checked(pages * 8)).ok_or(too_short)?;
            let (numbers, _) = listed.0.as_chunks::<8>();
            let pages: Vec<u64> = numbers.iter().map(|number| u64::from_le_bytes(*number)).collect();
            if let Some(&page) = pages.iter().find(|&&page| page > u64::MAX / PAGE) {
                return Err(BadRanges::Page { at, page });
            }
            found.push(Self { byte_offset, byte_count, pages });
            rest = listed.1;
        }
        Ok(found)
    }

    /// Ranges and then a message, as [`OutgoingPacket::gpa_direct`](super::OutgoingPacket::gpa_direct) takes them; also where the message
    /// begins.
    #[must_use]
    pub fn encode(ranges: &[Self], message: &[u8]) -> (Vec<u8>, usize) {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&0u32.to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(ranges.len()).unwrap_or(u32::MAX).to_le_bytes());
        for range in ranges {
            bytes.extend_from_slice(&range.byte_count.to_le_bytes());
            bytes.extend_from_slice(&range.byte_offset.to_le_bytes());
            range.pages.iter().for_each(|page| bytes.extend_from_slice(&page.to_le_bytes()));
        }
        let extra = bytes.len();
        bytes.extend_from_slice(message);
        (bytes, extra)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn range(byte_offset: u32, byte_count: u32, pages: &[u64]) -> BufferRange {
        BufferRange { byte_offset, byte_count, pages: pages.to_vec() }
    }

    #[test]
    fn ranges_both_ways() {
        let ranges = [range(0x200, 0x2000, &[1, 9, 4]), range(0xff8, 8, &[u64::MAX >> 12])];
        let (bytes, extra) = BufferRange::encode(&ranges, b"message");
        assert_eq!(bytes[..16], [0, 0, 0, 0, 2, 0, 0, 0, 0, 0x20, 0, 0, 0, 2, 0, 0]);
        assert_eq!((extra, &bytes[extra..]), (56, &b"message"[..]));
        assert_eq!(BufferRange::parse(&bytes[..extra]), Ok(ranges.to_vec()));
        // Room for more pages than there are.
        let roomy = [&bytes[..extra], &[0xee; 64]].concat();
        assert_eq!(BufferRange::parse(&roomy), Ok(ranges.to_vec()));
    }

    #[test]
    fn ranges_that_lie_are_refused() {
        let parse = |ranges: &[BufferRange]| {
            let (bytes, extra) = BufferRange::encode(ranges, &[]);
            BufferRange::parse(&bytes[..extra])
        };
        assert_eq!(parse(&[]), Err(BadRanges::None));
        assert_eq!(BufferRange::parse(&[]), Err(BadRanges::None));
        assert_eq!(parse(&[range(4096, 1, &[1])]), Err(BadRanges::Offset { at: 0, byte_offset: 4096 }));
        assert_eq!(parse(&[range(0, 0, &[])]), Err(BadRanges::Empty { at: 0 }));
        assert_eq!(parse(&[range(0, 4097, &[1])]), Err(BadRanges::TooShort { bytes: 24, ranges: 1, at: 0 }));
        assert_eq!(parse(&[range(4095, 2, &[1])]), Err(BadRanges::TooShort { bytes: 24, ranges: 1, at: 0 }));
        assert_eq!(parse(&[range(0, 1, &[1 << 52])]), Err(BadRanges::Page { at: 0, page: 1 << 52 }));
        // More bytes and more ranges than any packet has take no memory.
        assert!(matches!(parse(&[range(0, u32::MAX, &[1])]), Err(BadRanges::TooShort { .. })));
        let mut many = vec![0; 24];
        many[4..8].fill(0xff);
        assert!(matches!(BufferRange::parse(&many), Err(BadRanges::Empty { .. })));
    }

    #[test]
    fn ranges_of_adjacent_pages() {
        assert_eq!(BufferRange::contiguous(0x1ff8, 16), Some(range(0xff8, 16, &[1, 2])));
        assert_eq!(BufferRange::contiguous(0x1000, 4096), Some(range(0, 4096, &[1])));
        assert_eq!(BufferRange::contiguous(0, 0), None);
        assert_eq!(BufferRange::contiguous(u64::MAX, 2), None);
        assert_eq!(BufferRange::contiguous(0, 1 << 32), None);
    }
}
