//! The workers' side: whatever the balancer hands out is held here until a test says what becomes of it.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use balancing_policy::{
    GuestStatus, HostView, MemorySettings, Policy, Proposal, Reason, Reservation, VmView,
};
use page_range::{HostFrames, HostMemory};

use crate::{Balancer, BalancerConfig, Done, Fault, Input, OperationId, Output, PageCount, VmId};

pub(super) const fn mib(mib: u64) -> PageCount {
    PageCount::from_mib(mib)
}

pub(super) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What a test wants proposed.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) targets: BTreeMap<VmId, PageCount>,
    pub(super) for_starts: Option<PageCount>,
    pub(super) panics: bool,
    /// Takes away the targets that it was given.
    pub(super) takes_targets: bool,
    pub(super) call_again_at: Option<Duration>,
    /// What the policy was shown of the host in the last round.
    pub(super) seen: Seen,
}

/// What of the host a policy was shown.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Seen {
    /// Capacity, total, reserve, overhead, available and in transit.
    pub(super) pages: [PageCount; 6],
    /// Pages per second.
    pub(super) grant_rate: f64,
    pub(super) lead_time: Duration,
    /// How many VMs wait to start, and what they need, have set aside and had of their own.
    pub(super) starts: (usize, [PageCount; 3]),
}

impl Seen {
    fn of(host: &HostView<'_>) -> Self {
        let sum = |of: fn(&Reservation) -> PageCount| host.reservations.iter().map(of).sum();
        Self {
            pages: [host.capacity, host.total, host.reserve, host.overhead, host.available, host.in_transit],
            grant_rate: host.grant_rate,
            lead_time: host.lead_time,
            starts: (
                host.reservations.len(),
                [sum(|start| start.needed), sum(|start| start.set_aside), sum(|start| start.own)],
            ),
        }
    }
}

/// A policy that proposes what a test wants.
#[derive(Clone, Default)]
pub(super) struct Scripted(pub(super) Arc<Mutex<Script>>);

impl Scripted {
    pub(super) fn set(&self, vm: u32, target: PageCount) {
        self.0.lock().unwrap().targets.insert(VmId(vm), target);
    }

    pub(super) fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.0.lock().unwrap()
    }
}

impl Policy for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    fn uses_priority(&self) -> bool {
        true
    }

    fn round(&mut self, host: &HostView<'_>, vms: &[VmView], proposal: &mut Proposal) {
        let (panics, again, for_starts) = {
            let mut script = self.script();
            script.seen = Seen::of(host);
            if script.takes_targets {
                proposal.begin(core::iter::empty());
                return;
            }
            for (index, vm) in vms.iter().enumerate() {
                if let Some(&target) = script.targets.get(&vm.id) {
                    proposal.set(index, target, Reason::new("scripted"));
                }
            }
            (script.panics, script.call_again_at, script.for_starts)
        };
        if let Some(at) = again {
            proposal.call_again_at(at);
        }
        if let Some(pages) = for_starts {
            proposal.leave_for_starts(pages);
        }
        assert!(!panics, "as the test wants");
    }
}

/// What a VM is busy with.
#[derive(Debug)]
pub(super) enum Asked {
    Start { frames: HostFrames },
    Grow { operation: OperationId, frames: HostFrames, unballoon: PageCount, hot_add: PageCount },
    Shrink { operation: OperationId, pages: PageCount },
}

pub(super) struct Rig {
    pub(super) memory: Arc<HostMemory>,
    pub(super) balancer: Balancer,
    pub(super) policy: Scripted,
    pub(super) now: Duration,
    /// What is mapped.
    pub(super) mapped: BTreeMap<VmId, HostFrames>,
    pub(super) asked: BTreeMap<VmId, Asked>,
    pub(super) ballooned: BTreeMap<VmId, PageCount>,
    /// What each was given at its starts, with its overhead.
    pub(super) started: BTreeMap<VmId, PageCount>,
    /// Everything else that came out, without frames.
    pub(super) said: Vec<Output>,
}

impl Rig {
    pub(super) fn new(
        total: PageCount,
        reserve: PageCount,
        change: impl FnOnce(&mut BalancerConfig),
    ) -> Self {
        let policy = Scripted::default();
        Self::with_policy(total, reserve, change, Box::new(policy.clone()), policy)
    }

