//! Starts: at once, after others gave memory, or not at all.

use balancing_policy::MemorySettings;

use super::rig::{Rig, mib, secs};
use crate::{Fault, Input, Output, PageCount, RegisterError, VmId};

/// The sources' host, with MemoryReserve unset.
fn host() -> Rig {
    Rig::new(mib(32_768), mib(1344), |_| ())
}

/// A host of 1100 MB on which VM1 has 900 MB, of which it may give 800, and VM2's start, which takes 400 MB, was refused: memory is
/// collected for it.
pub(super) fn a_start_refused() -> Rig {
    let mut rig = Rig::new(mib(1100), PageCount::ZERO, |_| ());
    rig.register(1, MemorySettings::dynamic(mib(900), mib(1000)).with_minimum(mib(100)));
    rig.register(2, MemorySettings::fixed(mib(400)));
    rig.run(1);
    rig.start(2);
    rig
}

/// Which VM, what it needs, what there was, and until when memory is collected for it (seconds).
fn refusals(rig: &Rig) -> Vec<(u32, PageCount, PageCount, Option<u64>)> {
    let refusal = |output: &Output| match *output {
        Output::StartRefused { vm, required, available, reserved_until } => {
            Some((vm.0, required, available, reserved_until.map(|until| until.as_secs())))
        }
        _ => None,
    };
    rig.said.iter().filter_map(refusal).collect()
}

#[test]
fn seven_static_vms_start_and_the_eighth_does_not() {
    let mut rig = host();
    for vm in 1..=8 {
        rig.register(vm, MemorySettings::fixed(mib(4096)));
        rig.start(vm);
    }
    assert_eq!(rig.asked.len(), 7);
    rig.finish_all();
    // At once, and with nothing collected for it: no VM of static memory can give any.
    assert_eq!(refusals(&rig), [(8, mib(4104), mib(2696), None)]);
    rig.wait_until(secs(60));
    let ledger = rig.balancer.ledger();
    assert_eq!((ledger.assigned, ledger.overhead), (mib(28_672), mib(56)));
    assert_eq!((ledger.available, ledger.in_transit()), (mib(2696), PageCount::ZERO));
}

#[test]
fn as_many_start_as_fit_with_their_overhead() {
    let mut rig = host();
    for vm in 1..=100 {
        rig.register(vm, MemorySettings::dynamic(mib(if vm % 2 == 1 { 128 } else { 512 }), mib(4096)));
        rig.start(vm);
        if !rig.asked.contains_key(&VmId(vm)) {
            break;
        }
        rig.finish(vm);
    }
    // Σ startup + 8·n ≤ 31424.
    assert_eq!(rig.mapped.len(), 95);
}

#[test]
fn others_give_after_a_refusal_and_another_request_finds_it() {
    let mut rig = Rig::new(mib(1100), PageCount::ZERO, |_| ());
    rig.register(1, MemorySettings::dynamic(mib(900), mib(900)).with_minimum(mib(100)));
    rig.register(2, MemorySettings::fixed(mib(400)));
    rig.run(1);
    rig.start(2);
    assert_eq!(refusals(&rig), [(2, mib(408), mib(192), Some(60))]);
    rig.policy.set(1, mib(684));
    rig.wait();
    // What is there is set aside, what is missing is being taken.
    let ledger = rig.balancer.ledger();
    assert_eq!((ledger.set_aside, ledger.available), (mib(192), PageCount::ZERO));
    for _ in 0..3 {
        assert_eq!(rig.asked_to_give(1), Some(mib(64)));
        rig.finish(1);
    }
    assert_eq!(rig.asked_to_give(1), Some(mib(24)));
    rig.finish(1);
    assert!(rig.now < secs(30));
    rig.wait_until(secs(30));
    assert!(!rig.asked.contains_key(&VmId(2)), "refused is refused");
    rig.start(2);
    rig.finish(2);
    assert_eq!((rig.physical(1), rig.physical(2)), (mib(684), mib(400)));
    let ledger = rig.balancer.ledger();
    assert_eq!(
        (ledger.overhead, ledger.set_aside, ledger.available),
        (mib(16), PageCount::ZERO, PageCount::ZERO)
    );
}

