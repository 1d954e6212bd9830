//! Reading the journal: every event, and every input and output of the recorded state machines, in order.

use std::{
    io::{self, BufReader, ErrorKind, Read},
    path::Path,
    sync::Arc,
};

use component_runtime::SimTime;
use serde::de::DeserializeOwned;

pub use crate::codec::CodecError;
use crate::{
    codec::{self, FrameError, WireEntry, WireEvent, WireMachine},
    packed::{self, RecordedFile},
    record::Record,
};

/// Version of the journal's format that this crate writes. Of journals of older versions, from [`OLDEST_VERSION`] on, events and the
/// entries' order are read, and their machines' values are not decoded.
pub const FORMAT_VERSION: u32 = codec::VERSION;
/// The oldest version of which anything is read.
pub const OLDEST_VERSION: u32 = codec::OLDEST;

/// One entry of a journal.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// An event, as in `events.jsonl`.
    Event(Record),
    /// What went into a state machine.
    Input(MachineValue),
    /// What came out of it.
    Output(MachineValue),
}

/// An input or output of a state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineValue {
    /// Virtual time.
    pub t: SimTime,
    /// Number of the event that led to it; 0 for none.
    pub cause: u64,
    /// The state machine, such as `dm-vsp/VM8`.
    pub machine: Arc<str>,
    /// The value, encoded.
    pub bytes: Vec<u8>,
    /// Format version of the journal, which the encoding belongs to.
    pub version: u32,
}

impl MachineValue {
    /// The value.
    ///
    /// # Errors
    /// If the bytes are not those of a `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, CodecError> {
        codec::decode(&self.bytes)
    }
}

/// Why a journal cannot be read, or not further.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file itself.
    #[error("the journal cannot be read at byte {offset}: {cause}")]
    Io {
        /// Where.
        offset: u64,
        /// Why.
        cause: io::Error,
    },
    /// Another kind of file.
    #[error("this is no journal: it does not begin with the bytes of one")]
    NotAJournal,
    /// Written by another version of this project.
    #[error(
        "the journal has format version {found}, this program reads versions {OLDEST_VERSION} to {FORMAT_VERSION}: read it with the version that wrote it (see manifest.json), or repeat the run; events.jsonl beside it has the same events"
    )]
    Version {
        /// The file's version.
        found: u32,
    },
    /// The file ends inside an entry.
    #[error(
        "the journal is cut off: its last entry, at byte {offset}, is incomplete; everything before it can be used"
    )]
    CutOff {
        /// Where the incomplete entry begins.
        offset: u64,
    },
    /// An entry's bytes are not what was written.
    #[error("the journal is damaged at byte {offset}: {what}")]
    Damaged {
        /// Where the damaged entry begins.
        offset: u64,
        /// In what way.
        what: String,
    },
}

/// Iterates over a journal's entries. After an error there are no more.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    version: u32,
    offset: u64,
    names: Vec<Arc<str>>,
    payload: Vec<u8>,
    without_events: bool,
    done: bool,
}

impl Reader<BufReader<RecordedFile>> {
    /// Opens a journal, or the packed one (`.zst`) that stands in its place.
    ///
    /// # Errors
    /// If the file cannot be read or is no journal of this version.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        Self::new(packed::open(path).map_err(|cause| JournalError::Io { offset: 0, cause })?)
    }
}

impl<R: Read> Reader<R> {
    /// Reads a journal from `input`, which should be buffered.
    ///
    /// # Errors
    /// If it cannot be read or is no journal of this version.
    pub fn new(mut input: R) -> Result<Self, JournalError> {
        let version = codec::read_header(&mut input).map_err(|error| at(0, error))?;
        Ok(Self {
            input,
            version,
            offset: codec::HEADER_BYTES,
            names: Vec::new(),
            payload: Vec::new(),
            without_events: false,
            done: false,
        })
    }

    /// Reads past events without looking at them, for a reader that wants inputs and outputs only.
    #[must_use]
    pub fn without_events(self) -> Self {
        Self { without_events: true, ..self }
    }

    /// The journal's format version.
    pub fn version(&self) -> u32 {
        self.version
    }

    fn next_entry(&mut self) -> Result<Option<Entry>, JournalError> {
        loop {
            let offset = self.offset;
            let length =
                codec::read_frame(&mut self.input, &mut self.payload).map_err(|error| at(offset, error))?;
            let Some(length) = length else { return Ok(None) };
            self.offset += length;
            if self.without_events && self.payload.first().copied().map(u64::from) == Some(codec::EVENT) {
                continue;
            }
            let damaged = |what: String| JournalError::Damaged { offset, what };
            let entry = codec::decode(&self.payload).map_err(|error| damaged(error.to_string()))?;
            let unknown_name = || damaged("a name is used before it is given".to_owned());
            return Ok(Some(match entry {
                WireEntry::Name(name) => {
                    self.names.push(name.into());
                    continue;
                }
                WireEntry::Event(event) => Entry::Event(self.event(event).ok_or_else(unknown_name)?),
                WireEntry::Input(value) => Entry::Input(self.machine(value).ok_or_else(unknown_name)?),
                WireEntry::Output(value) => Entry::Output(self.machine(value).ok_or_else(unknown_name)?),
            }));
        }
    }

    fn name(&self, number: u32) -> Option<Arc<str>> {
        self.names.get(number as usize).cloned()
    }

    fn event(&self, wire: WireEvent) -> Option<Record> {
        Some(Record {
            t: SimTime(wire.t),
            seq: wire.seq,
            component: self.name(wire.component)?,
            vm: match wire.vm {
                Some(vm) => Some(self.name(vm)?),
                None => None,
            },
            event: self.name(wire.event)?,
            cause: wire.cause,
            severity: wire.severity,
            fields: wire
                .fields
                .into_iter()
                .map(|(name, value)| Some((self.name(name)?, value)))
                .collect::<Option<_>>()?,
        })
    }

    fn machine(&self, wire: WireMachine) -> Option<MachineValue> {
        let machine = self.name(wire.machine)?;
        let WireMachine { t, cause, bytes, .. } = wire;
        Some(MachineValue { t: SimTime(t), cause, machine, bytes, version: self.version })
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Entry, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.next_entry().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}

fn at(offset: u64, error: FrameError) -> JournalError {
    match error {
        // A packed file ends within a frame.
        FrameError::Io(cause) if cause.kind() == ErrorKind::UnexpectedEof => JournalError::CutOff { offset },
        FrameError::Io(cause) => JournalError::Io { offset, cause },
        FrameError::NotAJournal => JournalError::NotAJournal,
        FrameError::Version(found) => JournalError::Version { found },
        FrameError::CutOff => JournalError::CutOff { offset },
        FrameError::Damaged(what) => JournalError::Damaged { offset, what },
    }
}

#[cfg(test)]
mod tests;
