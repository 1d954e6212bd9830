//! What the daemon looks at: sockets, and the host's memory.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::libvirt::Libvirt;
use crate::sockets::Sockets;
use crate::watch::Watch;
use qemu_host::pressure::HostMemoryState;
use qemu_host::{Place, Snapshot, Surroundings};

/// Sockets that are looked after at once. Invented: a host has some hundred VMs.
const MOST_PLACES: usize = 4096;

/// The host that the daemon runs on.
pub(crate) struct ThisHost {
    /// Sockets.
    sockets: Sockets,
    /// Those that there were the last time.
    found: Vec<Place>,
    /// Domains of libvirt.
    libvirt: Option<Arc<Libvirt>>,
    /// Is shown everything.
    watch: Watch,
}

impl ThisHost {
    /// Sockets of these patterns, and domains of a libvirt.
    pub(crate) fn new(patterns: &[String], libvirt: Option<Arc<Libvirt>>, watch: Watch) -> Self {
        Self { sockets: Sockets::new(patterns), found: Vec::new(), libvirt, watch }
    }
}

impl Surroundings for ThisHost {
    fn places(&mut self) -> Option<Vec<Place>> {
        let found = self.sockets.look(now());
        let Some(libvirt) = &self.libvirt else {
            return found.map(|found| found.into_iter().take(MOST_PLACES).collect());
        };
        if let Some(found) = found {
            self.found = found;
        }
        Some(self.found.iter().cloned().chain(libvirt.places()).take(MOST_PLACES).collect())
    }

    fn memory(&mut self) -> Option<HostMemoryState> {
        read_memory()
    }

    fn watches(&mut self, now: Duration) -> bool {
        self.watch.wants(now)
    }

    fn watch(&mut self, snapshot: &Arc<Snapshot>) {
        self.watch.take(snapshot);
    }
}

#[expect(clippy::disallowed_methods, reason = "folders are stamped with the host's clock")]
fn now() -> SystemTime {
    SystemTime::now()
}

/// What the kernel says of this host's memory.
pub(crate) fn read_memory() -> Option<HostMemoryState> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    // Kernels before 4.20, and those started without, have none.
    let pressure = std::fs::read_to_string("/proc/pressure/memory").unwrap_or_default();
    HostMemoryState::parse(&meminfo, &pressure)
}
