//! Small types both sides share: identifiers of devices, channel and GPADL ids, statuses, connection ids.

use core::fmt;

use uuid::{Uuid, uuid};

/// The class (interface type) of the Dynamic Memory device (documented).
pub const DYNAMIC_MEMORY_CLASS: Uuid = uuid!("525074dc-8985-46e2-8057-a307dc18a502");
/// The instance of the Dynamic Memory device in every VM of Hyper-V (documented by guests' device lists).
pub const DYNAMIC_MEMORY_INSTANCE: Uuid = uuid!("1eccfd72-4b41-45ef-b73a-4a6e44c12924");

/// SynIC message type of every channel message (documented).
pub const VMBUS_MESSAGE_TYPE: u32 = 1;
/// The synthetic interrupt source VMBus uses unless a contact of 5.0 or later names another (documented).
pub const VMBUS_SINT: u8 = 2;
/// Connection id for messages of a guest that speaks less than 5.0 (documented).
pub const CONTACT_CONNECTION_ID: u32 = 1;
/// Connection id for INITIATE_CONTACT from 5.0 on (documented).
pub const CONTACT_CONNECTION_ID_V5: u32 = 4;
/// Largest channel id: an event flag page has 2048 bits for a SINT, and bit 0 is no channel (documented).
pub const MAX_RELID: u16 = 2047;
/// Target VP of a channel that wants no interrupts.
pub const NO_INTERRUPT_VP: u32 = 0xffff_ffff;

/// A channel's id relative to its guest, 1 to [`MAX_RELID`]; also the number of its event flag.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "u32", into = "u32"))]
pub struct Relid(u16);

/// A number that cannot be a channel id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0} is no channel id (1 to 2047)")]
pub struct InvalidRelid(pub u32);

impl Relid {
    /// The lowest channel id.
    pub const FIRST: Self = Self(1);

    /// The id with this number, if there is one.
    pub fn new(number: u32) -> Option<Self> {
        u16::try_from(number).ok().filter(|n| (1..=MAX_RELID).contains(n)).map(Self)
    }

    /// Its number.
    pub const fn get(self) -> u32 {
        self.0 as u32
    }

    /// The channel's event flag number.
    pub const fn event_flag(self) -> u16 {
        self.0
    }

    /// All ids, lowest first.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..=MAX_RELID).map(Self)
    }
}

impl TryFrom<u32> for Relid {
    type Error = InvalidRelid;

    fn try_from(number: u32) -> Result<Self, InvalidRelid> {
        Self::new(number).ok_or(InvalidRelid(number))
    }
}

impl From<Relid> for u32 {
    fn from(relid: Relid) -> Self {
        relid.get()
    }
}

impl fmt::Display for Relid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Relid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "relid {}", self.0)
    }
}

/// The guest's name for a list of its pages (guest physical address descriptor list).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GpadlId(pub u32);

impl fmt::Display for GpadlId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for GpadlId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gpadl {self}")
    }
}

/// The status in a result message: zero is success, everything else a failure.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Status(pub u32);

impl Status {
    /// The request was carried out (documented).
    pub const SUCCESS: Self = Self(0);
    /// The request failed: what OpenVMM's server answers to every OPENCHANNEL, GPADL_HEADER and MODIFYCHANNEL that it refuses (documented:
    /// `STATUS_UNSUCCESSFUL` of `vmbus_core/src/protocol.rs`, whose value is that of the HRESULT E_UNEXPECTED and not that of the
    /// NTSTATUS of the name). What a Hyper-V host answers is not known; Linux only compares with 0.
    pub const UNSUCCESSFUL: Self = Self(0x8000_ffff);

    /// No service takes the connection (an NTSTATUS, STATUS_CONNECTION_REFUSED; documented: the same file, and `send_tl_connect_result` of
    /// `vmbus_server/src/channels.rs`, which says that Windows guests look at it).
    pub const CONNECTION_REFUSED: Self = Self(0xc000_0236);

