//! Every constant of this design in one table, each with its label and where it comes from.

model_constants::constants! {
    TICK = "time between rounds", 1.0, "s", Documented,
        "senpai.py, run: sleeps for 1 s between two ticks";
    INTERVAL = "ticks between two probes", 6.0, "ticks", Documented,
        "senpai.py, default of --interval";
    PRESSURE = "stall that is aimed at, between two probes", 10000.0, "us", Documented,
        "senpai.py, default of --pressure";
    MOST_PROBE = "most a limit falls at once", 0.01, "of the limit", Documented,
        "senpai.py, default of --max-probe";
    MOST_BACKOFF = "most a limit rises at once", 1.0, "of the limit", Documented,
        "senpai.py, default of --max-backoff";
    PROBE_COEFFICIENT = "stall ratio at which probes begin to shorten, as its inverse", 10.0, "ratio", Documented,
        "senpai.py, default of --coeff-probe";
    BACKOFF_COEFFICIENT = "stall ratio at which the whole limit is added", 20.0, "ratio", Documented,
        "senpai.py, default of --coeff-backoff";
    WRITE_STALL = "stall that one page written to a page file stands for", 30.0, "us", Invented,
        "stands in for guests that do not report stalls: the time of a disk that writes 130 MB/s";
}
