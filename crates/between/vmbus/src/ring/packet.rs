//! Packets: what is in the data area.

use alloc::vec::Vec;

use zerocopy::IntoBytes;

use crate::ring::error::{Corruption, WriteError};
use crate::ring::layout::{DESCRIPTOR_BYTES, RingSize, TRAILER_BYTES};

/// The type of a packet. Open: a type that is not known here is passed on as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketType(pub u16);

impl PacketType {
    /// Payload inside the ring. The only type that Dynamic Memory uses.
    pub const IN_BAND: Self = Self(6);
    /// Payload inside the ring and in transfer pages.
    pub const TRANSFER_PAGES: Self = Self(7);
    /// Payload inside the ring and in guest pages listed in the packet.
    pub const GPA_DIRECT: Self = Self(9);
    /// The answer to a packet that asked for one.
    pub const COMPLETION: Self = Self(0xb);
}

/// `flags` bit 0 of a descriptor.
const FLAG_COMPLETION_REQUESTED: u16 = 1;

/// A packet to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutgoingPacket<'a> {
    /// Its type.
    pub kind: PacketType,
    /// Chosen by the sender; a completion repeats it.
    pub transaction_id: u64,
    /// Whether the other side is to send a completion.
    pub completion_requested: bool,
    /// The message. On the wire it is padded with zeros to a multiple of 8 bytes, and its exact length is lost.
    pub payload: &'a [u8],
    /// How many bytes at the beginning of `payload` are no message but stand before it: the page ranges of a GPA-direct packet. A multiple
    /// of 8, and 0 in all other packets.
    pub extra_bytes: usize,
}

impl<'a> OutgoingPacket<'a> {
    /// A packet of type 6 that asks for no completion.
    pub fn in_band(transaction_id: u64, payload: &'a [u8]) -> Self {
        Self {
            kind: PacketType::IN_BAND,
            transaction_id,
            completion_requested: false,
            payload,
            extra_bytes: 0,
        }
    }

    /// The same packet, which asks for a completion.
    pub fn requesting_completion(self) -> Self {
        Self { completion_requested: true, ..self }
    }

    /// The completion of a packet that asked for one.
    pub fn completion(transaction_id: u64, payload: &'a [u8]) -> Self {
        Self {
            kind: PacketType::COMPLETION,
            transaction_id,
            completion_requested: false,
            payload,
            extra_bytes: 0,
        }
    }

    /// A packet with page ranges before its message, as [`BufferRange::encode`](crate::ring::BufferRange::encode) makes both. The data are in
    /// these pages; such a packet always asks for a completion, which gives the pages back.
    pub fn gpa_direct(transaction_id: u64, ranges_and_message: &'a [u8], extra_bytes: usize) -> Self {
        let payload = ranges_and_message;
        Self {
            kind: PacketType::GPA_DIRECT,
            transaction_id,
            completion_requested: true,
            payload,
            extra_bytes,
        }
    }

    /// Bytes that a packet takes in a ring, with its trailer; `None` if no descriptor can say its length.
    pub fn ring_bytes(&self) -> Option<u32> {
        let length8 = self.payload.len().div_ceil(8) + DESCRIPTOR_BYTES as usize / 8;
        u16::try_from(length8).ok().map(|length8| u32::from(length8) * 8 + TRAILER_BYTES)
    }

    /// Bytes that the packet takes in a ring, with its trailer, and `length8`; an error if it can never be written.
    #[inline]
    pub(super) fn measure(&self, size: RingSize) -> Result<(u32, u16), WriteError> {
        let too_large = WriteError::TooLarge { payload: self.payload.len(), size: size.get() };
        let length8 = self.payload.len().div_ceil(8) + DESCRIPTOR_BYTES as usize / 8;
        let length8 = u16::try_from(length8).map_err(|_| too_large)?;
        let total = u32::from(length8) * 8 + TRAILER_BYTES;
        // Strictly less: a packet that fills the ring would make it look empty.
        if total < size.get() { Ok((total, length8)) } else { Err(too_large) }
    }

    /// The descriptor's words in memory order.
    #[inline]
    pub(super) fn descriptor(&self, length8: u16) -> [u64; 2] {
        let data_offset8 = (DESCRIPTOR_BYTES as usize + self.extra_bytes.min(self.payload.len())) / 8;
        let flags = if self.completion_requested { FLAG_COMPLETION_REQUESTED } else { 0 };
        let first = u64::from(self.kind.0)
            | (data_offset8 as u64) << 16
            | u64::from(length8) << 32
            | u64::from(flags) << 48;
        [first.to_le(), self.transaction_id.to_le()]
    }
}

