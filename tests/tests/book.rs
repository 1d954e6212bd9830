//! The book names tests. They exist.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
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

#[test]
fn every_test_that_the_book_names_exists() {
    let mut crates: BTreeMap<String, String> = BTreeMap::new();
    let mut looked_up = 0;
    for page in ["threat-model.md", "proofs.md"] {
        let text = std::fs::read_to_string(root().join("docs/src").join(page)).unwrap();
        for (package, test) in named(&text) {
            let source = crates.entry(package.clone()).or_insert_with(|| {
                let folder =
                    if package == "whole-stack-tests" { "tests".into() } else { format!("crates/{package}") };
                let mut all = String::new();
                sources(&root().join(folder), &mut all);
                all
            });
            assert!(
                source.contains(&format!("fn {test}(")),
                "{page} names {package}::{test}, which does not exist"
            );
            looked_up += 1;
        }
    }
    assert!(looked_up > 100, "{looked_up}");
}
