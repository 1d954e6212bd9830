//! Every constant of the balancer in one table, each with its label and where it comes from.
//!
//! The documentation prints [`constants`]; the defaults of the code are the same items, so the two cannot differ.

model_constants::constants! {
    RESERVE_BASE = "reserve when MemoryReserve is unset: base", 384.0, "MiB", Calibrated,
        "a published rule of thumb, and Table 4-1",
        chosen_with ["exhaustion/parent_free", "exhaustion/page_reads_peak", "exhaustion/available_mean"],
        free "Table 4-1 does not determine the reserve: 1024 in all, with a knee of 682 and a need scale of 203, fits as well";
    RESERVE_PER_GIB = "reserve when MemoryReserve is unset: per GB of the host", 30.0, "MiB", Calibrated,
        "Table 4-1, with the base; 64 per GB, also published, does not fit",
        chosen_with ["exhaustion/parent_free", "exhaustion/page_reads_peak", "exhaustion/available_mean"],
        free "one host of 32 GB says nothing about how the reserve grows with the host";
    OVERHEAD = "overhead per running VM", 8.0, "MiB", Calibrated,
        "30.31 GB and 4.26 GB in use with seven VMs, with what the parent OS uses; 88 VMs, of which none failed to start",
        chosen_with ["max-vms-static/host_memory_used", "max-vms-dynamic-7/host_memory_used",
            "max-vms-dynamic-7/host_memory_used_ratio", "max-vms-dynamic/vms_started", "max-vms-dynamic/vms_started_ratio",
            "max-vms-dynamic/no_failed_start"],
        free "7 to 12 all give 88 VMs";
    OPERATION_LIMIT = "most memory per operation", 64.0, "MiB", Calibrated,
        "doubled, Available Memory leaves the bounds of Table 4-1 with about half the seeds",
        chosen_with ["exhaustion/available_mean", "exhaustion-reserve-2048/available_mean"],
        free "halving is harmless";
    MINIMUM_MOVE = "least memory per operation, but for a VM's last step to its maximum", 4.0, "MiB", Invented,
        "keeps the noise of guests' commit from moving memory";
    DEFAULT_GRANULE = "hot-add granule of a guest that names none", 2.0, "MiB", Invented,
        "a large page";
    START_RESERVATION = "time for which memory is collected for a VM after its start was refused", 60.0, "s", Invented,
        "a start can fail while memory is still being removed from others, and Microsoft's tests of Linux guests on later hosts ask \
         again after 30 s; how long the product goes on for a VM that it has refused, no source says";
    /// How long memory is collected for a guest that restarts with less than its VM's startup RAM, before the rest is put into a file
    /// (Smart Paging, on hosts that have it).
    SMART_PAGING_WAIT = "time for which memory is collected for a VM that restarts, before Smart Paging", 10.0, "s", Invented,
        "Microsoft, Hyper-V Dynamic Memory Overview: Smart Paging is used if no memory can be reclaimed from other VMs; how long the host tries, \
         no source says. Ten operations of the balancer";
    RATE_WINDOW = "window of the grant rate and of operation times", 20.0, "s", Invented,
        "part of the lead-time stock";
    AVERAGE_PRESSURE_WINDOW = "window of a VM's Average Pressure", 60.0, "s", Invented,
        "the source names the counter, not its window";
    REPORT_TIMEOUT = "silence after which a VM that used to report is set aside", 30.0, "s", Invented,
        "guests report once a second";
    REFUSAL_FIRST = "first pause after a guest gave or took less than asked", 5.0, "s", Invented,
        "doubles with every refusal in a row";
    REFUSAL_LONGEST = "longest pause after a guest gave or took less than asked", 300.0, "s", Documented,
        "Linux, commit 2c3bd2a5c86f (hv_balloon): Hyper-V tries again about every five minutes where a guest has refused";
    ROUND_SHORTEST = "shortest time between rounds that a policy can ask for", 0.05, "s", Invented,
        "virtual time must advance";
    BAND_HALF_WIDTH = "pressure band: half its width", 2.0, "percent", Invented,
        "Minimum and Maximum Pressure are documented, what they follow from is not";
    HOLD = "time below the band before memory is reclaimed without contention", 300.0, "s", Calibrated,
        "[A] 4.2 says only: for a while; Microsoft's tests of Linux guests on later hosts (lis-test, DM_RemoveNoPressure.ps1) wait for it up to 420 s",
        chosen_with ["single-vm-ws2008r2/hold", "single-vm-ws2003r2/hold", "oracle-remove-then-pressure/reclaim_time"],
        free "up to 420; that the checks ask for 240 at least is this project's";
    STOCK_FACTOR = "lead-time stock: multiple of what is granted during the lead time", 2.1, "times", Calibrated,
        "Table 4-1's two means of Available Memory lie in the middle of what runs with many seeds show",
        chosen_with ["exhaustion/available_mean", "exhaustion-reserve-2048/available_mean"],
        free "only its product with the lead time and the rate of the load matters";
    SHARE_WEIGHT_OFFSET = "share of a shortage: g(weight) = (offset - weight) / divisor, offset", 11000.0, "weight", Invented,
        "positive at every weight, falling with it";
    SHARE_WEIGHT_DIVISOR = "share of a shortage: g(weight) = (offset - weight) / divisor, divisor", 6000.0, "weight", Invented,
        "g is 1 at the default weight; eleven times as much falls to weight 0 as to 10000";
    START_BOUND = "bound of the shortage that a start may cause, at the default weight", 0.2, "lambda", Invented,
        "in proportion to the starting VM's weight, 0 at weight 0 (documented); at the default weight the default buffer of \
         VMs of default weight";
}
