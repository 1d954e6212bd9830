//! Every input in one table, each with its label and where it comes from.

model_constants::constants! {
    /// VMs.
    VMS = "sizing.vms", 1000.0, "VMs", Documented, "[C], section 4: T = 1000";
    /// Bytes of a golden image.
    IMAGE = "sizing.image", 100.0, "GB", Documented, "[C], section 5: images of 100 GB";
    /// What a thin volume allocates at once.
    THIN_UNIT = "sizing.thin_unit", 42.0, "MB", Documented,
        "Hitachi Dynamic Provisioning: pages of 42 MB; [C] names no product";
    /// What a snapshot allocates at once.
    SNAPSHOT_UNIT = "sizing.snapshot_unit", 64.0, "KB", Invented,
        "copy-on-write units of arrays are 16 to 256 KB";
    /// Places at which a desktop writes anew.
    DESKTOP_PLACES = "sizing.desktop.places", 36.0, "places", Calibrated,
        "[C] gives no number for C",
        chosen_with ["storage-sizing/desktops"], free "any with C = 0.27 GB for snapshot and 1.8 GB for thin";
    /// What it writes at each.
    DESKTOP_PLACE = "sizing.desktop.place", 7.5, "MB", Calibrated,
        "as above",
        chosen_with ["storage-sizing/desktops"], free "any with C = 0.27 GB for snapshot and 1.8 GB for thin";
    /// Places at which a server writes anew.
    SERVER_PLACES = "sizing.server.places", 14.0, "places", Calibrated,
        "[C] gives no number for C: servers of one kind write less than desktops of many users",
        chosen_with ["storage-sizing/servers"], free "1 to 18 places of this size";
    /// What it writes at each.
    SERVER_PLACE = "sizing.server.place", 7.0, "MB", Calibrated,
        "as above",
        chosen_with ["storage-sizing/servers"], free "up to 22 MB with this many places";
    /// Accesses of a desktop while it boots.
    DESKTOP_ACCESSES = "sizing.desktop.accesses", 100.0, "1/s", Invented,
        "boots of desktops are reported with 50 to 300 accesses a second; [C] sizes for the boot, where they are most";
    /// Accesses of a server while it boots.
    SERVER_ACCESSES = "sizing.server.accesses", 50.0, "1/s", Invented, "half of a desktop";
    /// Part of the accesses that the array's memory answers if every clone has its own data.
    THIN_HIT = "sizing.thin_hit", 0.9, "part", Invented, "[C] gives no number for A and B";
    /// As above if clones share the image: what one has read is there for the next.
    SNAPSHOT_HIT = "sizing.snapshot_hit", 0.95, "part", Invented, "[C] gives no number for A and B";
    /// Part of the accesses to disks that go to the shared image, and so to its disks only.
    SNAPSHOT_SHARED = "sizing.snapshot_shared", 0.7, "part", Invented, "a boot reads more than it writes";
    /// Disks on which one golden image lies.
    IMAGE_DISKS = "sizing.image_disks", 32.0, "disks", Invented, "four groups of eight";
    /// Accesses that the array's processors serve.
    PROCESSOR = "sizing.processor", 200_000.0, "1/s", Invented, "[C] gives no number for N: an array of the middle class of 2011";
    /// Accesses that one disk serves.
    DISK = "sizing.disk", 150.0, "1/s", Invented, "[C] gives no number for M: 10 000 to 15 000 turns a minute are 130 to 200";
    /// Memory of the array, for what was read and what is to be written: in the boot storm.
    STORM_CACHE = "sizing.storm.cache", 16.0, "GB", Invented, "an array of the middle class of 2011";
    /// What a boot reads of its image, in the boot storm.
    STORM_FILES = "sizing.storm.files", 300.0, "MB", Invented, "reported for boots of Windows 7: 200 to 400 MB";
    /// What it reads at once.
    STORM_READ_SIZE = "sizing.storm.read_size", 16.0, "KiB", Invented, "a boot reads in small pieces";
    /// Part of its accesses that are reads.
    STORM_READS = "sizing.storm.reads", 0.7, "part", Invented, "a boot reads more than it writes; the same as sizing.snapshot_shared";
    /// Disks.
    DISKS = "sizing.disks", 96.0, "disks", Invented, "[C] gives no number for X";
}
