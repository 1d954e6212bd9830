//! What a run came to, as one documented JSON object: the same schema for every scenario.

use std::borrow::Cow;
use std::time::Duration;

use page_range::PageCount;
use serde::{Deserialize, Serialize};
use vmms_host::{HostStatus, VmState};

use super::plan::{Plan, PlannedVm};
use super::sums::{Sums, round};

pub use super::sums::Spread;

/// Version of the schema.
pub const SCHEMA: u32 = 1;

/// A run's result. All sizes are MB (MiB), all times seconds of virtual time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Version of this schema.
    pub schema: u32,
    /// Name of the scenario.
    pub scenario: String,
    /// The balancing policy.
    pub policy: String,
    /// The seed.
    pub seed: u64,
    /// The schedule seed, if one was given.
    pub schedule_seed: Option<u64>,
    /// How the run ended.
    pub end: EndSummary,
    /// The host.
    pub host: HostSummary,
    /// The VMs, in their order.
    pub vms: Vec<VmSummary>,
    /// From where the memory came that VMs were given: which VM paid for which. Runs of earlier versions have nothing
    /// here.
    #[serde(default)]
    pub memory_moved: Vec<MemoryMoved>,
    /// The phases of Figure 4-5, where the counters show them.
    pub phases: Option<super::phases::Phases>,
    /// Hyper-V's event log.
    pub event_log: Vec<LoggedEvent>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndSummary {
    /// Why it is over.
    pub reason: String,
    /// When.
    pub time_s: f64,
    /// Whether it got to its end: not interrupted, and no invariant violated.
    pub complete: bool,
    /// Components that panicked.
    pub panics: Vec<String>,
}

/// The host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostSummary {
    /// All memory.
    pub memory_mb: f64,
    /// Reserve of the parent OS at the beginning.
    pub reserve_at_start_mb: f64,
    /// Reserve of the parent OS at the end.
    pub reserve_mb: f64,
    /// Memory in use: all that is not the parent OS's free memory.
    pub used_mb: Option<Spread>,
    /// Available Memory of the balancer.
    pub available_memory_mb: Option<Spread>,
    /// Memory In Transit.
    pub in_transit_mb: Option<Spread>,
    /// Average Pressure of the balancer, percent.
    pub average_pressure: Option<Spread>,
    /// Added Memory of the balancer.
    pub added_memory_mb: f64,
    /// Removed Memory of the balancer.
    pub removed_memory_mb: f64,
    /// Memory Add Operations of the balancer.
    pub memory_add_operations: u64,
    /// Memory Remove Operations of the balancer.
    pub memory_remove_operations: u64,
    /// The parent OS's free memory.
    pub parent_free_mb: Option<Spread>,
    /// The parent OS's page-file reads per second.
    pub parent_page_reads_per_s: Option<Spread>,
    /// The parent OS's page-file reads in all.
    pub parent_page_reads: u64,
}

