//! The bodies of the channel messages, as they lie behind the 8-byte header.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::guid::WireGuid;
use super::payload::{Payload, UserData};
use super::{HEADER_SIZE, MessageType};
use crate::control::{GpadlId, Relid, Status, VMBUS_SINT, Version};

/// A message with a fixed body: what it is called on the wire, and how it is written.
pub trait Body: sealed::Sealed + FromBytes + IntoBytes + KnownLayout + Immutable + Unaligned + Sized {
    /// Its message type.
    const KIND: MessageType;
    /// The whole message, header included, in bytes.
    const SIZE: usize = HEADER_SIZE + size_of::<Self>();

    /// The message, exactly [`Self::SIZE`] bytes long.
    fn to_payload(&self) -> Payload {
        super::assemble(Self::KIND, &[self.as_bytes()])
    }
}

mod sealed {
    /// Bodies are those below: each is known to fit a message.
    pub trait Sealed {}
}

macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident = $kind:ident, $size:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
        #[repr(C)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type),* }

        impl sealed::Sealed for $name {}

        impl Body for $name {
            const KIND: MessageType = MessageType::$kind;
        }

        const _: () = assert!(<$name as Body>::SIZE == $size);
        const _: () = assert!(<$name as Body>::SIZE <= super::MAX_PAYLOAD);
    )*};
}

