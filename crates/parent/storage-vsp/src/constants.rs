//! Every constant of this crate's defaults in one table, each with its label and where it comes from.

model_constants::constants! {
    /// Bytes of the largest transfer.
    MAX_TRANSFER = "storage.max_transfer", 262_144.0, "bytes", Documented,
        "OpenVMM's StorVSP answers QUERY_PROPERTIES with 0x40000";
    /// Requests under way at most.
    MOST_REQUESTS = "storage.most_requests", 1024.0, "requests", Invented,
        "more than a ring of 128 KiB holds at once; bounds the pages that a guest can have held";
    /// Disks of a controller at most.
    LUNS = "storage.luns", 64.0, "disks", Documented,
        "Microsoft: 64 disks for each of 4 SCSI controllers; 256 disks of 2 TB are the 512 TB of [D]";
    /// Ranges that a guest can discard with one command.
    UNMAP_RANGES = "storage.unmap_ranges", 256.0, "ranges", Invented,
        "4 KiB of parameters, one page";
    /// Sectors that are best discarded together: a block of a dynamic disk.
    UNMAP_GRANULE = "storage.unmap_granule", 4096.0, "sectors", Documented,
        "blocks of a dynamic VHD have 2 MiB; only whole ones give space back";
}
