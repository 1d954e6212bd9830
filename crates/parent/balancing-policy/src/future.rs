//! What a run will ask of a host: for policies that show how much could be gained at most.

use core::time::Duration;

use page_range::PageCount;

use crate::VmId;

/// What the VMs of a run will need. No product knows this; a policy that [foresees](crate::Policy::foresees) is given it before the first
/// round, so that others can be measured by what it makes of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Future {
    vms: Vec<VmFuture>,
}

impl Future {
    /// The future of these VMs. Of two of one id the first is kept.
    #[must_use]
    pub fn new(mut vms: Vec<VmFuture>) -> Self {
        vms.sort_by_key(|vm| vm.id);
        vms.dedup_by_key(|vm| vm.id);
        Self { vms }
    }

    /// All VMs, in ascending order of their id.
    #[must_use]
    pub fn vms(&self) -> &[VmFuture] {
        &self.vms
    }

    /// The future of one VM; `None` if nothing is known of it.
    #[must_use]
    pub fn of(&self, id: VmId) -> Option<&VmFuture> {
        self.vms.binary_search_by_key(&id, |vm| vm.id).ok().map(|at| &self.vms[at])
    }
}

/// What one VM will need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmFuture {
    id: VmId,
    known: bool,
    /// From each time on, so much until the next; in order of time.
    needs: Vec<(Duration, PageCount)>,
    /// When its start will be asked for, in order of time, and what it takes.
    starts: Vec<(Duration, PageCount)>,
}

impl VmFuture {
    /// A VM that needs so much from each of these times on, until the next of them, and nothing before the first. Of times that do not
    /// increase the first is kept.
    #[must_use]
    pub fn known(id: VmId, mut needs: Vec<(Duration, PageCount)>) -> Self {
        needs.sort_by_key(|(time, _)| *time);
        needs.dedup_by_key(|(time, _)| *time);
        Self { id, known: true, needs, starts: Vec::new() }
    }

    /// A VM whose need cannot be known in advance, because it depends on what the VM is given.
    #[must_use]
    pub const fn unknown(id: VmId) -> Self {
        Self { id, known: false, needs: Vec::new(), starts: Vec::new() }
    }

    /// The same VM, whose start will be asked for at these times and takes so much: startup RAM and overhead.
    #[must_use]
    pub fn starting(mut self, mut starts: Vec<(Duration, PageCount)>) -> Self {
        starts.sort_by_key(|(time, _)| *time);
        self.starts = starts;
        self
    }

    /// Which VM.
    #[must_use]
    pub const fn id(&self) -> VmId {
        self.id
    }

    /// Whether its need is known.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.known
    }

    /// What it needs at a time.
    #[must_use]
    pub fn need_at(&self, time: Duration) -> PageCount {
        let after = self.needs.partition_point(|(from, _)| *from <= time);
        after.checked_sub(1).map_or(PageCount::ZERO, |at| self.needs[at].1)
    }

    /// What it needs at `from` and at every time after it at which that changes, in order of time.
    pub fn needs_from(&self, from: Duration) -> impl Iterator<Item = (Duration, PageCount)> + '_ {
        let after = self.needs.partition_point(|(time, _)| *time <= from);
        core::iter::once((from, self.need_at(from))).chain(self.needs[after..].iter().copied())
    }

    /// When its start will be asked for from `from` on, and what it takes.
    pub fn starts_from(&self, from: Duration) -> impl Iterator<Item = (Duration, PageCount)> + '_ {
        let after = self.starts.partition_point(|(time, _)| *time < from);
        self.starts[after..].iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_need_holds_until_the_next() {
        let second = Duration::from_secs;
        let vm = VmFuture::known(VmId(3), vec![(second(20), PageCount(7)), (second(10), PageCount(5))])
            .starting(vec![(second(4), PageCount(2))]);
        let at = |time| vm.need_at(second(time)).get();
        assert_eq!([at(0), at(9), at(10), at(19), at(20), at(1000)], [0, 0, 5, 5, 7, 7]);
        let from: Vec<_> =
            vm.needs_from(second(15)).map(|(time, need)| (time.as_secs(), need.get())).collect();
        assert_eq!(from, [(15, 5), (20, 7)]);
        assert_eq!((vm.starts_from(second(4)).count(), vm.starts_from(second(5)).count()), (1, 0));
        let future = Future::new(vec![VmFuture::unknown(VmId(9)), vm]);
        assert!(future.of(VmId(3)).is_some_and(VmFuture::is_known));
        assert!(future.of(VmId(9)).is_some_and(|vm| !vm.is_known() && vm.need_at(second(1)).is_zero()));
        assert!(future.of(VmId(1)).is_none());
    }
}
