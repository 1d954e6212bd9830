//! Any order of grow, shrink, refuse, crash and restart, on any number of VMs, conserves every frame.
//!
//! The runner checks at every sample that each frame of the host is in exactly one account, that every counter balances and that
//! every guest's own books are in order; and at the end that all memory is home.

use std::time::Duration;

use balancing_policy::MemorySettings;
use dm_vsc::{Faults, HotAddFault};
use guest_memory_manager::workload::{StepConfig, WorkloadConfig};
use page_range::PageCount;
use proptest::prelude::*;
use scenario::file::{Patience, VmComponent};
use scenario::run::plan::Action;
use whole_stack_tests::journey::{self, s};

/// Some VMs on a host that is too small for all they may want.
fn hosts(vms: usize, host_mb: u64) -> String {
    format!(
        r#"
until = "4m"
[host]
memory = "{host_mb}MB"
memory_reserve = "256MB"
edition = "unlimited"
[host.operations]
guest_balloon_per_mb = "5ms"
[[vm]]
name = "VM{{n}}"
numbers = "1..{vms}"
guest = "linux"
startup_bytes = "256MB"
minimum_bytes = "128MB"
maximum_bytes = "1GB"
[[timeline]]
at = "0s"
action = "start"
vm = "all"
every = "700ms"
"#
    )
}

fn action(vms: usize) -> impl Strategy<Value = Action> {
    let vm = || 0..vms;
    let memory = |mib: u64| PageCount::from_mib(mib);
    prop_oneof![
        4 => vm().prop_map(|vm| Action::Start { vm, while_host_used_below: None, patience: Patience::NONE }),
        12 => (vm(), 1..900u64).prop_map(move |(vm, to)| Action::Run {
            vm,
            name: "load".into(),
            workload: WorkloadConfig::Step(StepConfig {
                from: PageCount::ZERO,
                to: memory(to),
                after: Duration::ZERO,
                hold: None,
                active_share: 1.0,
            }),
        }),
        4 => vm().prop_map(|vm| Action::End { vm, name: "load".into() }),
        2 => vm().prop_map(Action::ShutDown),
        2 => vm().prop_map(Action::TurnOff),
        3 => vm().prop_map(Action::Restart),
        3 => vm().prop_map(Action::Reset),
        2 => vm().prop_map(Action::Crash),
        3 => vm().prop_map(Action::CloseChannels),
        4 => vm().prop_map(Action::ReopenChannels),
        1 => vm().prop_map(Action::SendGarbage),
        1 => vm().prop_map(|vm| Action::Panic(vm, VmComponent::Worker)),
        1 => vm().prop_map(|vm| Action::Panic(vm, VmComponent::DmVsc)),
        1 => vm().prop_map(|vm| Action::Panic(vm, VmComponent::Guest)),
        2 => (0..1500u64).prop_map(move |mib| Action::SetMemoryReserve(Some(memory(mib)))),
        2 => (vm(), 1..4u64).prop_map(move |(vm, size)| Action::Configure {
            vm,
            settings: MemorySettings::dynamic(memory(256), memory(256 * (size + 1)))
                .with_minimum(memory(256 / size))
                .with_weight(1000 * size as u32),
        }),
        6 => (vm(), faults()).prop_map(|(vm, faults)| Action::SetFaults { vm, faults: Box::new(faults) }),
    ]
}

fn faults() -> impl Strategy<Value = Faults> {
    let none = Faults::default;
    prop_oneof![
        3 => Just(none()),
        1 => Just(none().with(|c| c.never_answer = true)),
        1 => Just(none().with(|c| { c.never_answer = true; c.no_status = true; })),
        1 => (0..60_000u64).prop_map(move |ms| none().with(|c| c.answer_later = Duration::from_millis(ms))),
        1 => (0..100u8).prop_map(move |percent| none().with(|c| c.balloon_percent = Some(percent))),
        1 => Just(none().with(|c| c.answer_twice = true)),
        1 => Just(none().with(|c| c.hot_add = Some(HotAddFault::RefuseForNow))),
        1 => Just(none().with(|c| c.hot_add = Some(HotAddFault::RefuseForGood))),
        1 => (0..100u8).prop_map(move |percent| none().with(|c| c.hot_add = Some(HotAddFault::Percent(percent)))),
    ]
}

