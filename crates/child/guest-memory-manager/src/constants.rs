//! Every constant of the guest model in one table, each with its label and where it comes from.
//!
//! The documentation prints [`constants`]; the code uses the same items, so the two cannot differ. \[A\] is the
//! verification guideline for Dynamic Memory by Hitachi and Microsoft Japan (2011). Not in the table is what profiles
//! show as data themselves: editions, virtual processors, physical limits.

model_constants::constants! {
    // Footprints of the guest operating systems at idle.
    /// Idle commit of Windows Server 2008 R2 (kernel and services).
    WS2008_R2_COMMIT = "windows_server_2008_r2.idle_commit", 414.0, "MiB", Calibrated,
        "Figure 4-4 of [A]: about 98 MB available at 512 MB of startup RAM",
        chosen_with ["single-vm-ws2008r2/idle_available", "single-vm-ws2008r2/idle_at_startup", "max-vms-dynamic-7/memory_assigned"],
        free "what is in use, not how it is divided: into nonpaged memory, services and the file cache";
    /// Of [`WS2008_R2_COMMIT`], what the kernel holds nonpaged.
    WS2008_R2_NONPAGED = "windows_server_2008_r2.nonpaged", 96.0, "MiB", Invented,
        "kernel image, drivers and nonpaged pool; only its share of the footprint matters, under paging";
    /// Files of Windows Server 2008 R2 that boot and services leave in the cache.
    WS2008_R2_CACHE = "windows_server_2008_r2.file_cache", 600.0, "MiB", Invented,
        "size of the system files a booted server reads; part of the available memory";
    /// Idle commit of Windows Server 2003 and 2003 R2 (kernel and services).
    WS2003_COMMIT = "windows_server_2003.idle_commit", 100.0, "MiB", Calibrated,
        "run (2) of [A]: idle guests stay at 128 MB with a buffer of 20 %, so at most 106 MiB are in use",
        chosen_with ["single-vm-ws2003r2/idle_at_startup", "max-vms-dynamic-7/memory_assigned"],
        free "any less: no source says how much is available to this guest";
    /// Of [`WS2003_COMMIT`], what the kernel holds nonpaged.
    WS2003_NONPAGED = "windows_server_2003.nonpaged", 28.0, "MiB", Invented,
        "kernel image, drivers and nonpaged pool; only its share of the footprint matters, under paging";
    /// Files of Windows Server 2003 that boot and services leave in the cache.
    WS2003_CACHE = "windows_server_2003.file_cache", 200.0, "MiB", Invented,
        "size of the system files a booted server reads; part of the available memory";
    /// Idle commit of Windows Server 2008.
    WS2008_COMMIT = "windows_server_2008.idle_commit", 400.0, "MiB", Invented,
        "same kernel generation as Windows Server 2008 R2, a little smaller";
    /// Of [`WS2008_COMMIT`], what the kernel holds nonpaged.
    WS2008_NONPAGED = "windows_server_2008.nonpaged", 92.0, "MiB", Invented,
        "as for Windows Server 2008 R2";
    /// Files of Windows Server 2008 that boot and services leave in the cache.
    WS2008_CACHE = "windows_server_2008.file_cache", 500.0, "MiB", Invented,
        "as for Windows Server 2008 R2";
    /// Idle commit of Windows 7.
    WINDOWS_7_COMMIT = "windows_7.idle_commit", 400.0, "MiB", Invented,
        "a desktop at its login screen, kernel of Windows Server 2008 R2";
    /// Of [`WINDOWS_7_COMMIT`], what the kernel holds nonpaged.
    WINDOWS_7_NONPAGED = "windows_7.nonpaged", 92.0, "MiB", Invented,
        "as for Windows Server 2008 R2";
    /// Files of Windows 7 that boot and services leave in the cache.
    WINDOWS_7_CACHE = "windows_7.file_cache", 600.0, "MiB", Invented,
        "as for Windows Server 2008 R2";
    /// Idle commit of Windows Vista.
    VISTA_COMMIT = "windows_vista.idle_commit", 410.0, "MiB", Invented,
        "a desktop at its login screen, kernel of Windows Server 2008";
    /// Of [`VISTA_COMMIT`], what the kernel holds nonpaged.
    VISTA_NONPAGED = "windows_vista.nonpaged", 92.0, "MiB", Invented,
        "as for Windows Server 2008";
    /// Files of Windows Vista that boot and services leave in the cache.
    VISTA_CACHE = "windows_vista.file_cache", 600.0, "MiB", Invented,
        "as for Windows Server 2008 R2";
    /// Idle commit of Windows 2000 Server and Windows XP.
    NT5_COMMIT = "windows_2000_xp.idle_commit", 84.0, "MiB", Invented,
        "a little below Windows Server 2003, their successor";
    /// Of [`NT5_COMMIT`], what the kernel holds nonpaged.
    NT5_NONPAGED = "windows_2000_xp.nonpaged", 22.0, "MiB", Invented,
        "as for Windows Server 2003";
    /// Files of Windows 2000 Server and XP that boot and services leave in the cache.
    NT5_CACHE = "windows_2000_xp.file_cache", 150.0, "MiB", Invented,
        "as for Windows Server 2003";
    /// Idle commit of Windows Server 2012 and 2012 R2.
    WS2012_COMMIT = "windows_server_2012.idle_commit", 260.0, "MiB", Inferred,
        "Aidan Finn, Windows Server 2012 Hyper-V Dynamic Memory Changes: VMs seen with as little as 312 MB; less the buffer of 20 %";
    /// Of [`WS2012_COMMIT`], what the kernel holds nonpaged.
    WS2012_NONPAGED = "windows_server_2012.nonpaged", 90.0, "MiB", Invented,
        "as for Windows Server 2008 R2";
    /// Files of Windows Server 2012 and 2012 R2 that boot and services leave in the cache.
    WS2012_CACHE = "windows_server_2012.file_cache", 600.0, "MiB", Invented,
        "as for Windows Server 2008 R2";
    /// Idle commit of Windows Server 2016 and 2019.
    WS2016_COMMIT = "windows_server_2016.idle_commit", 700.0, "MiB", Invented,
        "a server with desktop; more than 2012, whose system requirement of 512 MB it kept with Server Core alone";
    /// Of [`WS2016_COMMIT`], what the kernel holds nonpaged.
    WS2016_NONPAGED = "windows_server_2016.nonpaged", 140.0, "MiB", Invented,
        "the share of Windows Server 2008 R2, about a fifth";
    /// Files of Windows Server 2016 and 2019 that boot and services leave in the cache.
    WS2016_CACHE = "windows_server_2016.file_cache", 900.0, "MiB", Invented,
        "size of the system files a booted server reads";
    /// Idle commit of Windows Server 2022 and 2025.
    WS2022_COMMIT = "windows_server_2022.idle_commit", 900.0, "MiB", Invented,
        "a server with desktop; more than 2016: its requirement with desktop is 2 GB";
    /// Of [`WS2022_COMMIT`], what the kernel holds nonpaged.
    WS2022_NONPAGED = "windows_server_2022.nonpaged", 180.0, "MiB", Invented,
        "the share of Windows Server 2008 R2, about a fifth";
    /// Files of Windows Server 2022 and 2025 that boot and services leave in the cache.
    WS2022_CACHE = "windows_server_2022.file_cache", 1000.0, "MiB", Invented,
        "size of the system files a booted server reads";
    /// Idle commit of Windows 8 and 8.1.
    WINDOWS_8_COMMIT = "windows_8.idle_commit", 380.0, "MiB", Invented,
        "a desktop at its login screen; less than Windows 7, as its makers aimed for";
    /// Of [`WINDOWS_8_COMMIT`], what the kernel holds nonpaged.
    WINDOWS_8_NONPAGED = "windows_8.nonpaged", 90.0, "MiB", Invented,
        "as for Windows 7";
    /// Files of Windows 8 and 8.1 that boot and services leave in the cache.
    WINDOWS_8_CACHE = "windows_8.file_cache", 600.0, "MiB", Invented,
        "as for Windows 7";
    /// Idle commit of Windows 10.
    WINDOWS_10_COMMIT = "windows_10.idle_commit", 900.0, "MiB", Invented,
        "a desktop at its login screen; half of its requirement of 2 GB (64 bits)";
    /// Of [`WINDOWS_10_COMMIT`], what the kernel holds nonpaged.
    WINDOWS_10_NONPAGED = "windows_10.nonpaged", 180.0, "MiB", Invented,
        "the share of Windows 7, about a fifth";
    /// Files of Windows 10 that boot and services leave in the cache.
    WINDOWS_10_CACHE = "windows_10.file_cache", 900.0, "MiB", Invented,
        "size of the system files a booted client reads";
    /// Idle commit of Windows 11.
    WINDOWS_11_COMMIT = "windows_11.idle_commit", 1600.0, "MiB", Invented,
        "a desktop at its login screen; a little less than half of its requirement of 4 GB";
    /// Of [`WINDOWS_11_COMMIT`], what the kernel holds nonpaged.
    WINDOWS_11_NONPAGED = "windows_11.nonpaged", 320.0, "MiB", Invented,
        "the share of Windows 7, about a fifth";
    /// Files of Windows 11 that boot and services leave in the cache.
    WINDOWS_11_CACHE = "windows_11.file_cache", 1200.0, "MiB", Invented,
        "size of the system files a booted client reads";
    /// Idle commit of the Linux-like profiles.
    LINUX_COMMIT = "linux.idle_commit", 110.0, "MiB", Invented,
        "a server without desktop";
    /// Of [`LINUX_COMMIT`], what the kernel holds.
    LINUX_NONPAGED = "linux.nonpaged", 60.0, "MiB", Invented,
        "kernel memory is never paged";
    /// Files of the Linux-like profiles that boot and services leave in the cache.
    LINUX_CACHE = "linux.file_cache", 200.0, "MiB", Invented,
        "size of the system files a booted server reads";
    /// Share of the services' commit that they keep touching.
    SERVICES_ACTIVE_SHARE = "services.active_share", 0.5, "ratio", Invented,
        "the rest may be trimmed to the page file without being missed";
    /// Standard deviation of the services' commit, large guests.
    NOISE_LARGE = "noise.sigma_large", 3.0, "MiB", Calibrated,
        "guest commit at idle is not constant; at most 3 so that no idle guest leaves its pressure band",
        chosen_with ["single-vm-ws2008r2/idle_at_startup"], free "0 to 7, at which the guest leaves the band";
    /// Standard deviation of the services' commit, guests of about 100 MiB.
    NOISE_SMALL = "noise.sigma_small", 1.5, "MiB", Calibrated,
        "as above; Windows Server 2003 R2 must stay below 106 MiB in use",
        chosen_with ["single-vm-ws2003r2/idle_at_startup"], free "0 to 3, at which the guest leaves the band";
    /// The noise is cut off at this many standard deviations.
    NOISE_CUT = "noise.cut", 3.0, "sigma", Invented,
        "keeps an idle guest's commit inside the band whatever the seed";
    /// How often the services' commit changes.
    NOISE_INTERVAL = "noise.interval", 5.0, "s", Invented,
        "slow against the status report's second, so that an idle VM costs little";
    /// Correlation of the noise between two changes.
    NOISE_CORRELATION = "noise.correlation", 0.9, "ratio", Invented,
        "services allocate and free over tens of seconds, not from one interval to the next";

    // Boot.
    /// Boot to the login screen, Windows Server 2008, 2008 R2, Vista and 7.
    BOOT_LOGIN_NT6 = "boot.login_nt6", 45.0, "s", Invented, "typical of the hardware of 2011";
    /// Boot to running integration services, Windows Server 2008, 2008 R2, Vista and 7.
    BOOT_SERVICES_NT6 = "boot.integration_services_nt6", 25.0, "s", Invented,
        "drivers of the VMBus start before the login screen appears";
    /// Boot to the login screen, Windows 8 and Server 2012 and later.
    BOOT_LOGIN_NT62 = "boot.login_nt62", 25.0, "s", Invented, "typical of disks of today";
    /// Boot to running integration services, Windows 8 and Server 2012 and later.
    BOOT_SERVICES_NT62 = "boot.integration_services_nt62", 12.0, "s", Invented,
        "drivers of the VMBus start before the login screen appears";
    /// Boot to the login screen, Windows 2000 Server, XP and Server 2003.
    BOOT_LOGIN_NT5 = "boot.login_nt5", 30.0, "s", Invented, "typical of the hardware of 2011";
    /// Boot to running integration services, Windows 2000 Server, XP and Server 2003.
    BOOT_SERVICES_NT5 = "boot.integration_services_nt5", 15.0, "s", Invented,
        "drivers of the VMBus start before the login screen appears";
    /// Boot to the login prompt, Linux-like profiles.
    BOOT_LOGIN_LINUX = "boot.login_linux", 12.0, "s", Invented, "a server without desktop";
    /// Boot to the loaded VMBus drivers, Linux-like profiles.
    BOOT_SERVICES_LINUX = "boot.integration_services_linux", 3.0, "s", Invented,
        "the drivers load early";
    /// The footprint grows in steps of this length while booting.
    BOOT_STEP = "boot.step", 1.0, "s", Invented, "resolution of the boot's growth";

    // Dynamic Memory in the guest.
    /// Hot-add granule of Windows guests.
    WINDOWS_GRANULE = "windows.hot_add_granule", 2.0, "MiB", Invented,
        "Windows reports 2^n MiB in its capabilities; n is not published. 2 MiB is its large page";
    /// Hot-add granule of the Linux-like profiles.
    LINUX_GRANULE = "linux.hot_add_granule", 128.0, "MiB", Documented,
        "Linux, hv_balloon.c, balloon_connect_vsp: 128 MB, in later versions the memory block size, which is that below 64 GiB";
    /// Smallest balloon floor of Windows guests.
    WINDOWS_FLOOR_MIN = "windows.balloon_floor_min", 16.0, "MiB", Invented,
        "available memory that ballooning leaves to a small guest";
    /// Largest balloon floor of Windows guests.
    WINDOWS_FLOOR_MAX = "windows.balloon_floor_max", 128.0, "MiB", Invented,
        "available memory that ballooning leaves; more than 200 would keep contended VMs of [A] from shrinking as they did";
    /// Balloon floor of Windows guests between the two bounds, as a share of the visible total.
    WINDOWS_FLOOR_SHARE = "windows.balloon_floor_share", 1.0 / 32.0, "ratio", Invented,
        "grows with the guest, as Linux's formula does";

    // Windows memory management.
    /// Available memory below which the memory manager trims working sets, as a share of the visible total.
    LOW_MEMORY_SHARE = "memory.low_share", 32.0 / 4096.0, "ratio", Documented,
        "Microsoft, CreateMemoryResourceNotification, as MSDN had it until about 2012 (today's page has not the sentence): low memory is \
         signalled at about 32 MB per 4 GB; that trimming begins there is inferred";
    /// Upper bound of the low-memory threshold.
    LOW_MEMORY_MAX = "memory.low_max", 64.0, "MiB", Documented,
        "as above: to a maximum of 64 MB";
    /// Trimming goes on until this many times the low-memory threshold is available.
    TRIM_GOAL = "memory.trim_goal", 2.0, "times", Invented, "keeps trimming from starting again at once";
    /// Pages the zeroing thread clears.
    ZEROING_RATE = "memory.zeroing_rate", 1024.0, "MiB/s", Invented,
        "a lowest-priority thread on an otherwise idle processor";
    /// Pages read from the page file (hard faults).
    PAGE_READ_RATE = "page_file.read_rate", 6.0, "MiB/s", Invented,
        "about 190 random reads per second of eight pages each: one disk of 2011";
    /// Pages written to the page file by the modified page writer.
    PAGE_WRITE_RATE = "page_file.write_rate", 60.0, "MiB/s", Invented,
        "sequential writes to one disk of 2011";
    /// Time in which a guest touches all that it keeps touching: how often it needs what the host has put into a file (Smart Paging).
    HOST_PAGING_TOUCH = "smart_paging.touch", 30.0, "s", Invented,
        "services wake every few seconds to minutes";
    /// What an agent's scan for active pages costs for each page in use: its access bit is cleared in the scan and read in the next.
    AGENT_SCAN = "agent.scan", 0.2, "us/page", Invented,
        "finding all mappings of a page and a flush now and then: hundreds of nanoseconds";
    /// Time between two scans for active pages.
    AGENT_SCAN_INTERVAL = "agent.scan_interval", 30.0, "s", Documented,
        "Waldspurger, OSDI 2002, section 5.3: sampling periods of 30 s";
    /// Share of a processor's time that following touches for a miss curve costs.
    AGENT_CURVE = "agent.curve", 0.02, "of the time", Inferred,
        "Zhao et al., Low Cost Working Set Size Tracking (USENIX ATC 2011), abstract: the mean overhead is 2 % with an AVL tree, hot sets of \
         changing size and tracking that pauses; that an agent takes as much of one processor is inferred";
    /// How often the kernel brings averages of stalls up to date.
    AGENT_STALL_PERIOD = "agent.stall_period", 2.0, "s", Documented,
        "Linux 6.6, kernel/sched/psi.c: PSI_FREQ is 2 s and one tick, which is left out";
    /// A system-managed page file begins at this many times the RAM that the guest boots with, if that is less than 1 GB.
    PAGE_FILE_SMALL_START = "page_file.managed_start_below_1_gb", 1.5, "times RAM", Inferred,
        "Microsoft, Change the Size of Virtual Memory (Windows Server 2008): default minimum on 32-bit systems; taken for all Windows guests";
    /// With 1 GB and more it begins at the RAM and this.
    PAGE_FILE_LARGE_START = "page_file.managed_start_from_1_gb", 300.0, "MiB beyond RAM", Inferred,
        "Microsoft, Change the Size of Virtual Memory (Windows Server 2008): default minimum on 32-bit systems; taken for all Windows guests";
    /// A system-managed page file is made larger when more than this share of the commit limit is committed.
    PAGE_FILE_GROWS_AT = "page_file.managed_grows_at", 0.9, "ratio", Inferred,
        "Microsoft, Introduction to page files: at 90 % of the system commit limit; written of later versions, taken for those of the time";
    /// A system-managed page file may have this many times the RAM …
    PAGE_FILE_MAX_RAM = "page_file.managed_max", 3.0, "times RAM", Inferred,
        "Microsoft, Introduction to page files: three times the physical memory or 4 GB, whichever is larger; that hot-added memory counts \
         at once is inferred";
    /// … or this much, whichever is larger.
    PAGE_FILE_MAX_LEAST = "page_file.managed_max_least", 4096.0, "MiB", Inferred,
        "Microsoft, Introduction to page files: three times the physical memory or 4 GB, whichever is larger";
    /// A system-managed page file grows by multiples of this.
    PAGE_FILE_PIECE = "page_file.managed_piece", 64.0, "MiB", Invented, "so that it does not grow page by page";
    /// An application that wants much asks for it in pieces of this size.
    ALLOCATION_PIECE = "allocation.piece", 64.0, "MiB", Invented,
        "programs allocate as they go; one that is refused keeps what it has got so far";
    /// How often the model advances while a guest pages.
    PAGING_STEP = "page_file.step", 0.25, "s", Invented, "resolution of trimming, page writes and hard faults";
    /// With a disk of its own: pages that a hard fault reads at once.
    PAGE_READ_CLUSTER = "page_file.read_cluster", 8.0, "pages", Inferred,
        "what page_file.read_rate assumes; Windows reads neighbours of a page along with it";
    /// With a disk of its own: page-file reads under way at a time.
    PAGE_READS_UNDER_WAY = "page_file.reads_under_way", 4.0, "requests", Invented,
        "threads that fault at a time";
    /// With a disk of its own: pages that are written at once.
    PAGE_WRITE_CLUSTER = "page_file.write_cluster", 64.0, "pages", Invented,
        "256 KiB, the largest transfer that the host takes";
    /// With a disk of its own: page-file writes under way at a time.
    PAGE_WRITES_UNDER_WAY = "page_file.writes_under_way", 2.0, "requests", Invented,
        "one modified page writer that prepares the next write";
    /// With a disk of its own: pages of a file that are read at once.
    FILE_READ_CLUSTER = "file_cache.read_cluster", 64.0, "pages", Invented,
        "256 KiB, the largest transfer that the host takes: files are read ahead";
    /// Speed at which files fill the cache after boot.
    CACHE_FILL_RATE = "file_cache.fill_rate", 4.0, "MiB/s", Invented,
        "services reading their files in the background; only the split of available memory depends on it";
    /// Files fill the cache in pieces of this time.
    CACHE_PIECE = "file_cache.piece", 5.0, "s", Invented, "so that an idle VM costs little";
    /// Memory kept on the free and zeroed lists while the file cache fills.
    CACHE_LEAVES_FREE = "file_cache.leaves_free", 8.0, "MiB", Invented,
        "the cache never takes the last free pages";

    // MS Paint, the load of [A].
    /// Mean step of a growing canvas.
    PAINT_STEP = "paint.step_mean", 30.0, "MiB", Invented,
        "with the interval: a load rate of about 10 MB/s, the middle of what fits Table 4-1 of [A]";
    /// Mean time between two steps.
    PAINT_INTERVAL = "paint.interval_mean", 3.0, "s", Invented, "a person stretching the canvas";
    /// Coefficient of variation of step and interval.
    PAINT_VARIATION = "paint.variation", 0.3, "ratio", Invented, "a person, not a clock";
    /// Time to unload.
    PAINT_UNLOAD = "paint.unload_time", 10.0, "s", Invented, "closing the pictures one by one";
    /// Bytes per pixel.
    PAINT_PIXEL = "paint.bytes_per_pixel", 4.0, "bytes", Invented, "32 bits per pixel on the screen of the guest";
    /// Copies of the canvas.
    PAINT_BUFFERS = "paint.buffers", 4.0, "copies", Invented,
        "the picture and three steps of undo, as Paint offered until Windows Vista";
    /// Copies of the canvas that Paint keeps touching.
    PAINT_ACTIVE_COPIES = "paint.active_copies", 2.0, "copies", Invented,
        "the picture on the screen and the newest step of undo; the older ones may be trimmed";
    /// Width over height of a canvas.
    PAINT_ASPECT = "paint.aspect", 4.0 / 3.0, "ratio", Invented, "the screens of the time";
    /// Steps in which Paint is unloaded.
    PAINT_UNLOAD_STEPS = "paint.unload_steps", 5.0, "steps", Invented, "a handful of pictures, closed one by one";
    /// Commit of Paint with an empty canvas.
    PAINT_BASE = "paint.base_commit", 8.0, "MiB", Invented, "program, libraries' data, heap";

    // Other loads: what they do unless a configuration says otherwise.
    /// Time between two changes of a ramp or a sawtooth.
    PATTERN_INTERVAL = "pattern.interval", 1.0, "s", Invented, "as often as the guest reports its status";
    /// Time between two losses of a leak.
    LEAK_INTERVAL = "leak.interval", 10.0, "s", Invented, "small losses at long intervals";
    /// Coefficient of variation of a burst's size and length.
    BURSTS_VARIATION = "bursts.variation", 0.3, "ratio", Invented, "as for Paint";
    /// Share of the visible memory that a server application takes at most.
    SERVER_SHARE = "server.share", 0.9, "ratio", Invented, "all it can get, the operating system excepted";
    /// Available memory that a server application leaves.
    SERVER_LEAVES = "server.leaves", 64.0, "MiB", Invented, "above the threshold at which Windows signals low memory";
    /// Growth of a server application in a second.
    SERVER_GROWTH = "server.growth", 20.0, "MiB/s", Invented, "filling a cache from a disk of 2011";
    /// Time between two looks of a server application at what is available.
    SERVER_INTERVAL = "server.interval", 1.0, "s", Invented, "as often as the guest reports its status";
    /// Share of its commit that a server application keeps touching.
    SERVER_ACTIVE_SHARE = "server.active_share", 0.6, "ratio", Invented, "a cache has a cold part";
    /// Time between two changes while a recording is followed.
    PLAYBACK_STEP = "trace.step", 30.0, "s", Invented, "a tenth of the five minutes between two rows of a trace";
    /// Two rows of a trace further apart than this many of the VM's usual intervals have a gap between them.
    TRACE_GAP = "trace.gap", 1.5, "intervals", Invented,
        "recorders are late by seconds; a missing row doubles the interval";

    // The generated trace. Its shape is that of business VMs in Shen, van Beek and Iosup, CCGrid 2015.
    /// VMs of a generated trace.
    GENERATED_VMS = "generated_trace.vms", 20.0, "VMs", Invented, "small enough to read";
    /// Length of a generated trace.
    GENERATED_LENGTH = "generated_trace.length", 86_400.0, "s", Invented, "one day";
    /// Time between two rows.
    GENERATED_INTERVAL = "generated_trace.interval", 300.0, "s", Documented, "Bitbrains, GWA-T-12 of the Grid Workloads Archive: one row every five minutes";
    /// Mean share of its memory that a VM uses at night.
    GENERATED_BASE = "generated_trace.base_share", 0.08, "ratio", Invented,
        "far more is provisioned than used; with the day and the bursts about a seventh on average";
    /// Mean share that noon adds, in the VMs that follow the day.
    GENERATED_DAY = "generated_trace.day_share", 0.1, "ratio", Invented, "use follows the working day in part of the VMs";
    /// The hour at which the day's use is highest.
    GENERATED_PEAK_HOUR = "generated_trace.peak_hour", 13.0, "h", Invented, "the middle of a working day";
    /// Mean number of bursts in a day.
    GENERATED_BURSTS = "generated_trace.bursts_per_day", 4.0, "bursts", Invented, "peaks are several times the mean";
    /// Mean share that a burst adds.
    GENERATED_BURST_SHARE = "generated_trace.burst_share", 0.35, "ratio", Invented, "peaks are several times the mean";
    /// Mean length of a burst.
    GENERATED_BURST_LENGTH = "generated_trace.burst_length", 1200.0, "s", Invented,
        "bursts shorter than the interval of the rows cannot be seen";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_footprints_fit_what_the_guideline_measured() {
        // 03 R2 must stay within its 128 MB with the default buffer of 20 %, noise included.
        let most = WS2003_COMMIT.value + NOISE_CUT.value * NOISE_SMALL.value;
        assert!(most <= 106.0, "{most}");
        const { assert!(WINDOWS_FLOOR_MAX.value <= 200.0) };
    }
}
