//! Modules of a guest's kernel that Hyper-V's devices need.

/// Modules that a guest needs: name, what for.
pub(crate) const GUEST_MODULES: [(&str, &str); 2] = [
    ("hv_vmbus", "the guest's end of VMBus"),
    ("hv_balloon", "the guest's Dynamic Memory driver, without which there is nothing to see"),
];

/// Modules of the integration services, in the order in which they are loaded, where the kernel has them as modules: without them there is
/// no heartbeat, shutdown and time synchronization.
pub(crate) const SERVICE_MODULES: [&str; 3] = ["pps_core", "ptp", "hv_utils"];

/// Modules of virtual hard disks, in the order in which they are loaded, where the kernel has them as modules.
pub(crate) const STORAGE_MODULES: [&str; 5] =
    ["scsi_common", "scsi_mod", "sd_mod", "scsi_transport_fc", "hv_storvsc"];
