//! Every constant of this design in one table, each with its label and where it comes from.

model_constants::constants! {
    CACHE_FACTOR = "what a guest prefers to have, as a multiple of what it uses", 1.3, "times", Documented,
        "Qubes OS, qmemman/algo.py: CACHE_FACTOR";
    LEAST_PREFERRED = "the least that a guest prefers to have", 200.0, "MiB", Documented,
        "Qubes OS, qmemman/algo.py: MIN_PREFMEM";
    FREE_LEFT = "memory of the host that is given to nobody", 50.0, "MiB", Documented,
        "Qubes OS, qmemman/systemstate.py: XEN_FREE_MEM_LEFT";
    LEAST_TRANSFER = "changes that are worth making, all together", 150.0, "MiB", Documented,
        "Qubes OS, qmemman/systemstate.py: MIN_TOTAL_MEMORY_TRANSFER";
    LEAST_UNDER_PREFERRED = "growth of a guest below what it prefers that is worth making", 15.0, "MiB", Documented,
        "Qubes OS, qmemman/systemstate.py: MIN_MEM_CHANGE_WHEN_UNDER_PREF";
    DONOR_LEAST = "surplus of a guest that is worth taking when memory is low", 10.0, "MiB", Documented,
        "Qubes OS, qmemman/algo.py, when memory is low";
    ROUNDING = "part of a share that is given", 0.999, "of it", Documented,
        "Qubes OS, qmemman/algo.py: against rounding errors";
    SAFETY = "what is asked for a start, as a multiple of what it takes", 1.05, "times", Documented,
        "Qubes OS, qmemman/algo.py: REQ_SAFETY_NET_FACTOR";
}
