//! What is shown of a run, as data.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use balancing_policy::MemorySettings;
use page_range::PageCount;
use run_journal::{Record, Severity, pages};
use scenario::run::{Plan, Point};
use vmms_host::VmState;

/// Events and decisions that are kept to be shown; more than any terminal has lines.
const KEPT: usize = 500;

/// Components of a VM's way from guest to balancer, in the order of Figure 2-3.
pub const WAY: [&str; 4] = ["guest", "dm-vsc", "dm-vsp", "memory-balancer"];

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A simulated run that happens now: it stands still when told, and everything can be done in it by hand.
    Simulated,
    /// The record of a run that is over: it can be wound, and nothing can be changed in it.
    Recorded,
    /// Real guests that run now. They cannot stand still; what they have left so far can be wound.
    RealGuests {
        /// Whether the guest does what the watcher wants, or what its scenario says.
        by_hand: bool,
    },
}

/// A VM, as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct VmRow {
    /// Its name.
    pub name: Arc<str>,
    /// Where it is in its life.
    pub state: VmState,
    /// Maximum RAM.
    pub maximum: PageCount,
    /// Memory priority, 0 to 100, if it is known: a recorded run may not say.
    pub priority: Option<u32>,
    /// Physical Memory.
    pub physical: PageCount,
    /// Demand, if the VM reports.
    pub demand: Option<PageCount>,
    /// Pressure in percent, if the VM reports.
    pub pressure: Option<f64>,
    /// What the VM is to have.
    pub target: PageCount,
    /// What the guest refuses its applications.
    pub refused: PageCount,
    /// What each component of the VM's [way](WAY) did last, and when.
    pub last: BTreeMap<&'static str, (Duration, String)>,
}

impl VmRow {
    /// A VM that is off.
    pub(crate) fn new(name: Arc<str>, maximum: PageCount) -> Self {
        Self {
            name,
            state: VmState::default(),
            maximum,
            priority: None,
            physical: PageCount::ZERO,
            demand: None,
            pressure: None,
            target: PageCount::ZERO,
            refused: PageCount::ZERO,
            last: BTreeMap::new(),
        }
    }
}

/// A VM's memory priority, 0 to 100.
#[must_use]
pub fn priority(settings: &MemorySettings) -> u32 {
    settings.weight / MemorySettings::WEIGHT_PER_PRIORITY
}

/// Everything that is shown.
#[derive(Clone, Debug)]
pub struct View {
    /// Name of the scenario, and of the policy.
    pub title: String,
    /// What is watched.
    pub kind: Kind,
    /// Whether the newest is shown as it comes, of real guests.
    pub follows: bool,
    /// Virtual time.
    pub now: Duration,
    /// When the run ends.
    pub until: Duration,
    /// Virtual seconds for each second.
    pub speed: f64,
    /// Whether time stands still.
    pub paused: bool,
    /// Whether the run is over.
    pub over: bool,
    /// All memory of the host.
    pub host_memory: PageCount,
    /// The host's last sample.
    pub host: scenario::run::points::HostPoint,
    /// The VMs, in their order.
    pub vms: Vec<VmRow>,
    /// Which of them is chosen.
    pub chosen: usize,
    /// The last decisions and moves of the balancer, oldest first.
    pub decisions: VecDeque<String>,
    /// The last events, oldest first; those of the chosen VM and of the host.
    pub events: VecDeque<(Option<Arc<str>>, Severity, String)>,
    /// The line in which something is typed, if anything is.
    pub prompt: Option<String>,
    /// What was said last to the watcher.
    pub message: String,
    /// What the program that runs real guests said last, or a guest on its console. The last line is shown where nothing else is said, all of
    /// them while there are no VMs yet.
    pub heard: Vec<String>,
    /// Whether there are colours.
    pub colours: bool,
}

