//! Packets to bytes, and back.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{
    Address, CDB_BYTES, Direction, Message, NtStatus, Operation, PACKET_BYTES, Properties, SENSE_BYTES,
    ScsiRequest, ScsiResponse, ScsiStatus, SrbStatus, Version, wire,
};

/// A packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// What it says.
    pub message: Message,
    /// Whether the sender wants a completion.
    pub completion_requested: bool,
}

/// Why bytes are no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// There is no header, or less than its operation needs.
    #[error("a packet of {length} bytes: {operation} needs {needed}")]
    TooShort {
        /// The operation; 0 if there is no header.
        operation: Operation,
        /// Bytes of the packet.
        length: usize,
        /// Bytes that are needed.
        needed: usize,
    },
    /// A CDB that is none: longer than a packet can have, or without any byte.
    #[error("a SCSI command of {length} bytes: 1 to 16 are possible")]
    CdbLength {
        /// Its length.
        length: u8,
    },
    /// Data that go neither way.
    #[error("a SCSI command with data in direction {found}: there are 0 (write), 1 (read) and 2 (none)")]
    Direction {
        /// The direction.
        found: u8,
    },
}

/// What a completion is of: it does not say so itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CompletionOf {
    Scsi,
    Properties,
    Other,
}

impl Packet {
    /// A request that wants a completion.
    #[must_use]
    pub fn request(message: Message) -> Self {
        Self { message, completion_requested: true }
    }

    /// A message that wants none.
    #[must_use]
    pub fn notice(message: Message) -> Self {
        Self { message, completion_requested: false }
    }

    /// Reads a packet. A completion is read as [`Message::Completion`]: of what it is the completion, only who asked knows.
    ///
    /// # Errors
    /// It is too short, or its SCSI command is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode_as(bytes, CompletionOf::Other)
    }

    /// Reads the completion of a SCSI command.
    ///
    /// # Errors
    /// It is too short.
    pub fn decode_scsi_completion(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode_as(bytes, CompletionOf::Scsi)
    }

    /// Reads the completion of QUERY_PROPERTIES. One that failed is a [`Message::Completion`].
    ///
    /// # Errors
    /// It is too short.
    pub fn decode_properties_completion(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode_as(bytes, CompletionOf::Properties)
    }

    fn decode_as(bytes: &[u8], of: CompletionOf) -> Result<Self, DecodeError> {
        let (header, body) = part::<wire::Header>(Operation(0), bytes, bytes.len())?;
        let operation = Operation(header.operation.get());
        let status = NtStatus(header.status.get());
        let message = match operation {
            Operation::BEGIN_INITIALIZATION => Message::BeginInitialization,
            Operation::END_INITIALIZATION => Message::EndInitialization,
            Operation::QUERY_PROTOCOL_VERSION => {
                let (wire, _) = part::<wire::ProtocolVersion>(operation, body, bytes.len())?;
                Message::QueryProtocolVersion {
                    version: Version(wire.version.get()),
                    revision: wire.revision.get(),
                }
            }
            Operation::QUERY_PROPERTIES => Message::QueryProperties,
            Operation::CREATE_SUB_CHANNELS => {
                let (count, _) = part::<zerocopy::little_endian::U16>(operation, body, bytes.len())?;
                Message::CreateSubChannels { count: count.get() }
            }
            Operation::EXECUTE_SRB => Message::ExecuteSrb(request(part(operation, body, bytes.len())?.0)?),
            Operation::RESET_LUN | Operation::RESET_ADAPTER | Operation::RESET_BUS => {
                Message::Reset(operation)
            }
            Operation::ENUMERATE_BUS => Message::EnumerateBus,
            Operation::REMOVE_DEVICE => Message::RemoveDevice,
            Operation::COMPLETE_IO if of == CompletionOf::Scsi => {
                Message::ScsiCompletion(response(part(operation, body, bytes.len())?.0))
            }
            Operation::COMPLETE_IO if of == CompletionOf::Properties && status == NtStatus::SUCCESS => {
                let (wire, _) = part::<wire::Properties>(operation, body, bytes.len())?;
                let several = wire.flags.get() & 1 != 0;
                Message::PropertiesCompletion(Properties {
                    max_sub_channels: if several { wire.max_sub_channels.get() } else { 0 },
                    max_transfer_bytes: wire.max_transfer_bytes.get(),
                })
            }
            Operation::COMPLETE_IO => Message::Completion(status),
            operation => Message::Unknown(operation),
        };
        Ok(Self { message, completion_requested: header.flags.get() & 1 != 0 })
    }

    /// Writes the packet as peers of `version` do, filled up with zeros to their length.
    #[must_use]
    pub fn encode<'b>(&self, version: Version, buffer: &'b mut [u8; PACKET_BYTES]) -> &'b [u8] {
        buffer.fill(0);
        let status = match self.message {
            Message::Completion(status) => status,
            _ => NtStatus::SUCCESS,
        };
        let header = wire::Header {
            operation: self.message.operation().0.into(),
            flags: u32::from(self.completion_requested).into(),
            status: status.0.into(),
        };
        put(buffer, 0, &header);
        let body = size_of::<wire::Header>();
        match self.message {
            Message::QueryProtocolVersion { version, revision } => {
                let (version, revision) = (version.0.into(), revision.into());
                put(buffer, body, &wire::ProtocolVersion { version, revision });
            }
            Message::CreateSubChannels { count } => put(buffer, body, &count.to_le_bytes()),
            Message::PropertiesCompletion(properties) => {
                let wire = wire::Properties {
                    max_sub_channels: properties.max_sub_channels.into(),
                    flags: u32::from(properties.max_sub_channels > 0).into(),
                    max_transfer_bytes: properties.max_transfer_bytes.into(),
                    ..wire::Properties::default()
                };
                put(buffer, body, &wire);
            }
            Message::ExecuteSrb(request) => put(buffer, body, &request.to_wire(version)),
            Message::ScsiCompletion(response) => put(buffer, body, &response.to_wire(version)),
            _ => {}
        }
        &buffer[..version.packet_bytes()]
    }
}

