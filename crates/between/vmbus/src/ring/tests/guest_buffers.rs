//! Buffers in guest pages: taken, refused, held.

use page_range::{GuestPage, GuestRange, PageCount};
use partition::{GuestMemory, GuestRam, MemoryError, SimulatedPartition};
use proptest::prelude::*;

use crate::ring::test_support::fuzz_gpa_direct;
use crate::ring::{BufferRange, BufferRefused, ChannelRings, GuestBuffer, Role};

/// A guest of 16 pages.
fn partition() -> SimulatedPartition {
    let partition = SimulatedPartition::new(1);
    partition.host().add(GuestRange::new(GuestPage(0), PageCount(16)).unwrap()).unwrap();
    partition
}

fn range(byte_offset: u32, byte_count: u32, pages: &[u64]) -> BufferRange {
    BufferRange { byte_offset, byte_count, pages: pages.to_vec() }
}

#[test]
fn bytes_go_to_the_pages_in_the_order_of_the_list() {
    let partition = partition();
    let (host, guest) = (partition.host(), partition.guest());
    let ranges = [range(0xffc, 8, &[5, 2]), range(1, 3, &[9])];
    let buffer = GuestBuffer::new(&host, &ranges, 4096).unwrap();
    assert_eq!((buffer.len(), buffer.is_empty()), (11, false));
    assert!(GuestBuffer::new(&host, &[], 4096).unwrap().is_empty());
    assert_eq!(buffer.write(0, b"0123456789abc"), 11);
    let at = |gpa, len| {
        let mut bytes = vec![0; len];
        guest.read(gpa, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    assert_eq!((at(0x5ffc, 4), at(0x2000, 4), at(0x9001, 3)), ("0123".into(), "4567".into(), "89a".into()));
    // Nothing beside them.
    assert_eq!((at(0x5ff8, 4), at(0x2004, 4), at(0x9000, 1)), ("\0".repeat(4), "\0".repeat(4), "\0".into()));
    let mut bytes = [0; 6];
    assert_eq!(buffer.read(3, &mut bytes), 6);
    assert_eq!(&bytes, b"345678");
    assert_eq!(buffer.read(9, &mut bytes), 2);
    assert_eq!((buffer.read(11, &mut bytes), buffer.write(u64::MAX, b"x")), (0, 0));
}

#[test]
fn pages_that_are_not_the_guests_or_are_a_rings_are_refused() {
    let partition = partition();
    let host = partition.host();
    let of = |ranges: &[BufferRange], most| GuestBuffer::new(&host, ranges, most).map(|buffer| buffer.len());
    assert_eq!(
        of(&[range(0, 8192, &[15, 16])], 8192),
        Err(BufferRefused::NotMemory(MemoryError::NotMemory { page: GuestPage(16) }))
    );
    assert_eq!(
        of(&[range(0, 4097, &[1, 2])], 4096),
        Err(BufferRefused::TooLarge { bytes: 4097, most: 4096 })
    );
    host.discard(&[GuestRange::new(GuestPage(3), PageCount(1)).unwrap()]).unwrap();
    assert!(matches!(of(&[range(0, 1, &[3])], 1), Err(BufferRefused::NotMemory(_))));
    let rings = ChannelRings::open(&host.pages(&[4, 5, 6, 7]).unwrap(), 2, Role::Host).unwrap();
    // A control page is nobody's buffer; a data page of a ring is the guest's own doing.
    assert!(matches!(of(&[range(0, 1, &[4])], 1), Err(BufferRefused::InUse(_))));
    assert_eq!(of(&[range(0, 1, &[5])], 1), Ok(1));
    drop(rings);
    assert_eq!(of(&[range(0, 1, &[4])], 1), Ok(1));
}

#[test]
fn a_page_that_is_taken_while_a_request_is_under_way_keeps_its_bytes_for_the_request() {
    let partition = partition();
    let (host, guest) = (partition.host(), partition.guest());
    guest.write(0x3000, b"before").unwrap();
    let buffer = GuestBuffer::new(&host, &[range(0, 6, &[3])], 6).unwrap();
    host.discard(&[GuestRange::new(GuestPage(3), PageCount(1)).unwrap()]).unwrap();
    let mut bytes = [0; 6];
    assert_eq!(buffer.read(0, &mut bytes), 6);
    assert_eq!(&bytes, b"before");
    // What is written goes nowhere that another has.
    assert_eq!(buffer.write(0, b"after!"), 6);
    drop(buffer);
    host.restore(&[GuestRange::new(GuestPage(3), PageCount(1)).unwrap()]).unwrap();
    guest.read(0x3000, &mut bytes).unwrap();
    assert_eq!(bytes, [0; 6]);
}

proptest! {
    #[test]
    fn any_page_ranges_are_survived(
        head in 0..4u32, counts in prop::collection::vec((0..9000u32, 0..4200u32), 0..4), rest in prop::collection::vec(any::<u8>(), 0..99)
    ) {
        let mut bytes = [0u32.to_le_bytes(), head.to_le_bytes()].concat();
        for (count, offset) in counts {
            bytes.extend([count.to_le_bytes(), offset.to_le_bytes()].concat());
            bytes.extend(std::iter::repeat_n(7, ((count + offset) as usize).div_ceil(4096) * 8));
        }
        bytes.extend(rest);
        fuzz_gpa_direct(&bytes);
    }
}

#[test]
fn fuzz_inputs_reach_ranges_that_are_taken() {
    let (bytes, _) = BufferRange::encode(&[range(1, 4096, &[1, 2]), range(0, 1, &[3])], &[]);
    assert_eq!(fuzz_gpa_direct(&bytes), 2);
    assert_eq!(fuzz_gpa_direct(&bytes[..30]), 0);
}
