use std::path::Path;

use page_range::PageCount;
use scenario::file::{LoadOptions, load};
use sweep::Runner;

use super::*;
use crate::question::{Hosts, Risk};

/// Four VMs that work one after the other, some hours long, with a value every minute.
fn recorded(folder: &Path, hours: u32) -> Scenario {
    let mut trace = "vm,t,mem_provisioned_kb,mem_used_kb,cpu_pct\n".to_owned();
    for (place, vm) in ["A", "B", "C", "D"].into_iter().enumerate() {
        for minute in 0..hours * 60 {
            let works = minute / 20 % 4 == place as u32;
            let mib = if works { 3000 + minute % 20 * 20 } else { 800 };
            trace.push_str(&format!("{vm},{},8388608,{},0\n", minute * 60, mib * 1024));
        }
    }
    std::fs::write(folder.join("load.csv"), trace).unwrap();
    let mut toml = "until = \"trace\"\n[host]\nmemory = \"64GB\"\nedition = \"unlimited\"\n[trace]\nfile = \"load.csv\"\n".to_owned();
    for vm in ["A", "B", "C", "D"] {
        toml.push_str(&format!(
            "[[vm]]\nname = \"{vm}\"\nguest = \"ws2008-r2-sp1-enterprise\"\nstartup_bytes = \"1GB\"\nmaximum_bytes = \"8GB\"\nworkload = {{ kind = \"trace\", vm = \"{vm}\" }}\n"
        ));
    }
    toml.push_str("[[timeline]]\nat = \"0s\"\naction = \"start\"\nvm = \"all\"\n");
    scenario_of(folder, &toml)
}

/// Two VMs whose work is drawn.
fn drawn(folder: &Path) -> Scenario {
    let toml = "until = \"6m\"\n[host]\nmemory = \"16GB\"\n[workloads.w]\nkind = \"sawtooth\"\nlow = \"100MB\"\nhigh = [\"500MB\", \"1500MB\"]\nrise = \"1m\"\nfall = \"30s\"\n\
        [[vm]]\nname = \"V{n}\"\nnumbers = \"1..2\"\nguest = \"windows-7-sp1-enterprise-x64\"\nstartup_bytes = \"512MB\"\nmaximum_bytes = \"3GB\"\nworkload = \"w\"\n\
        [[timeline]]\nat = \"0s\"\naction = \"start\"\nvm = \"all\"\n";
    scenario_of(folder, toml)
}

