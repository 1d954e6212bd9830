//! The run's events while it goes on: what the recorder writes, line by line, for those who wait for something.
//!
//! A host runs for a year, and its guests decide how much happens. So only the newest events are kept here; all of them are in the
//! file, if there is one. Positions count from the first event ever, kept or not.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use serde_json::Value;

/// Events that are kept at most (invented: an hour of a guest that does what it should, several minutes of one that does not).
const KEPT_EVENTS: usize = 1 << 14;
/// Bytes of their lines that are kept at most (invented).
const KEPT_BYTES: usize = 4 << 20;

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
    /// The newest events, as lines: looked at far less often than written.
    lines: VecDeque<Box<[u8]>>,
    bytes: usize,
    /// Events before those.
    left_out: usize,
}

impl State {
    fn end(&self) -> usize {
        self.left_out + self.lines.len()
    }

    fn push(&mut self, line: &[u8]) {
        if line.is_empty() {
            return;
        }
        self.bytes += line.len();
        self.lines.push_back(line.into());
        while self.lines.len() > KEPT_EVENTS || self.bytes > KEPT_BYTES {
            let Some(oldest) = self.lines.pop_front() else { return };
            self.bytes -= oldest.len();
            self.left_out += 1;
        }
    }

    /// The event at a position, if it is kept.
    fn get(&self, position: usize) -> Option<Event> {
        let line = self.lines.get(position.checked_sub(self.left_out)?)?;
        // The recorder writes nothing else.
        serde_json::from_slice(line).ok().map(Event)
    }
}

/// The newest events.
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

    /// How many events there have been: a position to wait from.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.0.lock().end()
    }

    /// Whether there have been none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many events are not kept any more: those before this position.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.0.0.lock().left_out
    }

    /// Events from position `from` on that are kept and that `wanted` says yes to.
    #[must_use]
    pub fn find(&self, from: usize, mut wanted: impl FnMut(&Event) -> bool) -> Vec<Event> {
        self.since(from).0.into_iter().filter(|event| wanted(event)).collect()
    }

    /// Events from position `from` on that are kept, and the position behind them.
    #[must_use]
    pub fn since(&self, from: usize) -> (Vec<Event>, usize) {
        let state = self.0.0.lock();
        let events = (from.max(state.left_out)..state.end()).filter_map(|position| state.get(position));
        (events.collect(), state.end())
    }

    /// Waits for the first event from position `from` on that is kept and that `wanted` says yes to; gives it with the position
    /// behind it.
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
            next = next.max(state.left_out);
            while next < state.end() {
                let event = state.get(next);
                next += 1;
                if let Some(event) = event.filter(|event| wanted(event)) {
                    return Some((event, next));
                }
            }
            if changed.wait_until(&mut state, deadline).timed_out() && next >= state.end() {
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
        let (state, changed) = &*self.log.0;
        let mut state = state.lock();
        for line in bytes.split(|&byte| byte == b'\n') {
            state.push(line);
        }
        drop(state);
        changed.notify_all();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.next.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(second: u64) -> String {
        let t = second * 1_000_000_000;
        format!(
            "{{\"t\":{t},\"seq\":{second},\"event\":\"status_report\",\"vm\":\"VM1\",\"fields\":{{\"committed\":123456,\
             \"available\":98765,\"demand\":45678}}}}\n"
        )
    }

    /// A report a second for a year, and floods in between: what is kept is what was kept after the first hours.
    #[test]
    fn a_year_takes_no_more_memory_than_its_first_hours() {
        const HOUR: u64 = 3600;
        const FIRST: u64 = 10 * HOUR;
        const YEAR: u64 = 365 * 24 * HOUR;
        let log = EventLog::default();
        let mut written = log.tee(Box::new(io::sink()));
        let first = allocation_counter::measure(|| {
            for second in 0..FIRST {
                written.write_all(report(second).as_bytes()).unwrap();
            }
        });
        assert!(first.bytes_current > 0 && first.bytes_current < 8 << 20, "{first:?}");
        // The lines of the year are as long as the last of the first hours, so that what is kept can be compared.
        let year = allocation_counter::measure(|| {
            let line = report(FIRST);
            for second in FIRST..YEAR {
                written.write_all(line.as_bytes()).unwrap();
                if second % (24 * HOUR) == 0 {
                    // A flood, of lines as long as a guest can make them.
                    let long =
                        format!("{{\"t\":{second},\"event\":\"vmbus_refused\",\"why\":\"{:1000}\"}}\n", "");
                    for _ in 0..100 {
                        written.write_all(long.as_bytes()).unwrap();
                    }
                }
            }
        });
        assert!(year.bytes_current.unsigned_abs() < 1 << 17, "{year:?} beside {first:?}");
        let all = usize::try_from(YEAR + 364 * 100).unwrap();
        assert_eq!((log.len(), log.left_out()), (all, all - KEPT_EVENTS));
    }

    #[test]
    fn positions_stay_what_they_were_when_old_events_are_left_out() {
        let log = EventLog::default();
        let mut written = log.tee(Box::new(io::sink()));
        let mut happens = |second: u64| written.write_all(report(second).as_bytes()).unwrap();
        happens(0);
        let (first, behind) = log.wait_for(0, Duration::ZERO, |event| event.vm() == Some("VM1")).unwrap();
        assert_eq!((first.seq(), behind, first.number("demand")), (0, 1, Some(45678)));
        (1..20_000).for_each(&mut happens);
        assert_eq!((log.len(), log.left_out()), (20_000, 20_000 - KEPT_EVENTS));
        assert_eq!(log.find(0, |event| event.seq() < 10_000).len(), 10_000 - log.left_out());
        let (next, behind) = log.wait_for(1, Duration::ZERO, |_| true).unwrap();
        assert_eq!(
            (next.seq(), behind),
            (log.left_out() as u64, log.left_out() + 1),
            "the oldest that is kept"
        );
        assert_eq!(log.since(19_998).0.len(), 2);
        assert!(log.wait_for(20_000, Duration::ZERO, |_| true).is_none());
    }

    #[test]
    fn a_line_that_is_too_long_is_not_kept() {
        let log = EventLog::default();
        let mut written = log.tee(Box::new(io::sink()));
        written.write_all(&vec![b'x'; KEPT_BYTES + 1]).unwrap();
        written.write_all(report(1).as_bytes()).unwrap();
        assert_eq!((log.len(), log.left_out()), (2, 1));
    }
}
