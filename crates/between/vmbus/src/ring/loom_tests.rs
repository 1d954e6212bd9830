//! Loom models of the ring: every interleaving and every value that the memory model allows, for the smallest rings.
//!
//! One model for each mechanism. Each runs three ways or more: as it is, which must hold, and with one step left out
//! ([`omit`]), which must fail: so the model is able to see the bug that the step prevents. A side that sleeps has
//! returned from its thread; what is checked is that nobody sleeps on something that is there, unsignalled.

use alloc::sync::Arc;
use alloc::vec::Vec;
use std::panic::{AssertUnwindSafe, catch_unwind};

use loom::thread;

use super::{
    HeapRing, IncomingOffsets, IncomingRing, OutgoingOffsets, OutgoingPacket, OutgoingRing, PacketBuffer,
    ReadError, Signal, Wait, omit,
};

type Outgoing = (OutgoingRing<Arc<HeapRing>>, OutgoingOffsets);
type Incoming = (IncomingRing<Arc<HeapRing>>, IncomingOffsets);

fn ring(bytes: u32) -> (Outgoing, Incoming) {
    let memory = Arc::new(HeapRing::new(bytes).unwrap());
    (OutgoingRing::open(Arc::clone(&memory)).unwrap(), IncomingRing::open(memory).unwrap())
}

/// Bytes of a packet without payload.
const EMPTY: u32 = 24;

fn write((ring, offsets): &mut Outgoing, id: u64) {
    ring.write(offsets, &OutgoingPacket::in_band(id, b"")).unwrap();
}

/// The transaction id of the next packet.
fn read((ring, offsets): &mut Incoming) -> Option<u64> {
    match ring.read(offsets, &mut PacketBuffer::new()) {
        Ok(packet) => Some(packet.transaction_id),
        Err(ReadError::Empty) => None,
        Err(ReadError::Corrupt(corruption)) => panic!("{corruption}"),
    }
}

fn holds(model: impl Fn() + Send + Sync + 'static) {
    loom::model(model);
}

/// The model must find a schedule in which the rule is broken, in the way that `expected` says.
fn fails(expected: &str, model: impl Fn() + Send + Sync + 'static) {
    let outcome = catch_unwind(AssertUnwindSafe(|| loom::model(model)));
    let panic = outcome.expect_err("the model does not see what was left out");
    let message = panic.downcast_ref::<String>().map(String::as_str);
    let message = message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
    assert!(message.contains(expected), "it fails in another way: {message}");
}

// Publish and consume: who sees the index sees the packet, and who sees its space free may write over it.

fn publish_and_consume<const OMIT: u8>() {
    // Two packets through a ring that holds one: the second is written over the first.
    let (mut outgoing, incoming) = ring(32);
    let writer = thread::spawn(move || {
        for id in [1, 2] {
            let (ring, offsets) = &mut outgoing;
            while ring.write(offsets, &OutgoingPacket::in_band(id, b"")).is_err() {
                thread::yield_now();
            }
            let _ = ring.commit_omitting::<OMIT>(offsets).unwrap();
        }
    });
    let mut incoming = incoming;
    for expected in [1, 2] {
        let id = loop {
            match read(&mut incoming) {
                Some(id) => break id,
                None => thread::yield_now(),
            }
        };
        assert_eq!(id, expected, "a packet whose bytes have not come");
        let _ = incoming.0.commit_omitting::<OMIT>(&mut incoming.1).unwrap();
    }
    writer.join().unwrap();
}

#[test]
fn loom_publish_and_consume() {
    holds(publish_and_consume::<{ omit::NOTHING }>);
}

#[test]
fn loom_publish_without_release_fails() {
    fails("a packet whose bytes have not come", publish_and_consume::<{ omit::RELEASE }>);
}

// Batches: two packets that are published together are seen together, and a copy that was taken is of what was published.

