//! The scenarios that come with the project.

use std::path::Path;

macro_rules! scenarios {
    ($(#[doc = $doc:literal])* $list:ident; $($name:literal),* $(,)?) => {
        $(#[doc = $doc])*
        pub const $list: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../../../../scenarios/", $name, ".toml")))),*];
    };
}

scenarios![
    /// Name and text of every scenario that comes with the project and checks what a source has observed.
    BUILT_IN;
    "exhaustion",
    "exhaustion-reserve-2048",
    "max-vms-dynamic",
    "max-vms-dynamic-7",
    "max-vms-static",
    "multi-vm",
    "oracle-bounds",
    "oracle-high-priority",
    "oracle-high-priority-contended",
    "oracle-high-priority-strict",
    "oracle-hot-remove",
    "oracle-remove-then-pressure",
    "oracle-startup-high-competes",
    "oracle-startup-low-competes",
    "outside-ballooned",
    "outside-case-study",
    "outside-overhead",
    "outside-pressure",
    "single-vm-ws2003r2",
    "single-vm-ws2008r2",
];

scenarios![
    /// Name and text of scenarios that show how something works, of which no source has numbers: these check nothing.
    SHOWN;
    "shared-disk",
];

macro_rules! loads {
    ($($name:literal),* $(,)?) => {
        /// Name and text of the loads that balancers are compared by. These scenarios check nothing; they are scenarios like
        /// any other.
        pub const LOADS: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../../../../scenarios/loads/", $name, ".toml")))),*];
    };
}

loads!["staggered-peaks", "bursts-together", "slow-leak", "greedy-server", "idle-fleet", "churn", "trace"];

/// Where the files of [`LOADS`] are, seen from the project's folder.
pub(super) const LOADS_FOLDER: &str = "scenarios/loads";

/// The small generated trace that comes with the project.
const GENERATED_TRACE: &str = include_str!("../../../../../scenarios/loads/generated-trace.csv");

/// The text of a trace that comes with the project, so that a scenario that comes with it can play it from anywhere.
pub(super) fn trace(path: &Path) -> Option<&'static str> {
    (path == Path::new(LOADS_FOLDER).join("generated-trace.csv")).then_some(GENERATED_TRACE)
}
