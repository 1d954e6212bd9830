//! What a reader and a writer must refuse. The first group is the published list, each with the rule that it breaks.

use super::*;

const SIZE: u32 = 0x4000;

/// A ring with one packet at 0: `first` is its descriptor's first word, `write_index` where the writer claims to be.
fn reader(write_index: u32, data_offset8: u16, length8: u16) -> Result<Vec<u8>, ReadError> {
    reader_with(write_index, data_offset8, length8, 0).0
}

fn reader_with(
    write_index: u32,
    data_offset8: u16,
    length8: u16,
    trailer: u32,
) -> (Result<Vec<u8>, ReadError>, u64) {
    let memory = HeapRing::new(SIZE).unwrap();
    let (ring, mut offsets) = IncomingRing::open(&memory).unwrap();
    let first = 6 | u64::from(data_offset8) << 16 | u64::from(length8) << 32;
    memory.poke_bytes(0, &first.to_le_bytes());
    memory.poke_bytes(u32::from(length8) * 8, &(u64::from(trailer) << 32).to_le_bytes());
    memory.poke(ControlWord::WriteIndex, write_index);
    let mut buffer = PacketBuffer::new();
    let outcome = ring.read(&mut offsets, &mut buffer).map(|packet| packet.payload.to_vec());
    if let Err(ReadError::Corrupt(corruption)) = outcome {
        // Mending the ring does not help: it is refused from then on.
        memory.poke(ControlWord::WriteIndex, 0x28);
        memory.poke_bytes(0, &hex("0600020004000000"));
        memory.poke_bytes(0x20, &[0; 8]);
        assert_eq!(ring.read(&mut offsets, &mut buffer), Err(ReadError::Corrupt(corruption)));
        assert_eq!(ring.has_packet(&mut offsets), Err(corruption));
        assert_eq!(ring.commit(&mut offsets), Err(corruption));
        assert_eq!(ring.commit_and_wait(&mut offsets), Err(corruption));
        assert_eq!(offsets.corruption(), Some(corruption));
        assert_eq!(memory.peek(ControlWord::ReadIndex), 0, "nothing was consumed");
    }
    (outcome, offsets.stale_trailers())
}

fn corrupt(corruption: Corruption) -> Result<Vec<u8>, ReadError> {
    Err(ReadError::Corrupt(corruption))
}

#[test]
fn write_index_not_below_size() {
    assert_eq!(reader(0x4000, 2, 4), corrupt(Corruption::WriteIndex { index: 0x4000, size: SIZE }));
    assert_eq!(reader(u32::MAX, 2, 4), corrupt(Corruption::WriteIndex { index: u32::MAX, size: SIZE }));
}

#[test]
fn write_index_not_aligned() {
    assert_eq!(reader(0x1c, 2, 2), corrupt(Corruption::WriteIndex { index: 0x1c, size: SIZE }));
}

#[test]
fn available_less_than_a_descriptor() {
    assert_eq!(reader(8, 2, 2), corrupt(Corruption::NoDescriptor { offset: 0, available: 8 }));
}

#[test]
fn data_offset_inside_the_descriptor() {
    let corruption = |data_offset8| corrupt(Corruption::DataInsideDescriptor { offset: 0, data_offset8 });
    assert_eq!(reader(0x28, 1, 4), corruption(1));
    assert_eq!(reader(0x28, 0, 4), corruption(0));
}

#[test]
fn data_beyond_the_packet() {
    let corruption = Corruption::DataBeyondPacket { offset: 0, data_offset8: 9, length8: 8 };
    assert_eq!(reader(0x48, 9, 8), corrupt(corruption));
    let corruption = Corruption::DataBeyondPacket { offset: 0, data_offset8: 2, length8: 1 };
    assert_eq!(reader(0x48, 2, 1), corrupt(corruption));
}

#[test]
fn no_room_for_the_trailer() {
    let corruption = Corruption::PacketBeyondAvailable { offset: 0, length8: 6, available: 48 };
    assert_eq!(reader(48, 2, 6), corrupt(corruption));
    let corruption = Corruption::PacketBeyondAvailable { offset: 0, length8: u16::MAX, available: 48 };
    assert_eq!(reader(48, 2, u16::MAX), corrupt(corruption));
    assert_eq!(reader(56, 2, 6), Ok(vec![0; 32]), "with room it is a packet");
    // A descriptor and nothing else.
    let corruption = Corruption::PacketBeyondAvailable { offset: 0, length8: 2, available: 16 };
    assert_eq!(reader(16, 2, 2), corrupt(corruption));
    assert_eq!(reader(24, 2, 2), Ok(Vec::new()));
}

#[test]
fn a_stale_trailer_is_taken_and_counted() {
    assert_eq!(reader_with(0x28, 2, 4, 0), (Ok(vec![0; 16]), 0));
    assert_eq!(reader_with(0x28, 2, 4, 0x60), (Ok(vec![0; 16]), 1));
}

/// A reader that has seen one packet of 0x28 bytes at 0x28, and nothing after it.
fn after_one_packet(write_index: u32, committed: bool) -> Result<bool, Corruption> {
    let memory = HeapRing::new(SIZE).unwrap();
    memory.poke(ControlWord::WriteIndex, 0x28);
    memory.poke(ControlWord::ReadIndex, 0x28);
    let mut pair = Pair::new(&memory);
    assert_eq!(pair.send(&[1; 16]), Signal::Needed);
    assert!(pair.read().is_some());
    if committed {
        assert_eq!(pair.commit_read(), Signal::NotNeeded);
    }
    memory.poke(ControlWord::WriteIndex, write_index);
    pair.incoming.has_packet(&mut pair.inc)
}

