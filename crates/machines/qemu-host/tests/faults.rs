//! What goes wrong costs only the VM that it happens to, and nothing is promised twice.

use std::time::Duration;

use balancing_policy::PageCount;
use qemu_host::pressure::HostMemoryState;
use qemu_host::test_support::{FakeQemu, Knobs};

use crate::rig::{Rig, mib};

fn used(mib: u64) -> u64 {
    mib << 20
}

fn three() -> Vec<Knobs> {
    vec![Knobs::new("a", 512), Knobs::new("b", 512), Knobs::new("c", 512)]
}

#[test]
fn a_guest_without_a_driver_keeps_what_it_has_and_the_others_go_on() {
    let mut vms = three();
    vms[2].driver = false;
    let (moments, qemus) = Rig::new(900, 120, vms)
        .at(40, |qemus| {
            qemus.with("a", |qemu| qemu.knobs.used = used(250));
        })
        .run();
    let end = moments.last().unwrap();
    assert_eq!((end.has("c"), end.assigned("c")), (512, Some(512)));
    // 300 with its buffer, less what is not worth a move.
    assert!(end.has("a") >= 296, "{}", end.has("a"));
    assert_eq!(qemus.with("c", |qemu| qemu.asked.len()), Some(0));
    assert!(end.may_have <= mib(900));
}

#[test]
fn a_balloon_that_does_not_move_is_set_aside_and_costs_only_itself() {
    let mut vms = three();
    vms[1].moves = false;
    let (moments, qemus) = Rig::new(1000, 300, vms)
        .at(100, |qemus| {
            qemus.with("a", |qemu| qemu.knobs.used = used(300));
        })
        .run();
    let end = moments.last().unwrap();
    assert_eq!((end.has("b"), end.assigned("b")), (512, Some(512)));
    assert!(end.may_have <= mib(1000), "{:?}", end.may_have);
    assert!(end.has("a") >= 358, "{}", end.has("a"));
    // What was asked of it was taken back: it may have what it has.
    assert_eq!(qemus.with("b", |qemu| qemu.target), Some(512 << 20));
    // Asked now and then, not all the time.
    assert!(qemus.with("b", |qemu| qemu.asked.len()) < Some(40));
}

#[test]
fn a_guest_that_gives_a_part_keeps_the_rest_in_its_account() {
    let mut vms = three();
    vms[1].floor = used(400);
    let (moments, _) = Rig::new(1000, 200, vms).run();
    let end = moments.last().unwrap();
    assert_eq!((end.has("b"), end.assigned("b")), (400, Some(400)));
    assert!(end.may_have <= mib(1000));
}

#[test]
fn a_connection_that_is_lost_holds_its_vm_until_it_is_there_again() {
    let (moments, qemus) = Rig::new(900, 150, three())
        .at(60, |qemus| {
            qemus.with("b", |qemu| (qemu.knobs.hang_up, qemu.knobs.answers) = (true, false));
        })
        .at(61, |qemus| {
            qemus.with("a", |qemu| qemu.knobs.used = used(250));
        })
        .at(100, |qemus| {
            qemus.with("b", |qemu| qemu.knobs.hang_up = true);
            qemus.with("b", |qemu| qemu.knobs.answers = true);
        })
        .run();
    let before = moments[58].has("b");
    for moment in &moments[62..98] {
        assert_eq!(moment.has("b"), before);
        assert_eq!(moment.assigned("b"), Some(before), "{:?}", moment.snapshot.now);
    }
    assert_eq!(moments[80].held("b").as_deref(), Some("its QEMU cannot be reached"));
    let end = moments.last().unwrap();
    assert_eq!(end.held("b"), None);
    assert!(end.may_have <= mib(900));
    assert!(qemus.with("b", |qemu| qemu.actual).is_some());
}

#[test]
fn whoever_takes_connections_and_closes_them_is_not_asked_in_a_circle() {
    let (moments, qemus) = Rig::new(900, 150, three())
        .at(60, |qemus| {
            qemus.with("b", |qemu| (qemu.knobs.hang_up, qemu.knobs.closes) = (true, true));
        })
        .at(120, |qemus| {
            qemus.with("b", |qemu| qemu.knobs.closes = false);
        })
        .run();
    assert_eq!(moments[100].held("b").as_deref(), Some("its QEMU cannot be reached"));
    let connections = qemus.with("b", |qemu| qemu.connections).unwrap();
    assert!((30..90).contains(&connections), "{connections} connections in a minute");
    assert_eq!(moments[148].held("b"), None);
}

