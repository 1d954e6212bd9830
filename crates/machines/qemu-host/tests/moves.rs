//! Memory moves, and never more than there is.

use std::time::Duration;

use qemu_host::VmRules;
use qemu_host::pressure::HostMemoryState;
use qemu_host::test_support::Knobs;

use crate::rig::{Moment, Rig, mib};

fn used(mib: u64) -> u64 {
    mib << 20
}

/// From this second on the QEMUs together never can give their guests more than the budget.
fn never_beyond(moments: &[Moment], from: u64, budget_mib: u64) {
    for moment in moments.iter().filter(|moment| moment.snapshot.now.as_secs() >= from) {
        assert!(
            moment.may_have <= mib(budget_mib),
            "{:?}: {} MB",
            moment.snapshot.now,
            moment.may_have.whole_mib()
        );
    }
}

#[test]
fn memory_moves_from_the_idle_to_the_busy_and_back() {
    let vms = vec![Knobs::new("web", 512), Knobs::new("db", 512)];
    let (moments, _) = Rig::new(640, 240, vms)
        .at(60, |qemus| {
            qemus.with("web", |qemu| qemu.knobs.used = used(400));
        })
        .at(120, |qemus| {
            qemus.with("web", |qemu| qemu.knobs.used = used(64));
            qemus.with("db", |qemu| qemu.knobs.used = used(400));
        })
        .run();
    // Both had all of theirs, 1024 MB together: the budget is kept within half a minute.
    never_beyond(&moments, 30, 640);
    let (idle, busy, other) = (&moments[59], &moments[110], &moments[230]);
    assert_eq!(idle.has("web") + idle.has("db"), 640);
    // 400 MB of need and a buffer of 20 %.
    assert!(busy.has("web") >= 478, "{}", busy.has("web"));
    assert!(busy.has("db") <= 162, "{}", busy.has("db"));
    assert!(other.has("db") >= 478 && other.has("web") <= 162, "{} {}", other.has("db"), other.has("web"));
    // Settled: nothing moves any more.
    assert_eq!((moments[105].has("web"), moments[105].has("db")), (busy.has("web"), busy.has("db")));
}

#[test]
fn weights_decide_in_shortage() {
    let busy = |name| Knobs { used: used(450), ..Knobs::new(name, 512) };
    let (moments, _) = Rig {
        rules: |name| VmRules {
            minimum: Some(mib(64)),
            weight: if name == "dear" { 10_000 } else { 100 },
            ..VmRules::default()
        },
        ..Rig::new(700, 90, vec![busy("dear"), busy("cheap")])
    }
    .run();
    let end = moments.last().unwrap();
    assert!(end.snapshot.shortage);
    assert!(end.has("dear") > end.has("cheap") + 50, "{} {}", end.has("dear"), end.has("cheap"));
    never_beyond(&moments, 60, 700);
}

#[test]
fn without_shortage_no_guest_is_brought_below_what_it_needs() {
    // A policy that knows nothing of demand would bring both to the same share.
    let vms = vec![Knobs { used: used(450), ..Knobs::new("busy", 512) }, Knobs::new("idle", 512)];
    let (moments, _) = Rig { policy: "squeezed", ..Rig::new(640, 120, vms) }.run();
    let least = moments.iter().skip(10).map(|moment| moment.has("busy")).min();
    assert!(least >= Some(450), "{least:?}");
}

#[test]
fn a_dry_run_asks_for_nothing_and_tells_what_would_be() {
    let vms = vec![Knobs { used: used(400), ..Knobs::new("web", 512) }, Knobs::new("db", 512)];
    let (moments, qemus) = Rig { dry_run: true, ..Rig::new(640, 60, vms) }.run();
    qemus.each(|name, qemu| assert_eq!((name, qemu.asked.len(), qemu.actual), (name, 0, used(512))));
    let end = moments.last().unwrap();
    assert_eq!((end.has("web"), end.has("db")), (512, 512));
    assert!(end.assigned("web").unwrap() >= 478, "{:?}", end.assigned("web"));
    assert!(end.assigned("db").unwrap() <= 162, "{:?}", end.assigned("db"));
}

