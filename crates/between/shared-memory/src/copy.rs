//! Copying bytes in and out of a page, in whatever width the page is in use.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::claim::Withdrawn;
use crate::size::PAGE_BYTES;
use crate::view::{Page, Words};

/// A copy that would leave its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{len} bytes at offset {offset} are not inside one page")]
pub struct OutOfPage {
    /// First byte, relative to the page.
    pub offset: usize,
    /// Number of bytes.
    pub len: usize,
}

/// Why bytes of a page could not be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CopyError {
    /// The bytes would not be inside the page.
    #[error(transparent)]
    OutOfPage(#[from] OutOfPage),
    /// The page is withdrawn.
    #[error(transparent)]
    Withdrawn(#[from] Withdrawn),
}

/// An atomic word that can be copied bytewise. All accesses are relaxed: who needs an order makes it elsewhere.
trait Word {
    const BYTES: usize;
    fn load_bytes(&self, within: usize, out: &mut [u8]);
    fn store_bytes(&self, within: usize, bytes: &[u8]);
}

macro_rules! word {
    ($atomic:ty, $int:ty) => {
        impl Word for $atomic {
            const BYTES: usize = size_of::<$int>();

            fn load_bytes(&self, within: usize, out: &mut [u8]) {
                let bytes = self.load(Ordering::Relaxed).to_ne_bytes();
                if let Ok(whole) = <&mut [u8; size_of::<$int>()]>::try_from(&mut *out) {
                    *whole = bytes;
                    return;
                }
                out.copy_from_slice(&bytes[within..within + out.len()]);
            }

            fn store_bytes(&self, within: usize, bytes: &[u8]) {
                if let Ok(whole) = <[u8; size_of::<$int>()]>::try_from(bytes) {
                    return self.store(<$int>::from_ne_bytes(whole), Ordering::Relaxed);
                }
                // Part of a word: another thread, or the guest, may write the neighbouring bytes at this moment.
                let mut current = self.load(Ordering::Relaxed);
                loop {
                    let mut merged = current.to_ne_bytes();
                    merged[within..within + bytes.len()].copy_from_slice(bytes);
                    let merged = <$int>::from_ne_bytes(merged);
                    match self.compare_exchange_weak(current, merged, Ordering::Relaxed, Ordering::Relaxed) {
                        Ok(_) => return,
                        Err(now) => current = now,
                    }
                }
            }
        }
    };
}
word!(AtomicU32, u32);
word!(AtomicU64, u64);

/// Copies bytes out of words, from `offset` on: the rest of a word, then whole words, then the beginning of a word.
fn load<W: Word>(words: &[W], offset: usize, out: &mut [u8]) {
    if out.is_empty() {
        return;
    }
    let (words, within) = (&words[offset / W::BYTES..], offset % W::BYTES);
    let (start, rest) = out.split_at_mut((W::BYTES - within).min(out.len()));
    words[0].load_bytes(within, start);
    for (word, part) in words[1..].iter().zip(rest.chunks_mut(W::BYTES)) {
        word.load_bytes(0, part);
    }
}

/// Copies bytes into words, as [`load`] copies them out.
fn store<W: Word>(words: &[W], offset: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let (words, within) = (&words[offset / W::BYTES..], offset % W::BYTES);
    let (start, rest) = bytes.split_at((W::BYTES - within).min(bytes.len()));
    words[0].store_bytes(within, start);
    for (word, part) in words[1..].iter().zip(rest.chunks(W::BYTES)) {
        word.store_bytes(0, part);
    }
}

impl Page {
    fn check(offset: usize, len: usize) -> Result<(), OutOfPage> {
        match offset.checked_add(len) {
            Some(end) if end <= PAGE_BYTES => Ok(()),
            _ => Err(OutOfPage { offset, len }),
        }
    }

    /// Copies bytes out. Bytes of one aligned word are consistent with each other; others may tear.
    ///
    /// # Errors
    /// If the bytes are not inside the page, or the page is withdrawn.
    pub fn read(&self, offset: usize, out: &mut [u8]) -> Result<(), CopyError> {
        Self::check(offset, out.len())?;
        self.with_words(|words| match words {
            Words::Bits32(words) => load(words, offset, out),
            Words::Bits64(words) => load(words, offset, out),
        })?;
        Ok(())
    }

    /// Copies bytes in. Neighbouring bytes of the same word are left as they are, even if written concurrently.
    ///
    /// # Errors
    /// If the bytes are not inside the page, or the page is withdrawn.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> Result<(), CopyError> {
        Self::check(offset, bytes.len())?;
        self.with_words(|words| match words {
            Words::Bits32(words) => store(words, offset, bytes),
            Words::Bits64(words) => store(words, offset, bytes),
        })?;
        Ok(())
    }
}
