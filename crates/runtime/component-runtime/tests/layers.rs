//! The files of this crate form layers: no two of them import each other, directly or over others.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

type Imports = BTreeMap<String, BTreeSet<String>>;

/// Modules below `folder`, named by their path such as `wall::registry`, with the modules that they import.
fn read(folder: &Path, parent: &str, imports: &mut Imports) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let name = if parent.is_empty() { stem } else { format!("{parent}::{stem}") };
        if path.is_dir() {
            read(&path, &name, imports);
        } else if name != "lib" && !is_above_all(&name) {
            let text = fs::read_to_string(&path).unwrap();
            // Tests may use whatever they test with.
            let code = text.split("\nmod tests {").next().unwrap_or_default();
            imports.insert(name.clone(), imported(code, &name));
        }
    }
}

/// Whether a module is a test or a model, which may use any other.
fn is_above_all(name: &str) -> bool {
    ["shuttle_models", "tests", "loom_"].iter().any(|test| name.contains(test))
}

/// The first segment of each path after `crate::` or `super::`, and the modules that the file declares.
fn imported(code: &str, name: &str) -> BTreeSet<String> {
    let parent = name.rsplit_once("::").map_or("", |(parent, _)| parent);
    let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut found = BTreeSet::new();
    for line in code {
        for (start, scope) in [("crate::", ""), ("super::", parent)] {
            for (at, _) in line.match_indices(start) {
                let rest = &line[at + start.len()..];
                assert!(
                    !rest.starts_with('{'),
                    "{name}: name the module in `{line}`, so that the layer is seen"
                );
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                let module = &rest[..end];
                found.insert(if scope.is_empty() { module.to_owned() } else { format!("{scope}::{module}") });
            }
        }
        let declared = line.trim_start().trim_start_matches("pub(crate) ").strip_prefix("mod ");
        if let Some(child) = declared.and_then(|rest| rest.strip_suffix(';')) {
            found.insert(format!("{name}::{child}"));
        }
    }
    found
}

/// A way from `from` back to `from`, if there is one.
fn circle(imports: &Imports, from: &str) -> Option<Vec<String>> {
    let mut ways = vec![vec![from.to_owned()]];
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop() {
        for next in way.last().and_then(|last| imports.get(last)).into_iter().flatten() {
            if next == from {
                return Some(way);
            }
            if seen.insert(next.clone()) {
                ways.push(way.iter().chain([next]).cloned().collect());
            }
        }
    }
    None
}

#[test]
fn no_file_imports_upwards() {
    let mut imports = Imports::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut imports);
    assert!(imports.len() > 20 && imports["run"].contains("component"), "the files are found: {imports:?}");
    let circles: Vec<_> = imports.keys().filter_map(|name| circle(&imports, name)).collect();
    assert!(circles.is_empty(), "files that import each other: {circles:?}");
}

#[test]
fn a_circle_is_seen() {
    let imports = |of: &[(&str, &str)]| -> Imports {
        of.iter().map(|(name, code)| ((*name).to_owned(), imported(code, name))).collect()
    };
    let over_a_child =
        imports(&[("a", "mod b;"), ("a::b", "use super::c::C;"), ("a::c", "use crate::a::A;")]);
    assert!(circle(&over_a_child, "a::b").is_some(), "a declares b, b uses c, c uses a");
    let below = imports(&[("a", "mod b;"), ("a::b", "use super::c::C;"), ("a::c", "use crate::d::D;")]);
    assert!(below.keys().all(|name| circle(&below, name).is_none()));
    let two = imports(&[("a", "use crate::b::B;"), ("b", "fn f() { crate::a::g() }")]);
    assert_eq!(circle(&two, "a"), Some(vec!["a".to_owned(), "b".to_owned()]));
}
