//! Every kind of bad input, with the message that a user gets.

use page_range::PageCount;
use proptest::prelude::*;

use super::*;

mod disks;
mod hosts;
mod keys;
mod limits;
mod loads;
mod memory;
mod timeline;
mod vms;

/// Reads a text that must be refused, and compares what is said with what is expected, word for word.
fn refused(text: &str, expected: &str) {
    let policies = ["hyperv", "esx", "static"].map(str::to_owned).to_vec();
    let options = LoadOptions { policies, ..LoadOptions::default() };
    let said = match parse("bad.toml", text, &options) {
        Ok(_) => panic!("this is accepted:\n{text}"),
        Err(bad) => bad.to_string(),
    };
    assert_eq!(said.trim_end(), expected.trim(), "\n--- said:\n{said}\n--- expected:\n{expected}");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let options = LoadOptions::default();
    let said = |path: &Path| load(path, &options).unwrap_err().to_string();
    let missing = said(Path::new("no/such/file.toml"));
    assert!(missing.starts_with("error: the scenario file cannot be read: "), "{missing}");
    assert!(missing.contains("\n--> no/such/file.toml"), "{missing}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("latin1.toml");
    std::fs::write(&path, b"title = \"caf\xe9\"").unwrap();
    assert!(said(&path).starts_with("error: the scenario file cannot be read: line 1 is not UTF-8 text (byte 12 of the file): save it as UTF-8\n"));
}

#[test]
fn a_scenario_that_there_is_not() {
    let said = find("multi-vms", &LoadOptions::default()).unwrap_err().to_string();
    assert!(said.starts_with("error: there is no scenario \"multi-vms\"\n"), "{said}");
    assert!(said.contains("= allowed: exhaustion, exhaustion-reserve-2048, max-vms-dynamic, "), "{said}");
    assert!(said.contains("= help: did you mean `multi-vm`?"), "{said}");
}

#[test]
fn a_broken_trace_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("broken.csv");
    std::fs::write(&trace, "vm,t,mem_provisioned_kb,mem_used_kb,cpu_pct\n1,0,2097152,lots,1\n").unwrap();
    let text = "until = \"10m\"\nhost = { memory = \"32GB\" }\n[trace]\nfile = \"broken.csv\"\n\
                [[vm]]\nname = \"VM1\"\nguest = \"linux\"\nstartup_bytes = \"512MB\"\n";
    let bad = parse(folder.path().join("s.toml"), text, &LoadOptions::default()).unwrap_err();
    let [diagnostic] = &bad.diagnostics[..] else { panic!("{bad}") };
    assert!(diagnostic.message.contains("broken.csv:2, column mem_used_kb: \"lots\" is not"), "{bad}");
    assert_eq!(diagnostic.place.as_ref().map(|place| place.line), Some(4));
    assert_eq!(diagnostic.key.as_deref(), Some("file"));
}

#[test]
fn a_broken_trace_is_said_once_for_each_line_and_nothing_follows_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("loads.csv");
    let header = "vm,t,mem_provisioned_kb,mem_used_kb,cpu_pct\n";
    let text = include_str!("../../../../../../scenarios/loads/trace.toml");
    let said = |rows: &str, fill_gaps: bool| {
        std::fs::write(&trace, format!("{header}{rows}")).unwrap();
        let options = LoadOptions { trace: Some(trace.clone()), fill_gaps, ..LoadOptions::default() };
        parse("trace.toml", text, &options).map(drop)
    };
    let bad = said("1,0,0,4,1\n1,300,2097152,lots,1\n", false).unwrap_err();
    let places: Vec<_> = bad.diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(places.len(), 2, "{places:?}");
    assert!(places[0].contains("loads.csv:2:") && places[1].contains("loads.csv:3,"), "{places:?}");
    let gap = "1,0,2097152,4,1\n1,300,2097152,4,1\n1,600,2097152,4,1\n1,3600,2097152,4,1\n";
    let bad = said(gap, false).unwrap_err().to_string();
    assert!(bad.contains("loads.csv:5,") && bad.contains("--fill-gaps"), "{bad}");
    said(gap, true).unwrap();
}

