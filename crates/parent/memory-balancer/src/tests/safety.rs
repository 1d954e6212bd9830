//! What the engine makes of proposals and answers, good and bad.

use core::time::Duration;

use balancing_policy::{MemorySettings, ParentState};
use page_range::HostMemory;

use super::rig::{Asked, Rig, mib, secs};
use crate::{
    Correction, Decision, Done, Fault, Input, MemoryStatus, OperationId, Output, PageCount, Source,
    Stopwatch, VmId,
};

const SETTINGS: MemorySettings = MemorySettings::dynamic(mib(512), mib(4096)).with_minimum(mib(256));

/// A host of 10000 MB without reserve, and VMs that run with 512 MB each.
fn rig(vms: u32) -> Rig {
    let mut rig = Rig::new(mib(10_000), PageCount::ZERO, |_| ());
    for vm in 1..=vms {
        rig.register(vm, SETTINGS);
        rig.run(vm);
    }
    rig
}

fn decisions(rig: &Rig) -> Vec<Decision> {
    let decision = |output: &Output| match output {
        Output::Decision(decision) => Some(*decision),
        _ => None,
    };
    rig.said.iter().filter_map(decision).collect()
}

#[test]
fn memory_goes_where_the_policy_wants_it_in_operations_of_64_mb() {
    let mut rig = rig(2);
    rig.policy.set(1, mib(700));
    rig.wait();
    assert_eq!(rig.being_given(1), Some(mib(64)));
    let mut operations = 0;
    while rig.asked.contains_key(&VmId(1)) {
        rig.finish(1);
        operations += 1;
    }
    assert_eq!((rig.physical(1), operations), (mib(700), 3));
    let counters = rig.balancer.counters_of(VmId(1)).unwrap();
    assert_eq!((counters.added, counters.add_operations, counters.removed), (mib(188), 3, PageCount::ZERO));
    rig.policy.set(1, mib(600));
    rig.wait();
    assert_eq!(rig.asked_to_give(1), Some(mib(64)));
    rig.finish_all();
    assert_eq!(rig.physical(1), mib(600));
    let counters = rig.balancer.counters_of(VmId(1)).unwrap();
    assert_eq!((counters.removed, counters.remove_operations), (mib(100), 2));
    assert_eq!(counters.guest_visible, mib(700));
    assert_eq!(rig.physical(2), mib(512));
    assert_eq!(rig.balancer.system_counters().added, mib(188));
}

#[test]
fn what_was_ballooned_is_returned_before_anything_is_hot_added() {
    let mut rig = rig(1);
    rig.policy.set(1, mib(450));
    rig.wait();
    rig.finish_all();
    rig.policy.set(1, mib(470));
    rig.wait();
    assert!(matches!(rig.asked[&VmId(1)], Asked::Grow { unballoon, hot_add, .. }
        if unballoon == mib(20) && hot_add.is_zero()));
    rig.finish(1);
    rig.policy.set(1, mib(533));
    rig.wait();
    assert!(matches!(rig.asked[&VmId(1)], Asked::Grow { unballoon, hot_add, .. }
        if unballoon == mib(42) && hot_add == mib(22)));
}

#[test]
fn growth_comes_from_frames_that_have_arrived() {
    let mut rig = Rig::new(mib(1040), PageCount::ZERO, |_| ());
    for vm in 1..=2 {
        rig.register(vm, SETTINGS);
        rig.run(vm);
    }
    assert_eq!(rig.balancer.ledger().available, PageCount::ZERO);
    rig.policy.set(1, mib(552));
    rig.policy.set(2, mib(472));
    rig.wait();
    assert_eq!((rig.being_given(1), rig.asked_to_give(2)), (None, Some(mib(40))));
    // Rounds pass; there is still nothing to give.
    rig.wait();
    assert_eq!(rig.being_given(1), None);
    rig.finish(2);
    assert_eq!(rig.being_given(1), Some(mib(40)));
    rig.finish(1);
    assert_eq!((rig.physical(1), rig.physical(2)), (mib(552), mib(472)));
}

