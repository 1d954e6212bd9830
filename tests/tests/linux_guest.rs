//! The simulated Linux guest against what is known of the real one.

use component_runtime::Driver;
use dm_protocol::{Message, MessageType, Packet, StatusReport};
use dm_vsc::StatusFields;
use dm_vsp::Input;
use guest_memory_manager::find_profile;
use run_journal::journal::{self, Entry};
use serde_json::Value;
use vmms_host::RecordedVspInput;
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

/// The fields of a status report, by the names that events have for them.
type Fields<T> = [(&'static str, T); 6];

fn fields(report: &StatusReport) -> Fields<u64> {
    [
        ("available", report.available),
        ("committed", report.committed),
        ("page_file_size", report.page_file_size),
        ("zero_free", report.zero_free),
        ("page_file_writes", report.page_file_writes.into()),
        ("io_diff", report.io_diff.into()),
    ]
}

/// The fields that a profile of the driver fills.
fn filled(profile: StatusFields) -> Fields<bool> {
    let all = match profile {
        StatusFields::AvailableAndCommitted => false,
        StatusFields::All => true,
        other => panic!("which fields does {other:?} fill?"),
    };
    fields(&StatusReport::default())
        .map(|(field, _)| (field, all || matches!(field, "available" | "committed")))
}

/// What the driver of an unmodified kernel said to its host, recorded by `cargo xtask guest record`; the file says from which kernel.
const RECORDED: &str = include_str!("../recorded/linux-6.1-driver-messages.txt");

/// The messages of a file of the record, which is lines of a type and bytes in hexadecimal.
fn recorded() -> Vec<Vec<u8>> {
    let lines = RECORDED.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, digits) = line.split_once(' ').unwrap();
            let digits: Vec<u32> = digits.chars().map(|digit| digit.to_digit(16).unwrap()).collect();
            let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect();
            assert_eq!(Packet::decode(&bytes).unwrap().message.message_type().to_string(), name);
            bytes
        })
        .collect()
}

/// What a simulated guest's driver said to the host, up to its fifth report.
fn simulated() -> Vec<Vec<u8>> {
    let left = journey::run_with_files(journey::plan(GUEST, 1), Driver::Inline, None).unwrap();
    let bytes = left.bytes("journal.bin");
    let mut said: Vec<Vec<u8>> = Vec::new();
    let reports = |said: &[Vec<u8>]| said.iter().filter(|bytes| report(bytes).is_some()).count();
    for entry in journal::Reader::new(&bytes[..]).unwrap() {
        let Entry::Input(input) = entry.unwrap() else { continue };
        if !input.machine.starts_with("dm-vsp/") {
            continue;
        }
        if let RecordedVspInput::Input(Input::Packet(bytes)) = input.decode().unwrap() {
            said.push(bytes);
        }
        if reports(&said) == 5 {
            break;
        }
    }
    said
}

fn report(bytes: &[u8]) -> Option<StatusReport> {
    match Packet::decode(bytes).unwrap().message {
        Message::StatusReport(report) => Some(report),
        _ => None,
    }
}

