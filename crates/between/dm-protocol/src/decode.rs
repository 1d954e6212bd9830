//! From bytes to messages.

use crate::message::*;
use crate::{MessageType, Version, WireRange, wire};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

/// Why bytes are not a DM message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// There are fewer bytes than a header has.
    #[error("a packet of {length} bytes has no room for a header")]
    NoHeader {
        /// Bytes in the packet.
        length: usize,
    },
    /// The message is shorter than its type requires.
    #[error("{message_type} of {size} bytes, at least {minimum} needed")]
    TooShort {
        /// Type of the message.
        message_type: MessageType,
        /// The size that its header claims.
        size: usize,
        /// The size that it must have at least.
        minimum: usize,
    },
    /// The header claims more bytes than the packet has.
    #[error("{message_type} claims {size} bytes in a packet of {length}")]
    BeyondPacket {
        /// Type of the message.
        message_type: MessageType,
        /// The size that its header claims.
        size: usize,
        /// Bytes in the packet.
        length: usize,
    },
    /// The message claims more page ranges than it has room for.
    #[error("{message_type} claims {count} page ranges and has room for {room}")]
    BeyondMessage {
        /// Type of the message.
        message_type: MessageType,
        /// Ranges claimed.
        count: u32,
        /// Ranges that the message has room for.
        room: usize,
    },
    /// A hot-add request is neither of the short nor of the long form.
    #[error("hot-add request of {size} bytes is neither 16 nor 24 bytes long")]
    HotAddForm {
        /// The size that its header claims.
        size: usize,
    },
    /// The sizes within an INFO_MESSAGE contradict each other.
    #[error("information of type {info_type} with {data_size} bytes of data in a blob of {blob} bytes")]
    Information {
        /// Type of the information, 0 if there was no room for one.
        info_type: u32,
        /// Bytes of data claimed.
        data_size: u32,
        /// Bytes of the blob, as claimed and at most what the message has.
        blob: usize,
    },
}

impl DecodeError {
    /// Whether a length or count in the message claims more than there is, as no honest sender does. The other errors are
    /// messages that are too short, as a sender of another version might build them.
    #[must_use]
    pub fn is_overclaim(&self) -> bool {
        matches!(self, Self::BeyondPacket { .. } | Self::BeyondMessage { .. } | Self::Information { .. })
    }

    /// The type in the header, if there was one.
    #[must_use]
    pub fn message_type(&self) -> Option<MessageType> {
        match *self {
            Self::NoHeader { .. } => None,
            Self::TooShort { message_type, .. }
            | Self::BeyondPacket { message_type, .. }
            | Self::BeyondMessage { message_type, .. } => Some(message_type),
            Self::HotAddForm { .. } => Some(MessageType::MEM_HOT_ADD_REQUEST),
            Self::Information { .. } => Some(MessageType::INFO_MESSAGE),
        }
    }
}

impl<'a> Packet<'a> {
    /// The message in a packet's payload. The payload may be longer than the message (VMBus pads to 8 bytes).
    ///
    /// # Errors
    /// If there is no header, or a size or count does not agree with the bytes that are there.
    #[inline]
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let Ok((header, _)) = wire::Header::ref_from_prefix(payload) else {
            return Err(DecodeError::NoHeader { length: payload.len() });
        };
        let message_type = MessageType(header.message_type.get());
        let size = usize::from(header.size.get());
        let minimum = message_type.minimum_size();
        if size < minimum {
            return Err(DecodeError::TooShort { message_type, size, minimum });
        }
        let Some(bytes) = payload.get(..size) else {
            return Err(DecodeError::BeyondPacket { message_type, size, length: payload.len() });
        };
        Ok(Self { trans_id: header.trans_id.get(), message: Message::decode(message_type, bytes)? })
    }
}

