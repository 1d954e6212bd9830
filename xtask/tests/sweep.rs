//! A sweep as its user runs it: the same bytes as on one machine, whatever went wrong in between.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::program::{output, refused, stand, xtask};

/// What is compared in these tests, as words.
const SMALL: [&str; 8] =
    ["--policies", "hyperv,mom", "--scenarios", "churn", "--seeds", "6", "--until", "90s"];
/// Its points: six seeds of two policies and the well-provisioned host.
const POINTS: usize = 18;

const FILES: [&str; 3] = ["compare.json", "compare.csv", "compare.html"];

fn succeeds(folder: &Path, words: &[&str]) -> String {
    let done = output(folder, words);
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success(), "{words:?}: {text}{}", String::from_utf8_lossy(&done.stderr));
    text
}

/// A folder with a plan in `plan`, and what one machine makes of it in `local`.
fn planned(name: &str) -> PathBuf {
    let folder = stand(&format!("sweep/{name}"));
    succeeds(&folder, &[&["compare", "--out", "local"][..], &SMALL].concat());
    succeeds(&folder, &[&["sweep", "plan", "compare", "--out", "plan"][..], &SMALL].concat());
    folder
}

fn run_with<'w>(words: &[&'w str]) -> Vec<&'w str> {
    [&["sweep", "run", "--plan", "plan"], words].concat()
}

pub(crate) fn assert_the_same(folder: &Path, collected: &str) {
    for file in FILES {
        let local = fs::read(folder.join("local").join(file)).unwrap();
        assert!(!local.is_empty() && local == fs::read(folder.join(collected).join(file)).unwrap(), "{file}");
    }
}

/// The rows below a folder, and what else is there.
fn rows(folder: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let mut all = Vec::new();
    for shard in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if shard.ends_with("log") {
            continue;
        }
        all.extend(fs::read_dir(shard).unwrap().map(|entry| entry.unwrap().path()));
    }
    all.sort();
    all.into_iter().partition(|path| path.extension().is_some_and(|ending| ending == "row"))
}

#[test]
fn points_that_are_run_in_pieces_come_to_the_same_bytes() {
    let folder = planned("pieces");
    let points: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("plan/points.json")).unwrap()).unwrap();
    let points = points.as_array().unwrap();
    assert_eq!(points.len(), POINTS);
    let hash = |place: usize| points[place]["point"].as_str().unwrap();
    succeeds(&folder, &run_with(&["--range", "10..18", "--threads", "1"]));
    succeeds(&folder, &run_with(&["--point", hash(0), "--point", &points[1].to_string()]));
    let entry = serde_json::to_string(&points[2..5]).unwrap();
    succeeds(&folder, &run_with(&["--entry", &entry]));
    // What is not whole is not collected, and what is missing is listed.
    let done = output(&folder, &["sweep", "collect", "--plan", "plan"]);
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(1));
    assert!(said.contains("13 of 18 points have their row, 5 missing") && said.contains(hash(7)), "{said}");
    assert!(!folder.join("plan/result").exists());
    let said = succeeds(&folder, &run_with(&[]));
    assert!(said.contains("13 had it, 5 ran"), "{said}");
    let said = succeeds(&folder, &["sweep", "collect", "--plan", "plan"]);
    assert!(said.contains("Repeat:  cargo xtask compare --policies hyperv,mom"), "{said}");
    assert_the_same(&folder, "plan/result");
    // The rows do not depend on who ran them either.
    succeeds(&folder, &run_with(&["--rows", "others", "--threads", "3"]));
    let texts =
        |of: &str| rows(&folder.join(of)).0.iter().map(|path| fs::read(path).unwrap()).collect::<Vec<_>>();
    assert!(texts("plan/rows") == texts("others"));
    let printed = succeeds(
        &folder,
        &["sweep", "collect", "--plan", "plan", "--rows", "others", "--json", "--out", "again"],
    );
    assert_eq!(printed.into_bytes(), fs::read(folder.join("local/compare.json")).unwrap());
    let said = succeeds(&folder, &["sweep", "submit", "--plan", "plan", "--engine", "slurm"]);
    assert!(said.contains("there is nothing to submit"), "{said}");
}