bodies! {
    /// Host to guest: there is a channel.
    OfferChannel = OFFER_CHANNEL, 196 {
        /// Class of the device.
        class: WireGuid,
        /// Which device of the class.
        instance: WireGuid,
        /// Zero.
        reserved: [U64; 2],
        /// Channel flags; see [`super::offer_flags`].
        flags: U16,
        /// Memory-mapped I/O space wanted, MiB.
        mmio_mib: U16,
        /// The device's own.
        user_defined: UserData,
        /// 0 for a device's primary channel.
        subchannel_index: U16,
        /// Zero.
        reserved2: U16,
        /// The channel's id.
        relid: U32,
        /// Which monitor bit, if one is allocated.
        monitor_id: u8,
        /// Bit 0: a monitor bit is allocated. Never by us: there are no monitor pages.
        monitor_allocated: u8,
        /// Bit 0: the channel has an event flag of its own. Always: there is no interrupt page.
        dedicated_interrupt: U16,
        /// The connection id with which the guest signals the host.
        connection_id: U32,
    }
    /// Host to guest: the channel goes away.
    RescindChannelOffer = RESCIND_CHANNEL_OFFER, 12 {
        /// The channel's id.
        relid: U32,
    }
    /// Guest to host: open the channel on these rings.
    OpenChannel = OPEN_CHANNEL, 148 {
        /// The channel's id.
        relid: U32,
        /// Comes back in the result; Linux sends the channel's id.
        open_id: U32,
        /// The GPADL that holds both rings.
        ring_gpadl: U32,
        /// The VP to interrupt, [`crate::control::NO_INTERRUPT_VP`] for none.
        target_vp: U32,
        /// Page of the GPADL at which the downstream ring begins.
        downstream_page_offset: U32,
        /// The driver's own.
        user_data: UserData,
    }
    /// Host to guest: how OPENCHANNEL ended.
    OpenChannelResult = OPEN_CHANNEL_RESULT, 20 {
        /// The channel's id.
        relid: U32,
        /// That of the request.
        open_id: U32,
        /// 0: open.
        status: U32,
    }
    /// Guest to host: close the channel. There is no answer.
    CloseChannel = CLOSE_CHANNEL, 12 {
        /// The channel's id.
        relid: U32,
    }
    /// Guest to host, the fixed part: a list of pages; page numbers follow, unaligned.
    GpadlHeaderFixed = GPADL_HEADER, 28 {
        /// The channel's id.
        relid: U32,
        /// The guest's name for the list.
        gpadl: U32,
        /// Bytes of all ranges, in this message and in those that follow: 8 + 8 for each page.
        range_buflen: U16,
        /// Number of ranges: 1.
        range_count: U16,
        /// Bytes the range covers.
        byte_count: U32,
        /// Where in its first page the range begins: 0.
        byte_offset: U32,
    }
    /// Guest to host, the fixed part: further page numbers of a list follow.
    GpadlBodyFixed = GPADL_BODY, 16 {
        /// Linux sends 0 always.
        message_number: U32,
        /// The list.
        gpadl: U32,
    }
    /// Host to guest: how GPADL_HEADER ended.
    GpadlCreated = GPADL_CREATED, 20 {
        /// The channel's id.
        relid: U32,
        /// The list.
        gpadl: U32,
        /// 0: the host has the pages.
        status: U32,
    }
    /// Guest to host: give the pages of the list back.
    GpadlTeardown = GPADL_TEARDOWN, 16 {
        /// The channel's id.
        relid: U32,
        /// The list.
        gpadl: U32,
    }
    /// Host to guest: the pages are the guest's again.
    GpadlTorndown = GPADL_TORNDOWN, 12 {
        /// The list.
        gpadl: U32,
    }
    /// Guest to host: a rescinded channel's id may be used again.
    RelidReleased = RELID_RELEASED, 12 {
        /// The channel's id.
        relid: U32,
    }
    /// Guest to host: let us speak this version. Resets whatever was agreed before.
    InitiateContact = INITIATE_CONTACT, 40 {
        /// The version; see [`Version`].
        version: U32,
        /// The VP whose message slot the host shall use (from 3.0 on).
        target_vp: U32,
        /// Before 5.0 the interrupt page's address; from 5.0 on the bytes of SINT, VTL (from 5.1 on), two zeros and four of
        /// flags.
        interrupt_page_or_target: U64,
        /// Address of the first monitor page.
        monitor_page1: U64,
        /// Address of the second monitor page.
        monitor_page2: U64,
    }
    /// Host to guest: whether it does.
    VersionResponse = VERSION_RESPONSE, 16 {
        /// Not 0: yes.
        supported: u8,
        /// 0 connected, 1 low on resources, 2 failed.
        state: u8,
        /// Zero.
        reserved: U16,
        /// From 5.0 on the connection id for what follows; before, the selected version.
        connection_id_or_version: U32,
    }
    /// Guest to host: connect a Hyper-V socket (4.0 and later; documented by Linux, whose request ends here: later ones
    /// append a silo's GUID).
    TlConnectRequest = TL_CONNECT_REQUEST, 40 {
        /// The guest's end.
        endpoint: WireGuid,
        /// The host's service.
        service: WireGuid,
    }
    /// Host to guest: how TL_CONNECT_REQUEST ended (4.1 and later; documented: `TlConnectResult` of OpenVMM's
    /// `vmbus_core/src/protocol.rs`. Linux' header has the message's number only, and its driver ignores the message).
    TlConnectResult = TL_CONNECT_RESULT, 44 {
        /// That of the request.
        endpoint: WireGuid,
        /// That of the request.
        service: WireGuid,
        /// An NTSTATUS.
        status: U32,
    }
    /// Guest to host: interrupt another VP from now on (4.1 and later).
    ModifyChannel = MODIFY_CHANNEL, 16 {
        /// The channel's id.
        relid: U32,
        /// The VP.
        target_vp: U32,
    }
    /// Host to guest: how MODIFYCHANNEL ended (5.3 and later; documented: Linux' `vmbus_channel_modifychannel_response`, OpenVMM's
    /// `ModifyChannelResponse`).
    ModifyChannelResponse = MODIFY_CHANNEL_RESPONSE, 16 {
        /// The channel's id.
        relid: U32,
        /// 0: done.
        status: U32,
    }
}

impl RescindChannelOffer {
    /// The message for this channel.
    pub fn new(relid: Relid) -> Self {
        Self { relid: relid.get().into() }
    }
}

impl OpenChannelResult {
    /// The answer to the request that gave these ids.
    pub fn new(relid: u32, open_id: u32, status: Status) -> Self {
        Self { relid: relid.into(), open_id: open_id.into(), status: status.0.into() }
    }
}

