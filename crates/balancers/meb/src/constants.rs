//! Every constant of this design in one table, each with its label and where it comes from.

model_constants::constants! {
    INTERVAL = "time between two balancings", 5.0, "s", Invented,
        "the abstracts say: periodically";
    MISS_RATIO = "share of touches that may miss with a VM's working set", 0.05, "of touches", Invented,
        "a working set is the memory with which few touches miss; how few, the abstracts do not say";
    TOUCH = "time in which a VM without a curve is taken to touch all of its commit", 30.0, "s", Invented,
        "as in the guest's model (smart_paging.touch): only ratios between VMs count";
}
