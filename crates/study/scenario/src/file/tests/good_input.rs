use std::collections::BTreeSet;

use balancing_policy::MemorySettings;
use guest_memory_manager::{
    IntegrationServices, PageFileSize,
    workload::{PaintGoal, WorkloadConfig},
};
use page_range::PageCount;

use super::*;

fn built_in(name: &str) -> Scenario {
    find(name, &LoadOptions::default()).unwrap_or_else(|bad| panic!("{bad}"))
}

fn mib(mib: u64) -> PageCount {
    PageCount::from_mib(mib)
}

#[test]
fn every_scenario_that_comes_with_the_project_is_good() {
    for (name, _) in BUILT_IN {
        let scenario = built_in(name);
        assert_eq!(scenario.name, *name);
        assert!(!scenario.title.is_empty() && !scenario.checks.is_empty() && scenario.origin.is_some());
        assert!(
            scenario.checks.iter().all(|check| check.source.is_some()),
            "{name}: a check without a source"
        );
        assert!(!scenario.plan(1, scenario.until).unwrap().is_empty());
    }
}

#[test]
fn every_scenario_that_shows_something_runs_and_checks_nothing() {
    for (name, _) in SHOWN {
        let scenario = built_in(name);
        assert!(scenario.name == *name && scenario.checks.is_empty() && !scenario.title.is_empty());
        assert!(!scenario.plan(1, scenario.until).unwrap().is_empty());
    }
}

#[test]
fn no_two_scenarios_have_one_title() {
    let all = || BUILT_IN.iter().chain(SHOWN);
    let titles: BTreeSet<_> = all().map(|(name, _)| built_in(name).title).collect();
    assert_eq!(titles.len(), all().count());
}

#[test]
fn every_scenario_file_comes_with_the_project() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../scenarios");
    let files: BTreeSet<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let built_in: BTreeSet<_> = BUILT_IN.iter().chain(SHOWN).map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(files, built_in);
}

#[test]
fn multi_vm_is_the_source_s() {
    let scenario = built_in("multi-vm");
    assert_eq!(scenario.host.memory, mib(32_768));
    assert_eq!(scenario.host.memory_reserve, None);
    assert_eq!(scenario.host.dynamic_memory_versions, [DynamicMemoryVersion::V0_3]);
    assert_eq!(scenario.host.vmbus_version, (4, 0));
    let names: Vec<_> = scenario.vms.iter().map(|vm| vm.name.as_str()).collect();
    assert_eq!(names, ["VM1", "VM2", "VM3", "VM4", "VM5", "VM6", "VM7", "VM8"]);
    for (n, vm) in (1..).zip(&scenario.vms) {
        let (product, startup) = if n % 2 == 1 {
            ("Windows Server 2003 R2 SP2", 128)
        } else {
            ("Windows Server 2008 R2 SP1", 512)
        };
        assert_eq!(vm.guest.family().product, product);
        assert_eq!(vm.memory, MemorySettings::dynamic(mib(startup), mib(4096)));
        assert_eq!((vm.memory.minimum, vm.memory.buffer, vm.memory.weight), (mib(startup), 20, 5000));
        assert_eq!((vm.vcpus, vm.integration_services), (1, IntegrationServices::Current));
    }
    let plan = scenario.plan(7, scenario.until).unwrap();
    let starts: Vec<_> = plan
        .iter()
        .filter(|planned| matches!(planned.action, Action::Start { .. }))
        .map(|planned| (planned.at.as_secs(), planned.vm.unwrap()))
        .collect();
    assert_eq!(starts, [(0, 0), (20, 1), (40, 2), (60, 3), (80, 4), (100, 5), (120, 6), (720, 7)]);
    for planned in &plan {
        let Action::SetWorkload(WorkloadConfig::Paint(paint)) = &planned.action else { continue };
        let PaintGoal::GuestCommit(goal) = paint.goal else { panic!("{:?}", paint.goal) };
        let range = if planned.vm == Some(7) { mib(3700)..=mib(3700) } else { mib(3500)..=mib(3750) };
        assert!(range.contains(&goal), "{goal}");
        let step = if planned.vm == Some(7) { mib(32) } else { mib(30) };
        assert_eq!((paint.step, paint.interval), (step, Duration::from_secs(3)));
        assert_eq!(paint.hold.is_some(), planned.vm == Some(7), "VM8 alone unloads");
    }
}

