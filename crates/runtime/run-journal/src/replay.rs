//! Feeding a recorded state machine its inputs again.

use core::fmt::Debug;
use std::{collections::BTreeSet, sync::Arc};

use component_runtime::{MachineValue as _, SimTime};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    codec::CodecError,
    journal::{Entry, FORMAT_VERSION, JournalError, MachineValue},
};

/// What a replay found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// Inputs that were fed.
    pub inputs: u64,
    /// Outputs that were recorded.
    pub outputs: u64,
    /// Inputs whose outputs differ; the first [`Replay::KEPT`] of them.
    pub differences: Vec<Difference>,
    /// How many inputs' outputs differ.
    pub different: u64,
    /// The journal is cut off: where its incomplete last entry begins. What is before it was replayed.
    pub cut_off: Option<u64>,
    /// The journal ends within the outputs of the last input: those that are there are equal, the others are missing.
    pub last_incomplete: bool,
}

impl Replay {
    /// As many differences are kept: after the first, most follow from it.
    pub const KEPT: usize = 20;

    /// Whether every output is equal.
    pub fn is_equal(&self) -> bool {
        self.different == 0
    }
}

/// An input whose outputs now are not those of the recorded run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Number of the input, from 1.
    pub input: u64,
    /// Virtual time of the input.
    pub t: SimTime,
    /// The outputs as recorded.
    pub recorded: Vec<String>,
    /// The outputs now.
    pub replayed: Vec<String>,
}

/// Why a machine cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal has no inputs of the machine.
    #[error("no inputs of {machine:?} are recorded; {}{}", known_machines(known, machine), ends_early(*cut_off))]
    UnknownMachine {
        /// What was asked for.
        machine: String,
        /// Machines that are recorded.
        known: Vec<Arc<str>>,
        /// Where the journal is cut off, in bytes, if it is: its inputs may have come after that.
        cut_off: Option<u64>,
    },
    /// An input or output that the machine of this version does not know.
    #[error(
        "{what} number {number} of {machine:?}, at {t}, is none of this version's: {cause}; replay the journal with the version that wrote it (see manifest.json), or repeat the run"
    )]
    Value {
        /// Input or output.
        what: &'static str,
        /// Its number, from 1.
        number: u64,
        /// The machine.
        machine: String,
        /// Its virtual time.
        t: SimTime,
        /// What is wrong.
        cause: CodecError,
    },
    /// The machine was recorded by an older version, whose values have another layout.
    #[error(
        "the journal has format version {found}: its events can be read, and the inputs and outputs of {machine:?} cannot be replayed, since this program's values have the layout of version {FORMAT_VERSION}; replay it with the version that wrote it (see manifest.json), or repeat the run"
    )]
    OlderValues {
        /// The machine.
        machine: String,
        /// The journal's version.
        found: u32,
    },
    /// Outputs before any input.
    #[error("the journal has an output of {machine:?} before its first input")]
    NoInput {
        /// The machine.
        machine: String,
    },
}

fn ends_early(cut_off: Option<u64>) -> String {
    cut_off.map_or_else(String::new, |offset| {
        format!("; the journal is cut off at byte {offset}, and what was after it is missing")
    })
}

fn known_machines(known: &[Arc<str>], asked: &str) -> String {
    if known.is_empty() {
        return "no machine's are: replay needs a run with --events all".to_owned();
    }
    let nearest = quantities::nearest(asked, known.iter().map(|name| &**name));
    let names: Vec<_> = known.iter().map(|name| &**name).collect();
    let hint = nearest.map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default();
    format!("recorded are {}{hint}", names.join(", "))
}

/// An input that was fed, and what came of it now and then.
struct Fed {
    t: SimTime,
    replayed: Vec<Vec<u8>>,
    shown: Vec<String>,
    recorded: Vec<MachineValue>,
}

