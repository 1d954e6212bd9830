//! Batches: what is written and read together, and what is not.

use super::*;
use crate::ring::test_support::{ScatteredRing, encode_packet};

#[test]
fn a_batch_is_published_whole_or_not_at_all() {
    let memory = HeapRing::new(256).unwrap();
    let mut pair = Pair::new(&memory);
    let mut batch = pair.outgoing.batch(&mut pair.out, 80).unwrap();
    assert_eq!(batch.left(), 248);
    assert_eq!(batch.push(&OutgoingPacket::in_band(1, b"first")), Ok(0));
    assert_eq!(batch.push(&OutgoingPacket::in_band(2, &[7; 16])), Ok(32));
    assert_eq!(batch.left(), 248 - 32 - 40);
    drop(batch);
    assert_eq!(pair.commit(), Signal::NotNeeded, "nothing was written");
    assert_eq!(memory.peek(ControlWord::WriteIndex), 0);

    // After a packet that was written alone: both are published together.
    pair.write(b"alone").unwrap();
    let mut batch = pair.outgoing.batch(&mut pair.out, 80).unwrap();
    batch.push(&OutgoingPacket::in_band(1, b"first")).unwrap();
    batch.push(&OutgoingPacket::completion(2, &[7; 16])).unwrap();
    assert_eq!(pair.incoming.has_packet(&mut pair.inc), Ok(false));
    assert_eq!(batch.commit(), Ok(Signal::Needed));
    assert_eq!(memory.peek(ControlWord::WriteIndex), 32 + 32 + 40);
    assert_eq!(memory.peek_bytes(32, 32), encode_packet(6, false, 1, b"first", 32));
    assert_eq!(memory.peek_bytes(64, 40), encode_packet(0xb, false, 2, &[7; 16], 64));

    let batch = pair.incoming.read_batch(&mut pair.inc, &mut pair.buffer, u32::MAX).unwrap();
    let seen: Vec<_> = batch.map(|packet| (packet.offset, packet.transaction_id, packet.kind.0)).collect();
    assert_eq!(seen, [(0, 0, 6), (32, 1, 6), (64, 2, 0xb)]);
    assert_eq!(memory.peek(ControlWord::InterruptMask), 1);
    assert_eq!(memory.peek(ControlWord::ReadIndex), 0, "not before a commit");
    assert_eq!(pair.wait_for_packet().wait, Wait::Armed);
    assert_eq!(memory.peek(ControlWord::ReadIndex), 104);
    let none = pair.incoming.read_batch(&mut pair.inc, &mut pair.buffer, u32::MAX);
    assert_eq!(none.map(drop), Err(ReadError::Empty));
}

#[test]
fn packets_of_a_batch_stand_one_behind_the_other_in_a_ring_that_is_far_from_full() {
    let memory = HeapRing::new(4096).unwrap();
    let mut pair = Pair::new(&memory);
    let mut batch = pair.outgoing.batch(&mut pair.out, 200).unwrap();
    for (stamp, at) in [(1, 0), (2, 40), (3, 80)] {
        assert_eq!(batch.push(&OutgoingPacket::in_band(u64::from(stamp), &[stamp; 16])), Ok(at));
    }
    assert_eq!(batch.commit(), Ok(Signal::Needed));
    for (stamp, at) in [(1, 0), (2, 40), (3, 80)] {
        let expected = encode_packet(6, false, u64::from(stamp), &[stamp; 16], at);
        assert_eq!(memory.peek_bytes(at, 40), expected);
    }
    assert_eq!(memory.peek_bytes(120, 4096 - 120), [0; 4096 - 120], "nothing behind them");
}

#[test]
fn a_batch_goes_on_behind_the_packet_that_crosses_the_end() {
    let memory = HeapRing::new(4096).unwrap();
    let mut pair = Pair::new(&memory);
    // Both ends stand 24 bytes before the end of the ring.
    pair.write(&[0; 4048]).unwrap();
    assert_eq!(pair.commit(), Signal::Needed);
    assert_eq!(pair.read().unwrap().len(), 4048);
    assert_eq!(pair.wait_for_packet().wait, Wait::Armed);
    let mut batch = pair.outgoing.batch(&mut pair.out, 200).unwrap();
    for stamp in 1..=3 {
        batch.push(&OutgoingPacket::in_band(u64::from(stamp), &[stamp; 16])).unwrap();
    }
    assert_eq!(batch.commit(), Ok(Signal::Needed));
    for stamp in 1..=3 {
        assert_eq!(pair.read().unwrap(), [stamp; 16]);
    }
}

#[test]
fn what_is_not_taken_from_a_batch_stays_in_the_ring() {
    let memory = HeapRing::new(256).unwrap();
    let mut pair = Pair::new(&memory);
    for stamp in 1..=3u8 {
        pair.write(&[stamp; 16]).unwrap();
    }
    assert_eq!(pair.commit(), Signal::Needed);
    let mut batch = pair.incoming.read_batch(&mut pair.inc, &mut pair.buffer, u32::MAX).unwrap();
    assert_eq!(batch.next().map(|packet| packet.payload[0]), Some(1));
    assert_eq!(pair.read().unwrap(), [2; 16]);
    assert_eq!(pair.wait_for_packet().wait, Wait::Ready);
    assert_eq!(pair.read().unwrap(), [3; 16]);
}

