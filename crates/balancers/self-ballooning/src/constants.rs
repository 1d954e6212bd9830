//! Every constant of this design in one table, each with its label and where it comes from.

model_constants::constants! {
    INTERVAL = "time between two steps", 5.0, "s", Documented,
        "Linux before 5.3, drivers/xen/xen-selfballoon.c: selfballoon_interval";
    UP = "part of what is lacking that a step adds: one over this", 1.0, "steps", Documented,
        "Linux, xen-selfballoon.c: selfballoon_uphysteresis";
    DOWN = "part of the surplus that a step gives back: one over this", 8.0, "steps", Documented,
        "Linux, xen-selfballoon.c: selfballoon_downhysteresis";
    RESERVE = "what a guest keeps beyond its commit", 32.0, "MiB", Invented,
        "Linux' own reserve (totalreserve_pages), which no report tells: a guest of a few GiB has some tens of MiB";
}
