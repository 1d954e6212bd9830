//! Many packets at a time.
//!
//! A [`WriteBatch`] looks once at how much room there is, writes as many packets as fit, and publishes them all with one
//! store. A [`ReadBatch`] copies once whatever the writer has published, up to a limit, and hands out packets of the copy, each
//! of them checked. What is checked, and what is trusted, is the same as one packet at a time.

use model_sync::shared::AtomicU64;

use crate::ring::copy::{read_words, write_run, write_scattered};
use crate::ring::error::{Corruption, ReadError, WriteError};
use crate::ring::incoming::{IncomingOffsets, IncomingRing};
use crate::ring::layout::{RingSize, TRAILER_BYTES};
use crate::ring::memory::RingMemory;
use crate::ring::outgoing::{OutgoingOffsets, OutgoingRing};
use crate::ring::packet::{
    Descriptor, IncomingPacket, OutgoingPacket, PacketBuffer, trailer, trailer_offset,
};
use crate::ring::{Signal, omit};

/// Packets that are being written. Made by [`OutgoingRing::batch`]; dropped without [`commit`](Self::commit) it leaves the
/// ring as it was.
#[derive(Debug)]
#[must_use = "nothing is sent before `commit`"]
pub struct WriteBatch<'r, M> {
    ring: &'r OutgoingRing<M>,
    offsets: &'r mut OutgoingOffsets,
    /// Where the next packet goes.
    next: u32,
    /// Bytes that packets and trailers of this batch can still take.
    left: u32,
    /// The words from `next` on that follow each other in memory.
    run: &'r [AtomicU64],
    /// Bytes of the largest packet with its trailer.
    largest: u32,
}

impl<M: RingMemory> OutgoingRing<M> {
    /// Begins a batch after the packets written before, with at least `at_least` bytes of room for packets and their trailers
    /// ([`OutgoingPacket::ring_bytes`] says what a packet takes). The batch has more room if the ring is known to have more.
    ///
    /// # Errors
    /// [`WriteError::Full`] if there is less room now, [`WriteError::TooLarge`] if this ring never has so much, and
    /// [`WriteError::Corrupt`].
    #[inline]
    pub fn batch<'r>(
        &'r self,
        offsets: &'r mut OutgoingOffsets,
        at_least: u32,
    ) -> Result<WriteBatch<'r, M>, WriteError> {
        offsets.check()?;
        let payload = at_least as usize;
        let too_large = WriteError::TooLarge { payload, size: self.size() };
        let at_least =
            at_least.checked_next_multiple_of(8).filter(|&bytes| bytes < self.size()).ok_or(too_large)?;
        let free = self.reserve(offsets, at_least)?;
        let next = offsets.next;
        let run = self.memory().run(next as usize / 8);
        Ok(WriteBatch { ring: self, offsets, next, left: free - 8, run, largest: 0 })
    }
}

impl<M: RingMemory> WriteBatch<'_, M> {
    /// Bytes that further packets and their trailers can take.
    pub fn left(&self) -> u32 {
        self.left
    }

    /// Writes a packet, and returns its offset in the data area.
    ///
    /// # Errors
    /// [`WriteError::Full`] if the batch has no room for it: commit, and begin another. [`WriteError::TooLarge`] if no ring of
    /// this size could ever take it.
    #[inline]
    pub fn push(&mut self, packet: &OutgoingPacket<'_>) -> Result<u32, WriteError> {
        let (total, length8) = packet.measure(self.ring.ring_size())?;
        if total > self.left {
            return Err(WriteError::Full { needed: total });
        }
        let at = self.next;
        let words = total as usize / 8;
        let (descriptor, trailer) = (packet.descriptor(length8), trailer(at));
        self.next = self.ring.ring_size().advance(at, total);
        self.left -= total;
        self.largest = self.largest.max(total);
        match self.run.split_at_checked(words) {
            Some((run, rest)) if !rest.is_empty() => {
                write_run(run, descriptor, packet.payload, trailer);
                self.run = rest;
            }
            _ => {
                write_scattered(self.ring.memory(), at as usize / 8, descriptor, packet.payload, trailer);
                self.run = self.ring.memory().run(self.next as usize / 8);
            }
        }
        Ok(at)
    }

    /// Publishes the packets of the batch, and those written before it, with one store; says whether the reader is to be
    /// signalled.
    ///
    /// # Errors
    /// The reader's index is not a possible one.
    #[inline]
    pub fn commit(self) -> Result<Signal, Corruption> {
        self.commit_omitting::<{ omit::NOTHING }>()
    }

    #[inline]
    pub(super) fn commit_omitting<const OMIT: u8>(self) -> Result<Signal, Corruption> {
        let Self { ring, offsets, next, largest, .. } = self;
        offsets.next = next;
        if offsets.pending != 0 && largest >= offsets.pending {
            ring.cancel_wait(offsets);
        }
        ring.commit_omitting::<OMIT>(offsets)
    }
}