/// Feeds the inputs of `machine` to `step`, in order and at their times, and compares what `step` returns with the recorded
/// outputs, byte for byte.
///
/// # Errors
/// If the journal cannot be read, has nothing of the machine, or has values that are not of the types `I` and `O`. A journal that is cut
/// off, as that of a run that was killed, is replayed as far as it goes, and the result says so.
pub fn replay<I, O>(
    journal: impl IntoIterator<Item = Result<Entry, JournalError>>,
    machine: &str,
    mut step: impl FnMut(SimTime, I) -> Vec<O>,
) -> Result<Replay, ReplayError>
where
    I: DeserializeOwned,
    O: Serialize + DeserializeOwned + Debug,
{
    let mut result = Replay::default();
    let mut known = BTreeSet::new();
    let mut fed: Option<Fed> = None;
    let mut latest = SimTime::ZERO;
    for entry in journal {
        let entry = match entry {
            Err(JournalError::CutOff { offset }) => {
                result.cut_off = Some(offset);
                break;
            }
            entry => entry?,
        };
        latest = latest.max(match &entry {
            Entry::Input(value) | Entry::Output(value) => value.t,
            Entry::Event(record) => record.t,
        });
        match entry {
            Entry::Input(input) if *input.machine == *machine => {
                if input.version != FORMAT_VERSION {
                    return Err(ReplayError::OlderValues {
                        machine: machine.to_owned(),
                        found: input.version,
                    });
                }
                if let Some(fed) = fed.take() {
                    compare::<O>(&mut result, fed, machine, false)?;
                }
                result.inputs += 1;
                let value = input.decode().map_err(|cause| ReplayError::Value {
                    what: "input",
                    number: result.inputs,
                    machine: machine.to_owned(),
                    t: input.t,
                    cause,
                })?;
                let outputs = step(input.t, value);
                let mut replayed = Vec::with_capacity(outputs.len());
                for (index, output) in outputs.iter().enumerate() {
                    let mut bytes = Vec::new();
                    output.encode(&mut bytes).map_err(|cause| ReplayError::Value {
                        what: "output",
                        number: result.outputs + index as u64 + 1,
                        machine: machine.to_owned(),
                        t: input.t,
                        cause: cause.into(),
                    })?;
                    replayed.push(bytes);
                }
                let shown = outputs.iter().map(|output| format!("{output:?}")).collect();
                fed = Some(Fed { t: input.t, replayed, shown, recorded: Vec::new() });
            }
            Entry::Output(output) if *output.machine == *machine => match &mut fed {
                Some(fed) => fed.recorded.push(output),
                None => return Err(ReplayError::NoInput { machine: machine.to_owned() }),
            },
            Entry::Input(other) | Entry::Output(other) => {
                known.insert(other.machine);
            }
            Entry::Event(_) => {}
        }
    }
    match fed {
        // All outputs of an input have its time: if the journal ends at that time, some may be missing.
        Some(fed) => {
            let ends_here = latest <= fed.t;
            compare::<O>(&mut result, fed, machine, ends_here)?;
        }
        None => {
            let known = known.into_iter().collect();
            return Err(ReplayError::UnknownMachine {
                machine: machine.to_owned(),
                known,
                cut_off: result.cut_off,
            });
        }
    }
    Ok(result)
}

fn compare<O: DeserializeOwned + Debug>(
    result: &mut Replay,
    fed: Fed,
    machine: &str,
    journal_ends: bool,
) -> Result<(), ReplayError> {
    let before = result.outputs;
    result.outputs += fed.recorded.len() as u64;
    let there = fed.replayed.get(..fed.recorded.len());
    let equal = there.is_some_and(|there| fed.recorded.iter().map(|output| &output.bytes).eq(there));
    if equal && (fed.recorded.len() == fed.replayed.len() || journal_ends) {
        result.last_incomplete = fed.recorded.len() < fed.replayed.len();
        return Ok(());
    }
    result.different += 1;
    if result.differences.len() < Replay::KEPT {
        let mut recorded = Vec::with_capacity(fed.recorded.len());
        for (index, output) in fed.recorded.iter().enumerate() {
            let value: O = output.decode().map_err(|cause| ReplayError::Value {
                what: "output",
                number: before + index as u64 + 1,
                machine: machine.to_owned(),
                t: output.t,
                cause,
            })?;
            recorded.push(format!("{value:?}"));
        }
        result.differences.push(Difference { input: result.inputs, t: fed.t, recorded, replayed: fed.shown });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
