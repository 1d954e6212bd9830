//! A host of a few lines: the real balancer, and workers that take the time that operations take.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use balancing_policy::{GuestStatus, MemorySettings, PageCount, PageCounter, ParentState, Policy, VmId};
use memory_balancer::{Balancer, BalancerConfig, Done, Input, Ledger, OperationId, Output, RegisterError};
use page_range::{HostFrames, HostMemory};

use crate::guest::{Guest, Manners};

/// From one status report to the next.
const REPORTS: Duration = Duration::from_secs(1);
/// After this a worker says that its guest does not answer.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(30);
/// From a VM's start to its guest's first report.
const BOOT: Duration = Duration::from_secs(5);

/// How often a VM is asked for that is refused, and how long after the refusal.
const TRIES: u32 = 3;
const RETRY: Duration = Duration::from_secs(30);

/// What a parent OS of a few lines makes of the host's books at a time.
pub type Parent = Box<dyn FnMut(Duration, &Ledger) -> ParentState>;

/// A host with a [`Balancer`], VMs with [`Guest`]s, and time that passes as fast as it can be computed.
///
/// The test host is no model of the whole product (the project's scenarios are): the host has what a policy can see.
/// Operations take the
/// times of the calibration: on the host 0.1 s + 1 ms/MB, times the parent's slowdown; in the guest 0.05 s + 2 ms/MB to
/// balloon and 1 ms/MB to add.
pub struct TestHost {
    /// The balancer.
    pub balancer: Balancer,
    /// What the balancer put out for the record since it was last taken away.
    pub record: Vec<Output>,
    memory: Arc<HostMemory>,
    now: Duration,
    events: BTreeMap<(Duration, u64), Event>,
    sequence: u64,
    vms: BTreeMap<VmId, Vm>,
    parent: Option<Parent>,
    slowdown: f64,
}

struct Vm {
    guest: Guest,
    mapped: HostFrames,
    ballooned: PageCount,
    /// Pages written to the guest's page file since it booted.
    page_file_writes: u64,
    /// Which start of the VM this is: events of an earlier one do not concern it.
    run: u64,
    running: bool,
}

enum Event {
    /// A request to start the VM: the how-many-th one, from 1.
    Start(VmId, u32),
    Stop(VmId),
    Booted {
        vm: VmId,
        run: u64,
        frames: HostFrames,
    },
    Report {
        vm: VmId,
        run: u64,
    },
    Grown {
        vm: VmId,
        run: u64,
        operation: OperationId,
        frames: HostFrames,
    },
    Shrunk {
        vm: VmId,
        run: u64,
        operation: OperationId,
        pages: PageCount,
    },
    Silent {
        vm: VmId,
        run: u64,
    },
    Parent,
}

impl TestHost {
    /// A host with `total` memory and no VM.
    #[must_use]
    pub fn new(total: PageCount, config: BalancerConfig, policy: Box<dyn Policy>) -> Self {
        let (memory, frames) = HostMemory::new(total, Arc::new(|| ()));
        Self {
            balancer: Balancer::new(config, frames, policy, Duration::ZERO),
            record: Vec::new(),
            memory,
            now: Duration::ZERO,
            events: BTreeMap::new(),
            sequence: 0,
            vms: BTreeMap::new(),
            parent: None,
            slowdown: 1.0,
        }
    }

    /// The same with a parent OS, which is asked every 250 ms.
    #[must_use]
    pub fn with_parent(mut self, parent: Parent) -> Self {
        self.parent = Some(parent);
        self.at(Duration::ZERO, Event::Parent);
        self
    }

    /// Time since the host started.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Add a VM, off.
    ///
    /// # Errors
    /// As [`Balancer::register`].
    pub fn add(&mut self, vm: VmId, settings: MemorySettings, guest: Guest) -> Result<(), RegisterError> {
        self.balancer.register(vm, Arc::from(format!("VM{}", vm.0)), settings)?;
        let mapped = self.memory.collect();
        debug_assert!(mapped.is_empty(), "only stopped VMs drop frames, and those are collected at once");
        self.vms.insert(
            vm,
            Vm { guest, mapped, ballooned: PageCount::ZERO, page_file_writes: 0, run: 0, running: false },
        );
        Ok(())
    }

