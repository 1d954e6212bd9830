//! Every constant of this crate's defaults in one table, each with its label and where it comes from.

model_constants::constants! {
    /// How long after a heartbeat the guest is asked for the next.
    HEARTBEAT_INTERVAL = "heartbeat.interval", 2.0, "s", Invented,
        "often enough to be shown to a person";
    /// So many heartbeats without an answer, one after the other, and the guest is taken for lost.
    HEARTBEAT_MISSED = "heartbeat.missed", 5.0, "heartbeats", Invented,
        "a guest that swaps may be late";
    /// How long a guest may take to say whether it shuts down.
    SHUTDOWN_ANSWER = "shutdown.answer", 30.0, "s", Invented,
        "Linux' driver answers before it begins";
    /// How long after the guest was told the time it is told again.
    TIME_SAMPLE = "time_sync.sample", 5.0, "s", Invented,
        "a guest's clock drifts by a few parts in a million; samples cost little";
    /// How long a guest may take for a question about a key.
    KEY_VALUE_ANSWER = "key_value.answer", 30.0, "s", Invented,
        "a daemon in the guest answers, which may have to be swapped in";
}