#[test]
fn for_a_start_every_page_counts() {
    // Three VMs that keep 3 MB each above their targets would be 9 MB that the start never gets.
    let mut rig = Rig::new(mib(3 * 208 + 200), PageCount::ZERO, |_| ());
    for vm in 1..=3 {
        rig.register(vm, MemorySettings::dynamic(mib(200), mib(200)).with_minimum(mib(100)));
        rig.run(vm);
        rig.policy.set(vm, mib(197));
    }
    rig.register(4, MemorySettings::fixed(mib(201)));
    rig.wait();
    assert!(rig.asked.is_empty(), "without a start, 3 MB are not worth an operation");
    rig.start(4);
    rig.wait();
    rig.finish_all();
    rig.start(4);
    rig.finish(4);
    assert_eq!(rig.physical(4), mib(201));
}

#[test]
fn what_is_set_aside_goes_to_nobody_else() {
    let mut rig = Rig::new(mib(1100), PageCount::ZERO, |_| ());
    rig.register(1, MemorySettings::dynamic(mib(900), mib(1000)).with_minimum(mib(100)));
    rig.register(2, MemorySettings::fixed(mib(400)));
    rig.register(3, MemorySettings::fixed(mib(100)));
    rig.run(1);
    rig.start(2);
    rig.policy.set(1, mib(684));
    rig.wait();
    rig.finish(1);
    assert_eq!(rig.balancer.ledger().set_aside, mib(256));
    rig.start(3);
    assert!(!rig.asked.contains_key(&VmId(3)), "taken from what was set aside for VM2");
    for _ in 0..3 {
        rig.finish(1);
    }
    rig.start(2);
    rig.finish(2);
    assert_eq!(rig.physical(2), mib(400));
}

#[test]
fn what_was_collected_is_everybodys_again_after_a_while() {
    let mut rig = a_start_refused();
    rig.wait_until(secs(40));
    // Another request begins the time anew.
    rig.start(2);
    assert_eq!(refusals(&rig).last(), Some(&(2, mib(408), mib(192), Some(100))));
    rig.wait_until(secs(99));
    assert_eq!(rig.balancer.ledger().set_aside, mib(192));
    rig.wait_until(secs(100));
    assert_eq!(rig.balancer.ledger().set_aside, PageCount::ZERO);
    assert!(rig.said.iter().any(|output| matches!(output, Output::ReservationEnded { vm: VmId(2) })));
    assert_eq!(rig.faults(), []);
}

#[test]
fn a_vm_that_was_refused_can_be_forgotten() {
    let mut rig = a_start_refused();
    rig.wait();
    assert_eq!(rig.balancer.ledger().set_aside, mib(192));
    rig.balancer.unregister(VmId(2)).unwrap();
    assert_eq!(rig.balancer.ledger().available, mib(192));
    rig.check();
}

#[test]
fn the_policy_says_how_much_may_be_set_aside() {
    let mut rig = a_start_refused();
    rig.policy.script().for_starts = Some(mib(50));
    rig.wait();
    assert_eq!(rig.balancer.ledger().set_aside, mib(50));
    rig.policy.script().for_starts = Some(mib(20));
    rig.wait();
    assert_eq!(rig.balancer.ledger().set_aside, mib(20));
    rig.policy.script().for_starts = Some(PageCount::MAX);
    rig.wait();
    // No more than the targets leave: 1100 − 8 − 900.
    assert_eq!(rig.balancer.ledger().set_aside, mib(192));
    assert_eq!(refusals(&rig), [(2, mib(408), mib(192), Some(60))]);
    rig.wait_until(secs(60));
    assert_eq!(rig.balancer.ledger().available, mib(192));
}

