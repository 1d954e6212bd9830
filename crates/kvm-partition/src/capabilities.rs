//! What this machine's KVM can do for a guest that expects Hyper-V.

use std::io;

use kvm_ioctls::{Cap, Kvm};

use crate::sys;

/// `KVM_CAP_HYPERV_EVENTFD` and `KVM_CAP_HYPERV_CPUID` have no name in kvm-ioctls (documented numbers, linux/kvm.h).
const CAP_HYPERV_EVENTFD: u64 = 154;

/// What KVM offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Every capability that is needed, and whether it is there.
    pub needed: Vec<(&'static str, bool)>,
}

/// Why no guest can run on this machine's KVM.
#[derive(Debug, thiserror::Error)]
pub enum NoHypervisor {
    /// There is no `/dev/kvm`.
    #[error(
        "/dev/kvm does not exist: this machine has no KVM (in a virtual machine: nested virtualisation is off; \
         otherwise: enable virtualisation in the firmware, and load kvm-amd or kvm-intel)"
    )]
    Absent,
    /// It may not be opened.
    #[error("/dev/kvm may not be opened by this user: add the user to the group `kvm`, or run as root")]
    NotPermitted,
    /// It cannot be used for another reason.
    #[error("/dev/kvm cannot be used: {0}")]
    Unusable(io::Error),
    /// Hyper-V's interrupt controller is missing.
    #[error(
        "this machine's KVM lacks {} (a kernel built without CONFIG_KVM_HYPERV, or a hypervisor that only imitates KVM)",
        missing.join(", ")
    )]
    Lacks {
        /// The capabilities that are missing, by their names in linux/kvm.h.
        missing: Vec<&'static str>,
    },
}

impl Capabilities {
    /// Asks KVM.
    ///
    /// # Errors
    /// If KVM cannot be asked.
    pub fn probe() -> Result<Self, NoHypervisor> {
        match sys::open_kvm() {
            Ok(_) => {}
            Err(error) => {
                return Err(match error.kind() {
                    io::ErrorKind::NotFound => NoHypervisor::Absent,
                    io::ErrorKind::PermissionDenied => NoHypervisor::NotPermitted,
                    _ => NoHypervisor::Unusable(error),
                });
            }
        }
        let kvm = Kvm::new().map_err(|error| NoHypervisor::Unusable(error.into()))?;
        Ok(Self {
            needed: vec![
                ("KVM_CAP_IRQCHIP", kvm.check_extension(Cap::Irqchip)),
                ("KVM_CAP_IRQFD", kvm.check_extension(Cap::Irqfd)),
                ("KVM_CAP_IRQFD_RESAMPLE", kvm.check_extension(Cap::IrqfdResample)),
                ("KVM_CAP_TSC_DEADLINE_TIMER", kvm.check_extension(Cap::TscDeadlineTimer)),
                ("KVM_CAP_HYPERV", kvm.check_extension(Cap::Hyperv)),
                ("KVM_CAP_HYPERV_SYNIC2", kvm.check_extension(Cap::HypervSynic2)),
                ("KVM_CAP_HYPERV_EVENTFD", kvm.check_extension_raw(CAP_HYPERV_EVENTFD) > 0),
            ],
        })
    }

    /// Whether all is there.
    ///
    /// # Errors
    /// What is missing.
    pub fn suffice(&self) -> Result<(), NoHypervisor> {
        let missing: Vec<_> = self.needed.iter().filter(|(_, there)| !there).map(|(name, _)| *name).collect();
        if missing.is_empty() { Ok(()) } else { Err(NoHypervisor::Lacks { missing }) }
    }
}
