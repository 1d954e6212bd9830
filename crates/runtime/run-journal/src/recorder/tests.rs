use component_runtime::{
    Address, Component, Context, Driver, Mailbox, NextWake, RunConfig, Runtime, SimTime, WakeCause,
};

use super::*;
use crate::{
    FieldValue, Record, Severity, dispatch, events,
    journal::{Entry, Reader},
    query::Causality,
};

/// What one recording leaves.
struct Left {
    records: Vec<Record>,
    journal: Vec<Entry>,
    events: Vec<u8>,
    recorded: Recorded,
}

/// Records what happens in `run`.
fn record(level: EventsLevel, run: impl FnOnce(&Recorder)) -> Left {
    let ((events_file, events), (journal_file, journal)) = (buffer(), buffer());
    let recorder = Recorder::to_writers(Some(events_file), Some(journal_file), level).unwrap();
    tracing::dispatcher::with_default(&dispatch(Some(&recorder), None), || run(&recorder));
    let recorded = recorder.finish().unwrap();
    let (events, journal) = (events.contents(), journal.contents());
    assert_eq!((recorded.events_bytes, recorded.journal_bytes), (events.len() as u64, journal.len() as u64));
    Left {
        records: events::Reader::new(&events[..]).collect::<Result<_, _>>().unwrap(),
        journal: Reader::new(&journal[..]).unwrap().collect::<Result<_, _>>().unwrap(),
        events,
        recorded,
    }
}

impl Left {
    fn journal_events(&self) -> Vec<Record> {
        self.journal
            .iter()
            .filter_map(|entry| match entry {
                Entry::Event(record) => Some(record.clone()),
                _ => None,
            })
            .collect()
    }
}

#[test]
fn a_line_has_the_documented_form() {
    let left = record(EventsLevel::All, |_| {
        tracing::info!(
            event = "balloon_request",
            pages = 512,
            ratio = 0.5,
            partial = true,
            delta = -3,
            who = "a \"b\""
        );
        tracing::warn!(event = "late_answer", vm = "VM8", after = ?core::time::Duration::from_secs(30));
        tracing::error!(
            event = "protocol_error",
            component = "dm-vsp",
            cause = 17_u64,
            t = 1,
            seq = "x",
            severity = 2
        );
    });
    assert_eq!(
        String::from_utf8(left.events.clone()).unwrap(),
        concat!(
            r#"{"t":0,"seq":0,"component":"run","event":"balloon_request","cause":0,"pages":512,"ratio":0.5,"partial":true,"delta":-3,"who":"a \"b\""}"#,
            "\n",
            r#"{"t":0,"seq":0,"component":"run","vm":"VM8","event":"late_answer","cause":0,"severity":"warning","after":"30s"}"#,
            "\n",
            r#"{"t":0,"seq":0,"component":"dm-vsp","event":"protocol_error","cause":17,"severity":"error","t_":1,"seq_":"x","severity_":2}"#,
            "\n",
        )
    );
    assert_eq!(left.records, left.journal_events());
    assert_eq!(left.records[2].severity, Severity::Error);
    assert_eq!(left.records[0].field("delta"), Some(&FieldValue::Negative(-3)));
}

#[test]
fn values_that_json_has_no_form_for_become_text() {
    let left = record(EventsLevel::All, |_| {
        tracing::info!(
            event = "x",
            a = f64::NAN,
            b = f64::INFINITY,
            c = u128::MAX,
            d = u64::MAX,
            e = i64::MIN
        );
        tracing::info!(event = "y", cause = "no number", vm = 8, missing = Option::<u64>::None);
    });
    assert_eq!(left.records, left.journal_events());
    let texts: Vec<_> = left.records[0].fields.iter().map(|(_, value)| value.to_string()).collect();
    assert_eq!(
        texts,
        [
            "NaN",
            "inf",
            "340282366920938463463374607431768211455",
            "18446744073709551615",
            "-9223372036854775808"
        ]
    );
    let own: Vec<_> = left.records[1].fields.iter().map(|(name, _)| &**name).collect();
    assert_eq!(own, ["cause_", "vm_"]);
}

#[test]
fn levels_choose_what_is_recorded() {
    let events = |level| {
        let left = record(level, |recorder| {
            tracing::trace!(event = "packet");
            tracing::debug!(event = "status_report");
            tracing::info!(event = "grant");
            tracing::warn!("no event");
            recorder.input("dm-vsp/VM1", SimTime(0), &1_u8);
        });
        let names: Vec<_> = left.records.iter().map(|record| record.event.to_string()).collect();
        assert_eq!(left.journal_events().len(), names.len());
        (names, left.recorded.machine_values)
    };
    assert_eq!(events(EventsLevel::All), (vec!["status_report".to_owned(), "grant".to_owned()], 1));
    assert_eq!(events(EventsLevel::Decisions), (vec!["grant".to_owned()], 0));
    assert_eq!(events(EventsLevel::None), (vec![], 0));
}

