//! Every constant of the host's model in one table, each with its label and where it comes from. \[A\] is the verification guideline
//! for Dynamic Memory by Hitachi and Microsoft Japan (2011). Limits of host editions are in [`limits`](crate::limits).

model_constants::constants! {
    // The parent OS's own memory.
    /// In use when idle.
    PARENT_IN_USE = "parent_os.in_use_idle", 2258.0, "MiB", Calibrated,
        "4.26 GB used with 2048 MB assigned to seven VMs, [A] 4.1",
        chosen_with ["max-vms-static/host_memory_used", "max-vms-dynamic-7/host_memory_used",
            "max-vms-dynamic-7/host_memory_used_ratio", "max-vms-dynamic/host_memory_used", "max-vms-dynamic/vms_started",
            "max-vms-dynamic/vms_started_ratio"],
        free "with the overhead per VM one equation of two unknowns: 2230 with an overhead of 12 gives the same sums";
    /// Free memory below which working sets are trimmed.
    PARENT_COMFORTABLE = "parent_os.comfortable_free", 810.0, "MiB", Calibrated,
        "the free memory of Table 4-1 of [A], reserve 2048: above its middle of 800",
        chosen_with ["exhaustion-reserve-2048/parent_free"], free "805 to 840 fit";
    /// The working set at which trimming bites.
    PARENT_KNEE = "parent_os.working_set_knee", 1002.0, "MiB", Calibrated,
        "Table 4-1 of [A], reserve unset: 1344 + 108 - 450",
        chosen_with ["exhaustion/parent_free", "exhaustion/page_reads_peak", "exhaustion-reserve-2048/page_reads_peak"],
        free "follows from the reserve, which the table does not determine: 682 with a reserve of 1024 and a need scale of 203";
    /// Free memory that trimming defends at the knee.
    PARENT_FREE_AT_KNEE = "parent_os.free_at_knee", 450.0, "MiB", Calibrated,
        "the middle of the 400 to 500 of Table 4-1 of [A]",
        chosen_with ["exhaustion/parent_free"], free "400 to 500, with a knee that is as much lower or higher";
    /// How fast need falls with the size of the working set (e-folding).
    PARENT_NEED_SCALE = "parent_os.need_scale", 96.0, "MiB", Calibrated,
        "the two maxima of page reads in Table 4-1 of [A]",
        chosen_with ["exhaustion/page_reads_peak", "exhaustion-reserve-2048/page_reads_peak"],
        free "belongs to the knee: about 203 with a reserve of 1024 and a knee of 682";
    /// Page-file reads at the knee.
    PARENT_READS_AT_KNEE = "parent_os.reads_at_knee", 56.0, "reads/s", Calibrated,
        "the maximum of 64.1 page reads a second in Table 4-1 of [A], read as the largest average over 15 s",
        chosen_with ["exhaustion/page_reads_peak", "exhaustion-reserve-2048/page_reads_peak"],
        free "belongs to the window of 15 s: a shorter one shows higher maxima, and asks for fewer reads here";
    /// Page-file reads that are always there.
    PARENT_READS_IDLE = "parent_os.reads_idle", 0.1, "reads/s", Calibrated,
        "Figure 4-7 of [A] shows a few, without a number",
        chosen_with ["exhaustion/page_reads_idle", "exhaustion-reserve-2048/page_reads_idle"],
        free "anything that reads as a few: the checks allow the 3.4 that Table 4-1 calls few";
    /// Time constant with which the working set follows.
    PARENT_LAG = "parent_os.lag", 2.0, "s", Invented,
        "1 to 10 make no difference to Table 4-1";
    /// Slowdown of the host's own work for each page read a second.
    PARENT_SLOWDOWN = "parent_os.slowdown_per_read", 0.06, "s/read", Calibrated,
        "the difference of the two means of Available Memory in Table 4-1 of [A]; with 0 a paging parent would cost nothing",
        chosen_with ["exhaustion/available_mean", "exhaustion-reserve-2048/available_mean"],
        free "with the stock factor and the rate of the load: two means, three numbers";
    /// Reads that the parent OS's disk serves in a second, at most.
    PARENT_DISK_READS = "parent_os.disk_reads", 190.0, "reads/s", Invented,
        "random reads of one disk of 2011, as for the guests' page files (page_file.read_rate)";
    /// Threads of the parent OS that can wait for the disk at a time.
    PARENT_WAITING = "parent_os.waiting_threads", 64.0, "threads", Invented,
        "who waits for a page asks for no other, so the disk's queue is no longer than this";

    // What an agent in the guest says.
    /// How often the host reads what an agent in the guest says of its memory.
    AGENT_READ_INTERVAL = "agent.read_interval", 1.0, "s", Invented,
        "as often as guests report their status";

    // The host's own work.
    /// The host's part of an operation, however small it is.
    OPERATION_BASE = "operation.base", 0.1, "s", Calibrated,
        "messages between service, worker and hypervisor; how long they take, no source says",
        chosen_with ["exhaustion/available_mean", "exhaustion-reserve-2048/available_mean"],
        free "part of the lead time, so of the stock: the stock factor was chosen for these times";
    /// The host's part of an operation, for each MiB that is mapped or unmapped.
    OPERATION_PER_MIB = "operation.per_mib", 0.001, "s", Calibrated,
        "zeroing 4 KiB pages at about 1 GB/s",
        chosen_with ["exhaustion/available_mean", "exhaustion-reserve-2048/available_mean"],
        free "part of the lead time, so of the stock: the stock factor was chosen for these times";
    /// A guest that shuts down longer than this is switched off.
    SHUTDOWN_TIMEOUT = "vm.shutdown_timeout", 60.0, "s", Invented,
        "longer than any guest of the model takes";

    // What a guest can cause on the host by sending.
    /// Reports of one guest are passed on to the balancer no more often than this; of those in between, the last.
    REPORT_INTERVAL = "worker.report_interval", 0.1, "s", Invented,
        "guests report once a second";
    /// Events, and inputs of the journal, that a guest can cause at will are recorded up to this many in each second.
    EVENTS_PER_SECOND = "worker.events_per_second", 20.0, "events", Invented,
        "an orderly guest causes one a second, and about ten when it boots";
    /// Besides, so many are recorded for each operation that the balancer asks for.
    EVENTS_PER_OPERATION = "worker.events_per_operation", 100.0, "events", Invented,
        "64 MiB in single pages are 33 answers, each with an unmapping";
    /// Messages and packets between one guest and the host are recorded, byte for byte, up to this many in each second.
    FRAMES_PER_SECOND = "worker.frames_per_second", 200.0, "frames", Invented,
        "an orderly guest sends one a second, and a few dozen when it boots";
    /// A guest that resets itself again sooner is reset when this has passed.
    RESET_INTERVAL = "worker.reset_interval", 1.0, "s", Invented,
        "no guest boots in less; a guest that does nothing but reset is recorded, and costs, once a second";
    /// Protocol errors of one VM that the event log shows from one start by an administrator to the next.
    LOGGED_ERRORS = "worker.logged_protocol_errors", 50.0, "entries", Invented,
        "whoever looks has seen enough";
    /// Entries of the event log that are kept: the newest.
    EVENT_LOG_ENTRIES = "event_log.entries", 10000.0, "entries", Invented,
        "about 2 MiB; more than any run here writes";
    /// Packets for the guest that wait for room in the ring, at most.
    WAITING_PACKETS = "worker.waiting_packets", 256.0, "packets", Invented,
        "one operation needs far fewer";

    // Smart Paging, on hosts that have it.
    /// What a guest with a paging file is asked to balloon at a time.
    SMART_PAGING_REQUEST = "smart_paging.request", 64.0, "MiB", Invented,
        "the most that the balancer moves at a time";
    /// How long a guest that had nothing to give is left alone.
    SMART_PAGING_PAUSE = "smart_paging.pause", 10.0, "s", Invented,
        "some of those fit into the ten minutes in which Microsoft expects the file to be gone";
}
