//! Random schedules of the whole stack with threads: every component of a host and its VMs on a thread of its own, under the wall
//! clock, with every lock, signal and index of a ring a place where another thread may come in between.
//!
//! `cargo xtask loom --shuttle`

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use balancing_policy::VmId;
use component_runtime::{ClockMode, Driver, RunConfig, SimTime};
use guest_partition::Console;
use page_range::PageCount;
use shuttle::rand::{Rng as _, thread_rng};
use shuttle::scheduler::RandomScheduler;
use shuttle::{Config, Runner};
use vmms_host::{VmState, VmmsCommand};

use crate::world::{self, Ended, Ordinary, World};

/// Long enough for a guest to boot, to be heard, and to be asked for memory, and given some, several times.
const UNTIL: Duration = Duration::from_secs(100);

fn explore(schedules: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    config.max_steps = shuttle::MaxSteps::FailAfter(20_000_000);
    Runner::new(RandomScheduler::new(schedules), config).run(model);
}

/// Two to four VMs on a host that is too small for all that they may want.
fn a_host() -> (World, Vec<Console>) {
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
        let machine = Ordinary::new("linux", vm);
        consoles.push(machine.console.clone());
        configs.push(world::vm(&format!("VM{}", vm + 1), world::settings(256, 128, 1024), machine));
    }
    let mut world = World::new(run, world::host_config(256 + 400 * vms), configs);
    world.look = Duration::from_secs(1);
    for (vm, console) in consoles.iter().enumerate() {
        let vm = u64::try_from(vm).unwrap_or(0);
        world.command_at(Duration::from_millis(300 * vm), VmmsCommand::Start(VmId(vm as u32)));
        let rise = Duration::from_secs(thread_rng().gen_range(5..20));
        world.sawtooth_at(Duration::from_secs(25 + 3 * vm), console, 500, rise);
    }
    (world, consoles)
}

/// Books in order at every look, no panic, all memory home at the end; and nobody has asked anybody in vain.
fn assert_well(ended: &Ended, consoles: &[Console]) {
    ended.assert_well();
    for console in consoles {
        let _ = console.look(|guest| guest.check().unwrap());
    }
}

/// VMs that start, grow and shrink at each other's cost: all are heard to the end, and memory moves.
#[test]
fn shuttle_vms_share_a_host() {
    let moved = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&moved);
    explore(30, move || {
        let (mut world, consoles) = a_host();
        let vms = consoles.len() as u32;
        let count = Arc::clone(&count);
        world.at(UNTIL - Duration::from_millis(1), move |_, hands| {
            for vm in 0..vms {
                let counters = hands.balancer.vm(VmId(vm));
                assert!(counters.is_some_and(|vm| vm.demand.is_some()), "VM{} is not heard", vm + 1);
                assert_eq!(hands.vm(vm).state, VmState::Running);
                count.fetch_add(u64::from(hands.assigned(vm) != PageCount::from_mib(256)), Ordering::Relaxed);
            }
        });
        assert_well(&world.run(), &consoles);
    });
    assert!(moved.load(Ordering::Relaxed) > 30, "hardly any memory moves: {moved:?}");
}

/// VMs that are started, reset, shut down, switched off and started again at random moments, while others grow and shrink.
#[test]
fn shuttle_starts_and_stops() {
    explore(60, || {
        let (mut world, consoles) = a_host();
        let vms = consoles.len() as u32;
        for _ in 0..thread_rng().gen_range(3..12) {
            let at = Duration::from_millis(thread_rng().gen_range(5_000..95_000));
            let vm = VmId(thread_rng().gen_range(0..vms));
            world.command_at(
                at,
                match thread_rng().gen_range(0..6) {
                    0 | 1 => VmmsCommand::Start(vm),
                    2 => VmmsCommand::Reset(vm),
                    3 => VmmsCommand::ShutDown(vm),
                    4 => VmmsCommand::TurnOff(vm),
                    _ => VmmsCommand::SetMemoryReserve(Some(PageCount::from_mib(
                        thread_rng().gen_range(128..512),
                    ))),
                },
            );
        }
        world.at(UNTIL - Duration::from_millis(1), move |_, hands| {
            for vm in 0..vms {
                if hands.vm(vm).state == VmState::Off {
                    assert_eq!(hands.assigned(vm), PageCount::ZERO, "VM{} is off and has memory", vm + 1);
                }
            }
        });
        assert_well(&world.run(), &consoles);
    });
}
