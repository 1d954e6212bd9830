//! Every order of what can happen around a start, on a host small enough to try them all.
//!
//! VM1 is to grow and VM2 to give, when VM3 is to start with exactly what the two targets leave. It is refused, and memory is
//! collected for it. A little later VM4 wants to start too, with less. In every order VM3 must get its memory when it is asked
//! for again in the end: neither VM1's growth nor VM4 may take what was set aside for it. The same orders without setting aside must show one in which VM3 goes without, or the model would see
//! nothing.

use balancing_policy::MemorySettings;

use super::rig::{Rig, mib};
use crate::{Input, Output, PageCount, VmId};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Round,
    Finish(u32),
    StartVm4,
    StopVm5,
}

const STEPS: [Step; 8] = [
    Step::Round,
    Step::Finish(1),
    Step::Finish(2),
    Step::Finish(3),
    Step::Finish(4),
    Step::Finish(5),
    Step::StartVm4,
    Step::StopVm5,
];

/// VM1 512 MB and VM2 600 MB run, VM5 16 MB too; 20 MB are free, and VM3 has just asked to start with 96 MB.
fn beginning(protect: bool) -> Rig {
    let mut rig = Rig::new(mib(512 + 600 + 16 + 3 * 8 + 20), PageCount::ZERO, |_| ());
    rig.balancer.protects_starts = protect;
    rig.register(1, MemorySettings::dynamic(mib(512), mib(1000)));
    rig.register(2, MemorySettings::dynamic(mib(600), mib(1000)).with_minimum(mib(100)));
    rig.register(3, MemorySettings::fixed(mib(96)));
    rig.register(4, MemorySettings::fixed(mib(40)));
    rig.register(5, MemorySettings::fixed(mib(16)));
    for vm in [1, 2, 5] {
        rig.run(vm);
    }
    // 48 more for VM1, 112 + 20 from VM2 and the pool: 104 − 20 for VM3 and its overhead.
    rig.policy.set(1, mib(560));
    rig.policy.set(2, mib(468));
    rig.start(3);
    rig
}

/// Whether the step can happen now. Rounds only while something is left to do, so that every order ends.
fn can(rig: &Rig, step: Step, taken: &[Step]) -> bool {
    let times = taken.iter().filter(|&&other| other == step).count();
    match step {
        Step::Round => times < 2,
        Step::Finish(vm) => rig.asked.contains_key(&VmId(vm)),
        Step::StartVm4 => times == 0 && taken.contains(&Step::Round),
        Step::StopVm5 => times == 0,
    }
}

fn take(rig: &mut Rig, step: Step) {
    match step {
        Step::Round => rig.wait(),
        Step::Finish(vm) => rig.finish(vm),
        Step::StartVm4 => rig.start(4),
        Step::StopVm5 => {
            rig.stop(5);
            rig.collect();
        }
    }
}

/// All orders that begin with `taken`; calls `end` with each one that cannot go on. Frames cannot be copied, so that
/// every order is played from its beginning.
fn explore(protect: bool, taken: &mut Vec<Step>, end: &mut dyn FnMut(&[Step], &mut Rig)) {
    let mut rig = beginning(protect);
    for &step in taken.iter() {
        take(&mut rig, step);
    }
    let mut went_on = false;
    for step in STEPS {
        if can(&rig, step, taken) {
            went_on = true;
            taken.push(step);
            explore(protect, taken, end);
            taken.pop();
        }
    }
    if !went_on {
        end(taken, &mut rig);
    }
}

fn started(rig: &Rig, vm: u32) -> bool {
    rig.balancer.vms().iter().any(|view| view.id == VmId(vm))
}

#[test]
fn in_every_order_the_start_gets_what_was_set_aside_for_it() {
    let mut orders = 0;
    explore(true, &mut Vec::new(), &mut |taken, rig| {
        orders += 1;
        rig.start(3);
        assert!(started(rig, 3), "VM3 went without: {taken:?}");
        assert!(started(rig, 4) || rig.physical(1) == mib(560), "VM1 did not grow: {taken:?}");
        let refused =
            rig.said.iter().filter(|output| matches!(output, Output::StartRefused { vm: VmId(3), .. }));
        assert_eq!(refused.count(), 1, "in the beginning, and not again: {taken:?}");
    });
    assert!(orders > 1000, "{orders}");
}

#[test]
fn without_setting_aside_some_order_robs_it() {
    let mut robbed = 0;
    explore(false, &mut Vec::new(), &mut |_, rig| {
        rig.start(3);
        robbed += u32::from(!started(rig, 3) && started(rig, 4));
    });
    assert!(robbed > 0);
}

#[test]
fn the_orders_are_the_same_ones_with_and_without() {
    // VM4's need is above what is free at the beginning: only what others gave can start it.
    let mut rig = beginning(true);
    rig.start(4);
    assert!(!started(&rig, 4));
    rig.send(Input::StartCancelled { vm: VmId(4) });
    assert_eq!(rig.balancer.ledger().available, mib(20));
    assert_eq!(rig.balancer.ledger().set_aside, PageCount::ZERO);
}
