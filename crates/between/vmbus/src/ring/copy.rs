//! Copying packets in and out of the data area.
//!
//! All accesses are relaxed: the index that publishes them makes the order. A packet inside one run of memory (nearly
//! all of them) is one bounds check and one loop; one that wraps, or crosses to a page elsewhere, goes word by word.

use model_sync::shared::{AtomicU64, Ordering};

use crate::ring::memory::RingMemory;

/// The words from an index on, around the end, one after the other.
pub(super) struct Cursor<'a, M> {
    memory: &'a M,
    next: usize,
    run: core::slice::Iter<'a, AtomicU64>,
}

impl<'a, M: RingMemory> Cursor<'a, M> {
    pub(super) fn at(memory: &'a M, word: usize) -> Self {
        Self { memory, next: word, run: [].iter() }
    }

    fn word(&mut self) -> &'a AtomicU64 {
        loop {
            if let Some(word) = self.run.next() {
                return word;
            }
            let words = self.memory.words();
            let start = if self.next >= words { 0 } else { self.next };
            let run = self.memory.run(start);
            assert!(!run.is_empty(), "a run inside the data area has a word");
            self.next = start + run.len();
            self.run = run.iter();
        }
    }

    pub(super) fn store(&mut self, value: u64) {
        self.word().store(value, Ordering::Relaxed);
    }
}

/// Bytes as 64-bit words in memory order, the last one padded with zeros.
fn tail_word(tail: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes[..tail.len()].copy_from_slice(tail);
    u64::from_ne_bytes(bytes)
}

/// Writes descriptor, payload, padding and trailer from word `at` on: `payload.len().div_ceil(8) + 3` words.
#[inline]
pub(super) fn write_packet<M: RingMemory>(
    memory: &M,
    at: usize,
    descriptor: [u64; 2],
    payload: &[u8],
    trailer: u64,
) {
    let words = payload.len().div_ceil(8) + 3;
    match memory.run(at).get(..words) {
        Some(run) => write_run(run, descriptor, payload, trailer),
        None => write_scattered(memory, at, descriptor, payload, trailer),
    }
}

/// As [`write_packet`], to words that follow each other in memory, exactly as many as the packet takes.
#[inline]
pub(super) fn write_run(run: &[AtomicU64], descriptor: [u64; 2], payload: &[u8], trailer: u64) {
    let (whole, tail) = payload.as_chunks::<8>();
    if let [first, second, body @ .., last] = run {
        first.store(descriptor[0], Ordering::Relaxed);
        second.store(descriptor[1], Ordering::Relaxed);
        for (word, bytes) in body.iter().zip(whole) {
            word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
        }
        if !tail.is_empty()
            && let Some(word) = body.last()
        {
            word.store(tail_word(tail), Ordering::Relaxed);
        }
        last.store(trailer, Ordering::Relaxed);
    }
}

#[cold]
pub(super) fn write_scattered<M: RingMemory>(
    memory: &M,
    at: usize,
    descriptor: [u64; 2],
    payload: &[u8],
    trailer: u64,
) {
    let mut cursor = Cursor::at(memory, at);
    descriptor.into_iter().for_each(|word| cursor.store(word));
    let (whole, tail) = payload.as_chunks::<8>();
    whole.iter().for_each(|bytes| cursor.store(u64::from_ne_bytes(*bytes)));
    if !tail.is_empty() {
        cursor.store(tail_word(tail));
    }
    cursor.store(trailer);
}

/// Loads the word `at` of the data area, which is inside the area.
#[inline]
pub(super) fn load_word<M: RingMemory>(memory: &M, at: usize) -> u64 {
    memory.run(at)[0].load(Ordering::Relaxed)
}

/// Copies words from word `at` on, around the end.
#[inline]
pub(super) fn read_words<M: RingMemory>(memory: &M, at: usize, out: &mut [u64]) {
    if let Some(run) = memory.run(at).get(..out.len()) {
        for (out, word) in out.iter_mut().zip(run) {
            *out = word.load(Ordering::Relaxed);
        }
        return;
    }
    read_scattered(memory, at, out);
}

#[cold]
fn read_scattered<M: RingMemory>(memory: &M, at: usize, out: &mut [u64]) {
    let words = memory.words();
    let (mut at, mut out) = (at, out);
    while !out.is_empty() {
        let start = if at >= words { at - words } else { at };
        let run = memory.run(start);
        let (now, rest) = out.split_at_mut(run.len().min(out.len()));
        assert!(!now.is_empty(), "a run inside the data area has a word");
        for (out, word) in now.iter_mut().zip(run) {
            *out = word.load(Ordering::Relaxed);
        }
        (at, out) = (start + now.len(), rest);
    }
}
