//! What a machine is made of.

use std::sync::Arc;

use page_range::{GuestPage, RangeSet};

use crate::kernel::KernelImage;
use crate::ram::Backing;

/// Virtual processors at most (invented: the tables would take more).
pub const MAX_VPS: u32 = 16;

/// What a machine is made of.
#[derive(Clone, Debug)]
pub struct MachineConfig {
    /// Its name, for threads.
    pub name: String,
    /// Virtual processors, 1 to [`MAX_VPS`].
    pub vps: u32,
    /// What its RAM is made of.
    pub backing: Backing,
    /// The RAM that it boots with: from page 0, below 3.75 GiB.
    pub memory: RangeSet<GuestPage>,
    /// Its kernel.
    pub kernel: Arc<KernelImage>,
    /// Its initramfs.
    pub initramfs: Arc<[u8]>,
    /// The kernel's command line.
    pub command_line: String,
    /// Whether the guest is offered to report pages that it does not use, so that the host need not keep them in memory. Where KVM does not
    /// hand over the hypercalls that this takes ([`Capabilities::page_reporting`](crate::Capabilities)), it is not offered.
    pub page_reporting: bool,
}
