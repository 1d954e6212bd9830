//! Every constant of this crate's defaults in one table, each with its label and where it comes from.

model_constants::constants! {
    /// To give pages away, however few.
    BALLOON_BASE = "balloon.base", 0.05, "s", Invented,
        "with the time for each MiB: 2 GiB in about 4 s, near the 2 to 3 s that QEMU's author saw of Windows guests";
    /// To give pages away, for each MiB.
    BALLOON_PER_MIB = "balloon.per_mib", 0.002, "s", Invented,
        "as above";
    /// To take pages, back or new, however few.
    ADD_BASE = "add.base", 0.05, "s", Invented,
        "an unmodified Linux guest was measured to answer an unballoon request within 40 to 150 ms";
    /// To take pages, back or new, for each MiB.
    ADD_PER_MIB = "add.per_mib", 0.001, "s", Invented,
        "as above";
    /// How long the driver waits for a host, once for all versions and once for the capabilities.
    HANDSHAKE_TIMEOUT = "handshake_timeout", 5.0, "s", Documented,
        "Linux, hv_balloon.c, balloon_connect_vsp: waits 5 s for each of the two";
    /// How long after the handshake a Linux guest reports nothing.
    PRESSURE_REPORT_DELAY = "linux.pressure_report_delay", 45.0, "s", Documented,
        "Linux, hv_balloon.c, parameter pressure_report_delay";
    /// How often the status is reported.
    STATUS_INTERVAL = "status_interval", 1.0, "s", Documented,
        "Linux, hv_balloon.c, dm_thread_func: the host expects the memory pressure every second";
}
