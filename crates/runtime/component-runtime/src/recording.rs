//! What records the inputs and outputs of state machines, so that a run can be replayed.
use bincode::enc::write::Writer;
use bincode::error::EncodeError;
use serde::Serialize;

use crate::time::SimTime;

/// Records what goes into and out of the state machines of components.
///
/// `machine` names the state machine, for example `dm-vsp/VM8`.
pub trait MachineRecorder: Send + Sync {
    /// An input, before the machine handles it.
    fn input(&self, machine: &str, now: SimTime, value: &dyn MachineValue);
    /// An output of the machine.
    fn output(&self, machine: &str, now: SimTime, value: &dyn MachineValue);
}

/// An input or output of a state machine, which encodes itself: one call for each value, whatever it consists of.
pub trait MachineValue {
    /// Appends the value in bincode's standard configuration, as journals hold it.
    ///
    /// # Errors
    /// If the value has a form that bincode does not have, such as a sequence of unknown length. Part of it may be in `out` then.
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), MachineValueError>;
}

/// A value that cannot be recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MachineValueError(String);

impl<T: Serialize> MachineValue for T {
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), MachineValueError> {
        bincode::serde::encode_into_writer(self, Appender(out), bincode::config::standard())
            .map_err(|error| MachineValueError(error.to_string()))
    }
}

/// Appends to a vector.
struct Appender<'a>(&'a mut Vec<u8>);

impl Writer for Appender<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        // Most writes are of one byte: small numbers, and each byte of a list of bytes.
        match bytes {
            [byte] => self.0.push(*byte),
            bytes => self.0.extend_from_slice(bytes),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_encodes_itself() {
        #[derive(Serialize)]
        enum Input {
            _Nothing,
            Pages(u64, Vec<u8>),
        }
        let input = Input::Pages(300, vec![7, 8]);
        let value: &dyn MachineValue = &input;
        let mut out = vec![9];
        value.encode(&mut out).unwrap();
        assert_eq!(out, [9, 1, 251, 44, 1, 2, 7, 8]);
    }
}
