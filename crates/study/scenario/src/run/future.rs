//! What a plan will ask of its host, found out on a host that has enough for all.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use balancing_policy::{Future, MemorySettings, VmFuture, VmId};
use component_runtime::Driver;
use guest_memory_manager::workload::WorkloadConfig;
use page_range::PageCount;
use parking_lot::Mutex;
use run_journal::EventsLevel;
use vmms_host::{HostEdition, HostRelease};

use super::error::RunError;
use super::execute::execute;
use super::need::Needs;
use super::options::RunOptions;
use super::plan::{Action, Plan};

/// Everyone has static memory: as much as the maximum.
#[must_use]
pub fn with_static_memory(mut plan: Plan) -> Plan {
    let fixed =
        |settings: MemorySettings| MemorySettings::fixed(settings.maximum).with_weight(settings.weight);
    for vm in &mut plan.vms {
        vm.settings = fixed(vm.settings);
    }
    for step in &mut plan.timeline {
        if let Action::Configure { settings, .. } = &mut step.action {
            *settings = fixed(*settings);
        }
    }
    plan
}

/// A host of Windows Server 2012, unless it is one already or a later one, on which every VM that balancing moves has at most this part of its
/// startup RAM as its minimum: whole large pages, and no less than the 32 MB that such a host allows (documented: Microsoft,
/// `Set-VMMemory`).
#[must_use]
pub fn with_minimum_below_startup(mut plan: Plan, part: f64) -> Plan {
    let lower = |settings: MemorySettings| {
        let large = PageCount::LARGE_PAGE.get();
        let wanted = (settings.startup.get() as f64 * part) as u64 / large * large;
        let minimum = PageCount(wanted).max(PageCount::from_mib(32)).min(settings.minimum);
        if settings.minimum < settings.maximum { settings.with_minimum(minimum) } else { settings }
    };
    if !plan.host.release.is_2012_or_later() {
        plan.host.release = HostRelease::Server2012;
        plan.host.balancer = plan.host.balancer.with_smart_paging();
    }
    for vm in &mut plan.vms {
        vm.settings = lower(vm.settings);
    }
    for step in &mut plan.timeline {
        if let Action::Configure { settings, .. } = &mut step.action {
            *settings = lower(*settings);
        }
    }
    plan
}

/// The same load on a host on which every VM has its maximum from the start.
#[must_use]
pub fn well_provisioned(plan: Plan) -> Plan {
    let mut plan = with_static_memory(plan);
    let overhead = plan.host.balancer.overhead_per_vm;
    let needed: PageCount = plan.vms.iter().map(|vm| vm.settings.maximum + overhead).sum();
    // The reserve grows with the host, 30 MB per GB, and the parent OS is not to be short either.
    let mut memory = plan.host.memory + needed;
    memory += PageCount::from_mib(memory.whole_mib().div_ceil(16));
    plan.host.memory = memory;
    plan.host.edition = HostEdition::Unlimited;
    plan
}

/// The VMs, by their place in the plan, whose load depends on what the VM is given, so that nobody can know it in advance.
#[must_use]
pub fn not_known(plan: &Plan) -> BTreeSet<usize> {
    let greedy = |action: &Action| match action {
        Action::Run { vm, workload: WorkloadConfig::Server(_), .. } => Some(*vm),
        _ => None,
    };
    plan.timeline.iter().filter_map(|step| greedy(&step.action)).collect()
}

/// Changes in a need that are smaller are left out. Invented: the services of a guest fluctuate by about that much.
const LEAST_CHANGE: PageCount = PageCount::from_mib(1);

/// Looks at a run's needs sample by sample, and keeps what changes.
#[derive(Clone, Debug)]
pub struct Foresight {
    needs: Needs,
    seen: Vec<Vec<(Duration, PageCount)>>,
}

impl Foresight {
    /// Has seen nothing yet.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        Self { needs: Needs::of(plan), seen: vec![Vec::new(); plan.vms.len()] }
    }

    /// One sample of the well-provisioned run.
    pub fn observe(&mut self, point: &super::Point) {
        for (index, (seen, vm)) in self.seen.iter_mut().zip(&point.vms).enumerate() {
            let need = self.needs.at(index, point.time, vm).wanted;
            let last = seen.last().map_or(PageCount::ZERO, |(_, need)| *need);
            let change = need.max(last) - need.min(last);
            if change >= LEAST_CHANGE || need.is_zero() && !last.is_zero() {
                seen.push((point.time, need));
            }
        }
    }

    /// What the plan's policy may be told.
    #[must_use]
    pub fn future(self, plan: &Plan) -> Future {
        let not_known = not_known(plan);
        let mut seen = self.seen;
        future(plan, |index, id| match seen.get_mut(index) {
            Some(seen) if !not_known.contains(&index) => VmFuture::known(id, std::mem::take(seen)),
            _ => VmFuture::unknown(id),
        })
    }
}

/// The future of a plan whose guests are not simulated: what they will need nobody knows, only when they are started.
#[must_use]
pub fn unknown(plan: &Plan) -> Future {
    future(plan, |_, id| VmFuture::unknown(id))
}

/// These needs by a VM's place in the plan, with the plan's starts.
fn future(plan: &Plan, mut needs: impl FnMut(usize, VmId) -> VmFuture) -> Future {
    let overhead = plan.host.balancer.overhead_per_vm;
    let vms = plan.vms.iter().enumerate().map(|(index, vm)| {
        let id = VmId(u32::try_from(index).unwrap_or(u32::MAX));
        let starts = plan.timeline.iter().filter_map(|step| match step.action {
            Action::Start { vm, while_host_used_below: None, .. } if vm == index => Some(step.at),
            _ => None,
        });
        let starts = starts.map(|at| (at, vm.settings.startup + overhead)).collect();
        needs(index, id).starting(starts)
    });
    Future::new(vms.collect())
}

/// Runs the plan's load where there is enough for all, and notes what it needs.
///
/// # Errors
/// Those of a run.
pub fn foresee(plan: &Plan) -> Result<Future, RunError> {
    let policy = policy_catalogue::make(policy_catalogue::STATIC, &toml::Table::new())?;
    let mut provisioned = well_provisioned(plan.clone());
    provisioned.sample_interval = provisioned.sample_interval.min(Duration::from_secs(1));
    let foresight = Arc::new(Mutex::new(Foresight::new(&provisioned)));
    let options = RunOptions {
        driver: Driver::Inline,
        events: EventsLevel::None,
        observer: Some({
            let foresight = Arc::clone(&foresight);
            Box::new(move |point| {
                foresight.lock().observe(point);
                ControlFlow::Continue(())
            })
        }),
        ..RunOptions::default()
    };
    provisioned.policy = policy.name().to_owned();
    execute(&provisioned, options, policy)?;
    let foresight =
        std::mem::replace(&mut *foresight.lock(), Foresight { needs: Needs::default(), seen: Vec::new() });
    Ok(foresight.future(plan))
}
