//! The run of all tests: two VMs that share too little memory, one of them of a guest that the other's loss feeds.

use std::ops::Deref;
use std::path::Path;

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

/// A recorded run, in a folder that goes with it.
pub(crate) struct Recorded {
    folder: TempDir,
    run: Run,
}

impl Recorded {
    /// The folder of the run.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Deref for Recorded {
    type Target = Run;

    fn deref(&self) -> &Run {
        &self.run
    }
}

/// The run. Each test makes it anew: most runners give each test a process of its own, so nothing could be shared.
pub(crate) fn run() -> Recorded {
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
    let run = Run::open(folder.path()).unwrap();
    Recorded { folder, run }
}