#[test]
fn nonsense_is_corrected_and_recorded() {
    let mut rig = rig(3);
    rig.policy.set(1, PageCount::ZERO);
    rig.policy.set(2, PageCount::MAX);
    rig.wait();
    let corrections: Vec<_> =
        decisions(&rig).iter().map(|decision| (decision.vm.0, decision.correction)).collect();
    assert_eq!(
        corrections,
        [(1, Some(Correction::BelowLowest)), (2, Some(Correction::AboveHighest)), (3, None)]
    );
    assert_eq!(rig.balancer.target(VmId(1)).unwrap().pages, mib(256));
    assert_eq!(rig.balancer.target(VmId(2)).unwrap().pages, mib(4096));
    assert_eq!(decisions(&rig)[1].proposed, PageCount::MAX);
}

#[test]
fn more_than_the_capacity_is_cut_from_growth_in_proportion() {
    let mut rig = rig(3);
    for vm in 1..=3 {
        rig.policy.set(vm, mib(4096));
    }
    rig.wait();
    let targets: Vec<u64> = (1..=3).map(|vm| rig.balancer.target(VmId(vm)).unwrap().pages.get()).collect();
    let capacity = mib(10_000 - 24).get();
    let sum: u64 = targets.iter().sum();
    assert!(sum <= capacity && sum + 3 >= capacity, "{targets:?}");
    assert!(targets.iter().all(|target| target.abs_diff(targets[0]) <= 1), "{targets:?}");
    assert!(decisions(&rig).iter().all(|decision| decision.correction == Some(Correction::OverCapacity)));
}

#[test]
fn a_policy_that_panics_loses_its_round_and_the_last_targets_hold() {
    let mut rig = rig(2);
    rig.policy.set(1, mib(700));
    rig.wait();
    rig.policy.script().panics = true;
    rig.policy.set(1, mib(300));
    rig.wait();
    let failed = rig.said.iter().find_map(|output| match output {
        Output::PolicyFailed { policy, message } => Some((policy.to_string(), message.clone())),
        _ => None,
    });
    assert_eq!(failed, Some(("scripted".to_owned(), "panicked: as the test wants".to_owned())));
    assert_eq!(rig.balancer.target(VmId(1)).unwrap().pages, mib(700));
    while rig.asked.contains_key(&VmId(1)) {
        rig.finish(1);
    }
    assert_eq!(rig.physical(1), mib(700));
    // The lock of the scripted policy is poisoned by its own panic; the balancer is not.
    assert!(rig.balancer.next_timeout().unwrap() > rig.now);
}

#[test]
fn a_policy_that_gives_no_targets_loses_its_round() {
    let mut rig = rig(2);
    rig.policy.set(1, mib(700));
    rig.wait();
    rig.policy.script().takes_targets = true;
    rig.wait();
    assert!(rig.said.iter().any(|output| matches!(output, Output::PolicyFailed { message, .. }
        if message == "gave 0 targets for 2 VMs")));
    let target = rig.balancer.target(VmId(1)).unwrap();
    assert_eq!((target.pages, target.reason.rule()), (mib(700), "scripted"));
    assert_eq!(rig.balancer.target(VmId(2)).unwrap().pages, mib(512));
}

#[test]
fn a_policy_that_takes_too_long_loses_its_round() {
    let mut rig = rig(1);
    let slow = core::cell::Cell::new(0);
    let clock = move || {
        slow.set(slow.get() + 3);
        secs(slow.get())
    };
    rig.balancer = rig.balancer.with_stopwatch(Stopwatch::new(Box::new(clock), secs(2)));
    rig.policy.set(1, mib(700));
    rig.wait();
    assert!(rig.said.iter().any(|output| matches!(output, Output::PolicyFailed { message, .. }
        if message == "took 3s, the limit is 2s")));
    assert_eq!(rig.balancer.target(VmId(1)).unwrap().pages, mib(512));
}

