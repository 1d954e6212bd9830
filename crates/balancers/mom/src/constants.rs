//! Every constant of this design in one table, each with its label and where it comes from.

model_constants::constants! {
    INTERVAL = "time between decisions", 10.0, "s", Documented,
        "MOM, doc/mom-balloon.conf: policy-engine-interval";
    SAMPLE_INTERVAL = "time between samples", 5.0, "s", Documented,
        "MOM, doc/mom-balloon.conf: host-monitor-interval and guest-monitor-interval";
    SAMPLES = "samples that are averaged", 10.0, "samples", Documented,
        "MOM, doc/mom-balloon.conf: sample-history-length";
    PRESSURE_THRESHOLD = "free part of the host below which guests shrink", 0.2, "of total", Documented,
        "MOM, doc/balloon.rules: pressure_threshold";
    CRITICAL = "free part of the host at and below which guests are made to page", 0.05, "of total", Documented,
        "MOM, doc/balloon.rules: pressure_critical";
    GUEST_FREE = "free part that a guest is to have", 0.2, "of its memory", Documented,
        "MOM, doc/balloon.rules: min_guest_free_percent";
    MOST_CHANGE = "most a guest shrinks, least it grows, in a decision", 0.05, "of its memory", Documented,
        "MOM, doc/balloon.rules: max_balloon_change_percent";
    LEAST_CHANGE = "change that is not worth it", 0.0025, "of its memory", Documented,
        "MOM, doc/balloon.rules: min_balloon_change_percent";
}
