//! The bytes of the journal. Entries are written by hand, each kind by a function of its own, since a run writes tens of thousands of
//! them; values of state machines encode themselves (`component_runtime::MachineValue`).
//!
//! A journal is [`MAGIC`], [`VERSION`] (u32, little endian), then frames to the end: length and CRC-32 of the payload
//! (u32 each, little endian), then the payload, which is one [`WireEntry`] in bincode's standard configuration.
//! A name is a frame of its own before its first use and is a number from then on.

use std::io::{self, Read};

use bincode::error::DecodeError;
use component_runtime::MachineValueError;
use serde::de::{self, DeserializeOwned, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use crate::record::{FieldValue, Severity, ValueRef};

/// First bytes of a journal.
pub(crate) const MAGIC: [u8; 8] = *b"DMJOURNL";
/// Format version that is written. The version belongs to the layout of the frames and entries, and to that of the values of state
/// machines in
/// them: whoever changes a type that is recorded raises it (a test of the whole stack holds the layout of these types against it).
///
/// 2: inputs, outputs, configuration and saved state of the DM VSP have changed since 1; frames and entries have not.
pub(crate) const VERSION: u32 = 2;
/// The oldest version whose frames and entries are read.
pub(crate) const OLDEST: u32 = 1;
/// Length of what precedes the frames.
pub(crate) const HEADER_BYTES: u64 = 12;
/// No entry is larger; a length beyond it can only be damage.
const MAX_FRAME: u32 = 64 << 20;

/// One entry of the journal.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum WireEntry {
    /// Gives the next number to a name, from 0.
    Name(String),
    /// An event.
    Event(WireEvent),
    /// An input of a state machine.
    Input(WireMachine),
    /// An output of a state machine.
    Output(WireMachine),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct WireEvent {
    pub(crate) t: u64,
    pub(crate) seq: u64,
    pub(crate) cause: u64,
    pub(crate) component: u32,
    pub(crate) vm: Option<u32>,
    pub(crate) event: u32,
    pub(crate) severity: Severity,
    pub(crate) fields: Vec<(u32, FieldValue)>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct WireMachine {
    pub(crate) t: u64,
    pub(crate) cause: u64,
    pub(crate) machine: u32,
    #[serde(deserialize_with = "whole")]
    pub(crate) bytes: Vec<u8>,
}

/// Reads bytes as a whole: one by one, which is what serde does of itself, takes most of the time of reading a journal.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    struct Bytes;
    impl Visitor<'_> for Bytes {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            f.write_str("bytes")
        }

        fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }

        fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
            Ok(bytes)
        }
    }
    deserializer.deserialize_byte_buf(Bytes)
}

/// A [`WireEvent`] up to its fields.
pub(crate) struct EventHead {
    pub(crate) t: u64,
    pub(crate) seq: u64,
    pub(crate) cause: u64,
    pub(crate) component: u32,
    pub(crate) vm: Option<u32>,
    pub(crate) event: u32,
    pub(crate) severity: Severity,
    /// Number of fields, as bincode writes a sequence's length.
    pub(crate) fields: u64,
}

/// Variant numbers of [`WireEntry`].
const NAME: u64 = 0;
pub(crate) const EVENT: u64 = 1;
const INPUT: u64 = 2;
const OUTPUT: u64 = 3;

/// A value that bincode cannot write or read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CodecError(String);

impl From<MachineValueError> for CodecError {
    fn from(error: MachineValueError) -> Self {
        Self(error.to_string())
    }
}

/// Entries are read with a limit, so that a length that damage or malice put there is an error before memory is asked for.
const READING: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<{ MAX_FRAME as usize }>,
> = bincode::config::standard().with_limit::<{ MAX_FRAME as usize }>();

/// Decodes a value that fills `bytes` completely.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, used) = bincode::serde::decode_from_slice(bytes, READING).map_err(|error| {
        CodecError(match error {
            DecodeError::LimitExceeded => "a length in it is longer than an entry can be".to_owned(),
            other => other.to_string(),
        })
    })?;
    if used == bytes.len() {
        Ok(value)
    } else {
        Err(CodecError(format!("{} bytes are left over", bytes.len() - used)))
    }
}

/// Appends a whole number as bincode's standard configuration has it: a byte up to 250, else a byte that says how many follow.
fn append_number(value: u64, out: &mut Vec<u8>) {
    let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
    match value {
        0..251 => out.push(a),
        251..0x1_0000 => out.extend_from_slice(&[251, a, b]),
        0x1_0000..0x1_0000_0000 => out.extend_from_slice(&[252, a, b, c, d]),
        _ => out.extend_from_slice(&[253, a, b, c, d, e, f, g, h]),
    }
}

