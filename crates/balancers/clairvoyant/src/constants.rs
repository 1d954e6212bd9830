//! Every constant of this design in one table, each with its label and where it comes from.

model_constants::constants! {
    LEAD = "time before a need at which all that it takes is there", 4.0, "s", Invented,
        "a round, a balloon operation and an add operation of this project's guests, and a second of the samples";
    RATE = "growth of one VM that is planned with", 24.0, "MiB/s", Invented,
        "less than half of what a VM is given when one operation of 64 MiB follows the other, for what is in the way of others";
    HORIZON = "how far ahead is looked for when memory will be used again", 3600.0, "s", Invented,
        "memory that nobody uses for an hour is as good as any other";
    START_LEAD = "time before a start from which on memory for it is kept", 300.0, "s", Invented,
        "VMs that start one after the other find no memory if those before them have grown into all of it";
    RETRY = "time after a start within which a VM that ends makes room for it", 30.0, "s", Invented,
        "a start that is refused is asked for again that much later: better than to keep its memory from others all the time before";
    SLACK = "beyond a need, where memory suffices", 16.0, "MiB", Invented,
        "so that a need that creeps does not make an operation of every round";
    STOCK = "memory that is given to no VM", 160.0, "MiB", Invented,
        "the parent OS has it: where it has none it pages, and all operations take several times as long; on the built-in loads 96 to 256 \
         leave least unmet";
    GENTLE = "time for which a guest that gave less than asked is asked only for what it does not use", 120.0, "s", Invented,
        "every refusal in a row doubles the time for which it is asked for nothing at all";
    FLOOR_SHARE = "part of a guest that it does not give below its need", 0.03125, "of its memory", Invented,
        "the balloon floor of this project's Windows guests: asked for more, a guest gives less and is left alone for a while";
    FLOOR_LEAST = "the least of that", 16.0, "MiB", Invented, "as above";
    FLOOR_MOST = "the most of that", 128.0, "MiB", Invented, "as above";
}
