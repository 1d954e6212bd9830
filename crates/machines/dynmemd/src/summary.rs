//! What a record comes to: `summary.json`, as of a run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use memory_balancer::SystemCounters;
use page_range::{PageCount, PageCounter};
use qemu_host::{Snapshot, VmSnapshot};
use scenario::run::Collect;
use scenario::run::summary::{EndSummary, HostSummary, InGuest, SCHEMA, Summary, VmSummary};
use vmms_host::VmState;

/// VMs that a record has a summary of; more that come and go are counted in its events only. Invented: a host has some hundred.
const MOST_VMS: usize = 16_384;

/// What the snapshots of a record add up to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    policy: String,
    last: Duration,
    memory: PageCount,
    first_reserve: Option<PageCount>,
    system: Option<SystemCounters>,
    used: Collect,
    available: Collect,
    in_transit: Collect,
    pressure: Collect,
    host_free: Collect,
    vms: BTreeMap<Arc<str>, OfVm>,
}

/// What a VM's snapshots add up to.
#[derive(Debug, Default)]
struct OfVm {
    device: &'static str,
    here: bool,
    dynamic: bool,
    startup: PageCount,
    maximum: PageCount,
    since: Option<Duration>,
    starts: u32,
    physical: Collect,
    visible: Collect,
    pressure: Collect,
    demand: Collect,
    available: Collect,
    above_100: Duration,
    shortage: Duration,
    longest_shortage: Duration,
    unmet_mb_s: f64,
    page_writes: Option<PageCounter>,
    pages_written: u64,
    added: PageCount,
    removed: PageCount,
    add_operations: u64,
    remove_operations: u64,
}

impl Tally {
    /// Adds a snapshot, whose counters are `system` without what is kept beyond the host's memory.
    pub(crate) fn add(&mut self, snapshot: &Snapshot, system: &SystemCounters) {
        let elapsed = snapshot.now.saturating_sub(self.last);
        (self.last, self.memory, self.system) = (snapshot.now, snapshot.total, Some(*system));
        if self.policy != *snapshot.policy {
            self.policy = snapshot.policy.to_string();
        }
        self.first_reserve.get_or_insert(system.reserve);
        self.used.add((snapshot.total.saturating_sub(system.available)).mib());
        self.available.add(system.available.mib());
        self.in_transit.add(system.in_transit.mib());
        self.pressure.add(system.average_pressure);
        if let Some(host) = &snapshot.host {
            self.host_free.add(host.available.mib());
        }
        for vm in self.vms.values_mut() {
            vm.here = false;
        }
        for vm in &snapshot.vms {
            if self.vms.len() >= MOST_VMS && !self.vms.contains_key(&vm.name) {
                continue;
            }
            self.vms.entry(Arc::clone(&vm.name)).or_default().add(snapshot.now, elapsed, vm);
        }
    }

    /// The summary, of a record that has ended for this reason after this time; `complete`: it was not cut off.
    pub(crate) fn summary(&self, reason: &str, after: Duration, complete: bool) -> Summary {
        let pages = |of: fn(&SystemCounters) -> PageCount| self.system.as_ref().map_or(PageCount::ZERO, of);
        let number = |of: fn(&SystemCounters) -> u64| self.system.as_ref().map_or(0, of);
        Summary {
            schema: SCHEMA,
            scenario: "dynmemd".to_owned(),
            policy: self.policy.clone(),
            seed: 0,
            schedule_seed: None,
            end: EndSummary {
                reason: reason.to_owned(),
                time_s: thousandth(after.as_secs_f64()),
                complete,
                panics: Vec::new(),
            },
            host: HostSummary {
                memory_mb: self.memory.mib(),
                reserve_at_start_mb: self.first_reserve.unwrap_or_default().mib(),
                reserve_mb: pages(|system| system.reserve).mib(),
                used_mb: self.used.spread(),
                available_memory_mb: self.available.spread(),
                in_transit_mb: self.in_transit.spread(),
                average_pressure: self.pressure.spread(),
                added_memory_mb: pages(|system| system.added).mib(),
                removed_memory_mb: pages(|system| system.removed).mib(),
                memory_add_operations: number(|system| system.add_operations),
                memory_remove_operations: number(|system| system.remove_operations),
                parent_free_mb: self.host_free.spread(),
                parent_page_reads_per_s: None,
                parent_page_reads: 0,
            },
            vms: self.vms.iter().map(|(name, vm)| vm.summary(name)).collect(),
            memory_moved: Vec::new(),
            phases: None,
            event_log: Vec::new(),
        }
    }
}