/// A whole number with a sign: those that are not negative at even numbers, the negative ones at odd numbers.
fn append_signed(value: i64, out: &mut Vec<u8>) {
    append_number((value << 1).cast_unsigned() ^ (value >> 63).cast_unsigned(), out);
}

fn append_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    append_number(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Appends one field of an event.
pub(crate) fn append_field(name: u32, value: ValueRef<'_>, out: &mut Vec<u8>) {
    append_number(name.into(), out);
    match value {
        ValueRef::Unsigned(number) => {
            out.push(0);
            append_number(number, out);
        }
        ValueRef::Negative(number) => {
            out.push(1);
            append_signed(number, out);
        }
        ValueRef::Float(number) => {
            out.push(2);
            out.extend_from_slice(&number.to_le_bytes());
        }
        ValueRef::Bool(value) => out.extend_from_slice(&[3, value.into()]),
        ValueRef::Text(text) => {
            out.push(4);
            append_bytes(text.as_bytes(), out);
        }
    }
}

/// Appends the payload of an event whose fields are encoded already.
pub(crate) fn append_event(head: &EventHead, fields: &[u8], out: &mut Vec<u8>) {
    append_number(EVENT, out);
    for number in [head.t, head.seq, head.cause, head.component.into()] {
        append_number(number, out);
    }
    match head.vm {
        None => out.push(0),
        Some(vm) => {
            out.push(1);
            append_number(vm.into(), out);
        }
    }
    append_number(head.event.into(), out);
    out.push(match head.severity {
        Severity::Normal => 0,
        Severity::Warning => 1,
        Severity::Error => 2,
    });
    append_number(head.fields, out);
    out.extend_from_slice(fields);
}

/// Appends the payload of a machine's input or output whose value is encoded already.
pub(crate) fn append_machine(output: bool, head: (u64, u64, u32), value: &[u8], out: &mut Vec<u8>) {
    let (t, cause, machine) = head;
    for number in [if output { OUTPUT } else { INPUT }, t, cause, machine.into()] {
        append_number(number, out);
    }
    append_bytes(value, out);
}

/// Appends the payload that names the next number.
pub(crate) fn append_name(name: &str, out: &mut Vec<u8>) {
    append_number(NAME, out);
    append_bytes(name.as_bytes(), out);
}

/// Appends what precedes the frames.
pub(crate) fn append_header(out: &mut Vec<u8>) {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
}

/// Appends one frame, whose payload `payload` appends; says how long the frame is.
///
/// # Errors
/// If the payload is longer than an entry may be. Nothing is appended then.
pub(crate) fn append_frame(out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) -> io::Result<u64> {
    let start = out.len();
    out.extend_from_slice(&[0; 8]);
    payload(out);
    let (head, payload) = out[start..].split_at_mut(8);
    let length = u32::try_from(payload.len()).ok().filter(|length| *length <= MAX_FRAME);
    let Some(length) = length else {
        out.truncate(start);
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a journal entry of more than 64 MiB"));
    };
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[4..].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
    Ok(8 + u64::from(length))
}

/// What is wrong with a journal's bytes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("not a journal")]
    NotAJournal,
    #[error("version {0}")]
    Version(u32),
    #[error("cut off")]
    CutOff,
    #[error("{0}")]
    Damaged(String),
}

/// Reads and checks what precedes the frames; the version.
pub(crate) fn read_header(input: &mut impl Read) -> Result<u32, FrameError> {
    let mut magic = [0; 8];
    let mut version = [0; 4];
    let length = read_full(input, &mut magic)?;
    if magic[..length] != MAGIC[..length] {
        return Err(FrameError::NotAJournal);
    }
    if length < magic.len() {
        return Err(FrameError::CutOff);
    }
    if read_full(input, &mut version)? < version.len() {
        return Err(FrameError::CutOff);
    }
    match u32::from_le_bytes(version) {
        version @ OLDEST..=VERSION => Ok(version),
        other => Err(FrameError::Version(other)),
    }
}

/// Reads one frame into `payload`; its length in the file, or `None` at the end of the file.
pub(crate) fn read_frame(input: &mut impl Read, payload: &mut Vec<u8>) -> Result<Option<u64>, FrameError> {
    let mut head = [0; 8];
    match read_full(input, &mut head)? {
        0 => return Ok(None),
        8 => {}
        _ => return Err(FrameError::CutOff),
    }
    let [l0, l1, l2, l3, c0, c1, c2, c3] = head;
    let length = u32::from_le_bytes([l0, l1, l2, l3]);
    if length > MAX_FRAME {
        return Err(FrameError::Damaged(format!("an entry of {length} bytes is impossible")));
    }
    payload.clear();
    input.take(length.into()).read_to_end(payload)?;
    if payload.len() < length as usize {
        return Err(FrameError::CutOff);
    }
    if crc32fast::hash(payload) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Err(FrameError::Damaged("the checksum does not match".to_owned()));
    }
    Ok(Some(8 + u64::from(length)))
}

