//! Every constant of this design in one table, each with its label and where it comes from.

model_constants::constants! {
    INTERVAL = "time between looks for memory that is lacking or free", 1.0, "s", Invented,
        "there, whenever a VM arrives or leaves; here, looked for every second";
}
