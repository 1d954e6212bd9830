//! What is said about VMs and their host, in a file or by nobody.

use std::fmt;

use balancing_policy::{MemorySettings, PageCount};
use memory_balancer::BalancerConfig;

/// A VM's minimum if nothing is said: so much of its maximum …
const MINIMUM_SHARE: u64 = 4;
/// … but not less than this. Invented: what a small server boots with.
const MINIMUM_LEAST: PageCount = PageCount::from_mib(256);

/// What is said about one VM.
#[derive(Clone, Debug, PartialEq)]
pub struct VmRules {
    /// Whether its memory may be moved at all.
    pub on: bool,
    /// The least that it is to have.
    pub minimum: Option<PageCount>,
    /// The most that it is to have.
    pub maximum: Option<PageCount>,
    /// Buffer in percent of demand.
    pub buffer: u32,
    /// Weight, 0 to 10000.
    pub weight: u32,
}

impl Default for VmRules {
    fn default() -> Self {
        Self {
            on: true,
            minimum: None,
            maximum: None,
            buffer: MemorySettings::DEFAULT_BUFFER,
            weight: MemorySettings::DEFAULT_WEIGHT,
        }
    }
}

impl VmRules {
    /// The settings of a VM that has `actual` and can have at most `most` and not less than `least`.
    #[must_use]
    pub fn settings(&self, actual: PageCount, least: PageCount, most: PageCount) -> MemorySettings {
        let with = |settings: MemorySettings| settings.with_buffer(self.buffer).with_weight(self.weight);
        if !self.on {
            return with(MemorySettings::fixed(actual.max(PageCount(1))));
        }
        let maximum = self.maximum.unwrap_or(most).min(most).max(least).max(PageCount(1));
        let usual = PageCount(most.get() / MINIMUM_SHARE).max(MINIMUM_LEAST);
        let minimum = self.minimum.unwrap_or(usual).max(least).min(maximum).max(PageCount(1));
        let startup = actual.max(minimum).min(maximum);
        with(MemorySettings::dynamic(startup, maximum).with_minimum(minimum))
    }
}

/// What is said about VMs and host.
pub trait Rules: fmt::Debug + Send + Sync {
    /// About the VM of this name.
    fn vm(&self, name: &str) -> VmRules;
    /// What stays with the host that has `total`.
    fn reserve(&self, total: PageCount) -> PageCount;
}

/// Nothing is said.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoRules;

impl Rules for NoRules {
    fn vm(&self, _name: &str) -> VmRules {
        VmRules::default()
    }

    fn reserve(&self, total: PageCount) -> PageCount {
        BalancerConfig::default_reserve(total)
    }
}
