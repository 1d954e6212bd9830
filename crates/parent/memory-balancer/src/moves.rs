//! From targets to operations.
//!
//! # Whole large pages
//!
//! A VM's memory is brought to a multiple of 2 MiB, as far as its bounds, the pool and its guest allow it. What a target has beyond a
//! multiple is worth nothing to a guest; a move of it costs a large page in the guest's memory map and another in the host's memory,
//! since a part of each goes and the rest stays, and both stay broken for long. (*Inferred*: Hyper-V moves memory in units of 2 MiB, which is
//! the size of its large pages (\[B\]) and of the blocks that Linux' driver gives first; no source says what it does with the rest.)

use core::time::Duration;

use balancing_policy::{PageCount, PendingKind};

use crate::Output;
use crate::state::Balancer;

/// What a VM can be given in one operation.
#[derive(Clone, Copy, Debug)]
struct Growth {
    /// What it has.
    held: PageCount,
    /// What it lacks to its target.
    want: PageCount,
    /// What it lacks to its maximum.
    room: PageCount,
    /// What can be returned exactly.
    returnable: PageCount,
    /// Multiple in which memory is hot-added; `None` if it cannot be.
    granule: Option<PageCount>,
    /// What the pool has.
    pool: PageCount,
    /// Most per operation.
    limit: PageCount,
    /// Least per operation.
    minimum: PageCount,
}

impl Growth {
    /// Pages to grant: an amount that the VM's worker can use up. How it is given is the worker's business.
    ///
    /// Pages that the guest has ballooned can be returned to it exactly, whatever their number; beyond them it takes whole
    /// granules only. So what exceeds the balloon is rounded up to the granule if maximum, pool and operation limit allow,
    /// else down. A granule above the operation limit is one operation, or its VM would get nothing for ever.
    ///
    /// If less than the balloon is returned, it is so much that the VM then has a multiple of a large page, if there is such an amount.
    fn size(&self) -> Option<PageCount> {
        let want = self.want.min(self.room);
        if want.is_zero() || (want < self.minimum && want < self.room) {
            return None;
        }
        let wanted_now = want.min(self.limit);
        if let Some(pages) = self.whole_large_pages_of(wanted_now) {
            return Some(pages);
        }
        let exact = wanted_now.min(self.returnable).min(self.pool);
        // Nothing, if not even all that could be returned is wanted now, or is in the pool.
        let granules = self.granule.map_or(PageCount::ZERO, |granule| {
            let rest = wanted_now - exact;
            let space = (self.room - exact).min(self.pool - exact);
            let limit = if exact.is_zero() { self.limit.max(granule) } else { self.limit - exact };
            let up = rest.round_up_to(granule);
            if up <= space.min(limit) { up } else { rest.min(space).min(limit).round_down_to(granule) }
        });
        let pages = exact + granules;
        (pages >= self.minimum.min(self.room) && !pages.is_zero()).then_some(pages)
    }

    /// The amount nearest to `wanted` that is returned out of the balloon and lets the VM have a multiple of a large page: more if
    /// there is as much, else less.
    fn whole_large_pages_of(&self, wanted: PageCount) -> Option<PageCount> {
        let most = self.returnable.min(self.pool).min(self.room).min(self.limit);
        let least = self.minimum.min(self.room).max(PageCount(1));
        let goal = self.held + wanted;
        let up = goal.round_up_to(PageCount::LARGE_PAGE) - self.held;
        let down = goal.min(self.held + most).round_down_to(PageCount::LARGE_PAGE).saturating_sub(self.held);
        if wanted > self.returnable {
            return None;
        }
        Some(if up <= most { up } else { down }).filter(|&pages| pages >= least)
    }
}

/// What to take of a VM that has `assigned` and can spare `excess`, in an operation of at most `limit`: so much that it has a
/// multiple of a large page afterwards, if there is such an amount. If `every_page_counts` that is rather more than it can spare
/// than less, as long as it keeps `lowest`.
fn to_take(
    assigned: PageCount,
    excess: PageCount,
    lowest: PageCount,
    limit: PageCount,
    every_page_counts: bool,
) -> PageCount {
    let exact = excess.min(limit);
    let left = assigned - exact;
    let more = assigned - left.round_down_to(PageCount::LARGE_PAGE);
    let less = assigned.saturating_sub(left.round_up_to(PageCount::LARGE_PAGE));
    if every_page_counts && more <= limit && assigned - more >= lowest {
        more
    } else if less.is_zero() || (every_page_counts && less < exact && exact < limit) {
        exact
    } else {
        less
    }
}

impl Balancer {
    /// Whether even less than the least move is taken: a VM that waits to start, or the reserve, lacks every page.
    fn every_page_counts(&self) -> bool {
        !self.waiting.is_empty() || !self.books.reserve_debt().is_zero()
    }

