//! One event against one operation, in every order there is.
//!
//! A run without the event gives every instant at which anything happens while an operation is under way. Then, for each of
//! these instants, the same run is made again with the event just before it and just after it. The runtime is deterministic,
//! so these are all the places in which the event can fall among the wakes of that run.

use std::collections::BTreeSet;
use std::time::Duration;

use component_runtime::Driver;
use page_range::PageCount;
use run_journal::events::Reader;
use run_journal::{EVENTS_FILE, Record};
use scenario::file::VmComponent;
use scenario::run::Plan;
use scenario::run::plan::Action;
use vmms_host::VmState;
use whole_stack_tests::journey::{self, s};

/// VM1 grows at the cost of VM2: there is a grow under way, and a shrink.
const TEXT: &str = r#"
until = "100s"
[host]
memory = "1500MB"
memory_reserve = "256MB"
edition = "unlimited"
[balancer]
operation_limit = "64MB"
[[vm]]
name = "VM{n}"
numbers = "1..2"
guest = "linux"
startup_bytes = "384MB"
minimum_bytes = "128MB"
maximum_bytes = "1GB"
[[timeline]]
at = "0s"
action = "start"
vm = "all"
[[timeline]]
at = "75s"
action = "set_workload"
vm = "VM1"
workload = { kind = "step", to = "750MB" }
"#;

const BEGIN: Duration = s(75);
/// Long enough for several operations.
const WINDOW: Duration = s(12);

fn plan() -> Plan {
    journey::plan(TEXT, 1)
}

/// The instants at which something happens to a VM, while operations are under way.
fn instants() -> (BTreeSet<Duration>, BTreeSet<String>) {
    let left = journey::run_with_files(plan(), Driver::Inline, None).unwrap();
    let reader = Reader::open(&left.folder.path().join(EVENTS_FILE)).unwrap();
    let records: Vec<Record> = reader.map(Result::unwrap).collect();
    let window = records.iter().filter(|record| (BEGIN..BEGIN + WINDOW).contains(&Duration::from(record.t)));
    let (mut instants, mut kinds) = (BTreeSet::new(), BTreeSet::new());
    for record in window {
        instants.insert(Duration::from(record.t));
        kinds.insert(record.event.to_string());
    }
    (instants, kinds)
}

/// When to command so that the command arrives just before, at, and just after an instant: it takes one message to the guest or
/// to the management service, and another from there to the worker.
fn around(instant: Duration) -> impl Iterator<Item = Duration> {
    [10, 20].into_iter().flat_map(move |micros| {
        let sent = instant - Duration::from_micros(micros);
        [sent - Duration::from_nanos(1), sent, sent + Duration::from_nanos(1)]
    })
}

/// Runs the story with an event at every place. `vm` is the one that it strikes.
fn everywhere(vm: usize, event: &Action, state: VmState) {
    let (instants, kinds) = instants();
    for kind in ["grant", "shrink", "pages_mapped", "pages_unmapped", "operation_finished", "dm_send"] {
        assert!(kinds.contains(kind), "the window has no {kind}: {kinds:?}");
    }
    assert!(instants.len() > 40, "{}", instants.len());
    let other = 1 - vm;
    let places: BTreeSet<Duration> = instants.iter().flat_map(|&at| around(at)).collect();
    for at in places {
        let mut plan = plan();
        journey::insert(&mut plan, at, event.clone());
        // A guest that is there, and has closed its channel, opens it again.
        journey::insert(&mut plan, s(90), Action::ReopenChannels(vm));
        let outcome = journey::run(plan, None).unwrap_or_else(|error| panic!("{event:?} at {at:?}: {error}"));
        let unasked = outcome.end.panics.iter().filter(|panic| !panic.message.contains("was told to panic"));
        assert_eq!(unasked.count(), 0, "{event:?} at {at:?}: {:?}", outcome.end.panics);
        assert_eq!(outcome.summary.vms[vm].state, state, "{event:?} at {at:?}");
        assert_eq!(outcome.summary.vms[other].state, VmState::Running, "{event:?} at {at:?}");
        let end = outcome.points.last().unwrap();
        assert!(end.vms[other].demand.is_some(), "{event:?} at {at:?}");
        // At the very end something new may be under way.
        let settled = outcome.points.all().iter().rev().take(10).any(|point| point.host.in_transit.is_zero());
        assert!(settled, "{event:?} at {at:?}: an operation has no end");
        if state != VmState::Running {
            assert_eq!(end.vms[vm].physical, PageCount::ZERO, "{event:?} at {at:?}");
        }
    }
}

#[test]
fn closing_the_channel_against_a_grow() {
    everywhere(0, &Action::CloseChannels(0), VmState::Running);
}

#[test]
fn closing_the_channel_against_a_shrink() {
    everywhere(1, &Action::CloseChannels(1), VmState::Running);
}

#[test]
fn a_reset_against_a_grow() {
    everywhere(0, &Action::Reset(0), VmState::Running);
}

#[test]
fn a_reboot_against_a_grow() {
    everywhere(0, &Action::Restart(0), VmState::Running);
}

#[test]
fn switching_off_against_a_grow() {
    everywhere(0, &Action::TurnOff(0), VmState::Off);
}

#[test]
fn switching_off_against_a_shrink() {
    everywhere(1, &Action::TurnOff(1), VmState::Off);
}

#[test]
fn a_crash_against_a_shrink() {
    everywhere(1, &Action::Crash(1), VmState::Failed);
}

#[test]
fn a_panic_of_the_worker_against_a_grow() {
    everywhere(0, &Action::Panic(0, VmComponent::Worker), VmState::Failed);
}

#[test]
fn a_panic_of_the_worker_against_a_shrink() {
    everywhere(1, &Action::Panic(1, VmComponent::Worker), VmState::Failed);
}
