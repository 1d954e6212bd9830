//! From messages to bytes.

use crate::message::*;
use crate::{MAX_GUEST_PAYLOAD, MAX_HOST_PAYLOAD, MessageType, Sender, WireRange, wire};
use zerocopy::{Immutable, IntoBytes};

/// Why a message was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The message is longer than its sender may send.
    #[error("{message_type} of {size} bytes, at most {limit} allowed")]
    TooLong {
        /// Type of the message.
        message_type: MessageType,
        /// The size that it would have.
        size: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The caller's buffer is too small.
    #[error("a message of {size} bytes does not fit a buffer of {room}")]
    NoRoom {
        /// The size that the message has.
        size: usize,
        /// Bytes in the buffer.
        room: usize,
    },
    /// An unknown message or other information was given a type that is known.
    #[error("{message_type} has a form of its own")]
    NotUnknown {
        /// The type.
        message_type: MessageType,
    },
}

impl InfoMessage<'_> {
    pub(crate) const MAX_PAGE_COUNT: u32 = 0;
}

impl Packet<'_> {
    /// The message's size on the wire in bytes.
    #[inline]
    #[must_use]
    pub fn size(&self) -> usize {
        let fixed = match &self.message {
            Message::Unknown(_) => size_of::<wire::Header>(),
            known => known.message_type().minimum_size(),
        };
        fixed
            + match &self.message {
                Message::BalloonResponse(m) => size_of_val(m.ranges),
                Message::UnballoonRequest(m) => size_of_val(m.ranges),
                Message::HotRemoveResponse(m) => size_of_val(m.ranges),
                Message::HotAddRequest(m) if m.region.is_some() => size_of::<WireRange>(),
                Message::InfoMessage(InfoMessage::MaxPageCount(_)) => {
                    size_of::<wire::InfoHeader>() + size_of::<u64>()
                }
                Message::InfoMessage(InfoMessage::Other { data, .. }) => {
                    size_of::<wire::InfoHeader>() + data.len()
                }
                Message::Unknown(UnknownMessage { body, .. }) | Message::Error(body) => body.len(),
                _ => 0,
            }
    }

    /// Writes the message to the start of `buffer` and returns the bytes written.
    ///
    /// # Errors
    /// If the message is longer than its sender may send ([`MAX_GUEST_PAYLOAD`], [`MAX_HOST_PAYLOAD`]) or than the
    /// buffer, or is an unknown message with a known type. The buffer's content is unspecified then.
    #[inline]
    pub fn encode<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], EncodeError> {
        let message_type = self.message.message_type();
        let size = self.size();
        let limit =
            if message_type.sender() == Some(Sender::Host) { MAX_HOST_PAYLOAD } else { MAX_GUEST_PAYLOAD };
        let Some(claimed) = u16::try_from(size).ok().filter(|_| size <= limit) else {
            return Err(EncodeError::TooLong { message_type, size, limit });
        };
        let room = buffer.len();
        let Some(bytes) = buffer.get_mut(..size) else {
            return Err(EncodeError::NoRoom { size, room });
        };
        let header = wire::Header {
            message_type: message_type.0.into(),
            size: claimed.into(),
            trans_id: self.trans_id.into(),
        };
        self.message.write(header, bytes)?;
        Ok(bytes)
    }
}

impl Message<'_> {
    /// `bytes` is exactly as long as the message.
    #[inline]
    fn write(&self, header: wire::Header, bytes: &mut [u8]) -> Result<(), EncodeError> {
        let zero32 = 0.into();
        match *self {
            Self::VersionRequest(m) => {
                let (version, flags) = (m.version.0.into(), u32::from(m.is_last_attempt).into());
                put(bytes, &wire::VersionRequest { header, version, flags });
            }
            Self::VersionResponse(m) => {
                put(bytes, &wire::VersionResponse { header, flags: u64::from(m.is_accepted).into() });
            }
            Self::CapabilitiesReport(m) => {
                let capabilities = m.capabilities.0.into();
                let (min, max) = (m.min_page_count.into(), m.max_page_number.into());
                put(
                    bytes,
                    &wire::CapabilitiesReport {
                        header,
                        capabilities,
                        min_page_count: min,
                        max_page_number: max,
                    },
                );
            }
            Self::CapabilitiesResponse(m) => {
                let flags = u64::from(m.is_accepted)
                    | u64::from(m.hot_remove) << 1
                    | u64::from(m.suppress_pressure_reports) << 2;
                put(bytes, &wire::CapabilitiesResponse { header, flags: flags.into() });
            }
            Self::StatusReport(m) => put(
                bytes,
                &wire::StatusReport {
                    header,
                    available: m.available.into(),
                    committed: m.committed.into(),
                    page_file_size: m.page_file_size.into(),
                    zero_free: m.zero_free.into(),
                    page_file_writes: m.page_file_writes.into(),
                    io_diff: m.io_diff.into(),
                },
            ),
            Self::BalloonRequest(m) => {
                put(bytes, &wire::BalloonRequest { header, num_pages: m.num_pages.into(), reserved: zero32 });
            }
            Self::BalloonResponse(m) => {
                let packed = count(m.ranges) << 1 | u32::from(m.more_pages);
                let fixed = wire::BalloonResponse { header, reserved: zero32, more_and_count: packed.into() };
                put_with(bytes, &fixed, m.ranges.as_bytes());
            }
            Self::UnballoonRequest(m) => {
                let (flags, range_count) = (u32::from(m.more_pages).into(), count(m.ranges).into());
                put_with(bytes, &wire::UnballoonRequest { header, flags, range_count }, m.ranges.as_bytes());
            }
            Self::UnballoonResponse => put(bytes, &wire::UnballoonResponse { header }),
            Self::HotAddRequest(HotAddRequest { range, region: None }) => {
                put(bytes, &wire::HotAddRequest { header, range });
            }
            Self::HotAddRequest(HotAddRequest { range, region: Some(region) }) => {
                put(bytes, &wire::HotAddRequestWithRegion { header, range, region });
            }
            Self::HotAddResponse(m) => {
                let (page_count, result) = (m.page_count.into(), m.result.into());
                put(bytes, &wire::HotAddResponse { header, page_count, result });
            }
            Self::InfoMessage(InfoMessage::MaxPageCount(pages)) => {
                write_info(header, bytes, InfoMessage::MAX_PAGE_COUNT, &pages.to_le_bytes());
            }
            Self::InfoMessage(InfoMessage::Other { info_type: InfoMessage::MAX_PAGE_COUNT, .. }) => {
                return Err(EncodeError::NotUnknown { message_type: self.message_type() });
            }
            Self::InfoMessage(InfoMessage::Other { info_type, data }) => {
                write_info(header, bytes, info_type, data);
            }
            Self::HotRemoveRequest(m) => put(
                bytes,
                &wire::HotRemoveRequest {
                    header,
                    virtual_node: m.virtual_node.into(),
                    page_count: m.page_count.into(),
                    qos_flags: m.qos_flags.into(),
                    reserved: zero32,
                },
            ),
            Self::HotRemoveResponse(m) => {
                let fixed = wire::HotRemoveResponse {
                    header,
                    result: m.result.into(),
                    range_count: count(m.ranges).into(),
                    flags: u64::from(m.more_pages).into(),
                };
                put_with(bytes, &fixed, m.ranges.as_bytes());
            }
            Self::Error(body) => put_with(bytes, &header, body),
            Self::Unknown(UnknownMessage { message_type, .. }) if message_type.is_known() => {
                return Err(EncodeError::NotUnknown { message_type });
            }
            Self::Unknown(m) => put_with(bytes, &header, m.body),
        }
        Ok(())
    }
}