impl<'a> Message<'a> {
    /// `bytes` is as long as the header says, and at least the type's minimum.
    #[inline]
    fn decode(message_type: MessageType, bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Ok(match message_type {
            MessageType::VERSION_REQUEST => {
                let (view, _) = split::<wire::VersionRequest>(message_type, bytes)?;
                Self::VersionRequest(VersionRequest {
                    version: Version(view.version.get()),
                    is_last_attempt: view.flags.get() & 1 != 0,
                })
            }
            MessageType::VERSION_RESPONSE => {
                let (view, _) = split::<wire::VersionResponse>(message_type, bytes)?;
                Self::VersionResponse(VersionResponse { is_accepted: view.flags.get() & 1 != 0 })
            }
            MessageType::CAPABILITIES_REPORT => {
                let (view, _) = split::<wire::CapabilitiesReport>(message_type, bytes)?;
                Self::CapabilitiesReport(CapabilitiesReport {
                    capabilities: Capabilities(view.capabilities.get()),
                    min_page_count: view.min_page_count.get(),
                    max_page_number: view.max_page_number.get(),
                })
            }
            MessageType::CAPABILITIES_RESPONSE => {
                let (view, _) = split::<wire::CapabilitiesResponse>(message_type, bytes)?;
                let flags = view.flags.get();
                Self::CapabilitiesResponse(CapabilitiesResponse {
                    is_accepted: flags & 1 != 0,
                    hot_remove: flags & 2 != 0,
                    suppress_pressure_reports: flags & 4 != 0,
                })
            }
            MessageType::STATUS_REPORT => {
                let (view, _) = split::<wire::StatusReport>(message_type, bytes)?;
                Self::StatusReport(StatusReport {
                    available: view.available.get(),
                    committed: view.committed.get(),
                    page_file_size: view.page_file_size.get(),
                    zero_free: view.zero_free.get(),
                    page_file_writes: view.page_file_writes.get(),
                    io_diff: view.io_diff.get(),
                })
            }
            MessageType::BALLOON_REQUEST => {
                let (view, _) = split::<wire::BalloonRequest>(message_type, bytes)?;
                Self::BalloonRequest(BalloonRequest { num_pages: view.num_pages.get() })
            }
            MessageType::BALLOON_RESPONSE => {
                let (view, rest) = split::<wire::BalloonResponse>(message_type, bytes)?;
                let packed = view.more_and_count.get();
                let ranges = ranges(message_type, rest, packed >> 1)?;
                Self::BalloonResponse(BalloonResponse { more_pages: packed & 1 != 0, ranges })
            }
            MessageType::UNBALLOON_REQUEST => {
                let (view, rest) = split::<wire::UnballoonRequest>(message_type, bytes)?;
                let ranges = ranges(message_type, rest, view.range_count.get())?;
                Self::UnballoonRequest(UnballoonRequest { more_pages: view.flags.get() & 1 != 0, ranges })
            }
            MessageType::UNBALLOON_RESPONSE => Self::UnballoonResponse,
            MessageType::MEM_HOT_ADD_REQUEST => Self::HotAddRequest(hot_add_request(message_type, bytes)?),
            MessageType::MEM_HOT_ADD_RESPONSE => {
                let (view, _) = split::<wire::HotAddResponse>(message_type, bytes)?;
                Self::HotAddResponse(HotAddResponse {
                    page_count: view.page_count.get(),
                    result: view.result.get(),
                })
            }
            MessageType::INFO_MESSAGE => Self::InfoMessage(info_message(message_type, bytes)?),
            MessageType::MEM_HOT_REMOVE_REQUEST => {
                let (view, _) = split::<wire::HotRemoveRequest>(message_type, bytes)?;
                Self::HotRemoveRequest(HotRemoveRequest {
                    virtual_node: view.virtual_node.get(),
                    page_count: view.page_count.get(),
                    qos_flags: view.qos_flags.get(),
                })
            }
            MessageType::MEM_HOT_REMOVE_RESPONSE => {
                let (view, rest) = split::<wire::HotRemoveResponse>(message_type, bytes)?;
                let ranges = ranges(message_type, rest, view.range_count.get())?;
                Self::HotRemoveResponse(HotRemoveResponse {
                    result: view.result.get(),
                    more_pages: view.flags.get() & 1 != 0,
                    ranges,
                })
            }
            MessageType::ERROR => Self::Error(body(bytes)),
            message_type => Self::Unknown(UnknownMessage { message_type, body: body(bytes) }),
        })
    }
}

fn split<T>(message_type: MessageType, bytes: &[u8]) -> Result<(&T, &[u8]), DecodeError>
where
    T: FromBytes + KnownLayout + Immutable + Unaligned,
{
    T::ref_from_prefix(bytes).map_err(|_| DecodeError::TooShort {
        message_type,
        size: bytes.len(),
        minimum: size_of::<T>(),
    })
}