#[test]
fn a_qemu_that_hangs_is_left_alone_and_the_others_go_on() {
    let (moments, _) = Rig::new(900, 150, three())
        .at(60, |qemus| {
            qemus.with("b", |qemu| qemu.knobs.answers = false);
            qemus.with("a", |qemu| qemu.knobs.used = used(300));
        })
        .at(110, |qemus| {
            qemus.with("b", |qemu| qemu.knobs.answers = true);
        })
        .run();
    assert_eq!(moments[80].held("b").as_deref(), Some("its QEMU does not answer"));
    assert!(moments[105].has("a") > moments[58].has("a"), "{}", moments[105].has("a"));
    assert_eq!(moments[148].held("b"), None);
    for moment in &moments[40..] {
        assert!(moment.may_have <= mib(900), "{:?} {}", moment.snapshot.now, moment.may_have.whole_mib());
    }
}

#[test]
fn a_qemu_that_ends_in_the_middle_of_a_shrink_gives_everything() {
    let mut vms = three();
    // So slowly that it is in the middle of it.
    vms[1].rate = used(2);
    let (moments, _) = Rig::new(900, 120, vms)
        .at(12, |qemus| {
            qemus.with("b", |qemu| qemu.knobs.there = false);
            qemus.with("a", |qemu| qemu.knobs.used = used(380));
        })
        .run();
    let end = moments.last().unwrap();
    assert_eq!(end.assigned("b"), None);
    assert!(end.has("a") >= 450, "{}", end.has("a"));
    assert!(end.may_have <= mib(900));
}

#[test]
fn vms_come_and_go() {
    let mut vms = three();
    vms[2].there = false;
    let (moments, _) = Rig::new(900, 200, vms)
        .at(50, |qemus| {
            qemus.with("c", |qemu| qemu.knobs.there = true);
        })
        .at(120, |qemus| {
            qemus.with("c", |qemu| qemu.knobs.there = false);
        })
        .at(160, |qemus| {
            qemus.with("c", |qemu| qemu.knobs.there = true);
        })
        .run();
    assert_eq!((moments[40].assigned("c"), moments[140].assigned("c")), (None, None));
    // It came with all of its memory: the others give until all fits.
    assert!(moments[110].assigned("c").is_some());
    assert!(moments[110].may_have <= mib(900), "{}", moments[110].may_have.whole_mib());
    assert!(moments[199].assigned("c").is_some());
}

#[test]
fn a_guest_that_reboots_is_charged_with_all_that_it_can_have() {
    let (moments, _) = Rig::new(900, 150, three())
        .at(60, |qemus| {
            qemus.with("b", |qemu| qemu.knobs.reset = Some(Duration::from_secs(20)));
        })
        .run();
    let before = moments[58].has("b");
    assert!(before < 512);
    // QEMU says still what it had; the reserve bears what the guest can have beyond it.
    assert_eq!(moments[70].has("b"), before);
    let grown = moments[70].snapshot.reserve.saturating_sub(moments[58].snapshot.reserve);
    assert_eq!(grown.whole_mib(), 512 - before);
    let end = moments.last().unwrap();
    assert_eq!(end.snapshot.reserve, mib(64));
    assert!(end.may_have <= mib(900));
}

#[test]
fn nothing_is_asked_of_a_vm_that_is_paused_or_migrates() {
    let mut vms = three();
    (vms[1].running, vms[2].migrating) = (false, true);
    let (moments, qemus) = Rig::new(900, 60, vms)
        .at(30, |qemus| {
            qemus.with("b", |qemu| qemu.knobs.running = true);
        })
        .run();
    assert_eq!(moments[20].held("b").as_deref(), Some("it is paused"));
    assert_eq!(moments[20].held("c").as_deref(), Some("it is being migrated"));
    assert_eq!(qemus.with("c", |qemu| qemu.asked.len()), Some(0));
    assert_eq!(moments[20].has("b"), 512);
    assert!(moments.last().unwrap().has("b") < 512);
}

