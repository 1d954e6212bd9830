//! Where a ring lies.

use alloc::boxed::Box;
use alloc::sync::Arc;

use model_sync::shared::{AtomicU32, AtomicU64};

use crate::ring::error::BadRingSize;
use crate::ring::layout::{ControlWord, RingSize};

/// The memory of one ring: a control page and a data area, shared with the other side.
///
/// The control page is accessed in 32-bit words and the data area in 64-bit words, never otherwise: everything in it is
/// 8-aligned. Bytes are in memory order; the ring converts from little-endian.
pub trait RingMemory {
    /// A field of the control page.
    fn control(&self, word: ControlWord) -> &AtomicU32;

    /// Number of 64-bit words of the data area. Always the same.
    fn words(&self) -> usize;

    /// Words from number `word` on that follow each other in memory: at least one if `word` is below [`words`], none
    /// beyond the data area, and the same ones each time. The more, the faster: a packet inside one run is copied in one
    /// go.
    ///
    /// [`words`]: Self::words
    fn run(&self, word: usize) -> &[AtomicU64];
}

impl<M: RingMemory + ?Sized> RingMemory for &M {
    #[inline]
    fn control(&self, word: ControlWord) -> &AtomicU32 {
        (**self).control(word)
    }
    #[inline]
    fn words(&self) -> usize {
        (**self).words()
    }
    #[inline]
    fn run(&self, word: usize) -> &[AtomicU64] {
        (**self).run(word)
    }
}

impl<M: RingMemory + ?Sized> RingMemory for Arc<M> {
    #[inline]
    fn control(&self, word: ControlWord) -> &AtomicU32 {
        (**self).control(word)
    }
    #[inline]
    fn words(&self) -> usize {
        (**self).words()
    }
    #[inline]
    fn run(&self, word: usize) -> &[AtomicU64] {
        (**self).run(word)
    }
}

/// A ring in the memory of this process, of any size that is a multiple of 8: for models, tests, and sides that are two
/// threads.
#[derive(Debug)]
pub struct HeapRing {
    control: [AtomicU32; ControlWord::ALL.len()],
    data: Box<[AtomicU64]>,
}

impl HeapRing {
    /// A zeroed ring with a data area of `bytes`.
    ///
    /// # Errors
    /// The size is not a multiple of 8 from 32 bytes to 2 GiB.
    pub fn new(bytes: u32) -> Result<Self, BadRingSize> {
        let size = RingSize::new(u64::from(bytes)).ok_or(BadRingSize { bytes: u64::from(bytes) })?;
        let data = (0..size.get() / 8).map(|_| AtomicU64::new(0)).collect();
        Ok(Self { control: core::array::from_fn(|_| AtomicU32::new(0)), data })
    }
}

impl RingMemory for HeapRing {
    #[inline]
    fn control(&self, word: ControlWord) -> &AtomicU32 {
        &self.control[word as usize]
    }
    #[inline]
    fn words(&self) -> usize {
        self.data.len()
    }
    #[inline]
    fn run(&self, word: usize) -> &[AtomicU64] {
        self.data.get(word..).unwrap_or_default()
    }
}
