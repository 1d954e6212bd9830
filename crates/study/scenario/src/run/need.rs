//! What VMs need, whatever they are given: what unmet demand is measured against.
//!
//! A policy must not look better for what it turned away. So need is not what a guest has committed: it is what the guest's
//! applications would have committed had nothing been refused and nobody waited, and for a recorded load it is the recording, on
//! the host's clock, from the moment in which the VM is asked for until it is told to stop, whether it runs or not.

use std::sync::Arc;
use std::time::Duration;

use guest_memory_manager::trace::VmTrace;
use guest_memory_manager::workload::{PlaybackConfig, WorkloadConfig};
use page_range::PageCount;
use vmms_host::VmState;

use super::plan::{Action, Plan};
use super::points::VmPoint;

/// What a VM needs at a moment, and what it lacks of that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// What it needs.
    pub wanted: PageCount,
    /// Beyond what it has: what its guest has committed, or is about to.
    pub committed: PageCount,
    /// Beyond what it has: what its guest refused, or what was not asked for because the one before was refused or waited.
    pub refused: PageCount,
    /// Of a recorded load: what it needs before its guest plays it, beyond what it has.
    pub waiting: PageCount,
    /// Whether it is asked for and has no memory at all.
    pub waits: bool,
}

impl Need {
    /// All that it lacks.
    #[must_use]
    pub fn lacks(&self) -> PageCount {
        self.committed + self.refused + self.waiting
    }

    /// Whether anything is wanted of this VM now.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.waits || !self.wanted.is_zero()
    }
}

/// The needs of a run's VMs. They follow from the plan and from samples, which are given in order of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Needs {
    vms: Vec<Vm>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Vm {
    /// When it is asked for, and when it is told to stop; latest first.
    requests: Vec<(Duration, bool)>,
    /// From when on which recording is played, if one is; latest first.
    plays: Vec<(Duration, Option<Playing>)>,
    asked: bool,
    /// Has had its memory since it was last asked for.
    served: bool,
    playing: Option<Playing>,
}

/// A recording that is played.
#[derive(Clone, Debug, PartialEq)]
struct Playing {
    recording: Arc<VmTrace>,
    config: PlaybackConfig,
}

impl Needs {
    /// Of the VMs of this plan.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let mut vms = vec![Vm::default(); plan.vms.len()];
        for step in plan.timeline.iter().rev() {
            match &step.action {
                // One that is asked for only while the host has room is not wanted in any case.
                Action::Start { vm, while_host_used_below: None, .. } => {
                    vms[*vm].requests.push((step.at, true));
                }
                Action::ShutDown(vm) | Action::TurnOff(vm) => vms[*vm].requests.push((step.at, false)),
                Action::Run { vm, workload, .. } => {
                    let playing = match workload {
                        WorkloadConfig::Trace(config) => plan.trace.as_ref().and_then(|trace| {
                            let recording = Arc::clone(trace.vm(&config.vm)?);
                            Some(Playing { recording, config: config.clone() })
                        }),
                        _ => None,
                    };
                    vms[*vm].plays.push((step.at, playing));
                }
                Action::Unload { vm, .. } | Action::End { vm, .. } => vms[*vm].plays.push((step.at, None)),
                _ => {}
            }
        }
        Self { vms }
    }

    /// What VM number `vm` needs, as it was at `now`.
    pub fn at(&mut self, vm: usize, now: Duration, point: &VmPoint) -> Need {
        match self.vms.get_mut(vm) {
            Some(vm) => vm.at(now, point),
            None => running(point),
        }
    }

    /// What a recorded load needs at a time: known in advance. `None`: this VM plays none then.
    #[must_use]
    pub fn recorded(&self, vm: usize, at: Duration) -> Option<PageCount> {
        let vm = self.vms.get(vm)?;
        let playing = vm.plays.iter().find(|(from, _)| *from <= at).map(|(_, playing)| playing)?.as_ref()?;
        playing.config.whole_guest.then(|| playing.config.recorded(&playing.recording, at))
    }
}

impl Vm {
    fn at(&mut self, now: Duration, point: &VmPoint) -> Need {
        while let Some((_, asked)) = self.requests.pop_if(|(at, _)| *at <= now) {
            // Asked for again, it has not had its memory yet.
            self.served &= self.asked;
            self.asked = asked;
        }
        while let Some((_, playing)) = self.plays.pop_if(|(at, _)| *at <= now) {
            self.playing = playing;
        }
        self.served |= point.running;
        // A VM that has ended by itself lacks nothing; one that restarts waits for memory again.
        let waits = !point.running && (point.state == VmState::Starting || self.asked && !self.served);
        let recorded = self
            .playing
            .as_ref()
            .filter(|playing| playing.config.whole_guest)
            .map(|playing| playing.config.recorded(&playing.recording, now));
        match recorded {
            Some(wanted) if waits => Need { wanted, waiting: wanted, waits, ..Need::default() },
            Some(wanted) if point.guest_available.is_some() => {
                let lacks = wanted.saturating_sub(point.physical);
                let refused = point.guest_wanted.saturating_sub(point.guest_commit).min(lacks);
                let there = point.guest_commit.saturating_sub(point.physical).min(lacks - refused);
                // What its guest does not play yet waits; while it plays, the next step takes what is missing.
                let rest = lacks - refused - there;
                let (next, waiting) =
                    if point.guest_works { (rest, PageCount::ZERO) } else { (PageCount::ZERO, rest) };
                Need { wanted, committed: there + next, refused, waiting, waits: false }
            }
            _ if waits => Need { waits, ..Need::default() },
            _ => running(point),
        }
    }
}

