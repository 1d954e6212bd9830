//! What goes wrong in one VM costs that VM, and nobody else.

use std::sync::Arc;

use balancing_policy::VmId;
use dm_vsc::{Faults, HotAddFault, StatusClaim};
use model_sync::Mutex;
use page_range::{GuestPage, GuestRange, PageCount};
use scenario::file::Patience;
use scenario::run::plan::Action;
use scenario::run::{Outcome, Point};
use vmms_host::{VmState, VmmsCommand};
use whole_stack_tests::journey::{self, s};
use whole_stack_tests::tapped::{Tap, Tapped};
use whole_stack_tests::world::{self, World};

/// Three VMs; VM2 is the one that goes wrong, under load.
fn scenario(host: &str, until: &str, what: &str) -> String {
    format!(
        r#"
until = "{until}"
[host]
memory = "{host}"
memory_reserve = "512MB"
[[vm]]
name = "VM{{n}}"
numbers = "1..3"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
maximum_bytes = "2GB"
[[timeline]]
at = "0s"
action = "start"
vm = "all"
[[timeline]]
at = "70s"
action = "set_workload"
vm = "all"
workload = {{ kind = "bursts", base = "300MB", size = "300MB", pause = "20s", length = "20s" }}
{what}
"#
    )
}

fn run(text: &str) -> Outcome {
    journey::run(journey::plan(text, 1), None).unwrap()
}

fn fault(at: &str, fault: &str, more: &str) -> String {
    format!(
        "[[timeline]]\nat = \"{at}\"\naction = \"inject_fault\"\nfault = \"{fault}\"\nvm = \"VM2\"\n{more}\n"
    )
}

fn at(outcome: &Outcome, seconds: u64) -> &Point {
    let points = outcome.points.all();
    &points[points.partition_point(|point| point.time < s(seconds)).min(points.len() - 1)]
}

/// The others run to the end, are heard, and go on getting and giving memory.
fn assert_others_go_on(outcome: &Outcome, after: u64) {
    for vm in [0, 2] {
        let summary = &outcome.summary.vms[vm];
        assert_eq!(
            (summary.state, summary.failures, summary.starts),
            (VmState::Running, 0, 1),
            "{}",
            summary.name
        );
        let (then, end) = (at(outcome, after).vms[vm], outcome.points.last().unwrap().vms[vm]);
        assert!(end.demand.is_some());
        assert!(end.operations > then.operations, "{} got and gave nothing after the fault", summary.name);
    }
}

fn panics_cost_only_their_vm(component: &str) {
    let text =
        scenario("4GB", "6m", &fault("150s", "component_panic", &format!("component = \"{component}\"")));
    let outcome = run(&text);
    assert_eq!(outcome.end.panics.len(), 1, "{:?}", outcome.end.panics);
    assert_eq!(outcome.end.panics[0].vm.as_deref(), Some("VM2"));
    assert_eq!((outcome.summary.vms[1].state, outcome.summary.vms[1].failures), (VmState::Failed, 1));
    let log = outcome.summary.event_log.iter().map(|event| event.text.as_str()).collect::<Vec<_>>();
    assert!(log.iter().any(|text| text.contains("'VM2' was terminated")), "{log:?}");
    let (before, after) = (at(&outcome, 149), at(&outcome, 152));
    assert!(before.vms[1].physical >= PageCount::from_mib(512));
    assert_eq!(after.vms[1].physical, PageCount::ZERO, "its frames are home");
    assert_others_go_on(&outcome, 152);
}

#[test]
fn a_panic_of_the_guest_costs_its_vm() {
    panics_cost_only_their_vm("guest");
}

#[test]
fn a_panic_of_the_vsc_costs_its_vm() {
    panics_cost_only_their_vm("dm-vsc");
}

#[test]
fn a_panic_of_the_worker_costs_its_vm() {
    panics_cost_only_their_vm("worker");
}

#[test]
fn a_vm_whose_worker_panicked_can_be_started_again() {
    let text = scenario("4GB", "6m", &fault("150s", "component_panic", "component = \"worker\""));
    let mut plan = journey::plan(&text, 1);
    // The file's check knows that VM2 was started, and not that it fails.
    journey::insert(
        &mut plan,
        s(170),
        Action::Start { vm: 1, while_host_used_below: None, patience: Patience::NONE },
    );
    let outcome = journey::run(plan, None).unwrap();
    let vm = &outcome.summary.vms[1];
    assert_eq!((vm.state, vm.failures, vm.starts), (VmState::Running, 1, 2));
    assert!(outcome.points.last().unwrap().vms[1].demand.is_some(), "it has joined again");
    assert_others_go_on(&outcome, 152);
}

