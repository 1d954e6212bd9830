//! Every constant of this crate's defaults in one table, each with its label and where it comes from.

model_constants::constants! {
    /// How long a guest may take for each step of the handshake.
    HANDSHAKE = "timeout.handshake", 30.0, "s", Invented,
        "guests themselves wait 5 s for a host";
    /// How long a guest may take for a balloon request, at least.
    BALLOON_BASE = "timeout.balloon", 30.0, "s", Invented,
        "QEMU's author saw Windows guests take 2 to 3 s for 2 GiB (mailing list); ten times that is not silence yet";
    /// Pages for which the base time is enough.
    BALLOON_BASE_PAGES = "timeout.balloon_pages", 2048.0, "MiB", Invented,
        "as above; in proportion for more";
    /// How long a guest may take for all messages of an unballoon request together.
    UNBALLOON = "timeout.unballoon", 10.0, "s", Invented,
        "an unmodified Linux guest was measured to answer within 40 to 150 ms";
    /// How long a guest may take for a hot-add request, at least.
    HOT_ADD_BASE = "timeout.hot_add", 30.0, "s", Invented,
        "as for a balloon request";
    /// How long a guest may take for each chunk of a hot-add request in addition.
    HOT_ADD_CHUNK = "timeout.hot_add_chunk", 5.0, "s", Documented,
        "Linux, hv_balloon.c, hv_mem_hot_add: waits 5 s for each chunk to go online";
    /// The smallest chunk.
    HOT_ADD_CHUNK_PAGES = "timeout.hot_add_chunk_pages", 128.0, "MiB", Documented,
        "Linux, hv_balloon.c: hot-add in chunks of 128 MB, in later versions of a memory block; a guest whose granule is larger has larger chunks";
    /// How long no hot-add is tried after the first that was refused for now; doubled with every further one.
    BACKOFF_FIRST = "hot_add_backoff.first", 5.0, "s", Invented,
        "a guest that is busy may be ready soon";
    /// How long no hot-add is tried at most.
    BACKOFF_LONGEST = "hot_add_backoff.longest", 300.0, "s", Invented,
        "a guest that refuses for long costs little; how often Hyper-V asks again, no source says";
    /// After so many refusals in a row hot-add is over until the VM is reset.
    BACKOFF_ATTEMPTS = "hot_add_backoff.attempts", 8.0, "refusals", Invented,
        "a guest that cannot place the memory answers like this for ever";
    /// How long after the capabilities nothing is asked of the guest.
    QUIET_PERIOD = "quiet_period", 50.0, "s", Documented,
        "QEMU, hv-balloon.c, HV_BALLOON_POST_INIT_WAIT: as Hyper-V of Server 2016 seems to; Windows Server 2019 crashes when it gets requests earlier";
    /// Pages in one hot-add request at most.
    HOT_ADD_REQUEST = "hot_add_request", 2048.0, "MiB", Documented,
        "QEMU, hv-balloon.c, HV_BALLOON_HA_CHUNK_SIZE: 2 GiB";
}