/// The need of a VM whose guest says what it wants, or at least what it has committed.
fn running(point: &VmPoint) -> Need {
    if !point.running {
        return Need::default();
    }
    // Of a guest that cannot be looked into, only the report is known.
    let commit =
        if point.guest_available.is_some() { point.guest_commit } else { point.demand.unwrap_or_default() };
    let wanted = point.guest_wanted.max(commit);
    let lacks = wanted.saturating_sub(point.physical);
    let committed = commit.saturating_sub(point.physical);
    Need { wanted, committed, refused: lacks - committed, ..Need::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use guest_memory_manager::trace::{Sample, Trace};

    fn mib(mib: u64) -> PageCount {
        PageCount::from_mib(mib)
    }

    fn on(physical: u64, commit: u64, wanted: u64) -> VmPoint {
        VmPoint {
            state: VmState::Running,
            running: true,
            physical: mib(physical),
            guest_commit: mib(commit),
            guest_wanted: mib(wanted),
            guest_works: true,
            guest_available: Some(PageCount::ZERO),
            ..VmPoint::default()
        }
    }

    /// A VM that is asked for at 10 s, told to stop at 100 s, and plays this recording from 11 s on.
    fn needs(recorded: Option<[u64; 2]>) -> Needs {
        let sample = |seconds, used| Sample {
            time: Duration::from_secs(seconds),
            provisioned: mib(4096),
            used: mib(used),
            cpu: 0.0,
        };
        let mut trace = Trace::default();
        if let Some([from, to]) = recorded {
            trace.insert("a", VmTrace::new(vec![sample(0, from), sample(100, to)]).unwrap());
        }
        let playing = trace
            .vm("a")
            .map(|recording| Playing { recording: Arc::clone(recording), config: PlaybackConfig::new("a") });
        let second = Duration::from_secs;
        let requests = vec![(second(100), false), (second(10), true)];
        Needs { vms: vec![Vm { requests, plays: vec![(second(11), playing)], ..Vm::default() }] }
    }

    #[test]
    fn what_was_refused_is_needed_as_what_was_committed_is() {
        let mut needs = needs(None);
        let mut at = |second, point: &VmPoint| needs.at(0, Duration::from_secs(second), point);
        assert_eq!(at(0, &VmPoint::default()), Need::default(), "nobody has asked for it");
        assert_eq!(at(10, &VmPoint::default()), Need { waits: true, ..Need::default() });
        let need = at(12, &on(500, 600, 1000));
        assert_eq!((need.wanted, need.committed, need.refused), (mib(1000), mib(100), mib(400)));
        // Free memory in the guest meets what it refused for want of a page file.
        let need = at(13, &on(500, 300, 1000));
        assert_eq!((need.committed, need.refused, need.lacks()), (mib(0), mib(500), mib(500)));
        assert_eq!(at(14, &on(2000, 300, 1000)).lacks(), mib(0));
        let starting = VmPoint { state: VmState::Starting, ..VmPoint::default() };
        assert!(at(15, &starting).waits, "it restarts");
        assert_eq!(at(16, &VmPoint::default()), Need::default(), "it has ended by itself");
    }

    #[test]
    fn a_recording_is_needed_whether_its_vm_runs_or_not() {
        let mut needs = needs(Some([1000, 2000]));
        assert_eq!(needs.recorded(0, Duration::from_secs(50)), Some(mib(1500)));
        assert_eq!(needs.recorded(0, Duration::from_secs(5)), None);
        let mut at = |second, point: &VmPoint| needs.at(0, Duration::from_secs(second), point);
        let need = at(50, &VmPoint::default());
        assert_eq!((need.waits, need.waiting, need.lacks()), (true, mib(1500), mib(1500)));
        // It boots: what it has meets a part of what is recorded.
        let booting = VmPoint { guest_works: false, ..on(512, 300, 300) };
        let need = at(60, &booting);
        assert_eq!((need.waits, need.waiting, need.committed), (false, mib(1600 - 512), mib(0)));
        // It plays, and has refused some of it.
        let need = at(70, &on(512, 700, 1700));
        assert_eq!((need.committed, need.refused, need.waiting), (mib(188), mib(1000), mib(0)));
        assert_eq!(need.lacks(), mib(1700 - 512));
        // Before its next step takes what is recorded, it lacks that all the same.
        assert_eq!(at(80, &on(1700, 1700, 1700)).committed, mib(100));
        assert_eq!(at(90, &on(4096, 1900, 1900)).lacks(), mib(0));
        assert_eq!(at(100, &VmPoint::default()).lacks(), mib(0), "it was told to stop");
    }
}
