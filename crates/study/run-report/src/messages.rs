//! The bytes of the Dynamic Memory messages of a run, out of its journal, for the events that tell of them.
//!
//! The journal holds what went into each DM VSP and what came out: packets as they were in the rings. A packet from the guest has the
//! number of the event that led to it, the guest's `dm_send` or `balloon_status`. What a VSP sends is told by its `dm_send`, in the same order.

use core::ops::RangeInclusive;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

use dm_protocol::MessageType;
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

    /// The bytes of the message that an event tells of, if the journal holds them.
    #[must_use]
    pub fn bytes(&self, seq: u64) -> Option<&[u8]> {
        let seq = i64::try_from(seq).ok()?;
        self.groups.iter().find_map(|((_, _, length), group)| {
            let place = group.seq.iter().position(|of| *of == seq)?;
            group.bytes.get(place * length..(place + 1) * length)
        })
    }

    fn add(&mut self, vm: &str, seq: u64, bytes: &[u8]) {
        let (Ok(seq), Some(&kind)) = (i64::try_from(seq), bytes.first_chunk()) else { return };
        if seq == 0 || bytes.len() > LONGEST {
            return;
        }
        let group = self.groups.entry((vm.into(), kind, bytes.len())).or_default();
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

/// An event that tells of a message which a VSP has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its number.
    pub seq: u64,
    /// Name of the message.
    pub message: String,
    /// Length of the message in bytes.
    pub length: u64,
}

impl Told {
    /// What an event tells, if it tells of a message that a VSP has sent; and of which VM.
    #[must_use]
    pub fn of(record: &Record) -> Option<(Arc<str>, Self)> {
        if &*record.event != "dm_send" || &*record.component != "dm-vsp" {
            return None;
        }
        let message = record.field("message").and_then(FieldValue::as_str)?.to_owned();
        let length = record.field("bytes").and_then(FieldValue::as_u64)?;
        Some((record.vm.clone()?, Self { seq: record.seq, message, length }))
    }
}

/// What goes into VSPs and comes out of them, of which only the messages are wanted: their values begin with these bytes.
struct Begins {
    packet: Vec<u8>,
    send: Vec<u8>,
}

impl Begins {
    fn new() -> Self {
        let begin = |value: &dyn component_runtime::MachineValue| {
            let mut bytes = Vec::new();
            // A value that cannot be encoded is in no journal either.
            let _: Result<(), component_runtime::MachineValueError> = value.encode(&mut bytes);
            bytes
        };
        let mut packet = begin(&RecordedVspInput::Input(Input::Packet(Vec::new())));
        // Its last byte is the length of the packet.
        packet.pop();
        let mut send = begin(&Output::Send { message: MessageType::BALLOON_REQUEST, bytes: Vec::new() });
        send.truncate(1);
        Self { packet, send }
    }

    /// The packet that a VSP was given. Short ones, which are nearly all, are taken as they stand.
    fn packet(&self, value: &MachineValue) -> Option<Vec<u8>> {
        let (&length, packet) = value.bytes.strip_prefix(&self.packet[..])?.split_first()?;
        if usize::from(length) == packet.len() && length < 251 {
            return Some(packet.to_vec());
        }
        match value.decode() {
            Ok(RecordedVspInput::Input(Input::Packet(bytes))) => Some(bytes),
            _ => None,
        }
    }

    /// The message that a VSP has sent, with its name.
    fn sent(&self, value: &MachineValue) -> Option<(String, Vec<u8>)> {
        value.bytes.strip_prefix(&self.send[..])?;
        match value.decode() {
            Ok(Output::Send { message, bytes }) => Some((message.to_string(), bytes)),
            _ => None,
        }
    }
}

/// The messages of a journal, before the events that tell of them are known.
#[derive(Debug, Default)]
pub struct Recorded {
    messages: Messages,
    /// What each VSP has sent, in order.
    sent: BTreeMap<Arc<str>, VecDeque<(String, Vec<u8>)>>,
    /// Why there are no more, if the journal does not end well.
    pub trouble: Option<JournalError>,
}

impl Recorded {
    /// Reads the messages of the journal in a run's folder; of those that guests send, the ones between two times in nanoseconds.
    #[must_use]
    pub fn read(directory: &Path, window: &RangeInclusive<u64>) -> Self {
        let mut recorded = Self::default();
        if let Err(error) = recorded.collect(directory, window) {
            recorded.trouble = Some(error);
        }
        recorded
    }

    fn collect(&mut self, directory: &Path, window: &RangeInclusive<u64>) -> Result<(), JournalError> {
        let begins = Begins::new();
        for entry in journal::Reader::open(&directory.join(JOURNAL_FILE))?.without_events() {
            match entry? {
                Entry::Input(value) if window.contains(&value.t.0) => {
                    if let (Some(vm), Some(bytes)) = (vm_of(&value), begins.packet(&value)) {
                        self.messages.add(vm, value.cause, &bytes);
                    }
                }
                Entry::Output(value) => {
                    if let (Some(vm), Some(sent)) = (vm_of(&value), begins.sent(&value)) {
                        self.sent.entry(vm.into()).or_default().push_back(sent);
                    }
                }
                Entry::Input(_) | Entry::Event(_) => {}
            }
        }
        Ok(())
    }

    /// The messages, those that VSPs have sent with the events that tell of them, in order.
    #[must_use]
    pub fn told(mut self, told: &BTreeMap<Arc<str>, Vec<Told>>) -> Messages {
        for (vm, events) in told {
            let Some(sent) = self.sent.get_mut(vm) else { continue };
            for told in events {
                let is_it = |(message, bytes): &(String, Vec<u8>)| {
                    *message == told.message && bytes.len() as u64 == told.length
                };
                let Some(place) = sent.iter().position(is_it) else { continue };
                // What no event tells of, and what lies before it, is passed over.
                if let Some((_, bytes)) = sent.drain(..=place).next_back() {
                    self.messages.add(vm, told.seq, &bytes);
                }
            }
        }
        self.messages
    }
}

/// The VM of a DM VSP.
fn vm_of(value: &MachineValue) -> Option<&str> {
    value.machine.strip_prefix("dm-vsp/")
}
