//! What a policy answers.

use core::time::Duration;

use page_range::PageCount;

use crate::Reason;

/// How much memory a VM should have, and why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// Pages.
    pub pages: PageCount,
    /// Why so many.
    pub reason: Reason,
}

/// A policy's answer to one round: a target for every VM, in the order of the VMs it was shown.
///
/// The engine prepares it (every VM's last target, or what it has if it is new), and uses the same value again in the
/// next round, so that a round allocates nothing.
#[derive(Debug)]
pub struct Proposal {
    targets: Vec<Target>,
    for_starts: Option<PageCount>,
    call_again_at: Option<Duration>,
    summary: Reason,
}

impl Default for Proposal {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            for_starts: None,
            call_again_at: None,
            summary: Reason::new(Self::NOTHING_TO_SAY),
        }
    }
}

impl Proposal {
    /// The summary's rule unless the policy gives one.
    pub const NOTHING_TO_SAY: &'static str = "round";

    /// Prepare for a round. Called by the engine (and by tests of a policy).
    pub fn begin(&mut self, targets: impl Iterator<Item = Target>) {
        let mut last = self.take_targets();
        last.clear();
        last.extend(targets);
        self.begin_with(last);
    }

    /// The same with targets that are there already: no target is copied.
    pub fn begin_with(&mut self, targets: Vec<Target>) {
        self.targets = targets;
        self.for_starts = None;
        self.call_again_at = None;
        self.summary = Reason::new(Self::NOTHING_TO_SAY);
    }

    /// The VM at `index` of those shown should have `pages`.
    ///
    /// # Panics
    /// If there are not so many VMs. The engine catches it.
    pub fn set(&mut self, index: usize, pages: PageCount, reason: Reason) {
        self.targets[index] = Target { pages, reason };
    }

    /// The target of the VM at `index`, as it stands.
    ///
    /// # Panics
    /// If there are not so many VMs. The engine catches it.
    #[must_use]
    pub fn target(&self, index: usize) -> &Target {
        &self.targets[index]
    }

    /// All targets as they stand.
    #[must_use]
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Takes all targets away, as they stand. Called by the engine when the round is over.
    #[must_use]
    pub fn take_targets(&mut self) -> Vec<Target> {
        core::mem::take(&mut self.targets)
    }

    /// All targets, to change.
    pub fn targets_mut(&mut self) -> &mut [Target] {
        &mut self.targets
    }

    /// Leave this much for VMs that wait to start, and no more. Unless said, all that the targets leave.
    pub fn leave_for_starts(&mut self, pages: PageCount) {
        self.for_starts = Some(pages);
    }

    /// What is left for VMs that wait to start, if the policy said so.
    #[must_use]
    pub fn for_starts(&self) -> Option<PageCount> {
        self.for_starts
    }

    /// Ask for a round at this time (since the run started), if none comes earlier by itself.
    pub fn call_again_at(&mut self, at: Duration) {
        self.call_again_at = Some(self.call_again_at.map_or(at, |other| other.min(at)));
    }

    /// When the policy wants to be called again, if it said so.
    #[must_use]
    pub fn wants_call_at(&self) -> Option<Duration> {
        self.call_again_at
    }

    /// Say what moved the round as a whole: the state of the host that was found, and the numbers it follows from.
    pub fn summarize(&mut self, summary: Reason) {
        self.summary = summary;
    }

    /// What moved the round as a whole.
    #[must_use]
    pub fn summary(&self) -> &Reason {
        &self.summary
    }
}
