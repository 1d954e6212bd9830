//! A run that is over, to be shown as if it happened now.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use page_range::PageCount;
use run_journal::{FieldValue, Record};
use scenario::run::Point;
use vmms_host::VmState;

use crate::keys::Seek;
use crate::view::{Kind, View, VmRow};

/// Events before a time that are shown anew when the time is wound to: more than are kept of the chosen VM and of the host in a minute of
/// eight VMs. Invented.
const WARM: usize = 3000;

/// A VM of a recorded run.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedVm {
    /// Its name.
    pub name: Arc<str>,
    /// Maximum RAM; that of the samples if nothing else is known.
    pub maximum: PageCount,
    /// Memory priority, 0 to 100, if it is known.
    pub priority: Option<u32>,
}

/// What a run has left: samples of its counters, and its events, in the order of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// Names of scenario and policy.
    pub title: String,
    /// When the record ends.
    pub until: Duration,
    /// All memory of the host.
    pub host_memory: PageCount,
    /// The VMs, in the order of the samples.
    pub vms: Vec<RecordedVm>,
    /// Samples; empty if there are no counters.
    pub points: Vec<Point>,
    /// Events; empty if none were recorded.
    pub records: Vec<Record>,
    /// What cannot be shown, a sentence each.
    pub missing: Vec<String>,
}

impl Recording {
    /// The run at its beginning.
    #[must_use]
    pub fn view(&self) -> View {
        View {
            kind: Kind::Recorded,
            vms: self
                .vms
                .iter()
                .map(|vm| VmRow { priority: vm.priority, ..VmRow::new(vm.name.clone(), vm.maximum) })
                .collect(),
            ..View::empty(self.title.clone(), self.until, self.host_memory)
        }
    }
}

/// Plays a recording into a view.
#[derive(Debug)]
pub struct Player<'a> {
    recording: &'a Recording,
    /// Samples and events that have been shown.
    point: usize,
    record: usize,
    at: Duration,
    /// What the balancer decided about each VM, and when.
    targets: BTreeMap<&'a str, Vec<(Duration, PageCount)>>,
    /// When each VM was asked to start, to stop, and so on.
    states: BTreeMap<&'a str, Vec<(Duration, VmState)>>,
}

impl<'a> Player<'a> {
    /// At the beginning.
    #[must_use]
    pub fn new(recording: &'a Recording) -> Self {
        let mut targets: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        let mut states: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for record in &recording.records {
            let Some(vm) = record.vm.as_deref() else { continue };
            let at = Duration::from(record.t);
            if let ("decision", Some(target)) =
                (&*record.event, record.field("target").and_then(FieldValue::as_u64))
            {
                targets.entry(vm).or_default().push((at, PageCount(target)));
            }
            if let Some(state) = state(record) {
                states.entry(vm).or_default().push((at, state));
            }
        }
        Self { recording, point: 0, record: 0, at: Duration::ZERO, targets, states }
    }

    /// The time that is shown.
    #[must_use]
    pub fn at(&self) -> Duration {
        self.at
    }

    /// Whether the end is shown.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.at >= self.recording.until && self.record == self.recording.records.len()
    }

    /// Shows what happened up to a time.
    pub fn play_to(&mut self, time: Duration, view: &mut View) {
        let time = time.min(self.recording.until);
        let records = &self.recording.records;
        while let Some(record) = records.get(self.record).filter(|record| Duration::from(record.t) <= time) {
            view.event(record);
            self.record += 1;
        }
        let points = &self.recording.points;
        let upto = points.partition_point(|point| point.time <= time);
        if upto > self.point {
            self.point = upto;
            view.sample(&points[upto - 1]);
        }
        self.at = self.at.max(time);
        view.now = self.at;
        self.state_of_vms(view);
    }

    /// Shows the next event, and everything at the same instant before it.
    pub fn step(&mut self, view: &mut View) {
        let Some(record) = self.recording.records.get(self.record) else {
            return self.play_to(self.recording.until, view);
        };
        let at = Duration::from(record.t);
        if let Some(before) = at.checked_sub(Duration::from_nanos(1)) {
            self.play_to(before, view);
        }
        view.event(record);
        self.record += 1;
        self.at = at;
        view.now = at;
        self.state_of_vms(view);
    }

    /// Shows another time.
    pub fn seek(&mut self, seek: Seek, view: &mut View) {
        let to = match seek {
            Seek::On(by) => self.at.saturating_add(by),
            Seek::Back(by) => self.at.saturating_sub(by),
            Seek::To(time) => time,
        };
        let to = to.min(self.recording.until);
        view.forget();
        let upto = self.recording.records.partition_point(|record| Duration::from(record.t) <= to);
        self.record = upto.saturating_sub(WARM);
        self.point = 0;
        self.at = Duration::ZERO;
        self.play_to(to, view);
    }

    /// What counters do not say of VMs: their state, what the balancer means them to have, and their pressure.
    fn state_of_vms(&self, view: &mut View) {
        fn last<T: Copy>(of: Option<&Vec<(Duration, T)>>, at: Duration) -> Option<T> {
            let of = of?;
            let upto = of.partition_point(|(time, _)| *time <= at);
            of[..upto].last().map(|(_, value)| *value)
        }
        for row in &mut view.vms {
            let has = !row.physical.is_zero();
            let said = last(self.states.get(&*row.name), self.at);
            row.state = said.unwrap_or(if has { VmState::Running } else { VmState::Off });
            row.target = last(self.targets.get(&*row.name), self.at).filter(|_| has).unwrap_or(row.physical);
            row.pressure = row.demand.filter(|_| has).map(|demand| 100.0 * demand.mib() / row.physical.mib());
        }
    }
}

/// What an event says of a VM's life.
fn state(record: &Record) -> Option<VmState> {
    match &*record.event {
        "start_requested" => Some(VmState::Starting),
        "vm_started" => Some(VmState::Running),
        "shutdown_requested" => Some(VmState::Stopping),
        "vm_stopped" if record.field("failed") == Some(&FieldValue::Bool(true)) => Some(VmState::Failed),
        "vm_stopped" | "start_cancelled" => Some(VmState::Off),
        "vm_failed" => Some(VmState::Failed),
        _ => None,
    }
}