#[test]
fn a_paging_parent_slows_the_round() {
    let mut rig = rig(1);
    rig.wait();
    assert_eq!(rig.balancer.next_timeout(), Some(secs(2)));
    rig.send(Input::ParentState(ParentState::new(56.0, 4.5)));
    rig.wait();
    assert_eq!(rig.balancer.next_timeout(), Some(Duration::from_millis(6500)));
    // Whatever is claimed, time goes on.
    rig.send(Input::ParentState(ParentState::new(0.0, f64::NAN)));
    rig.wait();
    assert_eq!(rig.balancer.next_timeout(), Some(Duration::from_millis(7500)));
}

#[test]
fn a_policy_may_ask_to_be_called_again() {
    let mut rig = rig(1);
    rig.policy.script().call_again_at = Some(Duration::from_millis(1250));
    rig.wait();
    assert_eq!(rig.balancer.next_timeout(), Some(Duration::from_millis(1250)));
    // In the past is as soon as can be, or virtual time would stand still.
    rig.wait();
    assert_eq!(rig.balancer.next_timeout(), Some(Duration::from_millis(1300)));
}

#[test]
fn a_vm_that_does_not_answer_keeps_what_it_has() {
    let mut rig = rig(2);
    rig.policy.set(1, mib(300));
    rig.wait();
    assert_eq!(rig.asked_to_give(1), Some(mib(64)));
    rig.send(Input::Responsive { vm: VmId(1), responsive: false });
    rig.policy.set(1, mib(3000));
    rig.policy.set(2, mib(600));
    rig.wait();
    let view = &rig.balancer.vms()[0];
    assert!(!view.responsive && !view.can_move());
    assert_eq!((view.lowest, view.highest), (mib(512), mib(512)));
    // The other one is none the worse for it.
    assert_eq!(rig.being_given(2), Some(mib(64)));
    // The late answer counts.
    rig.finish(1);
    assert_eq!(rig.physical(1), mib(448));
    rig.send(Input::Responsive { vm: VmId(1), responsive: true });
    rig.wait();
    assert_eq!(rig.being_given(1), Some(mib(64)));
    assert_eq!(rig.faults(), []);
}

#[test]
fn silence_sets_a_vm_aside_until_it_reports_again() {
    let mut rig = rig(1);
    rig.report(1, mib(400));
    rig.wait_until(secs(29));
    assert!(rig.balancer.vms()[0].responsive);
    rig.wait_until(secs(30));
    assert!(!rig.balancer.vms()[0].responsive);
    rig.report(1, mib(400));
    assert!(rig.balancer.vms()[0].responsive);
}

#[test]
fn a_guest_that_gives_less_than_asked_is_left_alone_for_a_while() {
    let mut rig = rig(2);
    rig.policy.set(1, mib(300));
    rig.wait();
    rig.finish_with(1, mib(10), false);
    assert_eq!(rig.balancer.vms()[0].lowest, mib(502));
    rig.wait_until(secs(5));
    assert_eq!(rig.asked_to_give(1), None);
    rig.wait_until(secs(6));
    assert_eq!(rig.asked_to_give(1), Some(mib(64)));
    rig.finish_with(1, PageCount::ZERO, false);
    rig.wait_until(secs(15));
    assert_eq!(rig.asked_to_give(1), None);
    rig.wait_until(secs(16));
    assert_eq!(rig.asked_to_give(1), Some(mib(64)));
}

#[test]
fn a_guest_that_takes_less_than_granted_gets_the_rest_taken_back() {
    let mut rig = rig(1);
    rig.policy.set(1, mib(600));
    rig.wait();
    let available = rig.balancer.ledger().available;
    rig.finish_with(1, mib(24), false);
    assert_eq!(rig.physical(1), mib(536));
    assert_eq!(rig.balancer.ledger().available, available + mib(40));
    assert_eq!(rig.being_given(1), None);
    rig.wait_until(secs(7));
    assert_eq!(rig.being_given(1), Some(mib(64)));
}

