//! When the other side is signalled, and when not.

use super::*;

#[test]
fn only_the_commit_that_ends_emptiness_signals() {
    let memory = HeapRing::new(256).unwrap();
    let mut pair = Pair::new(&memory);
    pair.write(b"a").unwrap();
    pair.write(b"b").unwrap();
    assert_eq!(pair.commit(), Signal::Needed);
    assert_eq!(pair.commit(), Signal::NotNeeded, "nothing new");
    assert_eq!(pair.send(b"c"), Signal::NotNeeded, "it was not empty");
    assert_eq!(pair.drain(), 3);
    assert_eq!(memory.peek(ControlWord::InterruptMask), 1, "masked while draining");
    assert_eq!(pair.send(b"d"), Signal::NotNeeded, "the reader is awake");
    assert_eq!(pair.wait_for_packet(), Committed { signal: Signal::NotNeeded, wait: Wait::Ready });
    assert_eq!(memory.peek(ControlWord::InterruptMask), 1, "still draining");
    assert_eq!(pair.drain(), 1);
    assert_eq!(pair.wait_for_packet(), Committed { signal: Signal::NotNeeded, wait: Wait::Armed });
    assert_eq!(memory.peek(ControlWord::InterruptMask), 0);
    assert_eq!(pair.send(b"e"), Signal::Needed);
}

#[test]
fn a_reader_that_never_masks_is_signalled_when_it_had_read_everything() {
    let memory = HeapRing::new(256).unwrap();
    let mut pair = Pair::new(&memory);
    for _ in 0..20 {
        assert_eq!(pair.send(b"12345678"), Signal::Needed);
        assert_eq!(pair.drain(), 1);
        assert_eq!(pair.commit_read(), Signal::NotNeeded);
        memory.poke(ControlWord::InterruptMask, 0);
    }
}

#[test]
fn going_to_sleep_with_packets_left_is_not_possible() {
    let memory = HeapRing::new(256).unwrap();
    let mut pair = Pair::new(&memory);
    pair.write(b"a").unwrap();
    pair.write(b"b").unwrap();
    assert_eq!(pair.commit(), Signal::Needed);
    assert!(pair.read().is_some());
    assert_eq!(pair.wait_for_packet().wait, Wait::Ready);
    assert_eq!(memory.peek(ControlWord::ReadIndex), 0x20, "but what was read is committed");
}

#[test]
fn opening_takes_over_the_fields_that_are_ours() {
    let memory = HeapRing::new(256).unwrap();
    memory.poke(ControlWord::InterruptMask, 1);
    memory.poke(ControlWord::PendingSendSize, 99);
    memory.poke(ControlWord::FeatureBits, 2);
    let (_, _) = IncomingRing::open(&memory).unwrap();
    assert_eq!(memory.peek(ControlWord::InterruptMask), 0, "signals are wanted");
    assert_eq!(memory.peek(ControlWord::PendingSendSize), 99, "the writer's, not ours");
    let (_, _) = OutgoingRing::open(&memory).unwrap();
    assert_eq!(memory.peek(ControlWord::PendingSendSize), 0, "nobody waits yet");
    assert_eq!(memory.peek(ControlWord::FeatureBits), 3);
}

#[test]
fn reverting_on_both_sides() {
    let memory = HeapRing::new(256).unwrap();
    let mut pair = Pair::new(&memory);
    pair.write(b"forgotten").unwrap();
    assert!(pair.out.has_uncommitted());
    pair.out.revert();
    assert!(!pair.out.has_uncommitted());
    assert_eq!(pair.commit(), Signal::NotNeeded);
    assert_eq!(pair.send(b"kept"), Signal::Needed);
    assert_eq!(pair.read().unwrap(), b"kept\0\0\0\0");
    assert!(pair.inc.has_uncommitted());
    pair.inc.revert();
    assert_eq!(pair.read().unwrap(), b"kept\0\0\0\0", "read again");
    assert_eq!(pair.commit_read(), Signal::NotNeeded);
    pair.inc.revert();
    assert_eq!(pair.read(), None);
}

/// Packets of 24 bytes in a ring of 80: three fit, 8 bytes are left, one byte more than none must stay free.
fn full() -> HeapRing {
    let memory = HeapRing::new(80).unwrap();
    let mut pair = Pair::new(&memory);
    for _ in 0..3 {
        pair.write(b"").unwrap();
    }
    assert_eq!(pair.write(b""), Err(WriteError::Full { needed: 24 }));
    assert_eq!(pair.outgoing.free_bytes(&mut pair.out), Ok(0));
    assert_eq!(pair.commit(), Signal::Needed);
    memory
}

