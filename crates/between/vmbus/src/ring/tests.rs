//! Tests of the ring: known bytes, refused packets, signals, and random runs against a plain queue.

mod bad_packets;
mod batches;
mod channel;
mod fill;
mod guest_buffers;
mod properties;
mod saved;
mod signals;
mod vectors;

use super::test_support::RawRing;
use super::*;

/// A ring with both sides open.
struct Pair<M> {
    outgoing: OutgoingRing<M>,
    out: OutgoingOffsets,
    incoming: IncomingRing<M>,
    inc: IncomingOffsets,
    buffer: PacketBuffer,
}

impl<M: RingMemory + Copy> Pair<M> {
    fn new(memory: M) -> Self {
        let (outgoing, out) = OutgoingRing::open(memory).unwrap();
        let (incoming, inc) = IncomingRing::open(memory).unwrap();
        Self { outgoing, out, incoming, inc, buffer: PacketBuffer::new() }
    }

    fn write(&mut self, payload: &[u8]) -> Result<u32, WriteError> {
        self.outgoing.write(&mut self.out, &OutgoingPacket::in_band(0, payload))
    }

    fn send(&mut self, payload: &[u8]) -> Signal {
        self.write(payload).unwrap();
        self.commit()
    }

    fn commit(&mut self) -> Signal {
        self.outgoing.commit(&mut self.out).unwrap()
    }

    fn wait_for_space(&mut self, needed: u32) -> Committed {
        self.outgoing.commit_and_wait(&mut self.out, needed).unwrap()
    }

    /// The payload of the next packet.
    fn read(&mut self) -> Option<Vec<u8>> {
        match self.incoming.read(&mut self.inc, &mut self.buffer) {
            Ok(packet) => Some(packet.payload.to_vec()),
            Err(ReadError::Empty) => None,
            Err(ReadError::Corrupt(corruption)) => panic!("{corruption}"),
        }
    }

    fn drain(&mut self) -> usize {
        std::iter::from_fn(|| self.read()).count()
    }

    fn commit_read(&mut self) -> Signal {
        self.incoming.commit(&mut self.inc).unwrap()
    }

    fn wait_for_packet(&mut self) -> Committed {
        self.incoming.commit_and_wait(&mut self.inc).unwrap()
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|char| char.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}
