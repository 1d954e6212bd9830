//! For tests and fuzz targets, of this crate and of those that use it: memory that is not contiguous, a hand that writes
//! anything anywhere, and fuzz targets as plain functions of bytes.

mod fuzz;

use alloc::boxed::Box;
use alloc::vec::Vec;

use model_sync::shared::{AtomicU32, AtomicU64, Ordering};

pub use fuzz::{FuzzReach, fuzz_gpa_direct, fuzz_ring_reader, fuzz_ring_writer};

use crate::ring::{ControlWord, RingMemory};

/// A ring whose data area is in pieces of any size that do not follow each other in memory.
#[derive(Debug)]
pub struct ScatteredRing {
    control: [AtomicU32; ControlWord::ALL.len()],
    pieces: Vec<Box<[AtomicU64]>>,
    piece_words: usize,
}

impl ScatteredRing {
    /// A zeroed ring of `pieces` pieces of `piece_words` words (at least one).
    pub fn new(pieces: usize, piece_words: usize) -> Self {
        let piece_words = piece_words.max(1);
        let piece = || (0..piece_words).map(|_| AtomicU64::new(0)).collect();
        Self {
            control: core::array::from_fn(|_| AtomicU32::new(0)),
            pieces: (0..pieces).map(|_| piece()).collect(),
            piece_words,
        }
    }
}

impl RingMemory for ScatteredRing {
    fn control(&self, word: ControlWord) -> &AtomicU32 {
        &self.control[word as usize]
    }
    fn words(&self) -> usize {
        self.pieces.len() * self.piece_words
    }
    fn run(&self, word: usize) -> &[AtomicU64] {
        let piece = self.pieces.get(word / self.piece_words);
        piece.map_or(&[], |piece| &piece[word % self.piece_words..])
    }
}

/// Direct access to a ring, as a peer has that keeps no rule.
pub trait RawRing: RingMemory {
    /// Stores a field of the control page.
    fn poke(&self, word: ControlWord, value: u32) {
        self.control(word).store(value.to_le(), Ordering::Relaxed);
    }

    /// Loads a field of the control page.
    fn peek(&self, word: ControlWord) -> u32 {
        u32::from_le(self.control(word).load(Ordering::Relaxed))
    }

    /// Stores bytes at an offset of the data area, a multiple of 8, around its end. The last word is padded with zeros.
    fn poke_bytes(&self, offset: u32, bytes: &[u8]) {
        for (index, chunk) in bytes.chunks(8).enumerate() {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            let at = (offset as usize / 8 + index) % self.words();
            self.run(at)[0].store(u64::from_ne_bytes(word), Ordering::Relaxed);
        }
    }

    /// Loads bytes from an offset of the data area, a multiple of 8, around its end.
    fn peek_bytes(&self, offset: u32, len: usize) -> Vec<u8> {
        let first = offset as usize / 8;
        let words = (first..first + len.div_ceil(8)).map(|at| at % self.words());
        let mut bytes: Vec<u8> =
            words.flat_map(|at| self.run(at)[0].load(Ordering::Relaxed).to_ne_bytes()).collect();
        bytes.truncate(len);
        bytes
    }
}

impl<M: RingMemory + ?Sized> RawRing for M {}

/// A packet's bytes as they are on the wire, written down the slow way: descriptor, payload, padding, trailer.
pub fn encode_packet(
    kind: u16,
    completion: bool,
    transaction_id: u64,
    payload: &[u8],
    offset: u32,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let length8 = 2 + payload.len().div_ceil(8);
    bytes.extend_from_slice(&kind.to_le_bytes());
    bytes.extend_from_slice(&2u16.to_le_bytes());
    bytes.extend_from_slice(&u16::try_from(length8).unwrap_or(u16::MAX).to_le_bytes());
    bytes.extend_from_slice(&u16::from(completion).to_le_bytes());
    bytes.extend_from_slice(&transaction_id.to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes.resize(length8 * 8, 0);
    bytes.extend_from_slice(&0u32.to_le_bytes());
    bytes.extend_from_slice(&offset.to_le_bytes());
    bytes
}
