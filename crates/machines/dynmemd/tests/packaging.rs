//! What is packaged beside the programs is what the programs are: manual pages, the file that is installed, the dashboard.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use dynmemd::command_line::{Dynmemctl, Dynmemd};

fn packaging(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name)
}

/// Writes the pages with `DYNMEMD_WRITE_MANUAL=1`.
#[test]
fn manual_pages_are_those_of_the_command_lines() {
    for (name, command) in [("dynmemd.1", Dynmemd::command()), ("dynmemctl.1", Dynmemctl::command())] {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page).unwrap();
        if std::env::var_os("DYNMEMD_WRITE_MANUAL").is_some() {
            std::fs::write(packaging(name), &page).unwrap();
        }
        let written = std::fs::read(packaging(name)).unwrap_or_default();
        assert!(
            written == page,
            "{name} is not what the command line says: DYNMEMD_WRITE_MANUAL=1 cargo test -p dynmemd"
        );
    }
}

#[test]
fn the_file_that_is_installed_is_right_and_moves_nothing() {
    let file = packaging("dynmemd.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.lines().any(|line| line == "dry_run = true"));
    // With every line that is commented out in force.
    let all: String = text
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|line| is_toml(line)).unwrap_or(line))
        .fold(String::new(), |all, line| all + line + "\n");
    let folder = tempfile::tempdir().unwrap();
    for text in [text, all] {
        let path = folder.path().join("dynmemd.toml");
        std::fs::write(&path, &text).unwrap();
        dynmemd::check(&path).unwrap();
    }
}

/// What the recipe of the Debian package names is there, and the scripts have the place into which cargo-deb puts those of the unit: without them a
/// daemon that runs would outlive its package.
#[test]
fn the_recipe_of_the_package_names_what_there_is() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest: toml::Table = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap().parse().unwrap();
    let deb = &manifest["package"]["metadata"]["deb"];
    let mut installed = BTreeSet::new();
    for asset in deb["assets"].as_array().unwrap() {
        let [from, to] = [0, 1].map(|at| asset[at].as_str().unwrap());
        installed.insert(format!("/{to}"));
        assert!(from.starts_with("target/release/") || folder.join(from).exists(), "{from}");
    }
    for file in deb["conf-files"].as_array().unwrap() {
        assert!(installed.contains(file.as_str().unwrap()), "{file}");
    }
    let unit = folder.join(deb["systemd-units"]["unit-scripts"].as_str().unwrap()).join("dynmemd.service");
    let unit = std::fs::read_to_string(unit).unwrap();
    assert!(unit.contains("ExecStart=/usr/bin/dynmemd --config /etc/dynmemd/dynmemd.toml"), "{unit}");
    let scripts = folder.join(deb["maintainer-scripts"].as_str().unwrap());
    for script in ["postinst", "prerm", "postrm"] {
        let text = std::fs::read_to_string(scripts.join(script)).unwrap();
        assert!(text.lines().any(|line| line == "#DEBHELPER#"), "{script}");
    }
}

fn is_toml(line: &str) -> bool {
    line.starts_with('[')
        || line
            .split_once(" = ")
            .is_some_and(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
}

/// Every name that the dashboard asks for is one that the daemon gives.
#[test]
fn the_dashboard_asks_for_counters_that_there_are() {
    let text = std::fs::read_to_string(packaging("grafana-dashboard.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&text).unwrap();
    let known: BTreeSet<&str> = perf_counters::schema::all().map(|counter| counter.prometheus).collect();
    let mut asked = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            let names = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            for name in
                names.filter(|name| name.starts_with("windows_") || name.starts_with("dynamic_memory_"))
            {
                assert!(known.contains(name), "{name} in {expression}");
                asked += 1;
            }
        }
    }
    assert!(asked > 7, "{asked}");
}
