//! Simulated machines for the workers.

use std::sync::Arc;

use component_runtime::Context;
use guest_partition::{Console, MachineConfig, MoreDrivers, SimulatedMachine, Wiring};
use vmms_host::VmFactory;
use vmms_host::bus::HostPartition;
use vmms_host::partition_factory::{PartitionError, PartitionFactory, PartitionRequest, RunningPartition};

/// Makes the simulated machine of one VM at each of its starts.
#[derive(Clone)]
pub(crate) struct SimulatedVm {
    pub(crate) config: MachineConfig,
    pub(crate) console: Console,
    pub(crate) drivers: Arc<MoreDrivers>,
}

impl VmFactory for SimulatedVm {
    fn partition(&mut self) -> Box<dyn PartitionFactory> {
        Box::new(self.clone())
    }
}

impl PartitionFactory for SimulatedVm {
    fn start(
        &mut self,
        ctx: &mut Context<'_>,
        request: &PartitionRequest<'_>,
    ) -> Result<Box<dyn RunningPartition>, PartitionError> {
        let (config, drivers) = (self.config.clone(), Arc::clone(&self.drivers));
        SimulatedMachine::start(ctx, config, drivers, self.console.clone(), &wiring(request))
            .map(|machine| Box::new(Running(machine)) as Box<dyn RunningPartition>)
            .map_err(|error| PartitionError(error.to_string()))
    }
}

struct Running(SimulatedMachine);

impl RunningPartition for Running {
    fn host(&self) -> Arc<dyn HostPartition> {
        Arc::new(self.0.host())
    }

    fn reset(&mut self, ctx: &mut Context<'_>, request: &PartitionRequest<'_>) -> Result<(), PartitionError> {
        self.0.reset(ctx, &wiring(request)).map_err(|error| PartitionError(error.to_string()))
    }

    fn shut_down(&mut self, ctx: &mut Context<'_>) {
        self.0.shut_down(ctx);
    }

    fn stop(&mut self, ctx: &mut Context<'_>) {
        self.0.stop(ctx);
    }
}

fn wiring<'a>(request: &PartitionRequest<'a>) -> Wiring<'a> {
    Wiring {
        vm: request.vm,
        boot: request.boot,
        power: request.power,
        lanes: request.lanes,
        watch: request.watch,
    }
}
