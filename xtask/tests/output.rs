//! Where output goes, and what a command says when it cannot go there.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A folder for a test to stand in, empty.
fn stand(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("output").join(name);
    let _old = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn xtask(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.current_dir(folder).args(words).stdin(Stdio::null());
    command
}

fn output(folder: &Path, words: &[&str]) -> Output {
    xtask(folder, words).output().unwrap()
}

/// A run of a few virtual seconds.
fn run(folder: &Path) {
    let made =
        output(folder, &["scenario", "multi-vm", "--until", "30s", "--driver", "inline", "--out", "run"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

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
        vec!["explain", "run", "--vm", "VM1", "--at", "20s"],
        vec!["replay", "run", "--component", "dm-vsp/VM1"],
        vec!["figures", "run"],
    ];
    if cfg!(feature = "study") {
        commands.push(vec!["compare", "--scenarios", "list"]);
        commands.push(vec!["explore", "--runs", "1", "--until", "5s"]);
        commands.push(vec!["verify", "single-vm-ws2008r2", "--seed", "1"]);
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

#[test]
fn a_full_disk_is_told_and_is_a_failure() {
    let folder = stand("full");
    run(&folder);
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
    run(&folder);
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
    assert!(said.contains("Files: runs/multi-vm-001\n"), "{said}");
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
