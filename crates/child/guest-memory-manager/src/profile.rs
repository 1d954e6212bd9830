//! Profiles of the guest operating systems: what each needs at idle, how long it boots, whether it takes part in
//! Dynamic Memory (Table 2-1 of \[A\]) and how many virtual processors it supports (Table 1.3 of \[D\]).

mod catalogue;
mod lookup;

use core::fmt;
use core::time::Duration;
use model_constants::Constant;

use page_range::PageCount;
use serde::{Deserialize, Serialize};

use crate::constants::{
    self, LINUX_GRANULE, WINDOWS_FLOOR_MAX, WINDOWS_FLOOR_MIN, WINDOWS_FLOOR_SHARE, WINDOWS_GRANULE,
};

pub use catalogue::profiles;
pub use lookup::{UnknownProfile, find_profile};

/// Edition of a guest operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edition {
    /// Web (servers).
    Web,
    /// Standard (servers).
    Standard,
    /// Enterprise (servers and clients).
    Enterprise,
    /// Datacenter (servers).
    Datacenter,
    /// Ultimate (clients).
    Ultimate,
    /// Professional (clients other than Windows Vista); since Windows 8 it is called Pro.
    Professional,
    /// Home (clients).
    Home,
    /// Advanced Server (Windows 2000).
    Advanced,
    /// HPC Server (Windows Server 2008).
    Hpc,
    /// The product has one edition, or its editions do not differ here.
    Only,
    /// Business (Windows Vista).
    Business,
}

impl Edition {
    const fn key(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Standard => "standard",
            Self::Enterprise => "enterprise",
            Self::Datacenter => "datacenter",
            Self::Ultimate => "ultimate",
            Self::Professional => "professional",
            Self::Home => "home",
            Self::Advanced => "advanced",
            Self::Hpc => "hpc",
            Self::Only => "",
            Self::Business => "business",
        }
    }
}

impl fmt::Display for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Web => "Web",
            Self::Standard => "Standard",
            Self::Enterprise => "Enterprise",
            Self::Datacenter => "Datacenter",
            Self::Ultimate => "Ultimate",
            Self::Professional => "Professional",
            Self::Home => "Home",
            Self::Advanced => "Advanced",
            Self::Hpc => "HPC",
            Self::Only => "",
            Self::Business => "Business",
        })
    }
}

/// Processor architecture of a guest operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// 64 bits.
    X64,
    /// 32 bits.
    X86,
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X64 => "x64",
            Self::X86 => "x86",
        })
    }
}

/// State of the integration services in a guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntegrationServices {
    /// Those of the host's release (for Hyper-V 2.0: Service Pack 1's) are installed.
    #[default]
    Current,
    /// Those that came with the guest, or with an earlier host, are installed.
    Outdated,
    /// None are installed: no VMBus at all.
    Missing,
}

/// A version of the DM protocol that a guest's driver speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DmVersion {
    /// 0.3: Windows Server 2008 R2 SP1 and its integration services.
    Win7,
    /// 1.0: Windows Server 2012.
    Win8,
    /// 2.0: Windows Server 2016, and Linux.
    Win10,
}

impl fmt::Display for DmVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Win7 => "0.3",
            Self::Win8 => "1.0",
            Self::Win10 => "2.0",
        })
    }
}

/// Which memory manager the guest has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kernel {
    /// Windows: driver-locked pages are committed pages, hot-added pages are usable at once.
    Windows,
    /// Linux-like: memory is added in blocks of 128 MiB, and nothing is paged out for the balloon.
    Linux,
}

/// Why a guest runs at its startup RAM whatever the settings say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoDynamicMemory {
    /// The product has no Dynamic Memory driver at all.
    ProductNotSupported,
    /// Other editions of the product have it.
    EditionNotSupported,
    /// The product needs a service pack.
    ServicePackMissing {
        /// The lowest that will do.
        minimum: u8,
    },
    /// The guest's integration services are older than the host.
    IntegrationServicesOutdated,
    /// There are no integration services in the guest.
    IntegrationServicesMissing,
}

impl fmt::Display for NoDynamicMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProductNotSupported => f.write_str("this operating system does not support Dynamic Memory"),
            Self::EditionNotSupported => f.write_str("this edition does not support Dynamic Memory"),
            Self::ServicePackMissing { minimum } => {
                write!(f, "Dynamic Memory needs Service Pack {minimum} in the guest")
            }
            Self::IntegrationServicesOutdated => {
                f.write_str("the guest's integration services must be updated")
            }
            Self::IntegrationServicesMissing => f.write_str("the guest has no integration services"),
        }?;
        f.write_str("; the guest runs at its startup RAM")
    }
}

/// What an operating system uses at idle, in constants of the table.
#[derive(Clone, Copy, Debug)]
pub struct Footprint {
    /// Commit of kernel and services.
    pub commit: &'static Constant,
    /// Of that, what is never paged out.
    pub nonpaged: &'static Constant,
    /// File cache that the system fills, memory permitting.
    pub file_cache: &'static Constant,
    /// Standard deviation of the commit.
    pub noise: &'static Constant,
}

