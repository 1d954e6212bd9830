//! Message types: who sends them, since which version, and how long they are at least.

use crate::{Version, wire};
use core::fmt;

/// Who sends a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The DM VSC.
    Guest,
    /// The DM VSP.
    Host,
}

/// The type of a message, as it is in the header. Any value can arrive; those that are known have a constant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MessageType(pub u16);

struct Known {
    name: &'static str,
    sender: Option<Sender>,
    since: Version,
    minimum: usize,
}

const fn known<T>(name: &'static str, sender: Sender, since: Version) -> Known {
    Known { name, sender: Some(sender), since, minimum: size_of::<T>() }
}

/// Indexed by the type's number.
const KNOWN: [Known; 15] = [
    Known { name: "ERROR", sender: None, since: Version::V0_3, minimum: size_of::<wire::Header>() },
    known::<wire::VersionRequest>("VERSION_REQUEST", Sender::Guest, Version::V0_3),
    known::<wire::VersionResponse>("VERSION_RESPONSE", Sender::Host, Version::V0_3),
    known::<wire::CapabilitiesReport>("CAPABILITIES_REPORT", Sender::Guest, Version::V0_3),
    known::<wire::CapabilitiesResponse>("CAPABILITIES_RESPONSE", Sender::Host, Version::V0_3),
    known::<wire::StatusReport>("STATUS_REPORT", Sender::Guest, Version::V0_3),
    known::<wire::BalloonRequest>("BALLOON_REQUEST", Sender::Host, Version::V0_3),
    known::<wire::BalloonResponse>("BALLOON_RESPONSE", Sender::Guest, Version::V0_3),
    known::<wire::UnballoonRequest>("UNBALLOON_REQUEST", Sender::Host, Version::V0_3),
    known::<wire::UnballoonResponse>("UNBALLOON_RESPONSE", Sender::Guest, Version::V0_3),
    known::<wire::HotAddRequest>("MEM_HOT_ADD_REQUEST", Sender::Host, Version::V0_3),
    known::<wire::HotAddResponse>("MEM_HOT_ADD_RESPONSE", Sender::Guest, Version::V0_3),
    known::<wire::InfoMessage>("INFO_MESSAGE", Sender::Host, Version::V1_0),
    known::<wire::HotRemoveRequest>("MEM_HOT_REMOVE_REQUEST", Sender::Host, Version::V2_0),
    known::<wire::HotRemoveResponse>("MEM_HOT_REMOVE_RESPONSE", Sender::Guest, Version::V2_0),
];

impl MessageType {
    /// Error; its layout is not published, and no driver or host is known to send it.
    pub const ERROR: Self = Self(0);
    /// Guest to host: which version the guest would like.
    pub const VERSION_REQUEST: Self = Self(1);
    /// Host to guest: whether that version is accepted.
    pub const VERSION_RESPONSE: Self = Self(2);
    /// Guest to host: what the guest can do.
    pub const CAPABILITIES_REPORT: Self = Self(3);
    /// Host to guest: whether that is enough.
    pub const CAPABILITIES_RESPONSE: Self = Self(4);
    /// Guest to host, once a second: memory pressure.
    pub const STATUS_REPORT: Self = Self(5);
    /// Host to guest: give pages away.
    pub const BALLOON_REQUEST: Self = Self(6);
    /// Guest to host: the pages given away.
    pub const BALLOON_RESPONSE: Self = Self(7);
    /// Host to guest: pages that the guest may use again.
    pub const UNBALLOON_REQUEST: Self = Self(8);
    /// Guest to host: they are in use again.
    pub const UNBALLOON_RESPONSE: Self = Self(9);
    /// Host to guest: new memory.
    pub const MEM_HOT_ADD_REQUEST: Self = Self(10);
    /// Guest to host: how much of it was accepted.
    pub const MEM_HOT_ADD_RESPONSE: Self = Self(11);
    /// Host to guest: facts, such as the largest size the VM can reach. Since 1.0.
    pub const INFO_MESSAGE: Self = Self(12);
    /// Host to guest: remove memory. Since 2.0.
    pub const MEM_HOT_REMOVE_REQUEST: Self = Self(13);
    /// Guest to host: the memory removed. Since 2.0.
    pub const MEM_HOT_REMOVE_RESPONSE: Self = Self(14);

    #[inline]
    fn known(self) -> Option<&'static Known> {
        KNOWN.get(usize::from(self.0))
    }

    /// Whether the type is one of the fifteen that are known.
    #[inline]
    #[must_use]
    pub fn is_known(self) -> bool {
        self.known().is_some()
    }

    /// The name in the public headers, if the type is known.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        self.known().map(|known| known.name)
    }

    /// Who sends it; `None` for [`MessageType::ERROR`] and unknown types.
    #[inline]
    #[must_use]
    pub fn sender(self) -> Option<Sender> {
        self.known().and_then(|known| known.sender)
    }

    /// The first version that has it, if the type is known.
    #[must_use]
    pub fn since(self) -> Option<Version> {
        self.known().map(|known| known.since)
    }

    /// The shortest message of this type in bytes, header included; the header's size for unknown types.
    #[inline]
    #[must_use]
    pub fn minimum_size(self) -> usize {
        self.known().map_or(size_of::<wire::Header>(), |known| known.minimum)
    }
}

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "type {}", self.0),
        }
    }
}

impl fmt::Debug for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageType({self})")
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString as _;

    use super::*;

    #[test]
    fn a_type_is_written_by_its_name_or_its_number() {
        assert_eq!(MessageType::INFO_MESSAGE.to_string(), "INFO_MESSAGE");
        assert_eq!(MessageType(99).to_string(), "type 99");
    }

    /// From the public headers: `enum dm_message_type` of Linux' `hv_balloon`.
    #[test]
    fn the_known_types_have_their_names_versions_and_senders() {
        use Sender::{Guest, Host};
        let (old, middle, new) = (Version::V0_3, Version::V1_0, Version::V2_0);
        let known = [
            ("ERROR", None, old),
            ("VERSION_REQUEST", Some(Guest), old),
            ("VERSION_RESPONSE", Some(Host), old),
            ("CAPABILITIES_REPORT", Some(Guest), old),
            ("CAPABILITIES_RESPONSE", Some(Host), old),
            ("STATUS_REPORT", Some(Guest), old),
            ("BALLOON_REQUEST", Some(Host), old),
            ("BALLOON_RESPONSE", Some(Guest), old),
            ("UNBALLOON_REQUEST", Some(Host), old),
            ("UNBALLOON_RESPONSE", Some(Guest), old),
            ("MEM_HOT_ADD_REQUEST", Some(Host), old),
            ("MEM_HOT_ADD_RESPONSE", Some(Guest), old),
            ("INFO_MESSAGE", Some(Host), middle),
            ("MEM_HOT_REMOVE_REQUEST", Some(Host), new),
            ("MEM_HOT_REMOVE_RESPONSE", Some(Guest), new),
        ];
        for (number, (name, sender, since)) in (0..).zip(known) {
            let kind = MessageType(number);
            assert_eq!((kind.name(), kind.sender(), kind.since()), (Some(name), sender, Some(since)));
            assert!(kind.is_known() && kind.minimum_size() >= 8);
        }
        let unknown = MessageType(15);
        assert_eq!((unknown.name(), unknown.sender(), unknown.since()), (None, None, None));
        assert!(!unknown.is_known());
        assert_eq!(unknown.minimum_size(), 8);
    }
}
