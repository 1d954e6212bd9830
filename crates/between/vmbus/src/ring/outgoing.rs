//! The writer's side of a ring.

use model_sync::shared::{Ordering, fence, interleave};

use crate::ring::copy::write_packet;
use crate::ring::error::{BadRingSize, Corruption, OpenError, WriteError};
use crate::ring::layout::{ControlWord, FEATURE_PENDING_SEND_SIZE, RingSize};
use crate::ring::memory::RingMemory;
use crate::ring::packet::{OutgoingPacket, trailer};
use crate::ring::{Committed, Signal, Wait, omit};

/// A ring that this side writes. What changes is in [`OutgoingOffsets`].
#[derive(Debug)]
pub struct OutgoingRing<M> {
    memory: M,
    size: RingSize,
}

/// Where the writer of a ring stands. Made by [`OutgoingRing::open`] or from a saved state, used with that ring.
#[derive(Debug)]
pub struct OutgoingOffsets {
    /// The write index that the reader sees.
    pub(super) published: u32,
    /// Where the next packet goes; ahead of `published` inside a transaction.
    pub(super) next: u32,
    /// The reader's index when it was last looked at. Space after it only grows, so it is looked at when it seems full.
    pub(super) read: u32,
    /// What the pending send size says.
    pub(super) pending: u32,
    /// Set once, and then returned by everything.
    pub(super) corrupt: Option<Corruption>,
}

impl OutgoingOffsets {
    /// Whether packets have been written that the reader does not see yet.
    pub fn has_uncommitted(&self) -> bool {
        self.published != self.next
    }

    /// Forgets the packets written since the last commit.
    pub fn revert(&mut self) {
        self.next = self.published;
    }

    /// What was found wrong with the ring, if anything was.
    pub fn corruption(&self) -> Option<Corruption> {
        self.corrupt
    }

    pub(super) fn check(&self) -> Result<(), Corruption> {
        self.corrupt.map_or(Ok(()), Err)
    }

    #[cold]
    fn fail(&mut self, corruption: Corruption) -> Corruption {
        self.corrupt = Some(corruption);
        corruption
    }
}

impl<M: RingMemory> OutgoingRing<M> {
    /// Opens the ring where its control page says it stands, and announces that the pending send size is used.
    ///
    /// # Errors
    /// The data area has no usable size, or an index in the control page is not possible.
    pub fn open(memory: M) -> Result<(Self, OutgoingOffsets), OpenError> {
        let ring = Self::over(memory)?;
        let published = ring.size.check_write_index(ring.load(ControlWord::WriteIndex, Ordering::Relaxed))?;
        let read = ring.size.check_read_index(ring.load(ControlWord::ReadIndex, Ordering::Acquire))?;
        ring.store(ControlWord::PendingSendSize, 0, Ordering::Relaxed);
        let features = ring.load(ControlWord::FeatureBits, Ordering::Relaxed) | FEATURE_PENDING_SEND_SIZE;
        ring.store(ControlWord::FeatureBits, features, Ordering::Release);
        Ok((ring, OutgoingOffsets { published, next: published, read, pending: 0, corrupt: None }))
    }

    pub(super) fn over(memory: M) -> Result<Self, BadRingSize> {
        let bytes = memory.words() as u64 * 8;
        let size = RingSize::new(bytes).ok_or(BadRingSize { bytes })?;
        Ok(Self { memory, size })
    }

    /// Bytes of the data area.
    pub fn size(&self) -> u32 {
        self.size.get()
    }

    pub(super) fn ring_size(&self) -> RingSize {
        self.size
    }

    #[inline]
    fn load(&self, word: ControlWord, order: Ordering) -> u32 {
        interleave();
        u32::from_le(self.memory.control(word).load(order))
    }

    #[inline]
    fn store(&self, word: ControlWord, value: u32, order: Ordering) {
        interleave();
        self.memory.control(word).store(value.to_le(), order);
    }

