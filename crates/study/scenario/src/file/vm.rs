//! A configured VM, and what a file's VMs are read against.

use std::collections::BTreeMap;

use balancing_policy::MemorySettings;
use guest_memory_manager::agent::AgentConfig;
use guest_memory_manager::{GuestProfile, IntegrationServices, PageFileSize, trace::Trace};

use super::{
    diagnostic::Span,
    disks::Disk,
    host::{Edition, Host, HostLimits, Release, VmGeneration},
    workload::Workload,
};

/// One configured VM.
#[derive(Clone, Debug)]
pub struct Vm {
    /// Its name.
    pub name: String,
    /// Its number in its group, or its name in the trace; `{n}` of its name.
    pub number: String,
    /// Its guest operating system.
    pub guest: &'static GuestProfile,
    /// State of the guest's integration services.
    pub integration_services: IntegrationServices,
    /// Number of virtual processors.
    pub vcpus: u32,
    /// Its generation, if the file says it.
    pub generation: Option<VmGeneration>,
    /// Memory settings.
    pub memory: MemorySettings,
    /// The guest's page file.
    pub page_file: PageFileSize,
    /// Its virtual hard disks.
    pub disks: Vec<Disk>,
    /// What an agent in the guest measures.
    pub agent: AgentConfig,
    /// What runs in the guest from its login on.
    pub workload: Option<Workload>,
    /// Where it is configured.
    pub span: Span,
}

/// Workloads that have a name; `None` for one that is wrong, of which nothing else needs to be said.
pub(super) type Named = BTreeMap<String, Option<Workload>>;

/// What the rest of the file says that VMs are checked against.
pub(super) struct Surroundings<'a> {
    pub(super) host: Option<&'a Host>,
    pub(super) workloads: &'a Named,
    pub(super) trace: Option<&'a Trace>,
}

impl Surroundings<'_> {
    pub(super) fn edition(&self) -> Edition {
        self.host.map_or(Edition::default(), |host| host.edition)
    }

    pub(super) fn limits(&self) -> HostLimits {
        self.host.map_or_else(|| Release::default().limits(Edition::default()), Host::limits)
    }

    pub(super) fn has_dynamic_memory(&self) -> bool {
        self.host.is_none_or(|host| host.release.has_dynamic_memory() || host.edition == Edition::Unlimited)
    }

    pub(super) fn release(&self) -> Release {
        self.host.map_or_else(Release::default, |host| host.release)
    }
}
