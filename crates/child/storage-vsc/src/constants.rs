//! Every constant of this crate's defaults in one table, each with its label and where it comes from.

model_constants::constants! {
    /// How long a host may take for each step of the handshake.
    HANDSHAKE = "storage.handshake_timeout", 5.0, "s", Documented,
        "Linux, storvsc_drv.c: waits 5 s for each message of the handshake";
    /// Bytes of a disk list that are asked for: 64 disks fit.
    LUN_LIST = "storage.lun_list", 520.0, "bytes", Inferred,
        "a header of 8 bytes, and 8 for each of 64 disks";
}
