//! The bytes of the journal. The only place that knows bincode, so that it could be replaced.
//!
//! A journal is [`MAGIC`], [`VERSION`] (u32, little endian), then frames to the end: length and CRC-32 of the payload
//! (u32 each, little endian), then the payload, which is one [`WireEntry`] in bincode's standard configuration.
//! A name is a frame of its own before its first use and is a number from then on.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::record::{FieldValue, Severity, ValueRef};

/// First bytes of a journal.
pub(crate) const MAGIC: [u8; 8] = *b"DMJOURNL";
/// Format version; another one is refused.
pub(crate) const VERSION: u32 = 1;
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
    pub(crate) bytes: Vec<u8>,
}

/// A [`WireEvent`] up to its fields.
#[derive(Serialize)]
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

/// Variant numbers of [`WireEntry`], for entries that are written in parts.
const EVENT: u32 = 1;
const INPUT: u32 = 2;
const OUTPUT: u32 = 3;

/// A value that bincode cannot write or read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CodecError(String);

const CONFIG: bincode::config::Configuration = bincode::config::standard();

fn encode(value: impl Serialize, out: &mut Vec<u8>) -> Result<(), CodecError> {
    bincode::serde::encode_into_std_write(value, out, CONFIG)
        .map(drop)
        .map_err(|error| CodecError(error.to_string()))
}

/// Decodes a value that fills `bytes` completely.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, used) =
        bincode::serde::decode_from_slice(bytes, CONFIG).map_err(|error| CodecError(error.to_string()))?;
    if used == bytes.len() {
        Ok(value)
    } else {
        Err(CodecError(format!("{} bytes are left over", bytes.len() - used)))
    }
}

/// Encodes a value of a state machine, as [`WireMachine::bytes`] holds it.
pub(crate) fn encode_value(value: impl Serialize, out: &mut Vec<u8>) -> Result<(), CodecError> {
    encode(value, out)
}

/// Appends one field of an event.
pub(crate) fn encode_field(name: u32, value: ValueRef<'_>, out: &mut Vec<u8>) -> Result<(), CodecError> {
    encode((name, value), out)
}

/// Appends the payload of an event whose fields are encoded already.
pub(crate) fn encode_event(head: &EventHead, fields: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
    encode((EVENT, head), out)?;
    out.extend_from_slice(fields);
    Ok(())
}

/// Appends the payload of a machine's input or output whose value is encoded already.
pub(crate) fn encode_machine(
    output: bool,
    (t, cause, machine): (u64, u64, u32),
    value: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    encode((if output { OUTPUT } else { INPUT }, t, cause, machine, value), out)
}

/// Appends the payload that names the next number.
pub(crate) fn encode_name(name: &str, out: &mut Vec<u8>) -> Result<(), CodecError> {
    encode((0_u32, name), out)
}

/// Writes what precedes the frames.
pub(crate) fn write_header(out: &mut impl Write) -> io::Result<()> {
    out.write_all(&MAGIC)?;
    out.write_all(&VERSION.to_le_bytes())
}

/// Writes one frame.
pub(crate) fn write_frame(payload: &[u8], out: &mut impl Write) -> io::Result<()> {
    let length = u32::try_from(payload.len())
        .ok()
        .filter(|length| *length <= MAX_FRAME)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a journal entry of more than 64 MiB"))?;
    let mut head = [0; 8];
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[4..].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
    out.write_all(&head)?;
    out.write_all(payload)
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

/// Reads and checks what precedes the frames.
pub(crate) fn read_header(input: &mut impl Read) -> Result<(), FrameError> {
    let mut magic = [0; 8];
    let mut version = [0; 4];
    if read_full(input, &mut magic)? < magic.len() || magic != MAGIC {
        return Err(FrameError::NotAJournal);
    }
    if read_full(input, &mut version)? < version.len() {
        return Err(FrameError::CutOff);
    }
    match u32::from_le_bytes(version) {
        VERSION => Ok(()),
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
    use super::*;

    #[test]
    fn what_is_written_in_parts_is_an_entry() {
        let fields = vec![(3, FieldValue::Unsigned(300)), (4, FieldValue::Text("x".to_owned()))];
        let mut encoded = Vec::new();
        for (name, value) in &fields {
            encode_field(*name, value.borrow(), &mut encoded).unwrap();
        }
        let head = EventHead {
            t: 1 << 40,
            seq: 7,
            cause: 5,
            component: 0,
            vm: Some(1),
            event: 2,
            severity: Severity::Warning,
            fields: 2,
        };
        let mut payload = Vec::new();
        encode_event(&head, &encoded, &mut payload).unwrap();
        let entry = WireEntry::Event(WireEvent {
            t: 1 << 40,
            seq: 7,
            cause: 5,
            component: 0,
            vm: Some(1),
            event: 2,
            severity: Severity::Warning,
            fields,
        });
        assert_eq!(decode::<WireEntry>(&payload).unwrap(), entry);

        for (output, wrap) in
            [(false, WireEntry::Input as fn(WireMachine) -> WireEntry), (true, WireEntry::Output)]
        {
            let mut payload = Vec::new();
            encode_machine(output, (9, 8, 7), &[1, 2, 3], &mut payload).unwrap();
            let entry = wrap(WireMachine { t: 9, cause: 8, machine: 7, bytes: vec![1, 2, 3] });
            assert_eq!(decode::<WireEntry>(&payload).unwrap(), entry);
        }

        let mut payload = Vec::new();
        encode_name("dm-vsp", &mut payload).unwrap();
        assert_eq!(decode::<WireEntry>(&payload).unwrap(), WireEntry::Name("dm-vsp".to_owned()));
    }

    /// The format of version 1, pinned: a change here needs a new version.
    #[test]
    fn the_bytes_of_version_1() {
        let mut file = Vec::new();
        write_header(&mut file).unwrap();
        let mut payload = Vec::new();
        encode_name("VM8", &mut payload).unwrap();
        write_frame(&payload, &mut file).unwrap();
        assert_eq!(
            file,
            [
                &b"DMJOURNL\x01\0\0\0"[..],
                b"\x05\0\0\0",
                &crc32fast::hash(b"\x00\x03VM8").to_le_bytes(),
                b"\x00\x03VM8"
            ]
            .concat()
        );
    }
}