#[test]
fn words_of_levels() {
    for level in EventsLevel::EACH {
        assert_eq!(level.name().parse(), Ok(level));
    }
    let error = "some".parse::<EventsLevel>().unwrap_err();
    assert_eq!(error.to_string(), "\"some\" is not one of all, decisions, none");
}

/// Two components that play a ball back and forth and say so.
struct Player {
    inbox: Mailbox<u32>,
    other: Address<u32>,
}

impl Component for Player {
    fn wake(&mut self, now: SimTime, _cause: WakeCause, ctx: &mut Context<'_>) -> NextWake {
        while let Some(ball) = ctx.recv(&mut self.inbox) {
            if let Some(recorder) = ctx.recorder() {
                recorder.input("player", now, &ball);
            }
            tracing::debug!(event = "received", ball);
            if ball > 0 {
                tracing::info!(event = "played", ball = ball - 1);
                ctx.send(&self.other, ball - 1);
            }
        }
        NextWake::Idle
    }
}

fn play(driver: Driver) -> Left {
    record(EventsLevel::All, |recorder| {
        let mut config = RunConfig::virtual_time(driver);
        config.recorder = recorder.machine_recorder();
        let mut runtime = Runtime::new(config).unwrap();
        let (ping, pong) = (runtime.seat("ping", Some("VM1")), runtime.seat("pong", None));
        let ((to_ping, ping_inbox), (to_pong, pong_inbox)) = (ping.mailbox(), pong.mailbox());
        runtime.send(&to_ping, 2);
        ping.start(Box::new(Player { inbox: ping_inbox, other: to_pong }));
        pong.start(Box::new(Player { inbox: pong_inbox, other: to_ping }));
        assert!(runtime.run().panics.is_empty());
    })
}

#[test]
fn times_numbers_and_causes_come_from_the_run() {
    let left = play(Driver::Inline);
    let said: Vec<_> =
        left.records.iter().map(|r| (r.t.0 / 1000, r.seq, r.place(), r.event.to_string(), r.cause)).collect();
    let expected = [
        (10, 1, "ping/VM1", "received", 0),
        (10, 2, "ping/VM1", "played", 1),
        (20, 3, "pong", "received", 2),
        (20, 4, "pong", "played", 3),
        (30, 5, "ping/VM1", "received", 4),
    ]
    .map(|(t, seq, place, event, cause)| (t, seq, place.to_owned(), event.to_owned(), cause));
    assert_eq!(said, expected);
    assert_eq!(left.records, left.journal_events());
    let chain = Causality::new(&left.records).chain(3).unwrap().effects.len();
    assert_eq!(chain, 2);
    let inputs: Vec<_> = left
        .journal
        .iter()
        .filter_map(|entry| match entry {
            Entry::Input(input) => Some((input.t.0 / 1000, input.cause, input.decode::<u32>().unwrap())),
            _ => None,
        })
        .collect();
    assert_eq!(inputs, [(10, 0, 2), (20, 2, 1), (30, 4, 0)]);
}

#[test]
fn threads_and_inline_leave_the_same_bytes() {
    let (inline, threads) = (play(Driver::Inline), play(Driver::Threads));
    assert_eq!(inline.events, threads.events);
    assert_eq!(inline.journal, threads.journal);
}

#[test]
fn runs_beside_each_other_are_kept_apart() {
    let runs: Vec<_> = (0..4).map(|_| std::thread::spawn(|| play(Driver::Inline).events)).collect();
    let alone = play(Driver::Inline).events;
    for run in runs {
        assert_eq!(run.join().unwrap(), alone);
    }
}

#[test]
fn many_threads_may_record_at_once() {
    let left = record(EventsLevel::All, |recorder| {
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                scope.spawn(move || {
                    tracing::dispatcher::with_default(&dispatch(Some(recorder), None), || {
                        for n in 0..500_u64 {
                            tracing::info!(event = "n", thread, n);
                            recorder.output(&format!("machine/{thread}"), SimTime(n), &n);
                        }
                    });
                });
            }
        });
    });
    assert_eq!((left.recorded.events, left.recorded.machine_values), (2000, 2000));
    assert_eq!(left.records, left.journal_events());
    for thread in 0..4 {
        let of_thread = left.records.iter().filter(|r| r.field("thread").unwrap().as_u64() == Some(thread));
        assert!(
            of_thread.map(|r| r.field("n").unwrap().as_u64().unwrap()).eq(0..500),
            "in order within a thread"
        );
    }
}

