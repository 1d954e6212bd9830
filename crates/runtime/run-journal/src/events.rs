//! `events.jsonl`: one line for each event, a JSON object.
//!
//! The keys `t` (virtual time in ns), `seq`, `component`, `vm` (if it is about one), `event`, `cause` (0 for none) and
//! `severity` (only `warning` and `error`) come first, in this order; the event's own fields follow in theirs. An
//! own field that has one of the names `t`, `seq` or `severity` ends in `_`.

use core::fmt;
use std::{
    io::{self, BufRead, BufReader, ErrorKind, Read as _},
    path::Path,
    sync::Arc,
};

use component_runtime::SimTime;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::json_text::append_text;
use crate::{
    names::Interner,
    packed::{self, RecordedFile},
    record::{FieldValue, Record, Severity, ValueRef},
};

/// What comes before an event's own fields. Names are JSON strings already.
pub(crate) struct Head<'a> {
    pub(crate) t: u64,
    pub(crate) seq: u64,
    pub(crate) component: &'a [u8],
    pub(crate) vm: Option<&'a [u8]>,
    pub(crate) event: &'a [u8],
    pub(crate) cause: u64,
    pub(crate) severity: Severity,
}

/// Appends a line up to the own fields.
pub(crate) fn append_head(out: &mut Vec<u8>, head: &Head<'_>) {
    out.extend_from_slice(b"{\"t\":");
    append_integer(out, head.t);
    out.extend_from_slice(b",\"seq\":");
    append_integer(out, head.seq);
    out.extend_from_slice(b",\"component\":");
    out.extend_from_slice(head.component);
    if let Some(vm) = head.vm {
        out.extend_from_slice(b",\"vm\":");
        out.extend_from_slice(vm);
    }
    out.extend_from_slice(b",\"event\":");
    out.extend_from_slice(head.event);
    out.extend_from_slice(b",\"cause\":");
    append_integer(out, head.cause);
    if head.severity != Severity::Normal {
        out.extend_from_slice(b",\"severity\":");
        append_text(out, head.severity.name());
    }
}

/// Appends an own field; `key` is its name with comma and colon, `,"name":`.
pub(crate) fn append_field(out: &mut Vec<u8>, key: &[u8], value: ValueRef<'_>) {
    out.extend_from_slice(key);
    match value {
        ValueRef::Unsigned(number) => append_integer(out, number),
        ValueRef::Negative(number) => append_integer(out, number),
        ValueRef::Float(number) => {
            // serde_json writes the shortest digits that read back as the same number, on every platform.
            let _: Result<(), serde_json::Error> = serde_json::to_writer(&mut *out, &number);
        }
        ValueRef::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
        ValueRef::Text(text) => append_text(out, text),
    }
}

/// Ends a line.
pub(crate) fn append_end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"}\n");
}

fn append_integer(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends a record as one line.
pub fn append(out: &mut Vec<u8>, record: &Record) {
    let json = |text: &str| {
        let mut json = Vec::with_capacity(text.len() + 2);
        append_text(&mut json, text);
        json
    };
    append_head(
        out,
        &Head {
            t: record.t.0,
            seq: record.seq,
            component: &json(&record.component),
            vm: record.vm.as_deref().map(json).as_deref(),
            event: &json(&record.event),
            cause: record.cause,
            severity: record.severity,
        },
    );
    let mut key = Vec::new();
    for (name, value) in &record.fields {
        key.clear();
        key.push(b',');
        append_text(&mut key, name);
        key.push(b':');
        append_field(out, &key, value.borrow());
    }
    append_end(out);
}

/// The longest line that is read. Invented; an event's texts have some kilobytes at most.
const LONGEST_LINE: u64 = 1 << 24;

/// Why `events.jsonl` cannot be read, or not further.
#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    /// There is no such file, nor a packed one in its place.
    #[error(
        "there is no such file: this is not the folder of a run, or its events were not recorded (--events none)"
    )]
    Missing,
    /// The file is there and cannot be opened.
    #[error("the events cannot be opened: {0}")]
    Open(io::Error),
    /// The file cannot be read any further.
    #[error("the events cannot be read at line {line}: {cause}")]
    Io {
        /// Line, from 1.
        line: u64,
        /// Why.
        cause: io::Error,
    },
    /// A last line without its end.
    #[error(
        "the events are cut off: line {line}, at byte {offset}, is incomplete; everything before it can be used"
    )]
    CutOff {
        /// Line, from 1.
        line: u64,
        /// Where the line begins.
        offset: u64,
    },
    /// A line that is no event.
    #[error("line {line}, at byte {offset}, is no event: {cause}")]
    BadLine {
        /// Line, from 1.
        line: u64,
        /// Where the line begins.
        offset: u64,
        /// What is wrong with it.
        cause: serde_json::Error,
    },
}

/// Iterates over the events of a file. After an error there are no more.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    names: Interner,
    line: Vec<u8>,
    number: u64,
    offset: u64,
    done: bool,
}

/// The records of a file up to its end, or up to the first line that cannot be used.
#[derive(Debug)]
pub struct Whole {
    /// What is there.
    pub records: Vec<Record>,
    /// Why there is no more, if the file does not end with its last record: a run that was killed leaves a line without its end.
    pub missing: Option<EventsError>,
}

