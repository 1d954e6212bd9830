//! Random runs.

use std::collections::{BTreeSet, VecDeque};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::ring::test_support::{FuzzReach, ScatteredRing, fuzz_ring_reader, fuzz_ring_writer};

#[derive(Clone, Debug)]
enum Action {
    Write(usize),
    Commit,
    Revert,
    WaitForSpace(usize),
    WriteBatch { lens: Vec<usize>, commit: bool },
    Read,
    ReadBatch(u32),
    RevertRead,
    CommitRead,
    WaitForPacket,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => (0usize..120).prop_map(Action::Write),
        2 => Just(Action::Commit),
        1 => Just(Action::Revert),
        1 => (0usize..120).prop_map(Action::WaitForSpace),
        2 => (vec(0usize..120, 0..6), any::<bool>())
            .prop_map(|(lens, commit)| Action::WriteBatch { lens, commit }),
        4 => Just(Action::Read),
        2 => (0u32..300).prop_map(Action::ReadBatch),
        1 => Just(Action::RevertRead),
        1 => Just(Action::CommitRead),
        2 => Just(Action::WaitForPacket),
    ]
}

/// What the two sides owe each other, kept as plainly as possible.
#[derive(Default)]
struct Model {
    /// Packets with their sizes in the ring; the first `read` have been read but not given back, the last `unseen` have
    /// been written but not committed.
    queue: VecDeque<(Vec<u8>, u32)>,
    read: usize,
    unseen: usize,
    /// The reader sleeps until it is signalled.
    reader_sleeps: bool,
    /// The writer sleeps until more than so much is free.
    writer_sleeps: Option<u32>,
}

impl Model {
    /// Bytes in use, by all packets or by those that are committed.
    fn used(&self, packets: usize) -> u32 {
        self.queue.iter().take(packets).map(|(_, bytes)| bytes).sum()
    }

    fn committed(&self) -> usize {
        self.queue.len() - self.unseen
    }
}

fn packet_bytes(payload: usize) -> u32 {
    payload.div_ceil(8) as u32 * 8 + 24
}

/// Checks every result against the model. Signals: exactly when the model says that the other side sleeps on it.
fn run(memory: &dyn RingMemory, start: u32, actions: &[Action]) {
    memory.poke(ControlWord::WriteIndex, start);
    memory.poke(ControlWord::ReadIndex, start);
    let size = memory.words() as u32 * 8;
    let mut pair = Pair::new(memory);
    let mut model = Model { reader_sleeps: true, ..Model::default() };
    let mut stamp = 0u8;

    for action in actions {
        match *action {
            Action::Write(len) => {
                stamp = stamp.wrapping_add(1);
                let payload = vec![stamp; len];
                let needed = packet_bytes(len);
                let used = model.used(usize::MAX);
                let outcome = pair.write(&payload);
                if needed >= size {
                    assert_eq!(outcome, Err(WriteError::TooLarge { payload: len, size }));
                } else if used + needed < size {
                    assert!(outcome.is_ok(), "{outcome:?} with {used} of {size} used");
                    model.queue.push_back((payload, needed));
                    model.unseen += 1;
                    if model.writer_sleeps.is_some_and(|pending| needed >= pending) {
                        model.writer_sleeps = None;
                    }
                } else {
                    assert_eq!(outcome, Err(WriteError::Full { needed }));
                }
            }
            Action::WriteBatch { ref lens, commit } => {
                let used = model.used(usize::MAX);
                let at_least = lens.first().map_or(0, |&len| packet_bytes(len));
                let mut batch = match pair.outgoing.batch(&mut pair.out, at_least) {
                    Ok(batch) => batch,
                    Err(WriteError::TooLarge { .. }) => {
                        assert!(at_least >= size);
                        continue;
                    }
                    Err(error) => {
                        assert_eq!(error, WriteError::Full { needed: at_least });
                        assert!(used + at_least >= size);
                        continue;
                    }
                };
                assert!(at_least <= batch.left() && used + batch.left() < size);
                let mut written = Vec::new();
                for &len in lens {
                    stamp = stamp.wrapping_add(1);
                    let (payload, needed, left) = (vec![stamp; len], packet_bytes(len), batch.left());
                    match batch.push(&OutgoingPacket::in_band(0, &payload)) {
                        Ok(_) => {
                            assert_eq!(batch.left(), left - needed);
                            written.push((payload, needed));
                        }
                        Err(WriteError::TooLarge { .. }) => assert!(needed >= size),
                        Err(error) => {
                            assert_eq!(error, WriteError::Full { needed });
                            assert!(needed > left);
                        }
                    }
                }
                if commit {
                    let signal = batch.commit().unwrap();
                    model.unseen += written.len();
                    let largest = written.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0);
                    model.writer_sleeps = model.writer_sleeps.filter(|&pending| largest < pending);
                    model.queue.extend(written);
                    assert_eq!(signal.is_needed(), model.reader_sleeps && model.unseen > 0);
                    model.reader_sleeps &= model.unseen == 0;
                    model.unseen = 0;
                }
            }
            Action::Commit => {
                let signal = pair.commit();
                assert_eq!(signal.is_needed(), model.reader_sleeps && model.unseen > 0);
                model.reader_sleeps &= model.unseen == 0;
                model.unseen = 0;
            }
            Action::Revert => {
                pair.out.revert();
                model.queue.truncate(model.committed());
                model.unseen = 0;
            }
            Action::WaitForSpace(len) => {
                let needed = packet_bytes(len);
                let committed = pair.wait_for_space(needed);
                assert_eq!(committed.signal.is_needed(), model.reader_sleeps && model.unseen > 0);
                model.reader_sleeps &= model.unseen == 0;
                model.unseen = 0;
                let enough = size - model.used(usize::MAX) > needed;
                assert_eq!(committed.wait == Wait::Ready, enough);
                model.writer_sleeps = (!enough).then_some(needed);
            }
            Action::Read => {
                let expected = model.queue.get(model.read).filter(|_| model.read < model.committed());
                let read = pair.read();
                assert_eq!(read.is_some(), expected.is_some());
                if let (Some(read), Some((payload, _))) = (read, expected) {
                    assert_eq!(read[..payload.len()], payload[..]);
                    assert!(read[payload.len()..].iter().all(|&pad| pad == 0));
                    model.read += 1;
                    model.reader_sleeps = false;
                }
            }
            Action::ReadBatch(most) => {
                let expected: Vec<_> = model.queue.range(model.read..model.committed()).collect();
                match pair.incoming.read_batch(&mut pair.inc, &mut pair.buffer, most) {
                    Ok(batch) => {
                        let (mut count, mut bytes) = (0, 0);
                        for packet in batch {
                            let (payload, size) = expected[count];
                            count += 1;
                            assert_eq!(packet.payload[..payload.len()], payload[..]);
                            assert!(packet.payload[payload.len()..].iter().all(|&pad| pad == 0));
                            bytes += size;
                        }
                        assert!(count > 0);
                        let next = expected.get(count).map(|(_, size)| *size);
                        let first_is_longer = expected[0].1 > most;
                        // All that was published when the reader last looked, or as many as the limit allows.
                        assert!(first_is_longer || bytes <= most, "{bytes} of {most}");
                        let seen = pair.inc.next == pair.inc.write;
                        assert!(seen || next.is_some_and(|next| bytes + next > most), "{bytes} of {most}");
                        model.read += count;
                        model.reader_sleeps = false;
                    }
                    Err(error) => {
                        assert_eq!(error, ReadError::Empty);
                        assert!(expected.is_empty());
                    }
                }
            }
            Action::RevertRead => {
                pair.inc.revert();
                model.read = 0;
            }
            Action::CommitRead | Action::WaitForPacket => {
                let wants_sleep = matches!(action, Action::WaitForPacket);
                let left = model.committed() - model.read;
                let free_before = size - model.used(model.committed());
                model.queue.drain(..std::mem::take(&mut model.read));
                let free_now = size - model.used(model.committed());
                let wakes =
                    model.writer_sleeps.is_some_and(|pending| free_before <= pending && pending < free_now);
                let signal = if wants_sleep {
                    let committed = pair.wait_for_packet();
                    assert_eq!(committed.wait == Wait::Ready, left > 0);
                    model.reader_sleeps = left == 0;
                    committed.signal
                } else {
                    pair.commit_read()
                };
                assert_eq!(signal.is_needed(), wakes);
            }
        }
        // No lost wake-up: who sleeps has nothing to do.
        assert!(!model.reader_sleeps || model.committed() == model.read);
    }
}

