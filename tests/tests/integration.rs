//! Integration services over the whole stack: the services are devices of the worker, their drivers are drivers of the guest.

use std::sync::Arc;
use std::time::Duration;

use balancing_policy::VmId;
use guest_partition::{BusCommand, ChannelDriver, DriverOutput, SimulatedVm, integration_drivers};
use machine_contract::Heartbeat;
use model_sync::Mutex;
use vmbus::control::Uuid;
use vmms_host::{VmState, VmmsCommand, integration_devices};
use whole_stack_tests::journey::s;
use whole_stack_tests::world::{self, World};

/// A VM with the services, and a guest with their drivers.
fn with_services() -> SimulatedVm {
    let mut vm = world::ordinary("linux", 1);
    vm.devices = Arc::new(|| integration_devices(Box::new(|_| 0), None));
    vm.drivers = Arc::new(integration_drivers);
    vm
}

#[test]
fn a_guest_lives_is_lost_and_is_there_again() {
    let vm = with_services();
    let console = vm.console.clone();
    let vms = vec![world::vm("VM", world::settings(256, 256, 512), vm)];
    let mut world = World::new(world::run_config(s(80), None), world::host_config(2048), vms);
    world.command_at(s(0), VmmsCommand::Start(VmId(0)));
    let seen: Arc<Mutex<Vec<Option<Heartbeat>>>> = Arc::default();
    for at in [30, 45, 60] {
        let seen = Arc::clone(&seen);
        world.at(s(at), move |_, hands| seen.lock().push(hands.vm(0).heartbeat));
    }
    // The guest closes all of its channels, and opens them again.
    let again = console.clone();
    world.at(s(40), move |ctx, _| assert!(console.bus_command(ctx, BusCommand::CloseChannels)));
    world.at(s(50), move |ctx, _| assert!(again.bus_command(ctx, BusCommand::ReopenChannels)));
    let ended = world.run();
    ended.assert_well();
    assert_eq!(*seen.lock(), [Some(Heartbeat::Ok), Some(Heartbeat::NoContact), Some(Heartbeat::Ok)]);
}

/// A driver whose wishes to shut down are counted.
struct Counted(Box<dyn ChannelDriver>, Arc<Mutex<u32>>);

impl ChannelDriver for Counted {
    fn class(&self) -> Uuid {
        self.0.class()
    }
    fn opened(&mut self, now: Duration, out: &mut Vec<DriverOutput>) {
        self.0.opened(now, out);
    }
    fn packet(&mut self, now: Duration, payload: &[u8], out: &mut Vec<DriverOutput>) {
        self.0.packet(now, payload, out);
        *self.1.lock() += u32::from(out.contains(&DriverOutput::ShutDown));
    }
    fn closed(&mut self, now: Duration, out: &mut Vec<DriverOutput>) {
        self.0.closed(now, out);
    }
    fn timer(&mut self, now: Duration, out: &mut Vec<DriverOutput>) {
        self.0.timer(now, out);
    }
    fn next_timeout(&self) -> Option<Duration> {
        self.0.next_timeout()
    }
}

#[test]
fn a_guest_with_the_service_shuts_down_when_asked_through_it() {
    let asked: Arc<Mutex<u32>> = Arc::default();
    let mut with = with_services();
    let count = Arc::clone(&asked);
    with.drivers = Arc::new(move || {
        let counted = |driver| -> Box<dyn ChannelDriver> { Box::new(Counted(driver, Arc::clone(&count))) };
        integration_drivers().into_iter().map(counted).collect()
    });
    let vms = vec![
        world::vm("with", world::settings(256, 256, 512), with),
        world::vm("without", world::settings(256, 256, 512), world::ordinary("linux", 2)),
    ];
    let mut world = World::new(world::run_config(s(60), None), world::host_config(2048), vms);
    for vm in [0, 1].map(VmId) {
        world.command_at(s(0), VmmsCommand::Start(vm));
        world.command_at(s(40), VmmsCommand::ShutDown(vm));
    }
    let ended = world.run();
    ended.assert_well();
    assert_eq!(*asked.lock(), 1, "the guest was asked through the service, and once");
    for vm in 0..2 {
        let status = ended.hands.vm(vm);
        assert_eq!((status.state, status.failures, status.heartbeat), (VmState::Off, 0, None), "VM {vm}");
    }
}

/// A guest without the drivers keeps its VM running, and the host shows that there is no contact by showing nothing.
#[test]
fn a_guest_without_drivers_is_not_disturbed() {
    let mut vm = with_services();
    vm.drivers = Arc::new(Vec::new);
    let vms = vec![world::vm("VM", world::settings(256, 256, 512), vm)];
    let mut world = World::new(world::run_config(s(60), None), world::host_config(2048), vms);
    world.command_at(s(0), VmmsCommand::Start(VmId(0)));
    let ended = world.run();
    ended.assert_well();
    assert_eq!((ended.hands.vm(0).state, ended.hands.vm(0).heartbeat), (VmState::Running, None));
}
