//! What a VSP is told about its VM and its host.

use alloc::vec::Vec;
use core::time::Duration;

use dm_protocol::Version;
use page_range::{GuestPage, GuestRange, PageCount, RangeSet};

use crate::constants as c;

/// A version of the protocol that this host can speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum ProtocolVersion {
    /// 0.3: Windows Server 2008 R2 SP1.
    #[cfg_attr(feature = "serde", serde(rename = "0.3"))]
    V0_3,
    /// 1.0: Windows Server 2012 and 2012 R2.
    #[cfg_attr(feature = "serde", serde(rename = "1.0"))]
    V1_0,
    /// 2.0: Windows Server 2016 and later.
    #[cfg_attr(feature = "serde", serde(rename = "2.0"))]
    V2_0,
}

impl ProtocolVersion {
    /// As it is on the wire.
    #[must_use]
    pub fn on_wire(self) -> Version {
        match self {
            Self::V0_3 => Version::V0_3,
            Self::V1_0 => Version::V1_0,
            Self::V2_0 => Version::V2_0,
        }
    }
}

/// A release of the host's operating system, by what its Dynamic Memory speaks. A guest proposes its newest version first and
/// walks down, and newer Linux drivers propose 2.0 alone: on a host of 2008 R2 SP1 such a guest keeps its startup RAM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum HostRelease {
    /// Windows Server 2008 R2 SP1: 0.3 (documented: the release that brought that version).
    #[default]
    Server2008R2Sp1,
    /// Windows Server 2012 and 2012 R2: 1.0 (documented), and 0.3 for older guests (inferred: they run there).
    Server2012,
    /// Windows Server 2016 and later: 2.0 (documented), and the older ones for older guests (inferred as above).
    Server2016,
}

impl HostRelease {
    /// The versions that it accepts.
    #[must_use]
    pub fn versions(self) -> Vec<ProtocolVersion> {
        let newest = match self {
            Self::Server2008R2Sp1 => ProtocolVersion::V0_3,
            Self::Server2012 => ProtocolVersion::V1_0,
            Self::Server2016 => ProtocolVersion::V2_0,
        };
        let all = [ProtocolVersion::V0_3, ProtocolVersion::V1_0, ProtocolVersion::V2_0];
        all.into_iter().filter(|&version| version <= newest).collect()
    }
}

/// Where a guest's memory is, in guest pages.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct GuestLayout {
    /// RAM that the guest boots with (its startup RAM).
    pub boot: RangeSet<GuestPage>,
    /// Addresses at which memory may be hot-added. There are more addresses than memory to add: new memory begins at a
    /// multiple of the guest's granule, and addresses that a guest refused are not offered again.
    pub hot_add: RangeSet<GuestPage>,
    /// The most memory that the VM can have, boot RAM included.
    pub total: PageCount,
}

/// Addresses for hot-added memory beyond as many as there is memory: room for the largest granule there is, 32 GiB, and as much
/// again for places that the guest refused (invented).
const SPARE_ADDRESSES: PageCount = PageCount::from_mib(64 * 1024);

impl GuestLayout {
    /// `boot` pages of RAM from page 0, and room for hot-add behind them until the VM has `total` pages, or those that it
    /// boots with if that is more.
    ///
    /// # Errors
    /// If there is no boot RAM, or more than the protocol can number.
    pub fn flat(boot: PageCount, total: PageCount) -> Result<Self, ConfigError> {
        Self::around(boot, total, None)
    }

    /// Like [`GuestLayout::flat`], but no RAM and no hot-added memory lies in `hole` (the device window below 4 GiB of a
    /// PC, for instance); what would lie there comes behind it.
    ///
    /// # Errors
    /// If there is no boot RAM, or more than the protocol can number.
    pub fn around(boot: PageCount, total: PageCount, hole: Option<GuestRange>) -> Result<Self, ConfigError> {
        let all = PageCount(MAX_PAGES);
        if boot.is_zero() || boot.max(total) > all {
            return Err(ConfigError::BootRam { pages: boot });
        }
        let mut free: RangeSet<GuestPage> = GuestRange::new(GuestPage(0), all).into_iter().collect();
        if let Some(hole) = hole {
            free.remove(hole);
        }
        let boot_ranges = free.take_lowest(boot);
        let hot_add = match total.saturating_sub(boot) {
            PageCount::ZERO => RangeSet::new(),
            memory => free.take_lowest(memory.saturating_add(SPARE_ADDRESSES)),
        };
        Ok(Self { boot: boot_ranges, hot_add, total: total.max(boot) })
    }
}

