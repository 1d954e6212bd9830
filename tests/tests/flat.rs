//! What a run keeps in memory does not grow with virtual time. Counted, not timed: the bytes that a run holds at most, by an allocator
//! that counts, of runs that all components of share a thread.

use component_runtime::Driver;
use run_journal::EventsLevel;
use scenario::run::{RunOptions, run};
use whole_stack_tests::journey;

/// The most bytes that a run of this length holds at any time.
fn held(text: &str, until: &str) -> u64 {
    let plan = journey::plan(&format!("until = \"{until}\"\nsample_interval = \"60s\"\n{text}"), 1);
    let options = RunOptions { driver: Driver::Inline, events: EventsLevel::None, ..RunOptions::default() };
    let mut complete = false;
    let counted = allocation_counter::measure(|| complete = run(plan, options).unwrap().summary.end.complete);
    assert!(complete);
    counted.bytes_max
}

/// Loads that rise and fall on a host that has not enough for all, so that memory moves all the time and is scattered as far as it can be.
const SAWTOOTH: &str = r#"
[host]
memory = "9GB"
edition = "unlimited"
[workloads.work]
kind = "sawtooth"
low = "100MB"
high = ["700MB", "1200MB"]
rise = ["3m", "8m"]
fall = "1m"
phase = ["0s", "8m"]
[[vm]]
name = "V{n}"
numbers = "1..8"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
maximum_bytes = "4GB"
workload = "work"
[[timeline]]
at = "0s"
action = "start"
vm = "all"
"#;

/// VMs of the loads.
const VMS: u64 = 8;

/// In the first hour memory is scattered. After it a run grows by less than a byte for each VM and second: what is kept of scattered memory is
/// bounded by the number of large pages, and the worst moment of four hours is a little worse than that of one.
fn check(text: &str) {
    let (short, long) = (held(text, "1h"), held(text, "4h"));
    assert!(long < short + VMS * 3 * 3600, "{short} bytes in an hour, {long} in four");
}

#[test]
fn four_times_the_time_holds_no_more() {
    check(SAWTOOTH);
}

/// New memory comes in blocks of 128 MB, and is given in blocks of 2 MiB and then in single pages.
#[test]
fn nor_with_linux_guests() {
    check(&SAWTOOTH.replace("ws2008-r2-sp1-enterprise", "linux"));
}
