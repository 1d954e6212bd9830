//! The body of messages about key-value pairs.

use alloc::string::String;
use alloc::vec::Vec;

use zerocopy::IntoBytes;
use zerocopy::byteorder::little_endian::U32;

use crate::message::{DecodeError, layout};
use crate::wire::{KeyValueHeader, KeyValuePair};

/// Bytes of a key at most, its terminating zero included (documented: Linux, `hyperv.h`).
pub const MAX_KEY: usize = 512;
/// Bytes of a value at most; of a text, its terminating zero included (documented: Linux, `hyperv.h`).
pub const MAX_VALUE: usize = 2048;

/// Which of a guest's pools is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pool {
    /// What the host's administrator writes.
    External,
    /// What the guest's administrator writes.
    Guest,
    /// What the guest says of itself: its name, its operating system.
    Auto,
    /// What the host says of itself.
    AutoExternal,
}

impl Pool {
    const ALL: [Self; 4] = [Self::External, Self::Guest, Self::Auto, Self::AutoExternal];
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyValueOperation {
    /// Tell the value of a key.
    Get,
    /// Remember a value under a key.
    Set(Value),
    /// Forget a key.
    Delete,
    /// Tell key and value by index; an index beyond the last is answered with [`crate::Status::NO_MORE_ITEMS`].
    Enumerate(u32),
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number of 32 bits.
    U32(u32),
    /// A number of 64 bits.
    U64(u64),
}

/// A message about a key: a question, or with key and value filled in its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// The pool.
    pub pool: Pool,
    /// What is to be done.
    pub operation: KeyValueOperation,
    /// The key; empty where the question does not name one.
    pub key: String,
    /// The value of an answer; `None` in a question.
    pub value: Option<Value>,
}

const GET: u8 = 0;
const SET: u8 = 1;
const DELETE: u8 = 2;
const ENUMERATE: u8 = 3;
const TEXT: u32 = 1;
const NUMBER_32: u32 = 4;
const NUMBER_64: u32 = 11;

impl KeyValue {
    /// Reads a body.
    ///
    /// # Errors
    /// It is too short, a key or value is none, or it asks for what no version knows.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let (header, rest) = layout::<KeyValueHeader>(body)?;
        let pool = Pool::ALL.get(usize::from(header.pool));
        let pool = *pool.ok_or(DecodeError::Unknown(header.pool.into()))?;
        if header.operation == DELETE {
            let (size, key) = layout::<U32>(rest)?;
            let (key, _) = layout::<[u8; MAX_KEY]>(key)?;
            let key = text(key, size.get())?;
            return Ok(Self { pool, operation: KeyValueOperation::Delete, key, value: None });
        }
        let (index, rest) = match header.operation {
            GET | SET => (0, rest),
            ENUMERATE => {
                let (index, rest) = layout::<U32>(rest)?;
                (index.get(), rest)
            }
            other => return Err(DecodeError::Unknown(other.into())),
        };
        let (pair, _) = layout::<KeyValuePair>(rest)?;
        let key = text(&pair.key, pair.key_size.get())?;
        let value = value(pair)?;
        let operation = match (header.operation, &value) {
            (GET, _) => KeyValueOperation::Get,
            (SET, Some(value)) => KeyValueOperation::Set(value.clone()),
            (SET, None) => return Err(DecodeError::NotText { size: 0 }),
            _ => KeyValueOperation::Enumerate(index),
        };
        let value = value.filter(|_| !matches!(operation, KeyValueOperation::Set(_)));
        Ok(Self { pool, operation, key, value })
    }

    /// Its body; `None` if key or value have no room.
    #[must_use]
    pub fn encode(&self) -> Option<Vec<u8>> {
        let pool = Pool::ALL.iter().position(|pool| *pool == self.pool)? as u8;
        let operation = match &self.operation {
            KeyValueOperation::Get => GET,
            KeyValueOperation::Set(_) => SET,
            KeyValueOperation::Delete => DELETE,
            KeyValueOperation::Enumerate(_) => ENUMERATE,
        };
        let header = KeyValueHeader { operation, pool, reserved: [0; 2] };
        let (key, key_size) = utf16::<MAX_KEY>(&self.key)?;
        let index = match &self.operation {
            KeyValueOperation::Delete => {
                let size = U32::from(key_size);
                return Some([header.as_bytes(), size.as_bytes(), &key].concat());
            }
            KeyValueOperation::Enumerate(index) => index.to_le_bytes().to_vec(),
            _ => Vec::new(),
        };
        let told = match &self.operation {
            KeyValueOperation::Set(value) => Some(value),
            _ => self.value.as_ref(),
        };
        let (value_type, value, value_size) = match told {
            None => (TEXT, [0; MAX_VALUE], 0),
            Some(Value::Text(text)) => {
                let (value, size) = utf16::<MAX_VALUE>(text)?;
                (TEXT, value, size)
            }
            Some(Value::U32(number)) => (NUMBER_32, number_bytes(&number.to_le_bytes()), 4),
            Some(Value::U64(number)) => (NUMBER_64, number_bytes(&number.to_le_bytes()), 8),
        };
        // A question without a key has no size of one either.
        let key_size = if self.key.is_empty() { 0 } else { key_size };
        let pair = KeyValuePair {
            value_type: value_type.into(),
            key_size: key_size.into(),
            value_size: value_size.into(),
            key,
            value,
        };
        Some([header.as_bytes(), &index, pair.as_bytes()].concat())
    }
}

