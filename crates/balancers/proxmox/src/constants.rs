//! Every constant of this design in one table, each with its label and where it comes from.

model_constants::constants! {
    INTERVAL = "time between rounds", 10.0, "s", Documented,
        "pve-manager, pvestatd.pm: $updatetime";
    HOST_GOAL = "part of the host's memory that is to be used", 0.8, "of total", Documented,
        "Proxmox VE administration guide, dynamic memory management: 80 %; the node's option ballooning-target sets another";
    SMALLEST_GOAL = "distance from the goal that is ignored", 10.0, "MiB", Documented,
        "pve-manager, AutoBalloon.pm: a goal of 10 MiB and less is not acted on";
    STEP_LIMIT = "most a VM moves in a round", 100.0, "MiB", Documented,
        "pve-manager, pvestatd.pm: $maxchange";
    FREE_SHARE = "free memory above which a VM is not under pressure", 0.25, "of its minimum", Documented,
        "pve-manager, AutoBalloon.pm: free memory beyond 0.25 of balloon_min";
    DEFAULT_SHARES = "shares of a VM of default weight", 1000.0, "shares", Documented,
        "qm.conf, shares; pve-manager, AutoBalloon.pm takes 1000 where there is none";
    MOST_PASSES = "passes of one distribution at most", 200.0, "passes", Invented,
        "Proxmox has no such bound; what is left after so many is less than a move";
}
