//! One event against one operation, in every order there is.
//!
//! A run without the event gives every instant at which anything happens while an operation is under way. Then, for each of
//! these instants, the same run is made again with the event just before it and just after it. The runtime is deterministic,
//! so these are all the places in which the event can fall among the wakes of that run.

use std::collections::BTreeSet;
use std::time::Duration;

use component_runtime::Driver;
use run_journal::events::Reader;
use run_journal::{EVENTS_FILE, Record};
use scenario::file::VmComponent;
use scenario::run::plan::Action;
use scenario::run::{Outcome, Plan};
use vmms_host::VmState;
use whole_stack_tests::journey::{self, s};

/// VM1 grows at the cost of VM2: there is a grow under way, and a shrink.
const TEXT: &str = r#"
until = "150s"
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
const WINDOW: Duration = s(16);

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

/// Runs the story with an event at every place. `vm` is the one that it strikes, and `state` what it is in at the end.
fn everywhere(vm: usize, event: &Action, state: VmState) {
    if let Some((at, wrong)) = first_mistake(&plan(), vm, event, state) {
        panic!("{event:?} at {at:?}: {wrong}");
    }
}

/// The first place at which the event does harm, and which.
fn first_mistake(
    undisturbed: &Plan,
    vm: usize,
    event: &Action,
    state: VmState,
) -> Option<(Duration, String)> {
    let (instants, kinds) = instants();
    for kind in ["grant", "shrink", "pages_mapped", "pages_unmapped", "operation_finished", "dm_send"] {
        assert!(kinds.contains(kind), "the window has no {kind}: {kinds:?}");
    }
    assert!(instants.len() > 40, "{}", instants.len());
    let places: BTreeSet<Duration> = instants.iter().flat_map(|&at| around(at)).collect();
    places.into_iter().find_map(|at| {
        let mut plan = undisturbed.clone();
        journey::insert(&mut plan, at, event.clone());
        // A guest that is there, and has closed its channel, opens it again.
        journey::insert(&mut plan, s(90), Action::ReopenChannels(vm));
        let outcome = journey::run(plan, None).map_err(|error| error.to_string());
        outcome.and_then(|outcome| judge(&outcome, vm, state)).err().map(|wrong| (at, wrong))
    })
}

/// Every frame was in one account at every sample, or there would be no outcome.
fn judge(outcome: &Outcome, vm: usize, state: VmState) -> Result<(), String> {
    let must = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
    let other = 1 - vm;
    let unasked = outcome.end.panics.iter().find(|panic| !panic.message.contains("was told to panic"));
    must(unasked.is_none(), &format!("a panic: {unasked:?}"))?;
    let states = [vm, other].map(|vm| outcome.summary.vms[vm].state);
    must(states == [state, VmState::Running], &format!("the VMs are {states:?}"))?;
    let end = outcome.points.last().ok_or("no point")?;
    must(end.vms[other].demand.is_some(), "the other VM is not heard")?;
    // At the very end something new may be under way.
    let settled = outcome.points.all().iter().rev().take(10).any(|point| point.host.in_transit.is_zero());
    must(settled, NO_END)?;
    must(state == VmState::Running || end.vms[vm].physical.is_zero(), "it is off and has memory")
}

const NO_END: &str = "an operation has no end";

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

/// A grant that waits for the host's own work when the guest restarts is answered: without that some order would leave the balancer
/// waiting for ever.
#[test]
fn a_grant_forgotten_at_a_reset_would_be_noticed() {
    let mut plan = plan();
    plan.host.sabotage = vmms_host::Sabotage::ForgetGrantAtReset;
    let (_, wrong) = first_mistake(&plan, 0, &Action::Reset(0), VmState::Running).unwrap();
    assert_eq!(wrong, NO_END);
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
