//! Growth of guests that take memory only in granules larger than a move.
//!
//! What such a guest lacks beyond what can be returned to it exactly is hot-added, and hot-add takes a whole granule. If others
//! gave no more than it lacks, less than a granule would lie in the pool and it would get nothing, for as long as its need
//! lasts. So its claim is what it would have with whole granules. What it then has too much is ballooned like any surplus,
//! and returned exactly the next time.
//!
//! Granules up to the least move (Windows' 2 MiB) need none of this: hot-add rounds down, and the rest is not worth a move.

use balancing_policy::{HostView, PageCount, VmView, pressure, satisfied_pressure};

use super::{Course, PressureBandPolicy, Situation};

impl PressureBandPolicy {
    /// Rounds the claims of VMs that grow by large granules. `true`: there were some, and the round is to be balanced anew.
    pub(super) fn claim_whole_granules(
        &mut self,
        host: &HostView<'_>,
        vms: &[VmView],
        situation: &Situation,
    ) -> bool {
        if vms.iter().all(|vm| vm.granule <= host.minimum_move) {
            return false;
        }
        // What all VMs have together if each is pressed as far as it goes. A granule that does not fit even then presses no VM.
        let mut least = self.claims.floor();
        let mut changed = false;
        for (index, vm) in vms.iter().enumerate() {
            let Some(whole) = self.whole_granules(host, index, vm) else { continue };
            let with = least - self.claims.floor_of(index) + whole.get() as f64;
            if with <= situation.capacity {
                least = with;
                changed = true;
                self.claims.fix(index, whole.get() as f64);
            }
        }
        changed
    }

    /// What a VM has when it has got all that it lacks in whole granules; `None` if nothing is to be rounded.
    fn whole_granules(&self, host: &HostView<'_>, index: usize, vm: &VmView) -> Option<PageCount> {
        let demand = vm.demand().filter(|_| vm.can_move() && vm.granule > host.minimum_move)?;
        let expected = vm.expected();
        // Above its band, or on the way from there to p*: a VM that lacks a few pages does not cost others a granule.
        let needs = if self.short {
            pressure(demand, expected) > self.centre(&vm.settings) + self.config.half_width
        } else {
            self.states.at(index).is_some_and(|state| state.course == Course::Growing)
                && pressure(demand, expected) > satisfied_pressure(&vm.settings)
        };
        let target = vm.reachable(PageCount(self.claims.at(index, self.lambda) as u64));
        let exact = expected.saturating_add(vm.returnable);
        let lacking = target.saturating_sub(exact);
        if !needs || lacking < host.minimum_move {
            return None;
        }
        let up = exact.saturating_add(lacking.round_up_to(vm.granule));
        let whole = if up <= vm.highest { up } else { exact + lacking.round_down_to(vm.granule) };
        // Nothing to round, or not even one granule fits below its maximum: then it gets what can be returned.
        (whole != target).then_some(whole)
    }
}