proptest! {
    #[test]
    fn a_ring_is_a_queue(words in 4u32..70, start in 0u32..70, actions in vec(action(), 0..200)) {
        let start = start % words * 8;
        run(&HeapRing::new(words * 8).unwrap(), start, &actions);
    }

    #[test]
    fn a_scattered_ring_is_a_queue(
        pieces in 1usize..20, piece in 4usize..9, start in 0u32..200, actions in vec(action(), 0..200),
    ) {
        let memory = ScatteredRing::new(pieces, piece);
        let start = start % memory.words() as u32 * 8;
        run(&memory, start, &actions);
    }

    #[test]
    fn hostile_writer(data in vec(any::<u8>(), 0..600)) {
        fuzz_ring_reader(&data);
    }

    #[test]
    fn hostile_reader(data in vec(any::<u8>(), 0..600)) {
        fuzz_ring_writer(&data);
    }
}

/// What many inputs of a fuzz target reach: packets in total, and the kinds of corruption, by name.
fn reached(target: fn(&[u8]) -> FuzzReach) -> (u32, BTreeSet<String>) {
    let (mut state, mut packets, mut kinds) = (1u64, 0, BTreeSet::new());
    for _ in 0..20_000 {
        let input: Vec<u8> = (0..200)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            })
            .collect();
        let reach = target(&input);
        packets += reach.packets;
        if let Some(corruption) = reach.corruption {
            let name = format!("{corruption:?}");
            kinds.insert(name.split(' ').next().unwrap_or_default().to_owned());
        }
    }
    (packets, kinds)
}

#[test]
fn fuzz_inputs_reach_every_refusal() {
    let (packets, kinds) = reached(fuzz_ring_reader);
    assert!(packets > 1000, "{packets} packets read");
    let expected = [
        "DataBeyondPacket",
        "DataInsideDescriptor",
        "NoDescriptor",
        "PacketBeyondAvailable",
        "WriteIndex",
        "WriteIndexMoved",
    ];
    assert!(kinds.iter().eq(expected), "{kinds:?}");
    let (packets, kinds) = reached(fuzz_ring_writer);
    assert!(packets > 1000, "{packets} packets written");
    assert!(kinds.iter().eq(["ReadIndex", "ReadIndexMoved"]), "{kinds:?}");
}