fn body(bytes: &[u8]) -> &[u8] {
    bytes.get(size_of::<wire::Header>()..).unwrap_or_default()
}

fn ranges(message_type: MessageType, bytes: &[u8], count: u32) -> Result<&[WireRange], DecodeError> {
    usize::try_from(count)
        .ok()
        .and_then(|wanted| <[WireRange]>::ref_from_prefix_with_elems(bytes, wanted).ok())
        .map(|(ranges, _)| ranges)
        .ok_or(DecodeError::BeyondMessage { message_type, count, room: bytes.len() / size_of::<WireRange>() })
}

fn hot_add_request(message_type: MessageType, bytes: &[u8]) -> Result<HotAddRequest, DecodeError> {
    let (short, rest) = split::<wire::HotAddRequest>(message_type, bytes)?;
    // The Linux driver tells the forms apart by "16 or not 16" and would read beyond a message of 20 bytes.
    let region = match rest.len() {
        0 => None,
        _ => {
            let (region, _) = WireRange::ref_from_prefix(rest)
                .map_err(|_| DecodeError::HotAddForm { size: bytes.len() })?;
            Some(*region)
        }
    };
    Ok(HotAddRequest { range: short.range, region })
}

fn info_message(message_type: MessageType, bytes: &[u8]) -> Result<InfoMessage<'_>, DecodeError> {
    let (view, rest) = split::<wire::InfoMessage>(message_type, bytes)?;
    let Some(blob) = usize::try_from(view.info_size.get()).ok().and_then(|size| rest.get(..size)) else {
        return Err(DecodeError::Information {
            info_type: 0,
            data_size: view.info_size.get(),
            blob: rest.len(),
        });
    };
    let Ok((head, data)) = wire::InfoHeader::ref_from_prefix(blob) else {
        return Err(DecodeError::Information { info_type: 0, data_size: 0, blob: blob.len() });
    };
    let (info_type, data_size) = (head.info_type.get(), head.data_size.get());
    let error = DecodeError::Information { info_type, data_size, blob: blob.len() };
    let data = usize::try_from(data_size).ok().and_then(|size| data.get(..size)).ok_or(error)?;
    if info_type != InfoMessage::MAX_PAGE_COUNT {
        return Ok(InfoMessage::Other { info_type, data });
    }
    let count = data.try_into().map_err(|_| error)?;
    Ok(InfoMessage::MaxPageCount(u64::from_le_bytes(count)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MAX_BALLOON_RESPONSE_RANGES;
    use crate::test_support::vectors;

    fn changed<const N: usize>(name: &str, at: usize, bytes: [u8; N]) -> ([u8; 64], usize) {
        let vector = vectors::bytes(name);
        let mut buffer = [0; 64];
        buffer[..vector.len()].copy_from_slice(vector);
        buffer[at..at + N].copy_from_slice(&bytes);
        (buffer, vector.len())
    }

    #[test]
    fn a_packet_without_a_header_is_refused() {
        for length in 0..8 {
            assert_eq!(Packet::decode(&[0; 8][..length]), Err(DecodeError::NoHeader { length }));
        }
    }

    #[test]
    fn every_vector_is_refused_when_cut_anywhere() {
        for (name, bytes) in vectors::MESSAGES {
            let message_type = Packet::decode(bytes).unwrap().message.message_type();
            for length in 0..bytes.len() {
                let error = Packet::decode(&bytes[..length]).unwrap_err();
                // Whose message it was is known if the header is there.
                let known = (length >= size_of::<wire::Header>()).then_some(message_type);
                assert_eq!(error.message_type(), known, "{name} cut to {length}: {error}");
            }
        }
    }

    #[test]
    fn sizes_below_the_minimum_are_refused_and_are_no_overclaim() {
        for (name, bytes) in vectors::MESSAGES {
            let minimum = Packet::decode(bytes).unwrap().message.message_type().minimum_size();
            let (buffer, length) = changed(name, 2, (minimum as u16 - 1).to_le_bytes());
            let error = Packet::decode(&buffer[..length]).unwrap_err();
            assert!(matches!(error, DecodeError::TooShort { .. }), "{name}: {error}");
            assert!(!error.is_overclaim());
        }
    }

    #[test]
    fn padding_after_the_message_is_ignored() {
        let (buffer, length) = changed("DM9", 12, [0xff; 2]);
        assert_eq!(Packet::decode(&buffer[..length + 8]), Packet::decode(vectors::bytes("DM9")));
    }

    #[test]
    fn a_size_beyond_the_packet_is_an_overclaim() {
        let (buffer, length) = changed("DM7", 2, 40u16.to_le_bytes());
        let error = Packet::decode(&buffer[..length]).unwrap_err();
        assert_eq!(
            error,
            DecodeError::BeyondPacket { message_type: MessageType::BALLOON_RESPONSE, size: 40, length: 32 }
        );
        assert!(error.is_overclaim());
    }

    #[test]
    fn range_counts_are_held_against_the_message_in_both_packings() {
        for (name, at, too_many, none, has_room) in [
            ("DM7", 12, 3u32 << 1, 0u32, 2),
            ("DM8", 12, 2, 0, 1),
            ("DM14", 12, 2, 0, 1),
            ("DM7", 12, u32::MAX, 1, 2),
        ] {
            let (buffer, length) = changed(name, at, too_many.to_le_bytes());
            let error = Packet::decode(&buffer[..length]).unwrap_err();
            assert!(
                matches!(error, DecodeError::BeyondMessage { room, .. } if room == has_room),
                "{name}: {error}"
            );
            assert!(error.is_overclaim());
            let (buffer, length) = changed(name, at, none.to_le_bytes());
            assert!(Packet::decode(&buffer[..length]).is_ok(), "{name} with fewer ranges than room");
        }
    }

    #[test]
    fn the_two_packings_differ() {
        let (buffer, length) = changed("DM8", 0, 7u16.to_le_bytes());
        let as_response = Packet::decode(&buffer[..length]).unwrap().message;
        assert_eq!(as_response, Message::BalloonResponse(BalloonResponse { more_pages: true, ranges: &[] }));
    }

    #[test]
    fn hot_add_requests_of_neither_form_are_refused() {
        for size in 17..24u16 {
            let (buffer, length) = changed("DM10b", 2, size.to_le_bytes());
            let error = Packet::decode(&buffer[..length]).unwrap_err();
            assert_eq!(error, DecodeError::HotAddForm { size: usize::from(size) });
        }
    }

    #[test]
    fn contradicting_information_sizes_are_refused() {
        for (at, value) in [(12, 17u32), (12, 7), (12, 12), (20, 9), (20, 4), (12, u32::MAX), (20, u32::MAX)]
        {
            let (buffer, length) = changed("DM12", at, value.to_le_bytes());
            let error = Packet::decode(&buffer[..length]).unwrap_err();
            assert!(matches!(error, DecodeError::Information { .. }), "{at} {value}: {error}");
        }
    }

    #[test]
    fn other_information_is_kept() {
        let (buffer, length) = changed("DM12", 16, 7u32.to_le_bytes());
        let message = Packet::decode(&buffer[..length]).unwrap().message;
        assert_eq!(
            message,
            Message::InfoMessage(InfoMessage::Other { info_type: 7, data: &[0, 0, 8, 0, 0, 0, 0, 0] })
        );
    }

    #[test]
    fn unknown_types_are_kept() {
        let bytes = [0x9f, 0x30, 12, 0, 5, 0, 0, 0, 1, 2, 3, 4];
        let packet = Packet::decode(&bytes).unwrap();
        let unknown = UnknownMessage { message_type: MessageType(0x309f), body: &[1, 2, 3, 4] };
        assert_eq!(packet, Packet { trans_id: 5, message: Message::Unknown(unknown) });
        assert_eq!(packet.message.message_type().sender(), None);
    }

    #[test]
    fn reserved_bits_are_ignored() {
        let (buffer, length) = changed("DM2", 9, [0xff; 7]);
        assert_eq!(Packet::decode(&buffer[..length]), Packet::decode(vectors::bytes("DM2")));
    }

    #[test]
    fn a_full_balloon_response_is_read() {
        let mut bytes = [0; crate::MAX_GUEST_PAYLOAD];
        bytes[..4].copy_from_slice(&[7, 0, 0, 0x10]);
        bytes[12..16].copy_from_slice(&(510u32 << 1 | 1).to_le_bytes());
        let Message::BalloonResponse(response) = Packet::decode(&bytes).unwrap().message else { panic!() };
        assert_eq!((response.more_pages, response.ranges.len()), (true, MAX_BALLOON_RESPONSE_RANGES));
    }
}
