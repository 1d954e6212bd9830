//! What releases and editions of the parent OS allow.
//!
//! Windows Server 2008 R2 SP1 (documented): Microsoft, *Requirements and Limits for Virtual Machines and Hyper-V in Windows Server 2008 R2*
//! (TechNet ee405267), which does not distinguish editions: 384 running VMs, 64 logical processors, 512 virtual processors, 8 of them for
//! each logical processor (12 if all guests are Windows 7), 1 TB of host memory, 64 GB for a VM. Where Standard has less: *What's new in
//! Windows Server 2008 R2 Hyper-V* (techgenix.com): 192 running VMs, 32 logical processors, 32 GB for the host and for a VM.
//!
//! Windows Server 2008 (documented): Tables 1.1 to 1.3 of \[D\], with the update KB956710 (192 running VMs, 24 logical processors) and without
//! (128 and 16). They also limit what is configured, to 512 VMs; for 2008 R2 no such limit was found.
//!
//! Later releases (documented): Microsoft, *Hyper-V scalability in Windows Server 2012 and Windows Server 2012 R2* (TechNet jj680093) and
//! *Plan for Hyper-V scalability in Windows Server* (learn.microsoft.com, the stored text of October 2024, with a table for each of 2016 to
//! 2025): see [`HostRelease::limits`]. For 2019 that text has 250 virtual processors for a VM of generation 2, its predecessor had 240 for 2016
//! and 2019 alike; 240 is taken. What 5-level paging allows a host is taken, 4 PB; with 4-level paging it is 256 TB. Since 2012 editions do not
//! differ in what they allow.
//!
//! Beyond a limit a host is *not supported*. That the management service refuses to start such a VM is this project's reading, and no
//! public text of Hyper-V's for it was found: the event log says 12030, which is Hyper-V's for every failed start, and then why.

use page_range::PageCount;
use serde::{Deserialize, Serialize};

/// The release of the parent OS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostRelease {
    /// Windows Server 2008 R2 SP1, the first with Dynamic Memory.
    #[default]
    R2Sp1,
    /// Windows Server 2008 with the update KB956710: the host of \[D\], which had no Dynamic Memory.
    Server2008Update,
    /// Windows Server 2008 without it.
    Server2008,
    /// Windows Server 2012: Minimum RAM of its own, Smart Paging.
    Server2012,
    /// Windows Server 2012 R2: VMs of generation 2.
    Server2012R2,
    /// Windows Server 2016.
    Server2016,
    /// Windows Server 2019.
    Server2019,
    /// Windows Server 2022.
    Server2022,
    /// Windows Server 2025.
    Server2025,
}

/// The generation of a VM: which firmware and devices it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum VmGeneration {
    /// BIOS and emulated devices: the only one up to 2012.
    #[serde(rename = "1")]
    One,
    /// UEFI, and devices of the VMBus alone: since 2012 R2 (documented).
    #[serde(rename = "2")]
    Two,
}

/// The edition of the parent OS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostEdition {
    /// Enterprise: the test bed of \[A\]. There is none since 2012 (documented).
    #[default]
    Enterprise,
    /// Datacenter.
    Datacenter,
    /// Standard.
    Standard,
    /// Microsoft Hyper-V Server; the last was that of 2019 (documented).
    HyperVServer,
    /// Without the limits of any release, for sizing and benchmarks (invented).
    Unlimited,
}

/// What a host allows. `None` is without limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostLimits {
    /// Most memory that the host may have.
    pub host_memory: Option<PageCount>,
    /// Most memory that a VM may have, of the generation that may have the most.
    pub vm_memory: Option<PageCount>,
    /// Most memory that a VM of generation 1 may have.
    pub first_generation_memory: Option<PageCount>,
    /// Most virtual processors that a VM may have, of the generation that may have the most. `None` where tables go by the guest alone.
    pub vm_processors: Option<u32>,
    /// Most virtual processors that a VM of generation 1 may have.
    pub first_generation_processors: Option<u32>,
    /// Most VMs that may run at a time.
    pub running_vms: Option<usize>,
    /// Most VMs that may be configured.
    pub configured_vms: Option<usize>,
    /// Most logical processors that the host may have.
    pub logical_processors: Option<u32>,
    /// Most virtual processors of all running VMs together.
    pub virtual_processors: Option<u32>,
    /// Most virtual processors of all running VMs for each logical processor.
    pub per_logical_processor: Option<u32>,
    /// The same if all guests are Windows 7.
    pub per_logical_processor_windows_7: Option<u32>,
}

impl HostLimits {
    /// No limit at all.
    pub const NONE: Self = Self {
        host_memory: None,
        vm_memory: None,
        first_generation_memory: None,
        vm_processors: None,
        first_generation_processors: None,
        running_vms: None,
        configured_vms: None,
        logical_processors: None,
        virtual_processors: None,
        per_logical_processor: None,
        per_logical_processor_windows_7: None,
    };
}

