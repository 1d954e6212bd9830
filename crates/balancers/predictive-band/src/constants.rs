//! Every constant of this design in one table, each with its label and where it comes from.

model_constants::constants! {
    INTERVAL = "time between rounds", 0.25, "s", Invented,
        "guests report once a second: a round follows a report soon; at 1 s bursts cost about twice as much";
    LEAD = "how far ahead a trend is carried at most", 1.5, "s", Invented,
        "a report, a round and an operation on a host that does not page; carried further it overshoots";
    TREND_REPORTS = "reports of half the time over which a trend must last", 4.0, "reports", Invented,
        "a program that grows in steps every 3 s (the source's Paint) is a trend, one jump is none";
    HALF_LIFE = "time in which a surprise is half forgotten", 60.0, "s", Invented,
        "30 and 120 s do about as well";
    LEAST_MARGIN = "margin of a VM that never surprises", 0.05, "of demand", Invented,
        "0.03 moves less and is less fair";
    COMFORT = "what a VM is given beyond its need when memory suffices", 1.0, "of its buffer", Invented,
        "what the administrator asked for; at 0.85 less is moved, and steps find less";
    TRIGGER = "part of its comfort below which a VM is given more when memory suffices", 0.9, "of comfort", Invented,
        "nearer to 1: more and smaller operations";
    EVENNESS = "how far what is given in tight times reaches from the margin to an equal part of comfort", 0.85,
        "of the way", Invented,
        "1 is the most even; 0 moves least";
    DEAD_ZONE = "how far below its share a VM may be in a shortage before it is given more", 0.03, "of its memory",
        Invented, "larger moves less, and more demand is unmet";
    MOST_DEAD_ZONE = "how far below its share a VM may be at most", 48.0, "MiB", Invented,
        "where many large VMs are each a little short, somebody else has what they lack and does not need it";
    SHORT_OF_SHARE = "what is left to the share in a shortage when a VM has been given more", 0.25, "of the dead zone",
        Invented, "what that leaves free serves the next";
    HOLD = "time after which surplus is taken that nobody needs", 100.0, "s", Invented,
        "shorter than Hyper-V's 300 s: it grows where it is regretted";
    HOLD_AMONG_EQUALS = "time after which surplus is taken where all VMs have one weight", 200.0, "s", Invented,
        "at 300 s what VMs have beyond their need is less even than with Hyper-V's; where weights differ, weights are out of order longer";
    LONGEST_HOLD = "longest time that surplus is left", 900.0, "s", Invented,
        "doubled whenever what was taken is wanted back soon";
    REGRET = "taken memory that is wanted back within this many holds is regretted", 4.0, "holds", Invented,
        "periods of load up to that are learnt";
    SURPLUS = "surplus that is taken, above what is given when memory suffices", 0.03, "of that", Invented,
        "and two least moves";
    REFUSAL = "time after which a guest that refused is asked again though nothing has changed", 300.0, "s", Invented,
        "as the longest pause of the balancer";
    CHUNK = "least that a VM gives for another, if it has it", 32.0, "MiB", Invented,
        "an operation costs as much as moving 100 MB";
    STOCK = "kept free when margins allow it", 64.0, "MiB", Invented,
        "one operation: the first is granted while the next is being taken";
    STARTS = "time in which starts are a row, so that another is expected", 15.0, "s", Invented,
        "at 60 s, for single starts too, twice as much is unmet where a VM starts every two minutes";
    STARTS_IN_A_ROW = "starts that are a row", 3.0, "starts", Invented,
        "as a rise of demand: one start is none";
    PARENT_SHARE = "most that is kept free for a parent that pages", 0.2, "of what is beyond needs and margins",
        Invented, "a paging parent makes every operation slower, up to eight times";
    PARENT_SLOW = "slowdown of the parent above which more is kept free for it", 1.5, "times", Invented,
        "about 8 page reads a second";
    PARENT_QUICK = "slowdown of the parent below which less is kept free for it", 1.2, "times", Invented,
        "about 3 page reads a second";
    PARENT_RISE = "how fast what is kept free for the parent rises", 32.0, "MiB/s", Invented,
        "as fast as a parent begins to page";
    PARENT_FALL = "how fast what is kept free for the parent falls", 4.0, "MiB/s", Invented,
        "slower than it rises: no swinging";
    SHARE_WEIGHT_OFFSET = "share of a shortage: g(weight) = (offset - weight) / divisor, offset", 11000.0, "weight",
        Invented, "as Hyper-V's policy here: positive at every weight, falling with it";
    SHARE_WEIGHT_DIVISOR = "share of a shortage: g(weight) = (offset - weight) / divisor, divisor", 6000.0, "weight",
        Invented, "as Hyper-V's policy here: 1 at the default weight";
    START_BOUND = "shortage beyond all margins that the start of a VM of the highest weight may cause", 0.2, "lambda",
        Invented, "as far beyond the default weight as Hyper-V's policy here";
    NEXT_START_BOUND = "shortage that what is kept free for the next start of a row may cause, beyond that of a start", 1.0,
        "lambda", Invented,
        "at the default weight; it is for seconds, and who is refused lacks all; 0.2 starts fewer where memory is far too small";
}
