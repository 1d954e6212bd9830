//! Channel messages: decoding, encoding, and nothing else.
//!
//! Channel messages travel as SynIC messages of type 1 with at most 240 bytes: guest to host by HvPostMessage, host to guest
//! through a message slot. An 8-byte header (message type, zero) precedes the body; all integers are little-endian.
//! Decoding borrows: [`Message`] is a view of the bytes it was made from. Longer messages than their type needs are
//! taken (later versions append fields), shorter ones are not.

mod gpadl;
mod guid;
mod payload;
#[cfg(test)]
mod tests;
mod wire;

use core::fmt;

use zerocopy::FromBytes;
use zerocopy::little_endian::U32;

pub use gpadl::{
    GPADL_BODY_PAGES, GPADL_HEADER_PAGES, GpadlBody, GpadlHeader, GpadlMessages, GpadlSizeError,
    MAX_GPADL_PAGES,
};
pub use guid::WireGuid;
pub use payload::{MAX_PAYLOAD, Payload, PayloadTooLong, USER_DATA_SIZE, UserData};
pub use wire::{
    Body, CloseChannel, ContactTarget, GpadlBodyFixed, GpadlCreated, GpadlHeaderFixed, GpadlTeardown,
    GpadlTorndown, InitiateContact, ModifyChannel, ModifyChannelResponse, OfferChannel, OpenChannel,
    OpenChannelResult, RelidReleased, RescindChannelOffer, TlConnectRequest, TlConnectResult,
    VersionResponse,
};

/// Bytes before the body: message type and a zero.
pub const HEADER_SIZE: usize = 8;

/// Bits of [`OfferChannel::flags`] (documented). None is needed for a Dynamic Memory device.
pub mod offer_flags {
    /// Enumerate a device interface in the guest.
    pub const ENUMERATE_DEVICE_INTERFACE: u16 = 0x1;
    /// Named-pipe mode.
    pub const NAMED_PIPE: u16 = 0x10;
    /// A Hyper-V socket.
    pub const TLNPI_PROVIDER: u16 = 0x2000;
}

/// The type of a channel message. An open set: what is not known here is kept as it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MessageType(pub u32);

macro_rules! message_types {
    ($($name:ident = $value:literal, $text:literal, $from_guest:literal;)*) => {
        #[expect(missing_docs, reason = "the names are the protocol's own; what each does is said at its body")]
        impl MessageType {
            $(pub const $name: Self = Self($value);)*
        }

        impl MessageType {
            /// The protocol's name for it, if it is known here.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($text),)*
                    _ => None,
                }
            }

            /// Whether only hosts send it.
            pub const fn is_from_host(self) -> bool {
                match self.0 {
                    $($value => !$from_guest,)*
                    _ => false,
                }
            }

            /// Whether only guests send it.
            pub const fn is_from_guest(self) -> bool {
                match self.0 {
                    $($value => $from_guest,)*
                    _ => false,
                }
            }
        }
    };
}

message_types! {
    OFFER_CHANNEL = 1, "OFFERCHANNEL", false;
    RESCIND_CHANNEL_OFFER = 2, "RESCIND_CHANNELOFFER", false;
    REQUEST_OFFERS = 3, "REQUESTOFFERS", true;
    ALL_OFFERS_DELIVERED = 4, "ALLOFFERS_DELIVERED", false;
    OPEN_CHANNEL = 5, "OPENCHANNEL", true;
    OPEN_CHANNEL_RESULT = 6, "OPENCHANNEL_RESULT", false;
    CLOSE_CHANNEL = 7, "CLOSECHANNEL", true;
    GPADL_HEADER = 8, "GPADL_HEADER", true;
    GPADL_BODY = 9, "GPADL_BODY", true;
    GPADL_CREATED = 10, "GPADL_CREATED", false;
    GPADL_TEARDOWN = 11, "GPADL_TEARDOWN", true;
    GPADL_TORNDOWN = 12, "GPADL_TORNDOWN", false;
    RELID_RELEASED = 13, "RELID_RELEASED", true;
    INITIATE_CONTACT = 14, "INITIATE_CONTACT", true;
    VERSION_RESPONSE = 15, "VERSION_RESPONSE", false;
    UNLOAD = 16, "UNLOAD", true;
    UNLOAD_RESPONSE = 17, "UNLOAD_RESPONSE", false;
    TL_CONNECT_REQUEST = 21, "TL_CONNECT_REQUEST", true;
    MODIFY_CHANNEL = 22, "MODIFYCHANNEL", true;
    TL_CONNECT_RESULT = 23, "TL_CONNECT_RESULT", false;
    MODIFY_CHANNEL_RESPONSE = 24, "MODIFYCHANNEL_RESPONSE", false;
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "message type {}", self.0),
        }
    }
}