/// A VM.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VmSummary {
    /// Its name.
    pub name: String,
    /// Its guest operating system.
    pub guest: String,
    /// Its state at the end.
    pub state: VmState,
    /// Whether its memory is dynamic.
    pub dynamic_memory: bool,
    /// Startup RAM. Of a VM's memory settings a run changes its buffer and its priority only, so that this holds for all of the run.
    pub startup_mb: f64,
    /// Maximum RAM, for all of the run as well.
    pub maximum_mb: f64,
    /// When it was last given its memory.
    pub started_s: Option<f64>,
    /// When it last showed its login screen.
    pub login_s: Option<f64>,
    /// Why it kept its startup RAM, if its guest cannot use Dynamic Memory, or its guest's driver and the host speak no common version of it.
    pub dynamic_memory_refused: Option<Refusal>,
    /// How often it was started.
    pub starts: u32,
    /// How often a start failed.
    pub failed_starts: u32,
    /// How often it ended without being asked to.
    pub failures: u32,
    /// Physical Memory while it had any.
    pub physical_memory_mb: Option<Spread>,
    /// Guest Visible Physical Memory.
    pub guest_visible_mb: Option<Spread>,
    /// Current Pressure, percent.
    pub current_pressure: Option<Spread>,
    /// Demand.
    pub demand_mb: Option<Spread>,
    /// What it needed beyond what it had, over time, MB·s: of a recorded load what was recorded, else what its guest's applications
    /// wanted, refused or not. The sum of the next three.
    pub unmet_demand_mb_s: f64,
    /// Of that, what its guest had committed, or was about to.
    #[serde(default)]
    pub unmet_committed_mb_s: f64,
    /// Of that, what its guest refused its applications, or these did not ask for because they waited.
    #[serde(default)]
    pub unmet_refused_mb_s: f64,
    /// Of that, what a recorded load needed before its VM ran and its guest played it.
    #[serde(default)]
    pub unmet_waiting_mb_s: f64,
    /// Time in which it was asked for and had no memory.
    #[serde(default)]
    pub waiting_s: f64,
    /// Time with more demanded than assigned.
    pub time_above_100_s: f64,
    /// The longest time without a break in which it had less than it needed.
    pub longest_shortage_s: f64,
    /// Memory added, over all starts.
    pub added_memory_mb: f64,
    /// Memory removed, over all starts.
    pub removed_memory_mb: f64,
    /// Memory Add Operations.
    pub memory_add_operations: u64,
    /// Memory Remove Operations.
    pub memory_remove_operations: u64,
    /// Inside the guest.
    pub in_guest: InGuest,
}

/// Memory that a VM was given from one source, over the whole run: at its starts, with its overhead, and since. What no VM has given
/// up is given first; then what came back from VMs, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryMoved {
    /// To which VM.
    pub to: String,
    /// Which VM gave it up, if one that ran did; otherwise the host had it (`free`), or it came home of a VM that had ended
    /// (`ended`).
    pub from: Option<String>,
    /// `free`, `ended` or `vm`.
    pub source: String,
    /// How much.
    pub mb: f64,
}

/// A refusal of Dynamic Memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// When it was first refused since the VM was last started; of a guest that cannot use it, when the VM was last started.
    pub time_s: f64,
    /// What the guest lacks; or what its driver proposes, what the host speaks, and what to do.
    pub why: String,
}

/// What a monitor inside the guest saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InGuest {
    /// `Memory\Available MBytes`.
    pub available_mb: Option<Spread>,
    /// Pages read from the page file.
    pub page_reads: u64,
    /// Pages written to the page file.
    pub page_writes: u64,
    /// Time its applications lost waiting for pages.
    pub stall_s: f64,
    /// Allocations refused.
    pub commit_failures: u64,
    /// When the first was refused.
    pub first_commit_failure_s: Option<f64>,
    /// What applications asked for, were refused, and still wanted.
    pub refused_commit_mb: Option<Spread>,
}

/// An entry of the event log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoggedEvent {
    /// When.
    pub time_s: f64,
    /// Event id.
    pub id: u32,
    /// The log.
    pub log: Cow<'static, str>,
    /// Its text.
    pub text: String,
}

/// A VM's counters at the end of a run.
#[derive(Default)]
pub(crate) struct Final {
    pub(crate) added: PageCount,
    pub(crate) removed: PageCount,
    pub(crate) add_operations: u64,
    pub(crate) remove_operations: u64,
}

/// Everything a summary is made of besides the samples.
pub(crate) struct Ending<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) schedule_seed: Option<u64>,
    pub(crate) end: EndSummary,
    pub(crate) reserve: PageCount,
    pub(crate) totals: Final,
    pub(crate) vms: Vec<Final>,
    pub(crate) moved: Vec<MemoryMoved>,
    pub(crate) status: &'a HostStatus,
    pub(crate) phases: Option<super::phases::Phases>,
}