impl View {
    /// A run that has not begun.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let title = format!("{} · policy {} · seed {}", plan.name, plan.policy, plan.seed);
        Self {
            vms: plan
                .vms
                .iter()
                .map(|vm| VmRow {
                    priority: Some(priority(&vm.settings)),
                    ..VmRow::new(vm.name.clone(), vm.settings.maximum)
                })
                .collect(),
            ..Self::empty(title, plan.until, plan.host.memory)
        }
    }

    /// A view of no VM.
    pub(crate) fn empty(title: String, until: Duration, host_memory: PageCount) -> Self {
        Self {
            title,
            kind: Kind::Simulated,
            follows: false,
            now: Duration::ZERO,
            until,
            speed: 1.0,
            paused: false,
            over: false,
            host_memory,
            host: scenario::run::points::HostPoint::default(),
            vms: Vec::new(),
            chosen: 0,
            decisions: VecDeque::new(),
            events: VecDeque::new(),
            prompt: None,
            message: String::new(),
            heard: Vec::new(),
            colours: true,
        }
    }

    /// Forgets what has happened: the time is wound back, or far ahead.
    pub fn forget(&mut self) {
        self.now = Duration::ZERO;
        self.host = scenario::run::points::HostPoint::default();
        self.decisions.clear();
        self.events.clear();
        for row in &mut self.vms {
            *row = VmRow { priority: row.priority, ..VmRow::new(row.name.clone(), row.maximum) };
        }
    }

    /// A sample of the counters.
    pub fn sample(&mut self, point: &Point) {
        self.now = self.now.max(point.time);
        self.host = point.host;
        for (row, vm) in self.vms.iter_mut().zip(&point.vms) {
            row.state = vm.state;
            row.physical = vm.physical;
            row.demand = vm.demand;
            row.pressure = vm.pressure;
            row.target = vm.target;
            row.refused = vm.guest_refused;
        }
    }

    /// An event.
    pub fn event(&mut self, record: &Record) {
        let at = Duration::from(record.t);
        self.now = self.now.max(at);
        let line = line(record);
        let moved = matches!(
            &*record.event,
            "decision"
                | "add_memory"
                | "remove_memory"
                | "operation_finished"
                | "start_admitted"
                | "start_waits"
        );
        if moved {
            push(&mut self.decisions, line.clone());
        }
        if let Some(component) = WAY.into_iter().find(|known| *known == &*record.component)
            && let Some(row) = self.vms.iter_mut().find(|row| Some(&row.name) == record.vm.as_ref())
        {
            row.last.insert(component, (at, what(record)));
        }
        push(&mut self.events, (record.vm.clone(), record.severity, line));
    }

    /// The chosen VM.
    #[must_use]
    pub fn chosen(&self) -> Option<&VmRow> {
        self.vms.get(self.chosen)
    }

    /// Chooses the next VM (`true`) or the one before.
    pub fn choose(&mut self, next: bool) {
        let last = self.vms.len().saturating_sub(1);
        self.chosen = if next { (self.chosen + 1).min(last) } else { self.chosen.saturating_sub(1) };
    }
}

fn push<T>(list: &mut VecDeque<T>, line: T) {
    if list.len() == KEPT {
        list.pop_front();
    }
    list.push_back(line);
}

/// An event as one line. How bad an event is, is said in words as well as in colour.
fn line(record: &Record) -> String {
    let at = Duration::from_millis(Duration::from(record.t).as_millis() as u64);
    let bad = match record.severity {
        Severity::Normal => String::new(),
        severity => format!("[{}] ", severity.name()),
    };
    format!("{:>12}  {:<20} {bad}{}", quantities::format_duration(at), record.place(), what(record))
}

/// What happened, with its fields; pages as MB.
fn what(record: &Record) -> String {
    let mut text = record.event.to_string();
    for (name, value) in &record.fields {
        match pages::mb(name, value) {
            Some(mb) => text.push_str(&format!(" {name}={mb}MB")),
            None => text.push_str(&format!(" {name}={value}")),
        }
    }
    text
}
