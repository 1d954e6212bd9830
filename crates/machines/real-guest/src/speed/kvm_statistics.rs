//! How often KVM's guests were left, as this computer's kernel counts it for all of them together.

use std::path::Path;

/// Where the kernel says it (documented, `Documentation/filesystems/debugfs.rst` and `virt/kvm` of Linux). Only root reads it.
const FOLDER: &str = "/sys/kernel/debug/kvm";

/// Exits since KVM was loaded. Differences are what counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct KvmStatistics {
    /// All of them.
    pub exits: u64,
    /// Of these: port I/O.
    pub io: u64,
    /// Addresses that are not memory.
    pub mmio: u64,
    /// A processor that has nothing to do.
    pub halt: u64,
    /// Interrupts of this computer.
    pub interrupts: u64,
}

impl KvmStatistics {
    /// As it is now; `None` where it cannot be read.
    #[must_use]
    pub(super) fn read() -> Option<Self> {
        Self::read_in(Path::new(FOLDER))
    }

    fn read_in(folder: &Path) -> Option<Self> {
        let number = |name: &str| std::fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
        Some(Self {
            exits: number("exits")?,
            io: number("io_exits")?,
            mmio: number("mmio_exits")?,
            halt: number("halt_exits")?,
            interrupts: number("irq_exits")?,
        })
    }

    /// What was counted since `before`. A guest that ended meanwhile is counted no more, so no difference is below 0.
    #[must_use]
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            exits: self.exits.saturating_sub(before.exits),
            io: self.io.saturating_sub(before.io),
            mmio: self.mmio.saturating_sub(before.mmio),
            halt: self.halt.saturating_sub(before.halt),
            interrupts: self.interrupts.saturating_sub(before.interrupts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_counts_is_read_and_what_is_not_there_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(KvmStatistics::read_in(folder.path()), None);
        for (name, text) in [
            ("exits", "90\n"),
            ("io_exits", "1\n"),
            ("mmio_exits", "2"),
            ("halt_exits", "3\n"),
            ("irq_exits", "4\n"),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let read = KvmStatistics::read_in(folder.path()).unwrap();
        assert_eq!(read, KvmStatistics { exits: 90, io: 1, mmio: 2, halt: 3, interrupts: 4 });
        let earlier = KvmStatistics { exits: 50, io: 7, ..KvmStatistics::default() };
        let since = read.since(earlier);
        assert_eq!((since.exits, since.io, since.mmio), (40, 0, 2));
        std::fs::write(folder.path().join("exits"), "many").unwrap();
        assert_eq!(KvmStatistics::read_in(folder.path()), None);
    }
}
