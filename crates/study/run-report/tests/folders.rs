//! Pages of folders that are whole and of folders that are not.

use std::path::Path;
use std::time::Duration;

use run_journal::EventsLevel;
use run_report::{Options, ReportError, make, write};
use serde_json::Value;

use crate::runs;

fn page(directory: &Path) -> (String, Vec<String>) {
    let (page, missing) = make(directory, &Options::default()).unwrap();
    (String::from_utf8(page).unwrap(), missing)
}

/// A piece of the page's data.
fn data(page: &str, id: &str) -> Value {
    let begin = format!("<script type=\"application/json\" id=\"{id}\">");
    let (_, rest) = page.split_once(&begin).unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

fn events(page: &str) -> u64 {
    let data = data(page, "data-events");
    data["groups"].as_array().unwrap().iter().map(|group| group["n"].as_u64().unwrap()).sum()
}

#[test]
fn the_same_folder_gives_the_same_page_and_all_of_the_run_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    runs::contention(folder.path());
    let (first, missing) = page(folder.path());
    assert_eq!(missing, [""; 0]);
    assert_eq!(first, page(folder.path()).0);
    assert!(first.len() < 6 << 20, "{} bytes", first.len());
    let lines = std::fs::read_to_string(folder.path().join("events.jsonl")).unwrap().lines().count() as u64;
    assert_eq!(events(&first), lines);
    assert_eq!(data(&first, "data-counters")["n"], 23 * 60 + 1);
    let story = data(&first, "data-run")["story"].to_string();
    assert!(
        story.contains("VM8 is loaded and grows") && story.contains("Available Memory falls to"),
        "{story}"
    );
    assert_eq!(write(folder.path(), &Options::default()).unwrap().bytes, first.len() as u64);
}

#[test]
fn every_message_in_a_ring_has_its_bytes() {
    let folder = tempfile::tempdir().unwrap();
    runs::run("multi-vm", Duration::from_secs(6 * 60), EventsLevel::All, folder.path());
    let (page, _) = page(folder.path());
    let bytes: u64 = data(&page, "data-messages")
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["n"].as_u64().unwrap())
        .sum();
    let text = std::fs::read_to_string(folder.path().join("events.jsonl")).unwrap();
    let told = text
        .lines()
        .filter(|line| line.contains("\"dm_send\"") || line.contains("\"balloon_status\""))
        .count();
    assert!(told > 1000);
    assert_eq!(bytes, told as u64);
}

#[test]
fn a_part_of_a_run_is_only_that_part() {
    let folder = tempfile::tempdir().unwrap();
    runs::run("multi-vm", Duration::from_secs(300), EventsLevel::All, folder.path());
    let options =
        Options { from: Duration::from_secs(100), to: Duration::from_secs(120), ..Options::default() };
    let (page, _) = make(folder.path(), &options).unwrap();
    let page = String::from_utf8(page).unwrap();
    assert_eq!(data(&page, "data-counters")["n"], 21);
    let text = std::fs::read_to_string(folder.path().join("events.jsonl")).unwrap();
    let inside = text.lines().filter(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        (100_000_000_000..=120_000_000_000).contains(&line["t"].as_u64().unwrap())
    });
    assert_eq!(events(&page), inside.count() as u64);
}

#[test]
fn a_part_after_the_end_is_refused_and_the_page_that_is_there_stays() {
    let folder = tempfile::tempdir().unwrap();
    runs::contention(folder.path());
    let whole = write(folder.path(), &Options::default()).unwrap();
    let before = std::fs::read(&whole.path).unwrap();
    let after = Options { from: Duration::from_secs(1 << 20), ..Options::default() };
    let error = write(folder.path(), &after).unwrap_err().to_string();
    assert!(error.contains("the run ends at ") && error.contains("from 12d3h16m16s on"), "{error}");
    assert!(std::fs::read(&whole.path).unwrap() == before);
}

