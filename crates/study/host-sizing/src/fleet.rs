//! The VMs that hosts are sized for.

use core::time::Duration;
use std::sync::Arc;

use balancing_policy::MemorySettings;
use guest_memory_manager::trace::{Sample, Trace, TraceWindow, VmTrace};
use guest_memory_manager::workload::WorkloadConfig;
use load_import::{Evidence, Today};
use page_range::PageCount;
use scenario::file::{Patience, Scenario};
use scenario::run::plan::{Action, Plan, Step};
use scenario::run::{Choices, build};
use serde::{Deserialize, Serialize};
use vmms_host::HostEdition;

use crate::SizingError;
use crate::job::Job;
use crate::question::Growth;

/// Time between two looks at a run, at most. Invented: a sixth of the longest shortage of the default risk.
const FINE: Duration = Duration::from_secs(5);

/// How long a recorded load runs before shortages count, s. Invented: all VMs have started and have grown to what they demand by then.
const WARM_UP_S: f64 = 600.0;

/// Time between the restarts of two VMs of a host that has failed. Invented: a cluster brings its groups up in order, and does not wait for
/// guests to boot.
const RESTART_EVERY: Duration = Duration::from_secs(1);
/// All of them are asked for within this time, however many they are. Invented.
const RESTART_WITHIN: Duration = Duration::from_secs(60);
/// How long, and how often, a cluster asks another host for a VM that it has refused: for ten minutes. Invented.
const RESTARTS: Patience = Patience { tries: 60, retry_after: Duration::from_secs(10) };
/// From a start to the workload: as scenarios have it.
const AFTER_START: Duration = Duration::from_secs(1);
/// Times at which the worst moment of a load is looked for, at most. Invented.
const LOOKS: u32 = 2000;

/// The VMs that hosts are sized for, and what they do.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// What it is, in a few words.
    pub title: String,
    /// All VMs on one host: one plan for each seed.
    pub(crate) plans: Vec<Plan>,
    /// The VMs, in the plans' order.
    pub vms: Vec<FleetVm>,
    /// What each VM demands, where that is recorded.
    pub(crate) curves: Vec<Option<Arc<VmTrace>>>,
    /// Time 0, milliseconds since 1970, if it is known.
    pub begins: Option<i64>,
    /// How much its demand can tell.
    pub evidence: Evidence,
}

/// A VM.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FleetVm {
    /// What its owner calls it.
    pub name: String,
    /// Its settings in the runs.
    pub settings: MemorySettings,
    /// Its settings as far as files said them: what an undo script goes back to.
    pub today: Today,
    /// Its guest.
    pub guest: String,
    /// What was said of its host.
    pub host: Option<String>,
}

impl Fleet {
    /// The VMs of a scenario that it starts, with `seeds` seeds from the scenario's own on, by the policy named.
    ///
    /// # Errors
    /// A scenario that starts none, or cannot be planned.
    pub fn of_scenario(scenario: &Scenario, policy: Option<&str>, seeds: u32) -> Result<Self, SizingError> {
        let mut plans = Vec::new();
        for seed in 0..u64::from(seeds.max(1)) {
            let choices = Choices {
                policy: policy.map(str::to_owned),
                seed: Some(scenario.seed.wrapping_add(seed)),
                until: None,
                sample_interval: None,
            };
            let plan = build::plan_alone(scenario, &choices)
                .map_err(|error| SizingError::Load(error.to_string()))?;
            plans.push(plan);
        }
        let started: Vec<usize> = (0..scenario.vms.len())
            .filter(|vm| !scenario.never_started.contains(&scenario.vms[*vm].name))
            .collect();
        if started.is_empty() {
            return Err(SizingError::NoVms);
        }
        for plan in &mut plans {
            *plan = subset(plan, &started);
            // Coarser samples would not see a shortage of half a minute.
            plan.sample_interval = plan.sample_interval.min(FINE);
        }
        let vms = started.iter().map(|vm| {
            let vm = &scenario.vms[*vm];
            let memory = vm.memory;
            FleetVm {
                name: vm.name.clone(),
                settings: memory,
                today: today(&memory),
                guest: vm.guest.to_string(),
                host: None,
            }
        });
        let vms: Vec<FleetVm> = vms.collect();
        let curves: Vec<Option<Arc<VmTrace>>> = (0..vms.len()).map(|vm| recorded(&plans[0], vm)).collect();
        let evidence = evidence(&vms, &curves, scenario.until);
        Ok(Self { title: scenario.title.clone(), plans, vms, curves, begins: None, evidence })
    }

