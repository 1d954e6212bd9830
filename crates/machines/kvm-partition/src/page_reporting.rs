//! Free page reporting: a guest names pages that it does not use, and whose content it does not need.
//!
//! Linux' `hv_balloon` does so by an extended hypercall where the host offers it. Such pages stay the guest's: it may touch them at any
//! time, without asking, and finds zeros. So this is no balloon: nothing of the host's books changes, only what the host's memory is really
//! used for.
//!
//! Layouts (documented: TLFS, *Extended Hypercall Interface*, HV_GPA_PAGE_RANGE; the heat hint's header and numbers as Linux' `hv_balloon`
//! and `hyperv-tlfs.h` name them). Everything here is pure: bytes in, ranges out.

use page_range::{GuestPage, GuestRange, PageCount};

/// `HvExtCallQueryCapabilities` (documented, TLFS).
pub(crate) const QUERY_CAPABILITIES: u16 = 0x8001;
/// `HvExtCallMemoryHeatHint` (documented, Linux).
pub(crate) const MEMORY_HEAT_HINT: u16 = 0x8003;
/// What the first answers: the second is there for cold memory whose content is not needed (documented, Linux:
/// `HV_EXT_CAPABILITY_MEMORY_COLD_DISCARD_HINT`).
pub(crate) const COLD_DISCARD_HINT: u64 = 1 << 8;

/// Bytes of the hint's header, and of each range behind it.
const WORD: usize = 8;
/// The input of a hypercall fits in a page (documented, TLFS): the header and so many ranges.
pub(crate) const MAX_RANGES: usize = (4096 - WORD) / WORD;
/// The header: the kind of hint in two bits, all others zero.
const KIND: u64 = 3;
/// The memory is cold, and its content is not needed.
const COLD_DISCARD: u64 = 2;
/// A range: how many pages follow the first (11 bits).
const ADDITIONAL: u64 = (1 << 11) - 1;
/// The range is of large pages; otherwise the page number is in the bits from 12.
const LARGE: u64 = 1 << 11;
/// Large pages are of 1 GiB, and not of 2 MiB.
const HUGE: u64 = 1 << 12;
/// Reserved in a range of large pages; their number is in the bits from 21.
const RESERVED: u64 = 0xff << 13;
const PAGES_IN_LARGE: u64 = 512;
const PAGES_IN_HUGE: u64 = 512 * PAGES_IN_LARGE;

/// How many bytes of input a hint with this many ranges has; `None` if they do not fit in a page.
pub(crate) fn input_bytes(ranges: u16) -> Option<usize> {
    let ranges = usize::from(ranges);
    (1..=MAX_RANGES).contains(&ranges).then(|| WORD + ranges * WORD)
}

/// Reads a hint; `None` if it is not one of cold memory that is not needed, or names what no guest can have.
pub(crate) fn decode(input: &[u8]) -> Option<Vec<GuestRange>> {
    let (words, rest) = input.as_chunks::<WORD>();
    let (header, ranges) = words.split_first()?;
    let header = u64::from_le_bytes(*header);
    if header & KIND != COLD_DISCARD || header & !KIND != 0 || !rest.is_empty() || ranges.is_empty() {
        return None;
    }
    ranges.iter().map(|range| decode_range(u64::from_le_bytes(*range))).collect()
}

fn decode_range(range: u64) -> Option<GuestRange> {
    let count = (range & ADDITIONAL) + 1;
    let (first, unit) = match (range & LARGE != 0, range & HUGE != 0) {
        (false, _) => (range >> 12, 1),
        (true, _) if range & RESERVED != 0 => return None,
        (true, false) => ((range >> 21).checked_mul(PAGES_IN_LARGE)?, PAGES_IN_LARGE),
        // The number is that of the first 2 MiB, which has to begin a GiB (inferred: nothing was seen to send it).
        (true, true) => {
            let first = (range >> 21).checked_mul(PAGES_IN_LARGE)?;
            (first.is_multiple_of(PAGES_IN_HUGE).then_some(first)?, PAGES_IN_HUGE)
        }
    };
    GuestRange::new(GuestPage(first), PageCount(count * unit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn input(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn range(first: u64, pages: u64) -> GuestRange {
        GuestRange::new(GuestPage(first), PageCount(pages)).unwrap()
    }

    /// As the driver writes it: cold discard; two blocks of 4 MiB at 64 and 256 MiB, and pages of 4 KiB, which later drivers report.
    #[test]
    fn a_hint_is_read_as_the_driver_writes_it() {
        let large = |first_mib: u64, count: u64| (first_mib / 2) << 21 | 1 << 11 | (count - 1);
        let words = [2, large(64, 2), large(256, 2), 0x1234 << 12 | 63];
        let expected = vec![range(0x4000, 1024), range(0x10000, 1024), range(0x1234, 64)];
        assert_eq!(decode(&input(&words)), Some(expected));
        assert_eq!(
            decode(&input(&[2, 512 << 21 | 1 << 12 | 1 << 11 | 1])),
            Some(vec![range(1 << 18, 1 << 19)])
        );
    }

    #[test]
    fn what_is_no_such_hint_is_refused() {
        let one = 32 << 21 | 1 << 11;
        assert!(decode(&input(&[2, one])).is_some());
        for (what, words) in [
            ("cold", vec![0, one]),
            ("hot", vec![1, one]),
            ("a kind that does not exist", vec![3, one]),
            ("reserved bits of the header", vec![2 | 1 << 9, one]),
            ("no range", vec![2]),
            ("nothing", vec![]),
            ("reserved bits of a range", vec![2, one | 1 << 14]),
            ("a GiB that begins in the middle of one", vec![2, one | 1 << 12]),
        ] {
            assert_eq!(decode(&input(&words)), None, "{what}");
        }
        assert_eq!(decode(&input(&[2, one])[..15]), None, "cut short");
        assert_eq!((input_bytes(0), input_bytes(512), input_bytes(0xfff)), (None, None, None));
        assert_eq!((input_bytes(1), input_bytes(511)), (Some(16), Some(4096)));
    }

    proptest! {
        /// Whatever a range is, what it is read as begins where its bits say, and is at most 2048 pages of its size.
        #[test]
        fn no_content_can_do_harm(header in 0..5u64, words in prop::collection::vec(any::<u64>(), 0..8), cut in 0..8usize) {
            let mut bytes = input(&[vec![header], words.clone()].concat());
            bytes.truncate(bytes.len() - cut);
            if let Some(ranges) = decode(&bytes) {
                prop_assert_eq!((header, cut, ranges.len()), (2, 0, words.len()));
                for (range, word) in ranges.iter().zip(words) {
                    prop_assert_eq!(range.start().0 << 12, if word & LARGE == 0 { word & !0xfff } else { word >> 21 << 21 });
                    prop_assert!(range.pages().get() <= 2048 * PAGES_IN_HUGE);
                }
            }
        }
    }
}
