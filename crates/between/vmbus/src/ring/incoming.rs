//! The reader's side of a ring.

use model_sync::shared::{Ordering, fence, interleave};

use crate::ring::copy::{load_word, read_words};
use crate::ring::error::{BadRingSize, Corruption, OpenError, ReadError};
use crate::ring::layout::{ControlWord, FEATURE_PENDING_SEND_SIZE, RingSize, TRAILER_BYTES};
use crate::ring::memory::RingMemory;
use crate::ring::packet::{Descriptor, IncomingPacket, PacketBuffer, trailer_offset};
use crate::ring::{Committed, Signal, Wait, omit};

/// A ring that this side reads. What changes is in [`IncomingOffsets`].
#[derive(Debug)]
pub struct IncomingRing<M> {
    memory: M,
    size: RingSize,
}

/// Where the reader of a ring stands. Made by [`IncomingRing::open`] or from a saved state, used with that ring.
#[derive(Debug)]
pub struct IncomingOffsets {
    /// The read index that the writer sees.
    pub(super) published: u32,
    /// Where the next packet begins; ahead of `published` inside a transaction.
    pub(super) next: u32,
    /// The writer's index when it was last looked at. The reader looks again when everything before that index has been read.
    pub(super) write: u32,
    /// Whether the interrupt mask is set: from the first packet of a drain until the reader wants to sleep.
    pub(super) masked: bool,
    /// Packets whose trailer did not name them.
    pub(super) stale_trailers: u64,
    /// Set once, and then returned by everything.
    pub(super) corrupt: Option<Corruption>,
}

impl IncomingOffsets {
    /// Packets read whose trailer is not the packet's own offset. Such packets are taken like any other: Linux and OpenVMM
    /// write the trailer and do not read it, QEMU's host leaves stale bytes there (documented by their sources), and what
    /// Windows does is not known.
    pub fn stale_trailers(&self) -> u64 {
        self.stale_trailers
    }

    /// Whether packets have been read whose space the writer does not have yet.
    pub fn has_uncommitted(&self) -> bool {
        self.published != self.next
    }

    /// Goes back to the first packet read since the last commit. The writer may have changed it.
    pub fn revert(&mut self) {
        self.next = self.published;
    }

    /// What was found wrong with the ring, if anything was.
    pub fn corruption(&self) -> Option<Corruption> {
        self.corrupt
    }

    fn check(&self) -> Result<(), Corruption> {
        self.corrupt.map_or(Ok(()), Err)
    }

    #[cold]
    pub(super) fn fail(&mut self, corruption: Corruption) -> Corruption {
        self.corrupt = Some(corruption);
        corruption
    }
}