#[test]
fn higher_weights_start_first() {
    let mut rig = Rig::new(mib(1100), PageCount::ZERO, |_| ());
    rig.register(1, MemorySettings::dynamic(mib(1000), mib(1000)).with_minimum(mib(100)));
    rig.register(2, MemorySettings::fixed(mib(200)).with_weight(1000));
    rig.register(3, MemorySettings::fixed(mib(200)).with_weight(9000));
    rig.register(4, MemorySettings::fixed(mib(200)).with_weight(1000));
    rig.run(1);
    for vm in 2..=4 {
        rig.start(vm);
    }
    let order: Vec<u32> = rig.balancer.waiting().map(|(vm, _)| vm.0).collect();
    assert_eq!(order, [3, 2, 4]);
    rig.policy.set(1, mib(700));
    rig.wait();
    while rig.asked.contains_key(&VmId(1)) {
        rig.finish(1);
    }
    for vm in 2..=4 {
        rig.start(vm);
    }
    assert!(rig.asked.contains_key(&VmId(3)) && !rig.asked.contains_key(&VmId(2)));
}

#[test]
fn a_start_can_be_given_up() {
    let mut rig = a_start_refused();
    rig.wait();
    assert_eq!(rig.balancer.ledger().set_aside, mib(192));
    rig.send(Input::StartCancelled { vm: VmId(2) });
    assert_eq!(rig.balancer.ledger().available, mib(192));
    rig.wait_until(secs(100));
    assert!(!rig.said.iter().any(|output| matches!(output, Output::ReservationEnded { .. })));
    rig.send(Input::StartCancelled { vm: VmId(2) });
    rig.start(3);
    assert_eq!(rig.faults(), [Fault::NotRunning(VmId(2)), Fault::NotRegistered(VmId(3))]);
}

#[test]
fn a_vm_that_restarts_begins_anew_and_its_counters_go_on() {
    let mut rig = host();
    rig.register(1, MemorySettings::dynamic(mib(512), mib(4096)));
    rig.run(1);
    rig.report(1, mib(500));
    rig.policy.set(1, mib(600));
    rig.wait();
    rig.finish_all();
    let before = rig.balancer.counters_of(VmId(1)).unwrap();
    assert_eq!((before.physical, before.added), (mib(600), mib(88)));
    rig.stop(1);
    let off = rig.balancer.counters_of(VmId(1)).unwrap();
    assert_eq!((off.running, off.physical, off.added), (false, PageCount::ZERO, mib(88)));
    rig.collect();
    rig.run(1);
    let after = rig.balancer.counters_of(VmId(1)).unwrap();
    assert_eq!((after.physical, after.guest_visible), (mib(512), mib(512)));
    assert_eq!((after.added, after.added_since_start), (mib(88), PageCount::ZERO));
    assert_eq!((after.demand, after.current_pressure), (None, None));
    rig.start(1);
    assert_eq!(rig.faults(), [Fault::NotOff(VmId(1))]);
}

#[test]
fn a_vm_that_restarts_keeps_its_place() {
    let rig = || {
        let mut rig = Rig::new(mib(1040), PageCount::ZERO, |_| ());
        for vm in 1..=2 {
            rig.register(vm, MemorySettings::dynamic(mib(512), mib(4096)));
            rig.run(vm);
        }
        rig.policy.set(1, mib(4096));
        rig.wait();
        rig
    };
    // Stopped and started: VM1 was first in line.
    let mut stopped = rig();
    stopped.stop(2);
    stopped.wait();
    stopped.collect();
    stopped.start(2);
    assert!(!stopped.asked.contains_key(&VmId(2)));
    // Restarted: what was its own is still.
    let mut restarted = rig();
    restarted.crash(2);
    restarted.send(Input::VmRestarts { vm: VmId(2) });
    restarted.wait();
    restarted.collect();
    restarted.finish(2);
    assert_eq!(restarted.physical(2), mib(512));
    assert_eq!(restarted.faults(), []);
}