#[test]
fn every_policy_keeps_within_the_budget() {
    for entry in policy_catalogue::POLICIES.iter().filter(|entry| entry.name != policy_catalogue::CLAIRVOYANT)
    {
        let vms = vec![
            Knobs { used: used(300), ..Knobs::new("a", 512) },
            Knobs::new("b", 512),
            Knobs::new("c", 256),
        ];
        let rig = Rig { policy: entry.name, ..Rig::new(900, 300, vms) };
        let (moments, _) = rig
            .at(100, |qemus| {
                qemus.with("b", |qemu| qemu.knobs.used = used(300));
            })
            .run();
        // Growth beyond the budget is never given, whoever decides; a policy that does not shrink keeps what it found.
        let mut before = None;
        for moment in moments.iter().skip(60) {
            let allowed = before
                .map_or(mib(u64::from(u32::MAX)), |before: balancing_policy::PageCount| before.max(mib(900)));
            assert!(moment.may_have <= allowed, "{} at {:?}", entry.name, moment.snapshot.now);
            before = Some(moment.may_have);
        }
    }
}

/// The need of a guest as it was last heard at each moment.
fn heard(moments: &[Moment], name: &str) -> Vec<u64> {
    let demand = |moment: &Moment| {
        let vm = moment.snapshot.vms.iter().find(|vm| &*vm.name == name)?;
        Some(vm.seen.report?.1.demand.whole_mib())
    };
    moments.iter().map(|moment| demand(moment).unwrap_or(0)).collect()
}

#[test]
fn a_rise_of_a_guest_that_was_calm_is_heard_in_time() {
    // One with plenty and one with its buffer, calm for minutes.
    let vms = vec![Knobs { used: used(400), ..Knobs::new("buffer", 512) }, Knobs::new("plenty", 512)];
    for second in 200..206 {
        let (moments, _) = Rig::new(900, 240, vms.clone())
            .at(second, |qemus| {
                qemus.with("buffer", |qemu| qemu.knobs.used = used(430));
                qemus.with("plenty", |qemu| qemu.knobs.used = used(250));
            })
            .run();
        // A guest says something each second, and a moment is shown each second.
        for (name, rises_to, within) in [("buffer", 430, 3), ("plenty", 250, 5)] {
            let heard = heard(&moments, name);
            let at = heard.iter().position(|demand| *demand >= rises_to);
            let latest = usize::try_from(second).unwrap() + within + 2;
            assert!(at.is_some_and(|at| at <= latest), "{name} at {second}: {at:?}");
        }
    }
    // Whoever is short is heard each second.
    let vms = vec![
        Knobs { used: used(400), ..Knobs::new("a", 512) },
        Knobs { used: used(220), ..Knobs::new("b", 512) },
    ];
    let (moments, _) = Rig::new(640, 240, vms)
        .at(200, |qemus| {
            qemus.with("b", |qemu| qemu.knobs.used = used(200));
        })
        .run();
    assert!(moments[195].snapshot.shortage);
    let asked = |at: usize| moments[at].snapshot.vms.iter().map(|vm| vm.seen.asked_every.as_secs()).max();
    assert_eq!(asked(195), Some(1));
    let heard = heard(&moments, "b");
    assert!(heard[198] > 200 && heard[203] == 200, "{} {}", heard[198], heard[203]);
}

/// A host that is short of memory itself from this second on.
fn short_from<const SECOND: u64>(now: Duration) -> Option<HostMemoryState> {
    let available = if now < Duration::from_secs(SECOND) { mib(500) } else { mib(20) };
    Some(HostMemoryState { total: mib(1400), available, stalled_percent: 0.0 })
}

#[test]
fn when_the_host_comes_to_be_short_calm_guests_are_asked_at_once() {
    // One after another, so that a calm guest has been asked just before in one of them.
    for (second, host) in [
        (200, short_from::<200> as fn(_) -> _),
        (201, short_from::<201>),
        (202, short_from::<202>),
        (203, short_from::<203>),
        (204, short_from::<204>),
    ] {
        let vms = vec![Knobs::new("a", 300), Knobs::new("b", 300)];
        let (moments, _) = Rig { reserve: mib(200), host, ..Rig::new(900, 240, vms) }.run();
        let asked = |at: usize| moments[at].snapshot.vms.iter().map(|vm| vm.seen.asked_every.as_secs()).max();
        assert_eq!(asked(second - 1), Some(5), "{second}");
        // The host is looked at each second, and a question has its answer within another.
        assert_eq!(asked(second + 3), Some(1), "{second}");
    }
}