/// What the profiles of one product and service pack have in common.
#[derive(Debug)]
pub struct Family {
    /// Name of the product, with its service pack.
    pub product: &'static str,
    /// The same, as it begins a profile's key.
    pub key: &'static str,
    /// Installed service pack; 0 is none.
    pub service_pack: u8,
    /// Which memory manager it has.
    pub kernel: Kernel,
    /// What it uses at idle.
    pub footprint: Footprint,
    /// What of its memory the kernel takes before it begins to count; `None`: the kernel's memory is part of what it counts and commits, as
    /// Windows has it. Otherwise neither this nor the nonpaged memory is in the commit that its driver reports (documented: Linux'
    /// `Committed_AS` has processes and shared memory alone), and its totals (`MemTotal`) are without this.
    pub reserved: Option<&'static Constant>,
    /// What stays available while programs wait for pages of others to be written to the page file: a guest writes ahead of those who want
    /// memory; `None`: the last page is given away first.
    pub kept_available: Option<&'static Constant>,
    /// Boot to the login screen.
    pub login: &'static Constant,
    /// Boot to running integration services.
    pub services: &'static Constant,
    /// Numbers of virtual processors that are supported by hosts up to 2008 R2 SP1; empty for a guest that is newer than they are.
    pub virtual_processors: &'static [u32],
    /// The most virtual processors that are supported by hosts of 2012 and later.
    pub most_processors: u32,
    /// Whether it boots in a VM of generation 2 (documented: 64-bit guests since Windows 8 and Server 2012, and Linux).
    pub second_generation: bool,
    /// Versions of the DM protocol that its driver proposes to a host, one after the other; the last is its last attempt.
    pub dm_versions: &'static [DmVersion],
}

/// Whether a profile takes part in Dynamic Memory, its integration services being what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Support {
    Yes { updated_services: bool, recommended_service_pack: Option<u8> },
    No(NoDynamicMemory),
}

/// One guest operating system: product, service pack, edition and architecture.
#[derive(Clone, Copy, Debug)]
pub struct GuestProfile {
    pub(crate) family: &'static Family,
    pub(crate) edition: Edition,
    pub(crate) architecture: Architecture,
    pub(crate) support: Support,
    pub(crate) physical_limit: PageCount,
    /// How many times the constant of the family the idle commit is, and its noise.
    pub(crate) scale: (f64, f64),
}

