//! Putting the parent partition together.

use std::sync::Arc;
use std::time::Duration;

use balancing_policy::{Policy, VmId};
use component_runtime::{Address, Runtime, Seat};
use memory_balancer::{Balancer, BalancerConfig, Input, Stopwatch};
use page_range::{HostMemory, PageCount};

use crate::balancer::{BalancerComponent, SharedBalancer};
use crate::message::{BalancerMessage, VmmsMessage};
use crate::statistics::SharedVmStatistics;
use crate::status::SharedStatus;
use crate::vmms::{HostConfig, VmConfig, Vmms};

/// What an embedder holds of a host: where to send commands, and what to look at.
pub struct Host {
    /// Where commands go.
    pub vmms: Address<VmmsMessage>,
    /// The balancer's books and counters.
    pub balancer: SharedBalancer,
    /// States of the VMs, parent OS, event log.
    pub status: SharedStatus,
    /// What is counted of each VM, by index of its id.
    pub statistics: Vec<SharedVmStatistics>,
    /// The home of all frames.
    pub memory: Arc<HostMemory>,
}

impl Host {
    /// Seats vmms and the balancer of a host with these VMs. Nothing runs before the runtime does; no VM is started.
    pub fn build(
        runtime: &mut Runtime,
        mut config: HostConfig,
        vms: Vec<VmConfig>,
        policy: Box<dyn Policy>,
    ) -> Self {
        config.balancer.reserve = config.reserve(config.memory_reserve);
        let vmms_seat = runtime.seat("vmms", None);
        let balancer_seat = runtime.seat("memory-balancer", None);
        let (vmms, vmms_inbox) = vmms_seat.mailbox::<VmmsMessage>();
        let (to_balancer, balancer_inbox) = balancer_seat.mailbox::<BalancerMessage>();

        let (engine, memory) =
            engine(&balancer_seat, config.memory, config.balancer.clone(), policy, config.policy_limit);
        let status = SharedStatus::default();

        for (index, vm) in (0u32..).zip(&vms) {
            let register = BalancerMessage::Register {
                vm: VmId(index),
                name: Arc::clone(&vm.name),
                settings: vm.settings,
            };
            runtime.send(&to_balancer, register);
        }
        let component =
            BalancerComponent::new(engine.clone(), Arc::clone(&memory), balancer_inbox, vmms.clone());
        balancer_seat.start(Box::new(component));
        let statistics: Vec<_> = vms.iter().map(|_| SharedVmStatistics::default()).collect();
        let vms = vms.into_iter().zip(statistics.iter().cloned()).collect();
        let service = Vmms::new(config, vms, (vmms.clone(), vmms_inbox), to_balancer, status.clone());
        vmms_seat.start(Box::new(service));
        Self { vmms, balancer: engine, status, statistics, memory }
    }

    /// Looks whether all memory is there when the run is over: everything has been dropped, so pool, reserve, overhead and what came
    /// home from VMs that still ran are all there is. `now` is the run's end.
    ///
    /// # Errors
    /// The ledger in words, if frames are missing.
    pub fn all_home(&self, now: Duration) -> Result<(), String> {
        all_home(&self.balancer, &self.memory, now)
    }
}

/// A memory balancer whose VMs somebody else than vmms looks after.
#[derive(Debug)]
pub struct SeatedBalancer {
    /// Where reports and requests go.
    pub address: Address<BalancerMessage>,
    /// Its books and counters.
    pub shared: SharedBalancer,
    /// The home of all frames.
    pub memory: Arc<HostMemory>,
}

impl SeatedBalancer {
    /// As [`Host::all_home`].
    ///
    /// # Errors
    /// The ledger in words, if frames are missing.
    pub fn all_home(&self, now: Duration) -> Result<(), String> {
        all_home(&self.shared, &self.memory, now)
    }
}

/// Seats the balancer of a host with this memory, alone. It says to `management` what it says to vmms.
pub fn seat_balancer(
    runtime: &mut Runtime,
    memory: PageCount,
    config: BalancerConfig,
    policy: Box<dyn Policy>,
    management: Address<VmmsMessage>,
) -> SeatedBalancer {
    let seat = runtime.seat("memory-balancer", None);
    let (address, inbox) = seat.mailbox();
    let (shared, memory) = engine(&seat, memory, config, policy, None);
    let component = BalancerComponent::new(shared.clone(), Arc::clone(&memory), inbox, management);
    seat.start(Box::new(component));
    SeatedBalancer { address, shared, memory }
}

/// The engine of a balancer that will be in this seat, and the home of its frames.
fn engine(
    seat: &Seat,
    memory: PageCount,
    config: BalancerConfig,
    policy: Box<dyn Policy>,
    policy_limit: Option<Duration>,
) -> (SharedBalancer, Arc<HostMemory>) {
    let (memory, frames) = HostMemory::new(memory, seat.doorbell().into_fn());
    let mut engine = Balancer::new(config, frames, policy, Duration::ZERO);
    if let Some(limit) = policy_limit {
        engine = engine.with_stopwatch(Stopwatch::new(Box::new(monotonic()), limit));
    }
    (SharedBalancer::new(engine), memory)
}

fn all_home(balancer: &SharedBalancer, memory: &Arc<HostMemory>, now: Duration) -> Result<(), String> {
    let mut engine = balancer.look();
    let mut out = Vec::new();
    loop {
        // Frames of grants and admissions that the engine decided on meanwhile are dropped: their workers are gone.
        out.clear();
        engine.handle(now, Input::FramesHome(memory.collect()), &mut out);
        let running: Vec<_> = engine.vms().iter().map(|view| view.id).collect();
        if running.is_empty() {
            break;
        }
        for vm in running {
            // The memory of this VM may be enough for another that waited to start, which is then stopped next.
            engine.handle(now, Input::VmStopped { vm }, &mut out);
        }
    }
    out.clear();
    engine.handle(now, Input::FramesHome(memory.collect()), &mut out);
    let ledger = engine.ledger();
    let in_hand = ledger.available + ledger.reserve + ledger.set_aside + ledger.overhead;
    if in_hand == ledger.total && ledger.balances() {
        Ok(())
    } else {
        Err(format!("host memory is missing at the end of the run: {ledger:?}"))
    }
}

/// Real time, for one purpose: to notice a policy whose round takes too long. Nothing else depends on this clock.
#[expect(clippy::disallowed_methods, reason = "measures the policy itself, not the run")]
fn monotonic() -> impl Fn() -> Duration + Send {
    let start = std::time::Instant::now();
    move || start.elapsed()
}
