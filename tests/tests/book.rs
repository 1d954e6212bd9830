//! The book names tests. They exist.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The folder of a crate, in whichever group it is.
fn folder_of(package: &str) -> PathBuf {
    let groups = std::fs::read_dir(root().join("crates")).unwrap();
    let mut folders =
        groups.map(|group| group.unwrap().path().join(package)).filter(|folder| folder.is_dir());
    folders.next().unwrap_or_else(|| panic!("no group of crates/ has a crate {package}"))
}

fn sources(folder: &Path, all: &mut String) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push_str(&std::fs::read_to_string(&path).unwrap_or_default());
        }
    }
}

/// Names of the form `crate::test` in a page.
fn named(page: &str) -> Vec<(String, String)> {
    let quoted = page.split('`').skip(1).step_by(2);
    let pairs = quoted.filter_map(|text| text.split_once("::"));
    let is_name =
        |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c));
    pairs
        .filter(|(package, test)| is_name(package) && is_name(test))
        .map(|(package, test)| (package.to_owned(), test.to_owned()))
        .collect()
}

/// Whether a source has a test of this name: a function with only attributes and comments between it and its `#[test]`.
fn is_test(source: &str, name: &str) -> bool {
    source.match_indices(&format!("fn {name}(")).any(|(at, _)| {
        let before = source[..at].trim_end().lines().rev().map(str::trim);
        before
            .take_while(|line| line.starts_with("#[") || line.starts_with("//"))
            .any(|line| line == "#[test]")
    })
}

#[test]
fn every_test_that_the_book_names_exists() {
    let mut crates: BTreeMap<String, String> = BTreeMap::new();
    let mut looked_up = 0;
    for page in ["threat-model.md", "proofs.md"] {
        let text = std::fs::read_to_string(root().join("docs/src").join(page)).unwrap();
        for (package, test) in named(&text) {
            let source = crates.entry(package.clone()).or_insert_with(|| {
                let folder =
                    if package == "whole-stack-tests" { root().join("tests") } else { folder_of(&package) };
                let mut all = String::new();
                sources(&folder, &mut all);
                all
            });
            assert!(is_test(source, &test), "{page} names {package}::{test}, which is no test");
            looked_up += 1;
        }
    }
    assert!(looked_up > 150, "{looked_up}");
    assert!(!is_test("#[test]\nfn a() {}\nfn b() {}", "b"));
}

/// A hostile input without a test is a wish.
#[test]
fn every_hostile_input_of_the_threat_model_has_a_test() {
    let text = std::fs::read_to_string(root().join("docs/src/threat-model.md")).unwrap();
    let (mut rows, mut of_inputs) = (0, false);
    for line in text.lines().filter(|line| !line.starts_with("|-")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        // Other tables, and the headings of a table and of its parts.
        of_inputs = line.starts_with("| ") && (of_inputs || cells[0] == "input");
        if !of_inputs || cells[0] == "input" || cells[0].starts_with("**") {
            continue;
        }
        assert_eq!(cells.len(), 3, "{line}");
        assert!(!cells[1].is_empty() && !named(cells[2]).is_empty(), "no response, or no test: {line}");
        rows += 1;
    }
    assert!(rows > 40, "{rows}");
}

/// The pages of the book, with their names.
fn pages(folder: &Path, all: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            pages(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            all.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Cells of a row of a Markdown table: bars between backticks and escaped ones are no ends of cells.
fn cells(row: &str) -> usize {
    let (mut bars, mut before) = (0, ' ');
    for character in row.trim().chars() {
        bars += usize::from(character == '|' && before != '\\');
        before = character;
    }
    bars.saturating_sub(1)
}

/// A row with a cell too many or too few is shown broken, or not at all.
#[test]
fn every_row_of_a_table_has_the_cells_of_its_head() {
    let mut all = Vec::new();
    pages(&root().join("docs/src"), &mut all);
    let mut rows = 0;
    for (page, text) in &all {
        let (mut head, mut code) = (None, false);
        for line in text.lines() {
            code ^= line.trim_start().starts_with("```");
            if code || !line.starts_with('|') {
                head = None;
                continue;
            }
            let expected = *head.get_or_insert(cells(line));
            assert_eq!(cells(line), expected, "{page}: {line}");
            rows += 1;
        }
    }
    assert!(rows > 500, "{rows}");
    assert_eq!(cells(r"| a | `b \| c` |"), 2);
}

/// The steps of the page and the output beside them agree: every event and message that a step names is in the output above it.
#[test]
fn the_life_of_a_report_is_told_as_it_is_shown() {
    let page = std::fs::read_to_string(root().join("docs/src/life-of-a-report.md")).unwrap();
    let (shown, told) = page.split_once("## Step by step").unwrap();
    let told = told.split_once("## The way back").unwrap().0;
    let mut named = 0;
    for name in told.split('`').skip(1).step_by(2) {
        // Names of events and messages; `STATUS_REPORT` is the message that the event `status_report` is about.
        if name.contains('_') {
            let there = shown.contains(name) || shown.contains(&name.to_lowercase());
            assert!(there, "{name} is in no line of the output");
            named += 1;
        }
    }
    assert!(named >= 10, "{named}");
    // In the order of the output.
    let places: Vec<usize> = [
        "balloon_status",
        "status_report",
        "decision",
        "add_memory",
        "grant",
        "pages_mapped",
        "hot_added",
        "operation_finished",
    ]
    .iter()
    .map(|event| {
        let line = |line: &&str| line.contains(&format!("/VM8 {event}"));
        let shown = shown.lines().position(|text| line(&text));
        shown.unwrap_or_else(|| panic!("{event} is in no line of the output"))
    })
    .collect();
    assert!(places.is_sorted(), "{places:?}");
    let told: Vec<usize> = [
        "balloon_status",
        "status_report",
        "decision",
        "add_memory",
        "grant",
        "pages_mapped",
        "hot_added",
        "operation_finished",
    ]
    .iter()
    .map(|event| told.find(&format!("`{event}`")).unwrap_or_else(|| panic!("no step names {event}")))
    .collect();
    assert!(told.is_sorted(), "{told:?}");
}

/// A row of a table that promises a negative variant, and a model in the code, without one would be a claim without a proof.
#[test]
fn every_property_that_is_explored_completely_has_a_model_that_must_fail() {
    let text = std::fs::read_to_string(root().join("docs/src/proofs.md")).unwrap();
    let (mut rows, mut negative) = (0, false);
    for line in text.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        match cells.last().copied() {
            Some("must fail" | "must be noticed") => negative = true,
            _ if !line.starts_with('|') => negative = false,
            Some(last) if negative && !last.starts_with("---") => {
                assert_eq!(cells.len(), 4, "{line}");
                assert!(!named(cells[2]).is_empty() && !named(last).is_empty(), "{line}");
                rows += 1;
            }
            _ => {}
        }
    }
    assert!(rows >= 12, "{rows}");

    let mut all = String::new();
    sources(&root().join("crates"), &mut all);
    let models: Vec<&str> = all
        .match_indices("fn loom_")
        .map(|(at, _)| all[at + "fn ".len()..].split('(').next().unwrap())
        .collect();
    assert!(models.len() > 25, "{models:?}");
    for model in models {
        assert!(text.contains(&format!("::{model}`")), "{model} is not on the page");
    }
}