#[test]
fn behind_a_barrier_only_what_was_ballooned_comes_back() {
    let mut rig = rig(1);
    rig.policy.set(1, mib(500));
    rig.wait();
    rig.finish(1);
    rig.policy.set(1, mib(600));
    rig.wait();
    let Some(Asked::Grow { operation, frames, .. }) = rig.asked.remove(&VmId(1)) else { panic!() };
    let done = Done::Grown { mapped: PageCount::ZERO, returned: frames, barrier: true };
    rig.send(Input::OperationFinished { vm: VmId(1), operation, done, returnable: mib(12) });
    assert_eq!(rig.being_given(1), Some(mib(12)));
    assert_eq!(rig.balancer.vms()[0].highest, mib(512));
    rig.finish(1);
    rig.wait_until(secs(600));
    assert_eq!(rig.being_given(1), None);
    // Until it joins anew.
    rig.join(1);
    rig.wait();
    assert_eq!(rig.being_given(1), Some(mib(64)));
}

#[test]
fn who_has_not_joined_or_has_left_stays_as_it_is() {
    let mut rig = Rig::new(mib(10_000), PageCount::ZERO, |_| ());
    rig.register(1, SETTINGS);
    rig.start(1);
    rig.finish(1);
    rig.policy.set(1, mib(400));
    rig.wait();
    assert!(rig.asked.is_empty());
    rig.join(1);
    rig.wait();
    assert_eq!(rig.asked_to_give(1), Some(mib(64)));
    rig.finish_all();
    rig.send(Input::Left { vm: VmId(1) });
    rig.policy.set(1, mib(500));
    rig.wait();
    assert!(rig.asked.is_empty());
    assert_eq!(rig.balancer.vms()[0].returnable, PageCount::ZERO);
}

#[test]
fn what_the_guest_returns_in_pieces_counts_as_it_comes() {
    let mut rig = rig(1);
    rig.policy.set(1, mib(450));
    rig.wait();
    let first = rig.mapped.get_mut(&VmId(1)).unwrap().take(mib(30)).unwrap();
    rig.send(Input::Returned { vm: VmId(1), frames: first });
    assert_eq!(rig.physical(1), mib(482));
    assert_eq!(rig.balancer.vms()[0].expected(), mib(450));
    let Some(Asked::Shrink { operation, .. }) = rig.asked.remove(&VmId(1)) else { panic!() };
    let rest = rig.mapped.get_mut(&VmId(1)).unwrap().take(mib(32)).unwrap();
    let done = Done::Shrunk { released: mib(32), returned: rest };
    rig.send(Input::OperationFinished { vm: VmId(1), operation, done, returnable: mib(62) });
    let counters = rig.balancer.counters_of(VmId(1)).unwrap();
    assert_eq!((counters.physical, counters.removed, counters.remove_operations), (mib(450), mib(62), 1));
    assert_eq!(rig.faults(), []);
}

