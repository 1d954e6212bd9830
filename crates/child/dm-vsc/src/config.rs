//! How a driver behaves.

use alloc::vec::Vec;
use core::time::Duration;

use dm_protocol::Version;
use page_range::{PAGES_PER_MIB, PageCount};

use crate::Faults;

use crate::constants as c;

/// A version of the protocol that a driver can propose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum DriverVersion {
    /// 0.3: drivers of the time of Windows Server 2008 R2 SP1.
    #[cfg_attr(feature = "serde", serde(rename = "0.3"))]
    V0_3,
    /// 1.0: drivers of the time of Windows Server 2012.
    #[cfg_attr(feature = "serde", serde(rename = "1.0"))]
    V1_0,
    /// 2.0: current drivers.
    #[cfg_attr(feature = "serde", serde(rename = "2.0"))]
    V2_0,
}

impl DriverVersion {
    /// As it is on the wire.
    #[must_use]
    pub fn on_wire(self) -> Version {
        match self {
            Self::V0_3 => Version::V0_3,
            Self::V1_0 => Version::V1_0,
            Self::V2_0 => Version::V2_0,
        }
    }

    /// What a driver whose newest version this is proposes, one after the other (documented: Linux).
    #[must_use]
    pub fn and_older(self) -> Vec<Self> {
        [Self::V2_0, Self::V1_0, Self::V0_3].into_iter().filter(|&version| version <= self).collect()
    }
}

/// How long a guest takes for an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct OperationTime {
    /// However small it is.
    pub base: Duration,
    /// For each MiB of it.
    pub per_mib: Duration,
}

impl OperationTime {
    /// No time at all.
    pub const NONE: Self = Self { base: Duration::ZERO, per_mib: Duration::ZERO };
    /// To give pages away (`balloon.base`, `balloon.per_mib`).
    pub const BALLOON: Self =
        Self { base: c::BALLOON_BASE.duration(), per_mib: c::BALLOON_PER_MIB.duration() };
    /// To take pages, back or new (`add.base`, `add.per_mib`).
    pub const ADD: Self = Self { base: c::ADD_BASE.duration(), per_mib: c::ADD_PER_MIB.duration() };

    /// `base` however small the operation is, and `per_mib` for each MiB of it.
    #[must_use]
    pub const fn new(base: Duration, per_mib: Duration) -> Self {
        Self { base, per_mib }
    }

    /// How long an operation of this size takes.
    #[must_use]
    pub fn of(&self, pages: PageCount) -> Duration {
        let nanos = self.per_mib.as_nanos().saturating_mul(pages.get().into()) / u128::from(PAGES_PER_MIB);
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
        self.base.saturating_add(Duration::from_nanos(nanos))
    }
}

/// What is left to the guest however much the host asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Floor {
    /// The memory manager keeps its own floor.
    #[default]
    MemoryManager,
    /// This many pages stay available.
    Available(PageCount),
    /// As the Linux driver computes it from the memory that the guest manages (documented: 40, 72, 104, 168, 232, 360, 488,
    /// 744, 1000 MiB and so on for 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384 MiB). The floor is part of the commit that
    /// is reported.
    Linux,
}

impl Floor {
    /// The floor of a guest that manages `total` pages.
    #[must_use]
    pub fn pages(self, total: PageCount) -> PageCount {
        match self {
            Self::MemoryManager => PageCount::ZERO,
            Self::Available(pages) => pages,
            Self::Linux => {
                let (base_mib, part) = match total.whole_mib() {
                    0..128 => (8, 2),
                    128..512 => (40, 4),
                    512..2048 => (104, 8),
                    2048..8192 => (232, 16),
                    _ => (488, 32),
                };
                PageCount::from_mib(base_mib).saturating_add(PageCount(total.get() / part))
            }
        }
    }
}

/// How given pages are cut into ranges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum RangeStyle {
    /// As they come from the memory manager.
    #[default]
    Merged,
    /// In blocks of 2 MiB and then single pages, never merged, never mixed in one message (documented: Linux).
    LinuxBlocks,
}

