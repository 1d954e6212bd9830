//! Rounds in which memory suffices: bands, the hold, and taking from one for another.

use balancing_policy::{HostView, PageCount, Proposal, Reason, VmView, pressure, satisfied_pressure};

use super::{Course, HyperVConfig, PressureBandPolicy, Situation, State};

impl State {
    /// Where the VM stands to its band (of p*, whatever the shortage: the hold goes on in one), and what follows.
    pub(super) fn follow(
        &mut self,
        host: &HostView<'_>,
        config: &HyperVConfig,
        vm: &VmView,
        demand: PageCount,
        wanted: PageCount,
    ) {
        let (half_width, step) = (config.half_width, host.minimum_move);
        let expected = vm.expected();
        let pressure = pressure(demand, expected);
        let centre = satisfied_pressure(&vm.settings);
        if pressure < centre - half_width {
            let since = *self.below_since.get_or_insert(host.now);
            if host.now.saturating_sub(since) >= config.hold {
                self.course = Course::Reclaiming;
            } else if self.course == Course::Growing {
                self.course = Course::Steady;
            }
        } else {
            self.below_since = None;
            if pressure > centre + half_width {
                self.course = Course::Growing;
            }
        }
        let arrived = match self.course {
            Course::Steady => false,
            // The last step to the maximum is taken however small it is.
            Course::Growing if wanted == vm.settings.maximum => expected >= wanted,
            Course::Growing => expected.saturating_add(step) > wanted,
            Course::Reclaiming => expected.saturating_sub(wanted) < step || pressure >= centre,
        };
        if arrived {
            self.course = Course::Steady;
        }
    }
}

impl PressureBandPolicy {
    /// Targets when memory suffices. Returns the rule that sums the round up.
    pub(super) fn satisfy(
        &mut self,
        host: &HostView<'_>,
        vms: &[VmView],
        situation: &Situation,
        proposal: &mut Proposal,
    ) -> &'static str {
        let mut sum: u128 = 0;
        let mut growing = false;
        for (index, vm) in vms.iter().enumerate() {
            let pages = self.by_its_band(host, index, vm, proposal);
            growing |= pages > vm.expected();
            sum += u128::from(pages.get());
        }
        let for_growth = if growing { situation.stock } else { 0.0 };
        let room = situation.capacity - sum as f64;
        if room >= for_growth {
            return "enough";
        }
        // VMs below their band first, for the stock too; then VMs that have more than at p*, if growth needs it.
        let lacking = self.take_from_donors(host, vms, for_growth - room, true, proposal);
        self.take_from_donors(host, vms, lacking - for_growth, false, proposal);
        "contention"
    }

    /// The target of one VM by its band alone.
    fn by_its_band(
        &self,
        host: &HostView<'_>,
        index: usize,
        vm: &VmView,
        proposal: &mut Proposal,
    ) -> PageCount {
        let Some(demand) = self.movable(index, vm, proposal) else {
            return proposal.target(index).pages;
        };
        let state = self.states.at(index).copied().unwrap_or_default();
        let wanted = PageCount(self.claims.at(index, 0.0) as u64).max(vm.lowest);
        let expected = vm.reachable(vm.expected());
        let band = self.band_of(&vm.settings);
        let reason = |rule| {
            Reason::new(rule)
                .with("demand_mib", demand.mib())
                .with("expected_mib", expected.mib())
                .with("pressure_percent", pressure(demand, expected).min(f64::MAX))
                .with("minimum_pressure_percent", band.minimum)
                .with("maximum_pressure_percent", band.maximum)
        };
        let (pages, reason) = match (state.course, state.below_since) {
            (Course::Growing, _) => (wanted.max(expected), reason("short")),
            (Course::Reclaiming, _) => (wanted.min(expected), reason("reclaim")),
            (Course::Steady, Some(since)) => {
                let waited = host.now.saturating_sub(since).as_secs_f64();
                (expected, reason("surplus").with("waited_seconds", waited))
            }
            // Above its band, and yet at rest: there is nothing more to give it, or too little is missing.
            (Course::Steady, None) if pressure(demand, expected) > band.maximum => {
                (expected, reason(if wanted > expected { "nearly-enough" } else { "at-maximum" }))
            }
            (Course::Steady, None) => (expected, reason("in-band")),
        };
        proposal.set(index, pages, reason);
        pages
    }

    /// Take `need` pages from VMs that have more than they want, low weights first; returns what could not be had.
    fn take_from_donors(
        &mut self,
        host: &HostView<'_>,
        vms: &[VmView],
        mut need: f64,
        below_band: bool,
        proposal: &mut Proposal,
    ) -> f64 {
        if need <= 0.0 {
            return need;
        }
        self.donors.clear();
        // An amount too small to be moved helps no VM. For a start even that is moved.
        let least = if host.reservations.is_empty() { host.minimum_move.get() as f64 } else { 1.0 };
        for (index, vm) in vms.iter().enumerate() {
            let below = self.states.at(index).is_some_and(|state| state.below_since.is_some());
            let surplus = proposal.target(index).pages.get() as f64 - self.claims.at(index, 0.0);
            if below == below_band && surplus >= least && vm.can_move() {
                let weight = if self.config.weights { vm.settings.weight } else { 0 };
                self.donors.push((u64::from(weight), index));
            }
        }
        self.donors.sort_unstable();
        for &(weight, index) in &self.donors {
            if need <= 0.0 {
                break;
            }
            let target = *proposal.target(index);
            let wanted = PageCount(self.claims.at(index, 0.0) as u64).max(vms[index].lowest);
            let surplus = target.pages.saturating_sub(wanted);
            let give = PageCount(need.ceil() as u64).max(host.minimum_move).min(surplus);
            need -= give.get() as f64;
            let reason = Reason::new("donor")
                .with("had_mib", target.pages.mib())
                .with("gives_mib", give.mib())
                .with("wanted_mib", wanted.mib())
                .with("weight", weight as f64);
            proposal.set(index, target.pages - give, reason);
        }
        need
    }

    /// What is kept for VMs that wait to start: all that those need which can start; of what is left, others may have
    /// what no running VM wants.
    pub(super) fn leave_for_starts(&self, situation: &Situation, proposal: &mut Proposal) {
        let mut pages = situation.starts;
        if situation.hopeless && !self.short {
            let kept: u128 = proposal.targets().iter().map(|target| u128::from(target.pages.get())).sum();
            pages = pages.max(situation.capacity + situation.starts - kept as f64);
        }
        proposal.leave_for_starts(PageCount(pages.max(0.0) as u64));
    }
}
