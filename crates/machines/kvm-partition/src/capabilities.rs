//! What this machine's KVM can do for a guest that expects Hyper-V.

use std::ffi::CStr;
use std::io;

use kvm_bindings::KVM_API_VERSION;
use kvm_ioctls::{Cap, Kvm};

use crate::{cpuid, sys};

/// `KVM_CAP_HYPERV_EVENTFD` has no name in kvm-ioctls (documented number, linux/kvm.h).
const CAP_HYPERV_EVENTFD: u64 = 154;

/// What KVM offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Every capability that is needed, and whether it is there.
    pub needed: Vec<(&'static str, bool)>,
    /// Whether extended hypercalls are handed to user space (since Linux 6.3): without them no guest can report free pages.
    pub page_reporting: bool,
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
    /// The device may not be opened.
    #[error("/dev/kvm may not be opened by this user: add the user to the group `kvm`, or run as root")]
    NotPermitted,
    /// The device cannot be used for another reason.
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

fn unusable(error: io::Error) -> NoHypervisor {
    match error.kind() {
        io::ErrorKind::NotFound => NoHypervisor::Absent,
        io::ErrorKind::PermissionDenied => NoHypervisor::NotPermitted,
        _ => NoHypervisor::Unusable(error),
    }
}

impl Capabilities {
    /// Asks KVM.
    ///
    /// # Errors
    /// If KVM cannot be asked.
    pub fn probe() -> Result<Self, NoHypervisor> {
        Self::probe_at(c"/dev/kvm")
    }

    fn probe_at(device: &CStr) -> Result<Self, NoHypervisor> {
        let kvm = Kvm::new_with_path(device).map_err(|error| unusable(error.into()))?;
        // What is no KVM at all knows no version of its interface; any but this one is no KVM either (documented).
        if u32::try_from(kvm.get_api_version()) != Ok(KVM_API_VERSION) {
            return Err(NoHypervisor::Unusable(io::Error::other("it is not KVM")));
        }
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
            page_reporting: sys::supported_hv_cpuid(&kvm)
                .is_ok_and(|leaves| cpuid::extended_hypercalls(leaves.as_slice())),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_there_is_no_kvm_is_said_with_what_to_do() {
        let absent = Capabilities::probe_at(c"/nowhere/kvm").unwrap_err();
        assert!(matches!(absent, NoHypervisor::Absent), "{absent}");
        assert!(absent.to_string().contains("load kvm-amd or kvm-intel"), "{absent}");
        let other = Capabilities::probe_at(c"/dev/null").unwrap_err().to_string();
        assert!(other.contains("cannot be used: it is not KVM"), "{other}");
        let denied = unusable(io::ErrorKind::PermissionDenied.into()).to_string();
        assert!(denied.contains("group `kvm`"), "{denied}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let capabilities = |there| Capabilities {
            needed: vec![
                ("KVM_CAP_IRQCHIP", true),
                ("KVM_CAP_HYPERV", there),
                ("KVM_CAP_HYPERV_SYNIC2", there),
            ],
            page_reporting: there,
        };
        assert!(capabilities(true).suffice().is_ok());
        let missing = capabilities(false).suffice().unwrap_err().to_string();
        assert!(missing.contains("lacks KVM_CAP_HYPERV, KVM_CAP_HYPERV_SYNIC2 ("), "{missing}");
    }
}
