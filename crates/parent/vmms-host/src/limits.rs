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
}

/// The edition of the parent OS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostEdition {
    /// Enterprise: the test bed of \[A\].
    #[default]
    Enterprise,
    /// Datacenter.
    Datacenter,
    /// Standard.
    Standard,
    /// Microsoft Hyper-V Server.
    HyperVServer,
    /// Without the limits of any release, for sizing and benchmarks (invented).
    Unlimited,
}

/// What a host allows. `None` is without limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostLimits {
    /// Most memory that the host may have.
    pub host_memory: Option<PageCount>,
    /// Most memory that a VM may have.
    pub vm_memory: Option<PageCount>,
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
        }
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
                    running_vms: Some(if updated { 192 } else { 128 }),
                    configured_vms: Some(512),
                    logical_processors: Some(if updated { 24 } else { 16 }),
                    virtual_processors: None,
                    per_logical_processor: None,
                    per_logical_processor_windows_7: None,
                }
            }
        }
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
}
