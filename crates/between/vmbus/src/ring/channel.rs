//! The two rings of a channel, in the pages of its GPADL.

use model_sync::shared::{AtomicU32, AtomicU64, Ordering};
use partition::{ControlPage, DataPages, MappedPages, ViewError};

use crate::ring::{
    Committed, ControlWord, Corruption, FEATURE_PENDING_SEND_SIZE, IncomingOffsets, IncomingPacket,
    IncomingRing, OpenError, OutgoingOffsets, OutgoingPacket, OutgoingRing, PacketBuffer, ReadError,
    RingMemory, Signal, WriteError,
};

/// Why the pages of a GPADL are not the rings of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RingLayoutError {
    /// Each ring needs a control page and a data page, so the downstream ring begins at page 2 or later and has 2 pages
    /// or more.
    #[error(
        "{pages} pages with the downstream ring at page {downstream} do not hold two rings of 2 pages or more"
    )]
    TooSmall {
        /// Pages of the GPADL.
        pages: usize,
        /// Page at which the downstream ring begins.
        downstream: u32,
    },
    /// A page occurs as control page and as data page, in these rings or in others that are open.
    #[error(transparent)]
    PageInUse(#[from] ViewError),
    /// A ring does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Which side of the channel this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The parent partition: reads the upstream ring, writes the downstream ring.
    Host,
    /// The child partition: the other way round. The child makes the rings: both control pages are initialised.
    Guest,
}

/// The memory of one ring in guest pages.
#[derive(Debug)]
pub struct RingPages {
    control: ControlPage,
    data: DataPages,
}

impl RingPages {
    /// A control page and the data pages after it; at least two pages.
    ///
    /// # Errors
    /// There are fewer than two pages, or a page is in use in the other width.
    pub fn new(pages: &MappedPages) -> Result<Self, RingLayoutError> {
        let too_small = RingLayoutError::TooSmall { pages: pages.len(), downstream: 0 };
        let control = pages.get(0).ok_or(too_small)?;
        let data = pages.slice(1..pages.len()).filter(|data| !data.is_empty()).ok_or(too_small)?;
        Ok(Self { control: control.control()?, data: data.data()? })
    }

    /// The control page of a ring that has nothing in it.
    fn initialise(&self) {
        self.control.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        self.control(ControlWord::FeatureBits).store(FEATURE_PENDING_SEND_SIZE.to_le(), Ordering::Release);
    }
}

impl RingMemory for RingPages {
    #[inline]
    fn control(&self, word: ControlWord) -> &AtomicU32 {
        &self.control[word.position()]
    }
    #[inline]
    fn words(&self) -> usize {
        self.data.len()
    }
    #[inline]
    fn run(&self, word: usize) -> &[AtomicU64] {
        self.data.run(word)
    }
}

/// Both rings of an open channel, with this side's offsets.
///
/// The methods are those of the rings. A caller that holds the offsets elsewhere takes the fields apart.
#[derive(Debug)]
pub struct ChannelRings<M = RingPages> {
    /// The ring that the other side writes.
    pub incoming: IncomingRing<M>,
    /// Where this side reads.
    pub incoming_offsets: IncomingOffsets,
    /// The ring that this side writes.
    pub outgoing: OutgoingRing<M>,
    /// Where this side writes.
    pub outgoing_offsets: OutgoingOffsets,
}

impl ChannelRings<RingPages> {
    /// The rings in the pages of a GPADL: upstream (guest to host) in the pages before `downstream`, which comes from
    /// OPENCHANNEL, downstream in the others.
    ///
    /// A guest opens first, then sends OPENCHANNEL. There may be packets already when the host opens, and it may have
    /// missed the signal for them: read before the first sleep.
    ///
    /// # Errors
    /// The split leaves a ring fewer than two pages, a page is in use in the other width, or an index in a control
    /// page is not possible.
    pub fn open(pages: &MappedPages, downstream: u32, role: Role) -> Result<Self, RingLayoutError> {
        let total = pages.len();
        let too_small = RingLayoutError::TooSmall { pages: total, downstream };
        let split = usize::try_from(downstream).map_err(|_| too_small)?;
        if split < 2 || total < split.saturating_add(2) {
            return Err(too_small);
        }
        let half = |range| RingPages::new(&pages.slice(range).ok_or(too_small)?);
        let (upstream, downstream) = (half(0..split)?, half(split..total)?);
        let (incoming, outgoing) = match role {
            Role::Host => (upstream, downstream),
            Role::Guest => {
                upstream.initialise();
                downstream.initialise();
                (downstream, upstream)
            }
        };
        let (incoming, incoming_offsets) = IncomingRing::open(incoming)?;
        let (outgoing, outgoing_offsets) = OutgoingRing::open(outgoing)?;
        Ok(Self { incoming, incoming_offsets, outgoing, outgoing_offsets })
    }
}

impl<M: RingMemory> ChannelRings<M> {
    /// See [`IncomingRing::read`].
    ///
    /// # Errors
    /// The ring is empty, or the other side broke the format.
    #[inline]
    pub fn read<'b>(&mut self, buffer: &'b mut PacketBuffer) -> Result<IncomingPacket<'b>, ReadError> {
        self.incoming.read(&mut self.incoming_offsets, buffer)
    }

    /// See [`IncomingRing::commit`].
    ///
    /// # Errors
    /// The other side broke the format.
    #[inline]
    pub fn commit_read(&mut self) -> Result<Signal, Corruption> {
        self.incoming.commit(&mut self.incoming_offsets)
    }

    /// See [`IncomingRing::commit_and_wait`].
    ///
    /// # Errors
    /// The other side broke the format.
    #[inline]
    pub fn wait_for_packet(&mut self) -> Result<Committed, Corruption> {
        self.incoming.commit_and_wait(&mut self.incoming_offsets)
    }

    /// See [`OutgoingRing::write`].
    ///
    /// # Errors
    /// The packet does not fit now, or never, or the other side broke the format.
    #[inline]
    pub fn write(&mut self, packet: &OutgoingPacket<'_>) -> Result<u32, WriteError> {
        self.outgoing.write(&mut self.outgoing_offsets, packet)
    }

    /// See [`OutgoingRing::commit`].
    ///
    /// # Errors
    /// The other side broke the format.
    #[inline]
    pub fn commit_write(&mut self) -> Result<Signal, Corruption> {
        self.outgoing.commit(&mut self.outgoing_offsets)
    }

    /// See [`OutgoingRing::commit_and_wait`].
    ///
    /// # Errors
    /// The other side broke the format.
    pub fn wait_for_space(&mut self, needed: u32) -> Result<Committed, Corruption> {
        self.outgoing.commit_and_wait(&mut self.outgoing_offsets, needed)
    }

    /// Whether the other side, as reader, looks at the pending send size. It says so as writer of its own ring. If it
    /// does not, a writer without space has to poll.
    pub fn peer_honours_pending_send_size(&self) -> bool {
        self.incoming.writer_uses_pending_send_size()
    }
}
