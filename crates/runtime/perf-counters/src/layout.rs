//! Which host and which VMs a run's counters are about, fixed before the first sample.

use std::collections::BTreeSet;

use crate::{
    Epoch,
    schema::{self, CounterDefinition, Machine},
};

/// Host, epoch and all configured VMs. PDH-CSV's columns are fixed for a file, so a VM has its columns from
/// the start, whether it runs or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    host: String,
    epoch: Epoch,
    vms: Vec<String>,
    storage: bool,
}

/// Names that no counter file can tell apart or hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A name that is empty or has characters that a counter path cannot hold.
    #[error(
        "{name:?} cannot name a machine in a counter path: it must not be empty or hold control characters, \\ or \""
    )]
    BadName {
        /// The name.
        name: String,
    },
    /// Two machines of one name; counter paths do not know upper from lower case.
    #[error("two machines are named {name:?} (counter paths do not distinguish upper and lower case)")]
    DuplicateName {
        /// The second one's name.
        name: String,
    },
}

impl Layout {
    /// The layout of a run of `vms` on `host`.
    ///
    /// # Errors
    /// A name that a counter path cannot hold, or two equal names among host and VMs (regardless of case).
    pub fn new<N: Into<String>>(
        host: impl Into<String>,
        epoch: Epoch,
        vms: impl IntoIterator<Item = N>,
    ) -> Result<Self, LayoutError> {
        let layout =
            Self { host: host.into(), epoch, vms: vms.into_iter().map(Into::into).collect(), storage: false };
        let mut seen = BTreeSet::new();
        for name in layout.vms.iter().chain([&layout.host]) {
            if name.is_empty() || name.chars().any(|c| c.is_control() || c == '\\' || c == '"') {
                return Err(LayoutError::BadName { name: name.clone() });
            }
            if !seen.insert(instance_name(name).to_lowercase()) {
                return Err(LayoutError::DuplicateName { name: name.clone() });
            }
        }
        Ok(layout)
    }

    /// The same with the counters of virtual hard disks, for each VM.
    #[must_use]
    pub fn with_storage(mut self) -> Self {
        self.storage = true;
        self
    }

    /// Whether there are counters of virtual hard disks.
    pub fn has_storage(&self) -> bool {
        self.storage
    }

    /// Name of the host.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Where virtual time 0 lies.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Names of all configured VMs, in the order of [`Sample::vms`](crate::Sample::vms).
    pub fn vms(&self) -> &[String] {
        &self.vms
    }

    /// The PDH path of every column after the time, in the order of a row's values.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        let mut add = |machine: &str, instance: Option<&str>, set: &[CounterDefinition]| {
            paths.extend(set.iter().map(|counter| path(machine, counter.object, instance, counter.name)));
        };
        for (instance, set) in schema::host_sets() {
            add(&self.host, instance, set);
        }
        for vm in &self.vms {
            for (machine, set) in schema::vm_sets() {
                match machine {
                    Machine::Host => add(&self.host, Some(vm), set),
                    Machine::Guest => add(vm, None, set),
                }
            }
            if self.storage {
                add(&self.host, Some(vm), &schema::StorageCounters::DEFINITIONS);
            }
        }
        paths
    }
}

/// `\\machine\object(instance)\counter`.
pub(crate) fn path(machine: &str, object: &str, instance: Option<&str>, counter: &str) -> String {
    match instance {
        Some(instance) => format!(r"\\{machine}\{object}({})\{counter}", instance_name(instance)),
        None => format!(r"\\{machine}\{object}\{counter}"),
    }
}

/// An instance name as Windows writes it in a path: what has a meaning there is replaced.
#[must_use]
pub fn instance_name(name: &str) -> String {
    name.chars()
        .map(|c| match c {
            '(' => '[',
            ')' => ']',
            '#' | '/' | '\\' => '_',
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_performance_monitor() {
        let layout = Layout::new("HOST", Epoch::DEFAULT, ["VM1", "web (old) #2"]).unwrap();
        let paths = layout.paths();
        assert_eq!(paths[0], r"\\HOST\Memory\Available MBytes");
        assert_eq!(paths[2], r"\\HOST\Hyper-V Dynamic Memory Balancer(System Balancer)\Added Memory");
        assert!(paths.contains(&r"\\HOST\Hyper-V Dynamic Memory VM(VM1)\Physical Memory".to_owned()));
        assert!(
            paths.contains(&r"\\HOST\Hyper-V Dynamic Memory VM(web [old] _2)\Physical Memory".to_owned())
        );
        assert!(paths.contains(&r"\\VM1\Memory\Available MBytes".to_owned()));
    }

    #[test]
    fn equal_names_are_refused() {
        let duplicate = |name: &str| Err(LayoutError::DuplicateName { name: name.to_owned() });
        assert_eq!(Layout::new("HOST", Epoch::DEFAULT, ["VM1", "vm1"]), duplicate("vm1"));
        assert_eq!(Layout::new("VM1", Epoch::DEFAULT, ["VM1"]), duplicate("VM1"));
        assert_eq!(Layout::new("HOST", Epoch::DEFAULT, ["a#", "a/"]), duplicate("a/"));
    }

    #[test]
    fn names_that_break_a_path_are_refused() {
        for name in ["", "a\"b", r"a\b", "a\nb"] {
            let refused = Layout::new("HOST", Epoch::DEFAULT, [name]);
            assert_eq!(refused, Err(LayoutError::BadName { name: name.to_owned() }), "{name:?}");
        }
    }
}
