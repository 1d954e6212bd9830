//! Writing `events.jsonl` and the journal while a run goes on.

use core::{fmt, str::FromStr};
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write},
    path::Path,
    sync::Arc,
};

use component_runtime::{MachineRecorder, SimTime};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tracing::{Level, Metadata};

use crate::{
    EVENTS_FILE, JOURNAL_FILE, codec, context,
    events::{self, Head},
    names::Numbering,
    record::{Severity, ValueRef},
};

/// How much is recorded (`--events`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventsLevel {
    /// Nothing.
    None,
    /// INFO and above: decisions, operations, lifecycle.
    Decisions,
    /// DEBUG and above: the traffic of every second too, and the inputs and outputs of state machines, for replay.
    #[default]
    All,
}

impl EventsLevel {
    /// Every level, from least to most.
    pub const EACH: [Self; 3] = [Self::None, Self::Decisions, Self::All];

    /// Its word on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Decisions => "decisions",
            Self::All => "all",
        }
    }

    /// The most detailed level of tracing that is recorded.
    pub(crate) const fn max_level(self) -> Option<Level> {
        match self {
            Self::None => None,
            Self::Decisions => Some(Level::INFO),
            Self::All => Some(Level::DEBUG),
        }
    }
}

impl fmt::Display for EventsLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A word that is no [`EventsLevel`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not one of all, decisions, none")]
pub struct UnknownEventsLevel(String);

impl FromStr for EventsLevel {
    type Err = UnknownEventsLevel;

    fn from_str(text: &str) -> Result<Self, UnknownEventsLevel> {
        Self::EACH
            .into_iter()
            .find(|level| level.name() == text)
            .ok_or_else(|| UnknownEventsLevel(text.to_owned()))
    }
}

/// Where a recorder writes.
pub(crate) type Sink = Box<dyn Write + Send>;

/// Records a run. Clones record to the same files; it can be used from many threads.
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
}

struct Shared {
    level: EventsLevel,
    machines: bool,
    state: Mutex<State>,
}

/// What has been recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Recorded {
    /// Number of events.
    pub events: u64,
    /// Number of inputs and outputs of state machines.
    pub machine_values: u64,
    /// Size of `events.jsonl` in bytes.
    pub events_bytes: u64,
    /// Size of the journal in bytes.
    pub journal_bytes: u64,
}

impl Recorder {
    /// Records into `events.jsonl` and the journal in `directory`, which must exist.
    ///
    /// # Errors
    /// If a file cannot be made; an existing one is never overwritten.
    pub fn create(directory: &Path, level: EventsLevel) -> io::Result<Self> {
        let open = |name: &str| -> io::Result<Sink> {
            let file: File = OpenOptions::new().write(true).create_new(true).open(directory.join(name))?;
            Ok(Box::new(BufWriter::with_capacity(1 << 18, file)))
        };
        Self::to_writers(Some(open(EVENTS_FILE)?), Some(open(JOURNAL_FILE)?), level)
    }

    /// Records into `events` and `journal`, each if given. They should be buffered.
    ///
    /// # Errors
    /// If the journal's first bytes cannot be written.
    pub fn to_writers(events: Option<Sink>, journal: Option<Sink>, level: EventsLevel) -> io::Result<Self> {
        let machines = journal.is_some() && level == EventsLevel::All;
        let mut state = State { events, journal, ..State::default() };
        if let Some(journal) = &mut state.journal {
            codec::write_header(journal)?;
            state.recorded.journal_bytes = codec::HEADER_BYTES;
        }
        Ok(Self { shared: Arc::new(Shared { level, machines, state: Mutex::new(state) }) })
    }

    /// How much is recorded.
    pub fn level(&self) -> EventsLevel {
        self.shared.level
    }

    /// This recorder as the runtime takes it, if inputs and outputs of state machines are recorded at all.
    pub fn machine_recorder(&self) -> Option<Arc<dyn MachineRecorder>> {
        self.shared.machines.then(|| Arc::new(self.clone()) as Arc<dyn MachineRecorder>)
    }

    /// Writes out what is buffered and says how much there is. Recording can go on.
    ///
    /// # Errors
    /// The error that ended the recording, once; what was recorded before it is good.
    pub fn finish(&self) -> io::Result<Recorded> {
        let mut state = self.shared.state.lock();
        let state = &mut *state;
        if let Some(error) = state.error.take() {
            return Err(error);
        }
        if state.stopped {
            return Ok(state.recorded);
        }
        for sink in [&mut state.events, &mut state.journal].into_iter().flatten() {
            sink.flush()?;
        }
        Ok(state.recorded)
    }