fn stories() -> impl Strategy<Value = (usize, u64, Vec<(u64, Action)>, u64)> {
    (1..7usize).prop_flat_map(|vms| {
        let deed = (15_000..235_000u64, action(vms));
        (Just(vms), 900..3000u64, prop::collection::vec(deed, 0..60), any::<u64>())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) })]

    #[test]
    fn any_story_conserves_every_frame((vms, host_mb, story, schedule_seed) in stories()) {
        let mut plan = journey::plan(&hosts(vms, host_mb), 1);
        for (ms, action) in story {
            journey::insert(&mut plan, Duration::from_millis(ms), action);
        }
        let panics = plan.timeline.iter().filter(|step| matches!(step.action, Action::Panic(..))).count();
        let outcome = journey::run(plan, Some(schedule_seed));
        let outcome = outcome.map_err(|error| TestCaseError::fail(error.to_string()))?;
        let unasked: Vec<_> =
            outcome.end.panics.iter().filter(|panic| !panic.message.contains("was told to panic")).collect();
        prop_assert!(unasked.is_empty(), "{unasked:?}");
        prop_assert!(outcome.end.panics.len() <= panics);
    }
}

/// Many VMs that start and stop on a host that balances: the same story under many schedules.
#[test]
fn many_schedules_of_many_vms_conserve_every_frame() {
    let text = hosts(12, 4096)
        + r#"
[[timeline]]
at = "30s"
action = "set_workload"
vm = "all"
every = "1s"
workload = { kind = "bursts", size = "300MB", pause = "10s", length = "10s" }
[[timeline]]
at = "40s"
repeat_every = "30s"
action = "stop"
vm = "VM1..VM4"
every = "1700ms"
turn_off = true
[[timeline]]
at = "55s"
repeat_every = "30s"
action = "start"
vm = "VM1..VM4"
every = "300ms"
[[timeline]]
at = "47s"
repeat_every = "20s"
action = "reboot"
vm = "VM5..VM8"
every = "900ms"
"#;
    let mut runs = std::collections::BTreeSet::new();
    for schedule_seed in 0..40 {
        let outcome = journey::run(journey::plan(&text, 1), Some(schedule_seed)).unwrap();
        assert_eq!(outcome.end.panics, []);
        assert!(outcome.summary.vms.iter().all(|vm| vm.failures == 0), "{schedule_seed}");
        let end = outcome.points.last().unwrap();
        assert_eq!(end.time, s(240));
        let assigned = outcome.points.all().iter().map(|point| point.host.assigned).collect::<Vec<_>>();
        runs.insert((outcome.end.wakes, assigned));
    }
    assert!(runs.len() > 10, "the schedules hardly differ: {}", runs.len());
}

/// What is set aside for a start that was refused is at home, too, when the run ends.
#[test]
fn memory_that_is_collected_when_the_run_ends_is_not_missing() {
    let text = r#"
until = "200s"
[host]
memory = "6GB"
memory_reserve = "1GB"
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1"
startup_bytes = "4GB"
minimum_bytes = "512MB"
maximum_bytes = "4GB"
[[vm]]
name = "VM2"
guest = "ws2008-r2-sp1"
startup_bytes = "3GB"
[[timeline]]
at = "0s"
action = "start"
vm = "VM1"
[[timeline]]
at = "180s"
action = "start"
vm = "VM2"
"#;
    let outcome = journey::run(journey::plan(text, 1), None).unwrap();
    assert_eq!(outcome.summary.vms[1].failed_starts, 1);
    let host = outcome.points.last().unwrap().host;
    // Memory In Transit counts what is set aside: all that VM2 needs.
    assert_eq!(host.in_transit, PageCount::from_mib(3 * 1024 + 8), "the story has changed: {host:?}");
}