#[test]
fn the_exhaustion_files_differ_in_their_title_and_one_key() {
    let text = |name| BUILT_IN.iter().find(|(known, _)| *known == name).unwrap().1;
    let (unset, set) = (text("exhaustion"), text("exhaustion-reserve-2048"));
    assert_eq!(unset.lines().count(), set.lines().count());
    let differing: Vec<_> =
        unset.lines().zip(set.lines()).filter(|(a, b)| a != b && !a.starts_with("title = ")).collect();
    assert_eq!(differing, [("# memory_reserve = \"2048MB\"", "memory_reserve = \"2048MB\"")]);

    let (mut unset, set) = (built_in("exhaustion"), built_in("exhaustion-reserve-2048"));
    unset.host.memory_reserve = Some(mib(2048));
    assert_eq!(unset.host, set.host);
    assert_eq!(unset.plan(3, unset.until).unwrap(), set.plan(3, set.until).unwrap());
    assert_eq!(
        built_in("multi-vm").plan(3, set.until).unwrap(),
        set.plan(3, set.until).unwrap(),
        "the load of multi-vm"
    );
}

#[test]
fn checks_belong_to_their_reserve() {
    let mean = |name| {
        let scenario = built_in(name);
        let means: Vec<_> = scenario
            .applicable_checks()
            .filter(|check| check.check.name == "available_mean")
            .map(|check| check.expectation)
            .collect();
        let [mean] = means[..] else { panic!("{means:?}") };
        mean
    };
    assert_eq!(mean("exhaustion"), Expectation::Near { expected: 108.0, tolerance: 27.0 });
    assert_eq!(mean("exhaustion-reserve-2048"), Expectation::Near { expected: 35.0, tolerance: 8.75 });
}

#[test]
fn most_vms_is_three_runs() {
    let fixed = built_in("max-vms-static");
    assert!(fixed.vms.iter().all(|vm| vm.memory == MemorySettings::fixed(mib(4096))));
    assert_eq!(built_in("max-vms-dynamic-7").vms.len(), 7);
    let most = built_in("max-vms-dynamic");
    let Action::Start { while_host_used_below: Some(HostUse::AsIn(other)), .. } = &most.timeline[0].action
    else {
        panic!("{:?}", most.timeline)
    };
    assert_eq!(other.value, "max-vms-static");
    let startup: PageCount = most.vms.iter().map(|vm| vm.memory.startup).sum();
    // With parent OS and overhead more than run (1) uses, so that it is not the file that ends the starts.
    assert!(startup + mib(2258 + 8 * 96) > mib(32 << 10));
    assert!(most.plan(1, most.until).unwrap().last().unwrap().at < most.until);
}

const SMALL: &str = r#"
until = "10m"
host = { memory = "8GB" }
"#;

fn small(rest: &str) -> Scenario {
    parse("small.toml", format!("{SMALL}{rest}"), &LoadOptions::default())
        .unwrap_or_else(|bad| panic!("{bad}"))
}

#[test]
fn what_is_not_said_is_as_the_reference_says() {
    let scenario = small("[[vm]]\nname = \"a\"\nguest = \"ws2008-r2-sp1\"\nstartup_bytes = \"1GB\"\n");
    assert_eq!((scenario.title.as_str(), scenario.seed), ("small", 1));
    assert_eq!(scenario.host.name, "HOST");
    assert_eq!(scenario.host.edition, Edition::Enterprise);
    assert_eq!(scenario.host.epoch.to_string(), "2011-02-22T09:00:00Z");
    assert_eq!(scenario.host.parent_os, ParentOs::default());
    assert_eq!(scenario.balancer, Balancer::default());
    assert_eq!(scenario.policy, Policy::default());
    assert_eq!(scenario.sample_interval(scenario.until), Duration::from_secs(1));
    let vm = &scenario.vms[0];
    assert_eq!(vm.memory, MemorySettings::dynamic(mib(1024), mib(65_536)));
    assert_eq!(vm.page_file, PageFileSize::SystemManaged);
    assert!(vm.workload.is_none());
}

#[test]
fn groups_of_one_pattern_are_one_list_in_the_order_of_the_numbers() {
    let vm = |name: &str, numbers: &str| {
        format!(
            "[[vm]]\nname = {name:?}\nnumbers = {numbers:?}\nguest = \"linux\"\nstartup_bytes = \"64MB\"\n"
        )
    };
    let scenario = small(&[vm("VM{n}", "9..11"), vm("db-{n}", "1..2"), vm("VM{n}", "2..3")].concat());
    let names: Vec<_> = scenario.vms.iter().map(|vm| vm.name.as_str()).collect();
    assert_eq!(names, ["VM2", "VM3", "VM9", "VM10", "VM11", "db-1", "db-2"]);
}