/// A host of 1040 MB without reserve: VM1 has 612 of at least 512, and VM2, which starts with 512 and may have 200, has 400 and restarts.
fn restarts_with_too_little(config: impl FnOnce(&mut crate::BalancerConfig)) -> Rig {
    let mut rig = Rig::new(mib(1040), PageCount::ZERO, config);
    rig.register(1, MemorySettings::dynamic(mib(512), mib(1000)));
    rig.register(2, MemorySettings::dynamic(mib(512), mib(1000)).with_minimum(mib(200)));
    rig.run(1);
    rig.run(2);
    rig.policy.set(1, mib(612));
    rig.policy.set(2, mib(400));
    for _ in 0..4 {
        rig.wait();
        rig.finish_all();
    }
    assert_eq!((rig.physical(1), rig.physical(2)), (mib(612), mib(400)));
    rig.crash(2);
    rig.send(Input::VmRestarts { vm: VmId(2) });
    rig
}

#[test]
fn with_smart_paging_a_vm_restarts_with_what_there_is() {
    let mut rig = restarts_with_too_little(|config| *config = config.clone().with_smart_paging());
    assert!(!rig.asked.contains_key(&VmId(2)), "what was its own is not home yet");
    rig.collect();
    // VM1 could give 100, so that is waited for.
    assert!(!rig.asked.contains_key(&VmId(2)));
    rig.policy.script().targets.clear();
    rig.wait_until(secs(60));
    rig.finish(2);
    // Of 1040: 612 of VM1, and 8 of overhead of each.
    assert_eq!(rig.physical(2), mib(412));
    let counters = rig.balancer.counters_of(VmId(2)).unwrap();
    assert_eq!((counters.at_start, counters.guest_visible), (mib(412), mib(512)));
    assert_eq!(refusals(&rig), []);
}

#[test]
fn without_smart_paging_it_is_refused() {
    let mut rig = restarts_with_too_little(|_| ());
    rig.collect();
    rig.policy.script().targets.clear();
    rig.wait_until(secs(120));
    assert_eq!(refusals(&rig).len(), 1);
}

#[test]
fn smart_paging_does_not_wait_for_memory_that_nobody_can_give() {
    let mut rig = Rig::new(mib(1040), PageCount::ZERO, |config| *config = config.clone().with_smart_paging());
    rig.register(1, MemorySettings::fixed(mib(612)));
    rig.register(2, MemorySettings::dynamic(mib(412), mib(1000)).with_minimum(mib(200)));
    rig.run(1);
    rig.run(2);
    let bigger = MemorySettings::dynamic(mib(512), mib(1000)).with_minimum(mib(200));
    rig.balancer.configure(rig.now, VmId(2), bigger).unwrap();
    rig.crash(2);
    rig.send(Input::VmRestarts { vm: VmId(2) });
    rig.collect();
    rig.finish(2);
    assert_eq!((rig.now, rig.physical(2)), (secs(0), mib(412)));
}

#[test]
fn smart_paging_helps_no_vm_that_was_off_and_none_below_its_minimum() {
    let mut rig = Rig::new(mib(1040), PageCount::ZERO, |config| *config = config.clone().with_smart_paging());
    rig.register(1, MemorySettings::fixed(mib(612)));
    rig.register(2, MemorySettings::dynamic(mib(512), mib(1000)).with_minimum(mib(200)));
    rig.run(1);
    rig.start(2);
    assert_eq!(refusals(&rig), [(2, mib(520), mib(420), None)]);
    let mut rig = restarts_with_too_little(|config| *config = config.clone().with_smart_paging());
    rig.balancer.configure(rig.now, VmId(2), MemorySettings::dynamic(mib(512), mib(1000))).unwrap();
    // The minimum counts that it had when it restarted.
    rig.collect();
    rig.wait_until(secs(60));
    assert!(rig.asked.contains_key(&VmId(2)));
}

