//! Putting the parent partition together.

use std::sync::Arc;

use balancing_policy::{Policy, VmId};
use component_runtime::{Address, Runtime};
use memory_balancer::{Balancer, Stopwatch};
use page_range::HostMemory;

use crate::balancer::{BalancerComponent, SharedBalancer};
use crate::message::{BalancerMessage, VmmsMessage};
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

        let (memory, frames) = HostMemory::new(config.memory, balancer_seat.doorbell().into_fn());
        let mut engine = Balancer::new(config.balancer.clone(), frames, policy, std::time::Duration::ZERO);
        if let Some(limit) = config.policy_limit {
            engine = engine.with_stopwatch(Stopwatch::new(Box::new(monotonic()), limit));
        }
        let engine = SharedBalancer::new(engine);
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
        let service =
            Vmms::new(config, vms, (vmms.clone(), vmms_inbox), to_balancer, engine.clone(), status.clone());
        vmms_seat.start(Box::new(service));
        Self { vmms, balancer: engine, status, memory }
    }
}

/// Real time, for one purpose: to notice a policy that has gone astray. It decides nothing else.
#[expect(clippy::disallowed_methods, reason = "measures the policy itself, not the run")]
fn monotonic() -> impl Fn() -> std::time::Duration + Send {
    let start = std::time::Instant::now();
    move || start.elapsed()
}
