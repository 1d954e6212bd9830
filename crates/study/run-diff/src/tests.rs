use std::path::{Path, PathBuf};

use component_runtime::Driver;
use run_journal::manifest::{FORMAT_VERSION, Manifest, ScenarioIdentity, Seeds};
use run_journal::{EVENTS_FILE, EventsLevel};
use scenario::file::{self, LoadOptions};
use scenario::run::{self, Choices, RunOptions, SCENARIO_FILE, SUMMARY_FILE};

use super::*;

/// Runs ten minutes of `multi-vm` with these settings into a folder, as the command does.
fn run_into(folder: &Path, settings: &[&str]) -> PathBuf {
    let folder = folder.to_owned();
    std::fs::create_dir_all(&folder).unwrap();
    let settings = settings.iter().map(|text| text.parse().unwrap()).collect();
    let file = file::find("multi-vm", &LoadOptions { settings, ..LoadOptions::default() }).unwrap();
    let until = Some(std::time::Duration::from_secs(360));
    let plan =
        run::build::plan(&file, &Choices { until, ..Choices::default() }, &mut |_| unreachable!()).unwrap();
    let manifest = Manifest {
        format: FORMAT_VERSION,
        scenario: ScenarioIdentity { name: file.name.clone(), file: None, sha256: String::new() },
        policy: plan.policy.clone(),
        seeds: Seeds { seed: plan.seed, schedule_seed: None },
        driver: "inline".to_owned(),
        clock: "virtual".to_owned(),
        speed: None,
        until: "6m".to_owned(),
        epoch: plan.epoch.to_string(),
        sample_interval: "1s".to_owned(),
        events: EventsLevel::All,
        version: "0".to_owned(),
        commit: None,
        command: "the command".to_owned(),
        artifacts: std::collections::BTreeMap::new(),
    };
    manifest.write(&folder).unwrap();
    std::fs::write(folder.join(SCENARIO_FILE), file.source.text()).unwrap();
    let options = RunOptions {
        driver: Driver::Inline,
        events: EventsLevel::All,
        directory: Some(folder.clone()),
        ..RunOptions::default()
    };
    run::run(plan, options).unwrap();
    folder
}

fn pair(folder: &Path, first: &[&str], second: &[&str]) -> (Pair<PathBuf>, Pair<Run>) {
    let folders = Pair::new(run_into(&folder.join("a"), first), run_into(&folder.join("b"), second));
    let runs = folders.as_ref().map(|folder| read(folder).unwrap());
    (folders, runs)
}

#[test]
fn equal_runs_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let (_, runs) = pair(folder.path(), &[], &["host.name=\"HOST\""]);
    let difference = compare(&runs);
    assert!(difference.is_same_run(), "{difference:?}");
    let text = difference.text(80);
    assert!(text.contains("host.name: not set → \"HOST\""), "{text}");
    assert!(text.contains("The runs are the same: all "), "{text}");
    assert!(
        text.contains("events and all sums are equal. What was set differently made no difference."),
        "{text}"
    );
}

#[test]
fn another_buffer_is_found_where_it_first_matters() {
    let folder = tempfile::tempdir().unwrap();
    let (folders, runs) = pair(folder.path(), &[], &["vm.VM3.buffer=100"]);
    let difference = compare(&runs);
    assert_eq!(
        difference.settings,
        [Setting {
            key: "vm.VM{n}.only.VM3.buffer".to_owned(),
            values: Pair::new(None, Some("100".to_owned()))
        }]
    );
    let first = difference.first_decision.as_ref().unwrap();
    assert_eq!(first.vm, "VM3");
    let targets =
        first.decisions.as_ref().map(|decision| decision.as_ref().map(|decision| decision.target_mb));
    assert!(targets.second > targets.first, "a larger buffer makes a larger target: {targets:?}");
    // Everything before is the same in both, and this is not.
    let decisions = runs.as_ref().map(|run| {
        run.events
            .iter()
            .filter(|event| &*event.event == "decision")
            .take(first.same_before)
            .map(|event| (event.t, event.vm.clone()))
            .collect::<Vec<_>>()
    });
    assert!(decisions.is_same() && decisions.first.len() == first.same_before);
    assert!(first.explanations.first.is_some() && first.explanations.second.is_some());
    let event = difference.first_event.as_ref().unwrap();
    assert_eq!(runs.first.events[..event.same_before], runs.second.events[..event.same_before]);
    assert_ne!(runs.first.events[event.same_before], runs.second.events[event.same_before]);
    // VM3 ends with more; the others had enough and have what they had.
    let vm3 = difference.vms.iter().find(|vm| vm.name == "VM3").unwrap();
    assert!(vm3.final_mb.second > vm3.final_mb.first, "{vm3:?}");
    let text = difference.text(80);
    assert!(text.contains("VM3 is decided about differently\n  A  "), "{text}");
    assert!(text.contains("\nWhy in A\n") && text.contains("\nWhy in B\n"), "{text}");
    // Where the table has no room each VM has a sentence.
    let narrow = difference.text(30);
    assert!(narrow.contains("\n  VM3: peak ") && !narrow.contains("VM   peak"), "{narrow}");
    assert!(text.contains("\nVM ") && !text.contains("VM3: peak"), "{text}");
    let charts = curves::charts(&difference, &folders).unwrap();
    let titles: Vec<&str> = charts.iter().map(|chart| &*chart.title).collect();
    assert_eq!(
        &titles[..2],
        [
            "Physical Memory that a VM has more in B than in A",
            "Physical Memory that a VM has less in B than in A"
        ]
    );
    assert!(titles.contains(&"Physical Memory of VM3"), "{titles:?}");
    let most = |chart: &curves::Chart, vm: &str| {
        let (_, _, values) = chart.curves.iter().find(|(name, ..)| name == vm).unwrap();
        assert_eq!(values.len(), chart.times.len());
        values.iter().flatten().copied().fold(0.0, f64::max)
    };
    // VM3 has more in B, up to what its last memory says, and never less but for a moment.
    let more = vm3.final_mb.second.unwrap() - vm3.final_mb.first.unwrap();
    assert!(most(&charts[0], "VM3") >= more && more > 0.0, "{more}");
    assert!(most(&charts[1], "VM3") < most(&charts[0], "VM3"));
}

#[test]
fn what_a_killed_run_has_not_written_is_named_and_the_rest_compared() {
    let folder = tempfile::tempdir().unwrap();
    let (folders, _) = pair(folder.path(), &[], &[]);
    std::fs::remove_file(folders.second.join(SUMMARY_FILE)).unwrap();
    let events = std::fs::read(folders.second.join(EVENTS_FILE)).unwrap();
    std::fs::write(folders.second.join(EVENTS_FILE), &events[..events.len() / 2]).unwrap();
    let runs = folders.as_ref().map(|folder| read(folder).unwrap());
    let difference = compare(&runs);
    assert_eq!(difference.missing.len(), 2, "{:?}", difference.missing);
    let first = difference.first_event.as_ref().unwrap();
    assert_eq!(first.events.second, None);
    assert_eq!(first.same_before, runs.second.events.len());
    assert!(difference.host.is_none() && difference.vms.is_empty());
    assert!(difference.text(80).contains("B  (no more events)"), "{difference:?}");
}

#[test]
fn a_folder_of_something_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = read(folder.path()).unwrap_err().to_string();
    assert!(error.contains("manifest.json") && error.ends_with("Is this the folder of a run?"), "{error}");
}
