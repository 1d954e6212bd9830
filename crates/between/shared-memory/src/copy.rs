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

/// Splits `len` bytes at `offset` into pieces inside one word each: (word, offset within it, bytes done, piece length).
fn pieces(
    word_bytes: usize,
    offset: usize,
    len: usize,
) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        (done < len).then(|| {
            let (word, within) = ((offset + done) / word_bytes, (offset + done) % word_bytes);
            let piece = (word_bytes - within).min(len - done);
            let at = done;
            done += piece;
            (word, within, at, piece)
        })
    })
}

fn load<W: Word>(words: &[W], offset: usize, out: &mut [u8]) {
    for (word, within, at, piece) in pieces(W::BYTES, offset, out.len()) {
        words[word].load_bytes(within, &mut out[at..at + piece]);
    }
}

fn store<W: Word>(words: &[W], offset: usize, bytes: &[u8]) {
    for (word, within, at, piece) in pieces(W::BYTES, offset, bytes.len()) {
        words[word].store_bytes(within, &bytes[at..at + piece]);
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
