use component_runtime::MachineRecorder as _;
use proptest::prelude::*;

use super::*;
use crate::{EventsLevel, Recorder, buffer, dispatch};

/// A small journal: an event, an input, an output.
fn small() -> Vec<u8> {
    let (file, contents) = buffer();
    let recorder = Recorder::to_writers(None, Some(file), EventsLevel::All).unwrap();
    tracing::dispatcher::with_default(&dispatch(Some(&recorder), None), || {
        tracing::info!(event = "grant", vm = "VM8", pages = 512, why = "pressure");
    });
    recorder.input("dm-vsp/VM8", SimTime(5), &("grow", 512_u64));
    recorder.output("dm-vsp/VM8", SimTime(5), &vec![1_u8, 2, 3]);
    recorder.finish().unwrap();
    contents.contents()
}

fn read(bytes: &[u8]) -> (Vec<Entry>, Option<JournalError>) {
    let mut entries = Vec::new();
    match Reader::new(bytes) {
        Ok(reader) => {
            for entry in reader {
                match entry {
                    Ok(entry) => entries.push(entry),
                    Err(error) => return (entries, Some(error)),
                }
            }
            (entries, None)
        }
        Err(error) => (entries, Some(error)),
    }
}

#[test]
fn values_come_back() {
    let (entries, error) = read(&small());
    assert!(error.is_none());
    let [Entry::Event(event), Entry::Input(input), Entry::Output(output)] = &entries[..] else {
        panic!("{entries:?}")
    };
    assert_eq!((&*event.event, event.vm.as_deref()), ("grant", Some("VM8")));
    assert_eq!(input.decode::<(String, u64)>().unwrap(), ("grow".to_owned(), 512));
    assert_eq!((&*output.machine, output.t), ("dm-vsp/VM8", SimTime(5)));
    assert_eq!(output.decode::<Vec<u8>>().unwrap(), [1, 2, 3]);
    let wrong = output.decode::<u8>().unwrap_err().to_string();
    assert_eq!(wrong, "3 bytes are left over");
}

#[test]
fn events_can_be_read_past() {
    let bytes = small();
    let entries: Vec<Entry> =
        Reader::new(&bytes[..]).unwrap().without_events().collect::<Result<_, _>>().unwrap();
    assert_eq!(entries, read(&bytes).0[1..]);
}

#[test]
fn other_files_and_other_versions_are_named() {
    let error = |bytes: &[u8]| read(bytes).1.unwrap().to_string();
    assert_eq!(
        error(b""),
        "the journal is cut off: its last entry, at byte 0, is incomplete; everything before it can be used"
    );
    assert_eq!(error(b"{\"t\":0}"), "this is no journal: it does not begin with the bytes of one");
    assert_eq!(
        error(b"DMJOURNL\x01"),
        "the journal is cut off: its last entry, at byte 0, is incomplete; everything before it can be used"
    );
    for other in [0, 3] {
        let mut journal = small();
        journal[8] = other;
        assert_eq!(
            error(&journal),
            format!(
                "the journal has format version {other}, this program reads versions 1 to 2: read it with the version that wrote it (see manifest.json), or repeat the run; events.jsonl beside it has the same events"
            )
        );
    }
    assert!(
        Reader::open(Path::new("no/such/journal"))
            .unwrap_err()
            .to_string()
            .starts_with("the journal cannot be read at byte 0: ")
    );
}

/// Of a journal of version 1, events are read and damage is found at its place; its values have another layout.
#[test]
fn of_an_older_journal_all_but_the_values_of_machines_is_read() {
    let mut older = small();
    assert_eq!(older[8..12], FORMAT_VERSION.to_le_bytes());
    older[8] = 1;
    let (mut entries, error) = read(&older);
    assert!(error.is_none(), "{error:?}");
    for entry in &mut entries {
        if let Entry::Input(value) | Entry::Output(value) = entry {
            assert_eq!(std::mem::replace(&mut value.version, FORMAT_VERSION), 1);
        }
    }
    assert_eq!(entries, read(&small()).0);
    let refused = crate::replay(Reader::new(&older[..]).unwrap(), "dm-vsp/VM8", |_, _: (String, u64)| {
        Vec::<Vec<u8>>::new()
    });
    assert_eq!(
        refused.unwrap_err().to_string(),
        "the journal has format version 1: its events can be read, and the inputs and outputs of \"dm-vsp/VM8\" cannot be replayed, since this program's values have the layout of version 2; replay it with the version that wrote it (see manifest.json), or repeat the run"
    );
    older.truncate(older.len() - 1);
    assert!(matches!(read(&older).1, Some(JournalError::CutOff { .. })));
}

#[test]
fn a_name_that_was_never_given_is_damage() {
    let mut bytes = Vec::new();
    codec::append_header(&mut bytes);
    codec::append_frame(&mut bytes, |payload| codec::append_machine(false, (0, 0, 7), &[], payload)).unwrap();
    assert_eq!(
        read(&bytes).1.unwrap().to_string(),
        "the journal is damaged at byte 12: a name is used before it is given"
    );
}

#[test]
fn an_impossible_length_is_damage_and_takes_no_memory() {
    let mut bytes = small();
    bytes.truncate(12);
    bytes.extend_from_slice(&u32::MAX.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    assert_eq!(
        read(&bytes).1.unwrap().to_string(),
        "the journal is damaged at byte 12: an entry of 4294967295 bytes is impossible"
    );
}

/// A name of so many bytes, of which few are there, in a frame whose checksum is right.
#[test]
fn an_impossible_length_within_an_entry_is_damage() {
    for length in [1_u64 << 44, u64::MAX] {
        let mut bytes = small()[..12].to_vec();
        codec::append_frame(&mut bytes, |out| {
            out.extend_from_slice(&[0, 253]);
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(b"x");
        })
        .unwrap();
        assert_eq!(
            read(&bytes).1.unwrap().to_string(),
            "the journal is damaged at byte 12: a length in it is longer than an entry can be"
        );
    }
}

#[test]
fn a_journal_cut_anywhere_gives_what_is_whole_and_says_where_it_ends() {
    let whole = small();
    let (all, _) = read(&whole);
    for length in 0..whole.len() {
        let (entries, error) = read(&whole[..length]);
        assert_eq!(entries, all[..entries.len()], "{length}");
        match error {
            Some(JournalError::CutOff { offset }) => {
                assert!(offset <= length as u64);
                assert!(offset == 0 || read(&whole[..offset as usize]).0 == entries);
            }
            None => {}
            Some(other) => panic!("{length}: {other}"),
        }
    }
}

proptest! {
    /// One changed byte is found, wherever it is.
    #[test]
    fn damage_is_found(at in any::<prop::sample::Index>(), change in 1..=255_u8) {
        let whole = small();
        let at = at.index(whole.len());
        let mut damaged = whole.clone();
        damaged[at] ^= change;
        let (entries, error) = read(&damaged);
        prop_assert!(error.is_some(), "byte {at}");
        let (all, _) = read(&whole);
        prop_assert_eq!(&entries[..], &all[..entries.len()]);
    }

    #[test]
    fn no_bytes_are_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut journal = small()[..12].to_vec();
        journal.extend(bytes);
        let _entries = read(&journal);
    }

    /// Frames that are right but hold anything.
    #[test]
    fn no_payload_is_a_panic(payload in prop::collection::vec(any::<u8>(), 0..100)) {
        let mut journal = small();
        codec::append_frame(&mut journal, |out| out.extend_from_slice(&payload)).unwrap();
        let _entries = read(&journal);
    }
}
