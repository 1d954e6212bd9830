//! One side of a ring against a peer that writes anything anywhere. Each target panics if a rule is broken.

use alloc::vec::Vec;

use super::{RawRing, ScatteredRing, encode_packet};
use crate::ring::{
    ControlWord, Corruption, HeapRing, IncomingRing, OutgoingPacket, OutgoingRing, PacketBuffer, PacketType,
    ReadError, RingMemory, TrailerCheck, Wait, WriteError,
};

/// Choices taken from the input; zeros when it has ended.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or(0)
    }

    fn word(&mut self) -> u32 {
        u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    fn done(&self) -> bool {
        self.0.is_empty()
    }

    /// An index: usually a possible one, sometimes anything.
    fn index(&mut self, words: usize) -> u32 {
        match self.byte() {
            0 => self.word(),
            byte => (usize::from(byte) % words * 8) as u32,
        }
    }

    /// What a hostile peer stores somewhere: mostly plausible, so that the deeper checks are reached.
    fn poke<M: RingMemory>(&mut self, memory: &M) {
        let words = memory.words();
        match self.byte() % 8 {
            0 => memory.poke(ControlWord::InterruptMask, u32::from(self.byte())),
            1 => memory.poke(ControlWord::PendingSendSize, u32::from(self.byte())),
            2 => memory.poke(ControlWord::FeatureBits, u32::from(self.byte())),
            3 | 4 => {
                let index = self.index(words);
                memory.poke(ControlWord::WriteIndex, index);
            }
            5 => {
                let index = self.index(words);
                memory.poke(ControlWord::ReadIndex, index);
            }
            _ => {
                // A packet that looks nearly right: every field within a few units of a good one.
                let offset = (usize::from(self.byte()) % words * 8) as u32;
                let payload = [0xa5; 64];
                let payload = &payload[..usize::from(self.byte()) % 64];
                let mut packet = encode_packet(u16::from(self.byte() % 16), false, 7, payload, offset);
                match self.byte() % 4 {
                    0 => packet[2] = self.byte() % 12,
                    1 => packet[4] = self.byte() % 12,
                    2 => {
                        let last = packet.len() - 4;
                        packet[last] = self.byte();
                    }
                    _ => {}
                }
                packet.truncate(words * 8);
                memory.poke_bytes(offset, &packet);
            }
        }
    }
}

/// A ring of an odd size, contiguous or not, filled with the input's bytes.
fn with_memory(choices: &mut Choices<'_>, run: impl Fn(&dyn RingMemory, &mut Choices<'_>)) {
    let shape = choices.byte();
    let words = 4 + u32::from(choices.byte()) % 60;
    if shape.is_multiple_of(2) {
        if let Ok(memory) = HeapRing::new(words * 8) {
            run(&memory, choices);
        }
    } else {
        let piece = 1 + usize::from(shape / 2) % 5;
        run(&ScatteredRing::new((words as usize).div_ceil(piece), piece), choices);
    }
}

/// Reads a ring that the input describes and changes while it is read.
///
/// Checked: no panic, no endless reading; a packet is inside what was available and its bytes are those of the ring; a
/// corrupt ring refuses everything, with the same reason; our index in the control page is always the one published.
pub fn fuzz_ring_reader(data: &[u8]) {
    with_memory(&mut Choices(data), read_hostile);
}

fn read_hostile(memory: &dyn RingMemory, choices: &mut Choices<'_>) {
    let words = memory.words();
    let size = words as u32 * 8;
    let fill: Vec<u8> = (0..words * 8).map(|at| choices.0.get(at).copied().unwrap_or(at as u8)).collect();
    memory.poke_bytes(0, &fill);
    for word in [ControlWord::WriteIndex, ControlWord::ReadIndex] {
        memory.poke(word, choices.index(words));
    }
    let checked = choices.byte().is_multiple_of(2);
    let trailers = if checked { TrailerCheck::Required } else { TrailerCheck::Ignored };
    let Ok((ring, mut offsets)) = IncomingRing::open(memory) else { return };
    let mut ring = ring.with_trailers(trailers);
    let mut buffer = PacketBuffer::new();
    let mut corrupt: Option<Corruption> = None;
    let (mut next, mut published) =
        (memory.peek(ControlWord::ReadIndex), memory.peek(ControlWord::ReadIndex));
    // Packets are at least 24 bytes, so without a change by the peer only so many can follow each other.
    let mut in_a_row = 0;

    while !choices.done() {
        let (outcome, own_index) = match choices.byte() % 8 {
            0..=2 => match ring.read(&mut offsets, &mut buffer) {
                Ok(packet) => {
                    in_a_row += 1;
                    assert!(in_a_row <= size / 24 + 1, "endless packets");
                    assert_eq!(packet.offset, next, "packets follow each other");
                    let body = packet.extra.len() + packet.payload.len();
                    assert!(body + 24 <= size as usize && body.is_multiple_of(8));
                    let bytes = memory.peek_bytes(packet.offset, 16 + body + 8);
                    assert_eq!(packet.kind, PacketType(u16::from_le_bytes([bytes[0], bytes[1]])));
                    assert_eq!([packet.extra, packet.payload].concat(), bytes[16..16 + body]);
                    assert_eq!(packet.transaction_id.to_le_bytes(), bytes[8..16]);
                    if checked {
                        assert_eq!(bytes[20 + body..24 + body], packet.offset.to_le_bytes());
                    }
                    next = (packet.offset + body as u32 + 24) % size;
                    (Ok(()), true)
                }
                Err(ReadError::Empty) => (Ok(()), true),
                Err(ReadError::Corrupt(corruption)) => (Err(corruption), true),
            },
            3 => (ring.commit(&mut offsets).map(|_| published = next), true),
            4 => {
                let outcome = ring.commit_and_wait(&mut offsets).map(|_| published = next);
                published = offsets.published;
                (outcome, true)
            }
            5 => {
                offsets.revert();
                (next, in_a_row) = (published, 0);
                continue;
            }
            6 => {
                let saved = ring.save(&offsets);
                if let Ok(restored) = IncomingRing::restore(memory, &saved) {
                    (ring, offsets) = (restored.0.with_trailers(trailers), restored.1);
                    assert_eq!(ring.save(&offsets), saved);
                } else {
                    panic!("own state refused: {saved:?}");
                }
                continue;
            }
            _ => {
                choices.poke(&memory);
                in_a_row = 0;
                (Ok(()), false)
            }
        };
        match (corrupt, outcome) {
            (None, Ok(())) => {}
            (None, Err(found)) => {
                corrupt = Some(found);
                assert_eq!(offsets.corruption(), corrupt);
            }
            (Some(first), Err(again)) => assert_eq!(first, again, "the reason stays"),
            (Some(_), Ok(())) => assert!(!own_index, "a corrupt ring was used again"),
        }
    }
}

