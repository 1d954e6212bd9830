//! Every constant of this design in one table, each with its label and where it comes from.

model_constants::constants! {
    INTERVAL = "time between rebalances", 15.0, "s", Documented,
        "ESX, option Mem.BalancePeriod: a period of 15 seconds by default";
    EVENT_INTERVAL = "time between looks for events", 1.0, "s", Invented,
        "ESX acts at once when a VM touches memory; reports come once a second here";
    TAX = "idle memory tax", 0.75, "of idle memory", Documented,
        "Waldspurger, OSDI 2002, section 5.2, and ESX's option Mem.IdleTax: 75 % by default; an idle page costs 1 / (1 - 0.75) times an active one";
    SAMPLE_PERIOD = "sampling period of active memory", 30.0, "s", Documented,
        "Waldspurger, OSDI 2002, section 5.3: 100 pages for each 30 second period";
    SLOW_GAIN = "gain of the slow average", 0.1, "per period", Invented,
        "the paper names a slow and a fast average, not their gains";
    FAST_GAIN = "gain of the fast average", 0.5, "per period", Invented,
        "the paper names a slow and a fast average, not their gains";
    HIGH = "free-memory state high: threshold", 0.06, "of total", Documented,
        "Waldspurger, OSDI 2002, section 6.3: high, soft, hard, and low default to 6 %, 4 %, 2 %, and 1 % of system memory";
    SOFT = "free-memory state soft: threshold", 0.04, "of total", Documented,
        "as above";
    HARD = "free-memory state hard: threshold", 0.02, "of total", Documented,
        "as above";
    LOW = "free-memory state low: threshold", 0.01, "of total", Documented,
        "as above";
    MARGIN = "by how much a threshold must be exceeded to count as exceeded", 0.005, "of total", Invented,
        "the paper: only after significantly exceeding the higher threshold";
    BALLOON_LIMIT = "most of a VM's memory that is ballooned", 0.65, "of its memory", Documented,
        "ESX, option Mem.CtlMaxPercent: 65 % of a VM's maximum size by default; sched.mem.maxmemctl sets another limit for one VM";
    SHARES_PER_WEIGHT = "shares of a VM per weight", 1.0, "shares", Invented,
        "only ratios of shares count";
}