#[test]
fn a_row_that_is_none_is_named_and_run_again() {
    let folder = planned("corrupt");
    succeeds(&folder, &run_with(&[]));
    let (whole, _) = rows(&folder.join("plan/rows"));
    let before = fs::read(&whole[3]).unwrap();
    fs::write(&whole[3], &before[..before.len() / 2]).unwrap();
    fs::write(&whole[4], fs::read(&whole[5]).unwrap()).unwrap();
    let done = output(&folder, &["sweep", "collect", "--plan", "plan"]);
    let said = String::from_utf8(done.stderr).unwrap().split_whitespace().collect::<String>();
    assert_eq!(done.status.code(), Some(1));
    for row in [&whole[3], &whole[4]] {
        assert!(said.contains(row.file_name().unwrap().to_str().unwrap()), "{said}");
    }
    assert!(said.contains("2corrupt"), "{said}");
    let done = output(&folder, &run_with(&[]));
    let said = String::from_utf8(done.stderr).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(done.status.success() && said.matches("is run again").count() == 2, "{said}");
    assert_eq!(fs::read(&whole[3]).unwrap(), before);
    succeeds(&folder, &["sweep", "collect", "--plan", "plan"]);
    assert_the_same(&folder, "plan/result");
}

#[test]
fn another_version_is_refused_with_both() {
    let folder = planned("version");
    let plan = folder.join("plan/plan.json");
    let text = fs::read_to_string(&plan).unwrap();
    let own = text.split("\"version\": \"").nth(1).unwrap().split('"').next().unwrap();
    fs::write(&plan, text.replace(own, "0.0.9+0123456789abcdef")).unwrap();
    for words in [
        &run_with(&[])[..],
        &["sweep", "collect", "--plan", "plan"],
        &["sweep", "submit", "--plan", "plan", "--engine", "parallel"],
    ] {
        let (code, said) = refused(&folder, words);
        assert!(code == Some(2) && said.contains("0.0.9+0123456789abcdef") && said.contains(own), "{said}");
    }
    assert!(rows(&folder.join("plan/rows")).0.is_empty());
}