#[test]
fn a_blocked_writer_is_signalled_by_the_commit_that_makes_room() {
    let memory = full();
    let mut pair = Pair::new(&memory);
    let blocked = Committed { signal: Signal::NotNeeded, wait: Wait::Armed };
    // Two packets' worth: 48 bytes, so more than 48 must be free, of which 8 are.
    assert_eq!(pair.wait_for_space(48), blocked);
    assert_eq!(memory.peek(ControlWord::PendingSendSize), 48);
    assert!(pair.read().is_some());
    assert_eq!(pair.commit_read(), Signal::NotNeeded, "32 free");
    assert!(pair.read().is_some());
    assert_eq!(pair.commit_read(), Signal::Needed, "56 free");
    assert!(pair.read().is_some());
    assert_eq!(pair.commit_read(), Signal::NotNeeded, "it has been signalled");
    pair.write(&[0; 24]).unwrap();
    assert_eq!(memory.peek(ControlWord::PendingSendSize), 0, "what it waited for is written");
    assert_eq!(pair.commit(), Signal::NotNeeded, "the reader is awake");
}

#[test]
fn a_smaller_packet_does_not_end_the_wait_for_a_larger_one() {
    let memory = full();
    let mut pair = Pair::new(&memory);
    assert_eq!(pair.wait_for_space(48).wait, Wait::Armed);
    assert!(pair.read().is_some());
    assert_eq!(pair.commit_read(), Signal::NotNeeded);
    pair.write(b"").unwrap();
    assert_eq!(memory.peek(ControlWord::PendingSendSize), 48);
    pair.outgoing.cancel_wait(&mut pair.out);
    assert_eq!(memory.peek(ControlWord::PendingSendSize), 0);
}

#[test]
fn a_writer_that_waits_publishes_first_and_looks_again() {
    let memory = HeapRing::new(80).unwrap();
    let mut pair = Pair::new(&memory);
    pair.write(b"").unwrap();
    assert_eq!(pair.wait_for_space(48), Committed { signal: Signal::Needed, wait: Wait::Ready });
    assert_eq!(memory.peek(ControlWord::PendingSendSize), 0);
    assert_eq!(memory.peek(ControlWord::WriteIndex), 24);
    assert_eq!(pair.wait_for_space(56), Committed { signal: Signal::NotNeeded, wait: Wait::Armed });
    assert_eq!(pair.drain(), 1);
    // One commit that also goes to sleep signals as well.
    assert_eq!(pair.wait_for_packet(), Committed { signal: Signal::Needed, wait: Wait::Armed });
}

#[test]
fn a_sender_that_stores_one_byte_less_is_served() {
    let memory = full();
    let mut pair = Pair::new(&memory);
    memory.poke(ControlWord::PendingSendSize, 32 - 1);
    assert!(pair.read().is_some());
    assert_eq!(pair.commit_read(), Signal::Needed, "32 free");
}

#[test]
fn without_the_feature_bit_the_pending_size_means_nothing() {
    let memory = full();
    let mut pair = Pair::new(&memory);
    assert!(pair.incoming.writer_uses_pending_send_size());
    assert_eq!(pair.wait_for_space(24).wait, Wait::Armed);
    memory.poke(ControlWord::FeatureBits, 0);
    assert!(!pair.incoming.writer_uses_pending_send_size());
    assert_eq!(pair.drain(), 3);
    assert_eq!(pair.commit_read(), Signal::NotNeeded);
}

#[test]
fn what_does_not_fit_is_said_at_once() {
    let memory = HeapRing::new(128).unwrap();
    let mut pair = Pair::new(&memory);
    assert_eq!(pair.write(&[0; 97]), Err(WriteError::TooLarge { payload: 97, size: 128 }));
    assert_eq!(pair.write(&[0; 96]), Ok(0), "all but 8 bytes");
    assert_eq!(pair.outgoing.free_bytes(&mut pair.out), Ok(0));
    let huge = vec![0; 0x10_0000];
    assert_eq!(pair.write(&huge), Err(WriteError::TooLarge { payload: 0x10_0000, size: 128 }));
    // The length field ends before a large ring does.
    let memory = HeapRing::new(4 << 20).unwrap();
    let mut pair = Pair::new(&memory);
    assert_eq!(pair.write(&huge), Err(WriteError::TooLarge { payload: 0x10_0000, size: 4 << 20 }));
    assert_eq!(pair.write(&huge[..0xfffd * 8]), Ok(0));
    assert_eq!(pair.commit(), Signal::Needed);
    assert_eq!(pair.read().unwrap().len(), 0xfffd * 8);
}
