//! What of all this works on this computer, and what is missing.

use std::fmt::Display;
use std::path::Path;

use kvm_partition::{Capabilities, NoHypervisor};

use crate::modules::GUEST_MODULES;
use crate::pieces::{Given, Looked, PieceError, Pieces};

/// How guests can run here.
#[derive(Debug)]
pub struct Diagnosis {
    /// This computer's KVM: enough, or why not.
    pub kvm: Result<(), NoHypervisor>,
    /// The capabilities that were asked for.
    pub capabilities: Vec<(&'static str, bool)>,
    /// Whether this computer's KVM hands over what guests report as free.
    pub page_reporting: bool,
    /// Where each piece is.
    pub looked: Looked,
    /// Modules of the guest that are missing.
    pub modules: Vec<PieceError>,
}

/// Looks.
#[must_use]
pub fn examine(target: &Path, given: &Given) -> Diagnosis {
    let probed = Capabilities::probe();
    let capabilities = probed.as_ref().map(|found| found.needed.clone()).unwrap_or_default();
    let page_reporting = probed.as_ref().is_ok_and(|found| found.page_reporting);
    let modules = Looked::look(target, given).into_pieces().map_or_else(
        |_| Vec::new(),
        |pieces| GUEST_MODULES.iter().filter_map(|(module, why)| pieces.module(module, why).err()).collect(),
    );
    let kvm = probed.and_then(|found| found.suffice());
    Diagnosis { kvm, capabilities, page_reporting, looked: Looked::look(target, given), modules }
}

impl Diagnosis {
    fn guest(&self) -> bool {
        let Looked { kernel, modules, busybox, .. } = &self.looked;
        kernel.is_ok() && modules.is_ok() && busybox.is_ok() && self.modules.is_empty()
    }

    /// Whether guests run directly on this computer's KVM.
    #[must_use]
    pub fn direct(&self) -> bool {
        self.kvm.is_ok() && self.guest()
    }

    /// Whether guests run inside an emulated machine.
    #[must_use]
    pub fn nested(&self) -> bool {
        self.looked.qemu.is_ok() && self.guest()
    }

    /// The pieces of a guest.
    ///
    /// # Errors
    /// The first that is missing, modules of the kernel included.
    pub fn into_pieces(self) -> Result<Pieces, PieceError> {
        let pieces = self.looked.into_pieces()?;
        self.modules.into_iter().next().map_or(Ok(pieces), Err)
    }
}

fn piece<T>(
    f: &mut std::fmt::Formatter<'_>,
    what: &str,
    found: &Result<T, PieceError>,
    at: impl Fn(&T) -> &Path,
) -> std::fmt::Result {
    match found {
        Ok(found) => writeln!(f, "  yes  {what} {}", at(found).display()),
        Err(error) => writeln!(f, "  NO   {error}"),
    }
}

impl Display for Diagnosis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let works = |works| if works { "works" } else { "does not work" };
        writeln!(f, "directly on this computer's KVM: {}", works(self.direct()))?;
        for (name, there) in &self.capabilities {
            writeln!(f, "  {}  {name}", if *there { "yes" } else { "NO " })?;
        }
        if let Err(error) = &self.kvm {
            writeln!(f, "  {error}")?;
        } else {
            let there = if self.page_reporting { "yes" } else { "no " };
            writeln!(
                f,
                "  {there}  free page reporting (KVM of Linux 6.3 and later hands it over; guests run without)"
            )?;
        }
        writeln!(f, "inside an emulated AMD machine (--nested): {}", works(self.nested()))?;
        piece(f, "QEMU", &self.looked.qemu, |qemu| &qemu.program)?;
        writeln!(f, "pieces of a guest:")?;
        piece(f, "kernel", &self.looked.kernel, |path| path)?;
        piece(f, "modules", &self.looked.modules, |path| path)?;
        piece(f, "busybox", &self.looked.busybox, |path| path)?;
        for error in &self.modules {
            writeln!(f, "  NO   {error}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_that_is_missing_is_named_with_what_to_do() {
        let target = tempfile::tempdir().unwrap();
        let nothing = examine(target.path(), &Given::default());
        assert!(!nothing.direct() && !nothing.nested());
        let text = nothing.to_string();
        for piece in ["no kernel", "no folder of kernel modules", "no static busybox"] {
            assert!(text.contains(piece), "{text}");
        }
        assert!(text.contains("cargo xtask guest fetch") && text.contains("--busybox"), "{text}");
    }

    #[test]
    fn a_kernel_without_hv_balloon_is_named_before_anything_is_started() {
        let target = tempfile::tempdir().unwrap();
        let root = target.path().join("guest/root");
        for file in ["boot/vmlinuz-6.1", "bin/busybox", "lib/modules/6.1/kernel/drivers/hv/hv_vmbus.ko"] {
            let path = root.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file).unwrap();
        }
        let found = examine(target.path(), &Given::default());
        assert!(!found.direct() && !found.nested());
        let error = found.into_pieces().unwrap_err().to_string();
        assert!(error.contains("no module hv_balloon") && error.contains("Dynamic Memory driver"), "{error}");
    }
}