fn batches<const WRITER: u8>() {
    // Two packets of 24 bytes fit, a second batch is written over the first.
    let (mut outgoing, mut incoming) = ring(56);
    let writer = thread::spawn(move || {
        for first in [1, 3] {
            let (ring, offsets) = &mut outgoing;
            let mut batch = loop {
                match ring.batch(offsets, 2 * EMPTY) {
                    Ok(batch) => break batch,
                    Err(_) => thread::yield_now(),
                }
            };
            for id in [first, first + 1] {
                batch.push(&OutgoingPacket::in_band(id, b"")).unwrap();
            }
            let _ = batch.commit_omitting::<WRITER>().unwrap();
        }
    });
    let (ring, offsets) = &mut incoming;
    for first in [1, 3] {
        let mut buffer = PacketBuffer::new();
        let ids: Vec<u64> = loop {
            match ring.read_batch(offsets, &mut buffer, u32::MAX) {
                Ok(batch) => break batch.map(|packet| packet.transaction_id).collect(),
                Err(ReadError::Empty) => thread::yield_now(),
                Err(ReadError::Corrupt(corruption)) => panic!("{corruption}"),
            }
        };
        assert_eq!(ids, [first, first + 1], "a batch in pieces, or another one's packets");
        let _ = ring.commit(offsets).unwrap();
    }
    writer.join().unwrap();
}

#[test]
fn loom_batches() {
    holds(batches::<{ omit::NOTHING }>);
}

#[test]
fn loom_batches_without_release_fail() {
    fails("a batch in pieces", batches::<{ omit::RELEASE }>);
}

// A reader that drains in batches and sleeps, against a writer that publishes a batch: as with single packets.

fn batch_and_sleep<const READER: u8, const WRITER: u8>() {
    let (mut outgoing, mut incoming) = ring(96);
    write(&mut outgoing, 1);
    assert_eq!(outgoing.0.commit(&mut outgoing.1), Ok(Signal::Needed));
    assert_eq!(read(&mut incoming), Some(1));

    let writer = thread::spawn(move || {
        let mut batch = outgoing.0.batch(&mut outgoing.1, 2 * EMPTY).unwrap();
        for id in [2, 3] {
            batch.push(&OutgoingPacket::in_band(id, b"")).unwrap();
        }
        batch.commit_omitting::<WRITER>().unwrap()
    });
    let mut seen = 0;
    let (ring, offsets) = &mut incoming;
    while ring.commit_and_wait_omitting::<READER>(offsets).unwrap().wait == Wait::Ready {
        if let Ok(batch) = ring.read_batch(offsets, &mut PacketBuffer::new(), u32::MAX) {
            seen += batch.count();
        }
    }
    let signal = writer.join().unwrap();
    assert!(seen == 2 || (seen == 0 && signal.is_needed()), "the reader sleeps for ever");
}

#[test]
fn loom_batch_and_sleep() {
    holds(batch_and_sleep::<{ omit::NOTHING }, { omit::NOTHING }>);
}

#[test]
fn loom_batch_without_the_writers_fence_fails() {
    fails("the reader sleeps for ever", batch_and_sleep::<{ omit::NOTHING }, { omit::FENCE }>);
}

#[test]
fn loom_batch_without_the_readers_recheck_fails() {
    fails("the reader sleeps for ever", batch_and_sleep::<{ omit::RECHECK }, { omit::NOTHING }>);
}

// Interrupt mask: arm, then look again; against: publish, then look at the mask.

