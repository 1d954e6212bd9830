//! Every constant of this design in one table, each with its label and where it comes from.

use balancing_policy::PageCount;

model_constants::constants! {
    INTERVAL = "time between runs", 10.0, "s", Documented,
        "squeezed's check interval";
    POLL = "time between looks at a run that is under way", 1.0, "s", Invented,
        "squeezed looks four times as often; reports come once a second here";
    HOST_FREE = "memory of the host that is kept free", 9.0, "MiB", Documented,
        "squeezed: 1 MiB for emergencies and 8 MiB for what a starting domain needs besides";
    SLACK = "memory above the minimum that does not count, twice the distance from a target that does not", 8.0, "KiB", Documented,
        "squeezed: a target is reached within 4 KiB";
    STUCK_AFTER = "time without progress after which a VM is stuck", 5.0, "s", Documented,
        "squeezed";
    UNCOOPERATIVE_AFTER = "time without progress after which a VM is uncooperative", 20.0, "s", Documented,
        "squeezed";
    FORGIVEN_AFTER = "time after which a VM that could not be given memory may try again", 60.0, "s", Invented,
        "squeezed clears the mark when the VM reaches its target, and one that is to have no more is at its target";
}

/// [`SLACK`] in pages.
pub(crate) const SLACK_PAGES: u64 = (SLACK.value as u64) * 1024 / page_size();

const fn page_size() -> u64 {
    1024 * 1024 / PageCount::from_mib(1).get()
}
