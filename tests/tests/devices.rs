//! Dynamic Memory is one user of the bus. A second device class, registered by its own class GUID on both sides, works
//! beside it, and without it.

use std::sync::Arc;
use std::time::Duration;

use balancing_policy::{MemorySettings, VmId};
use guest_partition::{BusCommand, ChannelDriver, DriverOutput, SimulatedVm};
use machine_contract::{ChannelDevice, DeviceOutput};
use model_sync::Mutex;
use page_range::PageCount;
use vmbus::control::Uuid;
use vmbus::control::server::Offer;
use vmms_host::{VmState, VmmsCommand};
use whole_stack_tests::journey::s;
use whole_stack_tests::world::{self, World};

const ECHO: Uuid = Uuid::from_bytes(*b"\xec\x00echo device\0\0\0");

/// The host's half: sends everything back.
struct Echo {
    closed: Arc<Mutex<u32>>,
}

impl ChannelDevice for Echo {
    fn offer(&self) -> Offer {
        Offer::new(ECHO, Uuid::from_bytes([1; 16]))
    }
    fn packet(&mut self, _now: Duration, payload: &[u8], out: &mut Vec<DeviceOutput>) {
        out.push(DeviceOutput::Send(payload.to_vec()));
    }
    fn closed(&mut self) {
        *self.closed.lock() += 1;
    }
}

/// The host's half of a device that takes its time: it greets, and answers everything 5 ms later.
struct Slow {
    answers: Vec<(Duration, Vec<u8>)>,
}

impl ChannelDevice for Slow {
    fn offer(&self) -> Offer {
        Offer::new(ECHO, Uuid::from_bytes([1; 16]))
    }
    fn opened(&mut self, _now: Duration, out: &mut Vec<DeviceOutput>) {
        out.push(DeviceOutput::Send(1000_u64.to_le_bytes().to_vec()));
    }
    fn packet(&mut self, now: Duration, payload: &[u8], _out: &mut Vec<DeviceOutput>) {
        self.answers.push((now + Duration::from_millis(5), payload.to_vec()));
    }
    fn closed(&mut self) {
        self.answers.clear();
    }
    fn timer(&mut self, now: Duration, out: &mut Vec<DeviceOutput>) {
        for (_, answer) in self.answers.extract_if(.., |(due, _)| *due <= now) {
            out.push(DeviceOutput::Send(answer));
        }
    }
    fn next_timeout(&self) -> Option<Duration> {
        self.answers.iter().map(|(due, _)| *due).min()
    }
}

/// What the guest's half saw.
#[derive(Debug, Default)]
struct Seen {
    opened: u32,
    closed: u32,
    echoes: Vec<u64>,
}

/// The guest's half: counts up, one number for each echo.
struct Counter {
    seen: Arc<Mutex<Seen>>,
    next: u64,
    until: u64,
}

impl ChannelDriver for Counter {
    fn class(&self) -> Uuid {
        ECHO
    }
    fn ring_pages(&self) -> u32 {
        2
    }
    fn opened(&mut self, _now: Duration, out: &mut Vec<DriverOutput>) {
        self.seen.lock().opened += 1;
        out.push(DriverOutput::Send(self.next.to_le_bytes().to_vec()));
    }
    fn packet(&mut self, _now: Duration, payload: &[u8], out: &mut Vec<DriverOutput>) {
        let number = u64::from_le_bytes(payload.try_into().unwrap());
        self.seen.lock().echoes.push(number);
        self.next = number + 1;
        if self.next < self.until {
            out.push(DriverOutput::Send(self.next.to_le_bytes().to_vec()));
        }
    }
    fn closed(&mut self, _now: Duration, _out: &mut Vec<DriverOutput>) {
        self.seen.lock().closed += 1;
    }
    fn timer(&mut self, _now: Duration, _out: &mut Vec<DriverOutput>) {}
    fn next_timeout(&self) -> Option<Duration> {
        None
    }
}

struct Watched {
    seen: Arc<Mutex<Seen>>,
    host_closed: Arc<Mutex<u32>>,
}

/// A VM with the echo device, and the driver for it.
fn with_echo(profile: &str, until: u64) -> (SimulatedVm, Watched) {
    let watched = Watched { seen: Arc::default(), host_closed: Arc::default() };
    let mut vm = world::ordinary(profile, 1);
    let seen = Arc::clone(&watched.seen);
    vm.drivers = Arc::new(move || vec![Box::new(Counter { seen: Arc::clone(&seen), next: 0, until })]);
    let closed = Arc::clone(&watched.host_closed);
    vm.devices = Arc::new(move || vec![Box::new(Echo { closed: Arc::clone(&closed) })]);
    (vm, watched)
}

