//! Every constant of this design in one table, each with its label and where it comes from.

model_constants::constants! {
    INTERVAL = "time between rounds", 10.0, "s", Documented,
        "pvestatd's loop";
    HOST_GOAL = "part of the host's memory that is to be used", 0.8, "of total", Documented,
        "Proxmox VE administration guide, dynamic memory management; configurable since 8.4";
    SMALLEST_GOAL = "distance from the goal that is ignored", 10.0, "MiB", Documented,
        "PVE::AutoBalloon";
    STEP_LIMIT = "most a VM moves in a round", 100.0, "MiB", Documented,
        "pvestatd's call of PVE::AutoBalloon";
    FREE_SHARE = "free memory above which a VM is not under pressure", 0.25, "of its minimum", Documented,
        "PVE::AutoBalloon";
    DEFAULT_SHARES = "shares of a VM of default weight", 1000.0, "shares", Documented,
        "qm.conf, shares";
    MOST_PASSES = "passes of one distribution at most", 200.0, "passes", Invented,
        "Proxmox has no such bound; what is left after so many is less than a move";
}
