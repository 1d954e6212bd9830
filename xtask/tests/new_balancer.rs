//! A policy of one's own, both ways of the book: the scaffold in a copy of this workspace, and the crate that stands outside of it.
//!
//! The copy is built where this workspace is, so that the libraries of others are not compiled again, and as another version, so that
//! the crates of the two are not taken for each other. What comes out has a target folder of its own. The book's crate is built within the
//! copy: its code and what it depends on are the same there, and a workspace more would compile all of it once more.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// As long as a name may be.
const NAME: &str = "scaffold-test-of-24-char";

/// What the workspace is, without what runs leave behind.
const PARTS: [&str; 12] = [
    ".cargo",
    "ARCHITECTURE.md",
    "Cargo.toml",
    "Cargo.lock",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "clippy.toml",
    "crates",
    "docs/builder",
    "scenarios",
    "tests",
    "xtask",
];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Copies a file or folder, if it has changed: what is not touched is not built again.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        let mut kept = Vec::new();
        for entry in fs::read_dir(from)? {
            let name = entry?.file_name();
            if name == "target" {
                continue;
            }
            copy(&from.join(&name), &to.join(&name))?;
            kept.push(name);
        }
        for entry in fs::read_dir(to)? {
            let entry = entry?;
            if !kept.contains(&entry.file_name()) {
                let path = entry.path();
                if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
            }
        }
        return Ok(());
    }
    let text = fs::read(from)?;
    if fs::read(to).is_ok_and(|old| old == text) { Ok(()) } else { fs::write(to, text) }
}

/// A cargo that builds the crates of the copy fast rather than well. What is not of the copy is found in this workspace's build folder.
fn cargo(folder: &Path, target: &Path, args: &[&str]) -> Output {
    let build = Path::new(env!("CARGO_TARGET_TMPDIR")).join("..");
    let output = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()))
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_BUILD_BUILD_DIR", build)
        .args(["--offline", "--quiet"])
        // Most often the copy is built once: what incremental compilation keeps for a second time is a fifth more to do.
        .args(["--config", "profile.dev.opt-level=0", "--config", "profile.dev.incremental=false"])
        .args(args)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "cargo {}: {}\n{}\n{}",
        args.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

#[test]
fn a_policy_of_one_s_own_runs_inside_and_outside_of_the_workspace() {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("new-balancer");
    let (root, target) = (place.join("workspace"), place.join("target"));
    for part in PARTS {
        let to = root.join(part);
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).unwrap();
        }
        copy(&workspace().join(part), &to).unwrap();
    }
    // Cargo tells crates of one name apart by their version, and by their place only within a workspace.
    let manifest = root.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let other = text.replacen(
        "[workspace.package]\nversion = \"0.1.0\"",
        "[workspace.package]\nversion = \"0.1.1\"",
        1,
    );
    assert_ne!(text, other, "the workspace's version is not where it was");
    fs::write(&manifest, other).unwrap();

    // As the book has it, but for the workspace.
    let made = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["new-balancer", NAME, "--workspace"])
        .arg(&root)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let said = String::from_utf8(made.stdout).unwrap();
    assert!(said.contains(&format!("cargo xtask scenario multi-vm --policy {NAME}")), "{said}");
    let library = root.join(format!("crates/balancers/{NAME}/src/lib.rs"));
    let lines = fs::read_to_string(&library).unwrap().lines().count();
    assert!(lines < 110, "{lines} lines are not minimal");

    // Formatted, without warnings, and a good citizen.
    let registry = root.join("crates/balancers/policy-catalogue/src/lib.rs");
    let formatted =
        Command::new("rustfmt").args(["--edition", "2024", "--check"]).args([&library, &registry]).output();
    if let Ok(formatted) = formatted {
        assert!(formatted.status.success(), "{}", String::from_utf8_lossy(&formatted.stdout));
    }

    // The crate of the book.
    let outside = root.join("crates/balancers/outside-policy");
    let book = workspace().join("docs/src/outside-policy");
    fs::create_dir_all(outside.join("src")).unwrap();
    copy(&book.join("main.rs"), &outside.join("src/main.rs")).unwrap();
    let text = fs::read_to_string(book.join("Cargo.toml")).unwrap();
    let (package, own_workspace) = text.split_once("\n# Not part of any workspace").unwrap();
    assert!(own_workspace.ends_with("[workspace]\n"), "{own_workspace}");
    fs::write(outside.join("Cargo.toml"), package.replace("../hyperv-dynamic-memory", "../../..")).unwrap();

    let policy = format!("balancer-{NAME}");
    // Always all three, so that what they share has the same features each time.
    let of = ["-p", &policy, "-p", "outside-policy", "-p", "xtask", "--features", "xtask/study"];
    let tested = cargo(&root, &target, &[&["test"], &of[..], &["--lib", "--bin", "outside-policy"]].concat());
    let (passed, warned) = (String::from_utf8_lossy(&tested.stdout), String::from_utf8_lossy(&tested.stderr));
    assert_eq!(passed.matches("1 passed").count(), 2, "{passed}");
    assert!(!warned.contains("warning"), "{warned}");
    cargo(&root, &target, &[&["build"], &of[..]].concat());

    // Both run at once.
    let run = |program: &str, args: &[&str]| {
        let ran =
            Command::new(target.join("debug").join(program)).current_dir(&root).args(args).output().unwrap();
        assert!(ran.status.success(), "{program}: {}", String::from_utf8_lossy(&ran.stderr));
        ran.stdout
    };
    let said = String::from_utf8(run("outside-policy", &[])).unwrap();
    assert!(said.contains("VM8") && said.contains("half-again") && said.contains("unmet demand"), "{said}");
    let policies = format!("hyperv,{NAME}");
    let compared = run(
        "xtask",
        &[
            "compare",
            "--policies",
            &policies,
            "--scenarios",
            "multi-vm",
            "--seeds",
            "1",
            "--until",
            "6m",
            "--json",
        ],
    );
    let comparison: serde_json::Value = serde_json::from_slice(&compared).unwrap();
    let moved = &comparison["loads"][0]["results"][1]["moved"]["values"][0];
    assert!(moved.as_f64().unwrap() > 0.0, "it gives its VMs what they need: {moved}");
    let out = place.join("run");
    let _old = fs::remove_dir_all(&out);
    let out_text = out.to_string_lossy().into_owned();
    let told = run(
        "xtask",
        &[
            "scenario", "multi-vm", "--policy", NAME, "--until", "5m", "--driver", "inline", "--out",
            &out_text,
        ],
    );
    assert!(String::from_utf8_lossy(&told).contains("VM7"));
    let summary: serde_json::Value =
        serde_json::from_slice(&fs::read(out.join("summary.json")).unwrap()).unwrap();
    assert_eq!(summary["policy"], NAME);
}
