//! The loads that policies are compared by.

use std::path::Path;
use std::time::Duration;

use component_runtime::random;
use guest_memory_manager::trace::{GeneratorConfig, Trace, TraceWindow, generate};

use scenario::file::{self, BadScenario, LOADS, LoadOptions, Scenario};

/// The built-in set: the source's contention, then [`LOADS`] in their order.
pub fn built_in() -> impl Iterator<Item = &'static str> {
    ["multi-vm"].into_iter().chain(LOADS.iter().map(|(name, _)| *name))
}

/// Loads one of the built-in set, another scenario that comes with the project, or a scenario file.
///
/// # Errors
/// No scenario of that name, a file that cannot be read, or everything that is wrong with it.
pub fn find(name: &str) -> Result<Scenario, BadScenario> {
    file::find(name, &LoadOptions::default())
}

/// A recorded load: every VM of the trace becomes a VM of the scenario `trace`, on a host with this much memory.
///
/// What a VM was provisioned becomes its Maximum RAM (brought up to the startup RAM where less was provisioned); it starts with
/// 512 MB, and that is its minimum, as in SP1. What it used is played as the commit of its whole guest. Which part is played, whether
/// gaps are filled, and what is set in the scenario, `options` say.
///
/// # Errors
/// Everything that is wrong with the trace, with file and line.
pub fn trace(path: &Path, options: LoadOptions) -> Result<Scenario, BadScenario> {
    let options = LoadOptions { trace: Some(path.to_owned()), ..options };
    let mut scenario = file::find("trace", &options)?;
    scenario.name =
        path.file_stem().map_or_else(|| "trace".to_owned(), |stem| stem.to_string_lossy().into_owned());
    Ok(scenario)
}

/// Where the hours that are kept of the generated day begin.
const MORNING: Duration = Duration::from_secs(8 * 3600);
/// Where they end.
const AFTERNOON: Duration = Duration::from_secs(14 * 3600);

/// The small trace that comes with the project: six hours, morning to noon, of 16 VMs in the shape of real ones. Generated, not
/// recorded.
#[must_use]
pub fn generated_trace() -> Trace {
    let config = GeneratorConfig { vms: 16, ..GeneratorConfig::default() };
    let day = generate(&config, &mut random::stream(1, "generated trace"));
    TraceWindow::new(MORNING, AFTERNOON).map_or_else(Trace::default, |window| day.window(window))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_load_is_good_and_does_something() {
        for name in built_in() {
            let scenario = find(name).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(scenario.name, name);
            assert!(!scenario.title.is_empty() && !scenario.description.is_empty(), "{name}");
            assert!(!scenario.plan(1, scenario.until).unwrap().is_empty(), "{name}");
        }
    }

    #[test]
    fn the_shipped_trace_is_the_generated_one() {
        let mut written = Vec::new();
        generated_trace().write(&mut written).unwrap();
        let shipped = include_str!("../../../../scenarios/loads/generated-trace.csv");
        assert!(shipped == String::from_utf8(written).unwrap(), "run the example generate-trace");
    }
}