#[test]
fn a_crash_costs_its_vm() {
    let outcome = run(&scenario("4GB", "6m", &fault("150s", "guest_crash", "")));
    assert_eq!(outcome.end.panics, []);
    assert_eq!((outcome.summary.vms[1].state, outcome.summary.vms[1].failures), (VmState::Failed, 1));
    assert_eq!(at(&outcome, 152).vms[1].physical, PageCount::ZERO);
    assert_others_go_on(&outcome, 152);
}

/// What it was asked stays asked: it takes part again when it has opened its channel anew.
#[test]
fn a_silent_guest_keeps_what_it_has_and_is_heard_again() {
    let silent = fault("150s", "guest_silent", "duration = \"4m\"");
    let anew = fault("400s", "guest_closes_channel", "duration = \"5s\"");
    let outcome = run(&scenario("3GB", "15m", &(silent + &anew)));
    assert_eq!(outcome.end.panics, []);
    let silent = outcome.points.all().iter().filter(|point| point.time > s(220) && point.time < s(385));
    let amounts: std::collections::BTreeSet<_> = silent.map(|point| point.vms[1].physical).collect();
    assert_eq!(
        amounts.len(),
        1,
        "nothing is added to or taken from a guest that does not answer: {amounts:?}"
    );
    assert!(at(&outcome, 399).vms[1].demand.is_some(), "it is heard");
    let (during, end) = (at(&outcome, 390).vms[1], outcome.points.last().unwrap().vms[1]);
    assert!(end.operations > during.operations, "it takes part again");
    assert_others_go_on(&outcome, 220);
}

/// What is wrong with a driver is still wrong after a reboot.
#[test]
fn a_silent_guest_is_silent_after_a_reboot() {
    let silent = fault("100s", "guest_silent", "duration = \"6m\"");
    let reboot = "[[timeline]]\nat = \"150s\"\naction = \"reboot\"\nvm = \"VM2\"\n";
    let anew = fault("470s", "guest_closes_channel", "duration = \"5s\"");
    let outcome = run(&scenario("4GB", "10m", &(silent + reboot + &anew)));
    assert_eq!(outcome.end.panics, []);
    assert!(at(&outcome, 140).vms[1].demand.is_some(), "it had been heard before");
    assert!(at(&outcome, 400).vms[1].demand.is_none(), "it has not said a word since its boot");
    assert!(at(&outcome, 500).vms[1].demand.is_some(), "it is heard when it is mended");
    assert_others_go_on(&outcome, 200);
}

/// Answers that come minutes late: nothing is lost, nothing is counted twice, and the others do not wait.
#[test]
fn late_answers_are_taken_when_they_come() {
    let mut plan = journey::plan(&scenario("3GB", "20m", ""), 1);
    let late = Faults::default().with(|c| c.answer_later = s(90));
    journey::insert(&mut plan, s(100), Action::SetFaults { vm: 1, faults: Box::new(late) });
    let outcome = journey::run(plan, None).unwrap();
    assert_eq!(outcome.end.panics, []);
    let vm = outcome.points.last().unwrap().vms[1];
    assert!(vm.operations > at(&outcome, 300).vms[1].operations, "late, but it answers");
    assert_others_go_on(&outcome, 120);
}

/// A guest that answers twice, gives away what is not its own, and lies about what it has.
#[test]
fn liars_harm_only_themselves() {
    let beyond = GuestRange::new(GuestPage(1 << 30), PageCount(9)).unwrap();
    let first = GuestRange::new(GuestPage(0), PageCount(4)).unwrap();
    let lies = [
        Faults::default().with(|c| c.answer_twice = true),
        Faults::default().with(|c| c.foreign_ranges = vec![beyond]),
        Faults::default().with(|c| c.foreign_ranges = vec![first, first]),
        Faults::default().with(|c| c.claim = Some(StatusClaim { available: u64::MAX, committed: u64::MAX })),
        Faults::default().with(|c| c.claim = Some(StatusClaim { available: 0, committed: 0 })),
        Faults::default().with(|c| c.balloon_percent = Some(10)),
        Faults::default().with(|c| c.hot_add = Some(HotAddFault::Percent(50))),
        Faults::default().with(|c| c.hot_add = Some(HotAddFault::RefuseForGood)),
    ];
    for lie in lies {
        let mut plan = journey::plan(&scenario("3GB", "10m", ""), 1);
        let what = format!("{lie:?}");
        journey::insert(&mut plan, s(100), Action::SetFaults { vm: 1, faults: Box::new(lie) });
        let outcome = journey::run(plan, None).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(outcome.end.panics, [], "{what}");
        assert_eq!(outcome.summary.vms[1].state, VmState::Running, "{what}");
        assert_others_go_on(&outcome, 150);
    }
}

