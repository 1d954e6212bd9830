//! How full a ring is, as each side sees it, and what a writer no longer waits for.

use alloc::sync::Arc;

use super::*;

/// A packet with 16 bytes of payload, its descriptor and its trailer.
const PACKET: u32 = 40;

#[test]
fn both_sides_know_how_much_is_in_the_ring() {
    let memory = HeapRing::new(256).unwrap();
    let mut pair = Pair::new(&memory);
    let fill = |pair: &mut Pair<&HeapRing>| {
        let free = pair.outgoing.free_bytes(&mut pair.out).unwrap();
        let incoming = [pair.incoming.used_bytes(&pair.inc), pair.incoming.uncommitted_bytes(&pair.inc)];
        (pair.outgoing.used_bytes(&pair.out), free, incoming)
    };
    assert_eq!(fill(&mut pair), (0, 248, [0, 0]));
    pair.write(&[1; 16]).unwrap();
    assert!(pair.out.has_uncommitted());
    assert_eq!(fill(&mut pair), (0, 208, [0, 0]), "not published");
    let _signal = pair.commit();
    assert!(!pair.out.has_uncommitted());
    let _signal = pair.send(&[2; 16]);
    assert!(pair.incoming.has_packet(&mut pair.inc).unwrap());
    assert_eq!(fill(&mut pair), (2 * PACKET, 168, [2 * PACKET, 0]));
    assert_eq!(pair.read(), Some(vec![1; 16]));
    assert!(pair.inc.has_uncommitted());
    assert_eq!(fill(&mut pair), (2 * PACKET, 168, [2 * PACKET, PACKET]), "read, and not given back");
    let _signal = pair.commit_read();
    assert!(!pair.inc.has_uncommitted());
    assert_eq!(fill(&mut pair), (PACKET, 208, [PACKET, 0]));
    assert_eq!(pair.read(), Some(vec![2; 16]));
    let _signal = pair.commit_read();
    // Around the end.
    for round in 0..20 {
        let _signal = pair.send(&[round; 16]);
        assert_eq!(pair.read(), Some(vec![round; 16]));
        assert_eq!(fill(&mut pair), (PACKET, 208, [PACKET, PACKET]));
        let _signal = pair.commit_read();
        assert_eq!(fill(&mut pair), (0, 248, [0, 0]));
    }
}

#[test]
fn an_index_that_is_not_possible_does_not_change_what_the_writer_counts() {
    let memory = HeapRing::new(256).unwrap();
    let mut pair = Pair::new(&memory);
    let _signal = pair.send(&[1; 16]);
    for index in [4, 256, u32::MAX] {
        memory.poke(ControlWord::ReadIndex, index);
        assert_eq!(pair.outgoing.used_bytes(&pair.out), PACKET, "{index}");
    }
    // Nor does one that says that more was read than was written.
    memory.poke(ControlWord::ReadIndex, 64);
    assert_eq!(pair.outgoing.used_bytes(&pair.out), PACKET);
}

#[test]
fn what_is_taken_back_is_not_in_the_ring() {
    let memory = HeapRing::new(256).unwrap();
    let mut pair = Pair::new(&memory);
    pair.write(&[1; 16]).unwrap();
    pair.out.revert();
    assert_eq!(pair.outgoing.free_bytes(&mut pair.out), Ok(248));
    let _signal = pair.send(&[2; 16]);
    assert_eq!(pair.read(), Some(vec![2; 16]));
    pair.inc.revert();
    assert_eq!(pair.incoming.uncommitted_bytes(&pair.inc), 0);
    assert_eq!(pair.read(), Some(vec![2; 16]), "and is read again");
}

#[test]
fn a_packet_as_large_as_what_was_waited_for_ends_the_wait_and_a_smaller_one_does_not() {
    for (payload, pending) in [(8, PACKET), (9, 0), (16, 0), (32, 0)] {
        let memory = HeapRing::new(256).unwrap();
        let mut pair = Pair::new(&memory);
        let waits = |pair: &mut Pair<&HeapRing>| {
            pair.out.pending = PACKET;
            memory.poke(ControlWord::PendingSendSize, PACKET);
        };
        waits(&mut pair);
        pair.write(&vec![0; payload]).unwrap();
        assert_eq!(memory.peek(ControlWord::PendingSendSize), pending, "{payload} bytes");
        // In a batch as alone.
        waits(&mut pair);
        let mut batch = pair.outgoing.batch(&mut pair.out, 64).unwrap();
        batch.push(&OutgoingPacket::in_band(0, &vec![0; payload])).unwrap();
        assert!(batch.commit().unwrap().is_needed());
        assert_eq!(memory.peek(ControlWord::PendingSendSize), pending, "{payload} bytes in a batch");
    }
}

#[test]
fn what_the_other_features_say_stays() {
    let memory = HeapRing::new(256).unwrap();
    for features in [0, 1, 6, 7] {
        memory.poke(ControlWord::FeatureBits, features);
        let _pair = Pair::new(&memory);
        assert_eq!(memory.peek(ControlWord::FeatureBits), features | FEATURE_PENDING_SEND_SIZE);
    }
}

#[test]
fn a_ring_can_be_shared_by_counting() {
    let memory = Arc::new(HeapRing::new(64).unwrap());
    let (outgoing, mut out) = OutgoingRing::open(Arc::clone(&memory)).unwrap();
    let (incoming, mut inc) = IncomingRing::open(memory).unwrap();
    let mut buffer = PacketBuffer::new();
    for round in 0..9 {
        outgoing.write(&mut out, &OutgoingPacket::in_band(round, b"ballast!")).unwrap();
        assert!(outgoing.commit(&mut out).unwrap().is_needed());
        let packet = incoming.read(&mut inc, &mut buffer).unwrap();
        assert_eq!((packet.transaction_id, packet.payload), (round, &b"ballast!"[..]));
        assert_eq!(incoming.commit_and_wait(&mut inc).unwrap().wait, Wait::Armed);
    }
}