fn put<T: IntoBytes + Immutable>(buffer: &mut [u8; PACKET_BYTES], at: usize, value: &T) {
    let bytes = value.as_bytes();
    if let Some(room) = buffer.get_mut(at..at + bytes.len()) {
        room.copy_from_slice(bytes);
    }
}

fn part<T>(operation: Operation, bytes: &[u8], length: usize) -> Result<(&T, &[u8]), DecodeError>
where
    T: FromBytes + KnownLayout + Immutable + Unaligned,
{
    let needed = size_of::<T>() + length - bytes.len();
    T::ref_from_prefix(bytes).map_err(|_| DecodeError::TooShort { operation, length, needed })
}

fn request(wire: &wire::Srb) -> Result<ScsiRequest, DecodeError> {
    let length = wire.cdb_length;
    if length == 0 || usize::from(length) > CDB_BYTES {
        return Err(DecodeError::CdbLength { length });
    }
    let mut cdb = [0; CDB_BYTES];
    cdb[..usize::from(length)].copy_from_slice(&wire.cdb_or_sense[..usize::from(length)]);
    Ok(ScsiRequest {
        address: address(wire),
        cdb,
        cdb_length: length,
        sense_length: wire.sense_length.min(SENSE_BYTES as u8),
        direction: match wire.data_in {
            0 => Direction::Write,
            1 => Direction::Read,
            2 => Direction::None,
            found => return Err(DecodeError::Direction { found }),
        },
        transfer_length: wire.transfer_length.get(),
    })
}

fn response(wire: &wire::Srb) -> ScsiResponse {
    ScsiResponse {
        address: address(wire),
        srb_status: SrbStatus(wire.srb_status),
        scsi_status: ScsiStatus(wire.scsi_status),
        transfer_length: wire.transfer_length.get(),
        sense: wire.cdb_or_sense,
        sense_length: wire.sense_length.min(SENSE_BYTES as u8),
    }
}

fn address(wire: &wire::Srb) -> Address {
    Address { port: wire.port, path: wire.path, target: wire.target, lun: wire.lun }
}

fn srb(version: Version, address: Address) -> wire::Srb {
    let long = if version.has_long_requests() { size_of::<wire::SrbExtension>() } else { 0 };
    wire::Srb {
        length: ((size_of::<wire::Srb>() + long) as u16).into(),
        port: address.port,
        path: address.path,
        target: address.target,
        lun: address.lun,
        ..wire::Srb::default()
    }
}

impl ScsiRequest {
    fn to_wire(self, version: Version) -> wire::Srb {
        let mut cdb_or_sense = [0; SENSE_BYTES];
        cdb_or_sense[..CDB_BYTES].copy_from_slice(&self.cdb);
        wire::Srb {
            cdb_length: self.cdb_length,
            sense_length: self.sense_length,
            data_in: match self.direction {
                Direction::Write => 0,
                Direction::Read => 1,
                Direction::None => 2,
            },
            transfer_length: self.transfer_length.into(),
            cdb_or_sense,
            ..srb(version, self.address)
        }
    }
}

impl ScsiResponse {
    fn to_wire(self, version: Version) -> wire::Srb {
        wire::Srb {
            srb_status: self.srb_status.0,
            scsi_status: self.scsi_status.0,
            sense_length: self.sense_length,
            transfer_length: self.transfer_length.into(),
            cdb_or_sense: self.sense,
            ..srb(version, self.address)
        }
    }
}
