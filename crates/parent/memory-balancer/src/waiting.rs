//! A VM that waits for memory to start.

use core::time::Duration;

use balancing_policy::{PageCount, VmId};
use page_range::HostFrames;

/// A VM that waits to start. What is set aside for it can go to no other VM.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) vm: VmId,
    pub(crate) weight: u32,
    pub(crate) startup: PageCount,
    pub(crate) overhead: PageCount,
    /// What the VM had before it restarted, up to what it needs now: that much stays its own.
    pub(crate) own: PageCount,
    pub(crate) since: Duration,
    /// Tries that failed.
    pub(crate) attempts: u32,
    pub(crate) next_attempt: Duration,
    pub(crate) aside: HostFrames,
}

impl Waiting {
    pub(crate) fn needed(&self) -> PageCount {
        self.startup.saturating_add(self.overhead)
    }

    pub(crate) fn missing(&self) -> PageCount {
        self.needed().saturating_sub(self.aside.pages())
    }

    /// How much may be set aside for it, of what is left for starts.
    pub(crate) fn allowed(&self, left: &mut PageCount) -> PageCount {
        let of_left = self.needed().min(*left);
        *left -= of_left;
        of_left.max(self.own)
    }
}
