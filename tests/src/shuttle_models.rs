//! Random schedules of the whole stack with threads: every component of a host and its VMs on a thread of its own, under the wall
//! clock, with every lock, signal and index of a ring a place where another thread may come in between.
//!
//! `cargo xtask loom --shuttle`

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use balancing_policy::VmId;
use component_runtime::{ClockMode, Driver, RunConfig, SimTime};
use guest_partition::Console;
use page_range::PageCount;
use shuttle::rand::{Rng as _, thread_rng};
use shuttle::scheduler::RandomScheduler;
use shuttle::{Config, Runner};
use vmms_host::{Sabotage, VmState, VmmsCommand};

use crate::world::{self, World};

/// Long enough for a guest to boot, to be heard, and to be asked for memory, and given some, several times.
const UNTIL: Duration = Duration::from_secs(100);

fn explore(schedules: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    config.max_steps = shuttle::MaxSteps::FailAfter(20_000_000);
    Runner::new(RandomScheduler::new(schedules), config).run(model);
}

/// A host, its guests, and whether everything asked for has ended at some moment of the last part of the run.
struct Model {
    world: World,
    consoles: Vec<Console>,
    settled: Arc<AtomicBool>,
}

/// Two to four VMs on a host that is too small for all that they may want.
fn a_host(sabotage: Sabotage) -> Model {
    let vms = thread_rng().gen_range(2..=4_u64);
    let run = RunConfig {
        driver: Driver::Threads,
        clock: ClockMode::Wall { speed: 1.0 },
        until: SimTime::from(UNTIL),
        watchdog: None,
        ..RunConfig::default()
    };
    let (mut consoles, mut configs) = (Vec::new(), Vec::new());
    for vm in 0..vms {
        let machine = world::ordinary("linux", vm);
        consoles.push(machine.console.clone());
        configs.push(world::vm(&format!("VM{}", vm + 1), world::settings(256, 128, 1024), machine));
    }
    let mut config = world::host_config(256 + 400 * vms);
    config.sabotage = sabotage;
    // Long enough to be met by what happens meanwhile: the parent OS of so small a host pages, and takes some fifteen times as long.
    config.operation_time.base = Duration::from_millis(40);
    let mut world = World::new(run, config, configs);
    world.look = Duration::from_secs(1);
    for (vm, console) in consoles.iter().enumerate() {
        let vm = u64::try_from(vm).unwrap_or(0);
        world.command_at(Duration::from_millis(300 * vm), VmmsCommand::Start(VmId(vm as u32)));
        let rise = Duration::from_secs(thread_rng().gen_range(5..20));
        world.sawtooth_at(Duration::from_secs(25 + 3 * vm), console, 500, rise);
    }
    let settled = Arc::new(AtomicBool::new(false));
    for step in 0..100 {
        let settled = Arc::clone(&settled);
        world.at(UNTIL - Duration::from_millis(1) - Duration::from_millis(250) * step, move |_, hands| {
            if hands.balancer.look().ledger().granted.is_zero() {
                settled.store(true, Ordering::Relaxed);
            }
        });
    }
    Model { world, consoles, settled }
}

impl Model {
    /// Books in order at every look, no panic, all memory home at the end; and no operation without an end.
    fn run(self) {
        self.world.run().assert_well();
        for console in self.consoles {
            let _ = console.look(|guest| guest.check().unwrap());
        }
        assert!(self.settled.load(Ordering::Relaxed), "{NO_END}");
    }
}

const NO_END: &str = "an operation has no end";

/// VMs that start, grow and shrink at each other's cost: all are heard to the end, and memory moves.
#[test]
fn shuttle_vms_share_a_host() {
    let moved = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&moved);
    explore(100, move || {
        let mut model = a_host(Sabotage::None);
        let vms = model.consoles.len() as u32;
        let count = Arc::clone(&count);
        model.world.at(UNTIL - Duration::from_millis(1), move |_, hands| {
            for vm in 0..vms {
                let counters = hands.balancer.vm(VmId(vm));
                assert!(counters.is_some_and(|vm| vm.demand.is_some()), "VM{} is not heard", vm + 1);
                assert_eq!(hands.vm(vm).state, VmState::Running);
                count.fetch_add(u64::from(hands.assigned(vm) != PageCount::from_mib(256)), Ordering::Relaxed);
            }
        });
        model.run();
    });
    assert!(moved.load(Ordering::Relaxed) > 100, "hardly any memory moves: {moved:?}");
}

/// VMs that are started, reset, shut down, switched off and started again at random moments, while others grow and shrink.
fn starts_and_stops(sabotage: Sabotage) {
    let mut model = a_host(sabotage);
    let vms = model.consoles.len() as u32;
    for _ in 0..thread_rng().gen_range(3..12) {
        let at = Duration::from_millis(thread_rng().gen_range(5_000..70_000));
        let vm = VmId(thread_rng().gen_range(0..vms));
        let reserve = PageCount::from_mib(thread_rng().gen_range(128..512));
        let command = match thread_rng().gen_range(0..7) {
            0 | 1 => VmmsCommand::Start(vm),
            2 | 3 => VmmsCommand::Reset(vm),
            4 => VmmsCommand::ShutDown(vm),
            5 => VmmsCommand::TurnOff(vm),
            _ => VmmsCommand::SetMemoryReserve(Some(reserve)),
        };
        model.world.command_at(at, command);
    }
    model.world.at(UNTIL - Duration::from_millis(1), move |_, hands| {
        for vm in 0..vms {
            if hands.vm(vm).state == VmState::Off {
                assert_eq!(hands.assigned(vm), PageCount::ZERO, "VM{} is off and has memory", vm + 1);
            }
        }
    });
    model.run();
}

#[test]
fn shuttle_starts_and_stops() {
    explore(150, || starts_and_stops(Sabotage::None));
}

/// The same with a worker that forgets a grant when its guest restarts: it must show.
#[test]
fn shuttle_a_forgotten_grant_is_noticed() {
    let noticed =
        catch_unwind(AssertUnwindSafe(|| explore(2_000, || starts_and_stops(Sabotage::ForgetGrantAtReset))));
    let panic = noticed.expect_err("the model does not see that a grant is forgotten");
    let message = panic.downcast_ref::<String>().map(String::as_str);
    let message = message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
    assert!(message.contains(NO_END), "it fails in another way: {message}");
}
