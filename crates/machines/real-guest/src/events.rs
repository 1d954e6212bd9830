//! The run's events while it goes on: what the recorder writes, line by line, for those who wait for something.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use serde_json::Value;

/// One event, as `events.jsonl` has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event(Value);

impl Event {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0["event"].as_str().unwrap_or_default()
    }

    /// The VM that it is about.
    #[must_use]
    pub fn vm(&self) -> Option<&str> {
        self.0["vm"].as_str()
    }

    /// When it happened.
    #[must_use]
    pub fn time(&self) -> Duration {
        Duration::from_nanos(self.0["t"].as_u64().unwrap_or_default())
    }

    /// Its number.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.0["seq"].as_u64().unwrap_or_default()
    }

    /// A field that is a number.
    #[must_use]
    pub fn number(&self, field: &str) -> Option<u64> {
        self.field(field).as_u64()
    }

    /// A field that is a word.
    #[must_use]
    pub fn word(&self, field: &str) -> &str {
        self.field(field).as_str().unwrap_or_default()
    }

    /// A field that is true or false.
    #[must_use]
    pub fn is(&self, field: &str) -> bool {
        self.field(field).as_bool().unwrap_or_default()
    }

    fn field(&self, field: &str) -> &Value {
        match &self.0["fields"] {
            Value::Null => &self.0[field],
            fields => &fields[field],
        }
    }
}

#[derive(Default)]
struct State {
    events: Vec<Event>,
}

/// All events so far.
#[derive(Clone, Default)]
pub struct EventLog(Arc<(Mutex<State>, Condvar)>);

impl std::fmt::Debug for EventLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventLog").finish_non_exhaustive()
    }
}

impl EventLog {
    /// A place for the recorder to write to: everything goes on to `next`, and is kept here.
    #[must_use]
    pub fn tee(&self, next: Box<dyn Write + Send>) -> Box<dyn Write + Send> {
        Box::new(Tee { next, log: self.clone() })
    }

    /// How many events there are: a position to wait from.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.0.lock().events.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Events from position `from` on that `wanted` says yes to.
    #[must_use]
    pub fn find(&self, from: usize, mut wanted: impl FnMut(&Event) -> bool) -> Vec<Event> {
        let state = self.0.0.lock();
        state.events.iter().skip(from).filter(|event| wanted(event)).cloned().collect()
    }

    /// Waits for the first event from position `from` on that `wanted` says yes to; gives it with the position behind it.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "waits for a guest in the real world")]
    pub fn wait_for(
        &self,
        from: usize,
        longest: Duration,
        mut wanted: impl FnMut(&Event) -> bool,
    ) -> Option<(Event, usize)> {
        let deadline = std::time::Instant::now() + longest;
        let (state, changed) = &*self.0;
        let mut state = state.lock();
        let mut next = from;
        loop {
            while let Some(event) = state.events.get(next) {
                next += 1;
                if wanted(event) {
                    return Some((event.clone(), next));
                }
            }
            if changed.wait_until(&mut state, deadline).timed_out() && next >= state.events.len() {
                return None;
            }
        }
    }
}

struct Tee {
    next: Box<dyn Write + Send>,
    log: EventLog,
}

impl Write for Tee {
    /// The recorder writes whole lines.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.next.write_all(bytes)?;
        let events = bytes.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
        let (state, changed) = &*self.log.0;
        state.lock().events.extend(events.map(Event));
        changed.notify_all();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.next.flush()
    }
}
