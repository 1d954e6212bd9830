//! What has to be saved of a ring beside guest memory, in which its packets and control page are.

use crate::ring::error::{BadRingSize, Corruption};
use crate::ring::incoming::{IncomingOffsets, IncomingRing};
use crate::ring::memory::RingMemory;
use crate::ring::outgoing::{OutgoingOffsets, OutgoingRing};

/// Version of the saved states that this crate writes, and the only one that it reads.
pub const SAVED_STATE_VERSION: u16 = 2;

/// Where the reader of a ring stood. See [`IncomingRing::save`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct SavedIncoming {
    version: u16,
    size: u32,
    published: u32,
    next: u32,
    write: u32,
    masked: bool,
    stale_trailers: u64,
    corrupt: Option<Corruption>,
}

/// Where the writer of a ring stood. See [`OutgoingRing::save`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct SavedOutgoing {
    version: u16,
    size: u32,
    published: u32,
    next: u32,
    read: u32,
    pending: u32,
    corrupt: Option<Corruption>,
}

/// Why a saved state cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// Another version of this crate wrote the state.
    #[error("saved ring state has version {found}, this program reads {SAVED_STATE_VERSION}")]
    Version {
        /// Its version.
        found: u16,
    },
    /// The state was saved from a ring of another size.
    #[error("saved ring state is of a ring of {found} bytes, this one has {size}")]
    Size {
        /// The size in the state.
        found: u32,
        /// The size of the ring.
        size: u32,
    },
    /// An index in it is not possible.
    #[error("saved ring state has index {index:#x}, which a ring of {size:#x} bytes does not have there")]
    Index {
        /// The index.
        index: u32,
        /// The size of the ring.
        size: u32,
    },
    /// The ring itself is not usable.
    #[error(transparent)]
    BadRing(#[from] BadRingSize),
}

fn check_header(version: u16, found: u32, size: u32) -> Result<(), RestoreError> {
    if version != SAVED_STATE_VERSION {
        return Err(RestoreError::Version { found: version });
    }
    if found == size { Ok(()) } else { Err(RestoreError::Size { found, size }) }
}

impl<M: RingMemory> IncomingRing<M> {
    /// The reader's state, in and outside of a transaction, corrupt or not.
    pub fn save(&self, offsets: &IncomingOffsets) -> SavedIncoming {
        let &IncomingOffsets { published, next, write, masked, stale_trailers, corrupt } = offsets;
        SavedIncoming {
            version: SAVED_STATE_VERSION,
            size: self.size(),
            published,
            next,
            write,
            masked,
            stale_trailers,
            corrupt,
        }
    }

    /// Goes on where `saved` left off, over the same bytes of guest memory.
    ///
    /// # Errors
    /// The state was written by another version or from a ring of another size, or an index in it is not possible.
    pub fn restore(memory: M, saved: &SavedIncoming) -> Result<(Self, IncomingOffsets), RestoreError> {
        let ring = Self::over(memory)?;
        let size = ring.ring_size();
        let &SavedIncoming {
            version,
            size: saved_size,
            published,
            next,
            write,
            masked,
            stale_trailers,
            corrupt,
        } = saved;
        check_header(version, saved_size, size.get())?;
        for index in [published, write, next] {
            if !size.has(index) {
                return Err(RestoreError::Index { index, size: size.get() });
            }
        }
        // published <= next <= write, around the end.
        if size.distance(published, next) > size.distance(published, write) {
            return Err(RestoreError::Index { index: next, size: size.get() });
        }
        Ok((ring, IncomingOffsets { published, next, write, masked, stale_trailers, corrupt }))
    }
}

impl<M: RingMemory> OutgoingRing<M> {
    /// The writer's state, in and outside of a transaction, corrupt or not.
    pub fn save(&self, offsets: &OutgoingOffsets) -> SavedOutgoing {
        let &OutgoingOffsets { published, next, read, pending, corrupt } = offsets;
        SavedOutgoing {
            version: SAVED_STATE_VERSION,
            size: self.size(),
            published,
            next,
            read,
            pending,
            corrupt,
        }
    }

    /// Goes on where `saved` left off, over the same bytes of guest memory.
    ///
    /// # Errors
    /// The state was written by another version or from a ring of another size, or an index in it is not possible.
    pub fn restore(memory: M, saved: &SavedOutgoing) -> Result<(Self, OutgoingOffsets), RestoreError> {
        let ring = Self::over(memory)?;
        let size = ring.ring_size();
        let &SavedOutgoing { version, size: saved_size, published, next, read, pending, corrupt } = saved;
        check_header(version, saved_size, size.get())?;
        for index in [published, read, next] {
            if !size.has(index) {
                return Err(RestoreError::Index { index, size: size.get() });
            }
        }
        // read <= published <= next, around the end.
        if size.distance(read, published) > size.distance(read, next) {
            return Err(RestoreError::Index { index: next, size: size.get() });
        }
        Ok((ring, OutgoingOffsets { published, next, read, pending, corrupt }))
    }
}