impl CloseChannel {
    /// The message for this channel.
    pub fn new(relid: Relid) -> Self {
        Self { relid: relid.get().into() }
    }
}

impl GpadlCreated {
    /// The answer to the request that gave these ids.
    pub fn new(relid: u32, gpadl: GpadlId, status: Status) -> Self {
        Self { relid: relid.into(), gpadl: gpadl.0.into(), status: status.0.into() }
    }
}

impl GpadlTeardown {
    /// The message for this list.
    pub fn new(relid: Relid, gpadl: GpadlId) -> Self {
        Self { relid: relid.get().into(), gpadl: gpadl.0.into() }
    }
}

impl GpadlTorndown {
    /// The message for this list.
    pub fn new(gpadl: GpadlId) -> Self {
        Self { gpadl: gpadl.0.into() }
    }
}

impl RelidReleased {
    /// The message for this channel.
    pub fn new(relid: Relid) -> Self {
        Self { relid: relid.get().into() }
    }
}

impl InitiateContact {
    /// The message for a version before 5.0.
    pub fn with_interrupt_page(version: Version, target_vp: u32, page: u64, monitor_pages: [u64; 2]) -> Self {
        Self::with_raw(version, target_vp, page, monitor_pages)
    }

    /// The message for 5.0 or later: VTL 0, no feature flags.
    pub fn with_sint(version: Version, target_vp: u32, sint: u8, monitor_pages: [u64; 2]) -> Self {
        Self::with_raw(version, target_vp, u64::from(sint), monitor_pages)
    }

    fn with_raw(version: Version, target_vp: u32, raw: u64, monitor_pages: [u64; 2]) -> Self {
        Self {
            version: version.0.into(),
            target_vp: target_vp.into(),
            interrupt_page_or_target: raw.into(),
            monitor_page1: monitor_pages[0].into(),
            monitor_page2: monitor_pages[1].into(),
        }
    }

    /// The version asked for.
    pub fn version(&self) -> Version {
        Version(self.version.get())
    }

    /// Where the guest wants its messages. What its version does not name is what every guest has: VP 0, SINT 2, VTL 0.
    pub fn target(&self) -> ContactTarget {
        let version = self.version();
        let named = self.interrupt_page_or_target.as_bytes();
        ContactTarget {
            vp: if version.names_its_processor() { self.target_vp.get() } else { 0 },
            sint: if version.names_its_sint() { named[0] } else { VMBUS_SINT },
            vtl: if version.names_its_vtl() { named[1] } else { 0 },
        }
    }
}

/// Where a guest wants the host's messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ContactTarget {
    /// The virtual processor.
    pub vp: u32,
    /// The synthetic interrupt source.
    pub sint: u8,
    /// The virtual trust level.
    pub vtl: u8,
}

impl TlConnectResult {
    /// The answer of a host without that service.
    pub fn refused(request: &TlConnectRequest) -> Self {
        let status = Status::CONNECTION_REFUSED.0.into();
        Self { endpoint: request.endpoint, service: request.service, status }
    }
}

impl VersionResponse {
    /// No.
    pub fn refused() -> Self {
        Self { supported: 0, state: 0, reserved: 0.into(), connection_id_or_version: 0.into() }
    }

    /// Yes. `connection_id` is for messages from now on; before 5.0 its place holds the version.
    pub fn accepted(version: Version, connection_id: u32) -> Self {
        let value = if version.names_its_connection() { connection_id } else { version.0 };
        Self { supported: 1, state: 0, reserved: 0.into(), connection_id_or_version: value.into() }
    }
}

impl ModifyChannel {
    /// The message for this channel.
    pub fn new(relid: Relid, target_vp: u32) -> Self {
        Self { relid: relid.get().into(), target_vp: target_vp.into() }
    }
}

impl ModifyChannelResponse {
    /// The answer to the request that gave this id.
    pub fn new(relid: u32, status: Status) -> Self {
        Self { relid: relid.into(), status: status.0.into() }
    }
}