    /// Start a VM at a time. Whoever asks is as patient as Microsoft's tests of Linux guests are: three times, 30 s apart.
    pub fn start_at(&mut self, at: Duration, vm: VmId) {
        self.at(at, Event::Start(vm, 1));
    }

    /// Stop a VM at a time.
    pub fn stop_at(&mut self, at: Duration, vm: VmId) {
        self.at(at, Event::Stop(vm));
    }

    /// A VM's guest needs something else from now on.
    pub fn load(&mut self, vm: VmId, load: crate::guest::Load) {
        if let Some(vm) = self.vms.get_mut(&vm) {
            vm.guest.load = load;
        }
    }

    /// What a VM has; 0 if it is off.
    #[must_use]
    pub fn assigned(&self, vm: VmId) -> PageCount {
        self.balancer.counters_of(vm).map(|counters| counters.physical).unwrap_or_default()
    }

    /// Let time pass.
    pub fn run_until(&mut self, until: Duration) {
        loop {
            let event = self.events.first_key_value().map(|(&(at, _), _)| at);
            let timer = self.balancer.next_timeout();
            match (event, timer) {
                (Some(at), timer) if at <= until && timer.is_none_or(|timer| at <= timer) => {
                    self.now = at;
                    if let Some((_, event)) = self.events.pop_first() {
                        self.happen(event);
                    }
                }
                (_, Some(at)) if at <= until => {
                    self.now = at;
                    self.send(Input::Timer);
                }
                _ => break,
            }
        }
        self.now = self.now.max(until);
    }

    fn at(&mut self, at: Duration, event: Event) {
        self.sequence += 1;
        self.events.insert((at.max(self.now), self.sequence), event);
    }

    fn send(&mut self, input: Input) {
        let mut out = Vec::new();
        self.balancer.handle(self.now, input, &mut out);
        for output in out {
            self.carry_out(output);
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Admitted { vm, frames, .. } => {
                if let Some(run) = self.vms.get(&vm).map(|vm| vm.run) {
                    let took = self.host_time(frames.pages());
                    self.at(self.now + took, Event::Booted { vm, run, frames });
                }
            }
            Output::Grant { vm, operation, frames, .. } => {
                let pages = frames.pages();
                let took = self.host_time(pages) + guest_time(pages, 1.0);
                self.operation(vm, took, |run| Event::Grown { vm, run, operation, frames });
            }
            Output::Shrink { vm, operation, pages } => {
                let took = self.host_time(pages) + guest_time(pages, 2.0);
                self.operation(vm, took, |run| Event::Shrunk { vm, run, operation, pages });
            }
            other => self.record.push(other),
        }
    }

    fn operation(&mut self, vm: VmId, took: Duration, event: impl FnOnce(u64) -> Event) {
        let Some(Vm { run, guest, .. }) = self.vms.get(&vm) else { return };
        let (run, manners) = (*run, guest.manners);
        let event = event(run);
        if manners == Manners::NeverAnswers {
            self.at(self.now + OPERATION_TIMEOUT, Event::Silent { vm, run });
            // What was granted is mapped, and the guest may use it any moment: the memory stays with the guest.
            self.at(Duration::MAX, event);
        } else {
            self.at(self.now + took, event);
        }
    }

