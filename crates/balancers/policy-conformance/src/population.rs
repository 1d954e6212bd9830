//! Many VMs at once, made up: for rounds whose time is measured.

use core::time::Duration;

use balancing_policy::{
    GuestStatus, HostView, MemorySettings, PageCount, Policy, Proposal, Reason, Target, VmId, VmView,
};

/// Whether there is enough memory for everyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Half as much again as all want.
    Enough,
    /// A tenth less than all want.
    Short,
}

/// A host and its VMs as a policy sees them, without anything behind. The same for the same numbers.
#[derive(Debug)]
pub struct Population {
    vms: Vec<VmView>,
    base: Vec<PageCount>,
    capacity: PageCount,
    now: Duration,
    random: u64,
    proposal: Proposal,
}

impl Population {
    /// `count` VMs of 512 MB to 8 GB with various settings.
    #[must_use]
    pub fn new(count: usize, memory: Memory, seed: u64) -> Self {
        let mut random = seed;
        let mut vms = Vec::with_capacity(count);
        let mut base = Vec::with_capacity(count);
        let mut wanted = 0;
        for id in (1..).take(count) {
            let startup = PageCount::from_mib(512);
            let maximum = PageCount::from_mib(2048 << (next(&mut random) % 3));
            let settings = MemorySettings::dynamic(startup, maximum)
                .with_minimum(PageCount::from_mib(256))
                .with_buffer([10, 20, 20, 50][(next(&mut random) % 4) as usize])
                .with_weight((next(&mut random) % 10_001) as u32);
            let demand = PageCount(startup.get() / 2 + next(&mut random) % (maximum.get() / 2));
            wanted += demand.get() + demand.get() * u64::from(settings.buffer) / 100;
            base.push(demand);
            vms.push(VmView::new(VmId(id), settings).with(|vm| vm.assigned = demand.max(settings.minimum)));
        }
        let capacity = match memory {
            Memory::Enough => wanted + wanted / 2,
            Memory::Short => wanted - wanted / 10,
        };
        let mut population = Self {
            vms,
            base,
            capacity: PageCount(capacity),
            now: Duration::ZERO,
            random,
            proposal: Proposal::default(),
        };
        population.report();
        population
    }

    /// The VMs as the policy sees them.
    #[must_use]
    pub fn vms(&self) -> &[VmView] {
        &self.vms
    }

    /// A second passes: every guest reports a demand within 1 % of its own.
    pub fn report(&mut self) {
        self.now += Duration::from_secs(1);
        for (vm, base) in self.vms.iter_mut().zip(&self.base) {
            let one_percent = base.get() / 100 + 1;
            let demand = PageCount(base.get() + next(&mut self.random) % one_percent);
            vm.history.push(
                self.now,
                GuestStatus::default().with(|c| {
                    c.demand = demand;
                    c.commit = demand;
                }),
            );
        }
    }

    /// One round. What is proposed is what everyone has in the next.
    pub fn round(&mut self, policy: &mut dyn Policy) {
        let assigned: PageCount = self.vms.iter().map(|vm| vm.assigned).sum();
        let host = HostView::new(self.capacity, self.capacity.saturating_sub(assigned)).with(|host| {
            host.now = self.now;
            host.total = self.capacity + PageCount::from_mib(2048);
            host.reserve = PageCount::from_mib(2048);
            host.lead_time = Duration::from_millis(1500);
            host.minimum_move = PageCount::from_mib(4);
        });
        let last = |vm: &VmView| Target { pages: vm.assigned, reason: Reason::new("last") };
        self.proposal.begin(self.vms.iter().map(last));
        policy.round(&host, &self.vms, &mut self.proposal);
    }

    /// What was proposed in the last round.
    #[must_use]
    pub fn targets(&self) -> &[Target] {
        self.proposal.targets()
    }

    /// Everyone has what was proposed in the last round.
    pub fn carry_out(&mut self) {
        for (vm, target) in self.vms.iter_mut().zip(self.proposal.targets()) {
            vm.assigned = target.pages;
        }
    }
}

/// SplitMix64: the same numbers everywhere.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_numbers_make_the_same_population() {
        let demands = |seed| -> Vec<_> {
            Population::new(50, Memory::Short, seed).vms().iter().map(VmView::demand).collect()
        };
        assert_eq!(demands(1), demands(1));
        assert_ne!(demands(1), demands(2));
        assert!(Population::new(0, Memory::Enough, 1).vms().is_empty());
    }
}
