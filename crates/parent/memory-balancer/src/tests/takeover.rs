//! VMs that run already when the balancer hears of them.

use balancing_policy::MemorySettings;

use super::rig::{Rig, mib};
use crate::{Input, Output, PageCount, VmId};

/// A host of 1000 MB, 200 of them the reserve, whose balancer has 1000 MB more for VMs that run already.
fn host() -> Rig {
    Rig::new(mib(2000), mib(200), |config| {
        config.beyond = mib(1000);
        config.overhead_per_vm = PageCount::ZERO;
    })
}

fn take_over(rig: &mut Rig, vm: u32, has: u64) {
    rig.register(vm, MemorySettings::dynamic(mib(has), mib(has)).with_minimum(mib(100)));
    rig.send(Input::TakeOver { vm: VmId(vm) });
}

#[test]
fn a_vm_that_runs_is_taken_over_whatever_there_is_and_all_give_until_it_fits() {
    let mut rig = host();
    for vm in [1, 2] {
        take_over(&mut rig, vm, 700);
        rig.finish(vm);
        rig.join(vm);
    }
    let ledger = rig.balancer.ledger();
    // 600 MB more than the 800 that VMs may have: the reserve lacks as much.
    assert_eq!((ledger.assigned, ledger.available, ledger.reserve), (mib(1400), PageCount::ZERO, mib(600)));
    // What one gives goes to the reserve until that is complete, not to the other.
    rig.policy.set(1, mib(300));
    rig.policy.set(2, mib(500));
    for _ in 0..40 {
        rig.wait();
        rig.finish_all();
    }
    let ledger = rig.balancer.ledger();
    assert_eq!((ledger.assigned, ledger.available, ledger.reserve), (mib(800), PageCount::ZERO, mib(1200)));
    assert_eq!((rig.physical(1), rig.physical(2)), (mib(300), mib(500)));
}

#[test]
fn nobody_grows_while_the_reserve_lacks_something() {
    let mut rig = host();
    take_over(&mut rig, 1, 900);
    rig.finish(1);
    rig.join(1);
    rig.register(2, MemorySettings::dynamic(mib(100), mib(900)).with_minimum(mib(100)));
    rig.send(Input::TakeOver { vm: VmId(2) });
    rig.finish(2);
    rig.join(2);
    rig.policy.set(1, mib(700));
    rig.policy.set(2, mib(900));
    rig.wait();
    assert_eq!(rig.being_given(2), None);
    for _ in 0..40 {
        rig.wait();
        rig.finish_all();
    }
    let ledger = rig.balancer.ledger();
    assert!(ledger.assigned <= mib(800), "{ledger:?}");
}

#[test]
fn policies_see_the_host_as_it_is() {
    let mut rig = host();
    take_over(&mut rig, 1, 300);
    rig.finish(1);
    rig.wait();
    let [capacity, total, reserve, _, available, _] = rig.policy.script().seen.pages;
    assert_eq!([capacity, total, reserve, available], [mib(800), mib(1000), mib(200), mib(500)]);
    rig.send(Input::SetReserve(mib(300)));
    rig.wait();
    let [capacity, total, reserve, _, available, _] = rig.policy.script().seen.pages;
    assert_eq!([capacity, total, reserve, available], [mib(700), mib(1000), mib(300), mib(400)]);
}

#[test]
fn more_than_can_be_lent_is_refused_like_a_start_and_changes_nothing() {
    let mut rig = host();
    take_over(&mut rig, 1, 1900);
    rig.finish(1);
    let before = rig.balancer.ledger();
    take_over(&mut rig, 2, 200);
    assert!(
        matches!(rig.said.last(), Some(Output::StartRefused { vm: VmId(2), .. })),
        "{:?}",
        rig.said.last()
    );
    assert_eq!(rig.balancer.ledger(), before);
}

#[test]
fn only_the_registered_and_those_that_are_off_are_taken_over() {
    let mut rig = host();
    rig.send(Input::TakeOver { vm: VmId(9) });
    take_over(&mut rig, 1, 300);
    rig.send(Input::TakeOver { vm: VmId(1) });
    assert_eq!(rig.faults().len(), 2);
    assert_eq!(rig.balancer.ledger().granted, mib(300));
}
