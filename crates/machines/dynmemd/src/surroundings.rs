//! What the daemon looks at: sockets, and the host's memory.

use std::path::PathBuf;
use std::sync::Arc;

use crate::libvirt::Libvirt;
use qemu_host::pressure::HostMemoryState;
use qemu_host::{Place, Snapshot, Surroundings};

/// Sockets that are looked after at once. Invented: a host has some hundred VMs.
const MOST_PLACES: usize = 4096;

/// Is shown everything once a second.
pub(crate) type Watch = Box<dyn FnMut(&Arc<Snapshot>) + Send>;

/// The host that the daemon runs on.
pub(crate) struct ThisHost {
    /// Patterns of sockets.
    pub(crate) patterns: Vec<String>,
    /// Domains of libvirt.
    pub(crate) libvirt: Option<Arc<Libvirt>>,
    /// Is shown everything.
    pub(crate) watch: Watch,
}

impl Surroundings for ThisHost {
    fn places(&mut self) -> Vec<Place> {
        let found = self.patterns.iter().filter_map(|pattern| glob::glob(pattern).ok());
        // What cannot be read now may be readable next time.
        let sockets = found.flat_map(|paths| paths.filter_map(Result::ok));
        let domains = self.libvirt.iter().flat_map(|libvirt| libvirt.places());
        sockets.chain(domains).take(MOST_PLACES).collect::<Vec<PathBuf>>()
    }

    fn memory(&mut self) -> Option<HostMemoryState> {
        read_memory()
    }

    fn watch(&mut self, snapshot: &Arc<Snapshot>) {
        (self.watch)(snapshot);
    }
}

/// What the kernel says of this host's memory.
pub(crate) fn read_memory() -> Option<HostMemoryState> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    // Kernels before 4.20, and those started without, have none.
    let pressure = std::fs::read_to_string("/proc/pressure/memory").unwrap_or_default();
    HostMemoryState::parse(&meminfo, &pressure)
}
