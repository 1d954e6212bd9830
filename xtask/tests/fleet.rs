//! A file of several hosts, as its user runs it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::program::{output, refused, stand};

const FLEET: &str = r#"
title = "Five hosts"
until = "90s"
[[host]]
name = "H{n}"
numbers = "1..4"
memory = "4GB"
[[host]]
name = "BIG"
memory = "16GB"
[[vm]]
name = "VM{n}"
numbers = "1..3"
guest = "linux"
startup_bytes = "512MB"
maximum_bytes = "3GB"
workload = { kind = "step", from = "100MB", to = ["600MB", "2GB"], after = ["10s", "40s"] }
[[vm]]
name = "DB"
host = "BIG"
guest = "linux"
startup_bytes = "1GB"
[[timeline]]
at = ["0s", "5s"]
action = "start"
vm = "all"
"#;

/// Everything below a folder, by its path in it.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                let inside = entry.path().strip_prefix(folder).unwrap().to_owned();
                files.insert(inside, fs::read(entry.path()).unwrap());
            }
        }
    }
    files
}

fn succeeds(folder: &Path, words: &[&str]) -> String {
    let done = output(folder, words);
    assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn the_same_bytes_for_any_number_of_cores() {
    let folder = stand("fleet/cores");
    fs::write(folder.join("fleet.toml"), FLEET).unwrap();
    let told =
        succeeds(&folder, &["scenario", "fleet.toml", "--seed", "5", "--out", "one", "--threads", "1"]);
    assert!(told.contains("5 hosts with 16 VMs, of which 16 were started"), "{told}");
    assert!(told.lines().all(|line| line.starts_with("Repeat:") || line.chars().count() <= 80), "{told}");
    succeeds(
        &folder,
        &["scenario", "fleet.toml", "--seed", "5", "--out", "many", "--threads", "4", "--quiet"],
    );
    let one = tree(&folder.join("one"));
    assert!(one.len() > 5 * 5 && one == tree(&folder.join("many")));
    let fleet: serde_json::Value = serde_json::from_slice(&one[Path::new("fleet.json")]).unwrap();
    let names: Vec<&str> =
        fleet["hosts"].as_array().unwrap().iter().map(|host| host["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["H1", "H2", "H3", "H4", "BIG"]);
    // Hosts alike do not do alike.
    assert_ne!(one[Path::new("H1/counters.csv")], one[Path::new("H2/counters.csv")]);
    // One of them alone is the same run.
    succeeds(
        &folder,
        &[
            "scenario",
            "fleet.toml",
            "--seed",
            "5",
            "--host",
            "h3",
            "--driver",
            "inline",
            "--no-report",
            "--out",
            "alone",
        ],
    );
    let alone = tree(&folder.join("alone"));
    for file in ["counters.csv", "events.jsonl", "summary.json", "scenario.toml"] {
        assert!(alone[Path::new(file)] == one[&Path::new("H3").join(file)], "{file}");
    }
    // And its folder's file alone, with the seed that its manifest has.
    let seed = fleet["hosts"][2]["seed"].to_string();
    fs::copy(folder.join("one/H3/scenario.toml"), folder.join("h3.toml")).unwrap();
    let words = [
        "scenario",
        "h3.toml",
        "--seed",
        &seed,
        "--driver",
        "inline",
        "--no-report",
        "--quiet",
        "--out",
        "copy",
    ];
    succeeds(&folder, &words);
    assert!(tree(&folder.join("copy"))[Path::new("counters.csv")] == alone[Path::new("counters.csv")]);
}

/// Each host has a future of its own, and no host's depends on which others are run.
#[test]
fn each_host_is_told_its_own_future() {
    let folder = stand("fleet/future");
    let greedy = "name = \"DB\"\nhost = \"BIG\"\nmaximum_bytes = \"6GB\"\nworkload = { kind = \"server\" }";
    fs::write(folder.join("fleet.toml"), FLEET.replace("name = \"DB\"\nhost = \"BIG\"", greedy)).unwrap();
    let words = ["scenario", "fleet.toml", "--seed", "5", "--policy", "clairvoyant"];
    let done = output(&folder, &[&words[..], &["--out", "all", "--quiet"]].concat());
    let said = String::from_utf8_lossy(&done.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(done.status.success() && said.matches("nobody can know it in advance").count() == 1, "{said}");
    assert!(said.contains("note: BIG: what DB will need depends on what is given"), "{said}");
    let alone = ["--host", "H3", "--driver", "inline", "--no-report", "--quiet", "--out", "alone"];
    succeeds(&folder, &[&words[..], &alone].concat());
    let (all, alone) = (tree(&folder.join("all")), tree(&folder.join("alone")));
    for file in ["counters.csv", "events.jsonl", "summary.json"] {
        assert!(alone[Path::new(file)] == all[&Path::new("H3").join(file)], "{file}");
    }
    assert_ne!(all[Path::new("H1/counters.csv")], all[Path::new("H2/counters.csv")]);
}

#[test]
fn a_fleet_is_written_over_by_force_only_and_anything_else_never() {
    let folder = stand("fleet/force");
    fs::write(folder.join("fleet.toml"), FLEET).unwrap();
    let words = ["scenario", "fleet.toml", "--until", "5s", "--quiet", "--out", "out"];
    succeeds(&folder, &words);
    let (code, said) = refused(&folder, &words);
    assert!(code == Some(2) && said.contains("exists already"), "{said}");
    succeeds(&folder, &[&words[..], &["--force"]].concat());
    fs::write(folder.join("out/H1/thesis.tex"), "").unwrap();
    let (code, said) = refused(&folder, &[&words[..], &["--force"]].concat());
    assert!(code == Some(2) && said.contains("thesis.tex"), "{said}");
    fs::write(folder.join("out/mine.txt"), "").unwrap();
    let (code, said) = refused(&folder, &[&words[..], &["--force"]].concat());
    assert!(code == Some(2) && said.contains("mine.txt"), "{said}");
    assert!(folder.join("out/H1/thesis.tex").exists());
}

#[test]
fn what_is_for_one_host_is_refused_with_several() {
    let folder = stand("fleet/one");
    fs::write(folder.join("fleet.toml"), FLEET).unwrap();
    for (words, part) in [
        (&["--clock", "wall"][..], "--clock wall is for a run of one host, and this scenario has 5"),
        (&["--log", "info"], "--log is for a run of one host"),
        (&["--host", "H7"], "there are H1, H2, H3, H4, BIG; did you mean"),
    ] {
        let (code, said) = refused(&folder, &[&["scenario", "fleet.toml"][..], words].concat());
        let plain = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(code == Some(2) && plain.contains(part), "{said}");
    }
    assert!(!folder.join("runs").exists(), "nothing was started");
}
