//! A side of a ring against a peer that writes any bytes anywhere. Each target panics if a rule is broken.

use alloc::vec::Vec;

use super::{RawRing, ScatteredRing, encode_packet};
use crate::ring::{
    BufferRange, ControlWord, Corruption, HeapRing, IncomingRing, OutgoingPacket, OutgoingRing, PacketBuffer,
    PacketType, ReadError, RingMemory, Wait, WriteError,
};

/// How far a run got: for tests that want to know that inputs reach everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FuzzReach {
    /// Packets read or written.
    pub packets: u32,
    /// What was found wrong, if anything was.
    pub corruption: Option<Corruption>,
}

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

    /// Where a ring stands at first: usually it is empty.
    fn start<M: RingMemory>(&mut self, memory: &M) {
        let write = self.index(memory.words());
        let read = if self.byte().is_multiple_of(4) { self.index(memory.words()) } else { write };
        memory.poke(ControlWord::WriteIndex, write);
        memory.poke(ControlWord::ReadIndex, read);
    }

    /// What a hostile peer stores in the control page.
    fn poke<M: RingMemory>(&mut self, memory: &M) {
        let word = ControlWord::ALL[usize::from(self.byte()) % ControlWord::ALL.len()];
        let value = match word {
            ControlWord::WriteIndex | ControlWord::ReadIndex => self.index(memory.words()),
            _ => u32::from(self.byte()),
        };
        memory.poke(word, value);
    }

    /// A peer that writes a packet, and nearly always a good one; it does not look whether there is room.
    fn append<M: RingMemory>(&mut self, memory: &M) {
        let size = memory.words() * 8;
        let at = memory.peek(ControlWord::WriteIndex);
        let payload = [0xa5; 64];
        let payload = &payload[..usize::from(self.byte()) % 40];
        let mut packet = encode_packet(u16::from(self.byte() % 16), false, 7, payload, at);
        match self.byte() % 16 {
            0 => packet[2] = self.byte() % 12,
            1 => packet[4] = self.byte() % 12,
            2 => {
                let last = packet.len() - 4;
                packet[last] = self.byte();
            }
            3 => packet.truncate(8),
            _ => {}
        }
        if packet.len() < size && at.is_multiple_of(8) {
            memory.poke_bytes(at % size as u32, &packet);
            memory.poke(ControlWord::WriteIndex, ((at as usize + packet.len()) % size) as u32);
        }
    }
}