/// A share that is full: what could not be written is not there, nothing else is lost, and the same command goes on.
#[cfg(unix)]
#[test]
fn a_file_system_without_room_loses_nothing_but_what_did_not_fit() {
    let folder = planned("full");
    let program = env!("CARGO_BIN_EXE_xtask");
    // No file may have more than a KiB, as on a quota that is used up; a row has several.
    let script = format!("trap '' XFSZ; ulimit -f 1; exec '{program}' sweep run --plan plan --threads 2");
    let done =
        std::process::Command::new("bash").args(["-c", &script]).current_dir(&folder).output().unwrap();
    let said = String::from_utf8(done.stderr).unwrap();
    assert_eq!(done.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot be written") && said.contains("can be run again"), "{said}");
    assert_eq!(rows(&folder.join("plan/rows")), (Vec::new(), Vec::new()));
    succeeds(&folder, &run_with(&[]));
    succeeds(&folder, &["sweep", "collect", "--plan", "plan"]);
    assert_the_same(&folder, "plan/result");
}

#[test]
fn a_worker_that_is_killed_loses_the_points_that_it_was_running() {
    let folder = planned("killed");
    let mut worker = xtask(&folder, &run_with(&["--threads", "1"]))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while rows(&folder.join("plan/rows")).0.len() < 3 {
        assert!(worker.try_wait().unwrap().is_none_or(|end| end.success()), "it ended by itself");
        std::thread::yield_now();
    }
    worker.kill().unwrap();
    worker.wait().unwrap();
    let (there, _) = rows(&folder.join("plan/rows"));
    let said = succeeds(&folder, &run_with(&[]));
    let had: usize = said.split(" had it").next().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert_eq!(had, there.len(), "{said}");
    // What the worker had begun to write goes when rows are collected.
    let unfinished =
        there[0].with_file_name(format!(".unfinished-{}-x", there[0].file_name().unwrap().to_str().unwrap()));
    fs::write(&unfinished, "{").unwrap();
    succeeds(&folder, &["sweep", "collect", "--plan", "plan"]);
    assert_the_same(&folder, "plan/result");
    assert_eq!(rows(&folder.join("plan/rows")).1, Vec::<PathBuf>::new());
}

#[test]
fn two_collectors_and_two_workers_at_once_are_no_matter() {
    let folder = planned("twice");
    let both = |words: &[&str]| {
        let mut children: Vec<_> = (0..2)
            .map(|_| xtask(&folder, words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
            .collect();
        for child in children.drain(..) {
            let done = child.wait_with_output().unwrap();
            assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
        }
    };
    both(&run_with(&["--threads", "1"]));
    let (whole, others) = rows(&folder.join("plan/rows"));
    assert!(whole.len() == POINTS && others.is_empty(), "{others:?}");
    both(&["sweep", "collect", "--plan", "plan"]);
    assert_the_same(&folder, "plan/result");
    assert_eq!(fs::read_dir(folder.join("plan/result")).unwrap().count(), FILES.len());
}

#[test]
fn verification_and_exploration_are_points_as_well() {
    let folder = stand("sweep/kinds");
    let what = ["outside-overhead", "single-vm-ws2008r2", "--seed", "3,4"];
    let local = output(&folder, &[&["verify", "--json"][..], &what].concat());
    succeeds(&folder, &[&["sweep", "plan", "verify", "--out", "v"][..], &what].concat());
    succeeds(&folder, &["sweep", "run", "--plan", "v"]);
    let collected = output(&folder, &["sweep", "collect", "--plan", "v", "--json"]);
    assert_eq!(local.status.code(), collected.status.code());
    assert!(!local.stdout.is_empty() && local.stdout == collected.stdout);
    let what = ["churn", "slow-leak", "--runs", "4", "--until", "1m"];
    succeeds(&folder, &[&["sweep", "plan", "explore", "--out", "e"][..], &what].concat());
    succeeds(&folder, &["sweep", "run", "--plan", "e"]);
    let said = succeeds(&folder, &["sweep", "collect", "--plan", "e"]);
    assert!(said.contains("4 runs of churn, slow-leak: every invariant held"), "{said}");
    assert_eq!(fs::read_to_string(folder.join("e/result/explore.json")).unwrap(), "[]\n");
}

/// What policies do does not depend on whether regret is asked for: only the points that hold the best have other names.
#[test]
fn regret_is_of_points_of_its_own() {
    let folder = planned("regret");
    let what = [&SMALL[..], &["--no-regret"]].concat();
    succeeds(&folder, &[&["compare", "--out", "without"][..], &what].concat());
    succeeds(&folder, &[&["sweep", "plan", "compare", "--out", "without-plan"][..], &what].concat());
    let points = |plan: &str| -> Vec<serde_json::Value> {
        serde_json::from_slice(&fs::read(folder.join(plan).join("points.json")).unwrap()).unwrap()
    };
    let (with, without) = (points("plan"), points("without-plan"));
    assert_eq!((with.len(), without.len()), (POINTS, POINTS));
    for (with, without) in with.iter().zip(&without) {
        assert_eq!(with["point"] == without["point"], with.get("policy").is_some(), "{with} {without}");
        assert_eq!(with["parameters"].get("regret").is_some(), with.get("policy").is_none(), "{with}");
        assert!(without["parameters"].get("regret").is_none(), "{without}");
    }
    // Rows of one plan are those of the other, as far as they have points in common.
    succeeds(&folder, &run_with(&[]));
    let shared = ["sweep", "run", "--plan", "without-plan", "--rows", "plan/rows"];
    succeeds(&folder, &shared);
    assert_eq!(rows(&folder.join("plan/rows")).0.len(), POINTS + 6);
    succeeds(&folder, &["sweep", "collect", "--plan", "plan"]);
    assert_the_same(&folder, "plan/result");
    succeeds(&folder, &["sweep", "collect", "--plan", "without-plan", "--rows", "plan/rows"]);
    for file in FILES {
        let one = fs::read_to_string(folder.join("without").join(file)).unwrap();
        assert!(one == fs::read_to_string(folder.join("without-plan/result").join(file)).unwrap(), "{file}");
    }
    let json = |file: &str| -> serde_json::Value {
        serde_json::from_slice(&fs::read(folder.join(file)).unwrap()).unwrap()
    };
    let regret = |file: &str| json(file)["loads"][0]["regret"].clone();
    assert!(regret("without/compare.json").is_null());
    let bound = &regret("plan/result/compare.json")["bound_mb_s"];
    assert_eq!(bound.as_array().map(Vec::len), Some(6));
}

/// What is collected has a front if the comparison of the program that planned has one, and only then.
#[test]
fn who_collects_has_the_solver_of_who_planned() {
    let folder = stand("sweep/solver");
    let what = ["--policies", "mom", "--scenarios", "churn", "--seeds", "1", "--until", "90s"];
    succeeds(&folder, &[&["sweep", "plan", "compare", "--out", "plan"][..], &what].concat());
    succeeds(&folder, &run_with(&[]));
    let collect = ["sweep", "collect", "--plan", "plan", "--json"];
    let front = |json: &str| -> usize {
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        json["loads"][0]["regret"]["front"].as_array().unwrap().len()
    };
    let solver = cfg!(feature = "bound");
    assert_eq!(front(&succeeds(&folder, &collect)) > 0, solver);
    // Planned by a program of the other kind.
    let plan = folder.join("plan/plan.json");
    let text = fs::read_to_string(&plan).unwrap();
    let other = text.replace(&format!("\"front\": {solver}"), &format!("\"front\": {}", !solver));
    assert_ne!(text, other);
    fs::write(&plan, other).unwrap();
    if solver {
        assert_eq!(front(&succeeds(&folder, &collect)), 0);
    } else {
        let (code, said) = refused(&folder, &collect);
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(code == Some(2) && said.contains("built with the feature `bound`"), "{said}");
    }
}

#[test]
fn recorded_loads_travel_with_the_plan() {
    let folder = stand("sweep/trace");
    let trace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/loads/generated-trace.csv");
    fs::copy(trace, folder.join("mine.csv")).unwrap();
    let what = [
        "--policies",
        "hyperv",
        "--trace",
        "mine.csv",
        "--host-memory",
        "48GB",
        "--trace-window",
        "10m..30m,50m..1h",
        "--seeds",
        "2",
    ];
    succeeds(&folder, &[&["compare", "--out", "local"][..], &what].concat());
    succeeds(&folder, &[&["sweep", "plan", "compare", "--out", "plan"][..], &what].concat());
    // Each window is a load.
    let compared = fs::read_to_string(folder.join("local/compare.json")).unwrap();
    let compared: serde_json::Value = serde_json::from_str(&compared).unwrap();
    let names: Vec<_> =
        compared["loads"].as_array().unwrap().iter().map(|load| load["name"].clone()).collect();
    assert_eq!(names, ["mine 600s..1800s", "mine 3000s..1h"]);
    // On another machine the trace is not where it was.
    fs::remove_file(folder.join("mine.csv")).unwrap();
    succeeds(&folder, &run_with(&[]));
    succeeds(&folder, &["sweep", "collect", "--plan", "plan"]);
    assert_the_same(&folder, "plan/result");
}

#[test]
fn what_is_given_wrongly_is_refused() {
    let folder = planned("refused");
    fs::write(folder.join("tasks.json"), "[[]]").unwrap();
    let cases: [(&[&str], &str); 9] = [
        (&["sweep", "run", "--plan", "nowhere"], "there is no plan in nowhere"),
        (&["sweep", "run", "--plan", "plan", "--point", "abc"], "is no hash of a point"),
        (
            &["sweep", "run", "--plan", "plan", "--point", "00000000000000000000000000000000"],
            "is no point of the plan",
        ),
        (&["sweep", "run", "--plan", "plan", "--range", "3..99"], "the plan has 18 points"),
        (&["sweep", "run", "--plan", "plan", "--range", "3..3"], "A must be less than B"),
        (&["sweep", "run", "--plan", "plan", "--tasks", "tasks.json", "--task", "1"], "has 1 tasks, from 0"),
        (&["sweep", "submit", "--plan", "plan", "--engine", "slurn"], "did you mean \"slurm\"?"),
        (
            &["sweep", "submit", "--plan", "plan", "--engine", "slurm", "--hosts", "a"],
            "--hosts is for GNU parallel",
        ),
        (&["sweep", "plan", "compare", "--scenarios", "churn", "--out", "plan"], "plan exists already"),
    ];
    for (words, part) in cases {
        let (code, said) = refused(&folder, words);
        let plain = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(code == Some(2) && plain.contains(part), "{words:?}: {said}");
    }
    // Damage of the plan itself is told by the file that has it.
    let points = folder.join("plan/points.json");
    let text = fs::read_to_string(&points).unwrap();
    fs::write(&points, text.replacen("\"seed\":1,", "\"seed\":7,", 1)).unwrap();
    let (code, said) = refused(&folder, &run_with(&[]));
    assert!(code == Some(2) && said.contains("points.json is damaged"), "{said}");
    fs::write(&points, text).unwrap();
    let scenario = fs::read_dir(folder.join("plan/scenarios")).unwrap().next().unwrap().unwrap().path();
    fs::write(&scenario, fs::read_to_string(&scenario).unwrap() + "# changed\n").unwrap();
    let (code, said) = refused(&folder, &run_with(&[]));
    let plain = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(code == Some(2) && plain.contains("it is not the file that was planned"), "{said}");
    // Somebody's own folder is left alone.
    fs::create_dir(folder.join("mine")).unwrap();
    fs::write(folder.join("mine/thesis.tex"), "").unwrap();
    let (code, said) = refused(&folder, &["sweep", "collect", "--plan", "plan", "--out", "mine"]);
    assert!(code == Some(2) && said.contains("thesis.tex"), "{said}");
}

/// One policy with several sets of parameters is as many points for each load and seed, and as many columns of what is collected.
#[test]
fn one_policy_takes_part_with_several_sets_of_parameters() {
    let folder = stand("parameters");
    let policies = "hyperv,hyperv:half_width=6:hold=20s,hyperv:half_width=1";
    let what =
        ["--policies", policies, "--scenarios", "churn", "--seeds", "2", "--until", "4m", "--no-regret"];
    succeeds(&folder, &[&["compare", "--out", "local"][..], &what].concat());
    succeeds(&folder, &[&["sweep", "plan", "compare", "--out", "plan"][..], &what].concat());
    succeeds(&folder, &run_with(&[]));
    succeeds(&folder, &["sweep", "collect", "--plan", "plan"]);
    assert_the_same(&folder, "plan/result");
    let text = fs::read_to_string(folder.join("plan/points.json")).unwrap();
    let points: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let table = fs::read_to_string(folder.join("plan/result/compare.csv")).unwrap();
    let mut moved = std::collections::BTreeSet::new();
    for policy in policies.split(',') {
        assert_eq!(points.iter().filter(|point| point["policy"] == policy).count(), 2, "{policy}");
        let of_policy = |line: &&str| line.starts_with(&format!("churn,{policy},moved,"));
        let values = table.lines().filter(of_policy).filter_map(|line| line.rsplit(',').next());
        moved.insert(values.collect::<Vec<_>>());
    }
    // They are three designs.
    assert_eq!(moved.len(), 3, "{moved:?}");
    let wrong =
        output(&folder, &["sweep", "plan", "compare", "--policies", "hyperv:half=6", "--out", "none"]);
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert!(wrong.status.code() == Some(2) && said.contains("does not take these parameters"), "{said}");
}
