//! The same scenario and seed leave the same bytes, whoever drives the components.

use component_runtime::Driver;
use run_journal::manifest::sha256_hex;
use whole_stack_tests::journey::{self, Left};

/// Short, and with something of everything: starts, loads, contention, a closed channel, a reboot, a VM that is stopped.
const SHORT: &str = r#"
title = "Whole stack, short"
until = "7m"

[host]
memory = "3GB"
memory_reserve = "512MB"

[[vm]]
name = "VM{n}"
numbers = "1..3"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
maximum_bytes = "2GB"

[[vm]]
name = "Linux"
guest = "linux"
startup_bytes = "256MB"
maximum_bytes = "1GB"

[[timeline]]
at = "0s"
action = "start"
vm = "all"

[[timeline]]
at = "80s"
action = "set_workload"
vm = "VM1"
workload = { kind = "paint", guest_commit = "1200MB" }

[[timeline]]
at = "90s"
action = "set_workload"
vm = ["VM2", "Linux"]
workload = { kind = "bursts", size = "200MB", pause = "30s", length = "15s" }

[[timeline]]
at = "150s"
action = "inject_fault"
fault = "guest_closes_channel"
vm = "VM2"
duration = "20s"

[[timeline]]
at = "200s"
action = "reboot"
vm = "VM3"

[[timeline]]
at = "240s"
action = "unload"
vm = "VM1"

[[timeline]]
at = "300s"
action = "stop"
vm = "Linux"
"#;

/// All that a run leaves but its manifest, which names the machine and the commit.
const FILES: [&str; 4] = ["summary.json", "counters.csv", "events.jsonl", "journal.bin"];

fn run(seed: u64, driver: Driver, schedule_seed: Option<u64>) -> Left {
    journey::run_with_files(journey::plan(SHORT, seed), driver, schedule_seed).unwrap()
}

fn bytes(left: &Left) -> Vec<(&'static str, Vec<u8>)> {
    FILES.iter().map(|&name| (name, left.bytes(name))).collect()
}

/// Where they first differ, for a message that a person can read.
fn first_difference(one: &[u8], other: &[u8]) -> Option<String> {
    if one == other {
        return None;
    }
    let (one, other) = (String::from_utf8_lossy(one), String::from_utf8_lossy(other));
    let lines = one.lines().zip(other.lines()).enumerate();
    let found = lines
        .filter(|(_, (one, other))| one != other)
        .map(|(number, (one, other))| format!("line {}:\n  {one}\n  {other}", number + 1));
    Some(found.into_iter().next().unwrap_or_else(|| "one ends before the other".to_owned()))
}

fn assert_same(one: &Left, other: &Left) {
    for ((name, one), (_, other)) in bytes(one).iter().zip(&bytes(other)) {
        assert_eq!(first_difference(one, other), None, "{name}");
    }
}

#[test]
fn threads_and_inline_leave_the_same_bytes() {
    let threads = run(1, Driver::Threads, None);
    let inline = run(1, Driver::Inline, None);
    assert_same(&threads, &inline);
    assert_eq!(threads.outcome.summary, inline.outcome.summary);
}

#[test]
fn the_same_schedule_seed_leaves_the_same_bytes_on_threads_too() {
    assert_same(&run(2, Driver::Threads, Some(5)), &run(2, Driver::Inline, Some(5)));
}

#[test]
fn another_seed_leaves_other_bytes() {
    let (one, other) = (run(1, Driver::Inline, None), run(2, Driver::Inline, None));
    for name in ["counters.csv", "events.jsonl"] {
        assert_ne!(one.bytes(name), other.bytes(name), "{name}");
    }
}

#[test]
fn another_schedule_is_another_run_of_the_same_story() {
    let (one, other) = (run(1, Driver::Inline, Some(1)), run(1, Driver::Inline, Some(2)));
    assert_ne!(one.bytes("events.jsonl"), other.bytes("events.jsonl"));
    let states =
        |left: &Left| left.outcome.summary.vms.iter().map(|vm| (vm.state, vm.starts)).collect::<Vec<_>>();
    assert_eq!(states(&one), states(&other));
}

/// The hashes of what one run leaves, the same on every platform and in every build.
const COMMITTED: &str = include_str!("same_bits.sha256");

/// If this fails and the outputs were meant to change: look at what changed, then write the new hashes with
/// `UPDATE_HASHES=1 cargo test -p whole-stack-tests one_run_leaves_the_committed_bytes` and commit the file with the change.
/// If they were not meant to change, something depends on what it must not depend on: hash order, real time, the
/// platform's mathematics, the order of threads.
#[test]
fn one_run_leaves_the_committed_bytes() {
    let left = run(1, Driver::Inline, None);
    // The journal's format has a version of its own; what it holds is also in the others.
    let lines = FILES[..3].iter().map(|name| format!("{}  {name}\n", sha256_hex(&left.bytes(name))));
    let found: String = lines.collect();
    if std::env::var_os("UPDATE_HASHES").is_some() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/same_bits.sha256");
        std::fs::write(path, &found).unwrap();
        return;
    }
    assert_eq!(found, COMMITTED, "what a run leaves has changed: see this test's comment");
}
