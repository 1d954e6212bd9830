//! `cargo xtask events`: filters that compose, for people and for programs.

use crate::program::{output, refused, run, stand};

fn said(folder: &std::path::Path, words: &[&str]) -> String {
    let done = output(folder, words);
    assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn filters_compose_and_json_is_what_the_run_recorded() {
    let folder = stand("events");
    run(&folder);
    let all = std::fs::read_to_string(folder.join("run/events.jsonl")).unwrap();
    // Everything, unchanged.
    assert_eq!(said(&folder, &["events", "run", "--json"]), all);
    let words = [
        "events",
        "run",
        "--json",
        "--from",
        "17s",
        "--until",
        "26s",
        "--vm",
        "vm1",
        "--component",
        "dm-vsc",
        "--event",
        "balloon_status",
    ];
    let expected: Vec<&str> = all
        .lines()
        .filter(|line| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            (17_000_000_000..=26_000_000_000).contains(&event["t"].as_u64().unwrap())
                && event["vm"] == "VM1"
                && event["component"] == "dm-vsc"
                && event["event"] == "balloon_status"
        })
        .collect();
    assert!(expected.len() > 2, "{expected:?}");
    assert_eq!(said(&folder, &words).lines().collect::<Vec<_>>(), expected);
    // The same for people: a line of heads, and one event for each of them.
    let words: Vec<&str> = words.into_iter().filter(|word| *word != "--json").collect();
    let people = said(&folder, &words);
    assert_eq!(people.matches(" balloon_status").count(), expected.len(), "{people}");
    assert!(people.lines().next().unwrap().contains('Δ'), "{people}");
}

#[test]
fn a_chain_is_filtered_and_is_there_for_programs() {
    let folder = stand("chain");
    run(&folder);
    let decisions = said(&folder, &["events", "run", "--json", "--event", "start_admitted", "--vm", "VM2"]);
    let first: serde_json::Value = serde_json::from_str(decisions.lines().next().unwrap()).unwrap();
    let seq = first["seq"].to_string();
    let chain = said(&folder, &["events", "run", "--follow", &seq, "--json"]);
    let chain: Vec<serde_json::Value> =
        chain.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let steps = |relation: &str| -> Vec<u64> {
        let of = chain.iter().filter(|event| event["relation"] == relation);
        of.map(|event| event["steps"].as_u64().unwrap()).collect()
    };
    assert_eq!(steps("event"), [0]);
    assert_eq!(steps("cause"), [1], "the request to start it");
    assert!(!steps("effect").is_empty() && steps("effect").iter().all(|steps| *steps >= 1));
    // Of the effects only those of the worker; the event itself is always there.
    let some = said(&folder, &["events", "run", "--follow", &seq, "--json", "--component", "dm-vsp"]);
    let some: Vec<serde_json::Value> = some.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(some.len() > 1 && some.len() < chain.len());
    assert!(some.iter().all(|event| event["component"] == "dm-vsp" || event["relation"] == "event"));
}

#[test]
fn a_filter_that_picks_nothing_is_bad_input() {
    let folder = stand("nothing");
    run(&folder);
    let cases: [(&[&str], &str); 4] = [
        (&["--event", "decisoin"], "did you mean \"decision\"?"),
        (&["--from", "31s"], "no event is in that time"),
        (&["--from", "20s", "--until", "10s"], "no event lies between them"),
        (&["--from", "soon"], "is not a number"),
    ];
    for (options, expected) in cases {
        let words: Vec<&str> = ["events", "run"].iter().chain(options).copied().collect();
        let (code, error) = refused(&folder, &words);
        let plain = error.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(code == Some(2) && plain.contains(expected), "{words:?}: {error}");
    }
}

