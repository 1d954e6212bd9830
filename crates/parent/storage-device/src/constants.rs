//! Every constant of this crate's defaults in one table, each with its label and where it comes from.

model_constants::constants! {
    /// Disks of a device.
    SPINDLES = "device.spindles", 1.0, "spindles", Invented, "the smallest host";
    /// Accesses at random that one spindle does in a second.
    IOPS = "device.iops", 190.0, "1/s", Inferred,
        "the same disk that page_file.read_rate assumes: 190 reads a second, an arm of 3.5 ms and half a turn at 15,000 turns a minute";
    /// What one spindle transfers.
    THROUGHPUT = "device.throughput", 100.0, "MiB/s", Invented, "a disk of 2011, at the middle of its plates";
    /// Memory of the device's controller, for what is read again and for what is still to be written.
    CACHE = "device.cache", 256.0, "MiB", Invented, "a RAID controller of 2011 with a battery has 256 MB or 512 MB";
    /// What an access takes that needs no spindle.
    LATENCY = "device.latency", 0.1, "ms", Invented, "bus, controller and driver";
    /// How much of a file lies on one spindle before the next one goes on.
    STRIPE = "device.stripe", 64.0, "KiB", Invented, "a usual size of stripes";
}