#[test]
fn a_timeline_says_which_vms_in_many_ways() {
    let scenario = small(
        r#"
[[vm]]
name = "VM{n}"
numbers = "1..5"
guest = "linux"
startup_bytes = "64MB"
[[timeline]]
at = "1s"
action = "start"
vm = "all"
[[timeline]]
at = "1m"
action = "stop"
vm = ["VM4..VM2", "vm3", "VM5"]
turn_off = true
every = "10s"
[[timeline]]
at = "5m"
action = "set_registry"
name = "MemoryReserve"
value = 1024
[[timeline]]
at = "2m"
action = "mark"
text = "half time"
"#,
    );
    assert_eq!(scenario.timeline[0].vms, [0, 1, 2, 3, 4]);
    assert_eq!(scenario.timeline[1].vms, [3, 2, 1, 4]);
    let plan = scenario.plan(1, scenario.until).unwrap();
    let times: Vec<_> =
        plan.iter().map(|planned| (planned.at.as_secs(), planned.vm, planned.action.name())).collect();
    assert_eq!(
        times[5..],
        [
            (60, Some(3), "stop"),
            (70, Some(2), "stop"),
            (80, Some(1), "stop"),
            (90, Some(4), "stop"),
            (120, None, "mark"),
            (300, None, "set_registry"),
        ]
    );
    assert_eq!(plan[10].action, Action::SetMemoryReserve(mib(1024)));
}

#[test]
fn what_repeats_goes_on_until_the_end() {
    let scenario = small(
        r#"
[[vm]]
name = "VM1"
guest = "linux"
startup_bytes = "64MB"
[[timeline]]
at = "1m"
repeat_every = "3m"
action = "start"
vm = "VM1"
[[timeline]]
at = "2m"
repeat_every = "3m"
action = "stop"
vm = "VM1"
"#,
    );
    let minutes = |until| -> Vec<_> {
        scenario
            .plan(1, Duration::from_secs(until))
            .unwrap()
            .iter()
            .map(|planned| (planned.at.as_secs() / 60, planned.action.name()))
            .collect()
    };
    assert_eq!(
        minutes(480),
        [(1, "start"), (2, "stop"), (4, "start"), (5, "stop"), (7, "start"), (8, "stop")]
    );
    assert_eq!(minutes(479).len(), 5);
}

#[test]
fn draws_depend_on_seed_and_entry_alone() {
    let with = |rest: &str| {
        small(&format!(
            r#"
[[vm]]
name = "VM{{n}}"
numbers = "1..3"
guest = "linux"
startup_bytes = "64MB"
workload = {{ kind = "ramp", to = ["100MB", "200MB"], duration = ["1m", "2m"] }}
[[timeline]]
at = ["10s", "50s"]
action = "set_workload"
vm = "all"
workload = {{ kind = "leak", per_hour = ["100MB", "200MB"] }}
{rest}"#
        ))
    };
    let (plain, longer) =
        (with(""), with("[[timeline]]\nat = [\"1s\", \"5s\"]\naction = \"mark\"\ntext = \"x\"\n"));
    let until = plain.until;
    let leaks = |scenario: &Scenario, seed| -> Vec<_> {
        let plan = scenario.plan(seed, until).unwrap();
        plan.into_iter().filter(|planned| planned.vm.is_some()).map(|p| (p.at, p.vm, p.action)).collect()
    };
    assert_eq!(leaks(&plain, 5), leaks(&plain, 5));
    assert_eq!(leaks(&plain, 5), leaks(&longer, 5), "another entry changes nothing");
    assert_ne!(leaks(&plain, 5), leaks(&plain, 6));
    let workloads = plain.initial_workloads(5).unwrap();
    assert_ne!(workloads[0], workloads[1]);
    assert_eq!(workloads, plain.initial_workloads(5).unwrap());
}