/// Whether a guest that cannot both balloon and hot-add is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum CapabilityPolicy {
    /// Such a guest is refused (documented: the reason that Linux' driver gives for claiming both even when it will use
    /// neither; not compared with a Hyper-V host here).
    #[default]
    RequireBoth,
    /// Such a guest is served with what it can do, as QEMU does.
    AcceptAny,
}

/// The form of MEM_HOT_ADD_REQUEST.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum HotAddForm {
    /// In 0.3 the range only, later range and region. Documented: Linux' `hv_balloon.c` lists the message under version 0.3, its
    /// `struct dm_hot_add` ends with the range, and its driver takes either form in any version, by the message's size; QEMU sends
    /// the region always and calls it optional (`dynmem-proto.h`). Which version brought the region no public source says; so the
    /// boundary is inferred.
    #[default]
    ByVersion,
    /// 24 bytes, with a region that is the range itself, as QEMU does.
    RangeAndRegion,
    /// 16 bytes, no region.
    RangeOnly,
}

/// How long a guest may take; the defaults are those of [`constants`](crate::constants()). After that the guest is
/// [unresponsive](crate::Output::Unresponsive), and what was asked of it stays asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Timeouts {
    /// For each step of the handshake (`timeout.handshake`).
    pub handshake: Duration,
    /// For a balloon request, at least (`timeout.balloon`).
    pub balloon_base: Duration,
    /// Pages for which the base time is enough; in proportion for more (`timeout.balloon_pages`).
    pub balloon_base_pages: PageCount,
    /// For all messages of an unballoon request together (`timeout.unballoon`).
    pub unballoon: Duration,
    /// For a hot-add request, at least (`timeout.hot_add`).
    pub hot_add_base: Duration,
    /// For each chunk of a hot-add request in addition (`timeout.hot_add_chunk`).
    pub hot_add_chunk: Duration,
    /// The smallest chunk (`timeout.hot_add_chunk_pages`). A guest whose granule is larger has larger chunks.
    pub hot_add_chunk_pages: PageCount,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: c::HANDSHAKE.duration(),
            balloon_base: c::BALLOON_BASE.duration(),
            balloon_base_pages: c::BALLOON_BASE_PAGES.pages(),
            unballoon: c::UNBALLOON.duration(),
            hot_add_base: c::HOT_ADD_BASE.duration(),
            hot_add_chunk: c::HOT_ADD_CHUNK.duration(),
            hot_add_chunk_pages: c::HOT_ADD_CHUNK_PAGES.pages(),
        }
    }
}

impl Timeouts {
    /// These timeouts with some fields changed.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(crate) fn balloon(&self, pages: PageCount) -> Duration {
        let units = chunks(pages, self.balloon_base_pages);
        self.balloon_base.saturating_mul(units.max(1))
    }

    pub(crate) fn hot_add(&self, pages: PageCount, granule: PageCount) -> Duration {
        let chunk = self.hot_add_chunk_pages.max(granule);
        self.hot_add_base.saturating_add(self.hot_add_chunk.saturating_mul(chunks(pages, chunk)))
    }
}

fn chunks(pages: PageCount, chunk: PageCount) -> u32 {
    u32::try_from(pages.get().div_ceil(chunk.get().max(1))).unwrap_or(u32::MAX)
}

/// How long no hot-add is tried after one that the guest refused for now: (0 pages, result 0).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct HotAddBackoff {
    /// After the first refusal; doubled with every further one (`hot_add_backoff.first`).
    pub first: Duration,
    /// At most this long (`hot_add_backoff.longest`).
    pub longest: Duration,
    /// After so many refusals in a row hot-add is over until the VM is reset (`hot_add_backoff.attempts`).
    pub attempts: u32,
}

impl Default for HotAddBackoff {
    fn default() -> Self {
        Self {
            first: c::BACKOFF_FIRST.duration(),
            longest: c::BACKOFF_LONGEST.duration(),
            attempts: c::BACKOFF_ATTEMPTS.whole() as u32,
        }
    }
}

impl HotAddBackoff {
    /// This pause with some fields changed.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// How long to wait after that many refusals in a row (1 or more).
    pub(crate) fn after(&self, refusals: u32) -> Duration {
        let factor = 1u32.checked_shl(refusals.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.longest)
    }
}

