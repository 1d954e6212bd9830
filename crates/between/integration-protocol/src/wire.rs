//! The layouts, byte for byte (documented: the public headers of Linux, the sources of OpenVMM).
//!
//! Every type is unaligned and valid for any bytes, so a view of a packet needs no check beyond its length.

use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

macro_rules! layout {
    ($(#[$doc:meta])* $name:ident: $size:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
        #[repr(C)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }
        const _: () = assert!(size_of::<$name>() == $size);
    };
}

layout! {
    /// What a packet of a channel in pipe mode begins with.
    PipeHeader: 8 {
        /// 1: data.
        kind: U32,
        /// Bytes that follow.
        size: U32,
    }
}

layout! {
    /// A version: major before minor.
    WireVersion: 4 {
        /// The number before the dot.
        major: U16,
        /// The number after the dot.
        minor: U16,
    }
}

layout! {
    /// What every message begins with, after the pipe header.
    Header: 20 {
        /// Version of the frame.
        framework: WireVersion,
        /// The [`crate::MessageType`].
        kind: U16,
        /// Version of the service's own messages.
        version: WireVersion,
        /// Bytes that follow this header.
        size: U16,
        /// The [`crate::Status`] of an answer; 0 in a request.
        status: U32,
        /// Number of the request, repeated in its answer.
        transaction: u8,
        /// The [`crate::Flags`].
        flags: u8,
        /// Zero.
        reserved: [u8; 2],
    }
}

layout! {
    /// What a negotiation begins with; the versions follow, those of the frame first.
    Negotiate: 8 {
        /// Versions of the frame.
        frameworks: U16,
        /// Versions of the service's messages.
        versions: U16,
        /// Zero.
        reserved: U32,
    }
}

layout! {
    /// Heartbeat. (Linux' header has 24 reserved bytes more, which a host need not send: its driver reads the number alone.)
    Heartbeat: 16 {
        /// The number of the beat.
        sequence: U64,
        /// The [`crate::ApplicationState`].
        state: U32,
        /// Zero.
        reserved: [u8; 4],
    }
}

layout! {
    /// Shutdown.
    Shutdown: 2060 {
        /// Reason code as of Windows' `ExitWindowsEx`.
        reason: U32,
        /// Seconds that the guest may take.
        timeout: U32,
        /// Bit 0: force; bit 1: restart; bit 2: hibernate.
        flags: U32,
        /// Text for whoever sits before the guest.
        text: [u8; 2048],
    }
}

layout! {
    /// Time synchronization, versions 1.0 and 3.0.
    TimeSync: 25 {
        /// The host's time, in units of 100 ns since 1601.
        host_time: U64,
        /// The guest's time; not used.
        guest_time: U64,
        /// Not used.
        round_trip: U64,
        /// The [`crate::TimeSyncFlags`].
        flags: u8,
    }
}

layout! {
    /// Time synchronization, version 4.0. (Linux' header ends two bytes earlier.)
    TimeSyncReference: 24 {
        /// The host's time, in units of 100 ns since 1601.
        host_time: U64,
        /// The partition's reference time at that moment, in units of 100 ns since the partition was made.
        reference_time: U64,
        /// The [`crate::TimeSyncFlags`].
        flags: u8,
        /// Leap indicator as of NTP.
        leap: u8,
        /// Stratum as of NTP.
        stratum: u8,
        /// Zero.
        reserved: [u8; 5],
    }
}

layout! {
    /// What a message about key-value pairs begins with.
    KeyValueHeader: 4 {
        /// The [`crate::KeyValueOperation`].
        operation: u8,
        /// The [`crate::Pool`].
        pool: u8,
        /// Zero.
        reserved: [u8; 2],
    }
}

layout! {
    /// A key with a value, or room for one.
    KeyValuePair: 2572 {
        /// 1: text; 4: a number of 32 bits; 11: one of 64.
        value_type: U32,
        /// Bytes of the key, its terminating zero included.
        key_size: U32,
        /// Bytes of the value; of a text, its terminating zero included.
        value_size: U32,
        /// UTF-16.
        key: [u8; 512],
        /// UTF-16, or a number.
        value: [u8; 2048],
    }
}