#[test]
fn answers_that_fit_nothing_are_faults_and_lose_no_frame() {
    let mut rig = rig(2);
    let none = rig.mapped[&VmId(1)].empty_like();
    let done = Done::Shrunk { released: PageCount::ZERO, returned: none };
    rig.send(Input::OperationFinished { vm: VmId(1), operation: OperationId(99), done, returnable: mib(0) });
    // It says that it grew when it was asked to give.
    rig.policy.set(1, mib(450));
    rig.wait();
    let Some(Asked::Shrink { operation, .. }) = rig.asked.remove(&VmId(1)) else { panic!() };
    let given = rig.mapped.get_mut(&VmId(1)).unwrap().take(mib(7)).unwrap();
    let done = Done::Grown { mapped: mib(64), returned: given, barrier: false };
    rig.send(Input::OperationFinished { vm: VmId(1), operation, done, returnable: mib(0) });
    // It says that more was mapped than granted.
    rig.policy.set(2, mib(540));
    rig.wait();
    let Some(Asked::Grow { operation, frames, .. }) = rig.asked.remove(&VmId(2)) else { panic!() };
    let done = Done::Grown { mapped: PageCount::MAX, returned: frames, barrier: false };
    rig.send(Input::OperationFinished { vm: VmId(2), operation, done, returnable: mib(0) });
    assert_eq!(
        rig.faults(),
        [
            Fault::NoSuchOperation { vm: VmId(1), operation: OperationId(99) },
            Fault::BeyondOperation { vm: VmId(1), operation: OperationId(1) },
            Fault::BeyondOperation { vm: VmId(2), operation: OperationId(3) },
        ]
    );
    assert_eq!(rig.physical(2), mib(512));
    rig.stop(1);
    rig.stop(2);
    rig.collect();
    assert_eq!(rig.balancer.ledger().available, mib(10_000));
}

#[test]
fn frames_of_another_host_go_to_their_own_home() {
    let mut rig = rig(1);
    let (elsewhere, frames) = HostMemory::new(mib(10), std::sync::Arc::new(|| ()));
    rig.send(Input::FramesHome(frames));
    assert_eq!(elsewhere.returned_pages(), mib(10));
    rig.policy.set(1, mib(450));
    rig.wait();
    let Some(Asked::Shrink { operation, .. }) = rig.asked.remove(&VmId(1)) else { panic!() };
    let done = Done::Shrunk { released: PageCount::ZERO, returned: elsewhere.collect() };
    rig.send(Input::OperationFinished { vm: VmId(1), operation, done, returnable: mib(0) });
    assert_eq!(elsewhere.returned_pages(), mib(10));
    assert_eq!(rig.faults(), [Fault::ForeignFrames, Fault::ForeignFrames]);
    assert!(rig.balancer.vms()[0].pending.is_none(), "the operation is over all the same");
}

#[test]
fn frames_may_come_home_before_their_vm_is_known_to_be_gone() {
    let mut rig = rig(2);
    rig.policy.set(1, mib(576));
    rig.wait();
    let before = rig.balancer.ledger().available;
    rig.crash(1);
    rig.collect();
    // Nobody else may have them yet: the books still have them with VM1.
    assert_eq!(rig.balancer.ledger().available, before);
    rig.send(Input::VmStopped { vm: VmId(1) });
    assert_eq!(rig.balancer.ledger().available, before + mib(576) + mib(8));
    // The other way round.
    let before = rig.balancer.ledger().available;
    rig.stop(2);
    assert_eq!(rig.balancer.ledger().coming_home, mib(512));
    assert_eq!(rig.balancer.ledger().available, before + mib(8));
    rig.collect();
    assert_eq!(rig.balancer.ledger().available, mib(10_000));
}

#[test]
fn a_reserve_that_grows_is_made_complete_before_anyone_gets_more() {
    let mut rig = rig(2);
    rig.policy.set(1, mib(4096));
    rig.policy.set(2, mib(4096));
    rig.wait();
    while !rig.asked.is_empty() {
        rig.finish_all();
    }
    assert_eq!(rig.balancer.ledger().available, mib(10_000 - 2 * 4104));
    rig.send(Input::SetReserve(mib(3000)));
    let ledger = rig.balancer.ledger();
    assert_eq!((ledger.reserve, ledger.available), (mib(1792), PageCount::ZERO));
    rig.policy.set(1, mib(2880));
    rig.wait();
    rig.finish_all();
    let ledger = rig.balancer.ledger();
    assert_eq!((ledger.reserve, ledger.available), (mib(3000), mib(8)));
    rig.send(Input::SetReserve(PageCount::ZERO));
    assert_eq!(rig.balancer.ledger().available, mib(3008));
}