/// Configuration of a VSP.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct VspConfig {
    /// Versions that are accepted; those of a release are [`HostRelease::versions`]. Default: 0.3 alone, the
    /// version that came with Windows Server 2008 R2 SP1 (documented by Linux' headers; no such host was compared).
    pub versions: Vec<ProtocolVersion>,
    /// Whether a guest must be able to balloon and hot-add.
    pub capability_policy: CapabilityPolicy,
    /// How long after the capabilities nothing is asked of the guest (`quiet_period`). Status reports are accepted meanwhile.
    pub quiet_period: Duration,
    /// Where the guest's memory is.
    pub layout: GuestLayout,
    /// The most memory that the VM can ever have, told to guests that speak 1.0 or later; `None` tells nothing.
    pub maximum: Option<PageCount>,
    /// Pages in one balloon request, at most [`dm_protocol::MAX_BALLOON_REQUEST_PAGES`].
    pub balloon_request_pages: PageCount,
    /// Pages in one hot-add request at most, unless the guest's granule is larger (`hot_add_request`).
    pub hot_add_request_pages: PageCount,
    /// The form of hot-add requests.
    pub hot_add_form: HotAddForm,
    /// How long a guest may take.
    pub timeouts: Timeouts,
    /// What follows a hot-add that was refused for now.
    pub hot_add_backoff: HotAddBackoff,
}

/// Page numbers that the protocol can say.
const MAX_PAGES: u64 = dm_protocol::WireRange::MAX_START + 1;