    /// Says what files knew beside the scenario that was made of them. VMs are found by their name in the scenario.
    pub fn tell(&mut self, load: &load_import::Load, written: &load_import::Written) {
        for (vm, names) in load.vms.iter().zip(&written.vms) {
            if let Some(known) = self.vms.iter_mut().find(|known| known.name == names.scenario) {
                known.name.clone_from(&vm.name);
                known.today = vm.today;
                known.host.clone_from(&vm.host);
                if let Some(guest) = &vm.guest {
                    known.guest.clone_from(guest);
                }
            }
        }
        self.begins = load.begins;
        self.evidence = load.evidence();
    }

    /// Every recorded demand grown.
    ///
    /// # Errors
    /// A load that is not recorded.
    pub fn grow(&mut self, growth: Growth) -> Result<(), SizingError> {
        let factor = growth.factor();
        self.change_trace("grown", |vm| {
            let grown = |sample: &Sample| Sample {
                used: PageCount((sample.used.get() as f64 * factor) as u64),
                ..*sample
            };
            VmTrace::new(vm.samples().iter().map(grown).collect())
        })
    }

    /// Every recorded demand with a burst of so much in the middle of each gap between two samples that are an hour or more after the
    /// burst before: what samples may have missed.
    ///
    /// # Errors
    /// A load that is not recorded.
    pub fn burst(&mut self, size: PageCount, length: Duration) -> Result<(), SizingError> {
        let every = Duration::from_secs(3600);
        self.change_trace("given bursts", |vm| {
            let mut samples: Vec<Sample> = Vec::new();
            let mut last: Option<Duration> = None;
            for pair in vm.samples().windows(2) {
                samples.push(pair[0]);
                let gap = pair[1].time - pair[0].time;
                let edge = Duration::from_secs(1);
                if gap > length + edge * 4 && last.is_none_or(|last| pair[0].time >= last + every) {
                    last = Some(pair[0].time);
                    let begin = pair[0].time + (gap - length) / 2;
                    for (time, more) in [
                        (begin - edge, false),
                        (begin, true),
                        (begin + length, true),
                        (begin + length + edge, false),
                    ] {
                        let used = vm.used_at(time) + if more { size } else { PageCount::ZERO };
                        samples.push(Sample { time, used, ..pair[0] });
                    }
                }
            }
            samples.extend(vm.samples().last());
            VmTrace::new(samples)
        })
    }

    /// What lies in the window, as a fleet of its own.
    ///
    /// # Errors
    /// A load that is not recorded, or has nothing in the window.
    pub fn window(&self, window: TraceWindow) -> Result<Self, SizingError> {
        let mut part = self.clone();
        let Some(trace) = &self.plans[0].trace else { return Err(not_recorded("cut")) };
        let cut = Arc::new(trace.part(window));
        if cut.is_empty() {
            return Err(SizingError::Load(format!("nothing was recorded in {window}")));
        }
        for plan in &mut part.plans {
            plan.until = cut.length().max(Duration::from_secs(1));
            plan.trace = Some(Arc::clone(&cut));
            // A VM that has nothing in the window is off in it.
            let gone = |workload: &WorkloadConfig| matches!(workload, WorkloadConfig::Trace(config) if cut.vm(&config.vm).is_none());
            let off: Vec<usize> = plan
                .timeline
                .iter()
                .filter_map(|step| match &step.action {
                    Action::Run { vm, workload, .. } if gone(workload) => Some(*vm),
                    _ => None,
                })
                .collect();
            plan.timeline.retain_mut(|step| vm_of(&mut step.action).is_none_or(|vm| !off.contains(vm)));
        }
        part.begins =
            self.begins.map(|begins| begins + i64::try_from(window.from().as_millis()).unwrap_or(i64::MAX));
        part.curves = (0..part.vms.len()).map(|vm| recorded(&part.plans[0], vm)).collect();
        part.evidence.length_s = cut.length().as_secs_f64();
        Ok(part)
    }

    /// Whether nothing was recorded of a VM in the window that this was cut to: it is off.
    pub(crate) fn is_off(&self, vm: usize) -> bool {
        let starts =
            |step: &Step| matches!(&step.action, Action::Start { vm: started, .. } if *started == vm);
        !self.plans[0].timeline.iter().any(starts)
    }