/// GWA-T-12 as published: a folder of folders, times that come twice, VMs that are off, gaps.
#[test]
fn a_published_fleet_is_refused_at_once_and_played_with_its_gaps_filled() {
    let folder = tempfile::tempdir().unwrap();
    let rows = |rows: &[(u64, &str)]| {
        let row = |(time, had): &(u64, &str)| {
            format!("{};\t1;\t2600.0;\t26.0;\t1.0;\t{had};\t700000.0\n", 1_372_629_804 + time)
        };
        let header = "Timestamp [ms];\tCPU cores;\tCPU capacity provisioned [MHZ];\tCPU usage [MHZ];\tCPU usage [%];\tMemory capacity \
                      provisioned [KB];\tMemory usage [KB]\n";
        format!("{header}{}", rows.iter().map(row).collect::<String>())
    };
    let had = "2097152.0";
    for (month, start) in [("2013-7", 0), ("2013-8", 2_700_000)] {
        std::fs::create_dir(folder.path().join(month)).unwrap();
        let text = rows(&[0, 300, 300, 600].map(|time| (start + time, had)));
        std::fs::write(folder.path().join(month).join("1.csv"), text).unwrap();
    }
    let off = rows(&[(0, "0.0"), (300, "0.0"), (600, had), (900, had)]);
    std::fs::write(folder.path().join("2013-7/2.csv"), off).unwrap();

    let text = include_str!("../../../../../../scenarios/loads/trace.toml");
    let read = |fill_gaps| {
        let trace = Some(folder.path().to_owned());
        parse("trace.toml", text, &LoadOptions { trace, fill_gaps, ..LoadOptions::default() })
    };
    let bad = read(false).unwrap_err();
    let said = bad.to_string();
    assert_eq!(bad.diagnostics.len(), 5, "{said}");
    for part in
        ["2013-7/1.csv:4,", "2013-8/1.csv:2,", "2013-8/1.csv:4,", "2013-7/2.csv:2:", "2013-7/2.csv:3:"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(said.matches("--fill-gaps allows it").count(), 1, "{said}");
    let scenario = read(true).unwrap();
    assert_eq!(scenario.vms.len(), 2);
    assert_eq!(
        scenario.trace.unwrap().remarks().sentences(),
        [
            "1 VM was joined from several files",
            "1 gap was filled by a straight line (2699400 s)",
            "2 rows were left out: they have the times of the rows before",
            "2 rows were left out: with 0 KB provisioned (the VM is off)"
        ]
    );
}

#[test]
fn recorded_loads_that_nothing_plays() {
    let text = "until = \"10m\"\nhost = { memory = \"32GB\" }\n\
                [[vm]]\nname = \"VM1\"\nguest = \"linux\"\nstartup_bytes = \"512MB\"\n";
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("loads.csv");
    std::fs::write(&trace, "vm,t,mem_provisioned_kb,mem_used_kb,cpu_pct\n1,0,2097152,1048576,1\n").unwrap();
    let window = Some("0h..24h".parse().unwrap());
    for (trace, trace_window, named) in
        [(Some(trace), window, "--trace "), (None, window, "--trace-window 0h..24h")]
    {
        let options = LoadOptions { trace, trace_window, ..LoadOptions::default() };
        let said = parse("s.toml", text, &options).unwrap_err().to_string();
        assert!(said.starts_with(&format!("error: {named}")), "{said}");
        assert!(
            said.contains("would change nothing: this scenario plays no recorded loads\n--> s.toml\n"),
            "{said}"
        );
    }
    let plays =
        format!("{text}workload = {{ kind = \"trace\", vm = \"1\" }}\n[trace]\nfile = \"loads.csv\"\n");
    let options = LoadOptions { trace_window: window, ..LoadOptions::default() };
    parse(folder.path().join("s.toml"), plays, &options).unwrap();
}

proptest! {
    /// Whatever is done to a good file, it is read or refused; and what is refused is refused for a reason that names a place.
    #[test]
    fn no_damage_is_a_panic(at in any::<prop::sample::Index>(), length in 0..40_usize, insert in "[\"\\[\\]{}=.,a-zA-Z0-9 \n-]{0,12}") {
        let good = include_str!("every_key.toml");
        let mut characters: Vec<char> = good.chars().collect();
        let start = at.index(characters.len());
        let end = (start + length).min(characters.len());
        characters.splice(start..end, insert.chars());
        let text: String = characters.into_iter().collect();
        if let Err(bad) = parse("damaged.toml", text, &LoadOptions::default()) {
            prop_assert!(!bad.diagnostics.is_empty());
            for diagnostic in &bad.diagnostics {
                prop_assert!(diagnostic.place.is_some(), "{}", diagnostic);
            }
        }
    }
}

/// A file with one VM, whose table has `lines`.
fn one_vm(lines: &str) -> String {
    format!("until = \"10m\"\nhost = {{ memory = \"32GB\" }}\n[[vm]]\nguest = \"linux\"\n{lines}\n")
}

#[test]
fn countless_unknown_keys_are_counted_and_a_hundred_told() {
    let keys: String = (0..100_000).map(|n| format!("k{n} = 1\n")).collect();
    let text = format!("until = \"10m\"\n{keys}");
    let bad = parse("bad.toml", text, &LoadOptions::default()).unwrap_err();
    assert_eq!(bad.diagnostics.len(), 100);
    // `host` and `vm` are missing too.
    assert_eq!(bad.diagnostics.len() + bad.hidden, 100_002);
    assert!(
        bad.to_string().ends_with("100002 errors, of which 100 are shown, in bad.toml; nothing was started")
    );
}

#[test]
fn a_name_of_a_megabyte_is_refused_in_few_words() {
    let text = one_vm(&format!("name = \"{}\"\nstartup_bytes = \"512MB\"", "x".repeat(1 << 20)));
    let said = parse("bad.toml", text, &LoadOptions::default()).unwrap_err().to_string();
    assert!(
        said.contains("a name of 1048576 characters is too long") && said.len() < 5000,
        "{} bytes",
        said.len()
    );
    let value = one_vm(&format!("name = \"VM1\"\nstartup_bytes = \"{}\"", "9".repeat(1 << 20)));
    let said = parse("bad.toml", value, &LoadOptions::default()).unwrap_err().to_string();
    assert!(said.len() < 8000, "{} bytes", said.len());
}

#[test]
fn memory_that_hyper_v_does_not_align_is_refused_with_the_nearest() {
    for (key, size, nearest) in [
        ("startup_bytes", "4077MB", "\"4076MB\" or \"4078MB\""),
        ("startup_bytes", "1MB", "\"2MB\""),
        ("maximum_bytes", "3001MB", "\"3000MB\" or \"3002MB\""),
        ("minimum_bytes", "333.5MB", "\"332MB\" or \"334MB\""),
    ] {
        let startup = if key == "startup_bytes" { "" } else { "startup_bytes = \"512MB\"" };
        let text = one_vm(&format!("name = \"VM1\"\n{startup}\n{key} = \"{size}\""));
        let said = parse("bad.toml", text, &LoadOptions::default()).unwrap_err().to_string();
        assert!(said.contains(&format!("`{key}` must be a multiple of 2 MB, as Hyper-V wants it")), "{said}");
        assert!(said.contains(&format!("allowed: the nearest: {nearest}")), "{said}");
        assert!(said.contains("1 error in"), "{said}");
    }
}

#[test]
fn what_is_no_file_is_refused_with_its_name() {
    let said = |path: &str| load(Path::new(path), &LoadOptions::default()).unwrap_err().to_string();
    assert!(
        said("/dev/zero").contains("the scenario file cannot be read: it is a character device, not a file")
    );
    assert!(said("/tmp").contains("it is a folder, not a file"));
}

#[test]
fn runs_without_end_and_samples_without_number_are_refused() {
    let text = |lines: &str| {
        one_vm("name = \"VM1\"\nstartup_bytes = \"512MB\"")
            .replace("until = \"10m\"\n", &format!("{lines}\n"))
    };
    let said = |lines: &str| parse("bad.toml", text(lines), &LoadOptions::default()).unwrap_err().to_string();
    assert!(said("until = \"213503d\"").contains("a run until 213503d is too long: at most 3653d"));
    let often = said("until = \"10m\"\nsample_interval = \"1ns\"");
    assert!(often.contains("bad.toml:2:19") && often.contains("so one every 0.001s or more"), "{often}");
    let good = |lines: &str| parse("good.toml", text(lines), &LoadOptions::default()).unwrap();
    good("until = \"365d\"\nsample_interval = \"1m\"");
    // Where the file does not say how often, so long a run is sampled less often.
    let long = good("until = \"365d\"");
    assert_eq!(long.sample_interval(long.until), Duration::from_secs(120));
}

#[test]
fn a_broken_workload_is_said_once_and_nothing_follows_from_it() {
    let broken = one_vm(
        "name = \"VM{n}\"\nnumbers = \"1..4\"\nstartup_bytes = \"512MB\"\nworkload = \"load\"\n[workloads]\nload = { kind = \"step\", \
         from = 5, to = \"1GB\" }",
    );
    let bad = parse("bad.toml", broken, &LoadOptions::default()).unwrap_err();
    assert_eq!(bad.diagnostics.len(), 1, "{bad}");
    let no_table =
        one_vm("name = \"VM1\"\nstartup_bytes = \"512MB\"\nworkload = \"load\"\n[workloads]\nload = 5");
    let bad = parse("bad.toml", no_table, &LoadOptions::default()).unwrap_err();
    assert_eq!(bad.diagnostics.len(), 1, "{bad}");
}

#[test]
fn what_a_group_has_wrong_is_said_once() {
    // The maximum is below the startup for odd and for even numbers.
    let group =
        one_vm("name = \"VM{n}\"\nnumbers = \"1..8\"\nstartup_bytes = \"512MB\"\nmaximum_bytes = \"256MB\"");
    let bad = parse("bad.toml", group, &LoadOptions::default()).unwrap_err();
    assert_eq!(bad.diagnostics.len(), 1, "{bad}");
}

#[test]
fn everything_is_told_at_once() {
    let bad = parse("bad.toml", "seed = -1\ntitle = 5\n", &LoadOptions::default()).unwrap_err();
    let keys: Vec<_> = bad.diagnostics.iter().filter_map(|diagnostic| diagnostic.key.as_deref()).collect();
    for key in ["seed", "title", "until", "host", "vm"] {
        assert!(keys.contains(&key), "{key}: {bad}");
    }
}

/// The host, a VM, a workload, the policy, its parameters, the timeline, the command line: all of it in one go, each thing once, and
/// nothing that only follows from something else.
#[test]
fn errors_of_all_stages_are_told_at_once() {
    let text = r#"
until = "10m"
[host]
memory = "2TB"
edition = "unlimted"
[policy]
name = "hyperv"
parameters = { half_with = 3.0, hold = "soon" }
[workloads.web]
kind = "step"
too = "1GB"
[[vm]]
name = "VM1"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
workload = "web"
[[vm]]
name = "VM2"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "513MB"
[[timeline]]
at = "soon"
action = "start"
vm = "VM1"
[[timeline]]
at = "1m"
action = "set_workload"
vm = "VM1"
workload = "web"
[[timeline]]
at = "2m"
action = "stop"
vm = "VM1"
[[timeline]]
at = "1m"
action = "start"
vm = "VM2"
[[timeline]]
at = "3m"
action = "start"
vm = "VM1"
while_host_used_below_that_of = "multi-vms"
"#;
    let options = LoadOptions {
        policies: ["hyperv", "esx"].map(str::to_owned).to_vec(),
        policy: Some("hyperw".to_owned()),
        sample_interval: Some(Duration::from_nanos(1)),
        ..LoadOptions::default()
    };
    let bad = parse("bad.toml", text, &options).unwrap_err();
    let messages: Vec<&str> = bad.diagnostics.iter().map(|wrong| wrong.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "--policy hyperw: there is no policy \"hyperw\"",
            "--sample-interval: a run until 10m with a sample every 0.000000001s has 600000000000 samples: at most 10000000, so one \
             every 0.001s or more",
            "`edition` cannot be \"unlimted\"",
            "policy \"hyperv\" has no parameter `half_with`",
            "`hold = \"soon\"` is not a number, or a time such as \"300s\"",
            "`to` is missing in a workload of kind \"step\"",
            "`too` is not a key of a workload of kind \"step\"",
            "`startup_bytes` must be a multiple of 2 MB, as Hyper-V wants it",
            "`at` cannot be \"soon\"",
            "there is no scenario \"multi-vms\"",
        ],
        "{bad}"
    );
    let help: Vec<&str> = bad.diagnostics.iter().filter_map(|wrong| wrong.help.as_deref()).collect();
    for near in ["`hyperv`", "`unlimited`", "`half_width`", "`to`", "`multi-vm`"] {
        assert!(help.iter().any(|help| help.contains(near)), "{near}: {help:?}");
    }
}

