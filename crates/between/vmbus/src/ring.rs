//! Ring buffers: how the bytes of a channel cross from one partition to the other.
//!
//! A channel has two rings in guest memory, one for each direction. Each is a control page, which both sides write
//! (every field has one owner), and data pages with packets. The ring of the sender's side is an [`OutgoingRing`], the
//! other one an [`IncomingRing`], over any [`RingMemory`]. Both are immutable views: what changes is in *offsets* that the
//! caller owns, so that several packets can be written, or read, before anything is published:
//!
//! ```
//! use vmbus::ring::{HeapRing, IncomingRing, OutgoingPacket, OutgoingRing, PacketBuffer, ReadError, Signal, Wait};
//!
//! let memory = HeapRing::new(4096)?;
//! let (outgoing, mut out) = OutgoingRing::open(&memory)?;
//! let (incoming, mut inc) = IncomingRing::open(&memory)?;
//!
//! outgoing.write(&mut out, &OutgoingPacket::in_band(1, b"balloon"))?;
//! outgoing.write(&mut out, &OutgoingPacket::in_band(2, b"unballoon"))?;
//! assert_eq!(outgoing.commit(&mut out)?, Signal::Needed); // the ring was empty, the reader sleeps: ring its doorbell
//!
//! let mut buffer = PacketBuffer::new();
//! let mut seen = Vec::new();
//! loop {
//!     match incoming.read(&mut inc, &mut buffer) {
//!         Ok(packet) => seen.push(packet.transaction_id),
//!         Err(ReadError::Empty) => break,
//!         Err(ReadError::Corrupt(corruption)) => return Err(corruption.into()), // close the channel
//!     }
//! }
//! assert_eq!(seen, [1, 2]);
//! // Publish what was read and ask for a signal in one step. `Ready` would mean that there is more already.
//! assert_eq!(incoming.commit_and_wait(&mut inc)?.wait, Wait::Armed);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is not trusted
//! Everything that the other side can write: its index, its mask, its pending send size, every byte of data. Indices are
//! checked whenever they are loaded, also against going backwards or past what can be there; a packet is checked
//! against what is available and copied out before any code looks into it. One violation ([`Corruption`]) is final: the
//! offsets refuse everything from then on, and the channel is to be closed. Our own indices live in the offsets and are
//! never read back from the control page.
//!
//! # Who is signalled, and when
//! A writer signals when its commit made an empty ring non-empty and the reader has not masked interrupts; a reader
//! when its commit gave a blocked writer the space that it asked for. Nothing else is ever signalled (Linux' ring source
//! says that Hyper-V throttles guests that signal more), and nothing less, or the other side sleeps for ever. Both
//! decisions have the same shape, *store mine; full fence; load theirs*, on both sides; `loom` models prove that no wake-up
//! is lost, and that they would see it if a fence, a re-check or the order were different (`loom_tests.rs`).
//!
//! The fast path reads nothing of the control page: both indices are kept privately, the reader holds the mask at 1 while it
//! drains, and a commit costs one fence.

mod batch;
mod copy;
mod error;
mod gpa_direct;
mod incoming;
mod layout;
mod memory;
mod outgoing;
mod packet;
mod saved;

#[cfg(all(feature = "std", not(loom)))]
mod channel;
#[cfg(all(feature = "std", not(loom)))]
mod guest_buffer;
#[cfg(any(test, feature = "test-support"))]
pub mod test_support;

pub use batch::{ReadBatch, WriteBatch};
#[cfg(all(feature = "std", not(loom)))]
pub use channel::{ChannelRings, RingLayoutError, RingPages, Role};
pub use error::{BadRingSize, Corruption, OpenError, ReadError, WriteError};
pub use gpa_direct::{BadRanges, BufferRange};
#[cfg(all(feature = "std", not(loom)))]
pub use guest_buffer::{BufferRefused, GuestBuffer};
pub use incoming::{IncomingOffsets, IncomingRing};
pub use layout::{ControlWord, FEATURE_PENDING_SEND_SIZE};
pub use memory::{HeapRing, RingMemory};
pub use outgoing::{OutgoingOffsets, OutgoingRing};
pub use packet::{IncomingPacket, OutgoingPacket, PacketBuffer, PacketType};
pub use saved::{RestoreError, SAVED_STATE_VERSION, SavedIncoming, SavedOutgoing};

/// Whether the other side is to be signalled now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the other side may sleep until it is signalled"]
pub enum Signal {
    /// Signal it: set its event flag, or call HvSignalEvent.
    Needed,
    /// Do not: it is awake, or has nothing to do. A needless signal is an error too.
    NotNeeded,
}

impl Signal {
    /// Whether to signal.
    pub fn is_needed(self) -> bool {
        self == Self::Needed
    }

    fn when(needed: bool) -> Self {
        if needed { Self::Needed } else { Self::NotNeeded }
    }
}

/// Whether the other side will signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "what is waited for may be there already: then no signal comes"]
pub enum Wait {
    /// What the caller waits for is not there yet; the other side will signal when it is.
    Armed,
    /// What the caller waits for is there already: go on. No signal will come for it.
    Ready,
}

/// What a commit says when the caller wants to sleep afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the other side may sleep until it is signalled"]
pub struct Committed {
    /// Whether the other side is to be signalled, whatever `wait` says.
    pub signal: Signal,
    /// Whether the caller may sleep.
    pub wait: Wait,
}

/// What a negative model leaves out of a mechanism, to prove that the model would see it. Production code passes
/// [`omit::NOTHING`], a constant.
mod omit {
    pub(super) const NOTHING: u8 = 0;
    /// The full fence between storing one's own field and loading the other side's.
    pub(super) const FENCE: u8 = 1;
    /// The look at the other side's field after arming.
    pub(super) const RECHECK: u8 = 2;
    /// Release order of the index that publishes data.
    pub(super) const RELEASE: u8 = 3;
    /// Publishing the index before arming, not after.
    pub(super) const ORDER: u8 = 4;
    /// Loading the other side's index again after the fence: the private copy is used for the decision.
    pub(super) const RELOAD: u8 = 5;

    /// Whether a mechanism from which `omitted` is left out has this `part`.
    pub(super) const fn keeps(omitted: u8, part: u8) -> bool {
        omitted != part
    }

    /// Whether `part` is what is left out of a mechanism.
    pub(super) const fn leaves_out(omitted: u8, part: u8) -> bool {
        omitted == part
    }
}

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