    fn change_trace(
        &mut self,
        what: &str,
        change: impl Fn(&VmTrace) -> Option<VmTrace>,
    ) -> Result<(), SizingError> {
        let Some(trace) = self.plans[0].trace.clone() else { return Err(not_recorded(what)) };
        if !self.is_recorded() {
            return Err(not_recorded(what));
        }
        let mut changed = Trace::default();
        for (name, vm) in trace.vms() {
            if let Some(vm) = change(vm) {
                changed.insert(name, vm);
            }
        }
        let changed = Arc::new(changed);
        for plan in &mut self.plans {
            plan.trace = Some(Arc::clone(&changed));
        }
        self.curves = (0..self.vms.len()).map(|vm| recorded(&self.plans[0], vm)).collect();
        Ok(())
    }

    /// Whether every VM that does something plays what was recorded.
    #[must_use]
    pub fn is_recorded(&self) -> bool {
        let works = |step: &Step| matches!(&step.action, Action::Run { workload, .. } if !matches!(workload, WorkloadConfig::Trace(_) | WorkloadConfig::Idle));
        self.plans[0].trace.is_some() && !self.plans.iter().any(|plan| plan.timeline.iter().any(works))
    }

    /// Other settings for VMs, in the order of [`vms`](Self::vms).
    #[must_use]
    pub(crate) fn with_settings(&self, settings: &[MemorySettings]) -> Self {
        let mut other = self.clone();
        for (vm, settings) in other.vms.iter_mut().zip(settings) {
            vm.settings = *settings;
        }
        for plan in &mut other.plans {
            for (vm, settings) in plan.vms.iter_mut().zip(settings) {
                vm.settings = *settings;
            }
        }
        other
    }

    /// Seconds at the beginning of a run in which shortages do not count: what was recorded ran already, and a guest that boots into
    /// the middle of its load is short on any host. Zero for loads that are modelled: their starts are part of them.
    #[must_use]
    pub fn warm_up_s(&self) -> f64 {
        if self.is_recorded() { WARM_UP_S.min(self.length().as_secs_f64() / 4.0) } else { 0.0 }
    }

    /// How long its runs are.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.plans[0].until
    }

    /// VM seconds that a run takes.
    pub(crate) fn cost(&self, job: &Job) -> u64 {
        self.length().as_secs().max(1) * job.vms.len() as u64
    }

    /// A host with some of the VMs. Those that arrive start at the worst moment of the load: another host has failed. A cluster starts a VM that
    /// fails over from the off state, so that Smart Paging does not help it (documented: Hyper-V Dynamic Memory Overview).
    pub(crate) fn plan(&self, job: &Job) -> Plan {
        let mut plan = subset(&self.plans[job.seed % self.plans.len()], &job.vms);
        plan.host.memory = job.memory;
        plan.host.edition = HostEdition::Unlimited;
        if !job.arrive.is_empty() {
            let fails = Duration::from_secs_f64(self.worst_moment_s());
            let mut at = fails;
            let count = u32::try_from(job.arrive.len()).unwrap_or(u32::MAX);
            let every = RESTART_EVERY.min(RESTART_WITHIN / count);
            for arrives in &job.arrive {
                let mut restarted = Vec::new();
                plan.timeline.retain_mut(|step| {
                    let of_it = vm_of(&mut step.action).is_some_and(|vm| vm == arrives);
                    match &step.action {
                        Action::Start { .. } if of_it => false,
                        Action::Run { .. } if of_it => {
                            restarted.push(Step { at: at + AFTER_START, action: step.action.clone() });
                            false
                        }
                        // What is done to it before its host fails is done elsewhere.
                        _ => !of_it || step.at >= fails,
                    }
                });
                let start = Action::Start { vm: *arrives, while_host_used_below: None, patience: RESTARTS };
                plan.timeline.push(Step { at, action: start });
                plan.timeline.extend(restarted);
                at += every;
            }
            plan.timeline.sort_by_key(|step| step.at);
        }
        plan
    }

    /// When all recorded VMs together demand the most, after everything has settled and with time left to see what comes of a failure then.
    pub(crate) fn worst_moment_s(&self) -> f64 {
        let length = self.length().as_secs_f64();
        let from = self.warm_up_s().min(length / 2.0);
        let to = (length * 0.75).max(length - 2.0 * self.warm_up_s()).max(from);
        let mut worst = (f64::NEG_INFINITY, from);
        for look in 0..=LOOKS {
            let at = from + (to - from) * f64::from(look) / f64::from(LOOKS);
            let time = Duration::from_secs_f64(at);
            let demand = self.curves.iter().flatten().map(|curve| curve.used_at(time).mib()).sum::<f64>();
            if demand > worst.0 {
                worst = (demand, at);
            }
        }
        worst.1.floor()
    }

    /// Memory of a host on which no VM of these can be short but for the time that memory takes to come.
    pub(crate) fn ample(&self, vms: impl Iterator<Item = usize>) -> PageCount {
        let overhead = self.plans[0].host.balancer.overhead_per_vm;
        let most: PageCount =
            vms.map(|vm| self.vms[vm].settings.maximum.min(self.bound(vm)) + overhead).sum();
        // The parent OS's own: 384 MB and 30 MB for each GB, and some to spare.
        let mib = (most.mib() + 1024.0) / (1.0 - 30.0 / 1024.0) * 1.02;
        PageCount::from_mib(mib as u64 + 1)
    }

    /// More than a VM will ever have: its maximum may be 1 TB, which is Hyper-V's default, and mean nothing.
    fn bound(&self, vm: usize) -> PageCount {
        let settings = &self.vms[vm].settings;
        let Some(curve) = &self.curves[vm] else {
            // Of what is recorded, a VM without a recording idles.
            let idle = settings.startup.max(PageCount::from_mib(2048));
            return if self.is_recorded() { idle } else { settings.maximum };
        };
        let peak = curve.samples().iter().map(|sample| sample.used).max().unwrap_or_default();
        let wanted = PageCount((peak.get() as f64 * (1.0 + settings.buffer_fraction()) * 1.1) as u64)
            + PageCount::from_mib(256);
        wanted.max(settings.startup)
    }
}