/// The trailer's word in memory order: zero, then the packet's offset.
#[inline]
pub(super) fn trailer(offset: u32) -> u64 {
    (u64::from(offset) << 32).to_le()
}

/// The packet offset that a trailer names.
#[inline]
pub(super) fn trailer_offset(word: u64) -> u32 {
    (u64::from_le(word) >> 32) as u32
}

/// A descriptor's first word, checked against what is available.
#[derive(Clone, Copy, Debug)]
pub(super) struct Descriptor {
    pub(super) kind: PacketType,
    pub(super) completion_requested: bool,
    /// 8-byte words of the packet without its trailer; at least 2.
    pub(super) words: usize,
    /// 8-byte words before the payload; at least 2 and at most `words`.
    pub(super) data_offset: usize,
}

impl Descriptor {
    /// Checks the first word of the packet at `offset` as [`check`](Self::check) does, and that there is a descriptor at all.
    #[inline]
    pub(super) fn check_available(word: u64, offset: u32, available: u32) -> Result<Self, Corruption> {
        if available < DESCRIPTOR_BYTES {
            return Err(Corruption::NoDescriptor { offset, available });
        }
        Self::check(word, offset, available)
    }

    /// Checks the first word of the packet at `offset`, of which `available` bytes are there with what follows.
    #[inline]
    pub(super) fn check(word: u64, offset: u32, available: u32) -> Result<Self, Corruption> {
        let word = u64::from_le(word);
        let [kind, data_offset8, length8, flags] = [0, 16, 32, 48].map(|shift| (word >> shift) as u16);
        if u32::from(data_offset8) * 8 < DESCRIPTOR_BYTES {
            return Err(Corruption::DataInsideDescriptor { offset, data_offset8 });
        }
        if data_offset8 > length8 {
            return Err(Corruption::DataBeyondPacket { offset, data_offset8, length8 });
        }
        if u32::from(length8) * 8 + TRAILER_BYTES > available {
            return Err(Corruption::PacketBeyondAvailable { offset, length8, available });
        }
        Ok(Self {
            kind: PacketType(kind),
            completion_requested: flags & FLAG_COMPLETION_REQUESTED != 0,
            words: usize::from(length8),
            data_offset: usize::from(data_offset8),
        })
    }
}

/// Where packets are copied to before any code looks into them. The buffer is used again for each packet: it grows to the
/// largest packet and then stays.
#[derive(Clone, Debug, Default)]
pub struct PacketBuffer {
    words: Vec<u64>,
}

impl PacketBuffer {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// A buffer that holds packets with `bytes` of payload without growing.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { words: alloc::vec![0; bytes.div_ceil(8)] }
    }

    #[inline]
    pub(super) fn room(&mut self, words: usize) -> &mut [u64] {
        if self.words.len() < words {
            self.words.resize(words, 0);
        }
        &mut self.words[..words]
    }
}

/// A packet that was read. Its bytes are a private copy: the other side cannot change them any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IncomingPacket<'b> {
    /// Its type.
    pub kind: PacketType,
    /// Chosen by the sender.
    pub transaction_id: u64,
    /// Whether the sender wants a completion.
    pub completion_requested: bool,
    /// Where in the data area the packet began: with the ring it names the packet, on both sides.
    pub offset: u32,
    /// What lies between descriptor and payload (the page ranges of a GPA-direct packet); empty in-band.
    pub extra: &'b [u8],
    /// The message, with the padding of up to 7 bytes that the sender added.
    pub payload: &'b [u8],
}

impl<'b> IncomingPacket<'b> {
    /// Of words after the descriptor.
    #[inline]
    pub(super) fn new(descriptor: Descriptor, transaction_id: u64, offset: u32, words: &'b [u64]) -> Self {
        let (extra, payload) = words.split_at(descriptor.data_offset - DESCRIPTOR_BYTES as usize / 8);
        Self {
            kind: descriptor.kind,
            transaction_id,
            completion_requested: descriptor.completion_requested,
            offset,
            extra: extra.as_bytes(),
            payload: payload.as_bytes(),
        }
    }
}
