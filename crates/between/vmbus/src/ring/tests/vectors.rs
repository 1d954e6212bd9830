//! Known bytes of packets, as the public drivers write them.

use super::*;
use crate::ring::test_support::ScatteredRing;

const DM1: &str = "01001000010000000000020000000000";
const DM3: &str = "03002000020000001f000000000000000000000000000000ffffffffffffffff";
const DM9: &str = "0900080007000000";
const RING1: &str = "0600020004000000 0000000000000000 0100100001000000 0000020000000000 0000000000000000";
const RING2: &str = "0600020006000000 0000000000000000 0300200002000000 1f00000000000000 0000000000000000
                     ffffffffffffffff 0000000028000000";
const RING3: &str = "0600020003000000 0000000000000000 0900080007000000 00000000f03f0000";

fn first_packets_of_a_guest(memory: &dyn RingMemory) {
    let mut pair = Pair::new(memory);
    assert_eq!(pair.write(&hex(DM1)), Ok(0));
    assert_eq!(memory.peek(ControlWord::WriteIndex), 0, "not before the commit");
    assert_eq!(pair.commit(), Signal::Needed);
    assert_eq!(memory.peek(ControlWord::WriteIndex), 0x28);
    assert_eq!(pair.write(&hex(DM3)), Ok(0x28));
    assert_eq!(pair.commit(), Signal::NotNeeded);
    assert_eq!(memory.peek(ControlWord::WriteIndex), 0x60);
    assert_eq!(memory.peek_bytes(0, 40), hex(RING1));
    assert_eq!(memory.peek_bytes(0x28, 56), hex(RING2));
    assert_eq!(pair.read().unwrap(), hex(DM1));
    assert_eq!(pair.read().unwrap(), hex(DM3));
    assert_eq!(pair.read(), None);
}

#[test]
fn ring1_and_ring2() {
    first_packets_of_a_guest(&HeapRing::new(0x4000).unwrap());
    first_packets_of_a_guest(&ScatteredRing::new(0x4000 / 8 / 4, 4));
}

fn around_the_end(memory: &dyn RingMemory) {
    memory.poke(ControlWord::WriteIndex, 0x3ff0);
    memory.poke(ControlWord::ReadIndex, 0x3ff0);
    let mut pair = Pair::new(memory);
    assert_eq!(pair.write(&hex(DM9)), Ok(0x3ff0));
    assert_eq!(pair.commit(), Signal::Needed);
    assert_eq!(memory.peek(ControlWord::WriteIndex), 0x10);
    assert_eq!(memory.peek_bytes(0x3ff0, 16), hex(RING3)[..16]);
    assert_eq!(memory.peek_bytes(0, 16), hex(RING3)[16..]);
    assert_eq!(pair.read().unwrap(), hex(DM9));
    assert_eq!(pair.wait_for_packet().wait, Wait::Armed);
    assert_eq!(memory.peek(ControlWord::ReadIndex), 0x10);
}

#[test]
fn ring3_wraps() {
    around_the_end(&HeapRing::new(0x4000).unwrap());
    around_the_end(&ScatteredRing::new(4, 512));
    around_the_end(&ScatteredRing::new(0x800, 1));
}

#[test]
fn every_vector_is_read_as_it_is_known() {
    for (bytes, at, payload) in [(RING1, 0, DM1), (RING2, 0x28, DM3), (RING3, 0x3ff0, DM9)] {
        let memory = HeapRing::new(0x4000).unwrap();
        memory.poke(ControlWord::ReadIndex, at);
        memory.poke(ControlWord::WriteIndex, (at + hex(bytes).len() as u32) % 0x4000);
        memory.poke_bytes(at, &hex(bytes));
        let (ring, mut offsets) = IncomingRing::open(&memory).unwrap();
        let mut buffer = PacketBuffer::new();
        let packet = ring.read(&mut offsets, &mut buffer).unwrap();
        assert_eq!(packet.payload, hex(payload));
        assert_eq!((packet.kind, packet.transaction_id), (PacketType::IN_BAND, 0));
        assert_eq!((packet.offset, packet.completion_requested, packet.extra.len()), (at, false, 0));
    }
}

#[test]
fn fields_of_the_descriptor() {
    let memory = HeapRing::new(256).unwrap();
    let (ring, mut offsets) = OutgoingRing::open(&memory).unwrap();
    let packet = OutgoingPacket {
        kind: PacketType::COMPLETION,
        transaction_id: 0x0102_0304_0506_0708,
        completion_requested: true,
        payload: b"odd length",
        extra_bytes: 0,
    };
    memory.poke_bytes(0, &[0xee; 256]);
    ring.write(&mut offsets, &packet).unwrap();
    let expected = "0b00020004000100 0807060504030201 6f6464206c656e67 7468000000000000 0000000000000000";
    assert_eq!(memory.peek_bytes(0, 40), hex(expected));
}

#[test]
fn a_payload_may_begin_after_other_data() {
    let memory = HeapRing::new(256).unwrap();
    // GPA direct: one range of two pages between descriptor and payload.
    let bytes = hex("0900060007000000 2a00000000000000 0000000001000000 0020000000000000 0100000000000000
                     0200000000000000 6869000000000000 0000000000000000");
    memory.poke_bytes(0, &bytes);
    memory.poke(ControlWord::WriteIndex, bytes.len() as u32);
    let (ring, mut offsets) = IncomingRing::open(&memory).unwrap();
    let mut buffer = PacketBuffer::with_capacity(64);
    let packet = ring.read(&mut offsets, &mut buffer).unwrap();
    assert_eq!((packet.kind, packet.transaction_id), (PacketType::GPA_DIRECT, 42));
    assert_eq!(packet.extra, &bytes[16..48]);
    assert_eq!(packet.payload, b"hi\0\0\0\0\0\0");
}

#[test]
fn page_ranges_are_written_before_the_message() {
    let memory = HeapRing::new(256).unwrap();
    let (ring, mut offsets) = OutgoingRing::open(&memory).unwrap();
    let range = BufferRange { byte_offset: 0, byte_count: 0x2000, pages: vec![1, 2] };
    let (bytes, extra) = BufferRange::encode(&[range], b"hi");
    ring.write(&mut offsets, &OutgoingPacket::gpa_direct(42, &bytes, extra)).unwrap();
    let expected = "0900060007000100 2a00000000000000 0000000001000000 0020000000000000 0100000000000000
                    0200000000000000 6869000000000000 0000000000000000";
    assert_eq!(memory.peek_bytes(0, 64), hex(expected));
}

#[test]
fn a_packet_asks_for_a_completion_only_if_told_to() {
    let packet = OutgoingPacket::in_band(7, b"question");
    assert!(!packet.completion_requested);
    assert_eq!(packet.requesting_completion(), OutgoingPacket { completion_requested: true, ..packet });
}
