//! The frame that all services speak in.

use alloc::vec::Vec;

use zerocopy::{FromBytes, IntoBytes};

use crate::Version;
use crate::wire::{Header, PipeHeader};

/// Bytes of a message at most, headers included (documented: OpenVMM, `MAX_MESSAGE_SIZE`).
pub const MAX_MESSAGE: usize = 13_312;

/// Of a pipe header: data follow.
const DATA: u32 = 1;

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// There are fewer bytes than the headers have.
    #[error("a packet of {length} bytes has no room for the headers")]
    NoHeader {
        /// Bytes in the packet.
        length: usize,
    },
    /// A header claims more bytes than the packet has.
    #[error("a header claims {claimed} bytes where {there} are")]
    BeyondPacket {
        /// What the header says.
        claimed: usize,
        /// What there is.
        there: usize,
    },
    /// The body is shorter than the message's type requires.
    #[error("a body of {length} bytes, at least {minimum} needed")]
    TooShort {
        /// Bytes of the body.
        length: usize,
        /// Bytes that it must have at least.
        minimum: usize,
    },
    /// A key or a value claims more bytes than it has room for, or is no UTF-16 that ends in a zero.
    #[error("a key or value of {size} bytes is not one")]
    NotText {
        /// Bytes claimed.
        size: u32,
    },
    /// An operation, pool or type of value that no version knows.
    #[error("{0} is no operation, pool or type of value")]
    Unknown(u32),
}

/// The type of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageType(pub u16);

impl MessageType {
    /// Both tell which versions they speak.
    pub const NEGOTIATE: Self = Self(0);
    /// Of the heartbeat service.
    pub const HEARTBEAT: Self = Self(1);
    /// Of the service for key-value pairs.
    pub const KEY_VALUE: Self = Self(2);
    /// Of the shutdown service.
    pub const SHUTDOWN: Self = Self(3);
    /// Of the time synchronization service.
    pub const TIME_SYNC: Self = Self(4);
}

/// What came of a request, an HRESULT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Status(pub u32);

impl Status {
    /// Done, or will be.
    pub const OK: Self = Self(0);
    /// Not done (`E_FAIL`).
    pub const FAILED: Self = Self(0x8000_4005);
    /// There is nothing under this index (`ERROR_NO_MORE_ITEMS`).
    pub const NO_MORE_ITEMS: Self = Self(0x8007_0103);
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flags(pub u8);

impl Flags {
    /// From the host, and to be answered.
    pub const REQUEST: Self = Self(1 | 2);
    /// The guest's answer.
    pub const RESPONSE: Self = Self(1 | 4);

    /// Whether the message is an answer.
    #[must_use]
    pub const fn is_response(self) -> bool {
        self.0 & 4 != 0
    }

    /// Whether the message is a request that is to be answered.
    #[must_use]
    pub const fn is_request(self) -> bool {
        self.0 & 2 != 0
    }
}

/// A message of any service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Version of the frame; of a negotiation, not yet of meaning.
    pub framework: Version,
    /// Type.
    pub kind: MessageType,
    /// Version of the service's messages.
    pub version: Version,
    /// What came of the request, in an answer.
    pub status: Status,
    /// Number of the request, repeated in its answer.
    pub transaction: u8,
    /// Request or answer.
    pub flags: Flags,
    /// The rest.
    pub body: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads the payload of a packet. What follows the body, as the pipe header has it, is not looked at.
    ///
    /// # Errors
    /// The packet is shorter than it claims to be.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let none = |_| DecodeError::NoHeader { length: payload.len() };
        let (pipe, rest) = PipeHeader::ref_from_prefix(payload).map_err(|_| none(()))?;
        let rest = first(rest, pipe.size.get() as usize)?;
        let (header, body) = Header::ref_from_prefix(rest).map_err(|_| none(()))?;
        Ok(Self {
            framework: header.framework.into(),
            kind: MessageType(header.kind.get()),
            version: header.version.into(),
            status: Status(header.status.get()),
            transaction: header.transaction,
            flags: Flags(header.flags),
            body: first(body, header.size.get().into())?,
        })
    }

    /// The payload of a packet. A body that is longer than any message may be is cut off.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        const HEADERS: usize = size_of::<PipeHeader>() + size_of::<Header>();
        let body = &self.body[..self.body.len().min(MAX_MESSAGE - HEADERS)];
        let header = Header {
            framework: self.framework.into(),
            kind: self.kind.0.into(),
            version: self.version.into(),
            size: (body.len() as u16).into(),
            status: self.status.0.into(),
            transaction: self.transaction,
            flags: self.flags.0,
            reserved: [0; 2],
        };
        let pipe = PipeHeader { kind: DATA.into(), size: ((size_of::<Header>() + body.len()) as u32).into() };
        [pipe.as_bytes(), header.as_bytes(), body].concat()
    }
}

fn first(bytes: &[u8], claimed: usize) -> Result<&[u8], DecodeError> {
    bytes.get(..claimed).ok_or(DecodeError::BeyondPacket { claimed, there: bytes.len() })
}

/// The layout that a body begins with.
pub(crate) fn layout<T>(body: &[u8]) -> Result<(&T, &[u8]), DecodeError>
where
    T: FromBytes + zerocopy::Immutable + zerocopy::KnownLayout + zerocopy::Unaligned,
{
    T::ref_from_prefix(body)
        .map_err(|_| DecodeError::TooShort { length: body.len(), minimum: size_of::<T>() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    /// A heartbeat request as the layouts of the public headers have it, byte for byte.
    #[test]
    fn the_bytes_are_those_of_the_headers() {
        let message = Message {
            framework: Version::new(3, 0),
            kind: MessageType::HEARTBEAT,
            version: Version::new(3, 0),
            status: Status::OK,
            transaction: 9,
            flags: Flags::REQUEST,
            body: &[5, 0, 0, 0, 0, 0, 0, 0],
        };
        let bytes = message.encode();
        assert_eq!(
            bytes,
            vec![
                1, 0, 0, 0, 28, 0, 0, 0, // pipe
                3, 0, 0, 0, 1, 0, 3, 0, 0, 0, 8, 0, 0, 0, 0, 0, 9, 3, 0, 0, // header
                5, 0, 0, 0, 0, 0, 0, 0
            ]
        );
        assert_eq!(Message::decode(&bytes), Ok(message));
    }

    #[test]
    fn claims_beyond_the_packet_are_errors() {
        let message = Message {
            framework: Version::new(3, 0),
            kind: MessageType::SHUTDOWN,
            version: Version::new(3, 2),
            status: Status::OK,
            transaction: 0,
            flags: Flags::REQUEST,
            body: &[0; 4],
        };
        let bytes = message.encode();
        let mut long = bytes.clone();
        long[4] = 25;
        assert_eq!(Message::decode(&long), Err(DecodeError::BeyondPacket { claimed: 25, there: 24 }));
        let mut long = bytes.clone();
        long[18] = 5;
        assert_eq!(Message::decode(&long), Err(DecodeError::BeyondPacket { claimed: 5, there: 4 }));
        assert_eq!(Message::decode(&bytes[..7]), Err(DecodeError::NoHeader { length: 7 }));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(message) = Message::decode(&bytes) {
                let again = message.encode();
                prop_assert_eq!(Message::decode(&again), Ok(message));
            }
        }
    }
}
