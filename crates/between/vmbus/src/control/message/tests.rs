//! Known bytes, round trips and refusals.

use alloc::string::String;
use alloc::vec::Vec;

use proptest::prelude::*;
use zerocopy::IntoBytes;
use zerocopy::little_endian::U64;

use super::*;
use crate::control::test_support::fuzz_message;
use crate::control::{
    DYNAMIC_MEMORY_CLASS, DYNAMIC_MEMORY_INSTANCE, GpadlId, Relid, Status, VMBUS_MESSAGE_TYPE, Version,
};

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter_map(|c| c.to_digit(16)).map(|digit| u8::try_from(digit).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn relid(number: u32) -> Relid {
    Relid::new(number).unwrap()
}

/// The offer of the Dynamic Memory device.
fn dm_offer(connection_id: u32) -> OfferChannel {
    OfferChannel {
        class: DYNAMIC_MEMORY_CLASS.into(),
        instance: DYNAMIC_MEMORY_INSTANCE.into(),
        reserved: [U64::ZERO; 2],
        flags: 0.into(),
        mmio_mib: 0.into(),
        user_defined: UserData::ZERO,
        subchannel_index: 0.into(),
        reserved2: 0.into(),
        relid: 1.into(),
        monitor_id: 0,
        monitor_allocated: 0,
        dedicated_interrupt: 1.into(),
        connection_id: connection_id.into(),
    }
}

fn dm_open() -> OpenChannel {
    OpenChannel {
        relid: 1.into(),
        open_id: 1.into(),
        ring_gpadl: 0xe1e10.into(),
        target_vp: 0.into(),
        downstream_page_offset: 5.into(),
        user_data: UserData::ZERO,
    }
}

fn gpadl_messages(relid_number: u32, gpadl: u32, first: u64, count: u64) -> Vec<Payload> {
    let pages: Vec<u64> = (first..first + count).collect();
    GpadlMessages::new(relid(relid_number), GpadlId(gpadl), &pages).unwrap().collect()
}

/// Name, size, bytes, and the same message built by hand.
fn vectors() -> Vec<(&'static str, usize, String, Payload)> {
    let zeros = |count: usize| "0000000000000000 ".repeat(count);
    let mon = [0x100_1000, 0x100_2000];
    let header = |kind: MessageType| assemble(kind, &[]);
    let big = gpadl_messages(2, 0xe1e11, 0x30000, 30);
    let numbers = |first: u64, count: u64| {
        (first..first + count).map(|page| alloc::format!("{:016x}", page.swap_bytes())).collect::<String>()
    };
    alloc::vec![
        (
            "VM14 INITIATE_CONTACT 4.0",
            40,
            "0e00000000000000 0000040000000000 0000000100000000 0010000100000000 0020000100000000".into(),
            InitiateContact::with_interrupt_page(Version::WIN10, 0, 0x100_0000, mon).to_payload(),
        ),
        (
            "VM14b INITIATE_CONTACT 5.3",
            40,
            "0e00000000000000 0300050000000000 0200000000000000 0010000100000000 0020000100000000".into(),
            InitiateContact::with_sint(Version::WS2022, 0, 2, mon).to_payload(),
        ),
        (
            "VM15 VERSION_RESPONSE refused",
            16,
            "0f00000000000000 0000000000000000".into(),
            VersionResponse::refused().to_payload(),
        ),
        (
            "VM15b VERSION_RESPONSE 4.0",
            16,
            "0f00000000000000 0100000000000400".into(),
            VersionResponse::accepted(Version::WIN10, 4).to_payload(),
        ),
        (
            "VM15c VERSION_RESPONSE 5.3, connection id 4",
            16,
            "0f00000000000000 0100000004000000".into(),
            VersionResponse::accepted(Version::WS2022, 4).to_payload(),
        ),
        ("VM3 REQUEST_OFFERS", 8, "0300000000000000".into(), header(MessageType::REQUEST_OFFERS)),
        (
            "VM1 OFFER_CHANNEL",
            196,
            alloc::format!(
                "0100000000000000 dc7450528589e246 8057a307dc18a502 72fdcc1e414bef45 b73a4a6e44c12924 {} \
                 0100000000000100 11000000",
                zeros(18)
            ),
            dm_offer(17).to_payload(),
        ),
        (
            "VM1 with OpenVMM's connection id",
            196,
            alloc::format!(
                "0100000000000000 dc7450528589e246 8057a307dc18a502 72fdcc1e414bef45 b73a4a6e44c12924 {} \
                 0100000000000100 01200000",
                zeros(18)
            ),
            dm_offer(0x2001).to_payload(),
        ),
        ("VM4 ALL_OFFERS_DELIVERED", 8, "0400000000000000".into(), header(MessageType::ALL_OFFERS_DELIVERED)),
        (
            "VM8 GPADL_HEADER of 10 pages",
            108,
            "0800000000000000 01000000101e0e00 5800010000a00000 0000000000000200 0000000001000200 \
             0000000002000200 0000000003000200 0000000004000200 0000000005000200 0000000006000200 \
             0000000007000200 0000000008000200 0000000009000200 00000000"
                .into(),
            gpadl_messages(1, 0xe1e10, 0x20000, 10)[0],
        ),
        (
            "VM10 GPADL_CREATED",
            20,
            "0a00000000000000 01000000101e0e00 00000000".into(),
            GpadlCreated::new(1, GpadlId(0xe1e10), Status::SUCCESS).to_payload(),
        ),
        (
            "VM5 OPEN_CHANNEL",
            148,
            alloc::format!(
                "0500000000000000 0100000001000000 101e0e0000000000 0500000000000000 {} 00000000",
                zeros(14)
            ),
            dm_open().to_payload(),
        ),
        (
            "VM6 OPEN_RESULT",
            20,
            "0600000000000000 0100000001000000 00000000".into(),
            OpenChannelResult::new(1, 1, Status::SUCCESS).to_payload(),
        ),
        (
            "VM7 CLOSE_CHANNEL",
            12,
            "0700000000000000 01000000".into(),
            CloseChannel::new(relid(1)).to_payload(),
        ),
        (
            "VM11 GPADL_TEARDOWN",
            16,
            "0b00000000000000 01000000101e0e00".into(),
            GpadlTeardown::new(relid(1), GpadlId(0xe1e10)).to_payload(),
        ),
        (
            "VM12 GPADL_TORNDOWN",
            12,
            "0c00000000000000 101e0e00".into(),
            GpadlTorndown::new(GpadlId(0xe1e10)).to_payload(),
        ),
        (
            "VM2 RESCIND",
            12,
            "0200000000000000 01000000".into(),
            RescindChannelOffer::new(relid(1)).to_payload(),
        ),
        (
            "VM13 RELID_RELEASED",
            12,
            "0d00000000000000 01000000".into(),
            RelidReleased::new(relid(1)).to_payload(),
        ),
        ("VM16 UNLOAD", 8, "1000000000000000".into(), header(MessageType::UNLOAD)),
        ("VM17 UNLOAD_RESPONSE", 8, "1100000000000000".into(), header(MessageType::UNLOAD_RESPONSE)),
        (
            "VM8b GPADL_HEADER of 30 pages, 26 in it",
            236,
            alloc::format!(
                "0800000000000000 02000000111e0e00 f800010000e00100 00000000 {}",
                numbers(0x30000, 26)
            ),
            big[0],
        ),
        (
            "VM9 GPADL_BODY with the other 4",
            48,
            "0900000000000000 00000000111e0e00 1a00030000000000 1b00030000000000 1c00030000000000 \
             1d00030000000000"
                .into(),
            big[1],
        ),
        (
            "VM22 MODIFYCHANNEL",
            16,
            "1600000000000000 0100000003000000".into(),
            ModifyChannel::new(relid(1), 3).to_payload(),
        ),
        (
            "VM24 MODIFYCHANNEL_RESPONSE",
            16,
            "1800000000000000 0100000000000000".into(),
            ModifyChannelResponse::new(1, Status::SUCCESS).to_payload(),
        ),
    ]
}

#[test]
fn every_vector_is_encoded_and_decoded() {
    for (name, size, hex, built) in vectors() {
        let bytes = unhex(&hex);
        assert_eq!(bytes.len(), size, "{name}");
        assert_eq!(built.as_bytes(), bytes, "{name}, encoded");
        let decoded = Message::decode(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(decoded.to_payload().as_bytes(), bytes, "{name}, decoded and encoded");
        assert_eq!(decoded.kind().0, u32::from(bytes[0]), "{name}");
        assert!(decoded.kind().is_from_host() != decoded.kind().is_from_guest(), "{name}");
    }
}

#[test]
fn the_fields_of_the_vectors_are_where_they_belong() {
    let vectors = vectors();
    let bytes = |name: &str| vectors.iter().find(|vector| vector.0.starts_with(name)).unwrap().3;
    let payload = bytes("VM14b");
    let Ok(Message::InitiateContact(contact)) = Message::decode(&payload) else { panic!("VM14b") };
    assert_eq!(contact.version(), Version::WS2022);
    assert_eq!(contact.target(), ContactTarget { vp: 0, sint: 2, vtl: 0 });
    let payload = bytes("VM8 ");
    let Ok(Message::GpadlHeader(header)) = Message::decode(&payload) else { panic!("VM8") };
    assert_eq!(header.announced_pages(), Some(10));
    assert!(header.page_numbers().eq(0x20000..0x2000a));
    let payload = bytes("VM8b");
    let Ok(Message::GpadlHeader(header)) = Message::decode(&payload) else { panic!("VM8b") };
    assert_eq!((header.announced_pages(), header.page_numbers().len()), (Some(30), GPADL_HEADER_PAGES));
    let payload = bytes("VM9");
    let Ok(Message::GpadlBody(body)) = Message::decode(&payload) else { panic!("VM9") };
    assert!(body.page_numbers().eq(0x3001a..0x3001e));
    let payload = bytes("VM5");
    let Ok(Message::OpenChannel(open)) = Message::decode(&payload) else { panic!("VM5") };
    assert_eq!((open.downstream_page_offset.get(), open.ring_gpadl.get()), (5, 0xe1e10));
}

/// Vector HC, and the slot header: what the hypercall and the SynIC put in front of a payload.
#[test]
fn a_payload_behind_hypercall_and_slot_headers() {
    let payload = Message::RequestOffers.to_payload();
    let size = u32::try_from(payload.len()).unwrap();
    let head = [1u32, 0, VMBUS_MESSAGE_TYPE, size].map(u32::to_le_bytes).concat();
    assert_eq!(
        [head, payload.to_vec()].concat(),
        unhex("0100000000000000 0100000008000000 0300000000000000")
    );
    let payload = Message::AllOffersDelivered.to_payload();
    let slot = [VMBUS_MESSAGE_TYPE, size, 0, 0].map(u32::to_le_bytes).concat();
    assert_eq!(
        [slot, payload.to_vec()].concat(),
        unhex("0100000008000000 0000000000000000 0400000000000000")
    );
}

#[test]
fn short_messages_are_refused_and_long_ones_taken() {
    for (name, size, hex, _) in vectors() {
        let mut bytes = unhex(&hex);
        let decoded = Message::decode(&bytes[..size - 1]);
        if size == HEADER_SIZE {
            assert_eq!(decoded, Err(MessageError::NoHeader(7)), "{name}");
        } else {
            assert!(decoded.is_err(), "{name}");
        }
        let pages = bytes[0] == 8 || bytes[0] == 9;
        bytes.extend([0xee; 4]);
        match Message::decode(&bytes) {
            Ok(message) => {
                assert!(!pages, "{name} with half a page number");
                assert_eq!(message.to_payload().as_bytes(), &bytes[..size], "{name}");
            }
            Err(error) => assert!(pages && matches!(error, MessageError::Ragged { .. }), "{name}: {error}"),
        }
    }
    assert_eq!(Message::decode(&[1; 241]), Err(MessageError::TooLong(241)));
    let short = [5, 0, 0, 0, 0, 0, 0, 0, 1];
    let error = MessageError::Short { kind: MessageType::OPEN_CHANNEL, need: 148, got: 9 };
    assert_eq!(Message::decode(&short), Err(error));
    assert_eq!(alloc::format!("{error}"), "OPENCHANNEL of 9 bytes is shorter than the 148 it needs");
}

#[test]
fn a_list_takes_as_many_messages_as_it_needs() {
    for (pages, messages) in [(1, 1), (26, 1), (27, 2), (54, 2), (55, 3), (8190, 293)] {
        let sent = gpadl_messages(1, 7, 0, pages);
        assert_eq!(sent.len(), messages, "{pages} pages");
        let mut came = Vec::new();
        for payload in &sent {
            match Message::decode(payload).unwrap() {
                Message::GpadlHeader(header) => {
                    assert_eq!(header.announced_pages(), Some(usize::try_from(pages).unwrap()));
                    came.extend(header.page_numbers());
                }
                Message::GpadlBody(body) => came.extend(body.page_numbers()),
                other => panic!("{other:?}"),
            }
        }
        assert!(came.into_iter().eq(0..pages), "{pages} pages");
    }
    let first = relid(1);
    assert!(matches!(GpadlMessages::new(first, GpadlId(1), &[]), Err(GpadlSizeError(0))));
    assert!(matches!(GpadlMessages::new(first, GpadlId(1), &[0; 8191]), Err(GpadlSizeError(8191))));
}

#[test]
fn headers_that_describe_anything_but_one_range_of_whole_pages() {
    let good = GpadlHeaderFixed {
        relid: 1.into(),
        gpadl: 1.into(),
        range_buflen: 16.into(),
        range_count: 1.into(),
        byte_count: 4096.into(),
        byte_offset: 0.into(),
    };
    let announced = |fixed: GpadlHeaderFixed, pages: usize| {
        let numbers = [U64::ZERO; GPADL_HEADER_PAGES];
        let payload = assemble(MessageType::GPADL_HEADER, &[fixed.as_bytes(), numbers[..pages].as_bytes()]);
        match Message::decode(&payload) {
            Ok(Message::GpadlHeader(header)) => header.announced_pages(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(announced(good, 1), Some(1));
    assert_eq!(announced(good, 0), Some(1));
    assert_eq!(announced(good, 2), None);
    let bad = [
        GpadlHeaderFixed { range_count: 0.into(), ..good },
        GpadlHeaderFixed { range_count: 2.into(), ..good },
        GpadlHeaderFixed { byte_offset: 8.into(), ..good },
        GpadlHeaderFixed { byte_count: 4095.into(), ..good },
        GpadlHeaderFixed { byte_count: 8192.into(), ..good },
        GpadlHeaderFixed { range_buflen: 8.into(), byte_count: 0.into(), ..good },
        GpadlHeaderFixed { range_buflen: 7.into(), ..good },
        GpadlHeaderFixed { range_buflen: 17.into(), ..good },
        GpadlHeaderFixed { range_buflen: 0.into(), byte_count: 0.into(), ..good },
    ];
    for fixed in bad {
        assert_eq!(announced(fixed, 0), None, "{fixed:?}");
    }
}

#[test]
fn unknown_types_are_kept() {
    for kind in [0u32, 18, 19, 20, 25, 29, 30, u32::MAX] {
        let mut bytes = kind.to_le_bytes().to_vec();
        bytes.extend([0, 0, 0, 0, 1, 2, 3]);
        let message = Message::decode(&bytes).unwrap();
        assert_eq!(message, Message::Unknown { kind: MessageType(kind), bytes: &bytes });
        assert_eq!(message.to_payload().as_bytes(), bytes);
        assert!(!message.kind().is_from_host() && !message.kind().is_from_guest());
    }
}

const KINDS: [(u32, usize); 21] = [
    (1, 196),
    (2, 12),
    (3, 8),
    (4, 8),
    (5, 148),
    (6, 20),
    (7, 12),
    (8, 28),
    (9, 16),
    (10, 20),
    (11, 16),
    (12, 12),
    (13, 12),
    (14, 40),
    (15, 16),
    (16, 8),
    (17, 8),
    (21, 40),
    (22, 16),
    (23, 44),
    (24, 16),
];

proptest! {
    /// Every message of every type: decoding and encoding gives back its bytes.
    #[test]
    fn round_trip(
        (kind, size) in proptest::sample::select(&KINDS[..]),
        pages in 0usize..26,
        body in proptest::collection::vec(any::<u8>(), 240),
    ) {
        let size = if kind == 8 || kind == 9 { size + 8 * pages } else { size };
        let mut bytes = assemble(MessageType(kind), &[]).to_vec();
        bytes.extend(&body[..size - HEADER_SIZE]);
        let message = Message::decode(&bytes).unwrap();
        prop_assert_eq!(message.kind(), MessageType(kind));
        let payload = message.to_payload();
        prop_assert_eq!(payload.as_bytes(), &bytes[..]);
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..260)) {
        fuzz_message(&bytes);
    }

    #[test]
    fn any_bytes_behind_a_known_type_are_decoded_or_refused(
        kind in 0u8..32,
        bytes in proptest::collection::vec(any::<u8>(), 0..240),
    ) {
        let mut message = alloc::vec![kind, 0, 0, 0];
        message.extend(bytes);
        fuzz_message(&message);
    }
}
