//! What one file says, before files are put together.

use page_range::PageCount;

use crate::kind::Kind;

/// What one file says.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) file: String,
    pub(crate) kind: Kind,
    /// The host, if the file names one.
    pub(crate) host: Option<String>,
    /// The host's memory, of a file that knows one host.
    pub(crate) host_memory: Option<PageCount>,
    /// Hosts of a list of hosts.
    pub(crate) hosts: Vec<HostPart>,
    pub(crate) vms: Vec<VmPart>,
    pub(crate) remarks: Vec<String>,
}

impl Part {
    pub(crate) fn new(file: &str, kind: Kind) -> Self {
        Self {
            file: file.to_owned(),
            kind,
            host: None,
            host_memory: None,
            hosts: Vec::new(),
            vms: Vec::new(),
            remarks: Vec::new(),
        }
    }
}

/// What one file says about a host.
#[derive(Clone, Debug)]
pub(crate) struct HostPart {
    pub(crate) name: String,
    pub(crate) memory: PageCount,
    pub(crate) logical_processors: Option<u32>,
    /// NUMA nodes, where the file lists them.
    pub(crate) nodes: Vec<PageCount>,
    pub(crate) numa_spanning: Option<bool>,
}

/// What one file says about a VM.
#[derive(Clone, Debug, Default)]
pub(crate) struct VmPart {
    pub(crate) name: String,
    /// The name is that of the guest's computer, which may not be the VM's.
    pub(crate) of_guest: bool,
    pub(crate) host: Option<String>,
    pub(crate) running: Option<bool>,
    pub(crate) dynamic: Option<bool>,
    pub(crate) startup: Option<PageCount>,
    pub(crate) minimum: Option<PageCount>,
    pub(crate) maximum: Option<PageCount>,
    pub(crate) buffer: Option<u32>,
    pub(crate) priority: Option<u32>,
    pub(crate) vcpus: Option<u32>,
    pub(crate) generation: Option<u32>,
    /// The release of the oldest host that runs it.
    pub(crate) release: Option<&'static str>,
    pub(crate) guest: Option<String>,
    /// Memory that it had when the file was written.
    pub(crate) assigned: Option<PageCount>,
    /// What it demanded when the file was written.
    pub(crate) demand: Option<PageCount>,
    /// How `demand` was come by, if not from a column of that name.
    pub(crate) demand_note: Option<&'static str>,
    /// What it demanded over time.
    pub(crate) samples: Vec<Sample>,
    /// Whether the samples' times are dates.
    pub(crate) dated: bool,
    /// Where the samples are from.
    pub(crate) demand_from: Option<&'static str>,
    /// Rows in which the file knows of the VM, and has no value.
    pub(crate) without_value: u64,
}

/// What a VM demanded at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    /// Milliseconds since 1970 (UTC); or since the file's beginning.
    pub(crate) at: i64,
    pub(crate) demand: PageCount,
    /// What it had, where that is known.
    pub(crate) assigned: Option<PageCount>,
}
