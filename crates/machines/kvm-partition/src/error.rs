//! Why a machine could not be made.

use std::io;

use page_range::PageCount;
use partition::MemoryError;

use crate::acpi::MMIO_WINDOW;
use crate::capabilities::NoHypervisor;
use crate::config::MAX_VPS;

/// Why a machine could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// This computer cannot.
    #[error(transparent)]
    NoHypervisor(#[from] NoHypervisor),
    /// Guest memory.
    #[error("guest memory: {0}")]
    Memory(MemoryError),
    /// Kernel and initramfs do not fit.
    #[error("{pages} of memory from page 0 on do not hold the kernel and its initramfs")]
    TooSmall {
        /// The memory.
        pages: PageCount,
    },
    /// Boot RAM reaches into the area of devices.
    #[error("boot RAM must end below {:#x}, where devices begin", MMIO_WINDOW.start)]
    TooLarge,
    /// Too many processors, or none.
    #[error("{0} virtual processors: 1 to {MAX_VPS} are possible")]
    Processors(u32),
    /// The command line is too long or holds a zero byte.
    #[error("the kernel's command line is too long (2047 bytes at most), or holds a zero byte")]
    CommandLine,
    /// KVM refused.
    #[error("{call}: {error}")]
    Kvm {
        /// What was asked of it.
        call: &'static str,
        /// What it said.
        error: io::Error,
    },
}

/// Says of an error what was asked of KVM.
pub(crate) fn kvm<E: Into<io::Error>>(call: &'static str) -> impl FnOnce(E) -> MachineError {
    move |error| MachineError::Kvm { call, error: error.into() }
}