impl HostRelease {
    /// Its word in scenario files.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::R2Sp1 => "2008-r2-sp1",
            Self::Server2008Update => "2008-kb956710",
            Self::Server2008 => "2008",
            Self::Server2012 => "2012",
            Self::Server2012R2 => "2012-r2",
            Self::Server2016 => "2016",
            Self::Server2019 => "2019",
            Self::Server2022 => "2022",
            Self::Server2025 => "2025",
        }
    }

    /// All releases, the oldest first.
    pub const ALL: [Self; 9] = [
        Self::Server2008,
        Self::Server2008Update,
        Self::R2Sp1,
        Self::Server2012,
        Self::Server2012R2,
        Self::Server2016,
        Self::Server2019,
        Self::Server2022,
        Self::Server2025,
    ];

    /// Whether it has Dynamic Memory: since 2008 R2 SP1 (documented: \[A\]).
    #[must_use]
    pub const fn has_dynamic_memory(self) -> bool {
        !matches!(self, Self::Server2008 | Self::Server2008Update)
    }

    /// Whether it is 2012 or later. These have Minimum RAM as a setting of its own, and Smart Paging, which lets a VM restart when the host
    /// has less than its Startup RAM (documented: Microsoft, *Hyper-V Dynamic Memory Overview*, TechNet hh831766).
    #[must_use]
    pub const fn is_2012_or_later(self) -> bool {
        !matches!(self, Self::Server2008 | Self::Server2008Update | Self::R2Sp1)
    }

    /// Whether it has VMs of generation 2: since 2012 R2 (documented: Microsoft, *Should I create a generation 1 or 2 virtual machine*).
    #[must_use]
    pub const fn has_second_generation(self) -> bool {
        self.is_2012_or_later() && !matches!(self, Self::Server2012)
    }

    /// The edition of a host of which none is said: the test bed's Enterprise, and Datacenter where there is no such edition any more.
    #[must_use]
    pub const fn usual_edition(self) -> HostEdition {
        if self.is_2012_or_later() { HostEdition::Datacenter } else { HostEdition::Enterprise }
    }

    /// Whether it was sold in this edition.
    #[must_use]
    pub const fn has_edition(self, edition: HostEdition) -> bool {
        match edition {
            HostEdition::Enterprise => !self.is_2012_or_later(),
            HostEdition::HyperVServer => !matches!(self, Self::Server2022 | Self::Server2025),
            HostEdition::Datacenter | HostEdition::Standard | HostEdition::Unlimited => true,
        }
    }

    /// The oldest release of which `fits` holds for what its usual edition allows.
    pub fn oldest(fits: impl Fn(Self, &HostLimits) -> bool) -> Option<Self> {
        Self::ALL.into_iter().find(|release| fits(*release, &release.limits(release.usual_edition())))
    }

    /// What an edition of this release allows.
    #[must_use]
    pub const fn limits(self, edition: HostEdition) -> HostLimits {
        let standard = matches!(edition, HostEdition::Standard);
        let small_2008 = matches!(edition, HostEdition::Standard | HostEdition::HyperVServer);
        if matches!(edition, HostEdition::Unlimited) {
            return HostLimits::NONE;
        }
        match self {
            Self::R2Sp1 => HostLimits {
                host_memory: Some(PageCount::from_mib(if standard { 32 << 10 } else { 1 << 20 })),
                vm_memory: Some(PageCount::from_mib(if standard { 32 << 10 } else { 64 << 10 })),
                first_generation_memory: None,
                vm_processors: Some(4),
                first_generation_processors: None,
                running_vms: Some(if standard { 192 } else { 384 }),
                configured_vms: None,
                logical_processors: Some(if standard { 32 } else { 64 }),
                virtual_processors: Some(512),
                per_logical_processor: Some(8),
                per_logical_processor_windows_7: Some(12),
            },
            Self::Server2008Update | Self::Server2008 => {
                let updated = matches!(self, Self::Server2008Update);
                HostLimits {
                    host_memory: Some(PageCount::from_mib(if small_2008 { 32 << 10 } else { 1 << 20 })),
                    vm_memory: Some(PageCount::from_mib(if small_2008 { 32_256 } else { 64 << 10 })),
                    first_generation_memory: None,
                    vm_processors: Some(4),
                    first_generation_processors: None,
                    running_vms: Some(if updated { 192 } else { 128 }),
                    configured_vms: Some(512),
                    logical_processors: Some(if updated { 24 } else { 16 }),
                    virtual_processors: None,
                    per_logical_processor: None,
                    per_logical_processor_windows_7: None,
                }
            }
            Self::Server2012 | Self::Server2012R2 => since_2012(4 * TB, TB, 64, 320),
            Self::Server2016 | Self::Server2019 => since_2012(24 * TB, 12 * TB, 240, 512),
            Self::Server2022 => since_2012(4096 * TB, 240 * TB, 1024, 1024),
            Self::Server2025 => since_2012(4096 * TB, 240 * TB, 2048, 2048),
        }
    }
}

