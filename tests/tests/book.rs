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
    let mut rows = 0;
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        // Headings of the table and of its parts.
        if cells[0] == "input" || cells[0].starts_with("**") {
            continue;
        }
        assert_eq!(cells.len(), 3, "{line}");
        assert!(!cells[1].is_empty() && !named(cells[2]).is_empty(), "no response, or no test: {line}");
        rows += 1;
    }
    assert!(rows > 40, "{rows}");
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