#[test]
fn a_batch_has_room_or_is_refused() {
    let memory = HeapRing::new(256).unwrap();
    let mut pair = Pair::new(&memory);
    let too_large = pair.outgoing.batch(&mut pair.out, 256).map(drop);
    assert_eq!(too_large, Err(WriteError::TooLarge { payload: 256, size: 256 }));
    let mut batch = pair.outgoing.batch(&mut pair.out, 24).unwrap();
    let packet = OutgoingPacket::in_band(1, &[1; 40]);
    assert_eq!(packet.ring_bytes(), Some(64));
    for _ in 0..3 {
        batch.push(&packet).unwrap();
    }
    // A fourth would fill the ring, which would then look empty.
    assert_eq!(batch.push(&packet), Err(WriteError::Full { needed: 64 }));
    assert_eq!(batch.push(&OutgoingPacket::in_band(1, &[1; 250])).map(drop), too_large_packet(250));
    assert_eq!(batch.push(&OutgoingPacket::in_band(1, &[1; 32])), Ok(192));
    assert_eq!(batch.left(), 0);
    assert_eq!(batch.commit(), Ok(Signal::Needed));
    assert_eq!(pair.outgoing.batch(&mut pair.out, 1).map(drop), Err(WriteError::Full { needed: 8 }));
    // A batch of the rest begins when the reader has given one packet back; the reader's index is looked at only then.
    assert!(pair.read().is_some());
    assert_eq!(pair.commit_read(), Signal::NotNeeded);
    assert_eq!(pair.outgoing.batch(&mut pair.out, 64).unwrap().left(), 64);
}

fn too_large_packet(payload: usize) -> Result<(), WriteError> {
    Err(WriteError::TooLarge { payload, size: 256 })
}

#[test]
fn a_limit_ends_a_batch_before_the_packet_that_crosses_it() {
    let memory = ScatteredRing::new(8, 4);
    let mut pair = Pair::new(&memory);
    for stamp in 1..=5u8 {
        pair.write(&[stamp; 16]).unwrap();
    }
    assert_eq!(pair.commit(), Signal::Needed);
    let read = |pair: &mut Pair<_>, most| {
        let batch = pair.incoming.read_batch(&mut pair.inc, &mut pair.buffer, most).unwrap();
        batch.map(|packet| packet.payload[0]).collect::<Vec<_>>()
    };
    assert_eq!(read(&mut pair, 100), [1, 2], "two of 40 bytes, and half of the third");
    assert_eq!(read(&mut pair, 40), [3]);
    assert_eq!(read(&mut pair, 39), [4, 5], "not even one: then whatever is there");
}

#[test]
fn a_bad_packet_ends_a_batch_and_is_what_the_next_read_finds() {
    for most in [40, 64, 1000] {
        let memory = HeapRing::new(1024).unwrap();
        let mut pair = Pair::new(&memory);
        for stamp in 1..=3u8 {
            pair.write(&[stamp; 16]).unwrap();
        }
        assert_eq!(pair.commit(), Signal::Needed);
        memory.poke_bytes(40, &hex("0600010004000000"));
        let batch = pair.incoming.read_batch(&mut pair.inc, &mut pair.buffer, most).unwrap();
        assert_eq!(batch.map(|packet| packet.payload[0]).collect::<Vec<_>>(), [1]);
        let found = pair.incoming.read_batch(&mut pair.inc, &mut pair.buffer, most).map(drop);
        let corruption = Corruption::DataInsideDescriptor { offset: 40, data_offset8: 1 };
        assert_eq!(found, Err(ReadError::Corrupt(corruption)));
        assert_eq!(pair.inc.corruption(), Some(corruption));
        assert_eq!(pair.incoming.commit(&mut pair.inc), Err(corruption));
    }
}

#[test]
fn a_batch_that_is_large_enough_ends_the_wait_for_space() {
    let memory = HeapRing::new(128).unwrap();
    let mut pair = Pair::new(&memory);
    pair.write(&[0; 80]).unwrap();
    assert_eq!(pair.wait_for_space(64).wait, Wait::Armed);
    assert!(pair.read().is_some());
    assert_eq!(pair.commit_read(), Signal::Needed);
    let mut batch = pair.outgoing.batch(&mut pair.out, 64).unwrap();
    batch.push(&OutgoingPacket::in_band(0, &[])).unwrap();
    let _ = batch.commit().unwrap();
    assert_eq!(memory.peek(ControlWord::PendingSendSize), 64, "smaller than what is waited for");
    let mut batch = pair.outgoing.batch(&mut pair.out, 64).unwrap();
    batch.push(&OutgoingPacket::in_band(0, &[0; 40])).unwrap();
    let _ = batch.commit().unwrap();
    assert_eq!(memory.peek(ControlWord::PendingSendSize), 0);
}