/// Packets that were copied together: an iterator that checks each of them and takes it. Their bytes are a private copy. What is
/// not taken stays in the ring.
#[derive(Debug)]
pub struct ReadBatch<'b> {
    offsets: &'b mut IncomingOffsets,
    /// From the next packet's descriptor on, as far as was copied.
    words: &'b [u64],
    size: RingSize,
}

impl<M: RingMemory> IncomingRing<M> {
    /// Copies the packets that are there to `buffer`, as many as `most` bytes of the ring hold but at least one, all at once.
    /// The space of those that are taken from the batch is the writer's again after a commit.
    ///
    /// A packet that breaks the format ends the batch before it, and is what the next call returns.
    ///
    /// Interrupts are masked from the first packet on until [`commit_and_wait`](Self::commit_and_wait).
    ///
    /// # Errors
    /// [`ReadError::Empty`] if there is none, [`ReadError::Corrupt`] if the first one breaks the format.
    #[inline]
    pub fn read_batch<'b>(
        &self,
        offsets: &'b mut IncomingOffsets,
        buffer: &'b mut PacketBuffer,
        most: u32,
    ) -> Result<ReadBatch<'b>, ReadError> {
        if !self.has_packet(offsets)? {
            return Err(ReadError::Empty);
        }
        self.mask(offsets);
        match self.copy_batch(offsets, buffer, most) {
            Ok(words) => {
                let words: &[u64] = buffer.room(words);
                Ok(ReadBatch { offsets, words, size: self.ring_size() })
            }
            Err(corruption) => Err(offsets.fail(corruption).into()),
        }
    }

    /// Copies, and says how many words. The first packet is whole and checked.
    #[inline]
    fn copy_batch(
        &self,
        offsets: &IncomingOffsets,
        buffer: &mut PacketBuffer,
        most: u32,
    ) -> Result<usize, Corruption> {
        let offset = offsets.next;
        let available = self.ring_size().distance(offset, offsets.write);
        let mut limit = available.min(most);
        loop {
            // Once for each try: what is checked is what is used, whatever the writer does meanwhile.
            let words = buffer.room(limit as usize / 8);
            read_words(self.memory(), offset as usize / 8, words);
            let Some(&first) = words.first() else {
                limit = available;
                continue;
            };
            let descriptor = Descriptor::check_available(first, offset, available)?;
            if descriptor.words < words.len() {
                return Ok(words.len());
            }
            // The first packet is longer than the limit. That the packet is within what is available was checked.
            limit = available;
        }
    }
}

impl<'b> ReadBatch<'b> {
    /// The next packet, if it is whole and keeps the format.
    #[inline]
    fn take(&mut self) -> Option<IncomingPacket<'b>> {
        let offset = self.offsets.next;
        let available = self.size.distance(offset, self.offsets.write);
        let descriptor = Descriptor::check_available(*self.words.first()?, offset, available).ok()?;
        let (packet, rest) = self.words.split_at_checked(descriptor.words + 1)?;
        let [_, transaction_id, body @ .., trailer] = packet else { return None };
        self.words = rest;
        self.offsets.stale_trailers += u64::from(trailer_offset(*trailer) != offset);
        self.offsets.next = self.size.advance(offset, descriptor.words as u32 * 8 + TRAILER_BYTES);
        Some(IncomingPacket::new(descriptor, u64::from_le(*transaction_id), offset, body))
    }
}

impl<'b> Iterator for ReadBatch<'b> {
    type Item = IncomingPacket<'b>;

    #[inline]
    fn next(&mut self) -> Option<IncomingPacket<'b>> {
        let packet = self.take();
        if packet.is_none() {
            // What ended it ends it for good: nothing behind a bad packet is a packet.
            self.words = &[];
        }
        packet
    }
}

impl core::iter::FusedIterator for ReadBatch<'_> {}
