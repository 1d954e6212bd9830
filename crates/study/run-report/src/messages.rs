//! The bytes of the Dynamic Memory messages of a run, out of its journal, for the events that tell of them.
//!
//! The journal holds what went into each DM VSP and what came out: packets as they were in the rings. A packet from the guest has the
//! number of the event that led to it, the guest's `dm_send` or `balloon_status`. What a VSP sends is recorded just before its `dm_send`.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

use dm_vsp::{Input, Output};
use run_journal::journal::{self, Entry, JournalError, MachineValue};
use run_journal::{FieldValue, JOURNAL_FILE, Record};
use vmms_host::RecordedVspInput;

use crate::columns::{integer, pack_whole};

/// Messages of the same length and type, by the numbers of their events.
#[derive(Debug, Default, PartialEq)]
struct Group {
    seq: Vec<i64>,
    /// The bytes of all of them, one after another.
    bytes: Vec<u8>,
}

/// The messages of a run.
#[derive(Debug, Default, PartialEq)]
pub struct Messages {
    /// By VM, type (the first two bytes) and length.
    groups: BTreeMap<(Arc<str>, [u8; 2], usize), Group>,
}

/// Bytes beyond which a message is not kept: none of Dynamic Memory's that tells something has as many. Invented.
const LONGEST: usize = 4096;

impl Messages {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    fn add(&mut self, vm: &Arc<str>, seq: u64, bytes: &[u8]) {
        let (Ok(seq), Some(&kind)) = (i64::try_from(seq), bytes.first_chunk()) else { return };
        if seq == 0 || bytes.len() > LONGEST {
            return;
        }
        let group = self.groups.entry((vm.clone(), kind, bytes.len())).or_default();
        // An event tells of one message.
        if group.seq.last() != Some(&seq) {
            group.seq.push(seq);
            group.bytes.extend_from_slice(bytes);
        }
    }

    /// Appends the messages as JSON: `[{"length":…,"n":…,"seq":column,"words":[column…],"rest":[column…]}…]`. Message number `m` of a
    /// group has the little-endian 32-bit words `words[0][m]`, `words[1][m]` …, then the bytes `rest[0][m]` ….
    pub fn pack(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        for (index, ((_, _, length), group)) in self.groups.iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(b",\n");
            }
            out.extend_from_slice(b"{\"length\":");
            integer(*length, out);
            out.extend_from_slice(b",\"n\":");
            integer(group.seq.len(), out);
            out.extend_from_slice(b",\"seq\":");
            pack_whole(&group.seq, out);
            let messages = || group.bytes.chunks_exact((*length).max(1));
            out.extend_from_slice(b",\"words\":[");
            for word in 0..length / 4 {
                if word > 0 {
                    out.push(b',');
                }
                let of = |message: &[u8]| {
                    let bytes = message[word * 4..].first_chunk().copied().unwrap_or_default();
                    i64::from(u32::from_le_bytes(bytes))
                };
                pack_whole(&messages().map(of).collect::<Vec<_>>(), out);
            }
            out.extend_from_slice(b"],\"rest\":[");
            for byte in length / 4 * 4..*length {
                if byte % 4 > 0 {
                    out.push(b',');
                }
                pack_whole(&messages().map(|message| i64::from(message[byte])).collect::<Vec<_>>(), out);
            }
            out.extend_from_slice(b"]}");
        }
        out.push(b']');
    }
}

/// What a VSP has sent and no event has told of yet.
#[derive(Default)]
struct Sent(VecDeque<(String, Vec<u8>)>);

impl Sent {
    /// The bytes of the message that an event tells of.
    fn of(&mut self, record: &Record) -> Option<Vec<u8>> {
        let name = record.field("message").and_then(FieldValue::as_str)?;
        let length = record.field("bytes").and_then(FieldValue::as_u64)?;
        let is_it = |(message, bytes): &(String, Vec<u8>)| message == name && bytes.len() as u64 == length;
        let place = self.0.iter().position(is_it)?;
        self.0.drain(..=place).next_back().map(|(_, bytes)| bytes)
    }
}

/// Reads the messages of the journal in a run's folder. The numbers of events are within `window`. Also why there are no more, if the
/// journal does not end well.
#[must_use]
pub fn read(directory: &Path, window: core::ops::RangeInclusive<u64>) -> (Messages, Option<JournalError>) {
    match journal::Reader::open(&directory.join(JOURNAL_FILE)) {
        Ok(reader) => collect(reader, &window),
        Err(error) => (Messages::default(), Some(error)),
    }
}

fn collect(
    entries: impl Iterator<Item = Result<Entry, JournalError>>,
    window: &core::ops::RangeInclusive<u64>,
) -> (Messages, Option<JournalError>) {
    let mut messages = Messages::default();
    let mut sent: BTreeMap<Arc<str>, Sent> = BTreeMap::new();
    for entry in entries {
        match entry {
            Ok(Entry::Input(value)) => {
                let Some(vm) = vm_of(&value).filter(|_| window.contains(&value.cause)) else { continue };
                if let Ok(RecordedVspInput::Input(Input::Packet(bytes))) = value.decode() {
                    messages.add(&vm, value.cause, &bytes);
                }
            }
            Ok(Entry::Output(value)) => {
                let Some(vm) = vm_of(&value) else { continue };
                if let Ok(Output::Send { message, bytes }) = value.decode() {
                    sent.entry(vm).or_default().0.push_back((message.to_string(), bytes));
                }
            }
            Ok(Entry::Event(record)) if &*record.event == "dm_send" && &*record.component == "dm-vsp" => {
                let Some(vm) = &record.vm else { continue };
                let bytes = sent.get_mut(vm).and_then(|sent| sent.of(&record));
                if let Some(bytes) = bytes.filter(|_| window.contains(&record.seq)) {
                    messages.add(vm, record.seq, &bytes);
                }
            }
            Ok(Entry::Event(_)) => {}
            Err(error) => return (messages, Some(error)),
        }
    }
    (messages, None)
}

/// The VM of a DM VSP.
fn vm_of(value: &MachineValue) -> Option<Arc<str>> {
    value.machine.strip_prefix("dm-vsp/").map(Arc::from)
}