    /// Looks at the reader's index, which must be in what was published and not yet known to be read.
    #[inline]
    fn load_read_index(&self, offsets: &mut OutgoingOffsets) -> Result<u32, Corruption> {
        // Acquire: the reader has done its copying before we write over what it has read.
        let index = self.load(ControlWord::ReadIndex, Ordering::Acquire);
        let from = offsets.read;
        match self.size.check_read_index(index) {
            Ok(to) if self.size.distance(from, to) <= self.size.distance(from, offsets.published) => {
                offsets.read = to;
                Ok(to)
            }
            Ok(to) => Err(offsets.fail(Corruption::ReadIndexMoved { from, to })),
            Err(corruption) => Err(offsets.fail(corruption)),
        }
    }

    /// Whether more than `needed` bytes are free, by the private copy of the reader's index.
    #[inline]
    fn has_room(&self, offsets: &OutgoingOffsets, needed: u32) -> bool {
        self.size.free(offsets.next, offsets.read) > needed
    }

    pub(super) fn memory(&self) -> &M {
        &self.memory
    }

    /// Bytes that are free, more than `needed`; looks at the reader's index only if it has to.
    #[inline]
    pub(super) fn reserve(&self, offsets: &mut OutgoingOffsets, needed: u32) -> Result<u32, WriteError> {
        offsets.check()?;
        if !self.has_room(offsets, needed) {
            self.load_read_index(offsets)?;
            if !self.has_room(offsets, needed) {
                return Err(WriteError::Full { needed });
            }
        }
        Ok(self.size.free(offsets.next, offsets.read))
    }

    /// Writes a packet after the ones before, without publishing it, and returns its offset in the data area.
    ///
    /// # Errors
    /// [`WriteError::Full`] if there is no room now, [`WriteError::TooLarge`] if there never is;
    /// [`WriteError::Corrupt`] if the reader broke the format, now or before.
    #[inline]
    pub fn write(
        &self,
        offsets: &mut OutgoingOffsets,
        packet: &OutgoingPacket<'_>,
    ) -> Result<u32, WriteError> {
        offsets.check()?;
        let (total, length8) = packet.measure(self.size)?;
        self.reserve(offsets, total)?;
        let at = offsets.next;
        write_packet(&self.memory, at as usize / 8, packet.descriptor(length8), packet.payload, trailer(at));
        offsets.next = self.size.advance(at, total);
        if offsets.pending != 0 && total >= offsets.pending {
            self.cancel_wait(offsets);
        }
        Ok(at)
    }

    /// Publishes the packets written since the last commit, and says whether the reader is to be signalled.
    ///
    /// # Errors
    /// The reader's index is not possible, or moved past what was written; or the ring was found corrupt before.
    #[inline]
    pub fn commit(&self, offsets: &mut OutgoingOffsets) -> Result<Signal, Corruption> {
        self.commit_omitting::<{ omit::NOTHING }>(offsets)
    }

    #[inline]
    pub(super) fn commit_omitting<const OMIT: u8>(
        &self,
        offsets: &mut OutgoingOffsets,
    ) -> Result<Signal, Corruption> {
        offsets.check()?;
        if !offsets.has_uncommitted() {
            return Ok(Signal::NotNeeded);
        }
        let before = offsets.published;
        self.publish::<OMIT>(offsets);
        if omit::keeps(OMIT, omit::FENCE) {
            fence(Ordering::SeqCst);
        }
        self.reader_signal::<OMIT>(offsets, before)
    }

    #[inline]
    fn publish<const OMIT: u8>(&self, offsets: &mut OutgoingOffsets) {
        // Release: who sees the index sees the packets.
        let order = if omit::leaves_out(OMIT, omit::RELEASE) { Ordering::Relaxed } else { Ordering::Release };
        self.store(ControlWord::WriteIndex, offsets.next, order);
        offsets.published = offsets.next;
    }

