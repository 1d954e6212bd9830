//! Where real guests come from: options that `scenario` and `guest` share.

use std::path::PathBuf;

/// The scenario with real guests.
pub(crate) const REAL_LINUX: &str = "real-linux";

/// How the real guests are run as a test.
pub(crate) const HOW_TO_RUN_GUESTS: &str =
    "To run them: `cargo xtask guest fetch`, then `cargo xtask test --real-guest`.\n";

/// Which pieces, and where.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Real guests")]
pub(crate) struct Where {
    /// Run inside an emulated AMD machine (QEMU), for computers whose KVM is not enough
    #[arg(long, global = true)]
    pub(crate) nested: bool,
    /// Kernel image, in place of the fetched one
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) kernel: Option<PathBuf>,
    /// Folder of the kernel's modules
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) modules: Option<PathBuf>,
    /// A static busybox
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) busybox: Option<PathBuf>,
    /// qemu-system-x86_64, for --nested
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) qemu: Option<PathBuf>,
    /// Kernel image of the emulated machine, for --nested; free page reporting needs Linux 6.3 or later there
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) emulated_kernel: Option<PathBuf>,
}
