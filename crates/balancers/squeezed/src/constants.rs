//! Every constant of this design in one table, each with its label and where it comes from.

use balancing_policy::PageCount;

model_constants::constants! {
    INTERVAL = "time between runs", 10.0, "s", Documented,
        "squeezed, squeezed.ml: balance_check_interval";
    POLL = "time between looks at a run that is under way", 1.0, "s", Invented,
        "squeezed looks four times as often; reports come once a second here";
    HOST_FREE = "memory of the host that is kept free", 9.0, "MiB", Documented,
        "squeezed, squeeze_xen.ml: low_mem_emergency_pool of 1 MiB, and extra_mem_to_keep of 8 MiB for what a starting domain needs besides; \
         since CA-423173 the pool is 64 MiB";
    SLACK = "memory above the minimum that does not count, twice the distance from a target that does not", 8.0, "KiB", Documented,
        "squeezed, squeeze_xen.ml and squeeze.ml: inaccuracy_kib is 4, and min_freeable leaves twice that";
    STUCK_AFTER = "time without progress after which a VM is stuck", 5.0, "s", Documented,
        "squeezed, squeeze.ml: assume_balloon_driver_stuck_after";
    UNCOOPERATIVE_AFTER = "time without progress after which a VM is uncooperative", 20.0, "s", Documented,
        "squeezed, squeeze_xen.ml: update_cooperative_flags";
    FORGIVEN_AFTER = "time after which a VM that could not be given memory may try again", 60.0, "s", Invented,
        "squeezed clears the mark when the VM reaches its target, and one that is to have no more is at its target";
}

/// [`SLACK`] in pages.
pub(crate) const SLACK_PAGES: u64 = (SLACK.value as u64) * 1024 / page_size();

const fn page_size() -> u64 {
    1024 * 1024 / PageCount::from_mib(1).get()
}
