//! The counters of Tables 3-6 and 3-7 of the verification guideline.

use std::sync::Arc;

use balancing_policy::{PageCount, VmId};
use serde::Serialize;

use crate::origins::Source;
use crate::state::Balancer;

/// `Hyper-V Dynamic Memory Balancer`, instance "System Balancer" (Table 3-6), and the rest of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SystemCounters {
    /// Added to all VMs, cumulative.
    pub added: PageCount,
    /// Removed from all VMs, cumulative.
    pub removed: PageCount,
    /// Operations that added, cumulative.
    pub add_operations: u64,
    /// Operations that removed, cumulative.
    pub remove_operations: u64,
    /// Left in the balancer.
    pub available: PageCount,
    /// Mean of the Current Pressure of the VMs that report, in percent; 0 if none does.
    pub average_pressure: f64,
    /// Assigned to VMs, in all.
    pub assigned: PageCount,
    /// Granted and not yet mapped, set aside for a start, or on its way home.
    pub in_transit: PageCount,
    /// Of what is in transit: granted to VMs and not yet mapped.
    pub granted: PageCount,
    /// Of what is in transit: set aside for VMs that wait to start.
    pub set_aside: PageCount,
    /// Of what is in transit: given up by VMs and not yet home.
    pub coming_home: PageCount,
    /// Overhead of the running VMs.
    pub overhead: PageCount,
    /// Held back for the parent OS.
    pub reserve: PageCount,
}

/// `Get-VM`'s MemoryStatus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MemoryStatus {
    /// Demand and buffer are met, or the VM is at its maximum with its demand met.
    Ok,
    /// Demand is met, the buffer is not.
    Low,
    /// Less is assigned than demanded.
    Warning,
}

/// `Hyper-V Dynamic Memory VM`, instance = the VM's name (Table 3-7). A VM that is off keeps its cumulative counters.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VmCounters {
    /// Which VM.
    pub vm: VmId,
    /// Its name.
    pub name: Arc<str>,
    /// Whether it runs (or has its startup RAM on its way).
    pub running: bool,
    /// Added, cumulative.
    pub added: PageCount,
    /// Removed, cumulative.
    pub removed: PageCount,
    /// What the VM was given at its last start: its startup RAM then, or less (Smart Paging).
    pub at_start: PageCount,
    /// Added since the VM last started: Physical Memory = `at_start` + added − removed since then.
    pub added_since_start: PageCount,
    /// Removed since the VM last started.
    pub removed_since_start: PageCount,
    /// Operations that added, cumulative.
    pub add_operations: u64,
    /// Operations that removed, cumulative.
    pub remove_operations: u64,
    /// What it has.
    pub physical: PageCount,
    /// What its guest sees as installed: the most it has had since it started.
    pub guest_visible: PageCount,
    /// Granted and not yet mapped.
    pub in_transit: PageCount,
    /// What the guest needs, if it says.
    pub demand: Option<PageCount>,
    /// What it is to have.
    pub target: PageCount,
    /// 100 · demand / physical, in percent, if the guest reports.
    pub current_pressure: Option<f64>,
    /// The same, averaged over time (exponentially weighted).
    pub average_pressure: Option<f64>,
    /// Lower edge of the pressure band, in percent.
    pub minimum_pressure: f64,
    /// Upper edge of the pressure band, in percent.
    pub maximum_pressure: f64,
    /// How its demand is met, if the guest reports.
    pub status: Option<MemoryStatus>,
}

impl Balancer {
    /// The counters of the balancer.
    #[must_use]
    pub fn system_counters(&self) -> SystemCounters {
        let ledger = self.ledger();
        let (mut added, mut removed) = (PageCount::ZERO, PageCount::ZERO);
        let (mut add_operations, mut remove_operations) = (0, 0);
        for registered in self.registered.values() {
            added += registered.tally.added;
            removed += registered.tally.removed;
            add_operations += registered.tally.add_operations;
            remove_operations += registered.tally.remove_operations;
        }
        let (mut pressures, mut reporting) = (0.0, 0.0);
        for pressure in self
            .views
            .iter()
            .filter_map(balancing_policy::VmView::pressure)
            .filter(|pressure| pressure.is_finite())
        {
            pressures += pressure;
            reporting += 1.0;
        }
        SystemCounters {
            added,
            removed,
            add_operations,
            remove_operations,
            available: ledger.available,
            average_pressure: if reporting > 0.0 { pressures / reporting } else { 0.0 },
            assigned: ledger.assigned,
            in_transit: ledger.in_transit(),
            granted: ledger.granted,
            set_aside: ledger.set_aside,
            coming_home: ledger.coming_home,
            overhead: ledger.overhead,
            reserve: ledger.reserve,
        }
    }

    /// From where the memory came that VMs were given since the balancer started: to each VM, from each source. What a VM was given
    /// at its starts counts, with its overhead.
    pub fn memory_moved(&self) -> impl Iterator<Item = (Source, VmId, PageCount)> {
        self.moved.iter().map(|(&(source, vm), &pages)| (source, vm, pages))
    }

    /// The counters of every registered VM, in ascending order of id.
    pub fn vm_counters(&self) -> impl Iterator<Item = VmCounters> {
        self.registered.keys().filter_map(|&vm| self.counters_of(vm))
    }

    /// The counters of one registered VM.
    #[must_use]
    pub fn counters_of(&self, vm: VmId) -> Option<VmCounters> {
        let registered = self.registered.get(&vm)?;
        let (tally, at_start) = (registered.tally, registered.at_start);
        let mut counters = VmCounters {
            vm,
            name: registered.name.clone(),
            running: false,
            added: tally.added,
            removed: tally.removed,
            at_start: PageCount::ZERO,
            added_since_start: tally.added - at_start.added,
            removed_since_start: tally.removed - at_start.removed,
            add_operations: tally.add_operations,
            remove_operations: tally.remove_operations,
            physical: PageCount::ZERO,
            guest_visible: PageCount::ZERO,
            in_transit: PageCount::ZERO,
            demand: None,
            target: PageCount::ZERO,
            current_pressure: None,
            average_pressure: None,
            minimum_pressure: 0.0,
            maximum_pressure: 0.0,
            status: None,
        };
        if let Some(index) = self.index(vm) {
            let (live, view) = (&self.live[index], &self.views[index]);
            counters.running = true;
            counters.at_start = live.at_start;
            counters.physical = live.account.assigned();
            counters.guest_visible = live.visible;
            counters.in_transit = live.account.granted();
            counters.demand = view.demand();
            counters.target = live.target;
            counters.current_pressure = view.pressure();
            counters.average_pressure = live.average_pressure.value();
            counters.minimum_pressure = live.band.minimum;
            counters.maximum_pressure = live.band.maximum;
            counters.status = view.demand().map(|demand| {
                let buffered = demand.mib() * (1.0 + view.settings.buffer_fraction());
                if counters.physical < demand {
                    MemoryStatus::Warning
                } else if counters.physical.mib() < buffered && counters.physical < view.settings.maximum {
                    MemoryStatus::Low
                } else {
                    MemoryStatus::Ok
                }
            });
        }
        Some(counters)
    }
}
