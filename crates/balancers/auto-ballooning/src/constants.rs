//! Every constant of this design in one table, each with its label and where it comes from.

model_constants::constants! {
    INTERVAL = "time between two looks at pressure", 1.0, "s", Invented,
        "there pressure is told as it happens";
    LOW = "free memory of the host below which its pressure is low", 0.10, "of total", Invented,
        "there, Linux tells levels by how much of what it looks at for reclaim it can reclaim; a host that owns its memory reclaims nothing";
    MEDIUM = "free memory of the host below which its pressure is medium", 0.05, "of total", Invented,
        "as above";
    CRITICAL = "free memory of the host below which its pressure is critical", 0.02, "of total", Invented,
        "as above";
    STEP = "what a balloon is filled with at low pressure of the host, and emptied by at pressure in the guest", 16.0, "MiB", Invented,
        "the driver moves 256 pages (1 MiB) at a time, again and again; how much in a second, no source says";
    MEDIUM_STEPS = "the same at medium pressure", 2.0, "steps", Invented,
        "more the higher the level";
    CRITICAL_STEPS = "the same at critical pressure", 4.0, "steps", Invented,
        "more the higher the level";
    GUEST_STALLS = "share of the last ten seconds in which a task of the guest stood still, above which the guest is under pressure", 0.0, "percent", Inferred,
        "there the driver hears of any pressure in its guest, whatever its level";
    GUEST_AVAILABLE = "memory available in the guest below which it is under pressure, if it does not say how long it stalls", 0.05, "of its memory", Invented,
        "reclaim begins when free memory is at a watermark of a few percent";
}