/// Which fields of a status report a driver fills. The others are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum StatusFields {
    /// All of them (inferred: the fields are those of Windows' own memory manager, and the protocol was made for it).
    #[default]
    All,
    /// Available and committed pages (documented: `post_status` of Linux' `hv_balloon` clears the message and sets these
    /// two).
    AvailableAndCommitted,
}

/// What a driver does with a request that comes while it carries out another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum BusyRequests {
    /// The request is dropped (chosen: what Windows does is not known, and a host has one request outstanding).
    #[default]
    Drop,
    /// The request is carried out next; of several of one kind only the last is. Pages that the host returns are taken at once
    /// (documented: Linux' driver keeps one set of parameters for each kind of request, overwrites them, and runs its work
    /// again; it takes pages back in the channel's callback).
    Overwrite,
}

/// What a driver does with pages that the host returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum UnballoonCheck {
    /// Only pages that the driver gave away are taken back; others are left alone (chosen: what Windows does is not known,
    /// and a driver that frees a page in use corrupts its guest).
    #[default]
    OwnPagesOnly,
    /// Whatever the host names is handed to the memory manager at once (documented: Linux).
    Trust,
}

/// Configuration of a driver.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct VscConfig {
    /// The versions to propose, in order; the last is proposed as the last attempt.
    pub proposals: Vec<DriverVersion>,
    /// The driver can give pages away.
    pub balloon: bool,
    /// The driver can take new memory.
    pub hot_add: bool,
    /// New memory must begin at, and be, a multiple of `1 << hot_add_alignment` MiB; 0–15.
    pub hot_add_alignment: u32,
    /// How long the driver waits for a host in the handshake (`handshake_timeout`: once for all versions and once for the
    /// capabilities).
    pub handshake_timeout: Duration,
    /// How long after the first handshake nothing is reported (`linux.pressure_report_delay`; 0 for Windows). Later ones,
    /// when the channel was closed and opened again, are not followed by such a pause.
    pub pressure_report_delay: Duration,
    /// How often the status is reported (`status_interval`).
    pub status_interval: Duration,
    /// No status is reported if the host says so (2.0). The Linux driver does not listen.
    pub honour_suppression: bool,
    /// Time to give pages away.
    pub balloon_time: OperationTime,
    /// Time to take pages back.
    pub unballoon_time: OperationTime,
    /// Time to take new memory.
    pub hot_add_time: OperationTime,
    /// Which fields of a status report the driver fills.
    pub status_fields: StatusFields,
    /// What is left to the guest.
    pub floor: Floor,
    /// How given pages are cut into ranges.
    pub range_style: RangeStyle,
    /// What is done with pages that the host returns.
    pub unballoon_check: UnballoonCheck,
    /// What is done with a request that comes while another is carried out.
    pub busy_requests: BusyRequests,
    /// The guest could hibernate: requests to give and to take back are dropped without an answer, and new memory is refused
    /// for good (documented: Linux with ACPI S4).
    pub hibernation: bool,
    /// What is wrong with the guest, for scenarios and tests.
    pub faults: Faults,
}

impl VscConfig {
    /// This configuration with some fields changed.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// A Windows guest with a driver of this version.
    #[must_use]
    pub fn windows(version: DriverVersion) -> Self {
        Self {
            proposals: version.and_older(),
            balloon: true,
            hot_add: true,
            // 2 MiB (invented).
            hot_add_alignment: 1,
            handshake_timeout: c::HANDSHAKE_TIMEOUT.duration(),
            pressure_report_delay: Duration::ZERO,
            status_interval: c::STATUS_INTERVAL.duration(),
            honour_suppression: true,
            balloon_time: OperationTime::BALLOON,
            unballoon_time: OperationTime::ADD,
            hot_add_time: OperationTime::ADD,
            status_fields: StatusFields::All,
            floor: Floor::MemoryManager,
            range_style: RangeStyle::Merged,
            unballoon_check: UnballoonCheck::OwnPagesOnly,
            busy_requests: BusyRequests::Drop,
            hibernation: false,
            faults: Faults::default(),
        }
    }