fn arm_and_recheck<const READER: u8, const WRITER: u8>() {
    let (mut outgoing, mut incoming) = ring(64);
    // The reader is draining: it has read one packet, not given it back, and has interrupts masked.
    write(&mut outgoing, 1);
    assert_eq!(outgoing.0.commit(&mut outgoing.1), Ok(Signal::Needed));
    assert_eq!(read(&mut incoming), Some(1));

    let writer = thread::spawn(move || {
        write(&mut outgoing, 2);
        outgoing.0.commit_omitting::<WRITER>(&mut outgoing.1).unwrap()
    });
    let mut seen = 0;
    let (ring, offsets) = &mut incoming;
    while ring.commit_and_wait_omitting::<READER>(offsets).unwrap().wait == Wait::Ready {
        seen += u32::from(ring.read(offsets, &mut PacketBuffer::new()).is_ok());
    }
    let signal = writer.join().unwrap();
    assert!(seen == 1 || signal.is_needed(), "the reader sleeps for ever");
}

#[test]
fn loom_arm_and_recheck() {
    holds(arm_and_recheck::<{ omit::NOTHING }, { omit::NOTHING }>);
}

#[test]
fn loom_arm_without_fence_fails() {
    fails("the reader sleeps for ever", arm_and_recheck::<{ omit::FENCE }, { omit::NOTHING }>);
}

#[test]
fn loom_arm_without_recheck_fails() {
    fails("the reader sleeps for ever", arm_and_recheck::<{ omit::RECHECK }, { omit::NOTHING }>);
}

#[test]
fn loom_arm_before_publishing_the_read_index_fails() {
    fails("the reader sleeps for ever", arm_and_recheck::<{ omit::ORDER }, { omit::NOTHING }>);
}

#[test]
fn loom_commit_without_fence_fails() {
    fails("the reader sleeps for ever", arm_and_recheck::<{ omit::NOTHING }, { omit::FENCE }>);
}

// Signal decision: of two commits in a row, exactly those that end emptiness signal.

fn signal_decision<const WRITER: u8>() {
    let (mut outgoing, mut incoming) = ring(96);
    let writer = thread::spawn(move || {
        let mut signals = 0;
        for id in [1, 2] {
            write(&mut outgoing, id);
            let signal = outgoing.0.commit_omitting::<WRITER>(&mut outgoing.1).unwrap();
            signals += u32::from(signal.is_needed());
        }
        signals
    });
    let mut seen = 0;
    let mut slept = 0;
    let (ring, offsets) = &mut incoming;
    // Two wakes; the first without a signal, as when a channel is opened.
    for _ in 0..2 {
        loop {
            while ring.read(offsets, &mut PacketBuffer::new()).is_ok() {
                seen += 1;
            }
            if ring.commit_and_wait(offsets).unwrap().wait == Wait::Armed {
                break;
            }
        }
        slept += 1;
    }
    let signals = writer.join().unwrap();
    assert!(signals <= 2, "one signal for one commit");
    assert!(seen == 2 || signals > 0, "{seen} packets read in {slept} wakes, and no signal");
    // A commit that follows another without a read in between never signals.
    assert!(seen > 0 || signals == 1, "{signals} signals to a reader that has not read");
}

#[test]
fn loom_signal_decision() {
    holds(signal_decision::<{ omit::NOTHING }>);
}

#[test]
fn loom_signal_by_a_stale_read_index_fails() {
    fails("and no signal", signal_decision::<{ omit::RELOAD }>);
}

#[test]
fn loom_signal_without_fence_fails() {
    fails("and no signal", signal_decision::<{ omit::FENCE }>);
}

// Pending send size: arm, then look again; against: publish the read index, then look at the pending size.

fn pending_send_size<const WRITER: u8, const READER: u8>() {
    // One packet fits, the second waits for it to be read.
    let (mut outgoing, mut incoming) = ring(48);
    write(&mut outgoing, 1);
    assert_eq!(outgoing.0.commit(&mut outgoing.1), Ok(Signal::Needed));
    assert_eq!(read(&mut incoming), Some(1));

    let reader = thread::spawn(move || incoming.0.commit_omitting::<READER>(&mut incoming.1).unwrap());
    let (ring, offsets) = &mut outgoing;
    let committed = ring.commit_and_wait_omitting::<WRITER>(offsets, EMPTY).unwrap();
    let signal = reader.join().unwrap();
    match committed.wait {
        Wait::Armed => assert!(signal.is_needed(), "the writer sleeps for ever"),
        Wait::Ready => write(&mut outgoing, 2),
    }
}

