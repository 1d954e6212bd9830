//! What can be wrong with a ring. Corrupt, empty and full are different things, so they are different types.

/// The other side broke the format. Final: close the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Corruption {
    /// The write index is not an 8-aligned offset of the data area.
    #[error("write index {index:#x} in a ring of {size:#x} bytes")]
    WriteIndex {
        /// The index.
        index: u32,
        /// Size of the data area.
        size: u32,
    },
    /// The read index is not an 8-aligned offset of the data area.
    #[error("read index {index:#x} in a ring of {size:#x} bytes")]
    ReadIndex {
        /// The index.
        index: u32,
        /// Size of the data area.
        size: u32,
    },
    /// The writer took back packets, or wrote over packets that had not been read.
    #[error("write index moved from {from:#x} to {to:#x}, which is not forward in free space")]
    WriteIndexMoved {
        /// Where it was seen last.
        from: u32,
        /// Where it is now.
        to: u32,
    },
    /// The reader un-read packets, or claims to have read what was never written.
    #[error("read index moved from {from:#x} to {to:#x}, which is not forward in written packets")]
    ReadIndexMoved {
        /// Where it was seen last.
        from: u32,
        /// Where it is now.
        to: u32,
    },
    /// Fewer bytes than a descriptor are there.
    #[error("{available} bytes at {offset:#x} are less than a descriptor")]
    NoDescriptor {
        /// Where the packet begins.
        offset: u32,
        /// Bytes to the write index.
        available: u32,
    },
    /// `data_offset8` points into the descriptor.
    #[error("data of the packet at {offset:#x} begins inside its descriptor (data_offset8 {data_offset8})")]
    DataInsideDescriptor {
        /// Where the packet begins.
        offset: u32,
        /// The field.
        data_offset8: u16,
    },
    /// `data_offset8` points beyond the packet.
    #[error(
        "data of the packet at {offset:#x} begins beyond it (data_offset8 {data_offset8}, length8 {length8})"
    )]
    DataBeyondPacket {
        /// Where the packet begins.
        offset: u32,
        /// The field.
        data_offset8: u16,
        /// The field.
        length8: u16,
    },
    /// The packet and its trailer are longer than what is there.
    #[error(
        "the packet at {offset:#x} has length8 {length8} and a trailer, but {available} bytes are available"
    )]
    PacketBeyondAvailable {
        /// Where the packet begins.
        offset: u32,
        /// The field.
        length8: u16,
        /// Bytes to the write index.
        available: u32,
    },
}

/// Why no packet was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// There is none.
    #[error("the ring is empty")]
    Empty,
    /// See [`Corruption`].
    #[error(transparent)]
    Corrupt(#[from] Corruption),
}

/// Why a packet was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Not now: the reader has not read enough. See [`super::OutgoingRing::commit_and_wait`].
    #[error("the ring is full: {needed} bytes are needed")]
    Full {
        /// Bytes of the packet and its trailer. More than these must be free.
        needed: u32,
    },
    /// Never: the packet does not fit this ring, or its length does not fit the descriptor.
    #[error("a packet with {payload} bytes of payload does not fit a ring of {size} bytes")]
    TooLarge {
        /// Bytes of payload.
        payload: usize,
        /// Size of the data area.
        size: u32,
    },
    /// See [`Corruption`].
    #[error(transparent)]
    Corrupt(#[from] Corruption),
}

/// A data area that is not a multiple of 8, too small for a packet, or larger than 2 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a ring of {bytes} bytes: it needs a multiple of 8, at least 32 and at most 2^31")]
pub struct BadRingSize {
    /// Size of the data area.
    pub bytes: u64,
}

/// Why a ring cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// See [`BadRingSize`].
    #[error(transparent)]
    Size(#[from] BadRingSize),
    /// An index in the control page is not possible.
    #[error(transparent)]
    Corrupt(#[from] Corruption),
}
