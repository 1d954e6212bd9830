//! Host editions and what they allow (Tables 1.1–1.3 of \[D\]).

use page_range::PageCount;
use serde::{Deserialize, Serialize};

/// The edition of the parent OS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostEdition {
    /// Windows Server 2008 R2 Enterprise: the test bed of \[A\].
    #[default]
    Enterprise,
    /// Windows Server 2008 R2 Datacenter.
    Datacenter,
    /// Windows Server 2008 R2 Standard.
    Standard,
    /// Microsoft Hyper-V Server.
    HyperVServer,
    /// Without the limits of the era, for sizing and benchmarks (invented).
    Unlimited,
}

impl HostEdition {
    /// Most memory that the host may have (documented).
    #[must_use]
    pub const fn host_memory(self) -> PageCount {
        match self {
            Self::Enterprise | Self::Datacenter => PageCount::from_mib(1024 * 1024),
            Self::Standard | Self::HyperVServer => PageCount::from_mib(32 * 1024),
            Self::Unlimited => PageCount::MAX,
        }
    }

    /// Most memory that a VM may have (documented).
    #[must_use]
    pub const fn vm_memory(self) -> PageCount {
        match self {
            Self::Enterprise | Self::Datacenter => PageCount::from_mib(64 * 1024),
            Self::Standard | Self::HyperVServer => PageCount::from_mib(31 * 1024 + 512),
            Self::Unlimited => PageCount::MAX,
        }
    }

    /// Most VMs that may run at a time (documented).
    #[must_use]
    pub const fn running_vms(self) -> usize {
        if matches!(self, Self::Unlimited) { usize::MAX } else { 192 }
    }

    /// Most VMs that may be configured (documented).
    #[must_use]
    pub const fn configured_vms(self) -> usize {
        if matches!(self, Self::Unlimited) { usize::MAX } else { 512 }
    }
}
