//! The scenarios that come with the project.

use std::path::Path;

use super::{BadScenario, Diagnostic, LoadOptions, Scenario};

macro_rules! scenarios {
    ($($name:literal),* $(,)?) => {
        /// Name and text of every scenario that comes with the project.
        pub const BUILT_IN: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../../../../scenarios/", $name, ".toml")))),*];
    };
}

scenarios![
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
    "single-vm-ws2003r2",
    "single-vm-ws2008r2",
];

macro_rules! loads {
    ($($name:literal),* $(,)?) => {
        /// Name and text of the loads that balancers are compared by. They check nothing; they are scenarios like any other.
        pub const LOADS: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../../../../scenarios/loads/", $name, ".toml")))),*];
    };
}

loads!["staggered-peaks", "bursts-together", "slow-leak", "greedy-server", "idle-fleet", "churn", "trace"];

/// Where the files of [`LOADS`] are, seen from the project's folder.
const LOADS_FOLDER: &str = "scenarios/loads";

/// The small generated trace that comes with the project.
const GENERATED_TRACE: &str = include_str!("../../../../../scenarios/loads/generated-trace.csv");

/// The text of a trace that comes with the project, so that a scenario that comes with it can play it from anywhere.
pub(super) fn trace(path: &Path) -> Option<&'static str> {
    (path == Path::new(LOADS_FOLDER).join("generated-trace.csv")).then_some(GENERATED_TRACE)
}

/// Loads a scenario by the name of one that comes with the project, or by the path of a file (it ends in `.toml` or has a
/// folder in it).
///
/// # Errors
/// No scenario of that name, a file that cannot be read, or everything that is wrong with it.
pub fn find(name_or_path: &str, options: &LoadOptions) -> Result<Scenario, BadScenario> {
    let path = Path::new(name_or_path);
    if path.extension().is_some_and(|ending| ending == "toml") || path.components().count() > 1 {
        return super::load(path, options);
    }
    if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_path) {
        return super::parse(format!("scenarios/{name}.toml"), *text, options);
    }
    if let Some((name, text)) = LOADS.iter().find(|(name, _)| *name == name_or_path) {
        return super::parse(format!("{LOADS_FOLDER}/{name}.toml"), *text, options);
    }
    let names = BUILT_IN.iter().chain(LOADS).map(|(name, _)| *name);
    let near = quantities::nearest(name_or_path, names.clone());
    let diagnostic = Diagnostic::of_file(name_or_path, format!("there is no scenario {name_or_path:?}"))
        .value(name_or_path)
        .allowed(format!("{}; or a file that ends in .toml", names.collect::<Vec<_>>().join(", ")));
    Err(match near {
        Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
        None => diagnostic,
    }
    .into())
}