#[test]
fn a_daemon_that_comes_again_takes_over_from_what_is_without_a_jump() {
    let (moments, qemus) = Rig::new(900, 90, three()).run();
    let before: Vec<u64> = ["a", "b", "c"].map(|name| moments.last().unwrap().has(name)).to_vec();
    let mut left = Vec::new();
    for name in ["a", "b", "c"] {
        left.extend(qemus.with(name, |qemu| {
            let again = FakeQemu::new(qemu.knobs.clone());
            let mut again = std::mem::replace(qemu, again);
            again.asked.clear();
            again.resume();
            again
        }));
    }
    let (moments, qemus) = Rig { qemus: left, ..Rig::new(900, 60, Vec::new()) }.run();
    let after: Vec<u64> = ["a", "b", "c"].map(|name| moments.last().unwrap().has(name)).to_vec();
    assert_eq!(before, after);
    qemus.each(|name, qemu| assert!(qemu.asked.is_empty(), "{name}: {:?}", qemu.asked));
}

#[test]
fn reports_that_are_old_are_none() {
    let mut vms = three();
    vms[1].stamps_behind = 60;
    let (moments, qemus) = Rig::new(1200, 60, vms).run();
    assert_eq!(qemus.with("b", |qemu| qemu.asked.len()), Some(0));
    assert_eq!(moments.last().unwrap().has("b"), 512);
    assert!(moments.last().unwrap().has("a") < 512);
}

#[test]
fn a_guest_that_does_not_say_what_is_available_is_taken_at_what_is_free() {
    let mut vms = three();
    vms[0].without_available = true;
    let (moments, _) = Rig::new(900, 60, vms).run();
    assert!(moments.last().unwrap().has("a") < 512);
}

#[test]
fn a_host_that_is_short_itself_gets_memory_from_its_vms() {
    let short = |now: Duration| {
        let available = if now < Duration::from_secs(60) { mib(500) } else { mib(20) };
        Some(HostMemoryState { total: mib(1400), available, stalled_percent: 0.0 })
    };
    let rig = Rig { reserve: mib(400), host: short, ..Rig::new(1000, 120, three()) };
    let (moments, _) = rig.run();
    let sum = |at: usize| ["a", "b", "c"].map(|name| moments[at].has(name)).iter().sum::<u64>();
    assert_eq!(moments[110].snapshot.reserve, mib(400) + mib(180));
    assert!(sum(55) > 900 && sum(115) <= 820, "{} {}", sum(55), sum(115));
    let total: PageCount = moments[115].may_have;
    assert!(total <= mib(820));
}

#[test]
fn a_socket_that_serves_somebody_else_is_told_of() {
    let mut vms = three();
    vms[2].answers = false;
    let (moments, _) = Rig::new(900, 40, vms).run();
    let at = &moments[30];
    let (place, why) = &at.snapshot.troubles[0];
    assert!(place.ends_with("c.qmp") && why.contains("another program holds its QMP socket"), "{why}");
    assert_eq!(at.snapshot.vms.len(), 2);
}

#[test]
fn a_socket_that_the_daemons_user_may_not_write_to_is_told_of_and_tried_again() {
    let mut vms = three();
    vms[2].permitted = false;
    let (moments, _) = Rig::new(900, 60, vms)
        .at(40, |qemus| {
            qemus.with("c", |qemu| qemu.knobs.permitted = true);
        })
        .run();
    let (place, why) = &moments[30].snapshot.troubles[0];
    assert!(place.ends_with("c.qmp") && why.contains("this user may not write to the socket"), "{why}");
    let last = moments.last().unwrap();
    assert!(last.snapshot.troubles.is_empty() && last.snapshot.vms.len() == 3);
}

#[test]
fn a_qemu_that_closes_its_monitor_and_lives_keeps_its_account() {
    let (moments, _) = Rig::new(900, 120, three())
        .at(50, |qemus| {
            qemus.with("b", |qemu| (qemu.knobs.there, qemu.knobs.lives) = (false, true));
            // More than there is beside it.
            qemus.with("a", |qemu| qemu.knobs.used = used(400));
            qemus.with("c", |qemu| qemu.knobs.used = used(300));
        })
        .at(90, |qemus| {
            qemus.with("b", |qemu| qemu.knobs.lives = false);
        })
        .run();
    let kept = moments[49].assigned("b");
    assert_eq!(
        (moments[85].assigned("b"), moments[85].held("b").as_deref()),
        (kept, Some("its QEMU cannot be reached"))
    );
    // When the process has ended, others get what it had.
    assert_eq!(moments[110].assigned("b"), None);
    assert!(
        moments[115].has("a") > moments[85].has("a"),
        "{} {}",
        moments[85].has("a"),
        moments[115].has("a")
    );
}
