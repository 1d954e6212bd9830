//! ARCHITECTURE.md's code map is the tree of crates, and says what may depend on what.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A group of the map.
#[derive(Debug, Default)]
struct Group {
    stands_on: BTreeSet<String>,
    /// Crates by folder, with the files that the map says to read first.
    crates: BTreeMap<String, Vec<String>>,
}

/// The words in backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The groups of a code map: a heading for each, a sentence with what it stands on, and a row for each crate.
fn groups(page: &str) -> BTreeMap<String, Group> {
    let map = page.split_once("\n## Code map\n").unwrap().1.split_once("\n## ").unwrap().0;
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    for section in map.split("\n### ").skip(1) {
        let (name, body) = section.split_once('\n').unwrap();
        let Some((_, below)) = body.split_once("Stands on: ") else {
            assert_eq!(name, "Beside the crates", "{name} does not say what it stands on");
            continue;
        };
        let below = below.split_once(".\n").unwrap().0;
        let mut group = Group::default();
        if below != "nothing" {
            group.stands_on = below.split([',', '\n']).map(|name| name.trim().to_owned()).collect();
        }
        for row in body.lines().filter_map(|line| line.strip_prefix("| [")) {
            let cells: Vec<&str> = row.split(" | ").collect();
            let (krate, link) = cells[0].split_once("](").unwrap();
            let krate = krate.trim_matches('`');
            assert_eq!(link.trim_end_matches(')'), format!("crates/{name}/{krate}"));
            assert!(group.crates.insert(krate.to_owned(), quoted(cells[2])).is_none(), "{krate} twice");
        }
        groups.insert(name.to_owned(), group);
    }
    groups
}

fn folders(path: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(path).unwrap().map(Result::unwrap);
    entries
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect()
}

fn the_map() -> BTreeMap<String, Group> {
    groups(&std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap())
}

#[test]
fn the_map_is_the_tree() {
    let map = the_map();
    let crates = root().join("crates");
    assert_eq!(map.keys().cloned().collect::<BTreeSet<_>>(), folders(&crates));
    for (name, group) in &map {
        let listed: BTreeSet<String> = group.crates.keys().cloned().collect();
        assert_eq!(listed, folders(&crates.join(name)), "crates/{name}");
        for (krate, first) in &group.crates {
            assert!(!first.is_empty(), "{krate}: what is to be read first?");
            for file in first {
                // In `src`, as most files are, or beside that folder.
                let place = crates.join(name).join(krate);
                let found = place.join("src").join(file).is_file() || place.join(file).is_file();
                assert!(found, "{krate}: there is neither src/{file} nor {file}");
            }
        }
    }
}

/// Normal and build dependencies of a manifest, by name.
fn dependencies(manifest: &str) -> Vec<String> {
    let manifest: toml::Table = manifest.parse().unwrap();
    let tables = ["dependencies", "build-dependencies"].into_iter().filter_map(|kind| manifest.get(kind));
    let for_targets =
        manifest.get("target").and_then(toml::Value::as_table).into_iter().flat_map(|targets| {
            targets.values().flat_map(|target| {
                ["dependencies", "build-dependencies"].into_iter().filter_map(|kind| target.get(kind))
            })
        });
    let all = tables.chain(for_targets).filter_map(toml::Value::as_table);
    all.flat_map(|table| table.keys().cloned()).collect()
}

#[test]
fn no_crate_depends_on_a_group_above_it() {
    let map = the_map();
    let manifest_of = |group: &str, krate: &str| {
        let path = root().join("crates").join(group).join(krate).join("Cargo.toml");
        std::fs::read_to_string(path).unwrap()
    };
    // Packages by name: a balancer's folder is not called as its package is.
    let mut group_of: BTreeMap<String, &str> = BTreeMap::new();
    let mut packages = Vec::new();
    for (group, entry) in &map {
        for krate in entry.crates.keys() {
            let text = manifest_of(group, krate);
            let manifest: toml::Table = text.parse().unwrap();
            let name = manifest["package"]["name"].as_str().unwrap().to_owned();
            group_of.insert(name.clone(), group);
            packages.push((name, group.as_str(), dependencies(&text)));
        }
    }
    let mut looked_at = 0;
    for (package, group, dependencies) in &packages {
        for dependency in dependencies {
            let Some(&other) = group_of.get(dependency) else { continue };
            looked_at += 1;
            assert!(
                other == *group || map[*group].stands_on.contains(other),
                "{package} ({group}) depends on {dependency} ({other}), which {group} does not stand on"
            );
        }
    }
    assert!(looked_at > 100, "{looked_at}");
}

#[test]
fn no_group_stands_on_itself() {
    let map = the_map();
    for (name, group) in &map {
        for below in &group.stands_on {
            assert!(map.contains_key(below), "{name} stands on {below}, which is no group");
            assert!(!map[below].stands_on.contains(name), "{name} and {below} stand on each other");
            // What is below something below is below.
            assert!(map[below].stands_on.is_subset(&group.stands_on), "{name} stands on less than {below}");
        }
        assert!(!group.stands_on.contains(name));
    }
}

#[test]
fn dependencies_of_every_kind_are_found() {
    let manifest = "[dependencies]\na = '1'\n[dev-dependencies]\nb = '1'\n[build-dependencies.c]\nversion = '1'\n\
                    [target.'cfg(unix)'.dependencies]\nd = '1'\n";
    assert_eq!(dependencies(manifest), ["a", "c", "d"]);
}