fn read_full(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = FieldValue> {
        prop_oneof![
            any::<u64>().prop_map(FieldValue::Unsigned),
            (0..70_000_u64).prop_map(FieldValue::Unsigned),
            (i64::MIN..0).prop_map(FieldValue::Negative),
            (-70_000..0_i64).prop_map(FieldValue::Negative),
            any::<f64>()
                .prop_filter("equal to itself", |number| !number.is_nan())
                .prop_map(FieldValue::Float),
            any::<bool>().prop_map(FieldValue::Bool),
            ".{0,300}".prop_map(FieldValue::Text),
        ]
    }

    fn severity() -> impl Strategy<Value = Severity> {
        prop_oneof![Just(Severity::Normal), Just(Severity::Warning), Just(Severity::Error)]
    }

    proptest! {
        /// What is written by hand is what bincode writes, byte for byte.
        #[test]
        fn entries_are_as_bincode_writes_them(
            (t, seq, cause) in any::<(u64, u64, u64)>(),
            (component, vm, event) in any::<(u32, Option<u32>, u32)>(),
            severity in severity(),
            fields in prop::collection::vec((any::<u32>(), value()), 0..5),
            bytes in prop::collection::vec(any::<u8>(), 0..400),
            name in ".{0,300}",
        ) {
            let by_bincode = |entry: &WireEntry| {
                bincode::serde::encode_to_vec(entry, bincode::config::standard()).unwrap()
            };
            let mut encoded = Vec::new();
            for (name, value) in &fields {
                append_field(*name, value.borrow(), &mut encoded);
            }
            let count = fields.len() as u64;
            let head = EventHead { t, seq, cause, component, vm, event, severity, fields: count };
            let mut payload = Vec::new();
            append_event(&head, &encoded, &mut payload);
            let entry = WireEntry::Event(WireEvent { t, seq, cause, component, vm, event, severity, fields });
            prop_assert_eq!(&payload, &by_bincode(&entry));
            prop_assert_eq!(decode::<WireEntry>(&payload).unwrap(), entry);

            let wraps = [WireEntry::Input as fn(WireMachine) -> WireEntry, WireEntry::Output];
            for (output, wrap) in [false, true].into_iter().zip(wraps) {
                let mut payload = Vec::new();
                append_machine(output, (t, cause, component), &bytes, &mut payload);
                let entry = wrap(WireMachine { t, cause, machine: component, bytes: bytes.clone() });
                prop_assert_eq!(payload, by_bincode(&entry));
            }

            let mut payload = Vec::new();
            append_name(&name, &mut payload);
            prop_assert_eq!(payload, by_bincode(&WireEntry::Name(name)));
        }
    }

    /// Names, values and lists whose lengths are anything, in entries whose checksums are right.
    #[test]
    fn a_length_beyond_the_entry_is_an_error() {
        for length in [6, 251, 1 << 20, 1 << 26, 1 << 32, 1 << 44, u64::MAX] {
            let mut name = vec![0];
            append_number(length, &mut name);
            name.extend_from_slice(b"short");
            assert!(decode::<WireEntry>(&name).is_err(), "a name of {length} bytes");
            let mut input = vec![2, 1, 1, 1];
            append_number(length, &mut input);
            input.extend_from_slice(b"short");
            assert!(decode::<WireEntry>(&input).is_err(), "a value of {length} bytes");
            let mut event = vec![1, 1, 1, 1, 1, 0, 1, 0];
            append_number(length, &mut event);
            assert!(decode::<WireEntry>(&event).is_err(), "{length} fields");
        }
    }

    #[test]
    fn an_entry_that_is_too_long_is_not_written() {
        let mut out = vec![1];
        assert!(append_frame(&mut out, |out| out.resize(out.len() + MAX_FRAME as usize + 1, 0)).is_err());
        assert_eq!(out, [1]);
    }

    /// The format of frames, pinned: a change here needs a new version, and an older one that is no longer read.
    #[test]
    fn the_bytes_of_a_frame() {
        let mut file = Vec::new();
        append_header(&mut file);
        append_frame(&mut file, |out| append_name("VM8", out)).unwrap();
        assert_eq!(
            file,
            [
                &b"DMJOURNL\x02\0\0\0"[..],
                b"\x05\0\0\0",
                &crc32fast::hash(b"\x00\x03VM8").to_le_bytes(),
                b"\x00\x03VM8"
            ]
            .concat()
        );
    }
}