impl<M: RingMemory> IncomingRing<M> {
    /// Opens the ring where its control page says it stands, asking for signals. Packets may be there already: read
    /// before the first sleep.
    ///
    /// # Errors
    /// The data area has no usable size, or an index in the control page is not possible.
    pub fn open(memory: M) -> Result<(Self, IncomingOffsets), OpenError> {
        let ring = Self::over(memory)?;
        let published = ring.size.check_read_index(ring.load(ControlWord::ReadIndex, Ordering::Relaxed))?;
        let write = ring.size.check_write_index(ring.load(ControlWord::WriteIndex, Ordering::Acquire))?;
        ring.store(ControlWord::InterruptMask, 0, Ordering::Release);
        let offsets = IncomingOffsets {
            published,
            next: published,
            write,
            masked: false,
            stale_trailers: 0,
            corrupt: None,
        };
        Ok((ring, offsets))
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

    /// Bytes of the ring that packets take, those among them that have been read and not been given back: as the writer sees its
    /// ring, when this side last looked at the writer's index.
    pub fn used_bytes(&self, offsets: &IncomingOffsets) -> u32 {
        self.size.distance(offsets.published, offsets.write)
    }

    /// Whether the writer of this ring uses the pending send size. A peer that does so honours it as reader too.
    pub fn writer_uses_pending_send_size(&self) -> bool {
        self.load(ControlWord::FeatureBits, Ordering::Relaxed) & FEATURE_PENDING_SEND_SIZE != 0
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

    /// Looks at the writer's index, which may only have moved forward, into space that the writer knows to be free.
    #[inline]
    fn load_write_index(&self, offsets: &mut IncomingOffsets) -> Result<u32, Corruption> {
        // Acquire: the packets before the index are there.
        let index = self.load(ControlWord::WriteIndex, Ordering::Acquire);
        let (from, read) = (offsets.write, offsets.published);
        match self.size.check_write_index(index) {
            Ok(to) if self.size.distance(read, to) >= self.size.distance(read, from) => {
                offsets.write = to;
                Ok(to)
            }
            Ok(to) => Err(offsets.fail(Corruption::WriteIndexMoved { from, to })),
            Err(corruption) => Err(offsets.fail(corruption)),
        }
    }

    /// Bytes read since the last commit, which the writer does not have yet. A reader that drains for long commits when
    /// they have become a good part of the ring.
    #[inline]
    pub fn uncommitted_bytes(&self, offsets: &IncomingOffsets) -> u32 {
        self.size.distance(offsets.published, offsets.next)
    }

    /// Whether a read would find a packet. As cheap as it can be: this is what a reader that spins calls.
    ///
    /// # Errors
    /// The writer's index is not possible, or went backwards; or the ring was found corrupt before.
    #[inline]
    pub fn has_packet(&self, offsets: &mut IncomingOffsets) -> Result<bool, Corruption> {
        offsets.check()?;
        Ok(offsets.next != offsets.write || offsets.next != self.load_write_index(offsets)?)
    }

    /// Reads the next packet: checks it and copies it to `buffer`. Its space is the writer's again after a commit.
    ///
    /// Interrupts are masked from the first packet on until [`commit_and_wait`](Self::commit_and_wait).
    ///
    /// # Errors
    /// [`ReadError::Empty`] if there is none; [`ReadError::Corrupt`] if the writer broke the format, now or before.
    #[inline]
    pub fn read<'b>(
        &self,
        offsets: &mut IncomingOffsets,
        buffer: &'b mut PacketBuffer,
    ) -> Result<IncomingPacket<'b>, ReadError> {
        if !self.has_packet(offsets)? {
            return Err(ReadError::Empty);
        }
        self.mask(offsets);
        self.copy_packet(offsets, buffer).map_err(|corruption| offsets.fail(corruption).into())
    }

    /// Masks interrupts, if they are not masked yet.
    #[inline]
    pub(super) fn mask(&self, offsets: &mut IncomingOffsets) {
        if !offsets.masked {
            self.store(ControlWord::InterruptMask, 1, Ordering::Relaxed);
            offsets.masked = true;
        }
    }

    pub(super) fn memory(&self) -> &M {
        &self.memory
    }