#[test]
fn write_index_taken_back_or_over_unread_packets() {
    let moved = |to| Err(Corruption::WriteIndexMoved { from: 0x50, to });
    assert_eq!(after_one_packet(0x48, false), moved(0x48));
    assert_eq!(after_one_packet(0x28, false), moved(0x28));
    assert_eq!(after_one_packet(0x20, false), Ok(true), "once around, up to the unread packet");
    assert_eq!(after_one_packet(0x50, false), Ok(false));
    assert_eq!(after_one_packet(0x48, true), Ok(true), "once around, all is read");
}

/// A writer that has published packets up to 0x50 and seen that the reader is at 0x28.
fn writer_with(read_index: u32) -> Result<Signal, Corruption> {
    let memory = HeapRing::new(SIZE).unwrap();
    memory.poke(ControlWord::WriteIndex, 0x50);
    memory.poke(ControlWord::ReadIndex, 0x28);
    let (ring, mut offsets) = OutgoingRing::open(&memory).unwrap();
    ring.write(&mut offsets, &OutgoingPacket::in_band(0, &[0; 16])).unwrap();
    memory.poke(ControlWord::ReadIndex, read_index);
    let outcome = ring.commit(&mut offsets);
    if let Err(corruption) = outcome {
        memory.poke(ControlWord::ReadIndex, 0x50);
        let packet = OutgoingPacket::in_band(0, b"");
        assert_eq!(ring.write(&mut offsets, &packet), Err(WriteError::Corrupt(corruption)));
        assert_eq!(ring.commit(&mut offsets), Err(corruption));
        assert_eq!(ring.commit_and_wait(&mut offsets, 8), Err(corruption));
        assert_eq!(ring.free_bytes(&mut offsets), Err(corruption));
        assert_eq!(offsets.corruption(), Some(corruption));
    }
    outcome
}

#[test]
fn read_index_of_a_hostile_reader() {
    assert_eq!(writer_with(0x4000), Err(Corruption::ReadIndex { index: 0x4000, size: SIZE }));
    assert_eq!(writer_with(0x2c), Err(Corruption::ReadIndex { index: 0x2c, size: SIZE }));
    let moved = |to| Err(Corruption::ReadIndexMoved { from: 0x28, to });
    assert_eq!(writer_with(0x20), moved(0x20), "backwards");
    assert_eq!(writer_with(0x80), moved(0x80), "beyond what was written");
    assert_eq!(writer_with(0x50), Ok(Signal::Needed), "was empty");
    assert_eq!(writer_with(0x28), Ok(Signal::NotNeeded), "was not");
    assert_eq!(writer_with(0x78), Ok(Signal::NotNeeded), "has read it already");
}

#[test]
fn rings_that_do_not_open() {
    for bytes in [0, 24, 36] {
        assert_eq!(HeapRing::new(bytes).unwrap_err(), BadRingSize { bytes: u64::from(bytes) });
    }
    let memory = HeapRing::new(SIZE).unwrap();
    memory.poke(ControlWord::WriteIndex, SIZE);
    let error = OpenError::Corrupt(Corruption::WriteIndex { index: SIZE, size: SIZE });
    assert_eq!(IncomingRing::open(&memory).unwrap_err(), error);
    assert_eq!(OutgoingRing::open(&memory).unwrap_err(), error);
    memory.poke(ControlWord::WriteIndex, 0);
    memory.poke(ControlWord::ReadIndex, 3);
    let error = OpenError::Corrupt(Corruption::ReadIndex { index: 3, size: SIZE });
    assert_eq!(IncomingRing::open(&memory).unwrap_err(), error);
    assert_eq!(OutgoingRing::open(&memory).unwrap_err(), error);
}

#[test]
fn our_own_fields_are_never_believed() {
    let memory = HeapRing::new(128).unwrap();
    let mut pair = Pair::new(&memory);
    assert_eq!(pair.send(b"12345678"), Signal::Needed);
    // The reader moves the writer's index: the writer goes on where it was.
    memory.poke(ControlWord::WriteIndex, 0x78);
    assert_eq!(pair.write(b"abcdefgh"), Ok(0x20));
    assert_eq!(pair.commit(), Signal::NotNeeded);
    assert_eq!(memory.peek(ControlWord::WriteIndex), 0x40);
    // The writer moves the reader's: likewise.
    memory.poke(ControlWord::ReadIndex, 0x20);
    assert_eq!(pair.read().unwrap(), b"12345678");
    assert_eq!(pair.read().unwrap(), b"abcdefgh");
    assert_eq!(pair.wait_for_packet().wait, Wait::Armed);
    assert_eq!(memory.peek(ControlWord::ReadIndex), 0x40);
}

#[test]
fn a_packet_changed_while_it_is_read_is_read_once() {
    // The copy in the buffer is what was checked, whatever happens to the ring afterwards.
    let memory = HeapRing::new(128).unwrap();
    let mut pair = Pair::new(&memory);
    assert_eq!(pair.send(b"original"), Signal::Needed);
    let packet = pair.incoming.read(&mut pair.inc, &mut pair.buffer).unwrap();
    memory.poke_bytes(0, &[0xff; 32]);
    assert_eq!((packet.payload, packet.transaction_id), (&b"original"[..], 0));
}
