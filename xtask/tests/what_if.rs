//! `diff DIR --set KEY=VALUE`: the scenario of a run, run again with something else in its file.
#![cfg(feature = "study")]

use crate::program::{output, refused, run, stand};

#[test]
fn a_run_is_run_again_as_it_was_but_for_what_is_set() {
    let folder = stand("what-if");
    run(&folder);
    let same = output(&folder, &["diff", "run", "--set", "vm.VM3.priority=50", "--out", "same"]);
    let said = String::from_utf8_lossy(&same.stdout).into_owned();
    assert!(same.status.success(), "{said}{}", String::from_utf8_lossy(&same.stderr));
    // Until, seed, name and recording are those of the first; its priority was 50.
    let plain = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(plain.contains("What was set differently made no difference."), "{said}");
    let other = output(
        &folder,
        &["diff", "run", "--set", "vm.VM1.startup_bytes=256MB", "--out", "other", "--html", "curves.html"],
    );
    let said = String::from_utf8_lossy(&other.stdout).into_owned();
    assert!(said.contains("startup_bytes") && said.contains("VMs whose sums differ"), "{said}");
    let page = std::fs::read_to_string(folder.join("curves.html")).unwrap();
    assert!(page.contains("Physical Memory of VM1") && page.contains("uPlot"));
    // The folder that was made is one of a run, too.
    let again = output(&folder, &["diff", "run", "other"]);
    assert_eq!(String::from_utf8_lossy(&again.stdout), said.split("\nCurves:").next().unwrap());
}

#[test]
fn what_cannot_be_set_or_run_again_is_refused() {
    let folder = stand("what-not");
    run(&folder);
    let (code, error) = refused(&folder, &["diff", "run", "--set", "vm.VM3.prio=80"]);
    assert!(code == Some(2) && error.contains("did you mean `priority`?"), "{error}");
    let left = folder.join("runs").read_dir().map_or(0, Iterator::count);
    assert_eq!(left, 0, "nothing was started, and no folder is left");
    std::fs::remove_file(folder.join("run/scenario.toml")).unwrap();
    let (code, error) = refused(&folder, &["diff", "run", "--set", "vm.VM3.priority=80"]);
    assert!(code == Some(2) && error.contains("run/scenario.toml"), "{error}");
    let (code, error) = refused(&folder, &["diff", "run"]);
    assert!(code == Some(2) && error.contains("<SECOND>"), "{error}");
    let (code, error) = refused(&folder, &["replay", "run", "--live", "--component", "dm-vsp/VM1"]);
    assert!(code == Some(2) && error.contains("--component"), "{error}");
}
