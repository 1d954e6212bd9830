//! A test of its own process: what matters is which thread reaches a callsite first.

use run_journal::{EventsLevel, Recorder, buffer, dispatch, events};

fn decide() {
    tracing::info!(event = "decision");
}

#[test]
fn a_thread_that_records_nothing_does_not_switch_a_callsite_off() {
    let (sink, written) = buffer();
    let recorder = Recorder::to_writers(Some(sink), None, EventsLevel::All).unwrap();
    let dispatch = dispatch(Some(&recorder), None);
    std::thread::spawn(decide).join().unwrap();
    tracing::dispatcher::with_default(&dispatch, decide);
    recorder.finish().unwrap();
    let text = written.contents();
    assert_eq!(events::Reader::new(&text[..]).count(), 1);
}