/// Writes a ring whose reader stores anything anywhere.
///
/// Checked: no panic; what is written is exactly the packet's bytes; nothing is written over what the reader has not
/// released; a ring with packets never looks empty; a corrupt ring refuses everything, with the same reason.
pub fn fuzz_ring_writer(data: &[u8]) {
    with_memory(&mut Choices(data), write_hostile);
}

fn write_hostile(memory: &dyn RingMemory, choices: &mut Choices<'_>) {
    let words = memory.words();
    let size = words as u32 * 8;
    for word in [ControlWord::WriteIndex, ControlWord::ReadIndex] {
        memory.poke(word, choices.index(words));
    }
    let Ok((mut ring, mut offsets)) = OutgoingRing::open(memory) else { return };
    let mut corrupt: Option<Corruption> = None;
    let source = [0x5a; 600];

    while !choices.done() {
        let outcome = match choices.byte() % 8 {
            0..=2 => {
                let payload = &source[..usize::from(choices.byte()) * 2];
                let packet = OutgoingPacket {
                    kind: PacketType(u16::from(choices.byte())),
                    transaction_id: u64::from(choices.word()),
                    completion_requested: payload.len().is_multiple_of(3),
                    payload,
                };
                let (at, before) = (offsets.next, memory.peek_bytes(0, words * 8));
                let mut expected = encode_packet(
                    packet.kind.0,
                    packet.completion_requested,
                    packet.transaction_id,
                    payload,
                    at,
                );
                let total = expected.len() as u32;
                let outcome = ring.write(&mut offsets, &packet);
                if let Ok(offset) = outcome {
                    assert_eq!(offset, at);
                    let used = (at + size - offsets.read) % size;
                    assert!(used + total < size, "unread packets were written over, or the ring looks empty");
                    assert_eq!(memory.peek_bytes(at, total as usize), expected);
                    // Nothing beside it has changed.
                    let rest = (at + total) % size;
                    expected = memory.peek_bytes(rest, (size - total) as usize);
                    let position = |index: usize| (rest as usize + index) % (words * 8);
                    assert!(
                        expected.iter().enumerate().all(|(index, &byte)| before[position(index)] == byte)
                    );
                } else {
                    assert_eq!(memory.peek_bytes(0, words * 8), before, "refused, and yet written");
                }
                match outcome {
                    Ok(_) | Err(WriteError::Full { .. } | WriteError::TooLarge { .. }) => {
                        // Too large is known without looking at the ring, but a corrupt ring comes first.
                        assert!(corrupt.is_none(), "a corrupt ring was used again");
                        Ok(())
                    }
                    Err(WriteError::Corrupt(corruption)) => Err(corruption),
                }
            }
            3 => ring.commit(&mut offsets).map(drop),
            4 => {
                let needed = u32::from(choices.byte()) * 8;
                ring.commit_and_wait(&mut offsets, needed).map(|committed| {
                    let armed = committed.wait == Wait::Armed;
                    assert_eq!(memory.peek(ControlWord::PendingSendSize), if armed { needed } else { 0 });
                })
            }
            5 => {
                offsets.revert();
                continue;
            }
            6 => {
                let saved = ring.save(&offsets);
                if let Ok(restored) = OutgoingRing::restore(memory, &saved) {
                    (ring, offsets) = restored;
                    assert_eq!(ring.save(&offsets), saved);
                } else {
                    panic!("own state refused: {saved:?}");
                }
                continue;
            }
            _ => {
                choices.poke(&memory);
                continue;
            }
        };
        match (corrupt, outcome) {
            (None, Ok(())) => {}
            (None, Err(found)) => {
                corrupt = Some(found);
                assert_eq!(offsets.corruption(), corrupt);
            }
            (Some(first), Err(again)) => assert_eq!(first, again, "the reason stays"),
            (Some(_), Ok(())) => panic!("a corrupt ring was used again"),
        }
    }
}