    /// Whether a tracing event with this metadata is recorded.
    pub(crate) fn wants(&self, metadata: &Metadata<'_>) -> bool {
        self.shared.level.max_level().is_some_and(|max| *metadata.level() <= max)
            && metadata.is_event()
            && metadata.fields().field("event").is_some()
    }

    /// Records a tracing event that is [wanted](Self::wants).
    pub(crate) fn record(&self, event: &tracing::Event<'_>) {
        self.shared.state.lock().record(event);
    }

    fn machine(&self, output: bool, machine: &str, now: SimTime, value: &dyn erased_serde::Serialize) {
        if self.shared.machines {
            self.shared.state.lock().machine(output, machine, now, value);
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("level", &self.shared.level).finish_non_exhaustive()
    }
}

impl MachineRecorder for Recorder {
    fn input(&self, machine: &str, now: SimTime, value: &dyn erased_serde::Serialize) {
        self.machine(false, machine, now, value);
    }

    fn output(&self, machine: &str, now: SimTime, value: &dyn erased_serde::Serialize) {
        self.machine(true, machine, now, value);
    }
}

/// Files, and buffers that are used again for every event.
#[derive(Default)]
struct State {
    events: Option<Sink>,
    journal: Option<Sink>,
    names: Numbering,
    /// Numbers of the field names of each place in the code that events come from. The key is the address of
    /// its metadata: only looked up, so nothing depends on its order.
    callsites: BTreeMap<usize, Vec<u32>>,
    parts: Parts,
    line: Vec<u8>,
    payload: Vec<u8>,
    recorded: Recorded,
    /// After an error nothing more is recorded.
    stopped: bool,
    error: Option<io::Error>,
}

/// One event's parts, while its fields are visited.
#[derive(Default)]
struct Parts {
    event: String,
    vm: Option<String>,
    component: Option<String>,
    cause: Option<u64>,
    /// Number of own fields.
    count: u64,
    json: Vec<u8>,
    binary: Vec<u8>,
    text: String,
}

impl State {
    fn record(&mut self, event: &tracing::Event<'_>) {
        if self.stopped {
            return;
        }
        if let Err(error) = self.try_record(event) {
            self.stop(error);
        }
    }

    fn try_record(&mut self, event: &tracing::Event<'_>) -> io::Result<()> {
        let metadata = event.metadata();
        let callsite = core::ptr::from_ref(metadata).addr();
        if self.journal.is_some() && !self.callsites.contains_key(&callsite) {
            let mut numbers = Vec::new();
            for field in metadata.fields() {
                numbers.push(self.name(own_name(field.name()))?);
            }
            self.callsites.insert(callsite, numbers);
        }
        let mut parts = core::mem::take(&mut self.parts);
        parts.clear();
        let names = self.callsites.get(&callsite).map_or(&[][..], Vec::as_slice);
        let mut visitor =
            FieldVisitor { parts: &mut parts, names, json: self.events.is_some(), failed: None };
        event.record(&mut visitor);
        let failed = visitor.failed;
        let written = match failed {
            Some(error) => Err(error),
            None => context::with(|context| self.write(&parts, &context, Severity::of(metadata.level()))),
        };
        self.parts = parts;
        written
    }

    fn write(&mut self, parts: &Parts, context: &context::Context<'_>, severity: Severity) -> io::Result<()> {
        let head = Head {
            t: context.now.0,
            seq: 0,
            component: parts.component.as_deref().unwrap_or(context.component),
            vm: parts.vm.as_deref().or(context.vm),
            event: &parts.event,
            cause: parts.cause.unwrap_or(context.cause),
            severity,
        };
        // Under the lock, so that numbers ascend in the file whatever the threads do.
        let head = Head { seq: context::take_seq(), ..head };
        if self.journal.is_some() {
            let wire = codec::EventHead {
                t: head.t,
                seq: head.seq,
                cause: head.cause,
                component: self.name(head.component)?,
                vm: head.vm.map(|vm| self.name(vm)).transpose()?,
                event: self.name(head.event)?,
                severity,
                fields: parts.count,
            };
            self.payload.clear();
            codec::encode_event(&wire, &parts.binary, &mut self.payload).map_err(io::Error::other)?;
            self.write_frame()?;
        }
        if let Some(file) = &mut self.events {
            self.line.clear();
            events::append_head(&mut self.line, &head);
            self.line.extend_from_slice(&parts.json);
            events::append_end(&mut self.line);
            file.write_all(&self.line)?;
            self.recorded.events_bytes += self.line.len() as u64;
        }
        self.recorded.events += 1;
        Ok(())
    }

