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

    pub(crate) fn available_runs(&self) -> usize {
        self.pool.runs().run_count()
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

    /// Moves at most `pages` of the reserve to the pool, for something that is charged next. The reserve is to be
    /// [completed](Self::complete_reserve) afterwards.
    pub(crate) fn lend_reserve(&mut self, pages: PageCount) {
        let lent = self.reserve.take_up_to(pages);
        merge(&mut self.pool, lent);
    }

    /// The parent comes first.
    pub(crate) fn complete_reserve(&mut self) {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use page_range::HostMemory;

    use super::*;

    const fn pages(pages: u64) -> PageCount {
        PageCount(pages)
    }

    /// Books of a host of 100 pages with a reserve of 10, and an account of a VM that has 40 pages and costs 5.
    fn books() -> (Arc<HostMemory>, Books, Account, HostFrames) {
        let (memory, frames) = HostMemory::new(pages(100), Arc::new(|| ()));
        let mut books = Books::new(frames, pages(10));
        let mut aside = books.nothing();
        books.set_aside(&mut aside, pages(45));
        let (mut account, frames) = books.open(&mut aside, pages(40), pages(5)).unwrap();
        let nothing = books.nothing();
        assert_eq!(books.grant_ended(&mut account, pages(40), pages(40), nothing), (pages(40), true));
        (memory, books, account, frames)
    }

    fn in_order(books: &Books, accounts: &[Account]) -> bool {
        books.in_order(accounts.iter(), PageCount::ZERO)
    }

    #[test]
    fn a_ledger_balances_to_the_page() {
        let ledger = Ledger {
            total: pages(28),
            reserve: pages(1),
            overhead: pages(2),
            available: pages(3),
            assigned: pages(4),
            granted: pages(5),
            set_aside: pages(6),
            coming_home: pages(7),
        };
        assert_eq!(ledger.in_transit(), pages(18));
        assert!(ledger.balances());
        assert!(
            !Ledger { total: pages(27), ..ledger }.balances()
                && !Ledger { reserve: pages(2), ..ledger }.balances()
        );
        // A sum that does not fit into its type is no balance.
        assert!(!Ledger { assigned: PageCount::MAX, ..ledger }.balances());
    }

    #[test]
    fn what_a_vm_has_and_costs_is_in_its_account() {
        let (_memory, books, account, frames) = books();
        assert_eq!(
            (account.assigned(), account.granted(), account.overhead()),
            (pages(40), pages(0), pages(5))
        );
        assert_eq!((books.capacity(), books.overhead(), books.in_transit()), (pages(85), pages(5), pages(0)));
        assert_eq!((books.total(), books.available(), frames.pages()), (pages(100), pages(45), pages(40)));
        assert!(in_order(&books, &[account]));
    }

    #[test]
    fn books_that_are_not_in_order_are_noticed() {
        let check = |spoil: fn(&mut Books, &mut Account), aside| {
            let (_memory, mut books, mut account, _frames) = books();
            spoil(&mut books, &mut account);
            books.in_order(core::iter::once(&account), pages(aside))
        };
        assert!(check(|_, _| (), 0));
        assert!(!check(|_, _| (), 1), "set aside, and not in the books");
        assert!(!check(|books, _| books.total += pages(1), 0));
        assert!(!check(|_, account| account.assigned += pages(1), 0));
        assert!(!check(|_, account| account.granted += pages(1), 0));
        assert!(!check(|_, account| drop(account.overhead.take(pages(1))), 0));
        // A lacking reserve takes what is free before anybody else.
        assert!(!check(|books, _| books.reserve_target += pages(1), 0));
        let early = |books: &mut Books, early, coming_home| {
            books.early = books.pool.take(pages(early)).unwrap();
            books.coming_home += pages(coming_home);
            books.total = books.total - pages(early) + pages(coming_home);
        };
        assert!(check(|books, _| books.early = books.nothing(), 0));
        let with = |amount, coming| {
            let (_memory, mut books, account, _frames) = books();
            early(&mut books, amount, coming);
            books.in_order(core::iter::once(&account), PageCount::ZERO)
        };
        assert!(with(0, 1) && with(1, 0) && with(40, 0));
        assert!(!with(41, 0), "more is early than any VM has");
        assert!(!with(1, 1), "early, and yet awaited");
    }

    #[test]
    fn a_grant_ends_with_what_was_mapped_what_is_back_and_what_is_missing() {
        let ended = |mapped, back| {
            let (_memory, mut books, mut account, _frames) = books();
            let mut frames = books.grant(&mut account, pages(10)).unwrap();
            assert_eq!((account.granted(), books.ledger().granted), (pages(10), pages(10)));
            let returned = frames.take(pages(back)).unwrap();
            let (mapped, fits) = books.grant_ended(&mut account, pages(10), pages(mapped), returned);
            let ledger = books.ledger();
            assert_eq!((account.granted(), ledger.granted), (PageCount::ZERO, PageCount::ZERO));
            assert_eq!(account.assigned() - pages(40), mapped);
            (mapped.get(), ledger.available.get() - 35, ledger.coming_home.get(), fits)
        };
        assert_eq!(ended(4, 3), (4, 3, 3, true));
        assert_eq!(ended(7, 3), (7, 3, 0, true));
        assert_eq!(ended(8, 3), (7, 3, 0, false));
        assert_eq!(ended(0, 10), (0, 10, 0, true));
        assert_eq!(ended(u64::MAX, 0), (10, 0, 0, false));
    }

    #[test]
    fn more_than_the_pool_has_is_not_granted() {
        let (_memory, mut books, mut account, _frames) = books();
        assert!(books.grant(&mut account, pages(46)).is_none());
        assert_eq!((account.granted(), books.available()), (PageCount::ZERO, pages(45)));
    }

    #[test]
    fn what_a_vm_gives_up_is_back_or_comes_home() {
        let given = |released, back| {
            let (_memory, mut books, mut account, mut frames) = books();
            let returned = frames.take(pages(back)).unwrap();
            let (released, fits) = books.released(&mut account, pages(released), returned);
            assert_eq!(account.assigned() + released, pages(40));
            (released.get(), books.available().get() - 45, books.ledger().coming_home.get(), fits)
        };
        assert_eq!(given(6, 6), (6, 6, 0, true));
        assert_eq!(given(6, 2), (6, 2, 4, true));
        // What is back was given up, whatever is said.
        assert_eq!(given(0, 6), (6, 6, 0, true));
        assert_eq!(given(41, 6), (40, 6, 34, false));
    }

    #[test]
    fn what_was_set_aside_opens_an_account_only_if_it_is_enough() {
        let (_memory, frames) = HostMemory::new(pages(100), Arc::new(|| ()));
        let mut books = Books::new(frames, PageCount::ZERO);
        let mut aside = books.nothing();
        books.set_aside(&mut aside, pages(20));
        assert!(books.open(&mut aside, pages(16), pages(5)).is_none());
        assert!(books.open(&mut aside, PageCount::MAX, pages(1)).is_none());
        assert_eq!((aside.pages(), books.ledger().set_aside), (pages(20), pages(20)));
        // The rest is everybody's.
        let (account, frames) = books.open(&mut aside, pages(13), pages(4)).unwrap();
        assert_eq!((frames.pages(), account.granted(), account.overhead()), (pages(13), pages(13), pages(4)));
        assert_eq!((books.available(), books.ledger().set_aside), (pages(83), PageCount::ZERO));
        books.close(account);
        assert_eq!((books.ledger().coming_home, books.ledger().overhead), (pages(13), PageCount::ZERO));
    }

    #[test]
    fn a_reserve_is_lowered_to_the_page() {
        let (_memory, mut books, account, _frames) = books();
        books.set_reserve(pages(7));
        assert_eq!(
            (books.ledger().reserve, books.available(), books.reserve_debt()),
            (pages(7), pages(48), pages(0))
        );
        books.set_reserve(pages(60));
        assert_eq!(
            (books.ledger().reserve, books.available(), books.reserve_debt()),
            (pages(55), pages(0), pages(5))
        );
        assert!(in_order(&books, &[account]));
    }

    #[test]
    fn frames_of_another_host_are_known() {
        let (_memory, books, ..) = books();
        let (_elsewhere, frames) = HostMemory::new(pages(1), Arc::new(|| ()));
        assert!(books.owns(&books.nothing()) && !books.owns(&frames));
    }
}