/// The caller has checked that the message, ranges included, is at most 4096 bytes long.
fn count(ranges: &[WireRange]) -> u32 {
    ranges.len() as u32
}

fn write_info(header: wire::Header, bytes: &mut [u8], info_type: u32, data: &[u8]) {
    let data_size = data.len() as u32;
    let info_size = (size_of::<wire::InfoHeader>() as u32 + data_size).into();
    let (fixed, blob) = bytes.split_at_mut(size_of::<wire::InfoMessage>());
    put(fixed, &wire::InfoMessage { header, reserved: 0.into(), info_size });
    let head = wire::InfoHeader { info_type: info_type.into(), data_size: data_size.into() };
    put_with(blob, &head, data);
}

/// Sizes agree by construction: `bytes` was cut to [`Packet::size`].
#[inline]
fn put<T: IntoBytes + Immutable>(bytes: &mut [u8], value: &T) {
    put_with(bytes, value, &[]);
}

#[inline]
fn put_with<T: IntoBytes + Immutable>(bytes: &mut [u8], value: &T, rest: &[u8]) {
    let (fixed, tail) = bytes.split_at_mut(size_of::<T>());
    fixed.copy_from_slice(value.as_bytes());
    tail.copy_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MAX_BALLOON_RESPONSE_RANGES, MAX_UNBALLOON_REQUEST_RANGES};

    fn encode(message: Message<'_>, room: usize) -> Result<usize, EncodeError> {
        let mut buffer = [0; 8192];
        Packet { trans_id: 1, message }.encode(&mut buffer[..room]).map(<[u8]>::len)
    }

    #[test]
    fn messages_longer_than_their_sender_may_send_are_refused() {
        let ranges = [WireRange::default(); MAX_BALLOON_RESPONSE_RANGES + 1];
        let response =
            |n| Message::BalloonResponse(BalloonResponse { more_pages: false, ranges: &ranges[..n] });
        assert_eq!(encode(response(MAX_BALLOON_RESPONSE_RANGES), 8192), Ok(4096));
        assert_eq!(
            encode(response(MAX_BALLOON_RESPONSE_RANGES + 1), 8192),
            Err(EncodeError::TooLong {
                message_type: MessageType::BALLOON_RESPONSE,
                size: 4104,
                limit: MAX_GUEST_PAYLOAD
            })
        );
        let request =
            |n| Message::UnballoonRequest(UnballoonRequest { more_pages: true, ranges: &ranges[..n] });
        assert_eq!(encode(request(MAX_UNBALLOON_REQUEST_RANGES), 8192), Ok(4080));
        assert!(matches!(
            encode(request(MAX_UNBALLOON_REQUEST_RANGES + 1), 8192),
            Err(EncodeError::TooLong { limit: MAX_HOST_PAYLOAD, .. })
        ));
    }

    #[test]
    fn a_small_buffer_is_refused() {
        let message = Message::VersionResponse(VersionResponse { is_accepted: true });
        assert_eq!(encode(message, 15), Err(EncodeError::NoRoom { size: 16, room: 15 }));
        assert_eq!(encode(message, 16), Ok(16));
    }

    #[test]
    fn an_unknown_message_cannot_pretend_to_be_a_known_one() {
        let message =
            Message::Unknown(UnknownMessage { message_type: MessageType::STATUS_REPORT, body: &[0; 40] });
        assert!(matches!(encode(message, 64), Err(EncodeError::NotUnknown { .. })));
        let message = Message::InfoMessage(InfoMessage::Other { info_type: 0, data: &[0; 8] });
        assert!(matches!(encode(message, 64), Err(EncodeError::NotUnknown { .. })));
    }
}