    pub(super) fn with_policy(
        total: PageCount,
        reserve: PageCount,
        change: impl FnOnce(&mut BalancerConfig),
        boxed: Box<dyn Policy>,
        policy: Scripted,
    ) -> Self {
        let (memory, frames) = HostMemory::new(total, Arc::new(|| ()));
        let mut config = BalancerConfig { reserve, ..BalancerConfig::for_host(total) };
        change(&mut config);
        Self {
            memory,
            balancer: Balancer::new(config, frames, boxed, Duration::ZERO),
            policy,
            now: Duration::ZERO,
            mapped: BTreeMap::new(),
            asked: BTreeMap::new(),
            ballooned: BTreeMap::new(),
            started: BTreeMap::new(),
            said: Vec::new(),
        }
    }

    pub(super) fn register(&mut self, vm: u32, settings: MemorySettings) {
        self.balancer.register(VmId(vm), Arc::from(format!("VM{vm}")), settings).unwrap();
    }

    /// Send an input, hold what comes out, and hold the books against what is really where.
    pub(super) fn send(&mut self, input: Input) {
        let mut out = Vec::new();
        self.balancer.handle(self.now, input, &mut out);
        for output in out {
            match output {
                Output::Admitted { vm, frames, .. } => {
                    *self.started.entry(vm).or_default() +=
                        frames.pages() + self.balancer.config().overhead_per_vm;
                    let busy = self.asked.insert(vm, Asked::Start { frames });
                    assert!(busy.is_none(), "{vm:?} started while busy with {busy:?}");
                }
                // A worker that is gone has nobody to take it: the frames drop, and go home.
                Output::Grant { vm, .. } | Output::Shrink { vm, .. } if !self.mapped.contains_key(&vm) => {}
                Output::Grant { vm, operation, frames, target } => {
                    // As a worker splits it: what is ballooned first, and the rest in whole granules.
                    let unballoon = frames.pages().min(self.ballooned[&vm]);
                    let hot_add = frames.pages() - unballoon;
                    let view = self.balancer.vms().iter().find(|view| view.id == vm).unwrap();
                    let limit = self.balancer.config().operation_limit.max(view.granule);
                    assert!(frames.pages() <= limit, "one operation was too large");
                    assert_eq!(hot_add.round_down_to(view.granule), hot_add, "more than can be hot-added");
                    assert_eq!(target, self.balancer.target(vm).unwrap().pages.min(view.highest));
                    let busy = self.asked.insert(vm, Asked::Grow { operation, frames, unballoon, hot_add });
                    assert!(busy.is_none(), "two operations at a time");
                }
                Output::Shrink { vm, operation, pages } => {
                    assert!(!pages.is_zero() && pages <= self.balancer.config().operation_limit);
                    let busy = self.asked.insert(vm, Asked::Shrink { operation, pages });
                    assert!(busy.is_none(), "two operations at a time");
                }
                other => self.said.push(other),
            }
        }
        self.check();
    }

    /// Every frame is in one place, and the books know which.
    pub(super) fn check(&self) {
        let ledger = self.balancer.ledger();
        assert!(ledger.balances() && self.balancer.books_in_order(), "{ledger:?}");
        let out: PageCount = self.mapped.values().map(HostFrames::pages).sum::<PageCount>()
            + self
                .asked
                .values()
                .map(|asked| match asked {
                    Asked::Start { frames } | Asked::Grow { frames, .. } => frames.pages(),
                    Asked::Shrink { .. } => PageCount::ZERO,
                })
                .sum::<PageCount>()
            + self.memory.returned_pages();
        // What is out is in some account; what came home early is not out, and still in one.
        assert!(out <= ledger.assigned + ledger.granted + ledger.coming_home, "{ledger:?}");
        for counters in self.balancer.vm_counters() {
            let moved = self.balancer.memory_moved().filter(|&(_, vm, _)| vm == counters.vm);
            assert_eq!(
                moved.map(|(_, _, pages)| pages).sum::<PageCount>(),
                counters.added + self.started.get(&counters.vm).copied().unwrap_or_default(),
                "what a VM was given came from somewhere"
            );
            if counters.running && self.mapped.contains_key(&counters.vm) {
                assert_eq!(
                    counters.physical + counters.removed_since_start,
                    counters.at_start + counters.added_since_start,
                    "physical = at start + added − removed"
                );
                assert!(counters.guest_visible >= counters.physical);
            }
        }
    }

    /// Come back when the balancer wants to be called.
    pub(super) fn wait(&mut self) {
        self.now = self.now.max(self.balancer.next_timeout().unwrap());
        self.send(Input::Timer);
    }

    /// Come back as often as it wants until `until`.
    pub(super) fn wait_until(&mut self, until: Duration) {
        while self.balancer.next_timeout().unwrap() <= until {
            self.wait();
        }
        self.now = until;
    }