    /// Who is below its target, in the order in which the pool serves them: by weight if the policy goes by it, then by
    /// how much each is short of its target, then by id.
    pub(crate) fn plan(&mut self) {
        self.growers.clear();
        for (index, live) in self.live.iter().enumerate() {
            if live.target > live.held() {
                self.growers.push(index);
            }
        }
        let (live, views, by_priority) = (&self.live, &self.views, self.by_priority);
        let shortfall = |index: usize| {
            let held = live[index].held().get().max(1);
            // Per mille of what it has: integers, so that the order is the same everywhere.
            live[index].target.get().saturating_sub(held).saturating_mul(1000) / held
        };
        self.growers.sort_unstable_by_key(|&index| {
            let weight = if by_priority { views[index].settings.weight } else { 0 };
            (core::cmp::Reverse(weight), core::cmp::Reverse(shortfall(index)), index)
        });
    }

    /// Frames have arrived, or someone needs no more: complete starts, then grow from what is in the pool.
    pub(crate) fn serve(&mut self, now: Duration, out: &mut Vec<Output>) {
        self.serve_starts(now, out);
        let mut growers = core::mem::take(&mut self.growers);
        growers.retain(|&index| {
            if self.books.available().is_zero() {
                return true;
            }
            self.grow(index, now, out);
            self.live[index].target > self.live[index].held()
        });
        self.growers = growers;
    }

    fn grow(&mut self, index: usize, now: Duration, out: &mut Vec<Output>) {
        let (live, view) = (&self.live[index], &self.views[index]);
        if live.operation.is_some() {
            return;
        }
        let held = live.held();
        let growth = Growth {
            held,
            want: live.target.min(view.highest).saturating_sub(held),
            room: view.settings.maximum.saturating_sub(held),
            returnable: view.returnable,
            granule: live.joined.is_some_and(|joined| joined.hot_add).then_some(view.granule),
            pool: self.books.available(),
            limit: self.config.operation_limit,
            minimum: self.config.minimum_move,
        };
        let Some(pages) = growth.size() else { return };
        let (vm, target, pool) = (view.id, live.target.min(view.highest), growth.pool);
        let Some(frames) = self.books.grant(&mut self.live[index].account, pages) else { return };
        self.rates.granted(pages.get());
        let operation = self.begin_operation(index, now, PendingKind::Grow, pages);
        self.live[index].granted_from = self.came_back.take(pool, pages);
        out.push(Output::Grant { vm, operation, frames, target });
    }

