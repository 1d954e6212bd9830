//! What the model is, as a number: a hash of the sources that a row depends on.
//!
//! A release number alone would call two states of a working tree the same, and a commit is not known where the sources came as an archive. Two
//! programs that were compiled from the same sources give the same rows, on whatever machine and with whatever profile.

use std::path::{Path, PathBuf};

/// Groups whose crates a row depends on, and single crates of `study`.
const READ: [&str; 11] = [
    "between",
    "runtime",
    "child",
    "parent",
    "balancers",
    "study/scenario",
    "study/policy-comparison",
    "study/run-analysis",
    "study/host-sizing",
    "study/sweep",
    // Verification refers to some of these by their names.
    "../scenarios",
];

fn main() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = vec![crates.join("../Cargo.lock")];
    for folder in READ {
        let folder = crates.join(folder);
        println!("cargo::rerun-if-changed={}", folder.display());
        collect(&folder, &mut files);
    }
    println!("cargo::rerun-if-changed={}", crates.join("../Cargo.lock").display());
    // By their names inside the project, so that it does not matter where the project stands.
    let mut named: Vec<(String, PathBuf)> = files
        .into_iter()
        .map(|path| {
            let inside = path.strip_prefix(&crates).unwrap_or(&path);
            (inside.to_string_lossy().replace('\\', "/"), path)
        })
        .collect();
    named.sort();
    let mut hash = hmac_sha256::Hash::new();
    for (name, path) in named {
        let Ok(bytes) = std::fs::read(&path) else { continue };
        hash.update(format!("{name}\0{}\0", bytes.len()));
        hash.update(bytes);
    }
    let digits: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    println!("cargo::rustc-env=MODEL_SOURCES={digits}");
}

/// All files of a folder that are no tests: a row does not depend on those.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if path.is_dir() {
            if !["tests", "examples", "benches", "target"].contains(&&*name) {
                collect(&path, files);
            }
        } else if name != "tests.rs" && [".rs", ".toml", ".csv"].iter().any(|ending| name.ends_with(ending)) {
            files.push(path);
        }
    }
}
