//! A configured VM, and what a file's VMs are read against.

use std::collections::BTreeMap;

use balancing_policy::MemorySettings;
use guest_memory_manager::{GuestProfile, IntegrationServices, trace::Trace};
use page_range::PageCount;

use super::{
    diagnostic::Span,
    host::{Edition, Host},
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
    /// Memory settings.
    pub memory: MemorySettings,
    /// Size of the guest's page file.
    pub page_file: PageCount,
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
        self.host.map_or(Edition::Enterprise, |host| host.edition)
    }
}