#[test]
fn a_device_of_another_class_works_beside_dynamic_memory_and_without_it() {
    let (dynamic, one) = with_echo("linux", 5000);
    let (fixed, two) = with_echo("linux", 5000);
    let console = dynamic.console.clone();
    let vms = vec![
        world::vm("dynamic", world::settings(256, 256, 1024), dynamic),
        world::vm("static", MemorySettings::fixed(PageCount::from_mib(256)), fixed),
    ];
    let mut world = World::new(world::run_config(s(120), None), world::host_config(4096), vms);
    world.command_at(s(0), VmmsCommand::Start(VmId(0)));
    world.command_at(s(0), VmmsCommand::Start(VmId(1)));
    world.sawtooth_at(s(20), &console, 400, s(15));
    let ended = world.run();
    ended.assert_well();
    for watched in [one, two] {
        let seen = watched.seen.lock();
        assert_eq!(seen.echoes, (0..5000).collect::<Vec<_>>());
        assert_eq!((seen.opened, seen.closed), (1, 0));
    }
    let added = ended.hands.balancer.vm(VmId(0)).map(|counters| counters.added);
    assert!(added.is_some_and(|added| !added.is_zero()), "Dynamic Memory worked meanwhile");
}

/// A disk is such a device: it answers when it has done its work.
#[test]
fn a_device_can_greet_and_can_answer_later() {
    let (mut vm, watched) = with_echo("linux", u64::MAX);
    vm.devices = Arc::new(|| vec![Box::new(Slow { answers: Vec::new() })]);
    let vms = vec![world::vm("VM", world::settings(256, 256, 512), vm)];
    let mut world = World::new(world::run_config(s(40), None), world::host_config(2048), vms);
    world.command_at(s(0), VmmsCommand::Start(VmId(0)));
    let seen = Arc::clone(&watched.seen);
    world.at(s(30), move |_, _| seen.lock().echoes.clear());
    let seen = Arc::clone(&watched.seen);
    world.at(s(31), move |_, _| {
        // Two numbers are on their way, the greeting's and the driver's own: each comes back every 5 ms and a little.
        let echoes = seen.lock().echoes.len();
        assert!((360..=400).contains(&echoes), "{echoes}");
    });
    world.run().assert_well();
    assert!(watched.seen.lock().echoes.iter().any(|&number| number > 1000), "the greeting was answered too");
}

#[test]
fn every_channel_is_closed_and_opened_at_a_reboot() {
    let (vm, watched) = with_echo("linux", u64::MAX);
    let console = vm.console.clone();
    let vms = vec![world::vm("VM", world::settings(256, 256, 512), vm)];
    // Not for ever at once: the echo of one number takes 40 µs.
    let mut world = World::new(world::run_config(s(40), None), world::host_config(2048), vms);
    world.command_at(s(0), VmmsCommand::Start(VmId(0)));
    world.command_at(s(15), VmmsCommand::Reset(VmId(0)));
    let again = console.clone();
    world.at(s(35), move |ctx, _| {
        assert!(again.bus_command(ctx, BusCommand::CloseChannels));
    });
    let ended = world.run();
    ended.assert_well();
    let seen = watched.seen.lock();
    assert_eq!(seen.opened, 2);
    assert_eq!((seen.closed, *watched.host_closed.lock()), (1, 2), "the reset guest was not asked");
    assert_eq!(ended.hands.vm(0).state, VmState::Running);
}

/// A guest without a driver for a device, or with a driver without its device, is not disturbed.
#[test]
fn a_device_without_its_driver_and_a_driver_without_its_device_wait() {
    let (mut without_driver, one) = with_echo("linux", 10);
    without_driver.drivers = Arc::new(Vec::new);
    let (mut without_device, two) = with_echo("linux", 10);
    without_device.devices = Arc::new(Vec::new);
    let vms = vec![
        world::vm("VM1", world::settings(256, 256, 512), without_driver),
        world::vm("VM2", world::settings(256, 256, 512), without_device),
    ];
    let mut world = World::new(world::run_config(s(60), None), world::host_config(2048), vms);
    for vm in 0..2 {
        world.command_at(s(0), VmmsCommand::Start(VmId(vm)));
    }
    world.at(s(59), |_, hands| {
        for vm in 0..2 {
            assert!(hands.balancer.vm(VmId(vm)).is_some_and(|counters| counters.demand.is_some()));
        }
    });
    world.run().assert_well();
    assert_eq!(one.seen.lock().opened + two.seen.lock().opened, 0);
}
