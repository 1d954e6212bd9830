//! Decisions made from bytes.

/// A supply of bytes from which a fuzz function makes its decisions. When it has run dry, every byte is zero.
#[derive(Clone, Debug)]
pub struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// Decisions from these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether there is nothing left to decide from.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((&first, rest)) => {
                self.0 = rest;
                first
            }
            None => 0,
        }
    }

    /// A number below `bound` (which is at least 1).
    pub fn below(&mut self, bound: u32) -> u32 {
        u32::from(self.byte()) % bound.max(1)
    }

    /// One number in sixteen is any at all, the others are below `bound`.
    pub fn mostly_below(&mut self, bound: u32) -> u32 {
        if self.below(16) == 0 { self.word() } else { self.below(bound) }
    }

    /// The next four bytes as a number.
    pub fn word(&mut self) -> u32 {
        u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    /// Yes or no.
    pub fn flag(&mut self) -> bool {
        self.byte() & 1 != 0
    }

    /// The next bytes, at most `most`; how many is decided too.
    pub fn slice(&mut self, most: usize) -> &'a [u8] {
        let wanted = usize::from(self.byte()) % (most + 1);
        let (now, later) = self.0.split_at(wanted.min(self.0.len()));
        self.0 = later;
        now
    }
}