#[test]
fn the_pool_serves_high_weights_first() {
    let mut rig = Rig::new(mib(3 * 520 + 64), PageCount::ZERO, |_| ());
    for (vm, weight) in [(1, 2000), (2, 9000), (3, 5000)] {
        rig.register(vm, SETTINGS.with_weight(weight));
        rig.run(vm);
    }
    for vm in 1..=3 {
        rig.policy.set(vm, mib(532));
    }
    rig.policy.set(1, mib(540));
    rig.wait();
    // 20 + 20 for the others leave 24 of 28.
    assert_eq!([2, 3, 1].map(|vm| rig.being_given(vm)), [Some(mib(20)), Some(mib(20)), Some(mib(24))]);
}

#[test]
fn memory_status_is_that_of_get_vm() {
    let mut rig = rig(1);
    for (demand, status) in [
        (400, MemoryStatus::Ok),
        (430, MemoryStatus::Low),
        (512, MemoryStatus::Low),
        (513, MemoryStatus::Warning),
    ] {
        rig.report(1, mib(demand));
        assert_eq!(rig.balancer.counters_of(VmId(1)).unwrap().status, Some(status), "{demand}");
    }
    let pressure = rig.balancer.counters_of(VmId(1)).unwrap().current_pressure.unwrap();
    assert!((pressure - 100.195).abs() < 0.001);
    assert!((rig.balancer.system_counters().average_pressure - pressure).abs() < 1e-9);
}

#[test]
fn settings_can_be_changed_while_a_vm_runs() {
    let mut rig = rig(1);
    rig.policy.set(1, mib(4096));
    rig.balancer.configure(rig.now, VmId(1), SETTINGS.with_buffer(1)).unwrap_err();
    let lowered = SETTINGS.with_maximum(mib(520));
    rig.balancer.configure(rig.now, VmId(1), lowered).unwrap();
    rig.wait();
    rig.finish(1);
    assert_eq!(rig.physical(1), mib(520));
    let lower = SETTINGS.with_maximum(mib(512));
    rig.balancer.configure(rig.now, VmId(1), lower).unwrap();
    rig.wait();
    rig.finish(1);
    assert_eq!(rig.physical(1), mib(512));
    rig.balancer.unregister(VmId(1)).unwrap_err();
    rig.stop(1);
    rig.balancer.unregister(VmId(1)).unwrap();
    rig.balancer.unregister(VmId(1)).unwrap_err();
}

/// What moved to a VM, in MiB, by source.
fn moved_to(rig: &Rig, vm: u32) -> Vec<(Source, f64)> {
    let to = rig.balancer.memory_moved().filter(|&(_, to, _)| to == VmId(vm));
    to.map(|(source, _, pages)| (source, pages.mib())).collect()
}

#[test]
fn whose_memory_a_vm_was_given_is_known() {
    // Room for two VMs and 24 MB more.
    let mut rig = Rig::new(mib(1048), PageCount::ZERO, |config| config.overhead_per_vm = PageCount::ZERO);
    for vm in 1..=2 {
        rig.register(vm, SETTINGS);
        rig.run(vm);
    }
    assert_eq!(moved_to(&rig, 2), [(Source::Free, 512.0)]);
    rig.said.clear();
    rig.policy.set(1, mib(462));
    rig.policy.set(2, mib(586));
    rig.wait();
    rig.finish_all();
    assert_eq!((rig.physical(1), rig.physical(2)), (mib(462), mib(586)));
    assert_eq!(moved_to(&rig, 2), [(Source::Free, 536.0), (Source::Vm(VmId(1)), 50.0)]);
    let moved: PageCount = rig
        .said
        .iter()
        .filter_map(|output| match output {
            Output::Moved { vm: VmId(2), operation: Some(_), origins } => Some(origins),
            _ => None,
        })
        .flatten()
        .map(|origin| origin.pages)
        .sum();
    assert_eq!(moved, mib(74));
    // And back.
    rig.policy.set(1, mib(512));
    rig.policy.set(2, mib(536));
    rig.wait();
    rig.finish_all();
    assert_eq!(moved_to(&rig, 1), [(Source::Free, 512.0), (Source::Vm(VmId(2)), 50.0)]);
}

