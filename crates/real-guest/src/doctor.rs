//! What of all this works on this computer, and what is missing.

use std::path::Path;

use kvm_partition::{Capabilities, NoHypervisor};

use crate::pieces::{Given, PieceError, Pieces};

/// How guests can run here.
#[derive(Debug)]
pub struct Diagnosis {
    /// This computer's KVM: enough, or why not.
    pub kvm: Result<(), NoHypervisor>,
    /// The capabilities that were asked for.
    pub capabilities: Vec<(&'static str, bool)>,
    /// Kernel, modules and busybox.
    pub pieces: Result<Pieces, PieceError>,
    /// Modules of the guest that are missing.
    pub modules: Vec<PieceError>,
    /// Whether QEMU is there.
    pub qemu: bool,
}

/// Modules that a guest needs: name, what for.
pub const GUEST_MODULES: [(&str, &str); 2] = [
    ("hv_vmbus", "the guest's end of VMBus"),
    ("hv_balloon", "the guest's Dynamic Memory driver, without which there is nothing to see"),
];

/// Looks.
#[must_use]
pub fn examine(target: &Path, given: &Given) -> Diagnosis {
    let probed = Capabilities::probe();
    let capabilities = probed.as_ref().map(|found| found.needed.clone()).unwrap_or_default();
    let pieces = Pieces::find(target, given);
    let modules = pieces.as_ref().map_or_else(
        |_| Vec::new(),
        |pieces| GUEST_MODULES.iter().filter_map(|(module, why)| pieces.module(module, why).err()).collect(),
    );
    let qemu = pieces.as_ref().is_ok_and(|pieces| pieces.qemu.is_some());
    Diagnosis { kvm: probed.and_then(|found| found.suffice()), capabilities, pieces, modules, qemu }
}

impl Diagnosis {
    /// Whether guests run directly on this computer's KVM.
    #[must_use]
    pub fn direct(&self) -> bool {
        self.kvm.is_ok() && self.pieces.is_ok() && self.modules.is_empty()
    }

    /// Whether guests run inside an emulated machine.
    #[must_use]
    pub fn nested(&self) -> bool {
        self.qemu && self.pieces.is_ok() && self.modules.is_empty()
    }
}

impl std::fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mark = |there: bool| if there { "yes" } else { "NO " };
        writeln!(
            f,
            "directly on this computer's KVM: {}",
            if self.direct() { "works" } else { "does not work" }
        )?;
        for (name, there) in &self.capabilities {
            writeln!(f, "  {}  {name}", mark(*there))?;
        }
        if let Err(error) = &self.kvm {
            writeln!(f, "  {error}")?;
        }
        writeln!(
            f,
            "inside an emulated AMD machine (--nested): {}",
            if self.nested() { "works" } else { "does not work" }
        )?;
        writeln!(f, "  {}  qemu-system-x86_64", mark(self.qemu))?;
        writeln!(f, "pieces of a guest:")?;
        match &self.pieces {
            Ok(pieces) => {
                writeln!(f, "  yes  kernel {}", pieces.kernel.display())?;
                writeln!(f, "  yes  modules {}", pieces.modules.display())?;
                writeln!(f, "  yes  busybox {}", pieces.busybox.display())?;
                for error in &self.modules {
                    writeln!(f, "  NO   {error}")?;
                }
            }
            Err(error) => writeln!(f, "  NO   {error}")?,
        }
        Ok(())
    }
}