    /// Take what a VM has above its target, if it is not busy.
    pub(crate) fn shrink(&mut self, index: usize, now: Duration, out: &mut Vec<Output>) {
        let (live, view) = (&self.live[index], &self.views[index]);
        let excess = live.account.assigned().saturating_sub(live.target.max(view.lowest));
        if excess.is_zero() || live.operation.is_some() {
            return;
        }
        if excess < self.config.minimum_move && !self.every_page_counts() {
            return;
        }
        let vm = view.id;
        let (assigned, limit) = (live.account.assigned(), self.config.operation_limit);
        let pages = to_take(assigned, excess, view.lowest, limit, self.every_page_counts());
        let operation = self.begin_operation(index, now, PendingKind::Shrink, pages);
        out.push(Output::Shrink { vm, operation, pages });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn mib(mib: u64) -> PageCount {
        PageCount::from_mib(mib)
    }

    const GROWTH: Growth = Growth {
        held: mib(512),
        want: mib(50),
        room: mib(1000),
        returnable: PageCount::ZERO,
        granule: Some(mib(2)),
        pool: mib(1000),
        limit: mib(64),
        minimum: mib(4),
    };

    /// MiB.
    fn sized(growth: Growth) -> Option<f64> {
        growth.size().map(PageCount::mib)
    }

    #[test]
    fn part_of_a_balloon_is_returned_so_that_the_vm_has_whole_large_pages() {
        let balloon = Growth { returnable: mib(70), want: PageCount(12_801), ..GROWTH };
        assert_eq!(sized(balloon), Some(52.0), "50 MiB and a page");
        assert_eq!(sized(Growth { pool: mib(51), ..balloon }), Some(50.0));
        assert_eq!(sized(Growth { room: mib(51), ..balloon }), Some(50.0));
        assert_eq!(sized(Growth { limit: mib(51), ..balloon }), Some(50.0));
        assert_eq!(sized(Growth { returnable: mib(51), ..balloon }), Some(50.0));
        // What it has is no multiple: it is afterwards.
        assert_eq!(sized(Growth { held: mib(511), ..balloon }), Some(51.0));
        assert_eq!(sized(Growth { held: mib(511), pool: mib(20), ..balloon }), Some(19.0));
        // There is no such amount: what is wanted.
        assert_eq!(sized(Growth { want: mib(4), returnable: mib(5), held: mib(511), ..GROWTH }), Some(5.0));
        assert_eq!(sized(Growth { want: mib(4), returnable: mib(4), held: mib(511), ..GROWTH }), Some(4.0));
    }

    #[test]
    fn so_much_is_taken_that_whole_large_pages_are_left() {
        let take = |excess: u64, every| to_take(mib(100), PageCount(excess), mib(64), mib(16), every).mib();
        // 10 MiB and a half.
        assert_eq!([take(2688, false), take(2688, true)], [10.0, 12.0]);
        assert_eq!([take(2560, false), take(2560, true)], [10.0, 10.0]);
        assert_eq!([take(9000, false), take(9000, true)], [16.0, 16.0], "the most of one operation");
        // Less than a large page.
        assert_eq!([take(10, false), take(10, true)], [10.0 / 256.0, 2.0]);
        // The VM keeps its least.
        let to_the_least = |every| to_take(mib(100), PageCount(2688), mib(89), mib(16), every);
        assert_eq!([to_the_least(false), to_the_least(true)], [mib(10), PageCount(2688)]);
        // What it has is no multiple: it is afterwards.
        let odd = |excess, every| to_take(mib(101), mib(excess), mib(64), mib(16), every).mib();
        assert_eq!([odd(10, false), odd(10, true), odd(30, false), odd(30, true)], [9.0, 11.0, 15.0, 15.0]);
    }

    #[test]
    fn what_can_be_returned_is_granted_exactly() {
        assert_eq!(sized(Growth { returnable: mib(7), ..GROWTH }), Some(51.0));
        assert_eq!(sized(Growth { returnable: mib(200), want: mib(300), ..GROWTH }), Some(64.0));
        // Without hot-add that is all there is.
        assert_eq!(sized(Growth { returnable: mib(7), granule: None, ..GROWTH }), Some(7.0));
        assert_eq!(sized(Growth { granule: None, ..GROWTH }), None);
    }

    #[test]
    fn hot_add_is_rounded_up_if_it_may_else_down() {
        assert_eq!(sized(Growth { want: mib(51), ..GROWTH }), Some(52.0));
        assert_eq!(sized(Growth { want: mib(51), room: mib(51), ..GROWTH }), Some(50.0));
        assert_eq!(sized(Growth { want: mib(51), pool: mib(51), ..GROWTH }), Some(50.0));
        assert_eq!(sized(Growth { want: mib(200), ..GROWTH }), Some(64.0));
        assert_eq!(sized(Growth { want: mib(200), pool: mib(13), ..GROWTH }), Some(12.0));
    }

    #[test]
    fn what_is_returned_counts_against_maximum_pool_and_limit() {
        let seven = Growth { returnable: mib(7), ..GROWTH };
        assert_eq!(sized(Growth { pool: mib(20), ..seven }), Some(19.0));
        assert_eq!(sized(Growth { room: mib(20), ..seven }), Some(19.0));
        assert_eq!(sized(Growth { want: mib(200), ..seven }), Some(63.0));
        // Exactly as much as there is room, pool and limit for.
        assert_eq!(sized(Growth { pool: mib(51), ..seven }), Some(51.0));
        assert_eq!(sized(Growth { room: mib(51), ..seven }), Some(51.0));
        assert_eq!(sized(Growth { limit: mib(51), ..seven }), Some(51.0));
    }

    #[test]
    fn exactly_the_least_move_is_made() {
        assert_eq!(sized(Growth { want: mib(4), ..GROWTH }), Some(4.0));
        assert_eq!(sized(Growth { pool: mib(4), ..GROWTH }), Some(4.0));
        assert_eq!(sized(Growth { returnable: mib(3), granule: None, ..GROWTH }), None);
        assert_eq!(sized(Growth { returnable: mib(4), granule: None, ..GROWTH }), Some(4.0));
        // The last step to the maximum is all of it.
        assert_eq!(sized(Growth { returnable: mib(2), room: mib(2), pool: mib(1), ..GROWTH }), None);
    }

    #[test]
    fn a_granule_above_the_operation_limit_is_one_operation() {
        let linux = Growth { granule: Some(mib(128)), ..GROWTH };
        assert_eq!(sized(linux), Some(128.0));
        assert_eq!(sized(Growth { want: mib(500), ..linux }), Some(128.0));
        assert_eq!(sized(Growth { pool: mib(127), ..linux }), None);
        assert_eq!(sized(Growth { room: mib(127), ..linux }), None);
        // First what is exact; the granule is an operation of its own.
        assert_eq!(sized(Growth { returnable: mib(10), ..linux }), Some(10.0));
        // A want below the least move gets no granule either.
        assert_eq!(sized(Growth { want: mib(3), ..linux }), None);
    }

    #[test]
    fn little_moves_only_up_to_the_maximum() {
        assert_eq!(sized(Growth { want: mib(3), ..GROWTH }), None);
        assert_eq!(sized(Growth { want: mib(2), room: mib(2), ..GROWTH }), Some(2.0));
        assert_eq!(sized(Growth { want: mib(9), room: mib(2), ..GROWTH }), Some(2.0));
        // The pool has less than a move.
        assert_eq!(sized(Growth { pool: mib(3), ..GROWTH }), None);
        assert_eq!(sized(Growth { want: PageCount::ZERO, ..GROWTH }), None);
        assert_eq!(sized(Growth { room: PageCount::ZERO, ..GROWTH }), None);
        assert_eq!(sized(Growth { pool: PageCount::ZERO, returnable: mib(9), ..GROWTH }), None);
    }
}
