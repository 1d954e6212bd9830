//! What crosses between a guest and the host, byte for byte, for the record.

use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes, encoded as one piece.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Take;
        impl<'de> Visitor<'de> for Take {
            type Value = Bytes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }
            fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
                Ok(Bytes(bytes))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Bytes, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = sequence.next_element()? {
                    bytes.push(byte);
                }
                Ok(Bytes(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Take)
    }
}

/// One thing that crossed. The journal has them under the name `vmbus/VM`: what came from the guest as inputs, what went to the guest
/// as outputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecordedFrame {
    /// A SynIC message of the VMBus control plane.
    Message {
        /// The connection that the guest posted it to, or the VP whose slot the host put it into.
        target: u32,
        /// The message: at most 240 bytes.
        bytes: Bytes,
    },
    /// A packet in a ring.
    Packet {
        /// The channel.
        child_relid: u32,
        /// Type of the packet in its descriptor.
        kind: u16,
        /// Whether its sender asks for a completion (bit 0 of the descriptor's flags).
        completion_requested: bool,
        /// Transaction of the descriptor.
        transaction_id: u64,
        /// Where the packet began in the data area of its ring, in bytes.
        offset: u32,
        /// What lies between descriptor and payload.
        extra: Bytes,
        /// What it carries, with the padding to 8 bytes if the host read it.
        payload: Bytes,
    },
    /// The guest caused more than is recorded of it: so many messages and packets are missing here.
    LeftOut {
        /// How many.
        frames: u64,
    },
}

/// A frame and its direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Guest to host, else host to guest.
    pub from_guest: bool,
    /// What crossed.
    pub frame: RecordedFrame,
}

/// The frames of one wake, if they are recorded.
#[derive(Debug, Default)]
pub(super) struct Capture {
    on: bool,
    frames: Vec<Frame>,
}

/// Frames that are kept until the worker takes them, at most: a worker takes them after everything that it handles.
const KEPT: usize = 4096;

impl Capture {
    pub(super) fn switch_on(&mut self) {
        self.on = true;
    }

    /// Adds a frame, which is only made if it is wanted.
    pub(super) fn add(&mut self, from_guest: bool, frame: impl FnOnce() -> RecordedFrame) {
        if self.on && self.frames.len() < KEPT {
            self.frames.push(Frame { from_guest, frame: frame() });
        }
    }

    /// The same, unless the frame is of a channel of which nothing is kept.
    pub(super) fn add_if(&mut self, is_kept: bool, from_guest: bool, frame: impl FnOnce() -> RecordedFrame) {
        if is_kept {
            self.add(from_guest, frame);
        }
    }

    pub(super) fn drain(&mut self) -> impl Iterator<Item = Frame> + '_ {
        self.frames.drain(..)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}
