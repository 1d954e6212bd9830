//! One run for all tests: two VMs that share too little memory, one of them of a guest that the other's loss feeds.

use std::path::Path;
use std::sync::OnceLock;

use component_runtime::Driver;
use run_journal::EventsLevel;
use scenario::file::{self, LoadOptions};
use scenario::run::{self, Choices, RunOptions};
use tempfile::TempDir;
use trace_export::Run;

const SCENARIO: &str = r#"
title = "Export"
until = "5m"

[host]
memory = "2GB"
memory_reserve = "256MB"

[[vm]]
name = "VM{n}"
numbers = "1..2"
guest = "ws2008-r2-sp1-enterprise"
startup_bytes = "512MB"
maximum_bytes = "2GB"

[[timeline]]
at = "0s"
action = "start"
vm = "all"

[[timeline]]
at = "60s"
action = "set_workload"
vm = "VM2"
workload = { kind = "paint", guest_commit = "900MB" }

[[timeline]]
at = "100s"
action = "set_workload"
vm = "VM1"
workload = { kind = "paint", guest_commit = "1400MB" }

[[timeline]]
at = "200s"
action = "inject_fault"
fault = "guest_closes_channel"
vm = "VM2"
duration = "20s"

[[timeline]]
at = "240s"
action = "unload"
vm = "VM1"

[[timeline]]
at = "280s"
action = "stop"
vm = "VM2"
"#;

/// The folder of the run.
pub(crate) fn folder() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let parsed = file::parse(Path::new("export.toml"), SCENARIO, &LoadOptions::default());
        let scenario = parsed.unwrap_or_else(|bad| panic!("{bad}"));
        let plan = run::build::plan_alone(&scenario, &Choices::default()).unwrap();
        let options = RunOptions {
            driver: Driver::Inline,
            directory: Some(folder.path().to_owned()),
            events: EventsLevel::All,
            ..RunOptions::default()
        };
        run::run(plan, options).unwrap();
        folder
    });
    folder.path()
}

/// The run.
pub(crate) fn run() -> Run {
    Run::open(folder()).unwrap()
}
