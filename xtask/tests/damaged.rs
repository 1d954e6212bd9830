//! What is left of a run that was cut off or damaged, and a system that gives too little, as the commands tell it.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;
use std::process::Stdio;

use crate::program::{output, refused, run, stand, xtask};

/// Journals of one entry, a name, whose length is 2^64 - 1 and 2^44.
const LENGTHS: [&[u8]; 2] = [
    b"DMJOURNL\x01\0\0\0\x0a\0\0\0\xce\x4c\x55\xc0\x00\xfd\xff\xff\xff\xff\xff\xff\xff\xff",
    b"DMJOURNL\x01\0\0\0\x0a\0\0\0\xcb\xef\x15\x98\x00\xfd\0\0\0\0\0\x10\0\0",
];

#[test]
fn a_length_that_no_memory_holds_is_refused_with_its_place() {
    let folder = stand("length");
    for journal in LENGTHS {
        fs::create_dir_all(folder.join("run")).unwrap();
        fs::write(folder.join("run/journal.bin"), journal).unwrap();
        let (code, error) = refused(&folder, &["replay", "run", "--component", "x"]);
        assert_eq!(code, Some(2), "{error}");
        assert!(
            error.contains("run/journal.bin") && error.contains("byte 12") && !error.contains("panicked"),
            "{error}"
        );
    }
}

/// Every file of a run cut by three bytes: all whole records are used, and what is missing is said.
#[test]
fn of_a_run_that_was_cut_what_is_whole_is_used() {
    let folder = stand("cut");
    run(&folder);
    let whole = output(&folder, &["events", "run", "--json"]).stdout;
    for entry in fs::read_dir(folder.join("run")).unwrap().map(Result::unwrap) {
        let bytes = fs::read(entry.path()).unwrap();
        fs::write(entry.path(), &bytes[..bytes.len() - 3]).unwrap();
    }
    let events = output(&folder, &["events", "run", "--json"]);
    assert!(events.status.success());
    let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(lines(&events.stdout), lines(&whole) - 1, "all but the last");
    assert!(whole.starts_with(&events.stdout));
    assert!(String::from_utf8_lossy(&events.stderr).contains("cut off"));
    let commands: [(&[&str], &str); 5] = [
        (&["counters", "run", "Current Pressure", "--vm", "VM1"], "VM1 "),
        (&["explain", "run", "--vm", "VM1", "--at", "20s"], "VM1 had "),
        (&["events", "run", "--follow", "1"], "start_requested"),
        (&["figures", "run"], "figure-overview.svg"),
        (&["replay", "run", "--component", "dm-vsp/VM1"], "all equal"),
    ];
    for (words, expected) in commands {
        let done = output(&folder, words);
        let (said, noted) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success() && said.contains(expected), "{words:?}: {said}{noted}");
        assert!(
            ["cut off", "incomplete", "ends within"].iter().any(|word| noted.contains(word)),
            "{words:?}: {noted}"
        );
    }
}

/// A run that is killed leaves a journal and events that can be read: neither waits for the end of the run.
#[test]
fn a_run_that_was_killed_leaves_what_it_had_recorded() {
    let folder = stand("killed");
    let words = ["scenario", "multi-vm", "--clock", "wall", "--speed", "50", "--out", "run", "--quiet"];
    let mut running = xtask(&folder, &words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let size = |name: &str| fs::metadata(folder.join("run").join(name)).map_or(0, |file| file.len());
    // The run would go on for most of a minute.
    while size("journal.bin") < 1000 || size("events.jsonl") < 1000 {
        assert!(running.try_wait().unwrap().is_none(), "the run ended before it was killed");
        std::thread::yield_now();
    }
    running.kill().unwrap();
    running.wait().unwrap();
    let events = output(&folder, &["events", "run", "--event", "start_admitted"]);
    assert!(
        events.status.success() && !events.stdout.is_empty(),
        "{}",
        String::from_utf8_lossy(&events.stderr)
    );
    let replayed = output(&folder, &["replay", "run", "--component", "dm-vsp/VM1"]);
    assert!(replayed.status.success(), "{}", String::from_utf8_lossy(&replayed.stderr));
}

/// A system that gives no thread: what to do is said, and no defect of this program is claimed.
#[test]
fn a_system_without_threads_is_told_as_that() {
    let folder = stand("threads");
    // What std reads for the size of new threads' stacks: no system has so much memory.
    let done = xtask(&folder, &["scenario", "multi-vm", "--until", "5s", "--driver", "threads"])
        .env("RUST_MIN_STACK", "140000000000000000")
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&done.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(done.status.code(), Some(1), "{error}");
    assert!(error.contains("--driver inline") && error.contains("ulimit -u"), "{error}");
    assert!(!error.contains("defect") && !error.contains("panicked"), "{error}");
}

/// Devices and pipes in place of files: refused at once, with what they are.
#[test]
fn what_is_no_file_is_refused() {
    let folder = stand("devices");
    let fifo = folder.join("pipe.toml");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    let cases: [(&[&str], &str); 5] = [
        (&["scenario", "/dev/zero"], "/dev/zero"),
        (&["scenario", "./pipe.toml"], "pipe.toml"),
        (&["scenario", "trace", "--trace", "/dev/zero"], "/dev/zero"),
        (&["scenario", "trace", "--trace", "pipe.toml"], "pipe.toml"),
        (&["figures", "/dev/zero"], "/dev/zero"),
    ];
    for (words, named) in cases {
        let (code, error) = refused(&folder, words);
        assert!(
            code == Some(2) && error.contains(named) && error.contains("not a file"),
            "{words:?}: {error}"
        );
    }
}

/// `run` is a folder with nothing of a run in it.
#[test]
fn a_folder_that_is_none_of_a_run_is_named() {
    let folder = stand("empty");
    fs::create_dir(folder.join("run")).unwrap();
    let commands: [&[&str]; 5] = [
        &["events", "run"],
        &["counters", "run"],
        &["explain", "run", "--vm", "VM1", "--at", "1s"],
        &["figures", "run"],
        &["replay", "run", "--component", "dm-vsp/VM1"],
    ];
    for words in commands {
        let (code, error) = refused(&folder, words);
        assert!(code == Some(2) && error.contains("run"), "{words:?}: {error}");
    }
    assert!(Path::new(&folder).join("run").read_dir().unwrap().next().is_none(), "nothing is left there");
}

/// A run whose events were not recorded: each command that needs them says so, in the same words.
#[test]
fn a_run_without_events_is_told_as_that() {
    let folder = stand("no-events");
    run(&folder);
    fs::remove_file(folder.join("run/events.jsonl")).unwrap();
    let commands: [&[&str]; 3] = [
        &["events", "run"],
        &["events", "run", "--spans"],
        &["explain", "run", "--vm", "VM1", "--at", "20s"],
    ];
    for words in commands {
        let (code, error) = refused(&folder, words);
        let error = error.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(code, Some(2), "{words:?}: {error}");
        assert!(error.contains("events.jsonl: there is no such file"), "{words:?}: {error}");
        assert!(error.contains("its events were not recorded (--events none)"), "{words:?}: {error}");
    }
}