#[test]
fn a_guest_that_refuses_hot_add_is_asked_again_later() {
    let outcome = run(&scenario("4GB", "12m", &fault("60s", "guest_refuses_hot_add", "duration = \"3m\"")));
    let (during, end) = (at(&outcome, 235), outcome.points.last().unwrap());
    assert_eq!(during.vms[1].physical, PageCount::from_mib(512), "it took nothing");
    assert!(during.vms[0].added > PageCount::ZERO, "another did");
    assert!(end.vms[1].added > PageCount::ZERO, "it was asked again");
    assert_others_go_on(&outcome, 240);
}

#[test]
fn garbage_costs_nothing_but_its_channel() {
    let outcome = run(&scenario("4GB", "6m", &fault("150s", "guest_sends_garbage", "")));
    assert_eq!(outcome.end.panics, []);
    assert_eq!(outcome.summary.vms[1].state, VmState::Running);
    assert_eq!(outcome.summary.vms[1].failures, 0);
    assert_others_go_on(&outcome, 152);
}

/// What a guest gave away before it closed its channel is stranded: charged to nobody, never given back.
#[test]
fn a_channel_that_is_closed_and_opened_again_serves_again() {
    let outcome = run(&scenario("3GB", "10m", &fault("150s", "guest_closes_channel", "duration = \"60s\"")));
    let (closed, end) = (at(&outcome, 200), outcome.points.last().unwrap());
    assert_eq!(closed.vms[1].physical, at(&outcome, 160).vms[1].physical, "nothing is asked of it meanwhile");
    assert!(end.vms[1].operations > closed.vms[1].operations, "it takes part again");
    assert_others_go_on(&outcome, 200);
}

#[test]
fn a_reboot_leaves_the_startup_ram() {
    let what = "[[timeline]]\nat = \"200s\"\naction = \"reboot\"\nvm = \"VM2\"\n";
    let outcome = run(&scenario("4GB", "10m", what));
    let (before, after) = (at(&outcome, 199).vms[1], at(&outcome, 203).vms[1]);
    assert!(before.physical > PageCount::from_mib(512), "it had grown");
    assert_eq!(after.physical, PageCount::from_mib(512));
    assert_eq!(outcome.summary.vms[1].starts, 1, "the same VM, another boot");
    assert_eq!(outcome.summary.vms[1].failures, 0);
    assert!(outcome.points.last().unwrap().vms[1].demand.is_some(), "it has joined again");
    assert_others_go_on(&outcome, 210);
}

/// A guest that has less than it starts with (a minimum below the startup RAM, as later versions have) starts again when
/// the balancer has found the rest.
#[test]
fn a_reboot_with_less_than_the_startup_ram_waits_for_the_rest() {
    let text = r#"
until = "12m"
[host]
memory = "2GB"
memory_reserve = "512MB"
[[vm]]
name = "VM{n}"
numbers = "1..2"
guest = "linux"
startup_bytes = "512MB"
minimum_bytes = "128MB"
maximum_bytes = "1300MB"
[[timeline]]
at = "0s"
action = "start"
vm = "all"
[[timeline]]
at = "60s"
action = "set_workload"
vm = "VM1"
workload = { kind = "step", to = "850MB" }
[[timeline]]
at = "240s"
action = "mark"
text = "VM2 has less than its startup RAM"
[[timeline]]
at = "241s"
action = "reboot"
vm = "VM2"
[[timeline]]
at = "241s"
action = "unload"
vm = "VM1"
"#;
    let outcome = run(text);
    assert!(at(&outcome, 240).vms[1].physical < PageCount::from_mib(512), "{:?}", at(&outcome, 240).vms[1]);
    let vm = &outcome.summary.vms[1];
    assert_eq!((vm.state, vm.failures), (VmState::Running, 0), "{:?}", outcome.summary.event_log);
    assert!(outcome.points.last().unwrap().vms[1].demand.is_some());
}

