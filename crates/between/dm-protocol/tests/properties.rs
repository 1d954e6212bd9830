//! What holds for any message and any bytes.

use dm_protocol::test_support::{fuzz_decode, vectors};
use dm_protocol::*;
use proptest::collection::vec;
use proptest::prelude::*;

/// A message that owns its ranges and bytes.
#[derive(Clone, Debug)]
struct Owned {
    trans_id: u32,
    which: u16,
    numbers: [u64; 4],
    flags: [bool; 3],
    ranges: Vec<WireRange>,
    bytes: Vec<u8>,
}

impl Owned {
    fn message(&self) -> Message<'_> {
        let [a, b, c, d] = self.numbers;
        let [more_pages, second, third] = self.flags;
        let ranges = &self.ranges[..];
        let first = self.ranges.first().copied().unwrap_or_default();
        match self.which {
            0 => Message::Error(&self.bytes),
            1 => Message::VersionRequest(VersionRequest {
                version: Version(a as u32),
                is_last_attempt: second,
            }),
            2 => Message::VersionResponse(VersionResponse { is_accepted: second }),
            3 => Message::CapabilitiesReport(CapabilitiesReport {
                capabilities: Capabilities(a),
                min_page_count: b,
                max_page_number: c,
            }),
            4 => Message::CapabilitiesResponse(CapabilitiesResponse {
                is_accepted: more_pages,
                hot_remove: second,
                suppress_pressure_reports: third,
            }),
            5 => Message::StatusReport(StatusReport {
                available: a,
                committed: b,
                page_file_size: c,
                zero_free: d,
                page_file_writes: a as u32,
                io_diff: b as u32,
            }),
            6 => Message::BalloonRequest(BalloonRequest { num_pages: a as u32 }),
            7 => Message::BalloonResponse(BalloonResponse { more_pages, ranges }),
            8 => Message::UnballoonRequest(UnballoonRequest { more_pages, ranges }),
            9 => Message::UnballoonResponse,
            10 => Message::HotAddRequest(HotAddRequest { range: first, region: second.then_some(first) }),
            11 => Message::HotAddResponse(HotAddResponse { page_count: a as u32, result: b as u32 }),
            12 if second => Message::InfoMessage(InfoMessage::MaxPageCount(a)),
            12 => Message::InfoMessage(InfoMessage::Other { info_type: a as u32 | 1, data: &self.bytes }),
            13 => Message::HotRemoveRequest(HotRemoveRequest {
                virtual_node: a as u32,
                page_count: b as u32,
                qos_flags: c as u32,
            }),
            14 => Message::HotRemoveResponse(HotRemoveResponse { result: a as u32, more_pages, ranges }),
            other => Message::Unknown(UnknownMessage { message_type: MessageType(other), body: &self.bytes }),
        }
    }
}

fn any_message() -> impl Strategy<Value = Owned> {
    let range = (0..=WireRange::MAX_START, 0..=WireRange::MAX_COUNT);
    let range = range.prop_map(|(start, count)| WireRange::new(start, count).unwrap());
    let parts = (
        any::<u32>(),
        0..20u16,
        any::<[u64; 4]>(),
        any::<[bool; 3]>(),
        vec(range, 0..=507),
        vec(any::<u8>(), 0..64),
    );
    parts.prop_map(|(trans_id, which, numbers, flags, ranges, bytes)| Owned {
        trans_id,
        which,
        numbers,
        flags,
        ranges,
        bytes,
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(owned in any_message()) {
        let packet = Packet { trans_id: owned.trans_id, message: owned.message() };
        let mut buffer = [0; MAX_GUEST_PAYLOAD];
        let bytes = packet.encode(&mut buffer).unwrap();
        prop_assert_eq!(bytes.len(), packet.size());
        prop_assert_eq!(Packet::decode(bytes), Ok(packet));
    }

    #[test]
    fn any_bytes_are_survived(bytes in vec(any::<u8>(), 0..256)) {
        fuzz_decode(&bytes);
    }

    #[test]
    fn changed_messages_are_survived(
        vector in 0..vectors::MESSAGES.len(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        extra in vec(any::<u8>(), 0..5000),
    ) {
        let mut bytes = vectors::MESSAGES[vector].1.to_vec();
        bytes.extend(extra);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        fuzz_decode(&bytes);
    }
}
