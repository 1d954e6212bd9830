//! The books: every frame of the host is in exactly one account, and those in hand are really here.

use balancing_policy::PageCount;
use page_range::HostFrames;
use serde::Serialize;

/// The accounts of the host's memory at one moment, in pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ledger {
    /// All memory of the host.
    pub total: PageCount,
    /// Held back for the parent OS. Less than `MemoryReserve` while it is being made complete.
    pub reserve: PageCount,
    /// Overhead of the running VMs.
    pub overhead: PageCount,
    /// In the pool (the counter Available Memory).
    pub available: PageCount,
    /// Mapped to VMs.
    pub assigned: PageCount,
    /// Granted to VMs and not yet mapped.
    pub granted: PageCount,
    /// Set aside for VMs that wait to start.
    pub set_aside: PageCount,
    /// Given up by VMs and not yet home.
    pub coming_home: PageCount,
}

impl Ledger {
    /// What is neither anywhere in hand nor mapped: granted, set aside, or coming home.
    #[must_use]
    pub fn in_transit(&self) -> PageCount {
        self.granted + self.set_aside + self.coming_home
    }

    /// Whether Σ assigned + in transit + overhead + reserve + available = total.
    #[must_use]
    pub fn balances(&self) -> bool {
        [self.assigned, self.overhead, self.reserve, self.available]
            .into_iter()
            .try_fold(self.in_transit(), PageCount::checked_add)
            .is_some_and(|sum| sum == self.total)
    }
}

/// What one running VM has, and costs.
#[derive(Debug)]
pub(crate) struct Account {
    assigned: PageCount,
    granted: PageCount,
    overhead: HostFrames,
}

impl Account {
    pub(crate) fn assigned(&self) -> PageCount {
        self.assigned
    }

    pub(crate) fn granted(&self) -> PageCount {
        self.granted
    }

    pub(crate) fn overhead(&self) -> PageCount {
        self.overhead.pages()
    }
}

/// The frames in hand, and the sums of what is not.
#[derive(Debug)]
pub(crate) struct Books {
    total: PageCount,
    pool: HostFrames,
    reserve: HostFrames,
    reserve_target: PageCount,
    /// Frames that came home while the books still have them with a VM, whose end the balancer has not been told yet. They
    /// are given to no VM until then, or the same memory would be in two accounts.
    early: HostFrames,
    overhead: PageCount,
    assigned: PageCount,
    granted: PageCount,
    set_aside: PageCount,
    coming_home: PageCount,
}

impl Books {
    pub(crate) fn new(mut frames: HostFrames, reserve: PageCount) -> Self {
        Self {
            total: frames.pages(),
            reserve: frames.take_up_to(reserve),
            reserve_target: reserve,
            early: frames.empty_like(),
            pool: frames,
            overhead: PageCount::ZERO,
            assigned: PageCount::ZERO,
            granted: PageCount::ZERO,
            set_aside: PageCount::ZERO,
            coming_home: PageCount::ZERO,
        }
    }

    pub(crate) fn ledger(&self) -> Ledger {
        Ledger {
            total: self.total,
            reserve: self.reserve.pages(),
            overhead: self.overhead,
            available: self.pool.pages(),
            assigned: self.assigned,
            granted: self.granted,
            set_aside: self.set_aside,
            coming_home: self.coming_home,
        }
    }

    pub(crate) fn total(&self) -> PageCount {
        self.total
    }

    pub(crate) fn available(&self) -> PageCount {
        self.pool.pages()
    }

    pub(crate) fn reserve_target(&self) -> PageCount {
        self.reserve_target
    }

    /// What the reserve still lacks.
    pub(crate) fn reserve_debt(&self) -> PageCount {
        self.reserve_target.saturating_sub(self.reserve.pages())
    }

    /// The most that all VMs together can have.
    pub(crate) fn capacity(&self) -> PageCount {
        self.total.saturating_sub(self.reserve_target).saturating_sub(self.overhead)
    }

    pub(crate) fn overhead(&self) -> PageCount {
        self.overhead
    }

    pub(crate) fn in_transit(&self) -> PageCount {
        self.ledger().in_transit()
    }

    /// No frames, to set some aside in.
    pub(crate) fn nothing(&self) -> HostFrames {
        self.pool.empty_like()
    }

    pub(crate) fn set_reserve(&mut self, target: PageCount) {
        self.reserve_target = target;
        if let Some(surplus) = self.reserve.pages().checked_sub(target) {
            let surplus = self.reserve.take_up_to(surplus);
            merge(&mut self.pool, surplus);
        }
        self.complete_reserve();
    }

    /// The parent comes first.
    fn complete_reserve(&mut self) {
        let debt = self.reserve_debt();
        if !debt.is_zero() {
            let more = self.pool.take_up_to(debt);
            merge(&mut self.reserve, more);
        }
    }

    fn pool_in(&mut self, frames: HostFrames) {
        merge(&mut self.pool, frames);
        self.complete_reserve();
    }

    /// Frames that are going to a VM that has an account.
    pub(crate) fn grant(&mut self, account: &mut Account, pages: PageCount) -> Option<HostFrames> {
        let frames = self.pool.take(pages)?;
        account.granted += pages;
        self.granted += pages;
        Some(frames)
    }

