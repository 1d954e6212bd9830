//! A VM in a simulated partition whose guest is one component: no memory manager, no drivers, only a guest's side of the
//! partition.

use std::sync::Arc;

use component_runtime::{Address, Component, ComponentId, Context};
use machine_contract::{
    HostPartition, PartitionError, PartitionFactory, PartitionRequest, RunningPartition, VmFactory,
};
use partition::{GuestMemory as _, GuestSynic as _, PowerEvent, SimulatedGuest, SimulatedPartition};
use vmbus::control::VMBUS_SINT;

/// Makes the guest of a boot, of its side of the partition and where the hypervisor hears of power events.
type Make = dyn Fn(SimulatedGuest, Address<PowerEvent>) -> Box<dyn Component> + Send + Sync;

/// A VM whose guest is one component, made anew with each boot.
#[derive(Clone)]
pub(crate) struct LoneGuestVm {
    component: &'static str,
    make: Arc<Make>,
}

impl LoneGuestVm {
    /// A VM whose guest `make` makes, as a component of this name.
    pub(crate) fn new(
        component: &'static str,
        make: impl Fn(SimulatedGuest, Address<PowerEvent>) -> Box<dyn Component> + Send + Sync + 'static,
    ) -> Self {
        Self { component, make: Arc::new(make) }
    }
}

impl VmFactory for LoneGuestVm {
    fn partition(&mut self) -> Box<dyn PartitionFactory> {
        Box::new(self.clone())
    }
}

impl PartitionFactory for LoneGuestVm {
    fn start(
        &mut self,
        ctx: &mut Context<'_>,
        request: &PartitionRequest<'_>,
    ) -> Result<Box<dyn RunningPartition>, PartitionError> {
        let mut machine = Machine { vm: self.clone(), partition: SimulatedPartition::new(2), guest: None };
        machine.boot(ctx, request)?;
        Ok(Box::new(machine))
    }
}

struct Machine {
    vm: LoneGuestVm,
    partition: SimulatedPartition,
    guest: Option<ComponentId>,
}

impl Machine {
    fn boot(&mut self, ctx: &mut Context<'_>, request: &PartitionRequest<'_>) -> Result<(), PartitionError> {
        for range in request.boot.runs() {
            self.partition.host().add(range).map_err(|error| PartitionError(error.to_string()))?;
        }
        let mut seat = ctx.seat(self.vm.component, Some(request.vm));
        (request.watch)(&mut seat);
        let side = self.partition.guest();
        side.on_interrupt(0, VMBUS_SINT, seat.doorbell().into_fn())
            .map_err(|error| PartitionError(error.to_string()))?;
        self.guest = Some(seat.start((self.vm.make)(side, request.power.clone())));
        Ok(())
    }
}

impl RunningPartition for Machine {
    fn host(&self) -> Arc<dyn HostPartition> {
        Arc::new(self.partition.host())
    }

    fn reset(&mut self, ctx: &mut Context<'_>, request: &PartitionRequest<'_>) -> Result<(), PartitionError> {
        self.stop(ctx);
        self.partition.host().reset();
        self.boot(ctx, request)
    }

    /// The guest does not listen.
    fn shut_down(&mut self, _ctx: &mut Context<'_>) {}

    fn stop(&mut self, ctx: &mut Context<'_>) {
        if let Some(guest) = self.guest.take() {
            ctx.kill(guest);
        }
    }
}