#[test]
fn loom_pending_send_size() {
    holds(pending_send_size::<{ omit::NOTHING }, { omit::NOTHING }>);
}

#[test]
fn loom_pending_without_writers_fence_fails() {
    fails("the writer sleeps for ever", pending_send_size::<{ omit::FENCE }, { omit::NOTHING }>);
}

#[test]
fn loom_pending_without_recheck_fails() {
    fails("the writer sleeps for ever", pending_send_size::<{ omit::RECHECK }, { omit::NOTHING }>);
}

#[test]
fn loom_pending_without_readers_fence_fails() {
    fails("the writer sleeps for ever", pending_send_size::<{ omit::NOTHING }, { omit::FENCE }>);
}

/// The reader goes to sleep in the same step, and gives back one packet of the two that the writer has written: the
/// space before must be computed with the writer's present index.
fn pending_with_a_moving_writer<const READER: u8>() {
    let (mut outgoing, mut incoming) = ring(64);
    write(&mut outgoing, 1);
    assert_eq!(outgoing.0.commit(&mut outgoing.1), Ok(Signal::Needed));
    assert_eq!(read(&mut incoming), Some(1));

    let reader = thread::spawn(move || {
        let committed = incoming.0.commit_omitting::<READER>(&mut incoming.1).unwrap();
        (committed, incoming)
    });
    // 64 bytes: two packets fit, 16 are left; the third needs more than 24.
    write(&mut outgoing, 2);
    let committed = outgoing.0.commit_and_wait(&mut outgoing.1, EMPTY).unwrap();
    let (signal, _incoming) = reader.join().unwrap();
    assert!(committed.wait == Wait::Ready || signal.is_needed(), "the writer sleeps for ever");
}

#[test]
fn loom_pending_with_a_moving_writer() {
    holds(pending_with_a_moving_writer::<{ omit::NOTHING }>);
}

#[test]
fn loom_pending_by_a_stale_write_index_fails() {
    fails("the writer sleeps for ever", pending_with_a_moving_writer::<{ omit::RELOAD }>);
}

// All of it at once: a reader that sleeps and is woken, a writer that waits for space and is woken.

fn stream() {
    let (mut outgoing, mut incoming) = ring(48);
    let to_reader = Arc::new(loom::sync::Notify::new());
    let to_writer = Arc::new(loom::sync::Notify::new());
    let bells = (Arc::clone(&to_reader), Arc::clone(&to_writer));
    let writer = thread::spawn(move || {
        for id in [1, 2] {
            let (ring, offsets) = &mut outgoing;
            while ring.write(offsets, &OutgoingPacket::in_band(id, b"")).is_err() {
                let committed = ring.commit_and_wait(offsets, EMPTY).unwrap();
                assert_eq!(committed.signal, Signal::NotNeeded, "nothing is uncommitted here");
                if committed.wait == Wait::Armed {
                    bells.1.wait();
                }
            }
            if ring.commit(offsets).unwrap().is_needed() {
                bells.0.notify();
            }
        }
    });
    let mut expected = 1;
    while expected <= 2 {
        if let Some(id) = read(&mut incoming) {
            assert_eq!(id, expected);
            expected += 1;
            continue;
        }
        let committed = incoming.0.commit_and_wait(&mut incoming.1).unwrap();
        if committed.signal.is_needed() {
            to_writer.notify();
        }
        if committed.wait == Wait::Armed {
            to_reader.wait();
        }
    }
    writer.join().unwrap();
}

/// A lost wake-up is a deadlock here, which loom reports.
#[test]
fn loom_stream_with_both_sides_sleeping() {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(stream);
}