/// A reboot in the middle of everything: at each of many moments of a growth, down to the host's own 100 ms.
#[test]
fn a_reboot_at_any_moment_of_an_operation_loses_nothing() {
    let load = |at: &str| {
        format!(
            "[[timeline]]\nat = \"{at}\"\naction = \"set_workload\"\nvm = \"VM2\"\n\
             workload = {{ kind = \"step\", to = \"900MB\" }}\n"
        )
    };
    let mut in_transit = 0;
    for ms in (0..2000).step_by(40) {
        let reboot =
            format!("[[timeline]]\nat = \"{}ms\"\naction = \"reboot\"\nvm = \"VM2\"\n", 200_000 + ms);
        let outcome = run(&scenario("4GB", "6m", &(load("199s") + &reboot + &load("270s"))));
        in_transit += usize::from(at(&outcome, 200).host.in_transit > PageCount::ZERO);
        let end = outcome.points.last().unwrap().vms[1];
        assert!(end.demand.is_some() && end.running, "{ms}");
        // It takes part again: an operation that was never ended would be its last.
        assert!(end.added > at(&outcome, 260).vms[1].added, "{ms}");
    }
    assert!(in_transit > 0, "no reboot met an operation");
}

#[test]
fn vms_that_start_and_stop_all_the_time_lose_nothing() {
    let mut what = String::new();
    for (vm, every, turn_off) in [("VM1", 37, false), ("VM2", 23, true), ("VM3", 61, false)] {
        what += &format!(
            "[[timeline]]\nat = \"100s\"\nrepeat_every = \"{}s\"\naction = \"stop\"\nvm = \"{vm}\"\nturn_off = {turn_off}\n\
             [[timeline]]\nat = \"111s\"\nrepeat_every = \"{}s\"\naction = \"start\"\nvm = \"{vm}\"\n",
            2 * every,
            2 * every
        );
    }
    for schedule_seed in 0..8 {
        let plan = journey::plan(&scenario("3GB", "30m", &what), schedule_seed);
        let outcome = journey::run(plan, Some(schedule_seed)).unwrap();
        assert_eq!(outcome.end.panics, []);
        assert!(outcome.summary.vms.iter().all(|vm| vm.starts > 10 && vm.failures == 0));
    }
}

/// A hypervisor that cannot keep a guest from pages that it has given back: their frames stay the guest's, so that nobody else can get
/// them, and the guest that gave them loses its channel alone.
#[test]
fn pages_that_cannot_be_guarded_stay_the_guests() {
    let start = |cannot_guard: bool| {
        let tap = Arc::new(Mutex::new(Tap { cannot_guard, ..Tap::default() }));
        let giver = Tapped::new(world::ordinary("ws2008-r2-sp1-enterprise", 1), Arc::clone(&tap));
        let vms = vec![
            world::vm("VM1", world::settings(1024, 512, 1024), giver),
            world::vm("VM2", world::settings(512, 512, 512), world::ordinary("ws2008-r2-sp1-enterprise", 2)),
        ];
        // After VM1 and the reserve there are 320 MB: the rest of VM2's startup RAM is VM1's to give.
        let mut world = World::new(world::run_config(s(240), None), world::host_config(1600), vms);
        world.command_at(s(0), VmmsCommand::Start(VmId(0)));
        // Refused, as VM1 has not given it yet; then asked for again.
        world.command_at(s(90), VmmsCommand::Start(VmId(1)));
        world.command_at(s(120), VmmsCommand::Start(VmId(1)));
        // At the end of a run all memory is home: it is looked at before.
        let seen = Arc::new(Mutex::new(None));
        let eye = Arc::clone(&seen);
        world.at(s(230), move |_, hands| *eye.lock() = Some((hands.assigned(0), hands.vm(1).state)));
        world.run().assert_well();
        let (assigned, second) = seen.lock().take().unwrap();
        (assigned, second, tap.lock().not_guarded)
    };
    let (assigned, second, _) = start(false);
    assert!(assigned < PageCount::from_mib(1024) && second == VmState::Running, "{assigned}, {second:?}");
    assert!(assigned >= PageCount::from_mib(512), "{assigned}");
    let (assigned, second, not_guarded) = start(true);
    assert!(not_guarded > 0);
    assert_eq!(assigned, PageCount::from_mib(1024));
    assert_ne!(second, VmState::Running);
}
