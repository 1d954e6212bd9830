//! `cargo xtask`, its commands and the tests share what they compile: what the first build takes has the same features in all others. Where a
//! library gets one more, it is compiled again, and so is all that stands on it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// The program itself; and what would bring more into the first build than it would save.
const DIFFER: [&str; 2] = ["xtask", "run-analysis"];

/// The sets of features that each library has, by name and version. A library of a derive macro may have another one.
type Features = BTreeMap<String, BTreeSet<String>>;

fn features(of: &[&str]) -> Features {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let told = Command::new(cargo)
        .args(["tree", "--locked", "--offline", "--prefix", "none", "--format", "{p}\t{f}"])
        .args(of)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let mut features = Features::new();
    for line in String::from_utf8(told.stdout).unwrap().lines() {
        let Some((package, its)) = line.split_once('\t') else { continue };
        let package: Vec<&str> = package.split(' ').take(2).collect();
        // What has been shown before ends so.
        let its = its.trim_end_matches(" (*)").to_owned();
        features.entry(package.join(" ")).or_default().insert(its);
    }
    features
}

/// Its commands are built with one of them, or several.
fn features_of_the_command_line() -> Vec<String> {
    let manifest = include_str!("../../xtask/Cargo.toml").parse::<toml::Table>().unwrap();
    manifest["features"].as_table().unwrap().keys().cloned().collect()
}

/// Says what of the first build has other features in another one.
fn otherwise(first: &Features, other: &Features) -> Vec<String> {
    let theirs = first
        .iter()
        .filter(|(package, _)| !DIFFER.iter().any(|name| package.starts_with(&format!("{name} "))));
    theirs
        .filter(|(package, its)| !other.get(*package).is_some_and(|other| its.is_subset(other)))
        .map(|(package, its)| format!("{package}: {its:?}, there {:?}", other.get(package)))
        .collect()
}

#[test]
fn what_the_first_build_compiles_has_the_same_features_in_every_other() {
    let first = features(&["--package", "xtask", "--edges", "normal,build"]);
    assert!(first.len() > 100, "{first:?}");
    let all = ["--workspace", "--exclude", "book-builder", "--all-features", "--edges", "normal,build,dev"];
    let mut others = vec![("all crates".to_owned(), features(&all))];
    for build in features_of_the_command_line() {
        let args = ["--package", "xtask", "--features", &build, "--edges", "normal,build"];
        others.push((format!("`--features {build}`"), features(&args)));
    }
    for (name, other) in others {
        let otherwise = otherwise(&first, &other);
        assert!(
            otherwise.is_empty(),
            "{name}: {otherwise:#?}\nname the features that are missing in xtask/Cargo.toml"
        );
    }
}

#[test]
fn a_missing_feature_is_told() {
    let library = |its: &str| Features::from([("a v1".to_owned(), BTreeSet::from([its.to_owned()]))]);
    assert!(otherwise(&library("b,c"), &library("b,c")).is_empty());
    assert_eq!(otherwise(&library("b"), &library("b,c")).len(), 1);
    assert_eq!(otherwise(&library("b"), &Features::new()).len(), 1);
}