#[test]
fn a_length_of_the_command_line_is_told_as_that_of_the_command_line() {
    let text = one_vm("name = \"VM1\"\nstartup_bytes = \"512MB\"");
    let said = |options: LoadOptions| parse("s.toml", text.as_str(), &options).unwrap_err().to_string();
    let interval = LoadOptions { sample_interval: Some(Duration::from_nanos(1)), ..LoadOptions::default() };
    assert!(said(interval).starts_with("error: --sample-interval: "));
    let until = LoadOptions { until: Some(Duration::from_secs(1 << 33)), ..LoadOptions::default() };
    assert!(said(until).starts_with("error: --until: "));
}

/// A table [trace] without its file: whatever would play the loads is not wrong as well.
#[test]
fn nothing_follows_from_loads_that_are_not_named() {
    let text = include_str!("../../../../../../scenarios/loads/trace.toml");
    let without = text.lines().filter(|line| !line.starts_with("file")).collect::<Vec<_>>().join("\n");
    assert!(without.len() < text.len());
    let bad = parse("trace.toml", without, &LoadOptions::default()).unwrap_err();
    let messages: Vec<&str> = bad.diagnostics.iter().map(|wrong| wrong.message.as_str()).collect();
    assert_eq!(messages, ["`file` is missing in [trace]"]);
}

#[test]
fn other_memory_for_the_host_is_held_against_its_edition() {
    let text = one_vm("name = \"VM1\"\nstartup_bytes = \"512MB\"").replace(
        "{ memory = \"32GB\" }",
        "{ memory = \"32GB\", edition = \"standard\", memory_reserve = \"2GB\" }",
    );
    let read = |gb: u64| {
        let host_memory = Some(PageCount::from_mib(gb << 10));
        parse("s.toml", text.as_str(), &LoadOptions { host_memory, ..LoadOptions::default() })
    };
    let said = |gb: u64| read(gb).unwrap_err().to_string();
    assert!(said(64).contains("--host-memory 64GB: edition \"standard\" takes no more than 32GB"));
    assert!(said(2).contains("`memory_reserve` leaves nothing for VMs"));
    let scenario = read(16).unwrap();
    assert_eq!(scenario.host.memory, PageCount::from_mib(16 << 10));
}