#[test]
fn of_too_much_the_most_that_fits_is_taken_and_the_page_says_what_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    runs::run("multi-vm", Duration::from_secs(400), EventsLevel::All, folder.path());
    let options = Options { most_events: 1500, most_values: 10_000, ..Options::default() };
    let (page, missing) = make(folder.path(), &options).unwrap();
    let page = String::from_utf8(page).unwrap();
    assert!((100..=1500).contains(&events(&page)), "{}", events(&page));
    let rows = data(&page, "data-counters")["n"].as_u64().unwrap();
    // As many samples as fit: a sample has some hundred values, and 400 were taken.
    assert!((10..=100).contains(&rows), "{rows}");
    assert!(missing[0].starts_with("Of the counters one sample of every"), "{missing:?}");
    assert!(missing[1].contains("status_report") && !missing[1].contains("add_memory"), "{missing:?}");
    // Who has most is told of whole: these have room for as much as anybody.
    assert!(
        missing[2].contains("Those of VM2") && missing[2].contains("of the operations of"),
        "{missing:?}"
    );
}

#[test]
fn a_run_that_is_not_whole_is_shown_as_far_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    runs::run("multi-vm", Duration::from_secs(90), EventsLevel::All, folder.path());
    let path = |name: &str| folder.path().join(name);
    let cut = |name: &str, part: usize| {
        let bytes = std::fs::read(path(name)).unwrap();
        std::fs::write(path(name), &bytes[..bytes.len() * part / 100]).unwrap();
    };
    let said = |expected: &str| {
        let (_, missing) = page(folder.path());
        assert!(missing.iter().any(|sentence| sentence.contains(expected)), "{expected}: {missing:?}");
    };
    // Killed: no summary, and the last lines are not whole.
    std::fs::remove_file(path("summary.json")).unwrap();
    said("summary.json cannot be read");
    cut("events.jsonl", 60);
    said("the events are cut off");
    assert!(events(&page(folder.path()).0) > 100);
    cut("journal.bin", 60);
    said("the journal is cut off");
    cut("counters.csv", 61);
    said("counters.csv");
    std::fs::write(path("manifest.json"), "{").unwrap();
    said("manifest.json cannot be read");
    std::fs::write(path("events.jsonl"), "").unwrap();
    said("events.jsonl has no event");
    std::fs::remove_file(path("counters.csv")).unwrap();
    said("there are no curves");
    // Of another version: what is known of it.
    std::fs::write(path("manifest.json"), r#"{"format":7,"events":"all"}"#).unwrap();
    said("manifest.json has format 7");
    std::fs::write(path("summary.json"), r#"{"schema":99,"scenario":"later","vms":[{"name":"A"}]}"#).unwrap();
    said("has schema 99");
    std::fs::remove_file(path("summary.json")).unwrap();
    std::fs::remove_file(path("events.jsonl")).unwrap();
    assert!(matches!(make(folder.path(), &Options::default()), Err(ReportError::NotARun(_))));
}

#[test]
fn a_run_without_events_says_so() {
    let folder = tempfile::tempdir().unwrap();
    runs::run("multi-vm", Duration::from_secs(30), EventsLevel::None, folder.path());
    let (_, missing) = page(folder.path());
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert!(missing[0].starts_with("No events were recorded"), "{missing:?}");
}

#[test]
fn what_a_file_says_does_not_become_part_of_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let hostile = r#"{"t":1,"seq":1,"component":"</script><script>alert(1)//","vm":"<!--","event":"</script>","cause":0,"text":"<script>"}"#;
    std::fs::write(folder.path().join("events.jsonl"), format!("{hostile}\n")).unwrap();
    let (page, _) = page(folder.path());
    assert!(!page.contains("</script><script>alert") && !page.contains("<!--"));
    let texts = data(&page, "data-events")["texts"].clone();
    assert!(texts.as_array().unwrap().contains(&"</script><script>alert(1)//".into()), "{texts}");
}
