//! The layouts, byte for byte (documented: the public header of the Linux driver).

use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

macro_rules! layout {
    ($(#[$doc:meta])* $name:ident: $size:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
        #[repr(C)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }
        const _: () = assert!(size_of::<$name>() == $size);
    };
}

layout! {
    /// What every packet begins with.
    Header: 12 {
        /// The [`crate::Operation`].
        operation: U32,
        /// Bit 0: the sender wants a completion.
        flags: U32,
        /// The [`crate::NtStatus`]; of requests zero.
        status: U32,
    }
}

layout! {
    /// QUERY_PROTOCOL_VERSION.
    ProtocolVersion: 4 {
        /// The [`crate::Version`].
        version: U16,
        /// The guest's build; ignored.
        revision: U16,
    }
}

layout! {
    /// The answer to QUERY_PROPERTIES.
    Properties: 24 {
        /// Zero.
        reserved: U32,
        /// Sub-channels that the host serves beside the first.
        max_sub_channels: U16,
        /// Zero.
        reserved_2: U16,
        /// Bit 0: there can be sub-channels.
        flags: U32,
        /// Bytes of the largest transfer.
        max_transfer_bytes: U32,
        /// Zero.
        reserved_3: U64,
    }
}

layout! {
    /// EXECUTE_SRB and its completion, up to 4.2.
    Srb: 36 {
        /// Bytes of the request: 36, from 5.1 on 52.
        length: U16,
        /// The [`crate::SrbStatus`].
        srb_status: u8,
        /// The [`crate::ScsiStatus`].
        scsi_status: u8,
        /// Port.
        port: u8,
        /// Path.
        path: u8,
        /// Target.
        target: u8,
        /// Logical unit.
        lun: u8,
        /// Bytes of the CDB.
        cdb_length: u8,
        /// Bytes of the sense data.
        sense_length: u8,
        /// The [`crate::Direction`].
        data_in: u8,
        /// Properties; ignored.
        properties: u8,
        /// Bytes of the transfer.
        transfer_length: U32,
        /// The CDB in the first 16, or sense data.
        cdb_or_sense: [u8; 20],
    }
}

layout! {
    /// What follows from 5.1 on.
    SrbExtension: 16 {
        /// Zero.
        reserved: U16,
        /// Tag; ignored.
        queue_tag: u8,
        /// Kind of tag; ignored.
        queue_action: u8,
        /// Flags; ignored.
        srb_flags: U32,
        /// Seconds that the guest waits; ignored.
        timeout: U32,
        /// Ignored.
        sort_key: U32,
    }
}
const _: () = assert!(size_of::<Header>() + size_of::<Srb>() == crate::OLD_PACKET_BYTES);
const _: () =
    assert!(size_of::<Header>() + size_of::<Srb>() + size_of::<SrbExtension>() == crate::PACKET_BYTES);