/// The simulated driver of the profile `linux` against the recorded one: the handshake byte for byte, and of the reports which fields
/// are filled, how long they are and how they are numbered. The values of the filled fields are each guest's own.
#[test]
fn the_simulated_driver_says_what_the_recorded_one_said() {
    let (recorded, simulated) = (recorded(), simulated());
    let types = |said: &[Vec<u8>]| -> Vec<MessageType> {
        said.iter().map(|bytes| Packet::decode(bytes).unwrap().message.message_type()).collect()
    };
    let numbers = |said: &[Vec<u8>]| -> Vec<u32> {
        said.iter().map(|bytes| Packet::decode(bytes).unwrap().trans_id).collect()
    };
    assert_eq!(types(&simulated), types(&recorded));
    assert_eq!(numbers(&simulated), numbers(&recorded));
    assert_eq!(recorded.len(), 2 + 5, "two of the handshake, and five reports");
    assert_eq!(simulated[..2], recorded[..2], "VERSION_REQUEST and CAPABILITIES_REPORT");

    let linux = guest_partition::driver_config(find_profile("linux").unwrap());
    for (what, said) in [("recorded", &recorded), ("simulated", &simulated)] {
        for bytes in &said[2..] {
            assert_eq!(bytes.len(), recorded[2].len(), "{what}");
            let filled_here = fields(&report(bytes).unwrap()).map(|(field, value)| (field, value != 0));
            assert_eq!(filled_here, filled(linux.status_fields), "{what}");
        }
    }
}

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
    let of_linux = report(&recorded()[2]).unwrap();
    for (field, value) in fields(&of_linux) {
        let values =
            reports.iter().map(|report| find(report, field).unwrap_or_else(|| panic!("{field}: {report}")));
        let zeros = values.filter(|&value| value == 0).count();
        if value != 0 {
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

/// Two Linux guests under load: the driver of one walks down to 0.3, the other's proposes 2.0 only.
const DRIVERS: &str = r#"
title = "Drivers of two ages"
until = "10m"

[host]
memory = "8GB"
VERSIONS

[[vm]]
name = "Walks"
guest = "linux"
startup_bytes = "512MB"
maximum_bytes = "1536MB"

[[vm]]
name = "Once"
guest = "linux-dm2"
startup_bytes = "512MB"
maximum_bytes = "1536MB"

[[timeline]]
at = "0s"
action = "start"
vm = "all"

[[timeline]]
at = "2m"
action = "set_workload"
vm = "all"
workload = { kind = "step", to = "900MB", hold = "1h" }
"#;

/// On the default host, which speaks 0.3 as 2008 R2 SP1, a driver that offers 2.0 only is refused, keeps its startup RAM, and the
/// user is told in words; on a host that speaks 2.0 both grow.
#[test]
fn a_driver_of_2_0_only_is_refused_in_words_by_a_host_of_0_3_and_served_by_one_of_2_0() {
    let run = |versions: &str| {
        let plan = journey::plan(&DRIVERS.replace("VERSIONS", versions), 1);
        let outcome = journey::run(plan.clone(), None).unwrap();
        let told = scenario::run::story::tell(
            "drivers",
            &plan,
            &outcome.summary,
            &outcome.points,
            terminal_text::Look { columns: 400, colours: false },
        );
        (outcome, told)
    };
    let startup = page_range::PageCount::from_mib(512);

    let (outcome, told) = run("");
    let vms = &outcome.points.last().unwrap().vms;
    assert!(vms[0].physical > startup, "its driver comes down to 0.3");
    assert_eq!((vms[1].physical, vms[1].operations, vms[1].demand), (startup, 0, None));
    let [walks, once] = &outcome.summary.vms[..] else { panic!() };
    assert_eq!(walks.dynamic_memory_refused, None);
    let refusal = once.dynamic_memory_refused.as_ref().unwrap();
    let words = "the guest's driver proposes version 2.0 of Dynamic Memory as its last, and this host speaks 0.3: the VM keeps its \
                 startup RAM. Let the host speak 2.0 too (`dynamic_memory_versions` in a scenario file), or take a guest whose \
                 driver speaks an older version";
    assert_eq!(refusal.why, words);
    assert!(refusal.time_s > 0.0 && refusal.time_s < 30.0, "when its drivers are loaded: {refusal:?}");
    assert!(told.contains(&format!("Once: {words}.")), "{told}");

    let (outcome, told) = run("dynamic_memory_versions = [\"0.3\", \"1.0\", \"2.0\"]");
    for vm in &outcome.points.last().unwrap().vms {
        assert!(vm.physical > startup);
    }
    assert!(outcome.summary.vms.iter().all(|vm| vm.dynamic_memory_refused.is_none()));
    assert!(!told.contains("proposes"), "{told}");
}
