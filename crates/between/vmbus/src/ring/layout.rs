//! The control page and the arithmetic of indices.

use crate::ring::error::Corruption;

/// The fields of a ring's control page. (Documented by the public Linux, OpenVMM and QEMU sources.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ControlWord {
    /// Byte offset in the data area where the writer goes on. Owned by the writer.
    WriteIndex,
    /// Byte offset in the data area where the reader goes on. Owned by the reader.
    ReadIndex,
    /// Not 0: the reader wants no signals. Owned by the reader.
    InterruptMask,
    /// Not 0: the writer waits until more than so many bytes are free. Owned by the writer.
    PendingSendSize,
    /// Bit 0: see [`FEATURE_PENDING_SEND_SIZE`]. Owned by the writer.
    FeatureBits,
}

impl ControlWord {
    /// All fields.
    pub const ALL: [Self; 5] =
        [Self::WriteIndex, Self::ReadIndex, Self::InterruptMask, Self::PendingSendSize, Self::FeatureBits];

    /// Position in the control page, in 32-bit words: byte offset 0, 4, 8, 12 and 64.
    pub const fn position(self) -> usize {
        match self {
            Self::WriteIndex => 0,
            Self::ReadIndex => 1,
            Self::InterruptMask => 2,
            Self::PendingSendSize => 3,
            Self::FeatureBits => 16,
        }
    }
}

/// The writer of this ring sets `pending_send_sz` when it is blocked, so the reader has to look at it.
pub const FEATURE_PENDING_SEND_SIZE: u32 = 1;

/// Bytes of a packet's descriptor.
pub(crate) const DESCRIPTOR_BYTES: u32 = 16;
/// Bytes after each packet: zero, and the packet's own offset.
pub(crate) const TRAILER_BYTES: u32 = 8;
/// The smallest data area in which an empty packet fits.
pub(crate) const MIN_RING_BYTES: u32 = 32;
/// Two indices can be added without overflow. A GPADL has at most 8191 pages (32 MiB), so no real ring comes near.
pub(crate) const MAX_RING_BYTES: u32 = 1 << 31;

/// The size of a data area in bytes, known to be usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RingSize(u32);

impl RingSize {
    pub(crate) fn new(bytes: u64) -> Option<Self> {
        let size = u32::try_from(bytes).ok()?;
        (size.is_multiple_of(8) && (MIN_RING_BYTES..=MAX_RING_BYTES).contains(&size)).then_some(Self(size))
    }

    pub(crate) fn get(self) -> u32 {
        self.0
    }

    /// Whether an index has a possible value.
    pub(crate) fn has(self, index: u32) -> bool {
        index < self.0 && index.is_multiple_of(8)
    }

    /// `index` moved on by `bytes`, at most the size, around the end.
    #[inline]
    pub(crate) fn advance(self, index: u32, bytes: u32) -> u32 {
        let next = index + bytes;
        if next >= self.0 { next - self.0 } else { next }
    }

    /// Bytes from one index forward to another; 0 if they are the same.
    #[inline]
    pub(crate) fn distance(self, from: u32, to: u32) -> u32 {
        if to >= from { to - from } else { to + self.0 - from }
    }

    /// Bytes not in use: all of them when the ring is empty. One byte must stay free, or a full ring would look empty.
    #[inline]
    pub(crate) fn free(self, write: u32, read: u32) -> u32 {
        self.0 - self.distance(read, write)
    }

    /// Checks a write index that the other side has stored.
    #[inline]
    pub(crate) fn check_write_index(self, index: u32) -> Result<u32, Corruption> {
        if self.has(index) { Ok(index) } else { Err(Corruption::WriteIndex { index, size: self.0 }) }
    }

    /// Checks a read index that the other side has stored.
    #[inline]
    pub(crate) fn check_read_index(self, index: u32) -> Result<u32, Corruption> {
        if self.has(index) { Ok(index) } else { Err(Corruption::ReadIndex { index, size: self.0 }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for bad in [0, 8, 24, 33, 44, (1 << 31) + 8, 1 << 32, u64::MAX] {
            assert_eq!(RingSize::new(bad), None, "{bad}");
        }
        for good in [32, 48, 4096, 1 << 31] {
            assert_eq!(u64::from(RingSize::new(good).unwrap().get()), good);
        }
    }

    #[test]
    fn indices_go_around() {
        let size = RingSize::new(64).unwrap();
        assert_eq!([size.distance(8, 8), size.distance(8, 24), size.distance(24, 8)], [0, 16, 48]);
        assert_eq!([size.free(8, 8), size.free(24, 8), size.free(8, 24)], [64, 48, 16]);
        assert_eq!([size.advance(48, 8), size.advance(48, 16), size.advance(48, 40)], [56, 0, 24]);
        assert!(size.has(56) && !size.has(64) && !size.has(4) && !size.has(u32::MAX));
        let largest = RingSize::new(1 << 31).unwrap();
        assert_eq!(largest.advance((1 << 31) - 8, 1 << 31), (1 << 31) - 8);
    }
}