    /// The number of a name; a new one is written to the journal first.
    fn name(&mut self, name: &str) -> io::Result<u32> {
        let (number, new) = self.names.number(name);
        if new {
            self.payload.clear();
            codec::encode_name(name, &mut self.payload).map_err(io::Error::other)?;
            self.write_frame()?;
        }
        Ok(number)
    }

    fn write_frame(&mut self) -> io::Result<()> {
        if let Some(journal) = &mut self.journal {
            codec::write_frame(&self.payload, journal)?;
            self.recorded.journal_bytes += 8 + self.payload.len() as u64;
        }
        Ok(())
    }

    fn machine(&mut self, output: bool, machine: &str, now: SimTime, value: &dyn erased_serde::Serialize) {
        if self.stopped {
            return;
        }
        let written: io::Result<()> = (|| {
            let number = self.name(machine)?;
            self.line.clear();
            codec::encode_value(value, &mut self.line).map_err(io::Error::other)?;
            self.payload.clear();
            let head = (now.0, context::cause(), number);
            codec::encode_machine(output, head, &self.line, &mut self.payload).map_err(io::Error::other)?;
            self.write_frame()?;
            self.recorded.machine_values += 1;
            Ok(())
        })();
        if let Err(error) = written {
            self.stop(error);
        }
    }

    /// A gap in the middle would be worse than an end.
    fn stop(&mut self, error: io::Error) {
        self.stopped = true;
        self.error = Some(error);
    }
}

impl Parts {
    fn clear(&mut self) {
        self.event.clear();
        self.vm = None;
        self.component = None;
        self.cause = None;
        self.count = 0;
        self.json.clear();
        self.binary.clear();
    }
}

/// The name under which a field is kept if it does not replace the context's: it must not pass for a part of the head.
fn own_name(name: &'static str) -> &'static str {
    match name {
        "t" => "t_",
        "seq" => "seq_",
        "severity" => "severity_",
        "vm" => "vm_",
        "component" => "component_",
        "cause" => "cause_",
        "event" => "event_",
        other => other,
    }
}

struct FieldVisitor<'a> {
    parts: &'a mut Parts,
    names: &'a [u32],
    json: bool,
    failed: Option<io::Error>,
}

impl FieldVisitor<'_> {
    fn own(&mut self, field: &tracing::field::Field, value: ValueRef<'_>) {
        if self.json {
            events::append_field(&mut self.parts.json, own_name(field.name()), value);
        }
        if let Some(&name) = self.names.get(field.index())
            && let Err(error) = codec::encode_field(name, value, &mut self.parts.binary)
        {
            self.failed = Some(io::Error::other(error));
        }
        self.parts.count += 1;
    }

    fn text(&mut self, field: &tracing::field::Field, text: &str) {
        match field.name() {
            "event" => {
                self.parts.event.clear();
                self.parts.event.push_str(text);
            }
            "vm" => self.parts.vm = Some(text.to_owned()),
            "component" => self.parts.component = Some(text.to_owned()),
            _ => self.own(field, ValueRef::Text(text)),
        }
    }
}

impl tracing::field::Visit for FieldVisitor<'_> {
    fn record_f64(&mut self, field: &tracing::field::Field, value: f64) {
        if value.is_finite() {
            self.own(field, ValueRef::Float(value));
        } else {
            // JSON has no such numbers.
            self.record_debug(field, &value);
        }
    }

    fn record_i64(&mut self, field: &tracing::field::Field, value: i64) {
        self.own(field, value.into());
    }

    fn record_u64(&mut self, field: &tracing::field::Field, value: u64) {
        if field.name() == "cause" {
            self.parts.cause = Some(value);
        } else {
            self.own(field, ValueRef::Unsigned(value));
        }
    }

    fn record_bool(&mut self, field: &tracing::field::Field, value: bool) {
        self.own(field, ValueRef::Bool(value));
    }

    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        self.text(field, value);
    }

    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        use fmt::Write as _;
        let mut text = core::mem::take(&mut self.parts.text);
        text.clear();
        // A value whose Debug fails is kept as far as it got.
        let _: fmt::Result = write!(text, "{value:?}");
        self.text(field, &text);
        self.parts.text = text;
    }
}

/// A buffer to record into and to look at afterwards.
#[derive(Clone, Debug, Default)]
pub struct Buffer {
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Buffer {
    /// What has been written so far.
    pub fn contents(&self) -> Vec<u8> {
        self.bytes.lock().clone()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A writer for [`Recorder::to_writers`] that keeps everything in memory, and the buffer that it goes to.
pub fn buffer() -> (Box<dyn Write + Send>, Buffer) {
    let buffer = Buffer::default();
    (Box::new(buffer.clone()), buffer)
}

#[cfg(test)]
mod tests;
