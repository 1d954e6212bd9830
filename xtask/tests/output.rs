//! Where output goes, and what a command says when it cannot go there.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::path::Path;

use crate::program::{output, run, stand, xtask};

/// Commands that print, each for a folder with a run in it.
fn commands() -> Vec<Vec<&'static str>> {
    let mut commands = vec![
        vec!["--help"],
        vec!["scenario", "--help"],
        vec!["scenario"],
        vec!["scenario", "list", "--json"],
        vec!["scenario", "multi-vm", "--until", "5s", "--driver", "inline"],
        vec!["scenario", "multi-vm", "--until", "5s", "--driver", "inline", "--json"],
        vec!["events", "run"],
        vec!["events", "run", "--follow", "1"],
        vec!["events", "run", "--sequence", "40"],
        vec!["events", "run", "--spans"],
        vec!["events", "run", "--who-paid", "VM1"],
        vec!["explain", "run", "--vm", "VM1", "--at", "20s"],
        vec!["replay", "run", "--component", "dm-vsp/VM1"],
        vec!["figures", "run"],
        vec!["counters", "run"],
        vec!["counters", "run", "Physical Memory", "--vm", "VM1", "--every", "2s"],
    ];
    if cfg!(feature = "study") {
        commands.push(vec!["compare", "--scenarios", "list"]);
        commands.push(vec!["explore", "--runs", "1", "--until", "5s"]);
        commands.push(vec!["verify", "single-vm-ws2008r2", "--seed", "1"]);
        commands.push(vec!["diff", "run", "other"]);
    }
    if cfg!(feature = "export") {
        commands.push(vec!["export", "run", "--format", "csv", "--out", "tables", "--force"]);
    }
    if cfg!(feature = "guest") {
        commands.push(vec!["guest", "doctor"]);
    }
    if cfg!(feature = "full") {
        commands.push(vec!["completions", "bash"]);
        commands.push(vec!["man"]);
    }
    commands
}

/// The runs that these commands are about.
fn runs(folder: &Path) {
    run(folder);
    let words = ["scenario", "multi-vm", "--until", "30s", "--driver", "inline", "--out", "other"];
    let made = output(folder, &[&words[..], &["--seed", "2", "--set", "vm.VM2.buffer=60"]].concat());
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[test]
fn a_full_disk_is_told_and_is_a_failure() {
    let folder = stand("full");
    runs(&folder);
    for words in commands() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let done = xtask(&folder, &words).stdout(full).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(1), "{words:?}: {said}");
        assert!(
            said.contains("standard output cannot be written: No space left on device"),
            "{words:?}: {said}"
        );
    }
}

#[test]
fn a_closed_pipe_is_silent() {
    let folder = stand("closed");
    runs(&folder);
    for words in commands() {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let done = xtask(&folder, &words).stdout(writer).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(0), "{words:?}: {said}");
        assert!(!said.contains("error") && !said.contains("panicked"), "{words:?}: {said}");
    }
}

/// What goes to standard error counts for nothing: a command does what it does without it.
#[test]
fn notes_that_cannot_be_written_are_left_out() {
    let folder = stand("notes");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let done = xtask(&folder, &["scenario", "there-is-none"]).stderr(full).output().unwrap();
    assert_eq!(done.status.code(), Some(2));
}