    /// Whether it is [`Status::SUCCESS`].
    pub const fn is_success(self) -> bool {
        self.0 == 0
    }

    /// Success or [`Status::UNSUCCESSFUL`].
    pub const fn from_ok(ok: bool) -> Self {
        if ok { Self::SUCCESS } else { Self::UNSUCCESSFUL }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_success() { f.write_str("success") } else { write!(f, "{:#010x}", self.0) }
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What the hypervisor said to an HvPostMessage.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum PostStatus {
    /// Taken (0).
    Success,
    /// The host has no memory for it (0x0b): try again later.
    InsufficientMemory,
    /// The host has no port for this connection id (0x12).
    InvalidConnectionId,
    /// The port's buffers are full (0x13): try again later.
    InsufficientBuffers,
    /// Any other status of the hypercall.
    Other(u16),
}

impl PostStatus {
    /// From the hypercall's status code.
    pub const fn from_hv_status(status: u16) -> Self {
        match status {
            0 => Self::Success,
            0x0b => Self::InsufficientMemory,
            0x12 => Self::InvalidConnectionId,
            0x13 => Self::InsufficientBuffers,
            other => Self::Other(other),
        }
    }

    /// The hypercall's status code.
    pub const fn to_hv_status(self) -> u16 {
        match self {
            Self::Success => 0,
            Self::InsufficientMemory => 0x0b,
            Self::InvalidConnectionId => 0x12,
            Self::InsufficientBuffers => 0x13,
            Self::Other(other) => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn a_relid_is_between_1_and_2047() {
        assert_eq!(Relid::new(0), None);
        assert_eq!(Relid::new(2048), None);
        assert_eq!(Relid::new(0x1_0001), None);
        assert_eq!(Relid::new(1), Some(Relid::FIRST));
        assert_eq!(Relid::all().count(), 2047);
        assert!(serde_json::from_str::<Relid>("2048").is_err());
    }

    #[test]
    fn ids_are_numbers_for_people_and_in_messages() {
        let relid = Relid::try_from(2047).unwrap();
        assert_eq!((u32::from(relid), relid.get(), relid.event_flag()), (2047, 2047, 2047));
        assert_eq!(Relid::try_from(2048), Err(InvalidRelid(2048)));
        assert_eq!((format!("{relid}"), format!("{relid:?}")), ("2047".into(), "relid 2047".into()));
        assert_eq!(serde_json::to_string(&relid).unwrap(), "2047");
        let gpadl = GpadlId(0xe1e10);
        assert_eq!((format!("{gpadl}"), format!("{gpadl:?}")), ("0xe1e10".into(), "gpadl 0xe1e10".into()));
        assert_eq!(Relid::all().last(), Some(relid));
    }

    #[test]
    fn a_status_is_success_or_a_number() {
        assert_eq!((Status::from_ok(true), Status::from_ok(false)), (Status(0), Status(0x8000_ffff)));
        assert!(Status(0).is_success() && !Status(1).is_success());
        assert_eq!(format!("{} {}", Status::SUCCESS, Status::CONNECTION_REFUSED), "success 0xc0000236");
        assert_eq!(format!("{:?} {:?}", Status::SUCCESS, Status(0x12)), "success 0x00000012");
    }

    #[test]
    fn hypercall_statuses_have_the_hypervisors_numbers() {
        let known = [
            (0, PostStatus::Success),
            (0x0b, PostStatus::InsufficientMemory),
            (0x12, PostStatus::InvalidConnectionId),
            (0x13, PostStatus::InsufficientBuffers),
            (5, PostStatus::Other(5)),
        ];
        for (number, status) in known {
            assert_eq!((PostStatus::from_hv_status(number), status.to_hv_status()), (status, number));
        }
    }

    #[test]
    fn hypercall_statuses_round_trip() {
        for status in 0..0x20 {
            assert_eq!(PostStatus::from_hv_status(status).to_hv_status(), status);
        }
    }
}