#[test]
fn smart_paging_needs_what_the_minimum_was_at_the_restart() {
    // Of 1040: 612 of VM1, and 8 of overhead of each. What is left is just the one minimum, and less than the other.
    for (minimum, started) in [(412, true), (413, false)] {
        let mut rig =
            Rig::new(mib(1040), PageCount::ZERO, |config| *config = config.clone().with_smart_paging());
        rig.register(1, MemorySettings::fixed(mib(612)));
        rig.register(2, MemorySettings::dynamic(mib(412), mib(1000)).with_minimum(mib(200)));
        rig.run(1);
        rig.run(2);
        let bigger = MemorySettings::dynamic(mib(512), mib(1000)).with_minimum(mib(minimum));
        rig.balancer.configure(rig.now, VmId(2), bigger).unwrap();
        rig.crash(2);
        rig.send(Input::VmRestarts { vm: VmId(2) });
        rig.collect();
        rig.wait_until(secs(100));
        assert_eq!(rig.asked.contains_key(&VmId(2)), started, "{minimum}");
        let refused = (!started).then_some((2, mib(520), mib(420), None));
        assert_eq!(refusals(&rig), Vec::from_iter(refused), "{minimum}");
    }
}

#[test]
fn smart_paging_does_not_hasten_a_start_that_is_no_restart() {
    let mut rig = Rig::new(mib(1100), PageCount::ZERO, |config| *config = config.clone().with_smart_paging());
    rig.register(1, MemorySettings::dynamic(mib(900), mib(1000)).with_minimum(mib(100)));
    rig.register(2, MemorySettings::dynamic(mib(400), mib(1000)).with_minimum(mib(50)));
    rig.run(1);
    rig.start(2);
    assert_eq!(refusals(&rig), [(2, mib(408), mib(192), Some(60))]);
    rig.wait_until(secs(100));
    assert!(!rig.asked.contains_key(&VmId(2)), "192 MB are more than its minimum, and it was off");
    assert!(rig.said.iter().any(|output| matches!(output, Output::ReservationEnded { vm: VmId(2) })));
}

#[test]
fn a_vm_whose_start_was_refused_does_not_start_by_itself() {
    let mut rig = a_start_refused();
    rig.crash(1);
    rig.collect();
    rig.send(Input::VmStopped { vm: VmId(1) });
    rig.wait_until(secs(100));
    assert!(!rig.asked.contains_key(&VmId(2)), "there is enough, and nobody has asked again");
    assert!(rig.said.iter().any(|output| matches!(output, Output::ReservationEnded { vm: VmId(2) })));
    rig.start(2);
    assert!(rig.asked.contains_key(&VmId(2)));
}

#[test]
fn nothing_is_collected_from_a_guest_that_cannot_balloon() {
    let mut rig = Rig::new(mib(1100), PageCount::ZERO, |_| ());
    rig.register(1, MemorySettings::dynamic(mib(900), mib(1000)).with_minimum(mib(100)));
    rig.register(2, MemorySettings::fixed(mib(400)));
    rig.start(1);
    rig.finish(1);
    rig.start(2);
    assert_eq!(refusals(&rig), [(2, mib(408), mib(192), None)], "it has not joined");
    rig.join(1);
    rig.start(2);
    assert_eq!(refusals(&rig)[1], (2, mib(408), mib(192), Some(60)));
}

#[test]
fn a_vm_that_restarts_is_not_off() {
    let mut rig = restarts_with_too_little(|_| ());
    assert_eq!(rig.balancer.unregister(VmId(2)), Err(RegisterError::InUse(VmId(2))));
    rig.start(2);
    assert_eq!(rig.faults(), [Fault::NotOff(VmId(2))]);
}
