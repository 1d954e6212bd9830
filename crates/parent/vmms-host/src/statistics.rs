//! What is counted of a VM's bus and of its memory map, the same for simulated and for real guests: all of it is seen from the host.

use std::sync::Arc;
use std::time::Duration;

use gmo_memory_manager::GmoMemoryManager;
use model_sync::{Mutex, MutexGuard};
use page_range::PageCount;

/// One ring of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingStatistics {
    /// Bytes of its data area; 0 before it was opened.
    pub size: u32,
    /// Bytes that packets took in it when the host last looked: of the upstream ring when the host last found packets there, of the
    /// downstream ring when the host last wrote to it.
    pub used: u32,
    /// The most bytes that packets took in it when the host looked.
    pub high_water: u32,
    /// Packets that the host has read from it, or written to it.
    pub packets: u64,
    /// Signals in the direction of the ring: the guest's HvSignalEvent for the channel, or the host's event flag. Some tell the
    /// other side that there is room again, not that there are packets.
    pub signals: u64,
    /// Packets, or commits of packets, that needed no signal of their own, since the reader was awake. Of the guest the host cannot
    /// see this: there it is the packets that are more than the signals.
    pub suppressed: u64,
}

impl RingStatistics {
    /// The host has looked.
    pub(crate) fn look(&mut self, used: u32) {
        self.used = used;
        self.high_water = self.high_water.max(used);
    }

    /// Counts both together; of fills the greater one.
    fn add(&mut self, other: Self) {
        self.size = self.size.max(other.size);
        self.used = self.used.max(other.used);
        self.high_water = self.high_water.max(other.high_water);
        self.packets += other.packets;
        self.signals += other.signals;
        self.suppressed += other.suppressed;
    }
}

/// Both rings of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelStatistics {
    /// From the guest to the host.
    pub upstream: RingStatistics,
    /// From the host to the guest.
    pub downstream: RingStatistics,
}

impl ChannelStatistics {
    pub(crate) fn add(&mut self, other: Self) {
        self.upstream.add(other.upstream);
        self.downstream.add(other.downstream);
    }

    /// The channel is closed: its rings are gone, what was counted stays.
    pub(crate) fn closed(mut self) -> Self {
        (self.upstream.used, self.downstream.used) = (0, 0);
        self
    }
}

/// A VM's bus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BusStatistics {
    /// All of its channels together, closed ones included; fills are those of the fullest ring.
    pub channels: ChannelStatistics,
    /// Messages of the control plane that the guest has posted.
    pub control_from_guest: u64,
    /// Messages of the control plane that went into the guest's slot.
    pub control_to_guest: u64,
    /// Time from a signal of the guest to the wake of the worker that follows, summed. Of several signals before a wake the first.
    pub doorbell_wait: Duration,
    /// The longest such time.
    pub doorbell_longest_wait: Duration,
}

/// A VM's memory map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MapStatistics {
    /// Pages of 2 MiB.
    pub large_pages: u64,
    /// Pages of 4 KiB.
    pub small_pages: u64,
    /// How often a page of 2 MiB was split.
    pub splits: u64,
    /// How often pages of 4 KiB were merged to one of 2 MiB.
    pub merges: u64,
    /// Runs of guest pages on runs of frames that the map consists of: what it costs to keep.
    pub runs: usize,
}

impl MapStatistics {
    pub(crate) fn of(map: &GmoMemoryManager) -> Self {
        let (counts, changes) = (map.counts(), map.size_changes());
        Self {
            large_pages: counts.large,
            small_pages: counts.small,
            splits: changes.splits,
            merges: changes.merges,
            runs: map.run_count(),
        }
    }
}

/// What is counted of a VM since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VmStatistics {
    /// Its bus.
    pub bus: BusStatistics,
    /// Its memory map.
    pub map: MapStatistics,
    /// What of its memory is in a file of the host (Smart Paging).
    pub paged: PageCount,
}

/// The statistics of one VM, as its worker left them at the end of its last wake.
#[derive(Clone, Debug, Default)]
pub struct SharedVmStatistics(Arc<Mutex<VmStatistics>>);

impl SharedVmStatistics {
    /// Looks at them.
    pub fn look(&self) -> MutexGuard<'_, VmStatistics> {
        self.0.lock()
    }
}