#[test]
fn nobody_pays_while_the_host_has_memory_of_its_own() {
    let mut rig = rig(2);
    rig.policy.set(1, mib(462));
    rig.wait();
    rig.finish_all();
    rig.policy.set(2, mib(562));
    rig.wait();
    rig.finish_all();
    let overhead = rig.balancer.config().overhead_per_vm.mib();
    assert_eq!(moved_to(&rig, 2), [(Source::Free, 512.0 + overhead + 50.0)]);
}

/// A VM that gives up first and another that grows a round later, as a policy does that gives only what has arrived.
#[test]
fn who_gave_first_has_paid_for_what_grows_later() {
    let mut rig = Rig::new(mib(1024), PageCount::ZERO, |config| config.overhead_per_vm = PageCount::ZERO);
    for vm in 1..=2 {
        rig.register(vm, SETTINGS);
        rig.run(vm);
    }
    rig.policy.set(1, mib(462));
    rig.wait();
    rig.finish_all();
    rig.policy.set(2, mib(562));
    rig.wait();
    rig.finish_all();
    assert_eq!(moved_to(&rig, 2), [(Source::Free, 512.0), (Source::Vm(VmId(1)), 50.0)]);
}

#[test]
fn inputs_and_outputs_are_recorded_with_runs_for_frames() {
    let (_memory, mut frames) = HostMemory::new(mib(4), std::sync::Arc::new(|| ()));
    let grant = Output::Grant {
        vm: VmId(7),
        operation: OperationId(3),
        frames: frames.take(mib(2)).unwrap(),
        target: mib(514),
    };
    let text = serde_json::to_string(&grant).unwrap();
    assert!(text.starts_with(r#"{"grant":{"vm":7,"operation":3,"frames":"#), "{text}");
    let text = serde_json::to_string(&Input::FramesHome(frames)).unwrap();
    assert!(text.starts_with(r#"{"frames_home":"#), "{text}");
}

/// Two Linux guests, which take memory in blocks of 128 MB, on a host on which less than that is free: the one that needs more
/// gets it from the other, and what it did not need of the block is given back. Then nothing moves any more.
#[test]
fn a_guest_with_large_granules_does_not_wait_for_ever() {
    let policy = crate::hyperv::PressureBandPolicy::default();
    let mut rig = Rig::with_policy(
        mib(1328),
        PageCount::ZERO,
        |_| (),
        Box::new(policy),
        super::rig::Scripted::default(),
    );
    for vm in 1..=2 {
        rig.register(vm, MemorySettings::dynamic(mib(512), mib(1024)).with_minimum(mib(256)));
        rig.start(vm);
        rig.finish(vm);
        rig.join_with(vm, mib(128));
    }
    let mut course = |demands: [u64; 2], seconds: u32| {
        for _ in 0..seconds {
            for (vm, demand) in (1..).zip(demands) {
                rig.report(vm, mib(demand));
            }
            rig.wait_until(rig.now + secs(1));
            rig.finish_all();
        }
        [1, 2].map(|vm| rig.physical(vm).whole_mib())
    };
    // The first eats, and grows from what is free.
    let first = course([610, 160], 30);
    assert!((732..=769).contains(&first[0]), "{first:?}");
    // The second lacks 64 MB. 48 MB are free, and the first has 36 MB more than it wants: less than a block in all.
    let both = course([610, 480], 60);
    assert!(both[1] >= 576 && both[0] >= 728 && both[0] + both[1] <= 1328, "{both:?}");
    assert_eq!(course([610, 480], 30), both, "nothing moves any more");
    assert_eq!(rig.faults(), []);
}
