//! The services and their versions.

use core::fmt;

use uuid::{Uuid, uuid};

use crate::MessageType;
use crate::wire::WireVersion;

/// A version of the frame, or of a service's messages.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The number before the dot.
    pub major: u16,
    /// The number after the dot.
    pub minor: u16,
}

impl Version {
    /// The version `major.minor`.
    #[must_use]
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }
}

impl From<WireVersion> for Version {
    fn from(wire: WireVersion) -> Self {
        Self::new(wire.major.get(), wire.minor.get())
    }
}

impl From<Version> for WireVersion {
    fn from(version: Version) -> Self {
        Self { major: version.major.into(), minor: version.minor.into() }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({self})")
    }
}

/// The versions of the frame, newest first: 1.0 of Windows Server 2008, 3.0 since (documented: Linux, `hv_util.c`).
pub const FRAMEWORK_VERSIONS: [Version; 2] = [Version::new(3, 0), Version::new(1, 0)];

/// An integration service: a device class of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// The host asks whether the guest lives.
    Heartbeat,
    /// The host asks the guest to shut down.
    Shutdown,
    /// The host tells the guest the time.
    TimeSync,
    /// The host reads and writes values that a daemon in the guest keeps.
    KeyValue,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Heartbeat, Self::Shutdown, Self::TimeSync, Self::KeyValue];

    /// The service whose messages are of this type.
    #[must_use]
    pub fn of(kind: MessageType) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.message_type() == kind)
    }

    /// The type of its messages.
    #[must_use]
    pub const fn message_type(self) -> MessageType {
        match self {
            Self::Heartbeat => MessageType::HEARTBEAT,
            Self::Shutdown => MessageType::SHUTDOWN,
            Self::TimeSync => MessageType::TIME_SYNC,
            Self::KeyValue => MessageType::KEY_VALUE,
        }
    }

    /// The device class under which it is offered (documented: Linux, `hyperv.h`).
    #[must_use]
    pub const fn class(self) -> Uuid {
        match self {
            Self::Heartbeat => uuid!("57164f39-9115-4e78-ab55-382f3bd5422d"),
            Self::Shutdown => uuid!("0e0b6031-5213-4934-818b-38d90ced39db"),
            Self::TimeSync => uuid!("9527e630-d0ae-497b-adce-e80ab0175caf"),
            Self::KeyValue => uuid!("a9a0f4e7-5a45-4d96-b827-8a841e8c03e6"),
        }
    }

    /// The instance under which it is offered: documented in OpenVMM's sources, but that of the heartbeat (invented; a guest's driver
    /// looks for the class).
    #[must_use]
    pub const fn instance(self) -> Uuid {
        match self {
            Self::Heartbeat => uuid!("fd149e91-82e0-4a7d-afa6-2a4166cbd7c0"),
            Self::Shutdown => uuid!("b6650ff7-33bc-4840-8048-e0676786f393"),
            Self::TimeSync => uuid!("2dd1ce17-079e-403c-b352-a1921ee207ee"),
            Self::KeyValue => uuid!("242ff919-07db-4180-9c2e-b86cb68c8c55"),
        }
    }

    /// The versions of its messages, newest first (documented: Linux, `hv_util.c`, `hv_kvp.c`).
    #[must_use]
    pub const fn versions(self) -> &'static [Version] {
        const V1: Version = Version::new(1, 0);
        const V3: Version = Version::new(3, 0);
        const V4: Version = Version::new(4, 0);
        const SHUTDOWN: [Version; 4] = [Version::new(3, 2), Version::new(3, 1), V3, V1];
        const KEY_VALUE: [Version; 3] = [Version::new(5, 0), V4, V3];
        match self {
            Self::Heartbeat => &[V3, V1],
            Self::Shutdown => &SHUTDOWN,
            Self::TimeSync => &[V4, V3, V1],
            Self::KeyValue => &KEY_VALUE,
        }
    }

    /// Its name in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Heartbeat => "heartbeat",
            Self::Shutdown => "shutdown",
            Self::TimeSync => "time_sync",
            Self::KeyValue => "key_value",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