    #[inline]
    fn copy_packet<'b>(
        &self,
        offsets: &mut IncomingOffsets,
        buffer: &'b mut PacketBuffer,
    ) -> Result<IncomingPacket<'b>, Corruption> {
        let offset = offsets.next;
        let available = self.size.distance(offset, offsets.write);
        let at = offset as usize / 8;
        // Once: what is checked is what is used, whatever the writer does meanwhile.
        let descriptor = Descriptor::check_available(load_word(&self.memory, at), offset, available)?;
        // Everything after the first word, with the trailer.
        let words = buffer.room(descriptor.words);
        read_words(&self.memory, at + 1, words);
        let [transaction_id, body @ .., trailer] = words else {
            return Err(Corruption::NoDescriptor { offset, available });
        };
        offsets.stale_trailers += u64::from(trailer_offset(*trailer) != offset);
        offsets.next = self.size.advance(offset, descriptor.words as u32 * 8 + TRAILER_BYTES);
        Ok(IncomingPacket::new(descriptor, u64::from_le(*transaction_id), offset, body))
    }

    /// Gives the space of the packets read since the last commit back, and says whether the writer is to be signalled.
    ///
    /// # Errors
    /// The writer's index is not possible, or went backwards; or the ring was found corrupt before.
    #[inline]
    pub fn commit(&self, offsets: &mut IncomingOffsets) -> Result<Signal, Corruption> {
        self.commit_omitting::<{ omit::NOTHING }>(offsets)
    }

    #[inline]
    pub(super) fn commit_omitting<const OMIT: u8>(
        &self,
        offsets: &mut IncomingOffsets,
    ) -> Result<Signal, Corruption> {
        offsets.check()?;
        if !offsets.has_uncommitted() {
            return Ok(Signal::NotNeeded);
        }
        let before = offsets.published;
        self.publish(offsets);
        if omit::keeps(OMIT, omit::FENCE) {
            fence(Ordering::SeqCst);
        }
        self.writer_signal::<OMIT>(offsets, before)
    }

    #[inline]
    fn publish(&self, offsets: &mut IncomingOffsets) {
        // Release: the packets have been copied before the writer may write over them.
        self.store(ControlWord::ReadIndex, offsets.next, Ordering::Release);
        offsets.published = offsets.next;
    }

    /// Whether the writer is to be signalled, after the fence that follows publishing: it waits for space, and this
    /// commit is the one that made it enough.
    #[inline]
    fn writer_signal<const OMIT: u8>(
        &self,
        offsets: &mut IncomingOffsets,
        before: u32,
    ) -> Result<Signal, Corruption> {
        if !self.writer_uses_pending_send_size() {
            return Ok(Signal::NotNeeded);
        }
        // Acquire: the writer's index was stored before it, and is at least as new.
        let pending = self.load(ControlWord::PendingSendSize, Ordering::Acquire);
        if pending == 0 {
            return Ok(Signal::NotNeeded);
        }
        // By the writer's present index: an older one would make the space before look larger than what it waits for.
        let write = if omit::leaves_out(OMIT, omit::RELOAD) {
            offsets.write
        } else {
            self.load_write_index(offsets)?
        };
        let free_before = self.size.free(write, before);
        let free_now = self.size.free(write, offsets.published);
        // Frees are multiples of 8, so senders that store one byte less than they need are served as well.
        Ok(Signal::when(free_before <= pending && pending < free_now))
    }

    /// Commits as [`commit`](Self::commit) does, unmasks interrupts, and looks once more. `Armed`: there is nothing, and
    /// a signal will come. `Ready`: there is more, interrupts are masked again, read on.
    ///
    /// # Errors
    /// The writer's index is not possible, or went backwards; or the ring was found corrupt before.
    #[inline]
    pub fn commit_and_wait(&self, offsets: &mut IncomingOffsets) -> Result<Committed, Corruption> {
        self.commit_and_wait_omitting::<{ omit::NOTHING }>(offsets)
    }

    #[inline]
    pub(super) fn commit_and_wait_omitting<const OMIT: u8>(
        &self,
        offsets: &mut IncomingOffsets,
    ) -> Result<Committed, Corruption> {
        offsets.check()?;
        if offsets.next != offsets.write {
            // There is more for sure: nothing to arm.
            return Ok(Committed { signal: self.commit_omitting::<OMIT>(offsets)?, wait: Wait::Ready });
        }
        let before = offsets.published;
        let moved = offsets.has_uncommitted();
        // The index first: a writer that finds the mask clear must find the ring empty, or it will not signal.
        if moved && omit::keeps(OMIT, omit::ORDER) {
            self.publish(offsets);
        }
        if offsets.masked {
            self.store(ControlWord::InterruptMask, 0, Ordering::Release);
            offsets.masked = false;
        }
        // One fence for both: between the read index and the pending send size, the mask and the write index.
        if omit::keeps(OMIT, omit::FENCE) {
            fence(Ordering::SeqCst);
        }
        let write = if omit::leaves_out(OMIT, omit::RECHECK) {
            offsets.write
        } else {
            self.load_write_index(offsets)?
        };
        if moved && omit::leaves_out(OMIT, omit::ORDER) {
            self.publish(offsets);
        }
        let signal = if moved { self.writer_signal::<OMIT>(offsets, before)? } else { Signal::NotNeeded };
        if write == offsets.next {
            return Ok(Committed { signal, wait: Wait::Armed });
        }
        self.store(ControlWord::InterruptMask, 1, Ordering::Relaxed);
        offsets.masked = true;
        Ok(Committed { signal, wait: Wait::Ready })
    }
}