#[test]
fn runs_are_left_where_one_stands() {
    let folder = stand("here");
    let made = output(&folder, &["scenario", "multi-vm", "--until", "5s", "--driver", "inline"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let said = String::from_utf8_lossy(&made.stdout).into_owned();
    assert!(said.contains("Files:  runs/multi-vm-001\n"), "{said}");
    assert!(folder.join("runs/multi-vm-001/summary.json").is_file());
}

#[test]
fn the_list_is_there_for_programs_and_without_a_name_for_people() {
    let folder = stand("list");
    let list = output(&folder, &["scenario", "list", "--json"]);
    let groups: serde_json::Value = serde_json::from_slice(&list.stdout).unwrap();
    let names: Vec<&str> = groups
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["scenarios"].as_array().unwrap())
        .map(|entry| entry["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"multi-vm") && names.contains(&"real-linux"), "{names:?}");
    let people = output(&folder, &["scenario"]);
    assert!(people.status.success());
    let said = String::from_utf8_lossy(&people.stdout).into_owned();
    assert!(names.iter().all(|name| said.contains(name)) && said.contains("--help"), "{said}");
    assert_eq!(people.stdout, output(&folder, &["scenario", "list"]).stdout);
}

/// The list of commands is the same in every build, though most builds leave some out.
#[test]
fn every_command_is_listed() {
    let folder = stand("help");
    let help = output(&folder, &["--help"]);
    let said = String::from_utf8_lossy(&help.stdout).into_owned();
    for command in [
        "scenario",
        "events",
        "explain",
        "replay",
        "verify",
        "figures",
        "counters",
        "explore",
        "compare",
        "new-balancer",
        "bench",
        "guest",
        "test",
        "loom",
        "fuzz",
        "mutants",
        "completions",
        "man",
        "docs",
    ] {
        assert!(
            said.lines().any(|line| line.trim_start().starts_with(&format!("{command} "))),
            "{command}: {said}"
        );
    }
}

/// Without a terminal lines have 80 columns, as `COLUMNS` does not say otherwise; of what is longer only commands to copy, paths and JSON.
#[test]
fn lines_fit_eighty_columns() {
    let folder = stand("eighty");
    runs(&folder);
    let more = [
        vec!["events", "--help"],
        vec!["compare", "--help"],
        vec!["events", "run", "--sequence", "40", "--as", "text", "--depth", "30"],
        vec!["events", "run", "--vm", "VM1", "--spans"],
        vec!["events", "run", "--event", "decision"],
        vec!["counters", "--help"],
        vec!["counters", "run"],
        vec!["counters", "run", "Signals", "--per", "Packets From Guest"],
        vec!["counters", "run", "Physical Memory", "Demand", "--vm", "VM1", "--every", "5s"],
        vec!["explain", "run", "--vm", "VM2", "--at", "30s"],
        vec!["events", "run", "--follow", "40"],
    ];
    for words in commands().into_iter().chain(more) {
        if words.contains(&"--json") || matches!(words[0], "completions" | "man") {
            continue;
        }
        let done = xtask(&folder, &words).env_remove("COLUMNS").output().unwrap();
        for text in [done.stdout, done.stderr] {
            for line in String::from_utf8(text).unwrap().lines() {
                let copied = ["Repeat:", "Events:", "Files:", "cargo xtask", "run/", "runs/"]
                    .iter()
                    .any(|head| line.trim_start().starts_with(head));
                // A single word that is longer than a line is not broken.
                let word = !line.trim().contains(' ');
                assert!(copied || word || terminal_text::width(line) <= 80, "{words:?}: {line}");
            }
        }
    }
    let wide = xtask(&folder, &["scenario", "list"]).env("COLUMNS", "120").output().unwrap();
    let wide = String::from_utf8(wide.stdout).unwrap();
    assert!(wide.lines().any(|line| (81..=120).contains(&terminal_text::width(line))), "{wide}");
}

/// <https://no-color.org> and <https://bixense.com/clicolors>.
#[test]
fn colours_follow_the_usual_rules() {
    let folder = stand("colours");
    let words = ["scenario", "multi-vm", "--until", "5s", "--driver", "inline", "--quiet", "--log", "info"];
    let coloured = |variables: &[(&str, &str)]| {
        let mut command = xtask(&folder, &words);
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        let done = command.envs(variables.iter().copied()).output().unwrap();
        assert!(!done.stderr.is_empty());
        String::from_utf8_lossy(&done.stderr).contains('\x1b')
    };
    assert!(!coloured(&[]), "this is no terminal");
    assert!(coloured(&[("CLICOLOR_FORCE", "1")]));
    assert!(!coloured(&[("CLICOLOR_FORCE", "0")]));
    assert!(!coloured(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
}

/// What commands print follows the same rules: here the story of a guest that refuses its applications memory, and its warnings.
#[test]
fn colours_of_the_story_and_of_events_follow_them_too() {
    let folder = stand("story");
    std::fs::write(folder.join("refused.toml"), REFUSED).unwrap();
    let words = ["scenario", "refused.toml", "--driver", "inline", "--out", "run", "--force"];
    for words in [&words[..], &["events", "run", "--event", "commit_failed"]] {
        let coloured = |variables: &[(&str, &str)]| {
            let mut command = xtask(&folder, words);
            for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
                command.env_remove(name);
            }
            let done = command.envs(variables.iter().copied()).output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            String::from_utf8_lossy(&done.stdout).contains('\x1b')
        };
        assert!(!coloured(&[]), "this is no terminal: {words:?}");
        assert!(coloured(&[("CLICOLOR_FORCE", "1")]), "{words:?}");
        assert!(!coloured(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]), "{words:?}");
    }
}

/// A guest of 512 MB whose application asks for more than memory and page file have together.
const REFUSED: &str = r#"
until = "3m"
host = { memory = "16GB" }
[[vm]]
name = "Greedy"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
maximum_bytes = "8GB"
workload = { kind = "step", to = "60GB", after = "10s" }
[[timeline]]
at = "0s"
action = "start"
vm = "all"
"#;