/// A file that uses every key that there is: the reader and its reference know the same keys.
#[test]
fn the_reader_asks_for_every_key_of_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("trace.csv"),
        "vm,t,mem_provisioned_kb,mem_used_kb,cpu_pct\n1,0,2097152,100000,1\n1,300,2097152,200000,1\n2,0,1048576,1,1\n2,300,1048576,2,1\n",
    )
    .unwrap();
    let source = SourceText::new(folder.path().join("all.toml"), include_str!("every_key.toml"));
    let mut asked = BTreeSet::new();
    let scenario = read_document(&source, &schema::ROOT, |root| {
        let scenario = read(root, &LoadOptions::default(), &RecordedLoads::default());
        asked = root.reader.asked.take();
        scenario
    });
    let scenario = scenario.unwrap_or_else(|bad| panic!("{bad}"));
    let documented: BTreeSet<_> =
        reference().iter().flat_map(|table| table.keys().map(|key| (table.name, key.name))).collect();
    // Which host has what is asked before the reader has the text of one host (`hosts.rs`).
    let of_hosts = |&&(table, key): &&(&str, &str)| {
        (key == "host" && table != "the scenario") || (table, key) == ("[host]", "numbers")
    };
    let never_asked: Vec<_> = documented.difference(&asked).filter(|key| !of_hosts(key)).collect();
    assert_eq!(never_asked, Vec::<&(&str, &str)>::new());
    // … and every key is written in the file, so that none is asked for in vain.
    let lines = include_str!("every_key.toml").lines().filter(|line| !line.starts_with('#'));
    let written: BTreeSet<_> =
        lines.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_')).collect();
    for (_, key) in &documented {
        assert!(written.contains(key), "{key} is not in every_key.toml");
    }

    let trace: Vec<_> = scenario.vms.iter().filter(|vm| vm.name.starts_with("recorded")).collect();
    assert_eq!(trace.iter().map(|vm| vm.memory.maximum).collect::<Vec<_>>(), [mib(2048), mib(1024)]);
    assert_eq!(scenario.policy.parameters["hold"].value, Parameter::Text("200s".to_owned()));
    assert_eq!(scenario.policy.parameters["half_width"].value, Parameter::Number(2.5));
    assert_eq!(scenario.host.epoch.to_string(), "2012-01-01T00:00:00Z");
    let workloads = scenario.initial_workloads(1).unwrap();
    assert!(
        matches!(&workloads[scenario.vms.len() - 1], Some(WorkloadConfig::Trace(config)) if config.vm == "2")
    );
}

#[test]
fn recorded_loads_may_come_from_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("given.csv");
    std::fs::write(
        &path,
        "vm,t,mem_provisioned_kb,mem_used_kb,cpu_pct\n7,0,2097152,100000,1\n7,300,2097152,200000,1\n",
    )
    .unwrap();
    let text = format!(
        "{SMALL}[trace]\n[[vm]]\nname = \"VM{{n}}\"\nnumbers = \"trace\"\nguest = \"linux\"\nstartup_bytes = \"512MB\"\n\
         maximum_bytes = \"provisioned\"\nworkload = {{ kind = \"trace\" }}\n"
    );
    let options = LoadOptions {
        trace: Some(path),
        trace_window: Some("0m..10m".parse().unwrap()),
        ..LoadOptions::default()
    };
    let scenario = parse("trace.toml", text, &options).unwrap_or_else(|bad| panic!("{bad}"));
    assert_eq!(scenario.vms.iter().map(|vm| vm.name.as_str()).collect::<Vec<_>>(), ["VM7"]);
}

/// A thousand recorded VMs on twenty hosts would hold the recording twenty times.
#[test]
fn hosts_of_one_file_share_what_was_recorded() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("loads.csv"),
        "vm,t,mem_provisioned_kb,mem_used_kb,cpu_pct\n7,0,2097152,100000,1\n7,300,2097152,200000,1\n",
    )
    .unwrap();
    let text = "until = \"5m\"\n[[host]]\nname = \"H{n}\"\nnumbers = \"1..3\"\nmemory = \"8GB\"\n\
                [trace]\nfile = \"loads.csv\"\n[[vm]]\nname = \"VM\"\nguest = \"linux\"\nstartup_bytes = \"512MB\"\n\
                workload = { kind = \"trace\", vm = \"7\" }\n";
    let scenarios = parse_all(folder.path().join("hosts.toml"), text, &LoadOptions::default())
        .unwrap_or_else(|bad| panic!("{bad}"));
    let traces: Vec<_> = scenarios.iter().map(|scenario| scenario.trace.as_ref().unwrap()).collect();
    assert_eq!(traces.len(), 3);
    assert!(traces.iter().all(|trace| Arc::ptr_eq(trace, traces[0])));
}

#[test]
fn a_setting_of_one_vm_changes_nothing_that_is_drawn_for_others() {
    let options = LoadOptions {
        settings: vec!["vm.VM3.priority=80".parse().unwrap(), "vm.VM8.buffer=5".parse().unwrap()],
        ..LoadOptions::default()
    };
    let (plain, changed) = (built_in("multi-vm"), find("multi-vm", &options).unwrap());
    for (before, after) in plain.vms.iter().zip(&changed.vms) {
        let mut expected = before.memory;
        match before.name.as_str() {
            "VM3" => expected.weight = 8000,
            "VM8" => expected.buffer = 5,
            _ => {}
        }
        assert_eq!(
            (&before.name, &before.number, before.guest.key()),
            (&after.name, &after.number, after.guest.key())
        );
        assert_eq!(expected, after.memory, "{}", before.name);
    }
    assert_ne!(plain.vms[2].memory, changed.vms[2].memory);
    assert_eq!(plain.plan(7, plain.until).unwrap(), changed.plan(7, changed.until).unwrap());
    assert_eq!(plain.initial_workloads(7).unwrap(), changed.initial_workloads(7).unwrap());
}