    fn host_time(&self, pages: PageCount) -> Duration {
        Duration::from_secs_f64((0.1 + 0.001 * pages.mib()) * self.slowdown)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Start(vm, time) => {
                let before = self.record.len();
                self.send(Input::StartRequest { vm });
                let refused =
                    |output: &Output| matches!(output, Output::StartRefused { vm: of, .. } if *of == vm);
                if self.record.iter().skip(before).any(refused) && time < TRIES {
                    self.at(self.now + RETRY, Event::Start(vm, time + 1));
                }
            }
            Event::Stop(vm) => self.stop(vm),
            Event::Booted { vm, run, frames } => {
                let Some(of) = self.vms.get_mut(&vm).filter(|of| of.run == run) else { return };
                of.mapped = frames;
                of.ballooned = PageCount::ZERO;
                of.page_file_writes = 0;
                of.running = true;
                self.send(Input::VmStarted { vm });
                self.at(self.now + BOOT, Event::Report { vm, run });
            }
            Event::Report { vm, run } => self.report(vm, run),
            Event::Grown { vm, run, operation, mut frames } => {
                let Some(of) = self.vms.get_mut(&vm).filter(|of| of.run == run) else { return };
                // What was ballooned is returned first.
                of.ballooned = of.ballooned.saturating_sub(frames.pages());
                let (mapped, returnable) = (frames.pages(), of.ballooned);
                let kept = frames.take_all();
                let merged = of.mapped.merge(kept);
                debug_assert!(merged.is_ok(), "one host has one memory");
                let done = Done::Grown { mapped, returned: frames, barrier: false };
                self.send(Input::OperationFinished { vm, operation, done, returnable });
            }
            Event::Shrunk { vm, run, operation, pages } => {
                let Some(of) = self.vms.get_mut(&vm).filter(|of| of.run == run) else { return };
                let spare = match of.guest.manners {
                    Manners::GivesNothing => PageCount::ZERO,
                    _ => of.mapped.pages().saturating_sub(of.guest.floor),
                };
                let returned = of.mapped.take_up_to(pages.min(spare));
                of.ballooned += returned.pages();
                let (released, returnable) = (returned.pages(), of.ballooned);
                let done = Done::Shrunk { released, returned };
                self.send(Input::OperationFinished { vm, operation, done, returnable });
            }
            Event::Silent { vm, run } => {
                if self.vms.get(&vm).is_some_and(|of| of.run == run) {
                    self.send(Input::Responsive { vm, responsive: false });
                }
            }
            Event::Parent => {
                if let Some(parent) = &mut self.parent {
                    let state = parent(self.now, &self.balancer.ledger());
                    self.slowdown = state.slowdown;
                    self.send(Input::ParentState(state));
                    self.at(self.now + Duration::from_millis(250), Event::Parent);
                }
            }
        }
    }

    fn report(&mut self, vm: VmId, run: u64) {
        let Some(of) = self.vms.get_mut(&vm).filter(|of| of.run == run && of.running) else { return };
        if of.guest.manners == Manners::Absent {
            return;
        }
        let (granule, returnable) = (of.guest.granule, of.ballooned);
        let demand = of.guest.load.at(self.now);
        let assigned = of.mapped.pages();
        // What is missing is paged out, 16 MB of it a second at most.
        of.page_file_writes += demand.saturating_sub(assigned).min(PageCount::from_mib(16)).get();
        let page_file_writes = PageCounter::at(of.page_file_writes);
        if self.balancer.vms().iter().any(|view| view.id == vm && view.history.is_empty()) {
            self.send(Input::Joined { vm, granule, balloon: true, hot_add: true });
        }
        let status = GuestStatus::default().with(|c| {
            c.demand = demand;
            c.commit = demand.saturating_add(returnable);
            c.available = assigned.saturating_sub(demand);
            c.free = assigned.saturating_sub(demand);
            c.page_file = assigned;
            c.page_file_writes = page_file_writes;
        });
        self.send(Input::Status { vm, status, returnable });
        self.at(self.now + REPORTS, Event::Report { vm, run });
    }

    fn stop(&mut self, vm: VmId) {
        let Some(of) = self.vms.get_mut(&vm) else { return };
        of.run += 1;
        of.running = false;
        of.mapped.take_all().send_home();
        let run = of.run;
        // What is under way of this VM ends with it.
        self.events.retain(|_, event| event.run_of(vm).is_none_or(|of| of == run));
        self.send(Input::VmStopped { vm });
        let frames = self.memory.collect();
        self.send(Input::FramesHome(frames));
    }
}

impl Event {
    fn run_of(&self, of: VmId) -> Option<u64> {
        match *self {
            Self::Booted { vm, run, .. }
            | Self::Report { vm, run }
            | Self::Grown { vm, run, .. }
            | Self::Shrunk { vm, run, .. }
            | Self::Silent { vm, run } => (vm == of).then_some(run),
            Self::Start(..) | Self::Stop(_) | Self::Parent => None,
        }
    }
}

impl core::fmt::Debug for TestHost {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TestHost")
            .field("now", &self.now)
            .field("balancer", &self.balancer)
            .finish_non_exhaustive()
    }
}

fn guest_time(pages: PageCount, milliseconds_per_mib: f64) -> Duration {
    Duration::from_secs_f64(0.05 + 0.001 * milliseconds_per_mib * pages.mib())
}