    /// A Linux guest with memory blocks of 128 MiB.
    #[must_use]
    pub fn linux() -> Self {
        Self {
            hot_add_alignment: 7,
            pressure_report_delay: c::PRESSURE_REPORT_DELAY.duration(),
            honour_suppression: false,
            status_fields: StatusFields::AvailableAndCommitted,
            floor: Floor::Linux,
            range_style: RangeStyle::LinuxBlocks,
            unballoon_check: UnballoonCheck::Trust,
            busy_requests: BusyRequests::Overwrite,
            ..Self::windows(DriverVersion::V2_0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linux_floor_has_the_documented_points() {
        for (total, floor) in [
            (64, 40),
            (128, 72),
            (256, 104),
            (512, 168),
            (1024, 232),
            (2048, 360),
            (4096, 488),
            (8192, 744),
            (16384, 1000),
            (32768, 1512),
            (65536, 2536),
        ] {
            assert_eq!(Floor::Linux.pages(PageCount::from_mib(total)), PageCount::from_mib(floor), "{total}");
        }
    }

    #[test]
    fn operation_times_follow_the_size() {
        assert_eq!(OperationTime::BALLOON.of(PageCount::from_mib(64)), Duration::from_millis(178));
        assert_eq!(OperationTime::ADD.of(PageCount(128)), Duration::from_micros(50_500));
        assert!(OperationTime::BALLOON.of(PageCount::MAX) > Duration::from_secs(1 << 30));
    }

    #[test]
    fn what_linux_does_otherwise_than_windows() {
        let (linux, windows) = (VscConfig::linux(), VscConfig::windows(DriverVersion::V2_0));
        assert_eq!((linux.hot_add_alignment, windows.hot_add_alignment), (7, 1));
        assert_eq!(linux.pressure_report_delay, Duration::from_secs(45));
        assert_eq!(windows.pressure_report_delay, Duration::ZERO);
        assert!(!linux.honour_suppression && windows.honour_suppression);
        assert_eq!(linux.status_fields, StatusFields::AvailableAndCommitted);
        assert_eq!(windows.status_fields, StatusFields::All);
        assert_eq!((linux.floor, windows.floor), (Floor::Linux, Floor::MemoryManager));
        assert_eq!((linux.range_style, windows.range_style), (RangeStyle::LinuxBlocks, RangeStyle::Merged));
        assert_eq!(linux.unballoon_check, UnballoonCheck::Trust);
        assert_eq!(windows.unballoon_check, UnballoonCheck::OwnPagesOnly);
        assert_eq!(
            (linux.busy_requests, windows.busy_requests),
            (BusyRequests::Overwrite, BusyRequests::Drop)
        );
        // All else is alike.
        let alike = windows.with(|config| {
            config.hot_add_alignment = linux.hot_add_alignment;
            config.pressure_report_delay = linux.pressure_report_delay;
            config.honour_suppression = linux.honour_suppression;
            config.status_fields = linux.status_fields;
            config.floor = linux.floor;
            config.range_style = linux.range_style;
            config.unballoon_check = linux.unballoon_check;
            config.busy_requests = linux.busy_requests;
        });
        assert_eq!(alike, linux);
        assert_eq!(alike.proposals, [DriverVersion::V2_0, DriverVersion::V1_0, DriverVersion::V0_3]);
        assert!(alike.balloon && alike.hot_add && !alike.hibernation);
        assert_eq!(alike.handshake_timeout, Duration::from_secs(5));
        assert_eq!(alike.status_interval, Duration::from_secs(1));
        assert_eq!(alike.balloon_time, OperationTime::BALLOON);
        assert_eq!((alike.unballoon_time, alike.hot_add_time), (OperationTime::ADD, OperationTime::ADD));
        assert_eq!(alike.faults, Faults::NONE);
    }

    #[test]
    fn older_versions_follow() {
        use DriverVersion::*;
        assert_eq!(V2_0.and_older(), [V2_0, V1_0, V0_3]);
        assert_eq!(V0_3.and_older(), [V0_3]);
    }
}