/// MiB of a TB.
const TB: u64 = 1 << 20;

/// What releases since 2012 allow: all of them 1024 running VMs, 2048 virtual processors, and a VM of generation 1 with 1 TB and 64 processors.
const fn since_2012(host_mib: u64, vm_mib: u64, vm_processors: u32, logical_processors: u32) -> HostLimits {
    HostLimits {
        host_memory: Some(PageCount::from_mib(host_mib)),
        vm_memory: Some(PageCount::from_mib(vm_mib)),
        first_generation_memory: Some(PageCount::from_mib(TB)),
        vm_processors: Some(vm_processors),
        first_generation_processors: Some(64),
        running_vms: Some(1024),
        configured_vms: None,
        logical_processors: Some(logical_processors),
        virtual_processors: Some(2048),
        per_logical_processor: None,
        per_logical_processor_windows_7: None,
    }
}

impl HostEdition {
    /// Its word in scenario files.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Enterprise => "enterprise",
            Self::Datacenter => "datacenter",
            Self::Standard => "standard",
            Self::HyperVServer => "hyper-v-server",
            Self::Unlimited => "unlimited",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1024;

    #[test]
    fn limits_are_those_of_the_sources() {
        let of = |release: HostRelease, edition| {
            let limits = release.limits(edition);
            (
                limits.running_vms.unwrap(),
                limits.logical_processors.unwrap(),
                limits.host_memory.unwrap().whole_mib() / GIB,
                limits.vm_memory.unwrap().whole_mib(),
            )
        };
        use HostEdition::{Datacenter, Enterprise, HyperVServer, Standard};
        use HostRelease::{R2Sp1, Server2008, Server2008Update};
        // TechNet ee405267; techgenix.com for Standard.
        for edition in [Enterprise, Datacenter, HyperVServer] {
            assert_eq!(of(R2Sp1, edition), (384, 64, 1024, 64 * GIB));
        }
        assert_eq!(of(R2Sp1, Standard), (192, 32, 32, 32 * GIB));
        // Tables 1.1 and 1.2 of [D].
        assert_eq!(of(Server2008Update, Enterprise), (192, 24, 1024, 64 * GIB));
        assert_eq!(of(Server2008Update, HyperVServer), (192, 24, 32, 32_256));
        assert_eq!(of(Server2008, Datacenter), (128, 16, 1024, 64 * GIB));
        assert_eq!(of(Server2008, Standard), (128, 16, 32, 32_256));
        assert_eq!(Server2008.limits(Enterprise).configured_vms, Some(512));
        assert_eq!(R2Sp1.limits(HostEdition::Unlimited), HostLimits::NONE);
    }

    /// The tables of TechNet jj680093 and of *Plan for Hyper-V scalability in Windows Server*, in TB.
    #[test]
    fn limits_since_2012_are_those_of_microsofts_tables() {
        use HostRelease::{Server2012, Server2012R2, Server2016, Server2019, Server2022, Server2025};
        for (release, host, vm, processors, logical) in [
            (Server2012, 4, 1, 64, 320),
            (Server2012R2, 4, 1, 64, 320),
            (Server2016, 24, 12, 240, 512),
            (Server2019, 24, 12, 240, 512),
            (Server2022, 4096, 240, 1024, 1024),
            (Server2025, 4096, 240, 2048, 2048),
        ] {
            let limits = release.limits(HostEdition::Standard);
            assert_eq!(limits, release.limits(HostEdition::Datacenter), "{release:?}");
            let tb = |pages: Option<PageCount>| pages.unwrap().whole_mib() >> 20;
            assert_eq!((tb(limits.host_memory), tb(limits.vm_memory)), (host, vm), "{release:?}");
            assert_eq!((limits.vm_processors, limits.logical_processors), (Some(processors), Some(logical)));
            assert_eq!(
                (tb(limits.first_generation_memory), limits.first_generation_processors),
                (1, Some(64))
            );
            assert_eq!((limits.running_vms, limits.virtual_processors), (Some(1024), Some(2048)));
        }
    }

    #[test]
    fn the_oldest_release_that_allows_something_is_found() {
        let memory =
            |gib: u64| HostRelease::oldest(|_, limits| limits.vm_memory.unwrap().whole_mib() >= gib << 10);
        assert_eq!(memory(64), Some(HostRelease::Server2008));
        assert_eq!(memory(96), Some(HostRelease::Server2012));
        assert_eq!(memory(2 << 10), Some(HostRelease::Server2016));
        assert_eq!(memory(100 << 10), Some(HostRelease::Server2022));
        assert_eq!(memory(1 << 20), None);
        assert_eq!(
            HostRelease::oldest(|release, _| release.has_second_generation()),
            Some(HostRelease::Server2012R2)
        );
        assert!(!HostRelease::Server2022.has_edition(HostEdition::HyperVServer));
        assert!(!HostRelease::Server2012.has_edition(HostEdition::Enterprise));
    }
}