fn scenario_of(folder: &Path, toml: &str) -> Scenario {
    let file = folder.join("load.toml");
    std::fs::write(&file, toml).unwrap();
    load(&file, &LoadOptions::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn asked(hosts: u32, spare: u32, seeds: u32) -> Asked {
    let question = Question {
        hosts: Hosts::Number(hosts),
        spare,
        risk: Risk::default(),
        seeds,
        threads: 2,
        step: Some(PageCount::from_mib(512)),
        full: false,
    };
    Asked { question, seeds, changes: Changes::default() }
}

/// The answer of a sweep, and in how many rounds it was found. Points are run from the last to the first.
fn swept(folder: &Path, scenario: &Scenario, fleet: &Fleet, asked: &Asked) -> (Answer, usize) {
    let sketch = sketch(scenario, fleet, asked, "the command", &|_| ()).unwrap();
    let at = folder.join("plan");
    let mut plan = Plan::write(&at, &sketch).unwrap();
    let rows = Rows::new(at.join(sweep::ROWS_FOLDER));
    let runner: Arc<dyn Runner> = Arc::new(Sizer::default());
    for round in 1..40 {
        let (collected, standing) = collect(&mut plan, &rows, 1, &|_| ()).unwrap();
        match collected {
            Collected::Answer(answer) => return (*answer, round),
            Collected::More(more) => assert!(more > 0, "a search that waits for nothing"),
            Collected::Incomplete => assert!(!standing.missing.is_empty()),
        }
        // As a worker elsewhere would: from the files.
        let there = Plan::read(&at).unwrap();
        let places: Vec<usize> = (0..there.points().len()).rev().collect();
        let done = sweep::run(&there, &rows, &places, 2, &runner, &mut |_| ()).unwrap();
        assert_eq!((done.failed, &done.ended), (0, &None), "{done:?}");
        // What a point costs is measured of the thread that it is given. A VM second of a full run takes a core 1 to 10 µs.
        let vm_seconds: u64 = there.points().iter().map(|point| point.settings.vm_seconds).sum();
        assert!(round > 1 || done.seconds > vm_seconds as f64 * 0.1e-6, "{vm_seconds} VM s: {done:?}");
    }
    panic!("no end of rounds");
}

fn same(scenario: &Scenario, asked: &Asked, fast: bool) {
    let folder = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::of_scenario(scenario, asked.changes.policy.as_deref(), asked.seeds).unwrap();
    fleet.vms[0].name = "a name that only files know".to_owned();
    fleet.begins = Some(1_300_000_000_000);
    let (answer, rounds) = swept(folder.path(), scenario, &fleet, asked);
    if let Some(growth) = asked.changes.growth {
        fleet.grow(growth).unwrap();
    }
    if let Some((size, length)) = asked.changes.burst {
        fleet.burst(size, length).unwrap();
    }
    let changes = &asked.changes;
    let here =
        crate::size(&fleet, &asked.question, changes.growth, changes.burst.is_some(), "the command", &|_| ());
    let here = here.unwrap();
    assert_eq!(here.found[0].fast_said.is_some(), fast, "{:?}", here.found[0]);
    let json = |answer: &Answer| serde_json::to_string_pretty(answer).unwrap();
    assert_eq!(json(&answer), json(&here));
    assert_eq!(
        (answer.page(), answer.script(), answer.undo_script()),
        (here.page(), here.script(), here.undo_script())
    );
    assert!((2..=16).contains(&rounds), "{rounds} rounds");
}

#[test]
fn a_sweep_has_the_answer_of_one_machine() {
    let folder = tempfile::tempdir().unwrap();
    let changes = Changes {
        policy: Some("esx".to_owned()),
        growth: Some("10%/y:2y".parse().unwrap()),
        burst: Some((PageCount::from_mib(256), Duration::from_secs(20))),
    };
    same(&recorded(folder.path(), 2), &Asked { changes, ..asked(2, 1, 1) }, false);
}

#[test]
fn so_it_has_where_the_fast_model_searches_and_full_runs_confirm() {
    let folder = tempfile::tempdir().unwrap();
    same(&recorded(folder.path(), 26), &asked(2, 0, 1), true);
}

#[test]
fn so_it_has_of_loads_that_are_drawn() {
    let folder = tempfile::tempdir().unwrap();
    same(&drawn(folder.path()), &asked(1, 0, 2), false);
}

#[test]
fn a_row_of_another_run_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = recorded(folder.path(), 2);
    let fleet = Fleet::of_scenario(&scenario, None, 1).unwrap();
    let sketch = sketch(&scenario, &fleet, &asked(1, 0, 1), "", &|_| ()).unwrap();
    let point = &sketch.points[0];
    let row = Sizer::default().run(0, point, &scenario).unwrap();
    assert!(read(point, &row).is_ok());
    let mut other = point.settings.clone();
    other.parameters.insert("vms".to_owned(), "0-1".to_owned());
    let other = Point::new(other);
    assert!(read(&other, &row).unwrap_err().contains("it is of 4 VMs, and its point of 2"));
    for (name, value, expected) in [
        ("vms", "9-1", "says vms \"9-1\""),
        ("vms", "0-99999999999", "says vms"),
        ("vms", "0-7", "names the VM 4"),
        ("arrive", "[1", "says arrive"),
        ("window", "[{\"secs\":2,\"nanos\":0},{\"secs\":1,\"nanos\":0}]", "says window"),
        ("engine", "slow", "says engine"),
    ] {
        let mut wrong = point.settings.clone();
        wrong.parameters.insert(name.to_owned(), value.to_owned());
        let error = Sizer::default().run(0, &Point::new(wrong), &scenario).unwrap_err();
        assert!(error.contains(expected), "{name} {value}: {error}");
    }
}