    /// A grant has ended: of `granted` pages, `mapped` are the VM's now and `returned` are back. What is missing comes
    /// home by itself. Returns what was mapped, and whether it all fits.
    pub(crate) fn grant_ended(
        &mut self,
        account: &mut Account,
        granted: PageCount,
        mapped: PageCount,
        mut returned: HostFrames,
    ) -> (PageCount, bool) {
        let fits = mapped.checked_add(returned.pages()).is_some_and(|sum| sum <= granted);
        let excess = returned.pages().saturating_sub(granted);
        let excess = returned.take_up_to(excess);
        let mapped = mapped.min(granted.saturating_sub(returned.pages()));
        let missing = granted.saturating_sub(returned.pages()).saturating_sub(mapped);
        account.granted -= granted;
        self.granted -= granted;
        account.assigned += mapped;
        self.assigned += mapped;
        self.coming_home += missing;
        self.pool_in(returned);
        self.settle_early();
        self.come_home(excess);
        (mapped, fits)
    }

    /// The VM has given these frames up, and `released` pages in all; what of them is not here comes home by itself.
    /// Returns what was released, and whether it had as much.
    pub(crate) fn released(
        &mut self,
        account: &mut Account,
        released: PageCount,
        mut frames: HostFrames,
    ) -> (PageCount, bool) {
        let claimed = released.max(frames.pages());
        let released = claimed.min(account.assigned);
        let excess = frames.pages().saturating_sub(released);
        let excess = frames.take_up_to(excess);
        account.assigned -= released;
        self.assigned -= released;
        self.coming_home += released.saturating_sub(frames.pages());
        self.pool_in(frames);
        self.settle_early();
        self.come_home(excess);
        (released, released == claimed)
    }

    /// Frames came home by themselves.
    pub(crate) fn come_home(&mut self, frames: HostFrames) {
        merge(&mut self.early, frames);
        self.settle_early();
    }

    fn settle_early(&mut self) {
        let settled = self.early.take_up_to(self.coming_home);
        self.coming_home -= settled.pages();
        self.pool_in(settled);
    }

    /// Set aside at most `pages` for a start.
    pub(crate) fn set_aside(&mut self, aside: &mut HostFrames, pages: PageCount) {
        let more = self.pool.take_up_to(pages);
        self.set_aside += more.pages();
        merge(aside, more);
    }

    /// Give back at most `pages` of what was set aside.
    pub(crate) fn give_back(&mut self, aside: &mut HostFrames, pages: PageCount) {
        let back = aside.take_up_to(pages);
        self.set_aside -= back.pages();
        self.pool_in(back);
    }

    /// What was set aside becomes a VM's: overhead stays here, the rest is on its way. `None` if it is not enough, and
    /// then nothing has changed.
    pub(crate) fn open(
        &mut self,
        aside: &mut HostFrames,
        startup: PageCount,
        overhead: PageCount,
    ) -> Option<(Account, HostFrames)> {
        let needed = startup.checked_add(overhead)?;
        if aside.pages() < needed {
            return None;
        }
        let frames = aside.take(startup)?;
        let kept = aside.take(overhead)?;
        self.set_aside -= needed;
        self.granted += startup;
        self.overhead += overhead;
        let account = Account { assigned: PageCount::ZERO, granted: startup, overhead: kept };
        let rest = aside.pages();
        self.give_back(aside, rest);
        Some((account, frames))
    }

    /// The VM has ended: its overhead is back at once, the rest comes home by itself.
    pub(crate) fn close(&mut self, account: Account) {
        let Account { assigned, granted, overhead } = account;
        self.assigned -= assigned;
        self.granted -= granted;
        self.coming_home += assigned + granted;
        self.overhead -= overhead.pages();
        self.pool_in(overhead);
        self.settle_early();
    }

    /// Whether the frames are this host's.
    pub(crate) fn owns(&self, frames: &HostFrames) -> bool {
        self.pool.same_home(frames)
    }

    /// Whether the books are in order: the accounts add up to the total and to their sums, and what is early is still
    /// in some VM's account.
    pub(crate) fn in_order<'a>(&self, accounts: impl Iterator<Item = &'a Account>, aside: PageCount) -> bool {
        let (mut assigned, mut granted, mut overhead) = (PageCount::ZERO, PageCount::ZERO, PageCount::ZERO);
        for account in accounts {
            assigned += account.assigned;
            granted += account.granted;
            overhead += account.overhead.pages();
        }
        self.ledger().balances()
            && (assigned, granted, overhead, aside)
                == (self.assigned, self.granted, self.overhead, self.set_aside)
            && self.early.pages() <= assigned + granted
            && (self.early.is_empty() || self.coming_home.is_zero())
            && (self.reserve_debt().is_zero() || self.pool.is_empty())
    }
}

/// Merge frames of the same host. The engine lets no others in ([`Books::owns`]); were one to slip through, it goes to
/// its own home.
fn merge(to: &mut HostFrames, frames: HostFrames) {
    let merged = to.merge(frames);
    debug_assert!(merged.is_ok(), "frames of another host in the books");
}
