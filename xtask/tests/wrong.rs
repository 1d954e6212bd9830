//! What is given wrongly: exit code 2, everything at once, nothing started.

use std::fs;

use crate::program::{output, refused, run, stand};

/// A file, its policy's parameters, and options that stand in place of what it says: one go for all of it.
#[test]
fn errors_of_the_file_and_of_the_options_are_told_together() {
    let folder = stand("together");
    let text = "until = \"10m\"\nhost = { memory = \"32GB\" }\npolicy = { name = \"hyperv\", parameters = { half_with = 3 } }\n\
                [[vm]]\nname = \"A\"\nguest = \"linux\"\nstartup_bytes = \"513MB\"\n";
    fs::write(folder.join("wrong.toml"), text).unwrap();
    let words = [
        "scenario",
        "wrong.toml",
        "--policy",
        "hyperw",
        "--driver",
        "inline",
        "--clock",
        "wall",
        "--speed",
        "0",
        "--log",
        "inof",
    ];
    let (code, error) = refused(&folder, &words);
    assert_eq!(code, Some(2), "{error}");
    for part in [
        "--driver inline has one thread",
        "--speed 0.0 must be a positive number",
        "did you mean \"info\"?",
        "did you mean `hyperv`?",
        "did you mean `half_width`?",
        "multiple of 2 MB",
    ] {
        let plain = error.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(plain.matches(part).count(), 1, "{part}: {error}");
    }
    assert!(!folder.join("runs").exists(), "nothing was started");
}

/// Of all scenarios and policies the near one is suggested.
#[test]
fn what_is_near_is_suggested() {
    let folder = stand("near");
    let (code, error) = refused(&folder, &["scenario", "multi-vn"]);
    assert!(code == Some(2) && error.contains("did you mean `multi-vm`?"), "{error}");
    let (code, error) = refused(&folder, &["scenario", "multi-vm", "--policy", "foo"]);
    assert!(code == Some(2) && !error.contains("did you mean"), "nothing is near: {error}");
}

/// What a greedy server will need nobody knows: the policy that is told the future runs all the same, and what it does instead is said.
#[test]
fn a_future_that_nobody_knows_is_said_to_be_one() {
    let folder = stand("future");
    let words = [
        "scenario",
        "greedy-server",
        "--policy",
        "clairvoyant",
        "--until",
        "1m",
        "--events",
        "none",
        "--no-report",
    ];
    let done = output(&folder, &words);
    let said = String::from_utf8_lossy(&done.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        done.status.success() && said.contains("note: what Server will need depends on what is given"),
        "{said}"
    );
}

#[test]
fn comparisons_are_refused_at_once_too() {
    if !cfg!(feature = "study") {
        return;
    }
    let folder = stand("compare");
    let (code, error) =
        refused(&folder, &["compare", "--policies", "hyperw,esy", "--scenarios", "bursts,churm"]);
    assert_eq!(code, Some(2), "{error}");
    for part in ["\"hyperv\"?", "\"esx\"?", "there is no scenario \"bursts\"", "`churn`?"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    // The last seed would be no number any more.
    for first in ["18446744073709551615", "1000000001"] {
        let (code, error) = refused(&folder, &["compare", "--first-seed", first, "--seeds", "3"]);
        assert!(code == Some(2) && error.contains("--first-seed") && !error.contains("panicked"), "{error}");
    }
    assert!(!folder.join("runs").exists(), "nothing was started");
}

/// Everything that is asked of a run by a number that no run can have.
#[test]
fn numbers_beyond_all_measure_are_refused() {
    let folder = stand("measure");
    let cases: [(&[&str], &str); 4] = [
        (&["--until", "600y"], "--until"),
        (&["--until", "500000d"], "--until"),
        (&["--sample-interval", "1ns"], "--sample-interval"),
        (&["--host-memory", "2TB"], "--host-memory"),
    ];
    for (options, named) in cases {
        let words: Vec<&str> = ["scenario", "multi-vm"].iter().chain(options).copied().collect();
        let (code, error) = refused(&folder, &words);
        assert!(code == Some(2) && error.contains(named), "{words:?}: {error}");
    }
}

/// What the reader of the command line complains about is told like everything else: in lines that fit, and with nothing left behind.
#[test]
fn wrong_options_are_told_in_lines_that_fit() {
    let folder = stand("options");
    let mut cases: Vec<(&[&str], &str)> = vec![
        (
            &["scenario", "multi-vm", "--until", "1x"],
            "`x` is not a unit of time: use d, h, m, s, ms, us or ns",
        ),
        (&["scenario", "multi-vm", "--events", "some"], "\"some\" is not one of all, decisions, none"),
    ];
    if cfg!(feature = "study") {
        cases.push((&["verify", "multi-vm", "--seeds", "0"], "it must be a whole number, at least 1"));
        cases.push((&["verify", "multi-vm", "--seeds", "70000"], "that is too many"));
        cases.push((&["explore", "--runs", "0"], "it must be a whole number, at least 1"));
    }
    if cfg!(feature = "live") {
        cases.push((&["scenario", "multi-vm", "--live"], "--live needs a terminal; standard output is none"));
    }
    for (words, expected) in cases {
        let (code, error) = refused(&folder, words);
        let plain = error.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(code == Some(2) && plain.contains(expected), "{words:?}: {error}");
        assert!(error.lines().all(|line| terminal_text::width(line) <= 80), "{words:?}: {error}");
        assert!(!folder.join("runs").exists(), "{words:?}");
    }
    if cfg!(feature = "study") {
        let (_, error) = refused(&folder, &["verify", "nope"]);
        assert!(!error.contains("seeds"), "nothing was drawn: {error}");
    }
}

/// Counters, moments and VMs that a run does not have: what is near, and what there is.
#[test]
fn what_a_run_does_not_have_is_told_with_what_is_near() {
    let folder = stand("not-there");
    run(&folder);
    let cases: [(&[&str], &[&str]); 5] = [
        (&["counters", "run", "Curent Pressure"], &["did you mean", "Current Pressure"]),
        (&["counters", "run", "Demand", "--vm", "VM88"], &["VM88", "did you mean", "VM8"]),
        (&["counters", "run", "Demand", "--from", "2m", "--until", "1m"], &["--from is later"]),
        (&["figures", "run", "--at", "1h"], &["--at 1h", "30s"]),
        (&["figures", "run", "--vm", "VM9"], &["VM9", "VM1, VM2"]),
    ];
    for (words, expected) in cases {
        let (code, error) = refused(&folder, words);
        let error = error.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(code == Some(2) && expected.iter().all(|part| error.contains(part)), "{words:?}: {error}");
    }
}
