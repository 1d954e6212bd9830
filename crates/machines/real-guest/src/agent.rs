//! What a guest says: its console on the first serial port, and answers of its init on the second.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// The console.
pub const CONSOLE: u8 = 1;
/// The port on which the guest's init answers.
pub const AGENT: u8 = 2;

/// Lines of the console that are kept (invented).
const KEPT_LINES: usize = 400;
/// A line is cut here (invented): a guest that prints no newline must not fill the host's memory.
const LINE_BYTES: usize = 1024;
/// Answers that no caller fetches are dropped beyond this many (invented).
const KEPT_ANSWERS: usize = 4096;

/// A command that the guest's init does not know: it says so at once.
const UNKNOWN: &str = "are-you-there";

/// The guest's own view of its memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuestView {
    /// `MemTotal`, kB.
    pub total_kb: u64,
    /// `MemAvailable`, kB.
    pub available_kb: u64,
}

/// Called with each whole line of the console.
pub type ConsoleSink = Box<dyn FnMut(&str) + Send>;

#[derive(Default)]
struct Port {
    partial: Vec<u8>,
}

impl Port {
    /// Takes a byte; gives the line that it ends.
    fn push(&mut self, byte: u8) -> Option<String> {
        match byte {
            b'\n' => {
                let line = String::from_utf8_lossy(&self.partial).trim_end_matches('\r').to_owned();
                self.partial.clear();
                Some(line)
            }
            _ => {
                if self.partial.len() < LINE_BYTES {
                    self.partial.push(byte);
                }
                None
            }
        }
    }
}

#[derive(Default)]
struct State {
    console: Port,
    agent: Port,
    lines: VecDeque<String>,
    console_bytes: u64,
    sink: Option<ConsoleSink>,
    answers: VecDeque<String>,
    dropped_answers: u64,
    view: Option<GuestView>,
    boots: u32,
    ready: bool,
    missing: Option<String>,
    /// A question was not answered in time: its answer may still come.
    is_late: bool,
}

/// What a guest says, for whoever asks. The record outlives resets of the guest.
#[derive(Clone, Default)]
pub struct Voice(Arc<(Mutex<State>, Condvar)>);

impl std::fmt::Debug for Voice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Voice").finish_non_exhaustive()
    }
}

/// What the guest's init has said that the host has to act upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The guest has loaded the drivers and listens.
    Ready,
    /// Drivers that it could not load.
    Missing(String),
}

impl Voice {
    /// Takes bytes of a serial port.
    pub fn hear(&self, port: u8, bytes: &[u8]) -> Option<Said> {
        let (state, changed) = &*self.0;
        let mut state = state.lock();
        let mut said = None;
        for &byte in bytes {
            if port == CONSOLE {
                state.console_bytes += 1;
                if let Some(line) = state.console.push(byte) {
                    if state.lines.len() >= KEPT_LINES {
                        state.lines.pop_front();
                    }
                    if let Some(sink) = &mut state.sink {
                        sink(&line);
                    }
                    state.lines.push_back(line);
                }
            } else if let Some(line) = state.agent.push(byte) {
                said = state.answer(line).or(said);
                changed.notify_all();
            }
        }
        said
    }

    /// Sends each line of the console to `sink` from now on, those that are kept first.
    pub fn show(&self, mut sink: ConsoleSink) {
        let mut state = self.0.0.lock();
        for line in &state.lines {
            sink(line);
        }
        state.sink = Some(sink);
    }

    /// The newest lines of the console.
    #[must_use]
    pub fn last_lines(&self, count: usize) -> Vec<String> {
        let state = self.0.0.lock();
        let skip = state.lines.len().saturating_sub(count);
        state.lines.iter().skip(skip).cloned().collect()
    }

    /// Bytes that the guest has printed on its console.
    #[must_use]
    pub fn console_bytes(&self) -> u64 {
        self.0.0.lock().console_bytes
    }

    /// Whether a kept line of the console contains `text`.
    #[must_use]
    pub fn has_printed(&self, text: &str) -> bool {
        self.0.0.lock().lines.iter().any(|line| line.contains(text))
    }

    /// The guest's view of its memory, as it was told last.
    #[must_use]
    pub fn view(&self) -> Option<GuestView> {
        self.0.0.lock().view
    }

    /// How often the guest's init has started.
    #[must_use]
    pub fn boots(&self) -> u32 {
        self.0.0.lock().boots
    }

