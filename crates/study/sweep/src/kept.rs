//! A scenario as a plan keeps it: its text, and all that was given beside it.

use std::path::Path;
use std::time::Duration;

use guest_memory_manager::trace::{Trace, TraceWindow};
use page_range::PageCount;
use scenario::file::{self, BadScenario, LoadOptions, Scenario};
use serde::{Deserialize, Serialize};

use super::Hash;

/// A scenario as it is kept. Its hash stands for all that it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// The hash of the text and of all that stands here.
    pub hash: Hash,
    /// The scenario's name.
    pub name: String,
    /// The hash of the text alone, which is in `scenarios/`.
    pub text: Hash,
    /// Memory of the host, in pages: what the text says, or what was given beside it.
    pub host_memory: PageCount,
    /// Recorded loads, which are in `traces/`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trace: Option<KeptTrace>,
}

/// Recorded loads as they are kept: cut to their window, gaps filled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptTrace {
    /// The hash of the file.
    pub file: Hash,
    /// Time of its first row in the run, ns.
    pub from_ns: u64,
}

/// The whole of any trace.
const ALL: Duration = Duration::from_secs(1 << 40);

impl Kept {
    /// Keeps a scenario: what is kept, and the text of its recorded loads.
    ///
    /// # Errors
    /// Recorded loads that cannot be written down without loss, with what is lost.
    pub fn new(scenario: &Scenario) -> Result<(Self, Option<String>), String> {
        let written = match &scenario.trace {
            Some(trace) => Some(written(trace)?),
            None => None,
        };
        let (trace, file) = written.unzip();
        let kept = Self {
            hash: Hash::of(b""),
            name: scenario.name.clone(),
            text: Hash::of(scenario.source.text().as_bytes()),
            host_memory: scenario.host.memory,
            trace,
        };
        Ok((Self { hash: kept.whole(), ..kept }, file))
    }

    /// The hash of all that stands here, but for the hash.
    fn whole(&self) -> Hash {
        Hash::of(
            &serde_json::to_vec(&(&self.name, &self.text, &self.host_memory, &self.trace))
                .unwrap_or_default(),
        )
    }

    /// Whether its hash is that of what it says.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.whole() == self.hash
    }

    /// The scenario again.
    ///
    /// # Errors
    /// What is wrong with the text: nothing, unless this is another version than the one that kept it.
    pub fn scenario(&self, text: String, trace: Option<&Path>) -> Result<Scenario, BadScenario> {
        let options = LoadOptions {
            host_memory: Some(self.host_memory),
            trace: trace.map(Path::to_owned),
            trace_window: trace.and_then(|_| TraceWindow::new(Duration::ZERO, ALL)),
            trace_from: self
                .trace
                .as_ref()
                .map_or(Duration::ZERO, |trace| Duration::from_nanos(trace.from_ns)),
            ..LoadOptions::default()
        };
        file::parse(format!("{}.toml", self.name), text, &options)
    }
}

fn written(trace: &Trace) -> Result<(KeptTrace, String), String> {
    let mut text = Vec::new();
    trace.write(&mut text).map_err(|error| error.to_string())?;
    let text = String::from_utf8(text).map_err(|error| error.to_string())?;
    let first = trace.vms().filter_map(|(_, vm)| vm.samples().first()).map(|sample| sample.time).min();
    let from = first.unwrap_or_default();
    let again = Trace::read(text.as_bytes(), "the trace", "", Default::default())
        .map_err(|error| format!("recorded loads that cannot be read again: {error:?}"))?
        .delayed(from);
    if !trace.vms().eq(again.vms()) {
        return Err("the recorded loads have times that a plan cannot keep exactly".to_owned());
    }
    let from_ns =
        u64::try_from(from.as_nanos()).map_err(|_| "the recorded loads begin too late".to_owned())?;
    Ok((KeptTrace { file: Hash::of(text.as_bytes()), from_ns }, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(name: &str, options: &LoadOptions) -> Scenario {
        file::find(name, options).unwrap()
    }

    #[test]
    fn what_was_given_beside_the_text_is_part_of_the_hash() {
        let options = |settings: &[&str]| LoadOptions {
            settings: settings.iter().map(|text| text.parse().unwrap()).collect(),
            ..LoadOptions::default()
        };
        let hash = |scenario: &Scenario| Kept::new(scenario).unwrap().0.hash;
        let plain = hash(&find("churn", &options(&[])));
        assert_eq!(plain, hash(&find("churn", &options(&[]))));
        assert_ne!(plain, hash(&find("churn", &options(&["host.memory=12GB"]))));
        let given =
            LoadOptions { host_memory: Some(PageCount::from_mib(40 * 1024)), ..LoadOptions::default() };
        assert_ne!(plain, hash(&find("churn", &given)));
        assert_ne!(plain, hash(&find("slow-leak", &options(&[]))));
    }

    /// A window that begins between two rows: the run begins before the first of them.
    #[test]
    fn recorded_loads_come_back_as_they_were() {
        let options = LoadOptions {
            trace_window: TraceWindow::new(Duration::from_secs(1010), Duration::from_secs(9000)),
            ..LoadOptions::default()
        };
        let scenario = find("trace", &options);
        let (kept, trace) = Kept::new(&scenario).unwrap();
        assert!(kept.is_whole() && kept.trace.as_ref().is_some_and(|trace| trace.from_ns > 0), "{kept:?}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("trace.csv");
        std::fs::write(&file, trace.unwrap()).unwrap();
        let again = kept.scenario(scenario.source.text().to_owned(), Some(&file)).unwrap();
        assert!(scenario.trace.as_ref().unwrap().vms().eq(again.trace.as_ref().unwrap().vms()));
        assert_eq!(
            (scenario.until, scenario.vms.len(), &scenario.name),
            (again.until, again.vms.len(), &again.name)
        );
        assert_eq!(scenario.plan(1, scenario.until).unwrap(), again.plan(1, again.until).unwrap());
    }
}