fn not_recorded(what: &str) -> SizingError {
    SizingError::Load(format!(
        "only what was recorded can be {what}: VMs of this load do what their workloads say; change these, or import a recording"
    ))
}

fn today(memory: &MemorySettings) -> Today {
    Today {
        dynamic: Some(memory.dynamic),
        startup: Some(memory.startup),
        minimum: memory.dynamic.then_some(memory.minimum),
        maximum: memory.dynamic.then_some(memory.maximum),
        buffer: memory.dynamic.then_some(memory.buffer),
        priority: Some(memory.weight / MemorySettings::WEIGHT_PER_PRIORITY),
    }
}

fn evidence(vms: &[FleetVm], curves: &[Option<Arc<VmTrace>>], until: Duration) -> Evidence {
    // Played as if it stayed so: what is imported of one moment has this value at the beginning and at the end.
    let moment = |curve: &VmTrace| {
        let samples = curve.samples();
        samples.len() <= 2 && samples.iter().all(|sample| sample.used == samples[0].used)
    };
    let of_moment =
        vms.iter().zip(curves).filter(|(_, curve)| curve.as_ref().is_some_and(|curve| moment(curve)));
    let snapshots: Vec<String> = of_moment.map(|(vm, _)| vm.name.clone()).collect();
    let mut steps: Vec<Duration> = Vec::new();
    for curve in curves.iter().flatten().filter(|curve| !moment(curve)) {
        steps.extend(curve.samples().windows(2).map(|pair| pair[1].time - pair[0].time));
    }
    let middle = steps.len() / 2;
    let interval = (!steps.is_empty()).then(|| *steps.select_nth_unstable(middle).1);
    Evidence {
        running: vms.len(),
        recorded: curves.iter().flatten().count() - snapshots.len(),
        snapshots,
        unknown: Vec::new(),
        interval_s: interval.map(|interval| interval.as_secs_f64()),
        length_s: until.as_secs_f64(),
    }
}

/// What a VM was recorded to demand.
fn recorded(plan: &Plan, vm: usize) -> Option<Arc<VmTrace>> {
    let trace = plan.trace.as_ref()?;
    plan.timeline.iter().find_map(|step| match &step.action {
        Action::Run { vm: who, workload: WorkloadConfig::Trace(config), .. } if *who == vm => {
            let recording = trace.vm(&config.vm)?;
            if (config.scale - 1.0).abs() < f64::EPSILON {
                return Some(Arc::clone(recording));
            }
            let scaled = |sample: &Sample| Sample {
                used: PageCount((sample.used.get() as f64 * config.scale) as u64),
                ..*sample
            };
            VmTrace::new(recording.samples().iter().map(scaled).collect()).map(Arc::new)
        }
        _ => None,
    })
}

/// The VM that an action is about.
fn vm_of(action: &mut Action) -> Option<&mut usize> {
    match action {
        Action::Start { vm, .. }
        | Action::Run { vm, .. }
        | Action::Unload { vm, .. }
        | Action::End { vm, .. }
        | Action::Configure { vm, .. }
        | Action::SetFaults { vm, .. }
        | Action::ShutDown(vm)
        | Action::TurnOff(vm)
        | Action::Restart(vm)
        | Action::Reset(vm)
        | Action::Crash(vm)
        | Action::SendGarbage(vm)
        | Action::CloseChannels(vm)
        | Action::ReopenChannels(vm)
        | Action::Panic(vm, _) => Some(vm),
        Action::SetMemoryReserve(_) | Action::Mark(_) => None,
    }
}