/// A ring of an odd size, contiguous or not, filled with the input's bytes.
fn with_memory(
    choices: &mut Choices<'_>,
    run: impl Fn(&dyn RingMemory, &mut Choices<'_>) -> FuzzReach,
) -> FuzzReach {
    let shape = choices.byte();
    let words = 4 + u32::from(choices.byte()) % 60;
    if shape.is_multiple_of(2) {
        HeapRing::new(words * 8).map(|memory| run(&memory, choices)).unwrap_or_default()
    } else {
        let piece = 1 + usize::from(shape / 2) % 5;
        run(&ScatteredRing::new((words as usize).div_ceil(piece), piece), choices)
    }
}

/// Reads a ring that the input describes and changes while it is read.
///
/// Checked: no panic, no endless reading; a packet is inside what was available and its bytes are those of the ring; a
/// corrupt ring refuses everything, with the same reason; only a commit publishes our index.
pub fn fuzz_ring_reader(data: &[u8]) -> FuzzReach {
    with_memory(&mut Choices(data), read_hostile)
}

fn read_hostile(memory: &dyn RingMemory, choices: &mut Choices<'_>) -> FuzzReach {
    let words = memory.words();
    let size = words as u32 * 8;
    let fill: Vec<u8> = (0..words * 8).map(|at| choices.0.get(at).copied().unwrap_or(at as u8)).collect();
    memory.poke_bytes(0, &fill);
    choices.start(&memory);
    let Ok((mut ring, mut offsets)) = IncomingRing::open(memory) else { return FuzzReach::default() };
    let mut buffer = PacketBuffer::new();
    let mut corrupt: Option<Corruption> = None;
    let (mut next, mut published) =
        (memory.peek(ControlWord::ReadIndex), memory.peek(ControlWord::ReadIndex));
    // Packets are at least 24 bytes, so without a change by the peer only so many can follow each other.
    let (mut in_a_row, mut packets, mut stale_trailers) = (0, 0, 0);

    while !choices.done() {
        let (outcome, used_ring) = match choices.byte() % 14 {
            0..=3 => match ring.read(&mut offsets, &mut buffer) {
                Ok(packet) => {
                    (in_a_row, packets) = (in_a_row + 1, packets + 1);
                    assert!(in_a_row <= size / 24 + 1, "endless packets");
                    assert_eq!(packet.offset, next, "packets follow each other");
                    let body = packet.extra.len() + packet.payload.len();
                    assert!(body + 24 <= size as usize && body.is_multiple_of(8));
                    let bytes = memory.peek_bytes(packet.offset, 16 + body + 8);
                    assert_eq!(packet.kind, PacketType(u16::from_le_bytes([bytes[0], bytes[1]])));
                    assert_eq!([packet.extra, packet.payload].concat(), bytes[16..16 + body]);
                    assert_eq!(packet.transaction_id.to_le_bytes(), bytes[8..16]);
                    let stale = bytes[20 + body..24 + body] != packet.offset.to_le_bytes();
                    stale_trailers += u64::from(stale);
                    assert_eq!(offsets.stale_trailers(), stale_trailers);
                    next = (packet.offset + body as u32 + 24) % size;
                    (Ok(()), true)
                }
                Err(ReadError::Empty) => (Ok(()), true),
                Err(ReadError::Corrupt(corruption)) => (Err(corruption), true),
            },
            12 | 13 => {
                let most = u32::from(choices.byte()) * 2;
                match ring.read_batch(&mut offsets, &mut buffer, most) {
                    Ok(batch) => {
                        let before = packets;
                        for packet in batch {
                            (in_a_row, packets) = (in_a_row + 1, packets + 1);
                            assert!(in_a_row <= size / 24 + 1, "endless packets");
                            assert_eq!(packet.offset, next, "packets follow each other");
                            let body = packet.extra.len() + packet.payload.len();
                            assert!(body + 24 <= size as usize && body.is_multiple_of(8));
                            let bytes = memory.peek_bytes(packet.offset, 16 + body + 8);
                            assert_eq!([packet.extra, packet.payload].concat(), bytes[16..16 + body]);
                            assert_eq!(packet.transaction_id.to_le_bytes(), bytes[8..16]);
                            let stale = bytes[20 + body..24 + body] != packet.offset.to_le_bytes();
                            stale_trailers += u64::from(stale);
                            next = (packet.offset + body as u32 + 24) % size;
                        }
                        assert!(packets > before);
                        assert_eq!(offsets.next, next);
                        assert_eq!(offsets.stale_trailers(), stale_trailers);
                        (Ok(()), true)
                    }
                    Err(ReadError::Empty) => (Ok(()), true),
                    Err(ReadError::Corrupt(corruption)) => (Err(corruption), true),
                }
            }
            op @ (4 | 5) => {
                let outcome = if op == 4 {
                    ring.commit(&mut offsets).map(drop)
                } else {
                    ring.commit_and_wait(&mut offsets).map(drop)
                };
                // Also if the writer's answer to it was a lie; but not if the ring was corrupt before.
                if corrupt.is_none() && offsets.published == next {
                    published = next;
                }
                assert!(outcome.is_err() || published == next);
                (outcome, true)
            }
            6 => {
                offsets.revert();
                (next, in_a_row) = (published, 0);
                continue;
            }
            7 => {
                let saved = ring.save(&offsets);
                if let Ok(restored) = IncomingRing::restore(memory, &saved) {
                    (ring, offsets) = restored;
                    assert_eq!(ring.save(&offsets), saved);
                } else {
                    panic!("own state refused: {saved:?}");
                }
                continue;
            }
            peer => {
                if peer == 8 {
                    choices.poke(&memory);
                } else {
                    choices.append(&memory);
                }
                in_a_row = 0;
                (Ok(()), false)
            }
        };
        assert_eq!(offsets.published, published);
        match (corrupt, outcome) {
            (None, Ok(())) => {}
            (None, Err(found)) => {
                corrupt = Some(found);
                assert_eq!(offsets.corruption(), corrupt);
            }
            (Some(first), Err(again)) => assert_eq!(first, again, "the reason stays"),
            (Some(_), Ok(())) => assert!(!used_ring, "a corrupt ring was used again"),
        }
    }
    FuzzReach { packets, corruption: corrupt }
}

/// Writes a ring whose reader stores anything anywhere.
///
/// Checked: no panic; what is written is exactly the packet's bytes; nothing is written over what the reader has not
/// released; a ring with packets never looks empty; a corrupt ring refuses everything, with the same reason.
pub fn fuzz_ring_writer(data: &[u8]) -> FuzzReach {
    with_memory(&mut Choices(data), write_hostile)
}

fn write_hostile(memory: &dyn RingMemory, choices: &mut Choices<'_>) -> FuzzReach {
    let words = memory.words();
    let size = words as u32 * 8;
    choices.start(&memory);
    let Ok((mut ring, mut offsets)) = OutgoingRing::open(memory) else { return FuzzReach::default() };
    let mut corrupt: Option<Corruption> = None;
    let source = [0x5a; 600];
    let mut packets = 0;

    while !choices.done() {
        let outcome = match choices.byte() % 10 {
            0..=2 => {
                let payload = &source[..usize::from(choices.byte()) * 2];
                let packet = OutgoingPacket {
                    kind: PacketType(u16::from(choices.byte())),
                    transaction_id: u64::from(choices.word()),
                    completion_requested: payload.len().is_multiple_of(3),
                    payload,
                    extra_bytes: 0,
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
                    packets += 1;
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
            7 => {
                choices.poke(&memory);
                continue;
            }
            _ => {
                // A reader that has read everything.
                memory.poke(ControlWord::ReadIndex, memory.peek(ControlWord::WriteIndex));
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
    FuzzReach { packets, corruption: corrupt }
}

/// Any bytes as the page ranges of a GPA-direct packet.
///
/// Checked: no panic, no memory beyond what the bytes list; ranges that are taken need exactly the pages that they have, and are written and
/// read as the same ranges. Returns how many were taken.
pub fn fuzz_gpa_direct(data: &[u8]) -> usize {
    let Ok(ranges) = BufferRange::parse(data) else { return 0 };
    let pages: usize = ranges.iter().map(|range| range.pages.len()).sum();
    assert!(pages * 8 + ranges.len() * 8 + 8 <= data.len());
    for range in &ranges {
        let end = u64::from(range.byte_offset) + u64::from(range.byte_count);
        assert!(range.byte_count > 0 && range.byte_offset < 4096);
        assert_eq!(range.pages.len() as u64, end.div_ceil(4096));
    }
    let (bytes, extra) = BufferRange::encode(&ranges, &[]);
    assert_eq!(extra, bytes.len());
    assert_eq!(bytes[8..], data[8..bytes.len()]);
    assert_eq!(BufferRange::parse(&bytes).as_ref(), Ok(&ranges));
    ranges.len()
}
