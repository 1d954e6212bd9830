//! Windows and thresholds of the checks.

use super::definition::{CONTENTION, Group, Knob, SINGLE, Turn, times};

macro_rules! window {
    ($name:literal, $unit:literal, $chosen:expr, $free:literal, $scenarios:expr, $read:expr, $turn:expr) => {
        Knob {
            name: $name,
            group: Group::Window,
            label: None,
            unit: $unit,
            chosen_with: $chosen,
            free: $free,
            turn: Turn::Window($scenarios, $read, $turn),
        }
    };
}

/// All of them.
pub(super) static KNOBS: &[Knob] = &[
    window!(
        "window of page_reads_peak",
        "s",
        &["exhaustion/page_reads_peak", "exhaustion-reserve-2048/page_reads_peak"],
        "the source does not say over which time its maxima are taken; belongs to the reads at the knee",
        CONTENTION,
        |windows| windows.reads,
        |windows, factor| windows.reads *= factor
    ),
    window!(
        "loss of the others with which ③ begins",
        "MB",
        &[],
        "more than the granule of a move, less than an operation",
        CONTENTION,
        |windows| windows.loss.mib(),
        |windows, factor| windows.loss = times(windows.loss, factor)
    ),
    window!(
        "what may change without being a move",
        "MB",
        &[],
        "more than the noise of a guest, less than an operation",
        CONTENTION,
        |windows| windows.still.mib(),
        |windows, factor| windows.still = times(windows.still, factor)
    ),
    window!(
        "move of an unsteady curve",
        "MB",
        &[],
        "what shows in a figure whose axis ends at thousands of MB",
        CONTENTION,
        |windows| windows.turn,
        |windows, factor| windows.turn *= factor
    ),
    window!(
        "moves of an unsteady curve in a minute",
        "1/min",
        &[],
        "\"up and down\" says no number",
        CONTENTION,
        |windows| windows.turns_per_minute,
        |windows, factor| windows.turns_per_minute *= factor
    ),
    window!(
        "time to answer a step of the load",
        "s",
        &[],
        "a report, a round and an operation are some seconds",
        SINGLE,
        |windows| windows.reaction.as_secs_f64(),
        |windows, factor| windows.reaction = windows.reaction.mul_f64(factor)
    ),
    window!(
        "time in which a drop is followed by a rise",
        "s",
        &[],
        "\"each followed by a rise\" says no time",
        SINGLE,
        |windows| windows.answer.as_secs_f64(),
        |windows, factor| windows.answer = windows.answer.mul_f64(factor)
    ),
];