#[test]
fn an_output_that_fails_is_reported_once_and_stops_recording() {
    /// Takes so many bytes and no more.
    struct Small(usize);
    impl Write for Small {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if bytes.len() > self.0 {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            self.0 -= bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let recorder = Recorder::to_writers(Some(Box::new(Small(100))), None, EventsLevel::All).unwrap();
    tracing::dispatcher::with_default(&dispatch(Some(&recorder), None), || {
        for n in 0..10 {
            tracing::info!(event = "something", n);
        }
    });
    assert_eq!(recorder.finish().unwrap_err().kind(), io::ErrorKind::StorageFull);
    tracing::dispatcher::with_default(&dispatch(Some(&recorder), None), || tracing::info!(event = "x"));
    assert_eq!(
        recorder.finish().unwrap().events,
        1,
        "what was recorded before it is there, and nothing after it"
    );
}

#[test]
fn a_value_that_bincode_cannot_hold_is_reported() {
    let (file, _) = buffer();
    let recorder = Recorder::to_writers(None, Some(file), EventsLevel::All).unwrap();
    /// A sequence whose length is not known before.
    struct Endless;
    impl Serialize for Endless {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serde::ser::SerializeSeq::end(serializer.serialize_seq(None)?)
        }
    }
    recorder.input("m", SimTime(0), &Endless);
    assert_eq!(recorder.finish().unwrap_err().kind(), io::ErrorKind::Other);
}

#[test]
fn files_are_made_once() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Recorder::create(directory.path(), EventsLevel::Decisions, Form::Plain).unwrap();
    tracing::dispatcher::with_default(&dispatch(Some(&recorder), None), || tracing::info!(event = "x"));
    assert_eq!(recorder.finish().unwrap().events, 1);
    let lines = events::Reader::open(&directory.path().join(EVENTS_FILE)).unwrap().count();
    let entries = Reader::open(&directory.path().join(JOURNAL_FILE)).unwrap().count();
    assert_eq!((lines, entries), (1, 1));
    let again = Recorder::create(directory.path(), EventsLevel::Decisions, Form::Plain).unwrap_err();
    assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
}

/// Nobody notices, and what is in a frame does not depend on when anything was written out.
#[test]
fn a_packed_recording_reads_as_a_plain_one() {
    let recorded = |form, pause: bool| {
        let directory = tempfile::tempdir().unwrap();
        let recorder = Recorder::create(directory.path(), EventsLevel::Decisions, form).unwrap();
        tracing::dispatcher::with_default(&dispatch(Some(&recorder), None), || {
            for round in 0..9000_u64 {
                tracing::info!(event = "round", round, rule = "short", inputs = "demand_mib=475.297");
                if pause && round % 1000 == 0 {
                    recorder.shared.state.lock().flush_in_time().unwrap();
                }
            }
        });
        let counted = recorder.finish().unwrap();
        let events = events::read_whole(&directory.path().join(EVENTS_FILE)).unwrap();
        assert!(events.missing.is_none());
        let entries = Reader::open(&directory.path().join(JOURNAL_FILE)).unwrap();
        let entries: Vec<Entry> = entries.collect::<Result<_, _>>().unwrap();
        let files = [EVENTS_FILE, JOURNAL_FILE].map(|name| crate::file_in(directory.path(), name));
        (counted, events.records, entries, files.map(|path| std::fs::read(path).unwrap()))
    };
    let (plain, packed, paused) =
        (recorded(Form::Plain, true), recorded(Form::Packed, false), recorded(Form::Packed, true));
    assert_eq!((&plain.0, &plain.1, &plain.2), (&packed.0, &packed.1, &packed.2));
    assert_eq!(packed.3, paused.3);
    assert_eq!(plain.3[0].len() as u64, packed.0.events_bytes);
    for (plain, packed) in plain.3.iter().zip(&packed.3) {
        assert!(packed.len() * 5 < plain.len(), "{} bytes of {}", packed.len(), plain.len());
    }
    // A run that was killed in the middle of a write: all but the last frame.
    let directory = tempfile::tempdir().unwrap();
    let bytes = &packed.3[0];
    std::fs::write(directory.path().join("events.jsonl.zst"), &bytes[..bytes.len() - 10]).unwrap();
    let cut = events::read_whole(&directory.path().join(EVENTS_FILE)).unwrap();
    assert!(cut.missing.is_some_and(|missing| missing.is_cut_off()));
    assert!(cut.records.len() > 1000 && cut.records == packed.1[..cut.records.len()]);
}

#[test]
fn a_log_beside_the_recorder_changes_nothing_in_the_record() {
    let with_log = |log: bool| {
        let (file, events) = buffer();
        let recorder = Recorder::to_writers(Some(file), None, EventsLevel::Decisions).unwrap();
        let (out, shown) = buffer();
        let log = log.then(|| crate::HumanLog::new(out, "trace", false).unwrap());
        tracing::dispatcher::with_default(&dispatch(Some(&recorder), log), || {
            tracing::trace!(event = "packet");
            tracing::info!(event = "grant", pages = 3);
            tracing::info!("words");
        });
        recorder.finish().unwrap();
        (events.contents(), shown.contents())
    };
    let ((alone, nothing), (beside, shown)) = (with_log(false), with_log(true));
    assert_eq!(alone, beside);
    assert!(nothing.is_empty());
    assert_eq!(String::from_utf8(shown).unwrap().lines().count(), 3);
}
