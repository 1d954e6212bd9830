//! The layouts, byte for byte (documented: the public headers of the Linux and QEMU drivers).
//!
//! Every type is unaligned and valid for any bytes, so a view of a packet needs neither copy nor check beyond its length.
//! Messages with page ranges are their fixed part only; the ranges follow.

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
    /// What every message begins with.
    Header: 8 {
        /// The [`crate::MessageType`].
        message_type: U16,
        /// Length of the whole message in bytes, this header included.
        size: U16,
        /// Number of the transaction; not to be relied on for matching answers to requests.
        trans_id: U32,
    }
}

layout! {
    /// VERSION_REQUEST.
    VersionRequest: 16 {
        /// Header.
        header: Header,
        /// The [`crate::Version`] asked for.
        version: U32,
        /// Bit 0: the guest gives up when this one is refused.
        flags: U32,
    }
}

layout! {
    /// VERSION_RESPONSE.
    VersionResponse: 16 {
        /// Header.
        header: Header,
        /// Bit 0: accepted.
        flags: U64,
    }
}

layout! {
    /// CAPABILITIES_REPORT.
    CapabilitiesReport: 32 {
        /// Header.
        header: Header,
        /// The [`crate::Capabilities`].
        capabilities: U64,
        /// Pages that the guest needs at least; ignored by hosts.
        min_page_count: U64,
        /// Highest page number that can be hot-added; ignored by hosts.
        max_page_number: U64,
    }
}

layout! {
    /// CAPABILITIES_RESPONSE.
    CapabilitiesResponse: 16 {
        /// Header.
        header: Header,
        /// Bit 0: accepted; bit 1: hot-remove; bit 2: suppress pressure reports.
        flags: U64,
    }
}

layout! {
    /// STATUS_REPORT. All values in pages.
    StatusReport: 48 {
        /// Header.
        header: Header,
        /// Available pages.
        available: U64,
        /// Committed pages.
        committed: U64,
        /// Total size of all page files.
        page_file_size: U64,
        /// Zeroed and free pages.
        zero_free: U64,
        /// Pages written to page files since the guest booted, the low 32 bits.
        page_file_writes: U32,
        /// File-cache page faults less page reads since the guest booted, the low 32 bits.
        io_diff: U32,
    }
}

layout! {
    /// BALLOON_REQUEST.
    BalloonRequest: 16 {
        /// Header.
        header: Header,
        /// Pages asked for.
        num_pages: U32,
        /// Zero.
        reserved: U32,
    }
}

layout! {
    /// BALLOON_RESPONSE, without its ranges.
    BalloonResponse: 16 {
        /// Header.
        header: Header,
        /// Zero.
        reserved: U32,
        /// Bit 0: more pages follow in another response; bits 1–31: number of ranges.
        more_and_count: U32,
    }
}

layout! {
    /// UNBALLOON_REQUEST, without its ranges. Note that the count is packed differently from BALLOON_RESPONSE.
    UnballoonRequest: 16 {
        /// Header.
        header: Header,
        /// Bit 0: more pages follow in another request.
        flags: U32,
        /// Number of ranges.
        range_count: U32,
    }
}

layout! {
    /// UNBALLOON_RESPONSE.
    UnballoonResponse: 8 {
        /// Header.
        header: Header,
    }
}

layout! {
    /// MEM_HOT_ADD_REQUEST in its short form, without a region.
    HotAddRequest: 16 {
        /// Header.
        header: Header,
        /// The pages to add.
        range: crate::WireRange,
    }
}

layout! {
    /// MEM_HOT_ADD_REQUEST in its long form.
    HotAddRequestWithRegion: 24 {
        /// Header.
        header: Header,
        /// The pages to add.
        range: crate::WireRange,
        /// The region that they are part of.
        region: crate::WireRange,
    }
}

layout! {
    /// MEM_HOT_ADD_RESPONSE.
    HotAddResponse: 16 {
        /// Header.
        header: Header,
        /// Pages added.
        page_count: U32,
        /// 1 success, 0 failure.
        result: U32,
    }
}

layout! {
    /// INFO_MESSAGE, with the start of its blob but without the data.
    InfoMessage: 16 {
        /// Header.
        header: Header,
        /// Zero.
        reserved: U32,
        /// Length of the blob that follows, in bytes.
        info_size: U32,
    }
}

layout! {
    /// What the blob of an INFO_MESSAGE begins with.
    InfoHeader: 8 {
        /// What the data is; 0 for the maximum page count.
        info_type: U32,
        /// Length of the data in bytes.
        data_size: U32,
    }
}

layout! {
    /// MEM_HOT_REMOVE_REQUEST.
    HotRemoveRequest: 24 {
        /// Header.
        header: Header,
        /// Virtual NUMA node to take pages from.
        virtual_node: U32,
        /// Pages asked for.
        page_count: U32,
        /// Bit 0: large pages; bit 1: local to the node.
        qos_flags: U32,
        /// Zero.
        reserved: U32,
    }
}

layout! {
    /// MEM_HOT_REMOVE_RESPONSE, without its ranges.
    HotRemoveResponse: 24 {
        /// Header.
        header: Header,
        /// Its meaning is contradictory in the sources; ranges mean success whatever it says.
        result: U32,
        /// Number of ranges.
        range_count: U32,
        /// Bit 0: more pages follow in another response.
        flags: U64,
    }
}