    /// Whether the guest's init listens.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.0.lock().ready
    }

    /// Drivers that the guest could not load.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        self.0.0.lock().missing.clone()
    }

    /// Forgets answers that were not fetched.
    pub fn clear_answers(&self) {
        self.0.0.lock().answers.clear();
    }

    /// Gives a command to the guest's init with `send`, and waits for an answer that begins with `answer`. One that comes later than `longest` is
    /// not taken for the answer to the next question.
    #[must_use]
    pub fn ask(&self, send: impl Fn(&str), command: &str, answer: &str, longest: Duration) -> Option<String> {
        let answer = self.begin(send, command, longest).then(|| self.wait_for(answer, longest)).flatten();
        self.0.0.lock().is_late = answer.is_none();
        answer
    }

    /// The same with the lines that begin with `prefix`, without it, until one is `end`; at most `most` of them. Each may take `longest`.
    #[must_use]
    pub fn ask_lines(
        &self,
        send: impl Fn(&str),
        command: &str,
        [prefix, end]: [&str; 2],
        most: usize,
        longest: Duration,
    ) -> Vec<String> {
        let (mut lines, mut is_over) = (Vec::new(), false);
        if self.begin(send, command, longest) {
            while let Some(line) = self.wait_for_one_of(&[prefix, end], longest) {
                is_over = line == end;
                match line.strip_prefix(prefix) {
                    Some(line) if !is_over && lines.len() < most => lines.push(line.trim().to_owned()),
                    _ => break,
                }
            }
        }
        self.0.0.lock().is_late = !is_over;
        lines
    }

    /// Gives a command, if nothing of an earlier question can come any more: the guest's init answers in order.
    fn begin(&self, send: impl Fn(&str), command: &str, longest: Duration) -> bool {
        if self.0.0.lock().is_late {
            send(UNKNOWN);
            if self.wait_for(&format!("? {UNKNOWN}"), longest).is_none() {
                return false;
            }
        }
        self.clear_answers();
        send(command);
        true
    }

    /// Waits for an answer that begins with `start`; answers before it are dropped.
    #[must_use]
    pub fn wait_for(&self, start: &str, longest: Duration) -> Option<String> {
        self.wait_for_one_of(&[start], longest)
    }

    /// Waits for an answer that begins with one of `starts`; answers before it are dropped.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "waits for a guest in the real world")]
    pub fn wait_for_one_of(&self, starts: &[&str], longest: Duration) -> Option<String> {
        let deadline = std::time::Instant::now() + longest;
        let (state, changed) = &*self.0;
        let mut state = state.lock();
        loop {
            while let Some(answer) = state.answers.pop_front() {
                if starts.iter().any(|start| answer.starts_with(start)) {
                    return Some(answer);
                }
            }
            if changed.wait_until(&mut state, deadline).timed_out() && state.answers.is_empty() {
                return None;
            }
        }
    }
}

impl State {
    fn answer(&mut self, line: String) -> Option<Said> {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("m") => {
                let numbers: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
                if let [total_kb, available_kb] = numbers[..] {
                    self.view = Some(GuestView { total_kb, available_kb });
                }
            }
            Some("up") => {
                self.boots = self.boots.saturating_add(1);
                (self.ready, self.missing, self.view) = (false, None, None);
            }
            Some("ready") => {
                self.ready = true;
                self.push(line);
                return Some(Said::Ready);
            }
            Some("missing") => {
                let what = words.collect::<Vec<_>>().join(", ");
                self.missing = Some(what.clone());
                return Some(Said::Missing(what));
            }
            _ => {}
        }
        self.push(line);
        None
    }

    fn push(&mut self, line: String) {
        if self.answers.len() >= KEPT_ANSWERS {
            self.answers.pop_front();
            self.dropped_answers += 1;
        }
        self.answers.push_back(line);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    #[test]
    fn answers_and_console_are_kept_apart_and_bounded() {
        let voice = Voice::default();
        assert_eq!(voice.hear(AGENT, b"up\nready\n"), Some(Said::Ready));
        assert_eq!(voice.hear(AGENT, b"m 409732 "), None);
        assert_eq!(voice.view(), None);
        voice.hear(AGENT, b"380000\r\n");
        assert_eq!(voice.view(), Some(GuestView { total_kb: 409_732, available_kb: 380_000 }));
        assert_eq!(voice.wait_for("m ", Duration::ZERO).as_deref(), Some("m 409732 380000"));
        assert_eq!(voice.wait_for("m ", Duration::ZERO), None);
        for _ in 0..10 * KEPT_LINES {
            voice.hear(CONSOLE, b"flood\n");
        }
        voice.hear(CONSOLE, &[b'x'; 1 << 16]);
        voice.hear(CONSOLE, b"\n");
        assert_eq!(voice.last_lines(usize::MAX).len(), KEPT_LINES);
        assert_eq!(voice.last_lines(1)[0].len(), LINE_BYTES);
        assert!(voice.is_ready());
        assert_eq!(
            voice.hear(AGENT, b"up\nmissing hv_balloon\n"),
            Some(Said::Missing("hv_balloon".to_owned()))
        );
        assert!(!voice.is_ready());
        assert_eq!(voice.boots(), 2);
    }

    /// An init that answers nothing while it is slow, and then everything, in order.
    #[test]
    fn a_late_answer_is_not_taken_for_the_next_one() {
        let voice = Voice::default();
        let (given, is_slow) = (RefCell::new(Vec::new()), Cell::new(true));
        let send = |command: &str| {
            given.borrow_mut().push(command.to_owned());
            if !is_slow.get() {
                for command in given.borrow_mut().drain(..) {
                    let said =
                        if command == UNKNOWN { format!("? {UNKNOWN}") } else { format!("a {command}") };
                    voice.hear(AGENT, format!("{said}\n").as_bytes());
                }
                voice.hear(AGENT, b"end\n");
            }
        };
        assert_eq!(voice.ask(send, "first", "a ", Duration::ZERO), None);
        assert_eq!(voice.ask(send, "second", "a ", Duration::ZERO), None);
        assert_eq!(*given.borrow(), ["first", UNKNOWN], "who does not answer is asked nothing more");
        is_slow.set(false);
        assert_eq!(voice.ask(send, "third", "a ", Duration::ZERO).as_deref(), Some("a third"));
        assert_eq!(voice.ask_lines(send, "x", ["a ", "end"], 1, Duration::ZERO), ["x"]);
        // More than was asked for: the rest is not taken for what comes next.
        assert!(voice.ask_lines(send, "y", ["a ", "end"], 0, Duration::ZERO).is_empty());
        assert_eq!(voice.ask(send, "z", "", Duration::ZERO).as_deref(), Some("a z"));
    }
}