/// Reads what is whole of a file of events.
///
/// # Errors
/// If the file cannot be opened.
pub fn read_whole(path: &Path) -> Result<Whole, EventsError> {
    let mut missing = None;
    let records = Reader::open(path)?.map_while(|record| record.map_err(|error| missing = Some(error)).ok());
    Ok(Whole { records: records.collect(), missing })
}

impl EventsError {
    /// Whether the file ends within a line, as that of a run that was killed: everything before it is as it was written.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        matches!(self, Self::CutOff { .. })
    }
}

impl Reader<BufReader<RecordedFile>> {
    /// Opens a file, or the packed file (`.zst`) that stands in its place.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, EventsError> {
        packed::open(path).map(Self::new).map_err(|cause| match cause.kind() {
            ErrorKind::NotFound => EventsError::Missing,
            _ => EventsError::Open(cause),
        })
    }
}

impl<R: BufRead> Reader<R> {
    /// Reads events from `input`.
    pub fn new(input: R) -> Self {
        Self { input, names: Interner::default(), line: Vec::new(), number: 0, offset: 0, done: false }
    }

    fn next_record(&mut self) -> Result<Option<Record>, EventsError> {
        self.line.clear();
        let line = self.number + 1;
        let offset = self.offset;
        // A file that is a few bytes long can stand for a line without end if it is packed.
        let mut input = self.input.by_ref().take(LONGEST_LINE);
        let read = input.read_until(b'\n', &mut self.line).map_err(|cause| match cause.kind() {
            ErrorKind::UnexpectedEof => EventsError::CutOff { line, offset },
            _ => EventsError::Io { line, cause },
        })?;
        if read == 0 {
            return Ok(None);
        }
        if read as u64 == LONGEST_LINE && self.line.last() != Some(&b'\n') {
            let cause = de::Error::custom(format_args!("it is longer than {} MiB", LONGEST_LINE >> 20));
            return Err(EventsError::BadLine { line, offset, cause });
        }
        self.offset += read as u64;
        self.number = line;
        if self.line.last() != Some(&b'\n') {
            return Err(EventsError::CutOff { line, offset });
        }
        let mut json = serde_json::Deserializer::from_slice(&self.line);
        RecordSeed(&mut self.names)
            .deserialize(&mut json)
            .and_then(|record| json.end().map(|()| Some(record)))
            .map_err(|cause| EventsError::BadLine { line, offset, cause })
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Record, EventsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.next_record().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}

struct RecordSeed<'a>(&'a mut Interner);

impl<'de> DeserializeSeed<'de> for RecordSeed<'_> {
    type Value = Record;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Record, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RecordSeed<'_> {
    type Value = Record;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record, A::Error> {
        let names = self.0;
        let (mut t, mut seq, mut component, mut vm, mut event, mut cause) =
            (None, None, None, None, None, None);
        let mut severity = Severity::Normal;
        let mut fields = Vec::new();
        while let Some(key) = map.next_key_seed(NameSeed(names))? {
            match &*key {
                "t" => t = Some(map.next_value()?),
                "seq" => seq = Some(map.next_value()?),
                "component" => component = Some(map.next_value_seed(NameSeed(names))?),
                "vm" => vm = Some(map.next_value_seed(NameSeed(names))?),
                "event" => event = Some(map.next_value_seed(NameSeed(names))?),
                "cause" => cause = Some(map.next_value()?),
                "severity" => severity = map.next_value()?,
                _ => fields.push((key, map.next_value_seed(ValueSeed)?)),
            }
        }
        Ok(Record {
            t: SimTime(t.ok_or_else(|| de::Error::missing_field("t"))?),
            seq: seq.ok_or_else(|| de::Error::missing_field("seq"))?,
            component: component.ok_or_else(|| de::Error::missing_field("component"))?,
            vm,
            event: event.ok_or_else(|| de::Error::missing_field("event"))?,
            cause: cause.ok_or_else(|| de::Error::missing_field("cause"))?,
            severity,
            fields,
        })
    }
}

struct NameSeed<'a>(&'a mut Interner);

impl<'de> DeserializeSeed<'de> for NameSeed<'_> {
    type Value = Arc<str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Arc<str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed<'_> {
    type Value = Arc<str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Arc<str>, E> {
        Ok(self.0.intern(name))
    }
}

struct ValueSeed;

impl<'de> DeserializeSeed<'de> for ValueSeed {
    type Value = FieldValue;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<FieldValue, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed {
    type Value = FieldValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, a text, true or false")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<FieldValue, E> {
        Ok(FieldValue::Unsigned(number))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<FieldValue, E> {
        Ok(u64::try_from(number).map_or(FieldValue::Negative(number), FieldValue::Unsigned))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<FieldValue, E> {
        Ok(FieldValue::Float(number))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<FieldValue, E> {
        Ok(FieldValue::Bool(value))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<FieldValue, E> {
        Ok(FieldValue::Text(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FieldValue, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Err(de::Error::invalid_type(de::Unexpected::Map, &self))
    }
}

#[cfg(test)]
mod tests;