impl VspConfig {
    /// This configuration with some fields changed.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// A host of Windows Server 2008 R2 SP1 for a VM of this layout.
    #[must_use]
    pub fn new(layout: GuestLayout) -> Self {
        Self {
            versions: HostRelease::Server2008R2Sp1.versions(),
            capability_policy: CapabilityPolicy::RequireBoth,
            quiet_period: c::QUIET_PERIOD.duration(),
            layout,
            maximum: None,
            balloon_request_pages: PageCount(dm_protocol::MAX_BALLOON_REQUEST_PAGES.into()),
            hot_add_request_pages: c::HOT_ADD_REQUEST.pages(),
            hot_add_form: HotAddForm::ByVersion,
            timeouts: Timeouts::default(),
            hot_add_backoff: HotAddBackoff::default(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.versions.is_empty() {
            return Err(ConfigError::NoVersion);
        }
        let GuestLayout { boot, hot_add, total } = &self.layout;
        if boot.is_empty() || boot.pages() > *total {
            return Err(ConfigError::BootRam { pages: boot.pages() });
        }
        if let Some(run) =
            [boot, hot_add].into_iter().filter_map(RangeSet::last_run).find(|run| run.end() > MAX_PAGES)
        {
            return Err(ConfigError::BeyondNumbers { range: run });
        }
        if let Some(overlap) = hot_add.runs().find_map(|run| boot.first_within(run)) {
            return Err(ConfigError::Overlap { overlap });
        }
        let most = PageCount(dm_protocol::MAX_BALLOON_REQUEST_PAGES.into());
        if self.balloon_request_pages.is_zero() || self.balloon_request_pages > most {
            return Err(ConfigError::BalloonRequestPages { pages: self.balloon_request_pages });
        }
        Ok(())
    }
}

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The list of versions is empty.
    #[error("no protocol version to accept: name at least one of 0.3, 1.0 and 2.0")]
    NoVersion,
    /// Boot RAM is nothing, more than the VM can have, or more than the protocol can number.
    #[error(
        "boot RAM of {pages}: between one page and all that the VM can have, at most {MAX_PAGES} pages, are possible"
    )]
    BootRam {
        /// What was given.
        pages: PageCount,
    },
    /// A range lies beyond what 40 bits can number.
    #[error("{range} ends beyond the last page that the protocol can number ({MAX_PAGES:#x})")]
    BeyondNumbers {
        /// The range.
        range: GuestRange,
    },
    /// Boot RAM and the hot-add window overlap.
    #[error("{overlap} is boot RAM and cannot be hot-added")]
    Overlap {
        /// Where they overlap.
        overlap: GuestRange,
    },
    /// The limit of a balloon request is out of bounds.
    #[error(
        "balloon requests of {pages}: between one page and {} pages are possible",
        dm_protocol::MAX_BALLOON_REQUEST_PAGES
    )]
    BalloonRequestPages {
        /// What was given.
        pages: PageCount,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mib(start: u64, count: u64) -> GuestRange {
        GuestRange::new(GuestPage(start * 256), PageCount::from_mib(count)).unwrap()
    }

    #[test]
    fn what_is_not_changed_keeps_its_default() {
        let timeouts = Timeouts::default().with(|timeouts| timeouts.unballoon = Duration::from_secs(1));
        assert_eq!(timeouts.unballoon, Duration::from_secs(1));
        assert_eq!(timeouts.handshake, Timeouts::default().handshake);
        let backoff = HotAddBackoff::default().with(|backoff| backoff.attempts = 2);
        assert_eq!((backoff.attempts, backoff.first), (2, HotAddBackoff::default().first));
    }

    #[test]
    fn memory_is_laid_around_a_hole() {
        let hole = mib(3584, 512);
        let layout =
            GuestLayout::around(PageCount::from_mib(3840), PageCount::from_mib(8192), Some(hole)).unwrap();
        assert_eq!(layout.boot.runs().collect::<Vec<_>>(), [mib(0, 3584), mib(4096, 256)]);
        assert_eq!(layout.hot_add.runs().collect::<Vec<_>>(), [mib(4352, 4352 + 65_536)]);
        let layout =
            GuestLayout::around(PageCount::from_mib(512), PageCount::from_mib(4096), Some(hole)).unwrap();
        assert_eq!(layout.hot_add.runs().collect::<Vec<_>>(), [mib(512, 3072), mib(4096, 512 + 65_536)]);
        assert_eq!(layout.total, PageCount::from_mib(4096), "addresses are no memory");
        let fixed = GuestLayout::flat(PageCount::from_mib(512), PageCount::from_mib(256)).unwrap();
        assert_eq!((fixed.hot_add.is_empty(), fixed.total), (true, PageCount::from_mib(512)));
    }

    #[test]
    fn bad_configurations_are_named() {
        let good = || {
            VspConfig::new(GuestLayout::flat(PageCount::from_mib(512), PageCount::from_mib(1024)).unwrap())
        };
        assert_eq!(good().check(), Ok(()));
        assert!(GuestLayout::flat(PageCount::ZERO, PageCount(1)).is_err());
        assert!(GuestLayout::flat(PageCount(1), PageCount::MAX).is_err());
        assert!(GuestLayout::flat(PageCount(1), PageCount(MAX_PAGES + 1)).is_err());
        let config = VspConfig { versions: Vec::new(), ..good() };
        assert_eq!(config.check(), Err(ConfigError::NoVersion));
        let mut config = good();
        config.layout.hot_add.insert(mib(511, 1));
        assert_eq!(config.check(), Err(ConfigError::Overlap { overlap: mib(511, 1) }));
        let config = VspConfig { balloon_request_pages: PageCount(585_729), ..good() };
        assert!(matches!(config.check(), Err(ConfigError::BalloonRequestPages { .. })));
        let mut config = good();
        config.layout.boot.insert(GuestRange::new(GuestPage(MAX_PAGES), PageCount(1)).unwrap());
        assert!(matches!(config.check(), Err(ConfigError::BeyondNumbers { .. })));
        let mut config = good();
        config.layout.total = PageCount::from_mib(511);
        assert_eq!(config.check(), Err(ConfigError::BootRam { pages: PageCount::from_mib(512) }));
        config.layout.boot = RangeSet::new();
        assert_eq!(config.check(), Err(ConfigError::BootRam { pages: PageCount::ZERO }));
    }

    #[test]
    fn the_last_page_that_40_bits_number_can_be_memory() {
        assert_eq!(MAX_PAGES, 1 << 40);
        let all = GuestLayout::flat(PageCount(1), PageCount(MAX_PAGES)).unwrap();
        assert_eq!(all.hot_add.last_run().map(GuestRange::end), Some(MAX_PAGES));
        assert_eq!(VspConfig::new(all).check(), Ok(()));
    }

    #[test]
    fn timeouts_follow_the_size() {
        let timeouts = Timeouts::default();
        assert_eq!(timeouts.balloon(PageCount(1)), Duration::from_secs(30));
        assert_eq!(timeouts.balloon(PageCount::from_mib(2048)), Duration::from_secs(30));
        assert_eq!(timeouts.balloon(PageCount::from_mib(2288)), Duration::from_secs(60));
        assert_eq!(timeouts.hot_add(PageCount::from_mib(2), PageCount::from_mib(2)), Duration::from_secs(35));
        assert_eq!(
            timeouts.hot_add(PageCount::from_mib(256), PageCount::from_mib(128)),
            Duration::from_secs(40)
        );
        assert_eq!(
            timeouts.hot_add(PageCount::from_mib(2048), PageCount::from_mib(2048)),
            Duration::from_secs(35)
        );
    }

    #[test]
    fn backoff_doubles_up_to_its_limit() {
        let backoff = HotAddBackoff::default();
        assert_eq!([1, 2, 3, 7, 200].map(|n| backoff.after(n).as_secs()), [5, 10, 20, 300, 300]);
    }
}
