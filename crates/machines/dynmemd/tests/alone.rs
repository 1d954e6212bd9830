//! The program without a VM.

use std::process::{Command, Output};

fn dynmemd(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dynmemd")).args(args).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn without_a_place_to_look_it_says_what_to_do() {
    let output = dynmemd(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("--qmp '/run/vms/*.qmp'"), "{}", said(&output));
}

#[test]
fn what_is_wrong_is_said_and_nothing_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dynmemd.toml");
    std::fs::write(&file, "qmp = \"/nowhere/*.qmp\"\n[[vm]]\nname = \"a\"\npriorty = 3\n").unwrap();
    let output = dynmemd(&["--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let text = said(&output);
    assert!(text.contains("did you mean `priority`?") && text.contains("nothing was started"), "{text}");
    for (args, expected) in [
        (["--policy", "hyprev"], "did you mean"),
        (["--policy", "clairvoyant"], "the future"),
        (["--reserve", "999999GB"], "leaves nothing"),
        (["--qmp", "/run/["], "--qmp /run/["),
        (["--config", "/nowhere/dynmemd.toml"], "cannot be read"),
    ] {
        let output = dynmemd(&["--qmp", "/nowhere/*.qmp", args[0], args[1]]);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", said(&output));
        assert!(said(&output).contains(expected), "{args:?}: {}", said(&output));
    }
}