/// Of a run in virtual time nothing is read that is later than what was asked for; in real time an event may be recorded late.
#[test]
fn what_is_later_than_asked_for_is_not_read() {
    let folder = stand("until");
    run(&folder);
    let path = folder.join("run/events.jsonl");
    let all = std::fs::read_to_string(&path).unwrap();
    let later = |line: &&str| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        event["t"].as_u64().unwrap() > 20_000_000_000
    };
    let early: Vec<&str> = all.lines().take_while(|line| !later(line)).collect();
    let next = all.lines().nth(early.len()).unwrap();
    let words = ["events", "run", "--json", "--until", "20s"];
    std::fs::write(&path, format!("{}\n{next}\nthis is no event\n{next}\n", early.join("\n"))).unwrap();
    assert_eq!(said(&folder, &words).lines().collect::<Vec<_>>(), early);
    // What is not found is looked for to the end.
    let (code, error) = refused(&folder, &[&words[..], &["--event", "decisoin"]].concat());
    assert!(code == Some(2) && error.contains("events.jsonl"), "{error}");
    let manifest = folder.join("run/manifest.json");
    let wall = std::fs::read_to_string(&manifest).unwrap().replace("\"virtual\"", "\"wall\"");
    std::fs::write(&manifest, wall).unwrap();
    let (code, error) = refused(&folder, &words);
    assert!(code == Some(2) && error.contains("events.jsonl"), "{error}");
}

/// Events that are compressed while they are written: whoever reads them does not notice, and one that is cut off is read as far as it goes.
#[test]
fn compressed_events_are_read_as_others_are() {
    let folder = stand("compressed");
    let words = "scenario multi-vm --until 5m --driver inline --quiet --no-report --out";
    let words: Vec<&str> = words.split(' ').collect();
    said(&folder, &[&words[..], &["PLAIN"]].concat());
    said(&folder, &[&words[..], &["PACKED", "--compress-events", "always"]].concat());
    let (packed, plain) = (folder.join("PACKED/events.jsonl.zst"), folder.join("PLAIN/events.jsonl"));
    let size = |path: &std::path::Path| std::fs::metadata(path).unwrap().len();
    assert!(size(&packed) * 8 < size(&plain), "{} of {} bytes", size(&packed), size(&plain));
    assert!(!folder.join("PACKED/events.jsonl").exists() && !folder.join("PACKED/journal.bin").exists());
    for words in [
        &["events", "DIR", "--json"][..],
        &["events", "DIR", "--vm", "VM1", "--spans"],
        &["explain", "DIR", "--vm", "VM1", "--at", "20s"],
        &["replay", "DIR", "--component", "dm-vsp/VM1"],
    ] {
        let of = |dir: &str| {
            let words: Vec<&str> = words.iter().map(|&word| if word == "DIR" { dir } else { word }).collect();
            said(&folder, &words).replace(dir, "DIR")
        };
        assert!(of("PACKED") == of("PLAIN"), "{words:?}");
    }
    said(&folder, &["report", "PACKED"]);
    let report = |dir: &str| {
        let page = std::fs::read_to_string(folder.join(dir).join("report.html")).unwrap();
        page.matches("balloon_status").count()
    };
    said(&folder, &["report", "PLAIN"]);
    assert_eq!(report("PACKED"), report("PLAIN"));
    let bytes = std::fs::read(&packed).unwrap();
    std::fs::write(&packed, &bytes[..bytes.len() - 20]).unwrap();
    let cut = output(&folder, &["events", "PACKED", "--json"]);
    let (events, why) = (String::from_utf8(cut.stdout).unwrap(), String::from_utf8(cut.stderr).unwrap());
    assert!(cut.status.success() && why.contains("the events are cut off"), "{why}");
    assert!(events.len() > 100_000 && std::fs::read_to_string(&plain).unwrap().starts_with(&events));
    // A run that is overwritten leaves nothing.
    said(&folder, &[&words[..], &["PACKED", "--force"]].concat());
    assert!(!packed.exists() && folder.join("PACKED/events.jsonl").exists());
}