    pub(super) fn start(&mut self, vm: u32) {
        self.send(Input::StartRequest { vm: VmId(vm) });
    }

    /// Start it, and let it join Dynamic Memory.
    pub(super) fn run(&mut self, vm: u32) {
        self.start(vm);
        self.finish(vm);
        self.join(vm);
    }

    pub(super) fn join(&mut self, vm: u32) {
        self.join_with(vm, mib(2));
    }

    /// Joins, and takes hot-added memory in multiples of this.
    pub(super) fn join_with(&mut self, vm: u32, granule: PageCount) {
        self.send(Input::Joined { vm: VmId(vm), granule, balloon: true, hot_add: true });
    }

    pub(super) fn report(&mut self, vm: u32, demand: PageCount) {
        let returnable = self.ballooned.get(&VmId(vm)).copied().unwrap_or_default();
        let status = GuestStatus::default().with(|c| {
            c.demand = demand;
            c.commit = demand;
        });
        self.send(Input::Status { vm: VmId(vm), status, returnable });
    }

    /// The operation ends as it should.
    pub(super) fn finish(&mut self, vm: u32) {
        self.finish_with(vm, PageCount::MAX, false);
    }

    /// The operation ends with at most `most` pages done; frames not handed back are dropped, if asked.
    pub(super) fn finish_with(&mut self, vm: u32, most: PageCount, drop_the_rest: bool) {
        let id = VmId(vm);
        let Some(asked) = self.asked.remove(&id) else { panic!("VM{vm} is not busy") };
        match asked {
            Asked::Start { frames } => {
                self.mapped.insert(id, frames);
                self.ballooned.insert(id, PageCount::ZERO);
                self.send(Input::VmStarted { vm: id });
            }
            Asked::Grow { operation, mut frames, unballoon, .. } => {
                let kept = frames.take_up_to(most);
                let mapped = kept.pages();
                let balloon = self.ballooned.get_mut(&id).unwrap();
                *balloon -= unballoon.min(mapped);
                let returnable = *balloon;
                self.mapped.get_mut(&id).unwrap().merge(kept).unwrap();
                let rest = frames.take_all();
                let nothing = rest.empty_like();
                let returned = if drop_the_rest {
                    drop(rest);
                    nothing
                } else {
                    rest
                };
                let done = Done::Grown { mapped, returned, barrier: false };
                self.send(Input::OperationFinished { vm: id, operation, done, returnable });
            }
            Asked::Shrink { operation, pages } => {
                let given = self.mapped.get_mut(&id).unwrap().take_up_to(pages.min(most));
                let released = given.pages();
                let balloon = self.ballooned.get_mut(&id).unwrap();
                *balloon += released;
                let returnable = *balloon;
                let nothing = given.empty_like();
                let returned = if drop_the_rest {
                    drop(given);
                    nothing
                } else {
                    given
                };
                let done = Done::Shrunk { released, returned };
                self.send(Input::OperationFinished { vm: id, operation, done, returnable });
            }
        }
    }

    pub(super) fn finish_all(&mut self) {
        while let Some(&vm) = self.asked.keys().next() {
            self.finish(vm.0);
        }
    }

    /// What a VM is asked to give, if it is.
    pub(super) fn asked_to_give(&self, vm: u32) -> Option<PageCount> {
        match self.asked.get(&VmId(vm))? {
            Asked::Shrink { pages, .. } => Some(*pages),
            _ => None,
        }
    }

    /// What a VM is being given, if it is.
    pub(super) fn being_given(&self, vm: u32) -> Option<PageCount> {
        match self.asked.get(&VmId(vm))? {
            Asked::Grow { frames, .. } => Some(frames.pages()),
            _ => None,
        }
    }

    /// The VM is gone, with all it had, at once.
    pub(super) fn crash(&mut self, vm: u32) {
        self.mapped.remove(&VmId(vm));
        self.asked.remove(&VmId(vm));
        self.ballooned.remove(&VmId(vm));
    }

    pub(super) fn stop(&mut self, vm: u32) {
        self.crash(vm);
        self.send(Input::VmStopped { vm: VmId(vm) });
    }

    pub(super) fn collect(&mut self) {
        let frames = self.memory.collect();
        self.send(Input::FramesHome(frames));
    }

    pub(super) fn faults(&self) -> Vec<Fault> {
        self.said
            .iter()
            .filter_map(|output| match output {
                Output::Fault(fault) => Some(*fault),
                _ => None,
            })
            .collect()
    }

    pub(super) fn physical(&self, vm: u32) -> PageCount {
        self.balancer.counters_of(VmId(vm)).unwrap().physical
    }
}