impl GuestProfile {
    /// What all editions and architectures of the product share.
    #[must_use]
    pub const fn family(&self) -> &'static Family {
        self.family
    }

    /// The edition.
    #[must_use]
    pub const fn edition(&self) -> Edition {
        self.edition
    }

    /// The architecture.
    #[must_use]
    pub const fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// The word by which configuration names this profile, such as `ws2008-r2-sp1-enterprise-x64`.
    #[must_use]
    pub fn key(&self) -> String {
        let mut key = self.family.key.to_owned();
        if self.edition != Edition::Only {
            key.push('-');
            key.push_str(self.edition.key());
        }
        match self.architecture {
            Architecture::X64 => key.push_str("-x64"),
            Architecture::X86 => key.push_str("-x86"),
        }
        key
    }

    /// Whether Dynamic Memory works in this guest with these integration services.
    ///
    /// # Errors
    /// Why it does not: the guest then runs at its startup RAM and sees only that (Table 2-1 of \[A\]; \[E\]).
    pub const fn dynamic_memory(&self, services: IntegrationServices) -> Result<(), NoDynamicMemory> {
        match self.support {
            Support::No(reason) => Err(reason),
            Support::Yes { updated_services, .. } => match services {
                IntegrationServices::Missing => Err(NoDynamicMemory::IntegrationServicesMissing),
                IntegrationServices::Outdated if updated_services => {
                    Err(NoDynamicMemory::IntegrationServicesOutdated)
                }
                _ => Ok(()),
            },
        }
    }

    /// Whether the guest has to be given the host's integration services before Dynamic Memory works.
    #[must_use]
    pub const fn needs_updated_services(&self) -> bool {
        matches!(self.support, Support::Yes { updated_services: true, .. })
    }

    /// The service pack that \[A\] recommends for this guest, where it has none.
    #[must_use]
    pub const fn recommended_service_pack(&self) -> Option<u8> {
        match self.support {
            Support::Yes { recommended_service_pack, .. } => recommended_service_pack,
            Support::No(_) => None,
        }
    }

    /// Numbers of virtual processors that are supported by hosts up to 2008 R2 SP1 (Table 1.3 of \[D\]; Windows 7 and Server 2008 R2 came
    /// later and take Server 2008's and Vista's, Windows 7 up to 4). Empty for a guest that is newer than these hosts.
    #[must_use]
    pub const fn virtual_processors(&self) -> &'static [u32] {
        self.family.virtual_processors
    }

    /// The most virtual processors that are supported by hosts of 2012 and later (documented: Microsoft, *Supported Windows guest operating
    /// systems*, of these releases).
    #[must_use]
    pub const fn most_processors(&self) -> u32 {
        self.family.most_processors
    }

    /// Whether it boots in a VM of generation 2.
    #[must_use]
    pub fn second_generation(&self) -> bool {
        self.family.second_generation && self.architecture == Architecture::X64
    }

    /// Whether hosts up to 2008 R2 SP1 support it as a guest.
    #[must_use]
    pub const fn is_of_2011(&self) -> bool {
        !self.family.virtual_processors.is_empty()
    }

    /// The most physical memory this edition uses (Microsoft, Memory Limits for Windows Releases); hot-add beyond it is
    /// refused.
    #[must_use]
    pub const fn physical_limit(&self) -> PageCount {
        self.physical_limit
    }

    /// The same guest with this many times the commit at idle, and this many times its noise: for studies of what depends on them.
    #[must_use]
    pub const fn with_footprint(self, commit: f64, noise: f64) -> Self {
        Self { scale: (self.scale.0 * commit, self.scale.1 * noise), ..self }
    }

    /// Commit of kernel and services at idle.
    #[must_use]
    pub const fn idle_commit(&self) -> PageCount {
        PageCount((self.family.footprint.commit.pages().get() as f64 * self.scale.0) as u64)
    }

    /// What the guest counts as its memory, of so much that it has: see [`Family::reserved`].
    #[must_use]
    pub const fn managed(&self, pages: PageCount) -> PageCount {
        match self.family.reserved {
            Some(reserved) => pages.saturating_sub(reserved.pages()),
            None => pages,
        }
    }

    /// See [`Family::kept_available`].
    pub(crate) fn kept_available(&self) -> PageCount {
        self.family.kept_available.map_or(PageCount::ZERO, Constant::pages)
    }

    /// What its driver reports as committed, of so much that is committed and not ballooned: see [`Family::reserved`].
    #[must_use]
    pub const fn reported_commit(&self, committed: PageCount) -> PageCount {
        match self.family.reserved {
            Some(_) => committed.saturating_sub(self.family.footprint.nonpaged.pages()),
            None => committed,
        }
    }

    /// The unit in which the guest takes hot-added memory.
    #[must_use]
    pub const fn hot_add_granule(&self) -> PageCount {
        match self.family.kernel {
            Kernel::Windows => WINDOWS_GRANULE.pages(),
            Kernel::Linux => LINUX_GRANULE.pages(),
        }
    }

    /// The granule as the exponent of a power of two of MiB, as the capabilities report writes it.
    #[must_use]
    pub const fn hot_add_alignment(&self) -> u8 {
        self.hot_add_granule().whole_mib().trailing_zeros() as u8
    }

    /// Versions of the DM protocol that the guest's driver proposes to a host, one after the other; the last is its last attempt.
    #[must_use]
    pub const fn dm_versions(&self) -> &'static [DmVersion] {
        self.family.dm_versions
    }

    /// Time from power-on to the login screen.
    #[must_use]
    pub fn boot_to_login(&self) -> Duration {
        self.family.login.duration()
    }

    /// Time from power-on to running integration services.
    #[must_use]
    pub fn boot_to_services(&self) -> Duration {
        self.family.services.duration()
    }

    /// Available memory that ballooning leaves to a guest of this visible total, of which `ballooned` is given away.
    ///
    /// Windows: a share of the visible total between two bounds (invented). Linux-like: the driver's formula, from what
    /// is not ballooned.
    #[must_use]
    pub fn balloon_floor(&self, visible: PageCount, ballooned: PageCount) -> PageCount {
        match self.family.kernel {
            Kernel::Windows => PageCount((visible.get() as f64 * WINDOWS_FLOOR_SHARE.value) as u64)
                .clamp(WINDOWS_FLOOR_MIN.pages(), WINDOWS_FLOOR_MAX.pages()),
            Kernel::Linux => {
                let managed = self.managed(visible.saturating_sub(ballooned));
                let total = managed.get();
                let mib = |n| PageCount::from_mib(n).get();
                PageCount(match managed.whole_mib() {
                    0..128 => mib(8) + total / 2,
                    128..512 => mib(40) + total / 4,
                    512..2048 => mib(104) + total / 8,
                    2048..8192 => mib(232) + total / 16,
                    _ => mib(488) + total / 32,
                })
            }
        }
    }

    pub(crate) fn noise_sigma_pages(&self) -> f64 {
        self.family.footprint.noise.value * self.scale.1 * page_range::PAGES_PER_MIB as f64
    }

    pub(crate) const fn services_active(&self) -> f64 {
        constants::SERVICES_ACTIVE_SHARE.value
    }
}

impl PartialEq for GuestProfile {
    fn eq(&self, other: &Self) -> bool {
        self.family.key == other.family.key
            && self.edition == other.edition
            && self.architecture == other.architecture
            && self.scale == other.scale
    }
}

impl fmt::Display for GuestProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.family.product)?;
        if self.edition != Edition::Only {
            write!(f, " {}", self.edition)?;
        }
        write!(f, " {}", self.architecture)
    }
}

#[cfg(test)]
mod tests;
