//! The simulated Linux guest against what is known of the real one.

use component_runtime::Driver;
use serde_json::Value;
use whole_stack_tests::journey;

/// One guest with Linux' driver that pages for a minute, on a host that its driver speaks with. Its startup RAM ends in the
/// middle of a memory block.
const GUEST: &str = r#"
title = "A Linux guest that wants more than it can have"
until = "20m"

[host]
memory = "8GB"
dynamic_memory_versions = ["2.0"]

[[vm]]
name = "Linux"
guest = "linux"
startup_bytes = "520MB"
maximum_bytes = "1550MB"

[[timeline]]
at = "0s"
action = "start"
vm = "all"

[[timeline]]
at = "2m"
action = "set_workload"
vm = "Linux"
workload = { kind = "step", to = "1300MB", hold = "1h" }
"#;

/// The fields of a status report that Linux' driver sends, and whether they are filled.
///
/// Source: `post_status` of `drivers/hv/hv_balloon.c`, which clears the message and sets the two. `cargo xtask guest record`
/// checks the same of an unmodified kernel ("a report has available and committed pages, and nothing else").
const FIELDS: [(&str, bool); 6] = [
    ("available", true),
    ("committed", true),
    ("page_file_size", false),
    ("zero_free", false),
    ("page_file_writes", false),
    ("io_diff", false),
];

#[test]
fn a_simulated_linux_guest_reports_what_linux_reports() {
    let left = journey::run_with_files(journey::plan(GUEST, 1), Driver::Inline, None).unwrap();
    assert!(left.outcome.points.last().is_some());
    let events = String::from_utf8(left.bytes("events.jsonl")).unwrap();
    let reports: Vec<Value> = events
        .lines()
        .filter(|line| line.contains("\"status_report\""))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(reports.len() > 500, "{} reports", reports.len());
    for (field, filled) in FIELDS {
        let values =
            reports.iter().map(|report| find(report, field).unwrap_or_else(|| panic!("{field}: {report}")));
        let zeros = values.filter(|&value| value == 0).count();
        if filled {
            // A guest that pages has nothing available now and then.
            assert!(zeros < reports.len() / 10, "{field} is filled");
        } else {
            assert_eq!(zeros, reports.len(), "{field} is never filled");
        }
    }
}

/// The value of a field, wherever the line has it.
fn find(event: &Value, field: &str) -> Option<u64> {
    let own = event.get(field).and_then(Value::as_u64);
    own.or_else(|| event.as_object()?.values().find_map(|inner| inner.get(field).and_then(Value::as_u64)))
}

/// Of the 1030 MB between startup and maximum the guest gets all eight whole blocks, though the first begins at 640 MB. After that
/// nothing more is asked of it: what cannot succeed is not repeated.
#[test]
fn a_start_off_the_granule_costs_no_block_and_is_not_asked_for_ever() {
    let outcome = journey::run(journey::plan(GUEST, 1), None).unwrap();
    let vm = &outcome.points.last().unwrap().vms[0];
    assert_eq!(vm.physical, page_range::PageCount::from_mib(520 + 8 * 128));
    let operations = |minute: u64| {
        let at = journey::s(60 * minute);
        outcome.points.all().iter().find(|point| point.time >= at).unwrap().vms[0].operations
    };
    assert_eq!(operations(10), operations(19), "it has all that it can have");
}
