//! Messages as values.

use crate::{CDB_BYTES, NtStatus, Operation, SENSE_BYTES, ScsiStatus, SrbStatus, Version};

/// A logical unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// Port; the controller's own number.
    pub port: u8,
    /// Path: the bus.
    pub path: u8,
    /// Target.
    pub target: u8,
    /// Logical unit.
    pub lun: u8,
}

impl Address {
    /// A logical unit of the first target on the first bus: all disks of a controller are there.
    #[must_use]
    pub const fn lun(lun: u8) -> Self {
        Self { port: 0, path: 0, target: 0, lun }
    }
}

/// Which way data go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the guest's buffer to the disk.
    Write,
    /// From the disk to the guest's buffer.
    Read,
    /// There are none.
    None,
}

/// A SCSI command on its way to a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScsiRequest {
    /// Which disk.
    pub address: Address,
    /// The command. Bytes after `cdb_length` mean nothing.
    pub cdb: [u8; CDB_BYTES],
    /// Its length.
    pub cdb_length: u8,
    /// Bytes of sense data that the guest takes.
    pub sense_length: u8,
    /// Which way data go.
    pub direction: Direction,
    /// How many bytes.
    pub transfer_length: u32,
}

/// How a SCSI command went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScsiResponse {
    /// Which disk.
    pub address: Address,
    /// How it went on its way.
    pub srb_status: SrbStatus,
    /// How it went in the device.
    pub scsi_status: ScsiStatus,
    /// Bytes that were transferred.
    pub transfer_length: u32,
    /// Sense data.
    pub sense: [u8; SENSE_BYTES],
    /// How many bytes of them there are.
    pub sense_length: u8,
}

/// What the host serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Properties {
    /// Sub-channels beside the first channel; 0 if there cannot be any.
    pub max_sub_channels: u16,
    /// Bytes of the largest transfer.
    pub max_transfer_bytes: u32,
}

/// What a packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// Guest: a handshake begins.
    BeginInitialization,
    /// Guest: a handshake ends.
    EndInitialization,
    /// Guest: this version, please.
    QueryProtocolVersion {
        /// The version.
        version: Version,
        /// The guest's build.
        revision: u16,
    },
    /// Guest: what is served? Host: this (in the completion).
    QueryProperties,
    /// Guest: so many more channels.
    CreateSubChannels {
        /// How many.
        count: u16,
    },
    /// Guest: a SCSI command.
    ExecuteSrb(ScsiRequest),
    /// Guest: reset of a logical unit, the controller or a bus.
    Reset(Operation),
    /// Host: disks came or went.
    EnumerateBus,
    /// Host: a disk is gone.
    RemoveDevice,
    /// The completion of a SCSI command.
    ScsiCompletion(ScsiResponse),
    /// The completion of QUERY_PROPERTIES.
    PropertiesCompletion(Properties),
    /// The completion of anything else.
    Completion(NtStatus),
    /// Of a type that is not known here, or not served.
    Unknown(Operation),
}

impl Message {
    /// The operation in the header.
    #[must_use]
    pub fn operation(&self) -> Operation {
        match self {
            Self::BeginInitialization => Operation::BEGIN_INITIALIZATION,
            Self::EndInitialization => Operation::END_INITIALIZATION,
            Self::QueryProtocolVersion { .. } => Operation::QUERY_PROTOCOL_VERSION,
            Self::QueryProperties => Operation::QUERY_PROPERTIES,
            Self::CreateSubChannels { .. } => Operation::CREATE_SUB_CHANNELS,
            Self::ExecuteSrb(_) => Operation::EXECUTE_SRB,
            Self::EnumerateBus => Operation::ENUMERATE_BUS,
            Self::RemoveDevice => Operation::REMOVE_DEVICE,
            Self::ScsiCompletion(_) | Self::PropertiesCompletion(_) | Self::Completion(_) => {
                Operation::COMPLETE_IO
            }
            Self::Reset(operation) | Self::Unknown(operation) => *operation,
        }
    }
}