/// The plan of some of its VMs.
fn subset(plan: &Plan, vms: &[usize]) -> Plan {
    let timeline = plan.timeline.iter().filter_map(|step| {
        let mut step = step.clone();
        if let Some(vm) = vm_of(&mut step.action) {
            *vm = vms.iter().position(|kept| kept == vm)?;
        }
        Some(step)
    });
    let timeline: Vec<Step> = timeline.collect();
    Plan { vms: vms.iter().map(|vm| plan.vms[*vm].clone()).collect(), timeline, ..plan.clone() }
}

/// An hour of three VMs, of which one works in the middle.
#[cfg(test)]
pub(crate) fn an_hour_of_three_vms() -> Fleet {
    hours_of_three_vms(1)
}

/// Some hours of three VMs, of which one works in the middle of the first.
#[cfg(test)]
pub(crate) fn hours_of_three_vms(hours: u32) -> Fleet {
    three_vms(hours, 3400, |minute| f64::from(minute - 19) / 10.0)
}

/// The same of VMs of which one demands 100 MB more each second for a minute: more than can be added.
#[cfg(test)]
pub(crate) fn hours_of_three_vms_and_a_jump(hours: u32) -> Fleet {
    three_vms(hours, 6900, |minute| if minute > 20 { 1.0 } else { 0.0 })
}

#[cfg(test)]
fn three_vms(hours: u32, busy: u32, rise: impl Fn(u32) -> f64) -> Fleet {
    use scenario::file::{LoadOptions, load};

    let folder = tempfile::tempdir().unwrap();
    let mut trace = "vm,t,mem_provisioned_kb,mem_used_kb,cpu_pct\n".to_owned();
    for (vm, idle, busy) in [("A", 900, busy), ("B", 1200, 1200), ("C", 700, 800)] {
        for minute in 0..hours * 60 {
            let mib = match minute {
                20..=29 => idle + (f64::from(busy - idle) * rise(minute)) as u32,
                30..=39 => busy,
                _ => idle,
            };
            trace.push_str(&format!("{vm},{},8388608,{},0\n", minute * 60, mib * 1024));
        }
    }
    std::fs::write(folder.path().join("load.csv"), trace).unwrap();
    let mut toml = "until = \"trace\"\n[host]\nmemory = \"64GB\"\nedition = \"unlimited\"\n[trace]\nfile = \"load.csv\"\n".to_owned();
    for vm in ["A", "B", "C"] {
        toml.push_str(&format!(
            "[[vm]]\nname = \"{vm}\"\nguest = \"ws2008-r2-sp1-enterprise\"\nstartup_bytes = \"512MB\"\nmaximum_bytes = \"8GB\"\nworkload = {{ kind = \"trace\", vm = \"{vm}\" }}\n"
        ));
    }
    toml.push_str("[[timeline]]\nat = \"0s\"\naction = \"start\"\nvm = \"all\"\n");
    let file = folder.path().join("load.toml");
    std::fs::write(&file, toml).unwrap();
    let all = TraceWindow::new(Duration::ZERO, Duration::from_secs(3600 * u64::from(hours)));
    let options = LoadOptions { trace_window: all, ..LoadOptions::default() };
    let scenario = load(&file, &options).unwrap_or_else(|error| panic!("{error}"));
    Fleet::of_scenario(&scenario, None, 1).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A scenario that was imported of a list plays one moment as if it stayed so: no percentile comes of that.
    #[test]
    fn what_never_changes_and_has_two_values_is_one_moment() {
        let fleet = an_hour_of_three_vms();
        let flat = |vm: &VmTrace| {
            let of = |at: &Sample| Sample { used: PageCount::from_mib(900), ..*at };
            let ends = [vm.samples().first(), vm.samples().last()];
            VmTrace::new(ends.into_iter().flatten().map(of).collect()).map(Arc::new)
        };
        let mut curves = fleet.curves.clone();
        curves[1] = curves[1].as_ref().and_then(|curve| flat(curve));
        let evidence = evidence(&fleet.vms, &curves, fleet.length());
        assert_eq!((evidence.running, evidence.recorded, evidence.snapshots), (3, 2, vec!["B".to_owned()]));
        assert_eq!(evidence.interval_s, Some(60.0));
    }
}
