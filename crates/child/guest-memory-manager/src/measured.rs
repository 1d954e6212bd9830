//! Constants of the Linux guest that was measured: a Debian cloud kernel with nothing but an init, as real guests of this project boot.
//!
//! They follow from two recorded loads (`steps`, and what swaps from `swap`), and are judged on others, which they were not chosen with: the page
//! *Validation* of the book.
//! They are a table of their own, since no scenario that comes with the project has such a guest.

model_constants::constants! {
    /// Memory that the kernel of the measured Linux guest takes before it counts: what it has less `MemTotal`.
    LINUX_MEASURED_RESERVED = "linux_measured.reserved", 42.0, "MiB", Inferred,
        "measured: assigned less MemTotal of a guest of 512 MB, in the recorded load `steps`";
    /// All that the kernel of the measured Linux guest holds, [`LINUX_MEASURED_RESERVED`] among it; no part of the reported commit.
    LINUX_MEASURED_NONPAGED = "linux_measured.nonpaged", 66.8, "MiB", Inferred,
        "measured: assigned less available memory and commit, at idle, in the recorded load `steps`";
    /// Idle commit of the measured Linux guest, the kernel's memory in it.
    LINUX_MEASURED_COMMIT = "linux_measured.idle_commit", 69.6, "MiB", Inferred,
        "measured: what is reported as committed at idle, less the balloon floor, beside the kernel's memory, in the recorded load `steps`";
    /// Files that the measured Linux guest leaves in its cache.
    LINUX_MEASURED_CACHE = "linux_measured.file_cache", 0.0, "MiB", Inferred,
        "it has no disk: its files are in memory, and counted with what the kernel holds";
    /// Available memory of the measured Linux guest while it swaps: its kernel writes pages out before the last ones are given away.
    LINUX_MEASURED_KEPT = "linux_measured.kept_available", 7.5, "MiB", Inferred,
        "measured: median of the available memory while the guest swaps, in the recorded load `swap`";
    /// Standard deviation of the commit of the measured Linux guest.
    LINUX_MEASURED_NOISE = "linux_measured.noise", 0.0, "MiB", Inferred,
        "measured: the reported commit does not move at idle, in the recorded load `steps`";
    /// Boot to the init that listens, of the measured Linux guest inside an emulated machine.
    BOOT_LOGIN_LINUX_MEASURED = "boot.login_linux_measured", 4.0, "s", Inferred,
        "measured: power-on to the first report, in the recorded load `steps`";
}
