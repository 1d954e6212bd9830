//! `tune`: a search, and what is no search.
#![cfg(feature = "study")]

use crate::program::{output, refused, stand};

/// Small: sets differ only in how much MOM may change at once.
const SMALL: [&str; 13] = [
    "tune",
    "--policy",
    "mom",
    "--params",
    "most_change=0.01..0.2",
    "--scenarios",
    "multi-vm",
    "--seeds",
    "1..1",
    "--hold-out",
    "2..2",
    "--until",
    "17m",
];

#[test]
fn parameters_are_found_that_a_scenario_takes() {
    let folder = stand("tune");
    let search = ["--budget", "3", "--search", "grid", "--prefer", "moved", "--out", "found"];
    let found = output(&folder, &[&SMALL[..], &search].concat());
    let said = String::from_utf8_lossy(&found.stdout).into_owned();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    assert!(said.starts_with("Of 3 sets that were tried, set 1 was chosen"), "{said}");
    assert!(said.contains("most_change = 0.01") && said.contains("too few for a verdict"), "{said}");
    let page = std::fs::read_to_string(folder.join("found/tune.html")).unwrap();
    assert!(page.contains("<title>Parameters of mom") && page.contains("set 3"), "{page}");
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("found/tune.json")).unwrap()).unwrap();
    assert_eq!(json["training"]["seeds"], serde_json::json!([1]));
    assert_eq!(json["held_out"]["seeds"], serde_json::json!([2]));
    // What was found is run.
    let chosen = std::fs::read_to_string(folder.join("found/policy.toml")).unwrap();
    let multi =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios/multi-vm.toml")).unwrap();
    std::fs::write(folder.join("own.toml"), format!("{multi}\n{chosen}")).unwrap();
    let ran = output(&folder, &["scenario", "own.toml", "--until", "2m", "--out", "own"]);
    assert!(ran.status.success(), "{}{}", chosen, String::from_utf8_lossy(&ran.stderr));
    // The folder is not lost by a mistake.
    let (code, error) = refused(&folder, &[&SMALL[..], &["--out", "found"]].concat());
    assert!(code == Some(2) && error.contains("--force"), "{error}");
}

#[test]
fn what_is_no_search_is_refused_and_leaves_nothing() {
    let folder = stand("tune-not");
    for (words, why) in [
        (&["--policy", "proxmox", "--params", "step=1..2"][..], "did you mean \"step_limit\"?"),
        (&["--policy", "clairvoyant"], "told the future"),
        (&["--policy", "static"], "nothing to tune"),
        (
            &["--policy", "esx", "--scenarios", "churn", "--seeds", "1..3", "--hold-out", "3..9"],
            "both trained on and held out",
        ),
        (&["--policy", "esx", "--search", "grid", "--scenarios", "churn"], "4096 sets at least"),
        (&["--policy", "esx", "--seeds", "5..3"], "write it as A..B"),
        (
            &[
                "--policy",
                "esx",
                "--trace",
                "x.csv",
                "--host-memory",
                "9GB",
                "--windows",
                "0h..24h",
                "--hold-out-windows",
                "12h..36h",
            ],
            "12h..36h is held out and overlaps with 0h..24h",
        ),
    ] {
        let (code, error) = refused(&folder, &[&["tune"], words].concat());
        let plain = error.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(code == Some(2) && plain.contains(why), "{error}");
    }
    assert_eq!(folder.join("runs").read_dir().map_or(0, Iterator::count), 0, "no folder is left");
}