impl OfVm {
    fn add(&mut self, now: Duration, elapsed: Duration, vm: &VmSnapshot) {
        if self.device.is_empty() {
            self.device = vm.facts.device.name();
        }
        self.here = true;
        let settings = &vm.settings;
        (self.dynamic, self.maximum) = (settings.dynamic, settings.maximum);
        let Some((_, counters)) = &vm.counted else { return };
        if self.since.is_none() {
            (self.since, self.starts) = (Some(now), 1);
            self.startup = vm.assigned.unwrap_or(counters.physical);
        }
        self.physical.add(counters.physical.mib());
        self.visible.add(counters.guest_visible.mib());
        if let Some(pressure) = counters.current_pressure {
            self.pressure.add(pressure);
        }
        (self.added, self.removed) = (counters.added, counters.removed);
        (self.add_operations, self.remove_operations) = (counters.add_operations, counters.remove_operations);
        if let Some((_, status)) = &vm.seen.report {
            self.available.add(status.available.mib());
            let before = self.page_writes.replace(status.page_file_writes);
            let written = before.map_or(0, |before| status.page_file_writes.since(before).get());
            // More than half of what the counter holds: it went back, since the guest has booted.
            self.pages_written += if written > u64::from(u32::MAX) / 2 { 0 } else { written };
        }
        let demand = counters.demand;
        if let Some(demand) = demand {
            self.demand.add(demand.mib());
        }
        let lacks = demand.map_or(PageCount::ZERO, |demand| demand.saturating_sub(counters.physical));
        if lacks.is_zero() {
            self.shortage = Duration::ZERO;
        } else {
            self.shortage += elapsed;
            self.above_100 += elapsed;
            self.unmet_mb_s += lacks.mib() * elapsed.as_secs_f64();
        }
        self.longest_shortage = self.longest_shortage.max(self.shortage);
    }

    fn summary(&self, name: &str) -> VmSummary {
        VmSummary {
            name: name.to_owned(),
            // What runs in it is not known; what moves its memory is.
            guest: self.device.to_owned(),
            state: if self.here { VmState::Running } else { VmState::Off },
            dynamic_memory: self.dynamic,
            startup_mb: self.startup.mib(),
            maximum_mb: self.maximum.mib(),
            started_s: self.since.map(|since| thousandth(since.as_secs_f64())),
            login_s: None,
            dynamic_memory_refused: None,
            starts: self.starts,
            failed_starts: 0,
            failures: 0,
            physical_memory_mb: self.physical.spread(),
            guest_visible_mb: self.visible.spread(),
            current_pressure: self.pressure.spread(),
            demand_mb: self.demand.spread(),
            unmet_demand_mb_s: thousandth(self.unmet_mb_s),
            unmet_committed_mb_s: thousandth(self.unmet_mb_s),
            unmet_refused_mb_s: 0.0,
            unmet_waiting_mb_s: 0.0,
            waiting_s: 0.0,
            time_above_100_s: thousandth(self.above_100.as_secs_f64()),
            longest_shortage_s: thousandth(self.longest_shortage.as_secs_f64()),
            added_memory_mb: self.added.mib(),
            removed_memory_mb: self.removed.mib(),
            memory_add_operations: self.add_operations,
            memory_remove_operations: self.remove_operations,
            in_guest: InGuest {
                available_mb: self.available.spread(),
                page_reads: 0,
                page_writes: self.pages_written,
                stall_s: 0.0,
                commit_failures: 0,
                first_commit_failure_s: None,
                refused_commit_mb: None,
            },
        }
    }
}

fn thousandth(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