pub(crate) fn summarize(ending: Ending<'_>, sums: &Sums) -> Summary {
    let Ending { plan, schedule_seed, end, reserve, totals, vms, moved, status, phases } = ending;
    let seconds = |time: Option<Duration>| time.map(|time| round(time.as_secs_f64()));
    let vms = plan.vms.iter().zip(vms).zip(&sums.vms).enumerate();
    Summary {
        schema: SCHEMA,
        scenario: plan.name.clone(),
        policy: plan.policy.clone(),
        seed: plan.seed,
        schedule_seed,
        end,
        host: HostSummary {
            memory_mb: plan.host.memory.mib(),
            reserve_at_start_mb: sums.first_reserve.unwrap_or(reserve).mib(),
            reserve_mb: reserve.mib(),
            used_mb: sums.used.spread(),
            available_memory_mb: sums.available.spread(),
            in_transit_mb: sums.in_transit.spread(),
            average_pressure: sums.average_pressure.spread(),
            added_memory_mb: totals.added.mib(),
            removed_memory_mb: totals.removed.mib(),
            memory_add_operations: totals.add_operations,
            memory_remove_operations: totals.remove_operations,
            parent_free_mb: sums.parent_free.spread(),
            parent_page_reads_per_s: sums.parent_reads.spread(),
            parent_page_reads: sums.reads_total,
        },
        vms: vms
            .map(|(index, ((vm, last), sums))| {
                let state = status.vms.get(index).cloned().unwrap_or_default();
                VmSummary {
                    name: vm.name.to_string(),
                    guest: vm.profile.to_string(),
                    state: state.state,
                    dynamic_memory: vm.settings.dynamic,
                    startup_mb: vm.settings.startup.mib(),
                    maximum_mb: vm.settings.maximum.mib(),
                    started_s: seconds(state.started_at),
                    login_s: seconds(state.login_at),
                    dynamic_memory_refused: state
                        .dynamic_memory_refused
                        .or_else(|| without_dynamic_memory(vm, state.started_at))
                        .map(|(time, why)| Refusal { time_s: round(time.as_secs_f64()), why }),
                    starts: state.starts,
                    failed_starts: state.failed_starts,
                    failures: state.failures,
                    physical_memory_mb: sums.physical.spread(),
                    guest_visible_mb: sums.visible.spread(),
                    current_pressure: sums.pressure.spread(),
                    demand_mb: sums.demand.spread(),
                    unmet_demand_mb_s: round(sums.unmet.all),
                    unmet_committed_mb_s: round(sums.unmet.committed),
                    unmet_refused_mb_s: round(sums.unmet.refused),
                    unmet_waiting_mb_s: round(sums.unmet.waiting),
                    waiting_s: round(sums.unmet.waited.as_secs_f64()),
                    time_above_100_s: round(sums.above_100_s),
                    longest_shortage_s: round(sums.longest_shortage.as_secs_f64()),
                    added_memory_mb: last.added.mib(),
                    removed_memory_mb: last.removed.mib(),
                    memory_add_operations: last.add_operations,
                    memory_remove_operations: last.remove_operations,
                    in_guest: InGuest {
                        available_mb: sums.available.spread(),
                        page_reads: sums.page_reads,
                        page_writes: sums.page_writes,
                        stall_s: round(sums.stall.as_secs_f64()),
                        commit_failures: sums.commit_failures,
                        first_commit_failure_s: seconds(sums.first_refused),
                        refused_commit_mb: sums.refused.spread(),
                    },
                }
            })
            .collect(),
        memory_moved: moved,
        phases,
        event_log: status
            .event_log
            .iter()
            .map(|(time, entry)| LoggedEvent {
                time_s: round(time.as_secs_f64()),
                id: entry.id,
                log: entry.log.into(),
                text: entry.text.clone(),
            })
            .collect(),
    }
}

/// Since when, and why, a VM whose memory is to be dynamic has a guest that cannot use that.
fn without_dynamic_memory(vm: &PlannedVm, started: Option<Duration>) -> Option<(Duration, String)> {
    let reason = vm.profile.dynamic_memory(vm.services).err()?;
    vm.settings.dynamic.then_some(())?;
    Some((started?, reason.to_string()))
}