impl fmt::Debug for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Bytes that are no channel message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum MessageError {
    /// Not even a header.
    #[error("{0} bytes are less than a message header")]
    NoHeader(usize),
    /// Fewer bytes than its type needs.
    #[error("{kind} of {got} bytes is shorter than the {need} it needs")]
    Short {
        /// The type.
        kind: MessageType,
        /// Bytes it needs.
        need: usize,
        /// Bytes it has.
        got: usize,
    },
    /// More bytes than a SynIC message carries.
    #[error("{0} bytes are more than a message carries")]
    TooLong(usize),
    /// The page numbers do not end with the message.
    #[error("{kind} of {got} bytes ends within a page number")]
    Ragged {
        /// The type.
        kind: MessageType,
        /// Bytes it has.
        got: usize,
    },
}

/// A channel message, as a view of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message<'a> {
    /// OFFERCHANNEL.
    OfferChannel(&'a OfferChannel),
    /// RESCIND_CHANNELOFFER.
    RescindChannelOffer(&'a RescindChannelOffer),
    /// REQUESTOFFERS: guest to host, tell me of all channels.
    RequestOffers,
    /// ALLOFFERS_DELIVERED: host to guest, that were all.
    AllOffersDelivered,
    /// OPENCHANNEL.
    OpenChannel(&'a OpenChannel),
    /// OPENCHANNEL_RESULT.
    OpenChannelResult(&'a OpenChannelResult),
    /// CLOSECHANNEL.
    CloseChannel(&'a CloseChannel),
    /// GPADL_HEADER.
    GpadlHeader(GpadlHeader<'a>),
    /// GPADL_BODY.
    GpadlBody(GpadlBody<'a>),
    /// GPADL_CREATED.
    GpadlCreated(&'a GpadlCreated),
    /// GPADL_TEARDOWN.
    GpadlTeardown(&'a GpadlTeardown),
    /// GPADL_TORNDOWN.
    GpadlTorndown(&'a GpadlTorndown),
    /// RELID_RELEASED.
    RelidReleased(&'a RelidReleased),
    /// INITIATE_CONTACT.
    InitiateContact(&'a InitiateContact),
    /// VERSION_RESPONSE.
    VersionResponse(&'a VersionResponse),
    /// UNLOAD: guest to host, forget me.
    Unload,
    /// UNLOAD_RESPONSE: host to guest, forgotten.
    UnloadResponse,
    /// TL_CONNECT_REQUEST.
    TlConnectRequest(&'a TlConnectRequest),
    /// TL_CONNECT_RESULT.
    TlConnectResult(&'a TlConnectResult),
    /// MODIFYCHANNEL.
    ModifyChannel(&'a ModifyChannel),
    /// MODIFYCHANNEL_RESPONSE.
    ModifyChannelResponse(&'a ModifyChannelResponse),
    /// A type not known here, with all its bytes, header included.
    Unknown {
        /// The type.
        kind: MessageType,
        /// The whole message, at most [`MAX_PAYLOAD`] bytes.
        bytes: &'a [u8],
    },
}

fn body<T: Body>(bytes: &[u8]) -> Result<&T, MessageError> {
    let short = MessageError::Short { kind: T::KIND, need: T::SIZE, got: bytes.len() };
    let body = bytes.get(HEADER_SIZE..).ok_or(short)?;
    T::ref_from_prefix(body).map(|(body, _)| body).map_err(|_| short)
}

impl<'a> Message<'a> {
    /// The message in `bytes`.
    ///
    /// # Errors
    /// The bytes are fewer than a header, fewer than their type needs, more than a message carries, or end within a
    /// page number.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, MessageError> {
        if bytes.len() > MAX_PAYLOAD {
            return Err(MessageError::TooLong(bytes.len()));
        }
        if bytes.len() < HEADER_SIZE {
            return Err(MessageError::NoHeader(bytes.len()));
        }
        let (kind, _) = U32::ref_from_prefix(bytes).map_err(|_| MessageError::NoHeader(bytes.len()))?;
        let kind = MessageType(kind.get());
        Ok(match kind {
            MessageType::OFFER_CHANNEL => Self::OfferChannel(body(bytes)?),
            MessageType::RESCIND_CHANNEL_OFFER => Self::RescindChannelOffer(body(bytes)?),
            MessageType::REQUEST_OFFERS => Self::RequestOffers,
            MessageType::ALL_OFFERS_DELIVERED => Self::AllOffersDelivered,
            MessageType::OPEN_CHANNEL => Self::OpenChannel(body(bytes)?),
            MessageType::OPEN_CHANNEL_RESULT => Self::OpenChannelResult(body(bytes)?),
            MessageType::CLOSE_CHANNEL => Self::CloseChannel(body(bytes)?),
            MessageType::GPADL_HEADER => Self::GpadlHeader(GpadlHeader::decode(bytes)?),
            MessageType::GPADL_BODY => Self::GpadlBody(GpadlBody::decode(bytes)?),
            MessageType::GPADL_CREATED => Self::GpadlCreated(body(bytes)?),
            MessageType::GPADL_TEARDOWN => Self::GpadlTeardown(body(bytes)?),
            MessageType::GPADL_TORNDOWN => Self::GpadlTorndown(body(bytes)?),
            MessageType::RELID_RELEASED => Self::RelidReleased(body(bytes)?),
            MessageType::INITIATE_CONTACT => Self::InitiateContact(body(bytes)?),
            MessageType::VERSION_RESPONSE => Self::VersionResponse(body(bytes)?),
            MessageType::UNLOAD => Self::Unload,
            MessageType::UNLOAD_RESPONSE => Self::UnloadResponse,
            MessageType::TL_CONNECT_REQUEST => Self::TlConnectRequest(body(bytes)?),
            MessageType::TL_CONNECT_RESULT => Self::TlConnectResult(body(bytes)?),
            MessageType::MODIFY_CHANNEL => Self::ModifyChannel(body(bytes)?),
            MessageType::MODIFY_CHANNEL_RESPONSE => Self::ModifyChannelResponse(body(bytes)?),
            kind => Self::Unknown { kind, bytes },
        })
    }

    /// Its type.
    pub fn kind(&self) -> MessageType {
        match self {
            Self::OfferChannel(_) => MessageType::OFFER_CHANNEL,
            Self::RescindChannelOffer(_) => MessageType::RESCIND_CHANNEL_OFFER,
            Self::RequestOffers => MessageType::REQUEST_OFFERS,
            Self::AllOffersDelivered => MessageType::ALL_OFFERS_DELIVERED,
            Self::OpenChannel(_) => MessageType::OPEN_CHANNEL,
            Self::OpenChannelResult(_) => MessageType::OPEN_CHANNEL_RESULT,
            Self::CloseChannel(_) => MessageType::CLOSE_CHANNEL,
            Self::GpadlHeader(_) => MessageType::GPADL_HEADER,
            Self::GpadlBody(_) => MessageType::GPADL_BODY,
            Self::GpadlCreated(_) => MessageType::GPADL_CREATED,
            Self::GpadlTeardown(_) => MessageType::GPADL_TEARDOWN,
            Self::GpadlTorndown(_) => MessageType::GPADL_TORNDOWN,
            Self::RelidReleased(_) => MessageType::RELID_RELEASED,
            Self::InitiateContact(_) => MessageType::INITIATE_CONTACT,
            Self::VersionResponse(_) => MessageType::VERSION_RESPONSE,
            Self::Unload => MessageType::UNLOAD,
            Self::UnloadResponse => MessageType::UNLOAD_RESPONSE,
            Self::TlConnectRequest(_) => MessageType::TL_CONNECT_REQUEST,
            Self::TlConnectResult(_) => MessageType::TL_CONNECT_RESULT,
            Self::ModifyChannel(_) => MessageType::MODIFY_CHANNEL,
            Self::ModifyChannelResponse(_) => MessageType::MODIFY_CHANNEL_RESPONSE,
            Self::Unknown { kind, .. } => *kind,
        }
    }

    /// The bytes of the message, in exactly the size of its type; an unknown one as it came.
    pub fn to_payload(&self) -> Payload {
        match *self {
            Self::OfferChannel(body) => body.to_payload(),
            Self::RescindChannelOffer(body) => body.to_payload(),
            Self::OpenChannel(body) => body.to_payload(),
            Self::OpenChannelResult(body) => body.to_payload(),
            Self::CloseChannel(body) => body.to_payload(),
            Self::GpadlHeader(header) => header.to_payload(),
            Self::GpadlBody(body) => body.to_payload(),
            Self::GpadlCreated(body) => body.to_payload(),
            Self::GpadlTeardown(body) => body.to_payload(),
            Self::GpadlTorndown(body) => body.to_payload(),
            Self::RelidReleased(body) => body.to_payload(),
            Self::InitiateContact(body) => body.to_payload(),
            Self::VersionResponse(body) => body.to_payload(),
            Self::TlConnectRequest(body) => body.to_payload(),
            Self::TlConnectResult(body) => body.to_payload(),
            Self::ModifyChannel(body) => body.to_payload(),
            Self::ModifyChannelResponse(body) => body.to_payload(),
            Self::Unknown { bytes, .. } => Payload::new(bytes).unwrap_or(Payload::EMPTY),
            Self::RequestOffers | Self::AllOffersDelivered | Self::Unload | Self::UnloadResponse => {
                assemble(self.kind(), &[])
            }
        }
    }
}

/// Header and parts in one payload. The parts are bounded by their types, so they fit.
fn assemble(kind: MessageType, parts: &[&[u8]]) -> Payload {
    let mut payload = Payload::EMPTY;
    let header = [U32::new(kind.0), U32::ZERO];
    let mut fits = payload.append(zerocopy::IntoBytes::as_bytes(&header));
    for part in parts {
        fits = fits.and_then(|()| payload.append(part));
    }
    debug_assert!(fits.is_ok(), "{kind} does not fit a message");
    payload
}
