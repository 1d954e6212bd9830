//! A VM for whose start memory is collected.

use core::time::Duration;

use balancing_policy::{PageCount, VmId};
use page_range::HostFrames;

use crate::ledger::Books;
use crate::origins::{CameBack, Origins};

/// Why memory is collected for a VM that is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Its start was refused. What is collected is kept for it until it is asked to start again.
    AnotherRequest,
    /// Its guest restarts, and the VM has less than it starts with. It starts as soon as the rest is there.
    Restart,
}

/// A VM for whose start memory is collected. What is set aside for it can go to nobody else.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) vm: VmId,
    pub(crate) purpose: Purpose,
    pub(crate) weight: u32,
    pub(crate) startup: PageCount,
    pub(crate) overhead: PageCount,
    /// The least with which the VM starts, if the rest can be put into a file (Smart Paging): its minimum RAM. Otherwise its startup RAM.
    pub(crate) least: PageCount,
    /// What the VM had before it restarted, up to what it needs now: that much stays its own.
    pub(crate) own: PageCount,
    pub(crate) since: Duration,
    /// How long memory is collected.
    pub(crate) until: Duration,
    pub(crate) aside: HostFrames,
    /// Where what is set aside comes from.
    pub(crate) origins: Origins,
}

impl Waiting {
    pub(crate) fn needed(&self) -> PageCount {
        self.startup.saturating_add(self.overhead)
    }

    /// Smart Paging: whether the VM can start with less than its startup RAM.
    pub(crate) fn can_do_with_less(&self) -> bool {
        self.least < self.startup
    }

    /// The least that the VM can start with, and its overhead.
    pub(crate) fn suffices(&self) -> PageCount {
        self.least.saturating_add(self.overhead)
    }

    pub(crate) fn missing(&self) -> PageCount {
        self.needed().saturating_sub(self.aside.pages())
    }

    /// Sets at most `pages` of the pool aside for it.
    pub(crate) fn set_aside(&mut self, books: &mut Books, came_back: &mut CameBack, pages: PageCount) {
        let (pool, before) = (books.available(), self.aside.pages());
        books.set_aside(&mut self.aside, pages);
        self.origins.append(came_back.take(pool, self.aside.pages() - before));
    }

    /// Gives at most `pages` of what is set aside for it back to the pool.
    pub(crate) fn give_back(&mut self, books: &mut Books, came_back: &mut CameBack, pages: PageCount) {
        let before = self.aside.pages();
        books.give_back(&mut self.aside, pages);
        came_back.put_back(self.origins.take_last(before - self.aside.pages()));
    }

    /// What is set aside, if that is all that its start needs. It is as good as given: no round takes it away again.
    pub(crate) fn complete(&self) -> PageCount {
        if self.missing().is_zero() { self.needed() } else { PageCount::ZERO }
    }

    /// How much may be set aside for it, of what is left for starts.
    pub(crate) fn allowed(&self, left: &mut PageCount) -> PageCount {
        let of_left = self.needed().min(*left);
        *left -= of_left;
        of_left.max(self.own).max(self.complete())
    }
}