fn value(pair: &KeyValuePair) -> Result<Option<Value>, DecodeError> {
    let size = pair.value_size.get();
    if size == 0 {
        return Ok(None);
    }
    match (pair.value_type.get(), size) {
        (TEXT, _) => text(&pair.value, size).map(|text| Some(Value::Text(text))),
        (NUMBER_32, 4) => Ok(pair.value.first_chunk().map(|bytes| Value::U32(u32::from_le_bytes(*bytes)))),
        (NUMBER_64, 8) => Ok(pair.value.first_chunk().map(|bytes| Value::U64(u64::from_le_bytes(*bytes)))),
        (NUMBER_32 | NUMBER_64, _) => Err(DecodeError::NotText { size }),
        (other, _) => Err(DecodeError::Unknown(other)),
    }
}

fn number_bytes(number: &[u8]) -> [u8; MAX_VALUE] {
    let mut bytes = [0; MAX_VALUE];
    bytes[..number.len()].copy_from_slice(number);
    bytes
}

/// UTF-16 with its terminating zero; a size of 0 is an empty text.
fn text(room: &[u8], size: u32) -> Result<String, DecodeError> {
    let wrong = || DecodeError::NotText { size };
    let bytes = room.get(..size as usize).ok_or_else(wrong)?;
    let (units, rest) = bytes.as_chunks();
    let units: Vec<u16> = units.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
    match units.split_last() {
        None if rest.is_empty() => Ok(String::new()),
        Some((0, units)) if rest.is_empty() => String::from_utf16(units).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

/// UTF-16 with its terminating zero, and its size; `None` if there is no room.
fn utf16<const ROOM: usize>(text: &str) -> Option<([u8; ROOM], u32)> {
    let mut bytes = [0; ROOM];
    let mut size = 0;
    for unit in text.encode_utf16().chain([0]) {
        bytes.get_mut(size..size + 2)?.copy_from_slice(&unit.to_le_bytes());
        size += 2;
    }
    Some((bytes, size as u32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(operation: KeyValueOperation, key: &str, value: Option<Value>) -> KeyValue {
        KeyValue { pool: Pool::Auto, operation, key: key.into(), value }
    }

    #[test]
    fn sizes_are_those_of_the_headers() {
        let get = message(KeyValueOperation::Get, "OSName", None).encode().unwrap();
        assert_eq!((get.len(), &get[..4]), (4 + 2572, &[0, 2, 0, 0][..]));
        assert_eq!(get[8..12], 14_u32.to_le_bytes(), "six letters and a zero");
        let delete = message(KeyValueOperation::Delete, "OSName", None).encode().unwrap();
        assert_eq!(delete.len(), 4 + 4 + 512);
        let enumerate = message(KeyValueOperation::Enumerate(3), "", None).encode().unwrap();
        assert_eq!((enumerate.len(), enumerate[4]), (4 + 4 + 2572, 3));
    }

    #[test]
    fn texts_that_are_none_are_refused() {
        let mut get = message(KeyValueOperation::Get, "a", None).encode().unwrap();
        for size in [1_u32, 2, 3, 513, u32::MAX] {
            get[8..12].copy_from_slice(&size.to_le_bytes());
            assert_eq!(KeyValue::decode(&get), Err(DecodeError::NotText { size }), "{size}");
        }
        assert_eq!(message(KeyValueOperation::Get, &"k".repeat(256), None).encode(), None);
        assert!(message(KeyValueOperation::Get, &"k".repeat(255), None).encode().is_some());
    }

    fn any_value() -> impl Strategy<Value = Value> {
        prop_oneof![
            "[a-zä€𝄞]{1,40}".prop_map(Value::Text),
            any::<u32>().prop_map(Value::U32),
            any::<u64>().prop_map(Value::U64),
        ]
    }

    fn any_message() -> impl Strategy<Value = KeyValue> {
        let pool = prop::sample::select(Pool::ALL.to_vec());
        let operation = prop_oneof![
            Just(KeyValueOperation::Get),
            any_value().prop_map(KeyValueOperation::Set),
            Just(KeyValueOperation::Delete),
            any::<u32>().prop_map(KeyValueOperation::Enumerate),
        ];
        (pool, operation, "[a-z.]{1,30}", prop::option::of(any_value())).prop_map(
            |(pool, operation, key, value)| {
                let told = matches!(operation, KeyValueOperation::Get | KeyValueOperation::Enumerate(_));
                KeyValue { pool, operation, key, value: value.filter(|_| told) }
            },
        )
    }

    proptest! {
        #[test]
        fn messages_come_back(message in any_message()) {
            let bytes = message.encode().unwrap();
            prop_assert_eq!(KeyValue::decode(&bytes), Ok(message));
        }

        #[test]
        fn any_bytes_are_read_or_refused(message in any_message(), at in 0_usize..20, byte: u8, cut in 0_usize..2600) {
            let mut bytes = message.encode().unwrap();
            bytes[at] = byte;
            bytes.truncate(cut);
            if let Ok(read) = KeyValue::decode(&bytes) {
                prop_assert!(read.encode().is_some());
            }
        }
    }
}
