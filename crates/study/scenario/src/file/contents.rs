//! What a scenario file says, and what is known beside it.

use core::time::Duration;
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use guest_memory_manager::trace::{Trace, TraceWindow};
use page_range::PageCount;

use super::{
    checks::Check,
    diagnostic::{Diagnostic, SourceText, Span},
    host::{Balancer, Host},
    length::usual_interval,
    reader::Located,
    set_option::Setting,
    timeline::Step,
    vm::Vm,
};

/// What a scenario file says, checked.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name: that of the file without its ending.
    pub name: String,
    /// One line for lists.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// Where it comes from.
    pub origin: Option<String>,
    /// When the run ends, in virtual time.
    pub until: Duration,
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// Virtual time between two samples; by the number of VMs if `None`.
    pub sample_interval: Option<Duration>,
    /// The host.
    pub host: Host,
    /// The balancing policy.
    pub policy: Policy,
    /// The balancer around the policy.
    pub balancer: Balancer,
    /// All configured VMs.
    pub vms: Vec<Vm>,
    /// Names of the VMs that nothing starts: they stay off in every run.
    pub never_started: Vec<String>,
    /// The seed that its file gives to several hosts, each of which draws by its own name as well.
    pub seed_of_file: Option<u64>,
    /// What happens when.
    pub timeline: Vec<Step>,
    /// What must be seen.
    pub checks: Vec<Check>,
    /// Recorded loads, cut to their window.
    pub trace: Option<Arc<Trace>>,
    /// The file's text, for complaints about it and for its hash.
    pub source: SourceText,
}

/// The balancing policy as the file names it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// Its name; `None` for the default.
    pub name: Option<Located<String>>,
    /// Its own parameters. What they mean is the policy's matter; their places are for complaints.
    pub parameters: BTreeMap<String, Located<Parameter>>,
}

impl Policy {
    /// Its name, or that of the default.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_ref().map_or(policy_catalogue::POLICIES[0].name, |name| &name.value)
    }

    /// Its parameters, as a policy is made with them.
    #[must_use]
    pub fn table(&self) -> toml::Table {
        let value = |parameter: &Parameter| match parameter {
            Parameter::Number(number) => toml::Value::Float(*number),
            Parameter::Text(text) => toml::Value::String(text.clone()),
            Parameter::Flag(flag) => toml::Value::Boolean(*flag),
        };
        self.parameters.iter().map(|(name, parameter)| (name.clone(), value(&parameter.value))).collect()
    }
}

/// Value of a policy's parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Parameter {
    /// A number.
    Number(f64),
    /// A text: a word, or a size or time with its unit.
    Text(String),
    /// Yes or no.
    Flag(bool),
}

/// What is known beside the file.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Names of the policies of the catalogue that may be chosen; empty: neither names nor parameters are checked.
    pub policies: Vec<String>,
    /// The policy in place of the file's (`--policy`): checked here, with everything else.
    pub policy: Option<String>,
    /// Memory of the host in place of what the file says (`--host-memory`).
    pub host_memory: Option<PageCount>,
    /// End of the run in place of the file's (`--until`): checked here; the scenario keeps what the file says.
    pub until: Option<Duration>,
    /// Time between samples in place of the file's (`--sample-interval`): checked here; the scenario keeps what the file says.
    pub sample_interval: Option<Duration>,
    /// Recorded loads in place of those that the file names (`--trace`), seen from the working folder.
    pub trace: Option<PathBuf>,
    /// The part of them that is played, in place of what the file says (`--trace-window`).
    pub trace_window: Option<TraceWindow>,
    /// How long after the run's beginning the first row of recorded loads comes: of loads that were cut out of longer ones between two rows.
    pub trace_from: Duration,
    /// Whether missing rows of recorded loads are filled in, whatever the file says (`--fill-gaps`).
    pub fill_gaps: bool,
    /// Keys that are set in place of what the file says (`--set`), in their order.
    pub settings: Vec<Setting>,
}

impl Scenario {
    /// Whether this is a scenario that comes with the project, unchanged, and not another of its name.
    #[must_use]
    pub fn is_built_in(&self) -> bool {
        super::BUILT_IN
            .iter()
            .chain(super::SHOWN)
            .any(|known| *known == (self.name.as_str(), self.source.text()))
    }

    /// The seed of a run for which this seed is given in place of the file's.
    #[must_use]
    pub fn seed_for(&self, given: u64) -> u64 {
        if self.seed_of_file.is_some() { super::seed_of_host(given, &self.host.name) } else { given }
    }

    /// A complaint about a place in the file, for what only the runner can know.
    pub fn complain(&self, span: &Span, message: impl Into<String>) -> Diagnostic {
        self.source.complain(span.clone(), message)
    }

    /// What whoever runs the file should be told, though nothing is wrong with it.
    #[must_use]
    pub fn remark(&self) -> Option<String> {
        let (off, all) = (self.never_started.len(), self.vms.len());
        let file = self.source.file().display();
        let first = self.never_started.first()?;
        Some(match off {
            _ if off == all => format!(
                "{file} starts no VM: without a [[timeline]] entry of action \"start\" all of its VMs stay off"
            ),
            1 => format!("{file} never starts {first:?}: it stays off"),
            _ => {
                format!("{file} never starts {first:?} and {} more of its {all} VMs: they stay off", off - 1)
            }
        })
    }

    /// The checks that belong to a run with this host.
    pub fn applicable_checks(&self) -> impl Iterator<Item = &Check> {
        let reserve = self.host.memory_reserve;
        self.checks
            .iter()
            .filter(move |check| check.when_memory_reserve.is_none_or(|wanted| wanted == reserve))
    }

    /// Time between two samples of the counters of a run that lasts `until`: as the file says, else what is usual for so many VMs for so long
    /// ([`usual_interval`]).
    pub fn sample_interval(&self, until: Duration) -> Duration {
        self.sample_interval.unwrap_or_else(|| usual_interval(self.vms.len(), until))
    }
}