    /// Whether the reader is to be signalled, after the fence that follows publishing: its mask is 0, and it had read
    /// everything up to `before`, so it went to sleep on an empty ring.
    #[inline]
    fn reader_signal<const OMIT: u8>(
        &self,
        offsets: &mut OutgoingOffsets,
        before: u32,
    ) -> Result<Signal, Corruption> {
        // Acquire: the reader stores its index before it clears the mask, so the index is at least as new.
        if self.load(ControlWord::InterruptMask, Ordering::Acquire) != 0 {
            return Ok(Signal::NotNeeded);
        }
        let read =
            if omit::leaves_out(OMIT, omit::RELOAD) { offsets.read } else { self.load_read_index(offsets)? };
        Ok(Signal::when(read == before))
    }

    /// Publishes as [`commit`](Self::commit) does, and asks the reader for a signal when more than `needed` bytes (from
    /// [`WriteError::Full`]) are free. `Ready`: they are free already, write again.
    ///
    /// This works if the reader looks at the pending send size; see [`ChannelRings::peer_honours_pending_send_size`].
    /// If not, poll.
    ///
    /// [`ChannelRings::peer_honours_pending_send_size`]: super::ChannelRings::peer_honours_pending_send_size
    ///
    /// # Errors
    /// The reader's index is not possible, or moved past what was written; or the ring was found corrupt before.
    pub fn commit_and_wait(
        &self,
        offsets: &mut OutgoingOffsets,
        needed: u32,
    ) -> Result<Committed, Corruption> {
        self.commit_and_wait_omitting::<{ omit::NOTHING }>(offsets, needed)
    }

    pub(super) fn commit_and_wait_omitting<const OMIT: u8>(
        &self,
        offsets: &mut OutgoingOffsets,
        needed: u32,
    ) -> Result<Committed, Corruption> {
        offsets.check()?;
        // The reader computes free space from the published index, so nothing may be uncommitted while we wait.
        let before = offsets.published;
        let moved = offsets.has_uncommitted();
        if moved {
            self.publish::<OMIT>(offsets);
        }
        // Release: a reader that sees it sees the index that was published before, too.
        self.store(ControlWord::PendingSendSize, needed, Ordering::Release);
        offsets.pending = needed;
        if omit::keeps(OMIT, omit::FENCE) {
            fence(Ordering::SeqCst);
        }
        let signal = if moved { self.reader_signal::<OMIT>(offsets, before)? } else { Signal::NotNeeded };
        if omit::keeps(OMIT, omit::RECHECK) {
            self.load_read_index(offsets)?;
        }
        let wait = if self.has_room(offsets, needed) {
            self.cancel_wait(offsets);
            Wait::Ready
        } else {
            Wait::Armed
        };
        Ok(Committed { signal, wait })
    }

    /// Asks for no signal any more. Done by itself when a packet of that size has been written.
    pub fn cancel_wait(&self, offsets: &mut OutgoingOffsets) {
        self.store(ControlWord::PendingSendSize, 0, Ordering::Relaxed);
        offsets.pending = 0;
    }

    /// Bytes of the ring that published packets take, by the reader's present index. An index that is not possible is not believed
    /// and not complained of: what counts is then where the reader was last seen.
    pub fn used_bytes(&self, offsets: &OutgoingOffsets) -> u32 {
        let in_ring = self.size.distance(offsets.read, offsets.published);
        let read = self.load(ControlWord::ReadIndex, Ordering::Relaxed);
        let now = self.size.check_read_index(read).map(|read| self.size.distance(read, offsets.published));
        now.map_or(in_ring, |now| now.min(in_ring))
    }

    /// Bytes that packets and trailers can take now, by the reader's present index.
    ///
    /// # Errors
    /// The reader's index is not possible, or moved past what was written; or the ring was found corrupt before.
    pub fn free_bytes(&self, offsets: &mut OutgoingOffsets) -> Result<u32, Corruption> {
        offsets.check()?;
        let read = self.load_read_index(offsets)?;
        Ok(self.size.free(offsets.next, read) - 8)
    }
}
